//! How the values of one block become bytes and values again.
//!
//! Every block is encoded alone and decodes alone: the loss of one never costs another. Encoding trusts its caller
//! (finite values, checked where gradients are made); decoding trusts nobody.

mod half;
mod raw;

/// An encoding of a block of f32; every number in it is little endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// f32 as they are: 4 bytes a value.
    #[default]
    Raw,
    /// IEEE binary16: 2 bytes a value, magnitudes up to 65,504.
    Fp16,
    /// bfloat16: 2 bytes a value, the range of f32.
    Bf16,
}

/// Bytes that are no block of the stated codec and size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A fixed-rate codec makes exactly one length out of a number of values, and this is another.
    #[error("{values} values in {codec} are {expected} bytes, found {found}")]
    Length {
        /// The codec asked for.
        codec: Codec,
        /// How many values the block has.
        values: usize,
        /// Their encoded length in bytes.
        expected: usize,
        /// The length at hand in bytes.
        found: usize,
    },
    /// NaN or infinity, which nobody encodes.
    #[error("value {value} of the {codec} block is not finite")]
    NotFinite {
        /// The codec asked for.
        codec: Codec,
        /// Position of the first such value, from 0.
        value: usize,
    },
}

crate::named!(Codec, "codec", { Raw => "raw", Fp16 => "fp16", Bf16 => "bf16" });

impl Codec {
    /// All codecs.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Fp16, Self::Bf16];

