//! Matrix products with the factors where they lie: convolutions, the gradients of linear layers, and what lies between
//! the transforms of Winograd.
//!
//! Each is `out[row][col] = start + sum over terms t of left[row][t] * right[t][col]`, the columns of `right` and `out`
//! side by side. A tile of it stays in registers; which terms there are and where their factors lie is said by three
//! nested loops.
#![allow(unsafe_code)]

use super::vector::Vector;

/// Where the factors of a product lie on one side.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a> {
    /// The values, from the first one on that is used.
    pub values: &'a [f32],
    /// How far apart two terms are that follow each other in each of the three loops, the innermost last.
    pub terms: [usize; 3],
}

/// What a sum starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// A bias per column.
    Bias(&'a [f32]),
    /// What the output holds already.
    Output,
}

impl Start<'_> {
    /// For a sum in several steps: nothing before the first one, what there is after it.
    #[must_use]
    pub const fn after(first: bool) -> Self {
        if first { Self::Zero } else { Self::Output }
    }
}

/// A matrix to be added to the result.
#[derive(Clone, Copy, Debug)]
pub struct Skip<'a> {
    /// The values, from the first one on that is used.
    pub values: &'a [f32],
    /// From row to row.
    pub row: usize,
}

/// A product of matrices; see the module.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub cols: usize,
    /// Turns of the three loops over the terms, the innermost last.
    pub terms: [usize; 3],
    /// One value per row and term.
    pub left: Factor<'a>,
    /// How far apart the left factors of two rows are.
    pub left_row: usize,
    /// `cols` values per term.
    pub right: Factor<'a>,
    /// How far apart two rows of the result are.
    pub out_row: usize,
    /// What the sums start from.
    pub start: Start<'a>,
    /// What is added to the sums.
    pub skip: Option<Skip<'a>>,
    /// Whether negative results become 0 (a NaN stays).
    pub relu: bool,
}

/// Makes a tile, the `out` of the whole result being given; its first row and column come before that.
///
/// # Safety
/// The product has passed [`Product::check`] with the length of `out`, the tile lies inside of it, and the processor
/// has the instructions of the tile's level.
pub type Tile = unsafe fn(&Product<'_>, usize, usize, *mut f32);

/// The tiles of a level that are so many columns wide.
#[derive(Debug)]
pub struct Tiles {
    /// Columns.
    pub cols: usize,
    /// Tiles of 1, 2, 3, ... rows whose left factors may be anywhere.
    pub apart: &'static [Tile],
    /// The same where the left factors of neighbouring rows are neighbours.
    pub adjacent: &'static [Tile],
}

/// The last value that `turns` of loops reach whose steps are given; where that is no number, one beyond all slices.
fn reach(turns: &[usize], steps: &[usize]) -> usize {
    let last = turns.iter().zip(steps).map(|(turns, step)| (turns - 1).saturating_mul(*step));
    last.fold(0, usize::saturating_add)
}

impl Product<'_> {
    /// Refuses what would leave its slices. Rows and columns are above 0.
    fn check(&self, out_len: usize) {
        let [a, b, c] = self.terms;
        assert!(a > 0 && b > 0 && c > 0, "a sum without terms");
        let left = reach(&[self.rows, a, b, c], &prepend(self.left_row, self.left.terms));
        assert!(left < self.left.values.len(), "left factors end before the last row");
        let right = reach(&self.terms, &self.right.terms).saturating_add(self.cols);
        assert!(right <= self.right.values.len(), "right factors end before the last term");
        let last = |row: usize| reach(&[self.rows], &[row]).saturating_add(self.cols);
        assert!(last(self.out_row) <= out_len, "no room for the last row");
        if let Start::Bias(bias) = self.start {
            assert!(self.cols <= bias.len(), "a bias for some columns only");
        }
        if let Some(skip) = self.skip {
            assert!(last(skip.row) <= skip.values.len(), "rows to be added are missing");
        }
    }

    /// Computes the product tile by tile; `widths` are sorted from wide to one column.
    pub(super) fn run(&self, widths: &[Tiles], out: &mut [f32]) {
        if self.rows == 0 || self.cols == 0 {
            return;
        }
        self.check(out.len());
        let out = out.as_mut_ptr();
        let mut col = 0;
        for tiles in widths {
            let kernels = if self.left_row == 1 { tiles.adjacent } else { tiles.apart };
            while self.cols - col >= tiles.cols {
                // As few tiles as can be, and those as equal as can be.
                let count = self.rows.div_ceil(kernels.len());
                let (least, larger) = (self.rows / count, self.rows % count);
                let mut row = 0;
                for i in 0..count {
                    let rows = least + usize::from(i < larger);
                    // SAFETY: checked above; the rows of all tiles are those of the product, and the loop condition
                    // holds the columns. Tables are only reached through `Kernels`, which has asked the processor.
                    unsafe { kernels[rows - 1](self, row, col, out) };
                    row += rows;
                }
                col += tiles.cols;
            }
        }
    }
}

