//! The kernels of each level, behind plain function pointers.
#![allow(unsafe_code)]

use super::dot::{self, DOT_COLS, Dot, DotTile};
use super::level::{Level, LevelError, of_level};
use super::peak;
use super::plain::Plain;
use super::pointwise;
use super::pool::{self, PoolRow};
use super::product::{self, Product, Tiles};
use super::winograd::{self, Finish, PLACES, Spread, TileRow};

/// The kernels of one level. There is no other way to one than [`Kernels::of`], which asks the processor first: that,
/// and the checks below, is all that a call of an `unsafe fn` in here needs.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    products: &'static [Tiles],
    dots: &'static [[DotTile; DOT_COLS]],
    input: unsafe fn(&TileRow, &[f32], &mut [f32]),
    output: unsafe fn(&TileRow, &[f32], &Finish<'_>, &mut [f32]),
    delta: unsafe fn(&TileRow, &[f32], &mut [f32], &mut [f32]),
    spread: unsafe fn(&TileRow, &[f32], &Spread, &mut [f32]),
    weights: unsafe fn(usize, &[f32], &mut [f32]),
    taps: unsafe fn(usize, &[f32], &mut [f32]),
    gate: unsafe fn(&mut [f32], &[f32]),
    add: unsafe fn(&mut [f32], &[f32]),
    pool: unsafe fn(&PoolRow, &[f32], &mut [f32], &mut [u8]),
    award: unsafe fn(&PoolRow, &[f32], &[u8], &mut [f32]),
    multiply_adds: unsafe fn(u64) -> u64,
}

impl Kernels {
    /// The kernels of `level`.
    ///
    /// # Errors
    /// If this processor has not got the level.
    pub fn of(level: Level) -> Result<&'static Self, LevelError> {
        of_level!(level)
    }

    /// Which level this is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Computes a [`Product`].
    ///
    /// # Panics
    /// If anything would be read or written outside of its slice. So do the others.
    pub fn product(&self, product: &Product<'_>, out: &mut [f32]) {
        product.run(self.products, out);
    }

    /// Computes a [`Dot`].
    pub fn dot(&self, dot: &Dot<'_>, out: &mut [f32]) {
        dot.run(self.dots, out);
    }

    /// Transforms the pixels under a row of tiles: `V = B'xB`.
    pub fn winograd_input(&self, at: &TileRow, pixels: &[f32], tiles: &mut [f32]) {
        at.check_input(pixels, tiles);
        // SAFETY: checked; see `Kernels` for the level, here and below.
        unsafe { (self.input)(at, pixels, tiles) }
    }

    /// Transforms a row of tiles into pixels, and finishes them: `y = A'MA`.
    pub fn winograd_output(
        &self,
        at: &TileRow,
        tiles: &[f32],
        finish: &Finish<'_>,
        out: &mut [f32],
    ) {
        at.check_output(tiles, finish, out);
        // SAFETY: checked.
        unsafe { (self.output)(at, tiles, finish, out) }
    }

    /// Transforms the gradient of a row of tiles' pixels, and adds it to that of the bias: `D = A dy A'`.
    pub fn winograd_delta(
        &self,
        at: &TileRow,
        pixels: &[f32],
        tiles: &mut [f32],
        bias: &mut [f32],
    ) {
        at.check_delta(pixels, tiles, bias);
        // SAFETY: checked.
        unsafe { (self.delta)(at, pixels, tiles, bias) }
    }

    /// Transforms a row of tiles into the gradient of the pixels that they were made of: `dx = B E B'`.
    pub fn winograd_spread(&self, at: &TileRow, tiles: &[f32], spread: &Spread, out: &mut [f32]) {
        at.check_spread(tiles, spread, out);
        // SAFETY: checked.
        unsafe { (self.spread)(at, tiles, spread, out) }
    }

    /// Transforms 3x3 weights, a tap after the other: `U = GwG'`.
    pub fn winograd_weights(&self, taps: &[f32], out: &mut [f32]) {
        let n = whole(taps, 9);
        assert_eq!(out.len(), PLACES * n, "room for the weights");
        // SAFETY: checked.
        unsafe { (self.weights)(n, taps, out) }
    }

    /// The way back of [`winograd_weights`](Self::winograd_weights), for a gradient: `dw = G'dU G`.
    pub fn winograd_taps(&self, matrices: &[f32], out: &mut [f32]) {
        let n = whole(matrices, PLACES);
        assert_eq!(out.len(), 9 * n, "room for the taps");
        // SAFETY: checked.
        unsafe { (self.taps)(n, matrices, out) }
    }

    /// Multiplies and adds for so many rounds and does nothing else; how many floating-point operations that was. Their
    /// rate is the peak of a core at this level.
    #[must_use]
    pub fn multiply_adds(&self, rounds: u64) -> u64 {
        // SAFETY: asks for nothing but the level.
        unsafe { (self.multiply_adds)(rounds) }
    }

    /// Sets `deltas` to 0 where `values` are not positive. A NaN lets its gradient through.
    pub fn gate(&self, deltas: &mut [f32], values: &[f32]) {
        assert_eq!(deltas.len(), values.len(), "gradients of other values");
        // SAFETY: the loops of `pointwise` and `pool` check for themselves.
        unsafe { (self.gate)(deltas, values) }
    }

    /// Adds `source` to `target`.
    pub fn add(&self, target: &mut [f32], source: &[f32]) {
        assert_eq!(target.len(), source.len(), "values to be added are missing");
        // SAFETY: as above.
        unsafe { (self.add)(target, source) }
    }

    /// Finds the maximum of every window and which place it is from: of equal values the first, a NaN before all.
    pub fn pool(&self, at: &PoolRow, values: &[f32], maxima: &mut [f32], winners: &mut [u8]) {
        // SAFETY: as above.
        unsafe { (self.pool)(at, values, maxima, winners) }
    }

    /// Gives the gradient of every maximum to the value that won, 0 to the others of its window.
    pub fn award(&self, at: &PoolRow, deltas: &[f32], winners: &[u8], targets: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.award)(at, deltas, winners, targets) }
    }
}

