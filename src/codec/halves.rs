//! `fp16` and `bf16`: 16-bit floats, rounded to nearest even, saturating.

use super::{Encoding, Fault};
use crate::simd::BlockKernels;

/// IEEE binary16.
pub struct Fp16;
/// The upper half of an f32.
pub struct Bf16;

const WIDTH: usize = size_of::<u16>();
/// The least halves that are not finite; NaN is above.
const FP16_INFINITY: u16 = 0x7c00;
const BF16_INFINITY: u16 = 0x7f80;

/// The first half that is NaN or infinity, as a fault.
pub fn finite(kernels: &BlockKernels, bytes: &[u8], infinity: u16) -> Result<(), Fault> {
    if kernels.are_finite_halves(bytes, infinity) {
        return Ok(());
    }
    let (halves, _) = bytes.as_chunks();
    let first = halves.iter().position(|half| u16::from_le_bytes(*half) & 0x7fff >= infinity);
    Err(Fault::NotFinite(first.unwrap_or_default()))
}

impl Encoding for Fp16 {
    fn fixed_len(&self, values: usize) -> Option<usize> {
        Some(values * WIDTH)
    }

    fn encode(&self, kernels: &BlockKernels, values: &[f32], out: &mut [u8]) -> usize {
        let len = values.len() * WIDTH;
        kernels.narrow_fp16(values, &mut out[..len]);
        len
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
        finite(kernels, bytes, FP16_INFINITY)?;
        kernels.widen_fp16(bytes, out);
        Ok(())
    }

    fn decode_add(
        &self,
        kernels: &BlockKernels,
        bytes: &[u8],
        sum: &mut [f32],
    ) -> Result<(), Fault> {
        finite(kernels, bytes, FP16_INFINITY)?;
        kernels.add_fp16(bytes, sum);
        Ok(())
    }
}

impl Encoding for Bf16 {
    fn fixed_len(&self, values: usize) -> Option<usize> {
        Some(values * WIDTH)
    }

    fn encode(&self, kernels: &BlockKernels, values: &[f32], out: &mut [u8]) -> usize {
        let len = values.len() * WIDTH;
        kernels.narrow_bf16(values, &mut out[..len]);
        len
    }

    fn decode(&self, kernels: &BlockKernels, bytes: &[u8], out: &mut [f32]) -> Result<(), Fault> {
        if kernels.widen_bf16(bytes, out) { Ok(()) } else { finite(kernels, bytes, BF16_INFINITY) }
    }

    fn decode_add(
        &self,
        kernels: &BlockKernels,
        bytes: &[u8],
        sum: &mut [f32],
    ) -> Result<(), Fault> {
        finite(kernels, bytes, BF16_INFINITY)?;
        kernels.add_bf16(bytes, sum);
        Ok(())
    }
}
