//! The kernels of each level, behind plain function pointers.
#![allow(unsafe_code)]

use super::conv::{self, Convolution, Lanes, Sums, Tile, WeightGradient};
use super::level::{Level, LevelError};

/// The kernels of one level. There is no other way to one than [`Kernels::of`], which asks the processor first.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    tiles: &'static [Tile],
    weight_gradient: fn(&WeightGradient<'_>, &mut [Lanes], &mut Lanes),
}

impl Kernels {
    /// The kernels of `level`.
    ///
    /// # Errors
    /// If this processor has not got the level.
    pub fn of(level: Level) -> Result<&'static Self, LevelError> {
        if !level.is_available() {
            let available = Level::ALL.into_iter().filter(|level| level.is_available()).collect();
            return Err(LevelError::Unavailable { asked: level, available });
        }
        Ok(match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &avx2::KERNELS,
            _ => &SCALAR,
        })
    }

    /// Which level this is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Writes one block of output channels; see [`Convolution`].
    pub fn convolve(&self, convolution: &Convolution<'_>, output: &mut [f32]) {
        conv::convolve(convolution, self.tiles, output);
    }

    /// Adds one block of a weight gradient to `weights` and `bias`; see [`WeightGradient`].
    pub fn weight_gradient(
        &self,
        gradient: &WeightGradient<'_>,
        weights: &mut [Lanes],
        bias: &mut Lanes,
    ) {
        (self.weight_gradient)(gradient, weights, bias);
    }
}

/// Where fused multiply-add is part of the target itself.
const BASELINE_FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

static SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    tiles: &[Tile { pixels: 1, sum: conv::sum::<1, BASELINE_FMA> }],
    weight_gradient: conv::weight_gradient::<1, BASELINE_FMA>,
};

/// One module per level: the bodies of `conv` compiled for `$features`.
#[cfg(target_arch = "x86_64")]
macro_rules! level {
    ($module:ident, $level:expr, $features:literal, pixels: [$($pixels:literal),*], rows: $rows:literal) => {
        mod $module {
            use super::*;

            pub static KERNELS: Kernels = Kernels {
                level: $level,
                tiles: &[$(tile::<$pixels>()),*],
                // SAFETY: this table is private to `Kernels::of`, which hands it out only after it has seen that the
                // processor has every one of `$features`; that is all that a call needs.
                weight_gradient: |gradient, weights, bias| unsafe {
                    weight_gradient(gradient, weights, bias);
                },
            };

            const fn tile<const P: usize>() -> Tile {
                // SAFETY: as above: tiles are reached through the table only.
                Tile { pixels: P, sum: |conv, input, sums| unsafe { sum::<P>(conv, input, sums) } }
            }

            #[target_feature(enable = $features)]
            fn sum<const P: usize>(conv: &Convolution<'_>, input: &[f32], sums: &mut Sums) {
                conv::sum::<P, true>(conv, input, sums);
            }

            #[target_feature(enable = $features)]
            fn weight_gradient(
                gradient: &WeightGradient<'_>,
                weights: &mut [Lanes],
                bias: &mut Lanes,
            ) {
                conv::weight_gradient::<$rows, true>(gradient, weights, bias);
            }
        }
    };
}

// 32 registers of 16 values hold 8 pixels x 32 channels and what they are made of, 16 of 8 values hold 2 x 32. Of a
// weight gradient 6 rows are enough; 7 or 8 came out 40 times slower at opt-level 3 (rustc 1.95), 9 to 12 no faster.
#[cfg(target_arch = "x86_64")]
level!(
    avx512,
    Level::Avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma",
    pixels: [8, 4, 2, 1],
    rows: 6
);
#[cfg(target_arch = "x86_64")]
level!(avx2, Level::Avx2, "avx2,fma", pixels: [2, 1], rows: 2);
