//! The most that a core can multiply and add: what the rates of kernels are a share of.
#![allow(unsafe_code)]

use std::hint::black_box;

use super::vector::Vector;

/// Sums that do not wait for each other: more than two units of latency 5 have under way, and few enough for 16
/// registers.
const SUMS: usize = 12;
/// A value that stays near 1 when it is multiplied and added to for ever: no operand is a slow one.
const FACTOR: f32 = 0.999;
const SUMMAND: f32 = 0.001;

/// Multiplies and adds, `rounds` times in a dozen registers, and does nothing else; how many floating-point operations
/// that was.
///
/// # Safety
/// The processor has the level of `V`.
#[inline(always)]
pub unsafe fn multiply_adds<V: Vector>(rounds: u64) -> u64 {
    // SAFETY: the caller vouches for the level; `last` has room for every register.
    unsafe {
        let (factor, summand) = (V::splat(black_box(FACTOR)), V::splat(black_box(SUMMAND)));
        let mut sums = [V::splat(1.0); SUMS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.mul_add(factor, summand);
            }
        }
        for sum in sums {
            black_box(sum.sum());
        }
    }
    2 * rounds * (SUMS * V::LANES) as u64
}