/// The length of each of `count` blocks that `values` is made of.
fn whole(values: &[f32], count: usize) -> usize {
    let n = values.len() / count;
    assert!(
        n * count == values.len() && n.is_multiple_of(super::BLOCK),
        "a block of weights is cut"
    );
    n
}

/// The table of a level: `tile` registers of `$vector` side by side are a tile of a product, which has as many rows as
/// there are `rows`; a tile of dots has as many as there are `dots`.
macro_rules! level {
    (
        $name:ident, $module:ident, $level:expr, $vector:ty, $(#[$features:meta])*
        tile: $tile:literal, rows: [$($rows:literal),*], dots: [$($dots:literal),*]
    ) => {
        static $name: Kernels = Kernels {
            level: $level,
            products: &[
                Tiles {
                    cols: $tile * <$vector as super::vector::Vector>::LANES,
                    apart: &[$($module::tile::<$rows, $tile, false>),*],
                    adjacent: &[$($module::tile::<$rows, $tile, true>),*],
                },
                Tiles {
                    cols: <$vector as super::vector::Vector>::LANES,
                    apart: &[$($module::tile::<$rows, 1, false>),*],
                    adjacent: &[$($module::tile::<$rows, 1, true>),*],
                },
                Tiles {
                    cols: 1,
                    apart: &[$module::column],
                    adjacent: &[$module::column],
                },
            ],
            dots: &[$([
                $module::dot::<$dots, 1>,
                $module::dot::<$dots, 2>,
                $module::dot::<$dots, 3>,
                $module::dot::<$dots, 4>,
                $module::dot::<$dots, 5>,
            ]),*],
            input: $module::input,
            output: $module::output,
            delta: $module::delta,
            spread: $module::spread,
            weights: $module::weights,
            taps: $module::taps,
            gate: $module::gate,
            add: $module::add,
            pool: $module::pool,
            award: $module::award,
            multiply_adds: $module::multiply_adds,
        };

        /// The generic kernels, compiled for the level. Each passes on to its caller what it asks for itself.
        #[allow(clippy::undocumented_unsafe_blocks)]
        mod $module {
            use super::*;

            $(#[$features])*
            pub unsafe fn tile<const R: usize, const G: usize, const ADJACENT: bool>(
                product: &Product<'_>,
                row: usize,
                col: usize,
                out: *mut f32,
            ) {
                unsafe { product::tile::<$vector, R, G, ADJACENT>(product, row, col, out) }
            }

            $(#[$features])*
            pub unsafe fn column(product: &Product<'_>, row: usize, col: usize, out: *mut f32) {
                unsafe { product::tile::<Plain<1>, 1, 1, false>(product, row, col, out) }
            }

            $(#[$features])*
            pub unsafe fn dot<const R: usize, const C: usize>(
                dot: &Dot<'_>,
                row: usize,
                col: usize,
                out: *mut f32,
            ) {
                unsafe { dot::tile::<$vector, R, C>(dot, row, col, out) }
            }

            $(#[$features])*
            pub unsafe fn input(at: &TileRow, pixels: &[f32], tiles: &mut [f32]) {
                unsafe { winograd::input::<$vector>(at, pixels, tiles) }
            }

            $(#[$features])*
            pub unsafe fn output(
                at: &TileRow,
                tiles: &[f32],
                finish: &Finish<'_>,
                out: &mut [f32],
            ) {
                unsafe { winograd::output::<$vector>(at, tiles, finish, out) }
            }

            $(#[$features])*
            pub unsafe fn delta(
                at: &TileRow,
                pixels: &[f32],
                tiles: &mut [f32],
                bias: &mut [f32],
            ) {
                unsafe { winograd::delta::<$vector>(at, pixels, tiles, bias) }
            }

            $(#[$features])*
            pub unsafe fn spread(at: &TileRow, tiles: &[f32], spread: &Spread, out: &mut [f32]) {
                unsafe { winograd::spread::<$vector>(at, tiles, spread, out) }
            }

            $(#[$features])*
            pub unsafe fn weights(n: usize, taps: &[f32], out: &mut [f32]) {
                unsafe { winograd::weights::<$vector>(n, taps, out) }
            }

            $(#[$features])*
            pub unsafe fn taps(n: usize, matrices: &[f32], out: &mut [f32]) {
                unsafe { winograd::taps::<$vector>(n, matrices, out) }
            }

            $(#[$features])*
            pub unsafe fn gate(deltas: &mut [f32], values: &[f32]) {
                pointwise::gate(deltas, values);
            }

            $(#[$features])*
            pub unsafe fn add(target: &mut [f32], source: &[f32]) {
                pointwise::add(target, source);
            }

            $(#[$features])*
            pub unsafe fn pool(
                at: &PoolRow,
                values: &[f32],
                maxima: &mut [f32],
                winners: &mut [u8],
            ) {
                pool::pool(at, values, maxima, winners);
            }

            $(#[$features])*
            pub unsafe fn award(at: &PoolRow, deltas: &[f32], winners: &[u8], targets: &mut [f32]) {
                pool::award(at, deltas, winners, targets);
            }

            /// What the largest tile keeps in registers: sums enough for every unit to have a next one to work on.
            const SUMS: usize = {
                let rows = [$($rows),*];
                $tile * rows[rows.len() - 1]
            };

            $(#[$features])*
            pub unsafe fn multiply_adds(rounds: u64) -> u64 {
                unsafe { peak::multiply_adds::<$vector, SUMS>(rounds) }
            }
        }
    };
}

level!(
    SCALAR, scalar, Level::Scalar, Plain<16>,
    tile: 2, rows: [1], dots: [1]
);

// 32 registers hold 13 x 2 sums, what they are made of, and a few to spare.
#[cfg(target_arch = "x86_64")]
level!(
    AVX512, avx512, Level::Avx512, std::arch::x86_64::__m512,
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    tile: 2, rows: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], dots: [1, 2, 3, 4]
);

// 16 registers.
#[cfg(target_arch = "x86_64")]
level!(
    AVX2, avx2, Level::Avx2, std::arch::x86_64::__m256,
    #[target_feature(enable = "avx2,fma,f16c")]
    tile: 2, rows: [1, 2, 3, 4, 5, 6], dots: [1, 2]
);

// 32 registers of four values: 6 x 4 sums, four factors that they share, and what those are multiplied by.
#[cfg(target_arch = "aarch64")]
level!(
    NEON, neon, Level::Neon, std::arch::aarch64::float32x4_t,
    #[target_feature(enable = "neon")]
    tile: 4, rows: [1, 2, 3, 4, 5, 6], dots: [1, 2, 3, 4]
);
