//! `uint8`: the least value of the block, a step (two f32), and for each value a byte: so many steps above the least.
//!
//! A step is the 255th part of the range, and the nearest number of steps is taken. Where the range is so small that
//! its reciprocal is no number, all values are taken for the least one.

use super::{Encoding, Fault, raw};
use crate::simd::BlockKernels;

/// See the module.
pub struct Uint8;

const HEAD: usize = 2 * size_of::<f32>();
const STEPS: f32 = u8::MAX as f32;
/// The largest range; in a block of a larger one, magnitudes are at most half of it.
const LIMIT: f32 = f32::MAX / 2.0;

impl Encoding for Uint8 {
    fn fixed_len(&self, values: usize) -> Option<usize> {
        Some(HEAD + values)
    }

    fn encode(&self, kernels: &BlockKernels, values: &[f32], out: &mut [u8]) -> usize {
        let (mut low, mut high) = kernels.range(values).unwrap_or_default();
        let (head, bytes) = out[..HEAD + values.len()].split_at_mut(HEAD);
        let mut clamped = [0.0; super::BLOCK_VALUES];
        let mut values = values;
        if high - low > LIMIT {
            (low, high) = (low.max(-LIMIT / 2.0), high.min(LIMIT / 2.0));
            let clamped = &mut clamped[..values.len()];
            clamped.iter_mut().zip(values).for_each(|(to, from)| *to = from.clamp(low, high));
            values = clamped;
        }
        let step = spread(kernels, values, low, high - low, bytes);
        head[..HEAD / 2].copy_from_slice(&low.to_le_bytes());
        head[HEAD / 2..].copy_from_slice(&step.to_le_bytes());
        HEAD + values.len()
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
        let (low, step, bytes) = head(bytes)?;
        kernels.dequantise(bytes, low, step, out);
        Ok(())
    }

    fn decode_add(
        &self,
        kernels: &BlockKernels,
        bytes: &[u8],
        sum: &mut [f32],
    ) -> Result<(), Fault> {
        let (low, step, bytes) = head(bytes)?;
        kernels.add_quantised(bytes, low, step, sum);
        Ok(())
    }
}

/// Writes numbers of steps, and tells what a step is.
fn spread(kernels: &BlockKernels, values: &[f32], low: f32, range: f32, bytes: &mut [u8]) -> f32 {
    let factor = STEPS / range;
    if !factor.is_finite() {
        bytes.fill(0);
        return 0.0;
    }
    kernels.quantise(values, low, factor, bytes);
    range / STEPS
}

/// The head and the rest of a block all of whose values are finite: the largest possible one is.
fn head(bytes: &[u8]) -> Result<(f32, f32, &[u8]), Fault> {
    let (head, rest) = bytes.split_at(HEAD);
    let (words, _) = head.as_chunks::<{ raw::encoded_len(1) }>();
    let (low, step) = (f32::from_le_bytes(words[0]), f32::from_le_bytes(words[1]));
    if !low.is_finite() {
        return Err(Fault::Malformed("the least value is not finite"));
    }
    if step.is_sign_negative() || !(low + STEPS * step).is_finite() {
        return Err(Fault::Malformed("a step that is none"));
    }
    Ok((low, step, rest))
}
