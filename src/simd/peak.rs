//! The most that a core can multiply and add: what the rates of kernels are a share of.
#![allow(unsafe_code)]

use std::hint::black_box;

use super::level::{Level, LevelError};
use super::table::Kernels;

/// Sums that do not wait for each other: more than two units of latency 5 have under way, and few enough for the
/// registers of AVX2.
const SUMS: usize = 12;
/// A value that stays near 1 when it is multiplied and added to for ever: no operand is a slow one.
const FACTOR: f32 = 0.999;
const SUMMAND: f32 = 0.001;

/// Multiplies and adds, `rounds` times in a dozen registers, and does nothing else; how many floating-point operations
/// that was. The rate of it is the peak of one core at `level`.
///
/// # Errors
/// If this processor has not got the level.
pub fn multiply_adds(level: Level, rounds: u64) -> Result<u64, LevelError> {
    let lanes = match Kernels::of(level)?.level() {
        // SAFETY: a level that `Kernels::of` has answered for is one whose features this processor has.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(rounds) },
        _ => plain(rounds),
    };
    Ok(2 * rounds * (SUMS * lanes) as u64)
}

/// Registers of what every processor has; answers how many values one holds, as its siblings do.
fn plain(rounds: u64) -> usize {
    const LANES: usize = 4;
    let (factor, summand) = (black_box(FACTOR), black_box(SUMMAND));
    let mut sums = [[1.0f32; LANES]; SUMS];
    for _ in 0..rounds {
        for sum in sums.as_flattened_mut() {
            // Fused only where that is one instruction of the target itself.
            *sum = if cfg!(target_arch = "aarch64") {
                sum.mul_add(factor, summand)
            } else {
                *sum * factor + summand
            };
        }
    }
    black_box(sums);
    LANES
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    use super::{FACTOR, SUMMAND, SUMS};

    #[target_feature(enable = "avx512f")]
    pub fn avx512(rounds: u64) -> usize {
        let (factor, summand) =
            (_mm512_set1_ps(black_box(FACTOR)), _mm512_set1_ps(black_box(SUMMAND)));
        let mut sums = [_mm512_set1_ps(1.0); SUMS];
        for _ in 0..rounds {
            sums = sums.map(|sum| _mm512_fmadd_ps(sum, factor, summand));
        }
        black_box(sums);
        16
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(rounds: u64) -> usize {
        let (factor, summand) =
            (_mm256_set1_ps(black_box(FACTOR)), _mm256_set1_ps(black_box(SUMMAND)));
        let mut sums = [_mm256_set1_ps(1.0); SUMS];
        for _ in 0..rounds {
            sums = sums.map(|sum| _mm256_fmadd_ps(sum, factor, summand));
        }
        black_box(sums);
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_at_every_level() {
        for (level, lanes) in [(Level::Scalar, 4), (Level::Avx2, 8), (Level::Avx512, 16)] {
            let counted = multiply_adds(level, 1000);
            if level.is_available() {
                assert_eq!(counted, Ok(2 * 1000 * 12 * lanes));
            } else {
                assert!(matches!(counted, Err(LevelError::Unavailable { .. })), "{level}");
            }
        }
    }
}
