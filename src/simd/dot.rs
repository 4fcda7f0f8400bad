//! Products of matrices that both lie row by row: `out[row][col] = bias[col] + left[row] . right[col]`, the forward
//! pass of a linear layer whose weights `[out, in]` stay as they are.
#![allow(unsafe_code)]

use super::plain::Plain;
use super::vector::Vector;

/// A product of rows with rows; see the module.
#[derive(Clone, Copy, Debug)]
pub struct Dot<'a> {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result: rows of `right`.
    pub cols: usize,
    /// Length of the rows that are multiplied.
    pub terms: usize,
    /// A vector per row.
    pub left: &'a [f32],
    /// How far apart they are.
    pub left_row: usize,
    /// `cols x terms` values.
    pub right: &'a [f32],
    /// A start per column.
    pub bias: &'a [f32],
    /// Whether negative results become 0 (a NaN stays).
    pub relu: bool,
    /// How far apart two rows of the result are.
    pub out_row: usize,
}

/// Makes a tile from a row and a column on, the `out` of the whole result being given.
///
/// # Safety
/// As for [`super::product::Tile`].
pub type DotTile = unsafe fn(&Dot<'_>, usize, usize, *mut f32);

/// Most columns of a tile.
pub const DOT_COLS: usize = 5;

impl Dot<'_> {
    fn check(&self, out_len: usize) {
        assert!(self.terms > 0, "a sum without terms");
        let last = |row: usize, len: usize| (self.rows - 1).saturating_mul(row).saturating_add(len);
        assert!(last(self.left_row, self.terms) <= self.left.len(), "rows are missing");
        let columns = self.cols.saturating_mul(self.terms);
        assert!(columns <= self.right.len(), "columns are missing");
        assert!(self.cols <= self.bias.len(), "a bias for some columns only");
        assert!(last(self.out_row, self.cols) <= out_len, "no room for the last row");
    }

    /// Computes the product with tiles of 1, 2, ... rows, each by 1, 2, ... columns.
    pub(super) fn run(&self, tiles: &[[DotTile; DOT_COLS]], out: &mut [f32]) {
        if self.rows == 0 || self.cols == 0 {
            return;
        }
        self.check(out.len());
        let out = out.as_mut_ptr();
        for col in (0..self.cols).step_by(DOT_COLS) {
            let cols = DOT_COLS.min(self.cols - col);
            for row in (0..self.rows).step_by(tiles.len()) {
                let rows = tiles.len().min(self.rows - row);
                // SAFETY: checked above, and the tile ends where the product does; see `Product::run` for the level.
                unsafe { tiles[rows - 1][cols - 1](self, row, col, out) };
            }
        }
    }
}

/// The body of a [`DotTile`] of `R` rows and `C` columns.
///
/// # Safety
/// See [`DotTile`].
#[inline(always)]
pub unsafe fn tile<V: Vector, const R: usize, const C: usize>(
    dot: &Dot<'_>,
    row: usize,
    col: usize,
    out: *mut f32,
) {
    // SAFETY: `check` has seen the ends of all rows, and no load goes beyond `terms` values from the start of one.
    unsafe {
        let left = dot.left.as_ptr().add(row * dot.left_row);
        let right = dot.right.as_ptr().add(col * dot.terms);
        let whole = dot.terms / V::LANES * V::LANES;
        let mut sums = [[V::splat(0.0); C]; R];
        for at in (0..whole).step_by(V::LANES) {
            add(dot, left.add(at), right.add(at), &mut sums);
        }
        let mut rest = [[Plain::<1>::splat(0.0); C]; R];
        for at in whole..dot.terms {
            add(dot, left.add(at), right.add(at), &mut rest);
        }
        for (r, (sums, rest)) in sums.into_iter().zip(rest).enumerate() {
            for (c, (sum, rest)) in sums.into_iter().zip(rest).enumerate() {
                let result = dot.bias[col + c] + (sum.sum() + rest.sum());
                // Not `max`: a NaN must come through.
                let result = if dot.relu && result < 0.0 { 0.0 } else { result };
                *out.add((row + r) * dot.out_row + col + c) = result;
            }
        }
    }
}

/// Adds the products of one register of terms.
#[inline(always)]
unsafe fn add<V: Vector, const R: usize, const C: usize>(
    dot: &Dot<'_>,
    left: *const f32,
    right: *const f32,
    sums: &mut [[V; C]; R],
) {
    // SAFETY: see `tile`.
    unsafe {
        let mut rows = [V::splat(0.0); R];
        for (r, value) in rows.iter_mut().enumerate() {
            *value = V::load(left.add(r * dot.left_row));
        }
        for c in 0..C {
            let factor = V::load(right.add(c * dot.terms));
            for (sums, value) in sums.iter_mut().zip(rows) {
                sums[c] = value.mul_add(factor, sums[c]);
            }
        }
    }
}
