//! `raw`: f32 as they are.

use super::{Encoding, Fault};
use crate::simd::BlockKernels;

/// See the module.
pub struct Raw;

const WIDTH: usize = size_of::<f32>();

pub const fn encoded_len(values: usize) -> usize {
    values * WIDTH
}

impl Encoding for Raw {
    fn fixed_len(&self, values: usize) -> Option<usize> {
        Some(encoded_len(values))
    }

    fn encode(&self, _: &BlockKernels, values: &[f32], out: &mut [u8]) -> usize {
        let (words, _) = out.as_chunks_mut();
        for (word, value) in words.iter_mut().zip(values) {
            *word = value.to_le_bytes();
        }
        encoded_len(values.len())
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
        kernels.widen_f32(bytes, out);
        super::finite(kernels, out)
    }

    fn decode_add(
        &self,
        kernels: &BlockKernels,
        bytes: &[u8],
        sum: &mut [f32],
    ) -> Result<(), Fault> {
        if !kernels.are_finite_bytes(bytes) {
            let (words, _) = bytes.as_chunks();
            let first = words.iter().position(|word| !f32::from_le_bytes(*word).is_finite());
            return Err(Fault::NotFinite(first.unwrap_or_default()));
        }
        kernels.add_f32(bytes, sum);
        Ok(())
    }
}
