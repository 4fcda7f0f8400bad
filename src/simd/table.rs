//! The kernels of each level, behind plain function pointers.
#![allow(unsafe_code)]

use super::conv::{self, Convolution, Lanes, RowTile, Tile, WeightGradient};
use super::level::{Level, LevelError};

/// The kernels of one level. There is no other way to one than [`Kernels::of`], which asks the processor first.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    tiles: &'static [Tile],
    row_tiles: &'static [RowTile],
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
            Level::Avx512 => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &AVX2,
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
        conv::weight_gradient(gradient, self.row_tiles, weights, bias);
    }
}

/// Where fused multiply-add is part of the target itself.
const BASELINE_FMA: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

static SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    tiles: &[Tile { pixels: 1, sum: conv::sum::<1, BASELINE_FMA> }],
    row_tiles: &[RowTile { rows: 1, add: conv::add_rows::<1, BASELINE_FMA> }],
};

/// The table of a level out of the kernels of a module.
#[cfg(target_arch = "x86_64")]
macro_rules! level {
    ($name:ident, $level:expr, $module:ident, pixels: [$($pixels:literal),*], rows: [$($rows:literal),*]) => {
        static $name: Kernels = Kernels {
            level: $level,
            tiles: &[$(Tile {
                pixels: $pixels,
                // SAFETY: the tables are private to `Kernels::of`, which hands one out only after it has seen that the
                // processor has every feature of the level; that is all that a call of its kernels needs.
                sum: |conv, input, sums| unsafe {
                    super::$module::sum::<$pixels>(conv, input, sums)
                },
            }),*],
            row_tiles: &[$(RowTile {
                rows: $rows,
                // SAFETY: as above.
                add: |band, at, weights| unsafe {
                    super::$module::add_rows::<$rows>(band, at, weights)
                },
            }),*],
        };
    };
}

// 32 registers of 16 values hold 8 pixels (or rows) x 32 channels and what they are made of, 16 of 8 hold 2 x 32.
#[cfg(target_arch = "x86_64")]
level!(AVX512, Level::Avx512, avx512, pixels: [8, 4, 2, 1], rows: [8, 4, 2, 1]);
#[cfg(target_arch = "x86_64")]
level!(AVX2, Level::Avx2, avx2, pixels: [2, 1], rows: [2, 1]);
