//! `powersgd`: a matrix as the product of two thin ones (after Vogels et al., NeurIPS'19).
//!
//! Theirs averages both factors over all workers in two all-reduces; here each worker has factors of its own: one step
//! of subspace iteration from those of its last push, so that the same directions are followed from round to round.
//! Error feedback says the rest later.

use super::BLOCK_VALUES;
use crate::rng;
use crate::simd::BlockKernels;

/// Columns of each factor: 1, 2 or 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(u8);

/// The longest column.
const LONGEST: f64 = (f32::MAX / 8.0) as f64;
/// A column whose rest is so much shorter than itself, once what others say is taken out, is rounding.
const DEPENDENT: f64 = 1e-6;

impl Rank {
    /// The least.
    pub const ONE: Self = Self(1);

    /// Columns, if there are so many ranks.
    #[must_use]
    pub const fn new(columns: u16) -> Option<Self> {
        match columns {
            1 | 2 | 4 => Some(Self(columns as u8)),
            _ => None,
        }
    }

    /// Columns of each factor.
    #[must_use]
    pub const fn columns(self) -> usize {
        self.0 as usize
    }
}

/// Matrices of so many rows and columns, row by row, and their factors of so many columns. Of a factor, all that
/// belongs to one row or column of the matrix lies together.
///
/// The factor of the longer side has columns of length 1 at right angles; the other has everything else, and is the
/// more important for it: without the part of a row in the longer factor, only this row is unsaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Rows of the matrix.
    pub rows: usize,
    /// Columns of the matrix.
    pub cols: usize,
    /// Columns of the factors.
    pub rank: usize,
}

impl Form {
    /// The form of a matrix of this shape (all but the outermost dimension are its columns), if there is one: factors
    /// must be smaller than the matrix.
    #[must_use]
    pub fn of(shape: &[usize], rank: Rank) -> Option<Self> {
        let (&rows, rest) = shape.split_first()?;
        let (cols, rank) = (rest.iter().product(), rank.columns());
        let form = Self { rows, cols, rank };
        (!rest.is_empty() && rank * (rows + cols) < rows * cols).then_some(form)
    }

    /// Whether rows are the longer side.
    const fn is_tall(self) -> bool {
        self.rows > self.cols
    }

    /// Values of the factor of the longer side.
    #[must_use]
    pub fn long(self) -> usize {
        self.rows.max(self.cols) * self.rank
    }

    /// Values of the factor of the shorter side.
    #[must_use]
    pub fn short(self) -> usize {
        self.rows.min(self.cols) * self.rank
    }

    /// Blocks of both factors.
    #[must_use]
    pub fn blocks(self) -> usize {
        self.short().div_ceil(BLOCK_VALUES) + self.long().div_ceil(BLOCK_VALUES)
    }

    /// The factors of `matrix`. `short` begins as that of a similar matrix, or as anything: what leads nowhere in it is
    /// replaced. If a column were not finite, or so long that a product might not be, both are 0.
    ///
    /// # Panics
    /// If the slices have other lengths.
    pub fn factor(self, matrix: &[f32], long: &mut [f32], short: &mut [f32]) {
        self.check(matrix, long, short);
        let kernels = BlockKernels::detected();
        let mut directions = columns(short, self.rank);
        for (k, direction) in (0..).zip(&mut directions) {
            if normalise(kernels, direction, 0.0) == 0.0 {
                let mut rng = rng::stream(k, "powersgd", direction.len() as u64);
                direction.iter_mut().for_each(|x| *x = rng::unit(&mut rng) as f32 - 0.5);
                normalise(kernels, direction, 0.0);
            }
        }
        let mut sides = vec![vec![0.0; long.len() / self.rank]; self.rank];
        for (side, direction) in sides.iter_mut().zip(&directions) {
            self.multiply(kernels, matrix, direction, side, !self.is_tall());
        }
        for k in 0..self.rank {
            let (before, rest) = sides.split_at_mut(k);
            let side = &mut rest[0];
            let whole = kernels.squares(side).sqrt();
            // Twice: what the first time leaves of others by rounding may be more than is left of this one.
            for other in before.iter().chain(&*before) {
                let along = kernels.inner(other, side);
                kernels.add_scaled(other, -along as f32, side);
            }
            normalise(kernels, side, whole * DEPENDENT);
        }
        for (direction, side) in directions.iter_mut().zip(&sides) {
            direction.fill(0.0);
            self.multiply(kernels, matrix, side, direction, self.is_tall());
        }
        // Not `>`: a NaN is none either. No sum of products then leaves the range of f32.
        let small = |column: &Vec<f32>| kernels.squares(column).sqrt() <= LONGEST;
        if !sides.iter().chain(&directions).all(small) {
            long.fill(0.0);
            return short.fill(0.0);
        }
        interleave(&sides, long);
        interleave(&directions, short);
    }

