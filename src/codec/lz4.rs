//! `lz4`: the bytes of another codec as an LZ4 block, or as they are where that is smaller.
//!
//! Words of several bytes are taken apart first, all first bytes before all second ones: exponents resemble each other,
//! mantissas do not. Of a codec of fixed length, the length tells what was done. Before any other, a byte of 0 says
//! that it is LZ4, which no block of that codec begins with unless it is raw.

use std::cell::RefCell;

use lz4_flex::block::get_maximum_output_size;
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into};

use super::{BLOCK_BYTES, Codec, Encoding, Fault, raw};
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

/// Where a thread works: what need not be allocated, or set to zero, for each block.
struct Scratch {
    /// What the compressor has seen of a block.
    table: CompressTable,
    shuffled: [u8; BLOCK_BYTES],
    packed: [u8; get_maximum_output_size(BLOCK_BYTES)],
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        table: CompressTable::small(),
        shuffled: [0; BLOCK_BYTES],
        packed: [0; get_maximum_output_size(BLOCK_BYTES)],
    });
}

/// See the module.
pub struct Lz4(pub Codec);

impl Lz4 {
    /// Bytes of the words that are taken apart in a block of so many values.
    fn width(&self, values: usize) -> usize {
        match self.0.fixed_len(values) {
            Some(len) if len == raw::encoded_len(values) => raw::encoded_len(1),
            Some(len) if len == values * 2 => 2,
            _ => 1,
        }
    }
}

impl Encoding for Lz4 {
    fn fixed_len(&self, _: usize) -> Option<usize> {
        None
    }

    fn encode(&self, kernels: &BlockKernels, values: &[f32], out: &mut [u8]) -> usize {
        let len = self.0.encoding(values.len()).encode(kernels, values, out);
        let mark = usize::from(self.0.fixed_len(values.len()).is_none());
        SCRATCH.with_borrow_mut(|Scratch { table, shuffled, packed }| {
            let bytes = match self.width(values.len()) {
                1 => &out[..len],
                width => {
                    kernels.shuffle(&out[..len], width, &mut shuffled[..len]);
                    &shuffled[..len]
                }
            };
            match compress_into_with_table(bytes, packed, table) {
                Ok(packed_len) if mark + packed_len < len => {
                    out[..mark].fill(MARK);
                    out[mark..mark + packed_len].copy_from_slice(&packed[..packed_len]);
                    mark + packed_len
                }
                _ => len,
            }
        })
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
        let encoding = self.0.encoding(out.len());
        let most = self.0.encoded_len_max(out.len());
        let fixed = self.0.fixed_len(out.len());
        let is_plain = match fixed {
            Some(len) => bytes.len() == len,
            None => bytes.len() == most || bytes.first().is_some_and(|&mark| mark != MARK),
        };
        if is_plain {
            return encoding.decode(kernels, bytes, out);
        }
        let packed = bytes.get(usize::from(fixed.is_none())..).unwrap_or_default();
        SCRATCH.with_borrow_mut(|Scratch { shuffled, packed: plain, .. }| {
            let len = match decompress_into(packed, &mut shuffled[..most]) {
                Ok(len) if fixed.is_none_or(|fixed| fixed == len) => len,
                _ => return Err(Fault::Malformed("LZ4 that is none")),
            };
            match self.width(out.len()) {
                1 => encoding.decode(kernels, &shuffled[..len], out),
                width => {
                    kernels.unshuffle(&shuffled[..len], width, &mut plain[..len]);
                    encoding.decode(kernels, &plain[..len], out)
                }
            }
        })
    }
}