const fn prepend(first: usize, rest: [usize; 3]) -> [usize; 4] {
    [first, rest[0], rest[1], rest[2]]
}

/// The body of a [`Tile`] of `R` rows and `G` registers.
///
/// Its loops over rows and registers count, and nothing else: those the compiler unrolls before it decides what stays
/// in registers. With iterators, or closures, sums go through memory in one build and not in another.
///
/// # Safety
/// See [`Tile`].
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub unsafe fn tile<V: Vector, const R: usize, const G: usize, const ADJACENT: bool>(
    product: &Product<'_>,
    row: usize,
    col: usize,
    out: *mut f32,
) {
    // SAFETY: `check` has seen the last value that any of these pointers comes to.
    unsafe {
        let left_row = if ADJACENT { 1 } else { product.left_row };
        let left = product.left.values.as_ptr().add(row * left_row);
        let right = product.right.values.as_ptr().add(col);
        let out = out.add(row * product.out_row + col);
        let mut sums = [[V::splat(0.0); G]; R];
        match product.start {
            Start::Zero => {}
            Start::Bias(bias) => {
                for g in 0..G {
                    let bias = V::load(bias.as_ptr().add(col + g * V::LANES));
                    for r in 0..R {
                        sums[r][g] = bias;
                    }
                }
            }
            Start::Output => {
                for r in 0..R {
                    for g in 0..G {
                        sums[r][g] = V::load(out.add(r * product.out_row + g * V::LANES));
                    }
                }
            }
        }
        let ([outer, middle, inner], left_terms, right_terms) =
            (product.terms, product.left.terms, product.right.terms);
        for i in 0..outer {
            for j in 0..middle {
                let mut left = left.add(i * left_terms[0] + j * left_terms[1]);
                let mut right = right.add(i * right_terms[0] + j * right_terms[1]);
                for _ in 0..inner {
                    let mut factors = [V::splat(0.0); G];
                    for g in 0..G {
                        factors[g] = V::load(right.add(g * V::LANES));
                    }
                    for r in 0..R {
                        let value = V::splat(*left.add(r * left_row));
                        for g in 0..G {
                            sums[r][g] = value.mul_add(factors[g], sums[r][g]);
                        }
                    }
                    left = left.wrapping_add(left_terms[2]);
                    right = right.wrapping_add(right_terms[2]);
                }
            }
        }
        if let Some(skip) = product.skip {
            let skip_row = skip.row;
            let skip = skip.values.as_ptr().add(row * skip_row + col);
            for r in 0..R {
                for g in 0..G {
                    sums[r][g] = sums[r][g].add(V::load(skip.add(r * skip_row + g * V::LANES)));
                }
            }
        }
        if product.relu {
            for r in 0..R {
                for g in 0..G {
                    sums[r][g] = sums[r][g].relu();
                }
            }
        }
        for r in 0..R {
            for g in 0..G {
                sums[r][g].store(out.add(r * product.out_row + g * V::LANES));
            }
        }
    }
}
