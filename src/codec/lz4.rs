//! `lz4`: the bytes of another codec as an LZ4 block, or as they are where that is smaller.
//!
//! Words of several bytes are taken apart first, all first bytes before all second ones: exponents resemble each other,
//! mantissas do not. Of a codec of fixed length, the length tells what was done. Before any other, a byte of 0 says
//! that it is LZ4, which no block of that codec begins with unless it is raw.

use std::cell::RefCell;

use lz4_flex::block::get_maximum_output_size;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into};

use super::{BLOCK_BYTES, Codec, Decoded, Encoding, Fault, Rounding, raw};
use crate::simd::BlockKernels;

/// What can be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inner {
    /// f32 as they are.
    Raw,
    /// See [`Codec::Fp16`].
    Fp16,
    /// See [`Codec::Bf16`].
    Bf16,
    /// See [`Codec::Uint8`].
    Uint8,
    /// See [`Codec::Rle`].
    Rle,
}

/// What says that LZ4 follows, where the length does not.
const MARK: u8 = 0;
/// Room behind a block, which lets the decompressor copy whole words up to its end.
const SLACK: usize = 64;

/// Where a thread works: what need not be allocated, or set to zero, for each block.
struct Scratch {
    /// What the compressor has seen of a block.
    table: CompressTable,
    shuffled: [u8; BLOCK_BYTES + SLACK],
    packed: [u8; get_maximum_output_size(BLOCK_BYTES)],
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        table: CompressTable::small(),
        shuffled: [0; BLOCK_BYTES + SLACK],
        packed: [0; get_maximum_output_size(BLOCK_BYTES)],
    });
}

impl Inner {
    /// The codec whose bytes are compressed.
    pub(super) const fn codec(self) -> Codec {
        match self {
            Self::Raw => Codec::Raw,
            Self::Fp16 => Codec::Fp16,
            Self::Bf16 => Codec::Bf16,
            Self::Uint8 => Codec::Uint8(Rounding::Nearest),
            Self::Rle => Codec::Rle,
        }
    }
}

impl Encoding for Inner {
    fn fixed_len(&self, _: usize) -> Option<usize> {
        None
    }

    fn encode(&self, kernels: &BlockKernels, values: &[f32], dice: u64, out: &mut [u8]) -> usize {
        let codec = self.codec();
        let encoding = codec.encoding(values.len());
        let mark = usize::from(encoding.fixed_len(values.len()).is_none());
        SCRATCH.with_borrow_mut(|Scratch { table, shuffled, packed }| {
            // f32 are taken apart where they are, and only written as they are if that is what remains.
            let len = match self {
                Self::Raw => raw::encoded_len(values.len()),
                _ => encoding.encode(kernels, values, dice, out),
            };
            let shuffled = &mut shuffled[..len];
            let bytes = match self {
                Self::Raw => {
                    kernels.shuffle_f32(values, shuffled);
                    shuffled
                }
                Self::Fp16 | Self::Bf16 => {
                    kernels.shuffle_halves(&out[..len], shuffled);
                    shuffled
                }
                Self::Uint8 | Self::Rle => &mut out[..len],
            };
            match compress_into_with_table(bytes, packed, table) {
                Ok(packed_len) if mark + packed_len < len => {
                    out[..mark].fill(MARK);
                    out[mark..mark + packed_len].copy_from_slice(&packed[..packed_len]);
                    mark + packed_len
                }
                _ if *self == Self::Raw => encoding.encode(kernels, values, dice, out),
                _ => len,
            }
        })
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Decoded {
        let codec = self.codec();
        let encoding = codec.encoding(out.len());
        let fixed = encoding.fixed_len(out.len());
        let most = fixed.unwrap_or_else(|| raw::encoded_len(out.len()));
        let is_plain = match fixed {
            Some(len) => bytes.len() == len,
            None => bytes.len() == most || bytes.first().is_some_and(|&mark| mark != MARK),
        };
        if is_plain {
            return encoding.decode(kernels, bytes, out);
        }
        let packed = bytes.get(usize::from(fixed.is_none())..).unwrap_or_default();
        SCRATCH.with_borrow_mut(|Scratch { shuffled, packed: plain, .. }| {
            let len = match decompress_into(packed, &mut shuffled[..most + SLACK]) {
                Ok(len) if fixed.map_or(len <= most, |fixed| len == fixed) => len,
                _ => return Err(Fault::Malformed("LZ4 that is none")),
            };
            let (shuffled, plain) = (&shuffled[..len], &mut plain[..len]);
            match self {
                Self::Raw if kernels.unshuffle_f32(shuffled, out) => Ok(()),
                Self::Raw => Err(raw::fault(out.iter().copied())),
                Self::Fp16 | Self::Bf16 => {
                    kernels.unshuffle_halves(shuffled, plain);
                    encoding.decode(kernels, plain, out)
                }
                Self::Uint8 | Self::Rle => encoding.decode(kernels, shuffled, out),
            }
        })
    }
}
