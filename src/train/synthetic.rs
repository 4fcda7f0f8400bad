//! A load that only looks like training: gradients of any size, at no cost.

use super::Compute;
use crate::ps::worker::Delivery;

/// Gradients whose values depend on their place and on the slice alone, so that digests mean something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Synthetic;

impl Compute for Synthetic {
    fn gradient(&mut self, delivery: &mut Delivery, slot: u16, first: u64, _: u32) -> f64 {
        let start = (first as u32).wrapping_mul(0x9e37_79b9) ^ u32::from(slot) << 16;
        for (i, value) in (0u32..).zip(&mut delivery.gradient) {
            let mixed = (start ^ i).wrapping_mul(0x85eb_ca6b) >> 8;
            *value = mixed as f32 / (1 << 24) as f32 - 0.5;
        }
        0.0
    }

    fn evaluate(&mut self, _: &[f32], _: u32, _: u32) -> (u32, f64) {
        (0, 0.0)
    }
}