    /// Adds the product of two factors to `matrix`.
    ///
    /// # Panics
    /// If the slices have other lengths.
    pub fn expand(self, long: &[f32], short: &[f32], matrix: &mut [f32]) {
        self.check(matrix, long, short);
        let kernels = BlockKernels::detected();
        let (by_row, by_col) = if self.is_tall() { (long, short) } else { (short, long) };
        let by_col = columns(by_col, self.rank);
        for (row, factors) in matrix.chunks_mut(self.cols).zip(by_row.chunks(self.rank)) {
            for (column, factor) in by_col.iter().zip(factors) {
                kernels.add_scaled(column, *factor, row);
            }
        }
    }

    fn check(self, matrix: &[f32], long: &[f32], short: &[f32]) {
        assert_eq!(matrix.len(), self.rows * self.cols, "a matrix of another form");
        assert_eq!((long.len(), short.len()), (self.long(), self.short()), "other factors");
    }

    /// The product of the matrix and a column, or, if `transposed`, of a row and the matrix, added to `out`.
    fn multiply(
        self,
        kernels: &BlockKernels,
        matrix: &[f32],
        by: &[f32],
        out: &mut [f32],
        transposed: bool,
    ) {
        if transposed {
            for (row, factor) in matrix.chunks(self.cols).zip(by) {
                kernels.add_scaled(row, *factor, out);
            }
        } else {
            for (row, out) in matrix.chunks(self.cols).zip(out) {
                *out += kernels.inner(row, by) as f32;
            }
        }
    }
}

/// Divides a column by its length and tells that; if it is not more than `least`, the column becomes 0.
fn normalise(kernels: &BlockKernels, column: &mut [f32], least: f64) -> f64 {
    let len = kernels.squares(column).sqrt();
    if len > least {
        column.iter_mut().for_each(|x| *x = (f64::from(*x) / len) as f32);
        return len;
    }
    column.fill(0.0);
    0.0
}

/// The columns of a factor.
fn columns(factor: &[f32], rank: usize) -> Vec<Vec<f32>> {
    (0..rank).map(|k| factor.iter().copied().skip(k).step_by(rank).collect()).collect()
}