    /// What datagrams call it; a number is never given to another codec.
    #[must_use]
    pub const fn wire_id(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Fp16 => 1,
            Self::Bf16 => 2,
        }
    }

    /// The codec with this [`wire_id`](Self::wire_id).
    #[must_use]
    pub fn from_wire_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.wire_id() == id)
    }

    /// The most bytes that any `values` values can take.
    #[must_use]
    pub const fn encoded_len_max(self, values: usize) -> usize {
        match self {
            Self::Raw => raw::encoded_len(values),
            Self::Fp16 | Self::Bf16 => half::encoded_len(values),
        }
    }

    /// Appends the encoded `values` to `out`. Rounds to nearest, ties to even; what is too large for the codec becomes
    /// its largest finite value.
    ///
    /// All values must be finite (checked in debug builds only).
    pub fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        debug_assert!(values.iter().all(|value| value.is_finite()), "encoding NaN or infinity");
        match self {
            Self::Raw => raw::encode(values, out),
            Self::Fp16 => half::encode_fp16(values, out),
            Self::Bf16 => half::encode_bf16(values, out),
        }
    }

    /// Decodes a block of exactly `out.len()` values into `out`.
    ///
    /// # Errors
    /// If `bytes` are not an encoding of that many finite values; `out` may then hold anything.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) -> Result<(), DecodeError> {
        let (values, expected) = (out.len(), self.encoded_len_max(out.len()));
        if bytes.len() != expected {
            return Err(DecodeError::Length { codec: self, values, expected, found: bytes.len() });
        }
        match self {
            Self::Raw => raw::decode(bytes, out),
            Self::Fp16 => half::decode_fp16(bytes, out),
            Self::Bf16 => half::decode_bf16(bytes, out),
        }
        match out.iter().position(|value| !value.is_finite()) {
            Some(value) => Err(DecodeError::NotFinite { codec: self, value }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::rng::{below, stream};

    /// Any finite f32, all exponents alike.
    fn finite(rng: &mut impl RngCore) -> f32 {
        loop {
            let value = f32::from_bits(rng.next_u32());
            if value.is_finite() {
                return value;
            }
        }
    }

    #[test]
    fn names_and_wire_ids_are_unique_and_come_back() {
        for codec in Codec::ALL {
            assert_eq!(codec.to_string().parse(), Ok(codec));
            assert_eq!(Codec::from_wire_id(codec.wire_id()), Some(codec));
            let json = serde_json::to_string(&codec).unwrap();
            assert_eq!(json, format!("\"{codec}\""));
            assert_eq!(serde_json::from_str::<Codec>(&json).unwrap(), codec);
        }
        let known = (0..=u8::MAX).filter_map(Codec::from_wire_id).count();
        assert_eq!(known, Codec::ALL.len());
        let refusal = "fp32".parse::<Codec>().unwrap_err().to_string();
        assert_eq!(refusal, "unknown codec `fp32`: choose one of raw, fp16, bf16");
    }

    #[test]
    fn bytes_of_a_small_block() {
        let values = [0.0, -0.0, 1.0, -2.5, 1.0 / 3.0, 65_519.0, 65_520.0, -1e38, f32::MAX, 1e-45];
        let mut table = String::new();
        for codec in Codec::ALL {
            let mut bytes = vec![];
            codec.encode(&values, &mut bytes);
            let width = bytes.len() / values.len();
            let words: Vec<String> = bytes
                .chunks(width)
                .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
                .collect();
            writeln!(table, "{codec:5}{}", words.join(" ")).unwrap();
        }
        insta::assert_snapshot!(table, @r"
        raw  00000000 00000080 0000803f 000020c0 abaaaa3e 00ef7f47 00f07f47 997696fe ffff7f7f 01000000
        fp16 0000 0080 003c 00c1 5535 ff7b ff7b fffb ff7b 0000
        bf16 0000 0080 803f 20c0 ab3e 8047 8047 96fe 7f7f 0000
        ");
    }

    #[test]
    fn encode_appends_and_decodes_within_half_a_step() {
        for seed in 0..300 {
            let mut rng = stream(seed, "codec", 0);
            let values: Vec<f32> = (0..below(&mut rng, 400)).map(|_| finite(&mut rng)).collect();
            for codec in Codec::ALL {
                let mut bytes = vec![7];
                codec.encode(&values, &mut bytes);
                assert_eq!((bytes[0], bytes.len() - 1), (7, codec.encoded_len_max(values.len())));
                let mut decoded = vec![f32::NAN; values.len()];
                codec.decode(&bytes[1..], &mut decoded).unwrap();
                let (mantissa, smallest, largest) = match codec {
                    Codec::Raw => (24, 0.0, f64::from(f32::MAX)),
                    Codec::Fp16 => (11, 2f64.powi(-24), 65_504.0),
                    Codec::Bf16 => (8, 2f64.powi(-133), (2.0 - 2f64.powi(-7)) * 2f64.powi(127)),
                };
                for (&value, &back) in values.iter().zip(&decoded) {
                    let clamped = f64::from(value).clamp(-largest, largest);
                    let step = if codec == Codec::Raw { 0.0 } else { 2f64.powi(-mantissa) };
                    let allowed = (clamped.abs() * step).max(smallest / 2.0);
                    let error = (f64::from(back) - clamped).abs();
                    assert!(error <= allowed, "seed {seed} {codec}: {value:e} became {back:e}");
                }
                let mut again = vec![];
                codec.encode(&decoded, &mut again);
                assert_eq!(again, bytes[1..], "seed {seed} {codec}: encoding is not idempotent");
            }
        }
    }

    #[test]
    fn wrong_lengths_are_refused_and_random_bytes_never_panic() {
        let mut rng = stream(3, "codec", 1);
        for values in [0, 1, 2, 3, 320] {
            for length in 0..1300 {
                let bytes: Vec<u8> = (0..length).map(|_| rng.next_u32() as u8).collect();
                for codec in Codec::ALL {
                    let mut out = vec![0.0; values];
                    match codec.decode(&bytes, &mut out) {
                        Ok(()) => assert!(out.iter().all(|value| value.is_finite())),
                        Err(DecodeError::Length { expected, found, .. }) => {
                            assert_eq!((expected, found), (codec.encoded_len_max(values), length));
                            assert_ne!(expected, found);
                        }
                        Err(DecodeError::NotFinite { value, .. }) => {
                            assert!(!out[value].is_finite());
                        }
                    }
                }
            }
        }
        let error = Codec::Fp16.decode(&[0; 5], &mut [0.0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "3 values in fp16 are 6 bytes, found 5");
        let error = Codec::Bf16.decode(&[0, 0, 0x80, 0x7f], &mut [0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "value 1 of the bf16 block is not finite");
    }
}
