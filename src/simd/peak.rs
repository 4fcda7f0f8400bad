//! The most that a core can multiply and add: what the rates of kernels are a share of.
#![allow(unsafe_code)]

use std::hint::black_box;

use super::vector::Vector;

/// What 1 grows by, relatively: too little to change it, so that no operand is ever a slow one.
const GROWTH: f32 = 1e-9;

/// Multiplies and adds, `rounds` times in `SUMS` registers, and does nothing else; how many floating-point operations
/// that was. A sum is its own summand: where an instruction overwrites that, as NEON's does, there is none to copy.
///
/// # Safety
/// The processor has the level of `V`.
#[inline(always)]
pub unsafe fn multiply_adds<V: Vector, const SUMS: usize>(rounds: u64) -> u64 {
    // SAFETY: the caller vouches for the level.
    unsafe {
        let growth = V::splat(black_box(GROWTH));
        let mut sums = [V::splat(1.0); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.mul_add(growth, *sum);
            }
        }
        for sum in sums {
            black_box(sum.sum());
        }
    }
    2 * rounds * (SUMS * V::LANES) as u64
}
