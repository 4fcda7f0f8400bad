//! Matrix products with the factors where they lie, which is all that convolutions, linear layers and their gradients
//! are made of.
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
    pub spread: &'static [Tile],
    /// The same where the left factors of neighbouring rows are neighbours.
    pub adjacent: &'static [Tile],
}

/// The last value that `turns` of loops reach whose steps are given.
fn reach(turns: &[usize], steps: &[usize]) -> usize {
    turns.iter().zip(steps).map(|(turns, step)| (turns - 1) * step).sum()
}

impl Product<'_> {
    /// Whether there is nothing to do, or nothing to sum up.
    ///
    /// # Panics
    /// If anything would be read or written outside of its slice.
    fn check(&self, out_len: usize) {
        let [a, b, c] = self.terms;
        assert!(a * b * c > 0, "a sum without terms");
        let left = reach(&[self.rows, a, b, c], &prepend(self.left_row, self.left.terms));
        assert!(left < self.left.values.len(), "left factors end before the last row");
        let right = reach(&self.terms, &self.right.terms) + self.cols;
        assert!(right <= self.right.values.len(), "right factors end before the last term");
        let last = |row: usize| (self.rows - 1) * row + self.cols;
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
        if self.rows * self.cols == 0 {
            return;
        }
        self.check(out.len());
        let out = out.as_mut_ptr();
        let mut col = 0;
        for tiles in widths {
            let kernels = if self.left_row == 1 { tiles.adjacent } else { tiles.spread };
            while self.cols - col >= tiles.cols {
                let mut row = 0;
                // As few tiles as can be, and those as equal as can be.
                for left in (1..=self.rows.div_ceil(kernels.len())).rev() {
                    let rows = (self.rows - row).div_ceil(left);
                    // SAFETY: checked above; `row + rows` never exceeds the rows, and the loop condition holds the
                    // columns. The tables of a level are only reached through `Kernels`, which has asked the processor.
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
/// # Safety
/// See [`Tile`].
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
        let mut sums = begin::<V, R, G>(product, col, out);
        let ([outer, middle, inner], left_terms, right_terms) =
            (product.terms, product.left.terms, product.right.terms);
        for i in 0..outer {
            for j in 0..middle {
                let mut left = left.add(i * left_terms[0] + j * left_terms[1]);
                let mut right = right.add(i * right_terms[0] + j * right_terms[1]);
                for _ in 0..inner {
                    let factors: [V; G] = load(right);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*left.add(r * left_row));
                        for (sum, factor) in sums.iter_mut().zip(factors) {
                            *sum = value.mul_add(factor, *sum);
                        }
                    }
                    left = left.wrapping_add(left_terms[2]);
                    right = right.wrapping_add(right_terms[2]);
                }
            }
        }
        finish(product, row, col, out, sums);
    }
}

#[inline(always)]
unsafe fn load<V: Vector, const G: usize>(from: *const f32) -> [V; G] {
    // SAFETY: the caller vouches for G registers of values. No closure here or below: one that is not inlined has not
    // got the instructions of the level.
    unsafe {
        let mut values = [V::load(from); G];
        for (g, value) in values.iter_mut().enumerate().skip(1) {
            *value = V::load(from.add(g * V::LANES));
        }
        values
    }
}

/// What the sums of a tile start from.
#[inline(always)]
unsafe fn begin<V: Vector, const R: usize, const G: usize>(
    product: &Product<'_>,
    col: usize,
    out: *const f32,
) -> [[V; G]; R] {
    // SAFETY: see `tile`.
    unsafe {
        match product.start {
            Start::Zero => [[V::splat(0.0); G]; R],
            Start::Bias(bias) => [load(bias.as_ptr().add(col)); R],
            Start::Output => {
                let mut sums = [[V::splat(0.0); G]; R];
                for (r, sums) in sums.iter_mut().enumerate() {
                    *sums = load(out.add(r * product.out_row));
                }
                sums
            }
        }
    }
}

/// Writes a tile.
#[inline(always)]
unsafe fn finish<V: Vector, const R: usize, const G: usize>(
    product: &Product<'_>,
    row: usize,
    col: usize,
    out: *mut f32,
    sums: [[V; G]; R],
) {
    // SAFETY: see `tile`.
    unsafe {
        for (r, sums) in sums.into_iter().enumerate() {
            for (g, mut sum) in sums.into_iter().enumerate() {
                let lane = g * V::LANES;
                if let Some(skip) = product.skip {
                    let skip = skip.values.as_ptr().add((row + r) * skip.row + col + lane);
                    sum = sum.add(V::load(skip));
                }
                if product.relu {
                    sum = sum.relu();
                }
                sum.store(out.add(r * product.out_row + lane));
            }
        }
    }
}
