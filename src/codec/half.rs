//! `fp16` and `bf16`: 16-bit floats, saturating.

use ::half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use ::half::{bf16, f16};

const WIDTH: usize = size_of::<u16>();

/// Values converted at a time: whole slices let the conversion use the CPU's instructions where it has them, and this
/// many fit on the stack.
const CHUNK: usize = 64;

pub const fn encoded_len(values: usize) -> usize {
    values * WIDTH
}

pub fn encode_fp16(values: &[f32], out: &mut Vec<u8>) {
    encode(values, f16::MAX.to_f32(), out, |bits, chunk| {
        bits.reinterpret_cast_mut::<f16>().convert_from_f32_slice(chunk);
    });
}

pub fn encode_bf16(values: &[f32], out: &mut Vec<u8>) {
    encode(values, bf16::MAX.to_f32(), out, |bits, chunk| {
        bits.reinterpret_cast_mut::<bf16>().convert_from_f32_slice(chunk);
    });
}

pub fn decode_fp16(bytes: &[u8], out: &mut [f32]) {
    decode(bytes, out, |bits, chunk| {
        bits.reinterpret_cast::<f16>().convert_to_f32_slice(chunk);
    });
}

pub fn decode_bf16(bytes: &[u8], out: &mut [f32]) {
    decode(bytes, out, |bits, chunk| {
        bits.reinterpret_cast::<bf16>().convert_to_f32_slice(chunk);
    });
}

/// Clamping first saturates: what lies within half a step above `largest` would round to it anyway.
fn encode(values: &[f32], largest: f32, out: &mut Vec<u8>, convert: impl Fn(&mut [u16], &[f32])) {
    let start = out.len();
    out.resize(start + encoded_len(values.len()), 0);
    let mut clamped = [0.0; CHUNK];
    let mut bits = [0; CHUNK];
    for (values, out) in values.chunks(CHUNK).zip(out[start..].chunks_mut(CHUNK * WIDTH)) {
        let (clamped, bits) = (&mut clamped[..values.len()], &mut bits[..values.len()]);
        for (clamped, value) in clamped.iter_mut().zip(values) {
            *clamped = value.clamp(-largest, largest);
        }
        convert(bits, clamped);
        let (words, _) = out.as_chunks_mut();
        for (word, bits) in words.iter_mut().zip(bits) {
            *word = bits.to_le_bytes();
        }
    }
}

fn decode(bytes: &[u8], out: &mut [f32], convert: impl Fn(&[u16], &mut [f32])) {
    let mut bits = [0; CHUNK];
    for (bytes, out) in bytes.chunks(CHUNK * WIDTH).zip(out.chunks_mut(CHUNK)) {
        let bits = &mut bits[..out.len()];
        let (words, _) = bytes.as_chunks();
        for (bits, word) in bits.iter_mut().zip(words) {
            *bits = u16::from_le_bytes(*word);
        }
        convert(bits, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_HALVES: usize = 1 << 16;

    /// The value of a 16-bit float with this many mantissa bits and this exponent bias, from the definition.
    fn defined(bits: u16, mantissa_bits: i32, bias: i32) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from(bits & 0x7fff) >> mantissa_bits;
        let mantissa = f64::from(i32::from(bits) & ((1 << mantissa_bits) - 1));
        let unit = 2f64.powi(-mantissa_bits);
        sign * match exponent {
            0 => mantissa * unit * 2f64.powi(1 - bias),
            e if e == (1 << (15 - mantissa_bits)) - 1 => {
                if mantissa == 0.0 {
                    f64::INFINITY
                } else {
                    f64::NAN
                }
            }
            e => (1.0 + mantissa * unit) * 2f64.powi(e - bias),
        }
    }

    fn largest_finite(mantissa_bits: i32) -> u16 {
        ((1 << 15) - 1 - (1 << mantissa_bits)) as u16
    }

    fn every_half(
        mantissa_bits: i32,
        bias: i32,
        encode: impl Fn(&[f32], &mut Vec<u8>),
        decode: impl Fn(&[u8], &mut [f32]),
    ) {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut values = vec![0.0; ALL_HALVES];
        decode(&bytes, &mut values);
        let mut halves = vec![];
        encode(&values, &mut halves);
        let (halves, _) = halves.as_chunks();
        let largest = largest_finite(mantissa_bits);
        for (bits, (&value, &half)) in (0..=u16::MAX).zip(values.iter().zip(halves)) {
            let expected = defined(bits, mantissa_bits, bias);
            assert!(
                f64::from(value) == expected || value.is_nan() && expected.is_nan(),
                "{bits:x}"
            );
            match value {
                _ if value.is_nan() => {}
                f32::INFINITY => assert_eq!(u16::from_le_bytes(half), largest),
                f32::NEG_INFINITY => assert_eq!(u16::from_le_bytes(half), 0x8000 | largest),
                _ => assert_eq!(u16::from_le_bytes(half), bits),
            }
        }
        // Halfway between two neighbours the even one is taken, a little above or below the nearer one.
        for bits in 0..largest {
            let (low, high) = (values[usize::from(bits)], values[usize::from(bits) + 1]);
            let middle = low + (high - low) / 2.0;
            let mut out = vec![];
            encode(&[middle.next_down(), middle, middle.next_up()], &mut out);
            let (out, _) = out.as_chunks();
            let even = bits + (bits & 1);
            let below = if middle.next_down() < low { even } else { bits };
            assert_eq!(
                out.iter().map(|half| u16::from_le_bytes(*half)).collect::<Vec<_>>(),
                [below, even, bits + 1],
                "around {middle:e}"
            );
        }
    }

    #[test]
    fn every_fp16_is_what_ieee_says_and_comes_back() {
        every_half(10, 15, encode_fp16, decode_fp16);
    }

    #[test]
    fn every_bf16_is_what_it_should_be_and_comes_back() {
        every_half(7, 127, encode_bf16, decode_bf16);
    }
}