/// The way back of [`columns`].
fn interleave(columns: &[Vec<f32>], factor: &mut [f32]) {
    for (k, column) in columns.iter().enumerate() {
        factor[k..]
            .iter_mut()
            .step_by(columns.len())
            .zip(column)
            .for_each(|(to, from)| *to = *from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [(usize, usize); 6] =
        [(10, 784), (32, 288), (784, 10), (9, 9), (64, 5), (128, 1024)];

    fn noise(seed: u64, len: usize) -> Vec<f32> {
        let mut rng = rng::stream(seed, "noise", 0);
        (0..len).map(|_| rng::unit(&mut rng) as f32 - 0.5).collect()
    }

    fn forms(rank: u16) -> impl Iterator<Item = Form> {
        let rank = Rank::new(rank).unwrap();
        FORMS.iter().filter_map(move |&(rows, cols)| Form::of(&[rows, cols], rank))
    }

    fn said(form: Form, matrix: &[f32], short: &mut [f32]) -> Vec<f32> {
        let mut long = vec![0.0; form.long()];
        form.factor(matrix, &mut long, short);
        let mut said = vec![0.0; matrix.len()];
        form.expand(&long, short, &mut said);
        said
    }

    fn distance(a: &[f32], b: &[f32]) -> f64 {
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        a.iter().zip(b).map(square).sum::<f64>().sqrt()
    }

    fn product(form: Form, seed: u64) -> Vec<f32> {
        let mut matrix = vec![0.0; form.rows * form.cols];
        form.expand(&noise(seed, form.long()), &noise(seed + 1, form.short()), &mut matrix);
        matrix
    }

    #[test]
    fn products_of_as_many_columns_are_exact() {
        for rank in [1, 2, 4] {
            for form in forms(rank) {
                for less in [1, 2, 4].into_iter().filter(|less| *less <= form.rank) {
                    let matrix = product(Form { rank: less, ..form }, 5);
                    let said = said(form, &matrix, &mut vec![0.0; form.short()]);
                    let off = distance(&said, &matrix);
                    let whole = distance(&matrix, &vec![0.0; matrix.len()]);
                    assert!(off < 1e-4 * whole, "{form:?} of {less}: {off} of {whole}");
                }
            }
        }
    }

    #[test]
    fn more_rounds_come_nearer_and_more_columns_say_more() {
        for form in forms(1) {
            let matrix = noise(9, form.rows * form.cols);
            let mut last = f64::MAX;
            for rank in [1, 2, 4] {
                let Some(form) = Form::of(&[form.rows, form.cols], Rank::new(rank).unwrap()) else {
                    continue;
                };
                let mut short = vec![0.0; form.short()];
                let first = distance(&said(form, &matrix, &mut short), &matrix);
                let later = (0..30).map(|_| distance(&said(form, &matrix, &mut short), &matrix));
                let later = later.last().unwrap();
                assert!(later <= first * 1.000_001 && later < last, "{form:?}: {first}, {later}");
                last = later;
            }
        }
    }

    #[test]
    fn without_a_row_of_the_longer_factor_only_that_is_unsaid() {
        for form in forms(2) {
            let matrix = noise(3, form.rows * form.cols);
            let (mut long, mut short) = (vec![0.0; form.long()], vec![0.0; form.short()]);
            form.factor(&matrix, &mut long, &mut short);
            let mut whole = vec![0.0; matrix.len()];
            form.expand(&long, &short, &mut whole);
            long[4 * 2..][..2].fill(0.0);
            let mut holed = vec![0.0; matrix.len()];
            form.expand(&long, &short, &mut holed);
            for (i, (holed, whole)) in holed.into_iter().zip(whole).enumerate() {
                let (row, col) = (i / form.cols, i % form.cols);
                let lost = if form.is_tall() { row == 4 } else { col == 4 };
                assert_eq!(holed, if lost { 0.0 } else { whole });
            }
        }
    }

    #[test]
    fn nothing_and_far_too_much_have_factors_of_nothing() {
        for form in forms(2) {
            for value in [0.0, f32::MAX, -f32::MAX] {
                let mut short = noise(1, form.short());
                let matrix = vec![value; form.rows * form.cols];
                let said = said(form, &matrix, &mut short);
                assert!(said.iter().chain(&short).all(|x| x.is_finite()), "{form:?} of {value}");
            }
            let tiny = vec![f32::from_bits(1); form.rows * form.cols];
            assert!(said(form, &tiny, &mut vec![0.0; form.short()]).iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn small_matrices_and_vectors_have_no_factors() {
        let form = |shape: &[usize], rank| Form::of(shape, Rank::new(rank).unwrap()).is_some();
        assert!(form(&[10, 784], 4) && form(&[32, 32, 3, 3], 4) && form(&[3, 3], 1));
        assert!(!form(&[2, 2], 1) && !form(&[784], 1) && !form(&[1, 784], 1) && !form(&[], 1));
        assert!(!form(&[8, 8], 4) && form(&[8, 9], 4));
        assert_eq!([0, 3, 5, 99, 256, 257].map(Rank::new), [None; 6]);
    }
}
