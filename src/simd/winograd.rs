//! The transforms of Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray 2016, section 4.1), forth and back.
//!
//! A 3x3 convolution at stride 1 makes 2x2 pixels out of 4x4; in between lie 16 products instead of 36. Tiles of 4x4
//! overlap by two pixels. Transformed tiles lie as 16 matrices `[tile][channel]`, so that the products are 16 products
//! of matrices:
//!
//! ```text
//! forth   V = B'xB    U = GwG'    M = V U     y = A'MA
//! back    D = A dy A'             dU = V'D    dw = G'dU G    E = D U'    dx = B E B'
//! ```
#![allow(unsafe_code)]

use super::vector::Vector;

/// Places of a transformed tile, and matrices of products.
pub const PLACES: usize = 16;

/// Distance in values between pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strides {
    /// From a pixel to the one below it.
    pub row: usize,
    /// From a pixel to the one right of it.
    pub col: usize,
}

/// A row of tiles side by side.
#[derive(Clone, Copy, Debug)]
pub struct TileRow {
    /// How many.
    pub tiles: usize,
    /// Values of a pixel: a multiple of [`super::BLOCK`].
    pub depth: usize,
    /// Where the pixels lie.
    pub pixels: Strides,
    /// From one of the 16 matrices to the next.
    pub plane: usize,
}

/// What becomes of the pixels of a row of tiles on their way out.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Added to every pixel.
    pub bias: &'a [f32],
    /// Pixels to be added.
    pub skip: Option<(&'a [f32], Strides)>,
    /// Whether negative results become 0 (a NaN stays).
    pub relu: bool,
    /// How many of the two rows there are.
    pub rows: usize,
    /// How many pixels a row has: that of an odd one's last tile is cut in two.
    pub cols: usize,
}

/// Where the pixels that a row of tiles was made of take their gradient.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// How many of the first of the four rows are beyond the edge, and of the first columns.
    pub beyond: (usize, usize),
    /// Rows that there are, from the first one inside on.
    pub rows: usize,
    /// Columns that there are.
    pub cols: usize,
    /// Of the four rows, those before this one are added to, the others are written.
    pub added: usize,
}

impl TileRow {
    fn check_tiles(&self, len: usize) {
        let blocks = self.depth > 0 && self.depth.is_multiple_of(super::BLOCK);
        assert!(blocks, "pixels of {} values, which are no whole blocks", self.depth);
        let row = self.tiles.saturating_mul(self.depth);
        assert!((1..=self.plane).contains(&row), "no tiles, or matrices that overlap");
        let last = (PLACES - 1).saturating_mul(self.plane).saturating_add(row);
        assert!(last <= len, "tiles are missing");
    }

    fn check_pixels(&self, rows: usize, cols: usize, len: usize) {
        assert!(rows > 0 && cols > 0, "no pixels");
        let Strides { row, col } = self.pixels;
        let last = (rows - 1).saturating_mul(row).saturating_add((cols - 1).saturating_mul(col));
        assert!(last.saturating_add(self.depth) <= len, "pixels are missing");
    }

    /// For [`input`].
    pub(super) fn check_input(&self, pixels: &[f32], tiles: &[f32]) {
        self.check_tiles(tiles.len());
        self.check_pixels(4, 2 * self.tiles + 2, pixels.len());
    }

    /// For [`output`].
    pub(super) fn check_output(&self, tiles: &[f32], finish: &Finish<'_>, out: &[f32]) {
        let Finish { bias, skip, rows, cols, .. } = *finish;
        assert!((1..=2).contains(&rows) && cols.div_ceil(2) == self.tiles, "pixels of other tiles");
        assert!(self.depth <= bias.len(), "a bias for some channels only");
        self.check_tiles(tiles.len());
        self.check_pixels(rows, cols, out.len());
        if let Some((skip, strides)) = skip {
            Self { pixels: strides, ..*self }.check_pixels(rows, cols, skip.len());
        }
    }

    /// For [`delta`].
    pub(super) fn check_delta(&self, pixels: &[f32], tiles: &[f32], bias: &[f32]) {
        self.check_tiles(tiles.len());
        self.check_pixels(2, 2 * self.tiles, pixels.len());
        assert!(self.depth <= bias.len(), "a bias for some channels only");
    }

    /// For [`spread`].
    pub(super) fn check_spread(&self, tiles: &[f32], spread: &Spread, out: &[f32]) {
        self.check_tiles(tiles.len());
        self.check_pixels(spread.rows, spread.cols, out.len());
    }
}

/// `[a - c, b + c, c - b, b - d]`: `B'` on four values.
#[inline(always)]
unsafe fn sixteenth<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 4] {
    // SAFETY: the caller vouches for the level.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// A column of four values, `row` apart.
#[inline(always)]
unsafe fn column<V: Vector>(from: *const f32, row: usize) -> [V; 4] {
    // SAFETY: the caller vouches for four registers.
    unsafe {
        [
            V::load(from),
            V::load(from.add(row)),
            V::load(from.add(2 * row)),
            V::load(from.add(3 * row)),
        ]
    }
}

/// `V = B'xB` for the tiles over four rows of pixels.
///
/// # Safety
/// `check_input` has passed, and the processor has the level of `V`.
#[inline(always)]
pub unsafe fn input<V: Vector>(at: &TileRow, pixels: &[f32], tiles: &mut [f32]) {
    // SAFETY: `check_input` has seen the last pixel and the last tile.
    unsafe {
        for channel in (0..at.depth).step_by(V::LANES) {
            let mut from = pixels.as_ptr().add(channel);
            let mut to = tiles.as_mut_ptr().add(channel);
            let mut before = [
                sixteenth(column::<V>(from, at.pixels.row)),
                sixteenth(column::<V>(from.add(at.pixels.col), at.pixels.row)),
            ];
            for _ in 0..at.tiles {
                from = from.add(2 * at.pixels.col);
                let after = [
                    sixteenth(column::<V>(from, at.pixels.row)),
                    sixteenth(column::<V>(from.add(at.pixels.col), at.pixels.row)),
                ];
                for i in 0..4 {
                    let places = sixteenth([before[0][i], before[1][i], after[0][i], after[1][i]]);
                    for (j, place) in places.into_iter().enumerate() {
                        place.store(to.add((4 * i + j) * at.plane));
                    }
                }
                before = after;
                to = to.add(at.depth);
            }
        }
    }
}

/// `y = A'MA`, finished, for a row of tiles.
///
/// # Safety
/// `check_output` has passed, and the processor has the level of `V`.
#[inline(always)]
pub unsafe fn output<V: Vector>(at: &TileRow, tiles: &[f32], finish: &Finish<'_>, out: &mut [f32]) {
    // SAFETY: `check_output` has seen the last tile and the last pixel of each slice; pixels beyond `rows` and `cols`
    // are left out.
    unsafe {
        for tile in 0..at.tiles {
            let cols = (finish.cols - 2 * tile).min(2);
            for channel in (0..at.depth).step_by(V::LANES) {
                let from = tiles.as_ptr().add(tile * at.depth + channel);
                let mut halves = [[V::splat(0.0); 4]; 2];
                let [above, below] = &mut halves;
                for (j, (above, below)) in above.iter_mut().zip(below).enumerate() {
                    let [a, b, c, d] = column::<V>(from.add(j * at.plane), 4 * at.plane);
                    *above = a.add(b).add(c);
                    *below = b.sub(c).sub(d);
                }
                let bias = V::load(finish.bias.as_ptr().add(channel));
                for (i, [a, b, c, d]) in halves.into_iter().enumerate().take(finish.rows) {
                    let pair = [a.add(b).add(c), b.sub(c).sub(d)];
                    for (j, value) in pair.into_iter().enumerate().take(cols) {
                        let pixel = (2 * tile + j) * at.pixels.col + channel;
                        let mut value = value.add(bias);
                        if let Some((skip, Strides { row, col })) = finish.skip {
                            let skip = skip.as_ptr().add(i * row + (2 * tile + j) * col + channel);
                            value = value.add(V::load(skip));
                        }
                        if finish.relu {
                            value = value.relu();
                        }
                        value.store(out.as_mut_ptr().add(i * at.pixels.row + pixel));
                    }
                }
            }
        }
    }
}

/// `D = A dy A'` for the tiles under two rows of gradients; adds the sum of these to `bias`.
///
/// # Safety
/// `check_delta` has passed, and the processor has the level of `V`.
#[inline(always)]
pub unsafe fn delta<V: Vector>(at: &TileRow, pixels: &[f32], tiles: &mut [f32], bias: &mut [f32]) {
    // SAFETY: `check_delta` has seen the last pixel, the last tile and the last channel.
    unsafe {
        for channel in (0..at.depth).step_by(V::LANES) {
            // A sum of its own for each row: adding few values to many loses digits.
            let mut sum = V::splat(0.0);
            for tile in 0..at.tiles {
                let from = pixels.as_ptr().add(2 * tile * at.pixels.col + channel);
                let [a, b] = [V::load(from), V::load(from.add(at.pixels.col))];
                let [c, d] = [
                    V::load(from.add(at.pixels.row)),
                    V::load(from.add(at.pixels.row + at.pixels.col)),
                ];
                let zero = V::splat(0.0);
                let rows = [
                    [a, b],
                    [a.add(c), b.add(d)],
                    [a.sub(c), b.sub(d)],
                    [zero.sub(c), zero.sub(d)],
                ];
                let to = tiles.as_mut_ptr().add(tile * at.depth + channel);
                for (i, [left, right]) in rows.into_iter().enumerate() {
                    let all = left.add(right);
                    if i == 1 {
                        sum = sum.add(all);
                    }
                    let to = to.add(4 * i * at.plane);
                    left.store(to);
                    all.store(to.add(at.plane));
                    left.sub(right).store(to.add(2 * at.plane));
                    zero.sub(right).store(to.add(3 * at.plane));
                }
            }
            let bias = bias.as_mut_ptr().add(channel);
            V::load(bias).add(sum).store(bias);
        }
    }
}

/// `[a, b - c + d, b + c - a, -d]`: `B` on four values.
#[inline(always)]
unsafe fn fourth<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 4] {
    // SAFETY: the caller vouches for the level.
    unsafe { [a, b.sub(c).add(d), b.add(c).sub(a), V::splat(0.0).sub(d)] }
}

/// `dx = B E B'`, where tiles overlap the sum, put down at the pixels that the tiles were made of.
///
/// # Safety
/// `check_spread` has passed, and the processor has the level of `V`.
#[inline(always)]
pub unsafe fn spread<V: Vector>(at: &TileRow, tiles: &[f32], spread: &Spread, out: &mut [f32]) {
    let Spread { beyond: (above, before), rows, cols, added } = *spread;
    // SAFETY: `check_spread` has seen the last tile, and the last pixel of `rows` and `cols`; others are left out.
    unsafe {
        for channel in (0..at.depth).step_by(V::LANES) {
            let out = out.as_mut_ptr().add(channel);
            let mut carried = [[V::splat(0.0); 2]; 4];
            for tile in 0..=at.tiles {
                let mut pixels = [[V::splat(0.0); 4]; 4];
                if tile < at.tiles {
                    let from = tiles.as_ptr().add(tile * at.depth + channel);
                    let mut halves = [[V::splat(0.0); 4]; 4];
                    for j in 0..4 {
                        let column = fourth(column::<V>(from.add(j * at.plane), 4 * at.plane));
                        for (half, value) in halves.iter_mut().zip(column) {
                            half[j] = value;
                        }
                    }
                    for (pixels, half) in pixels.iter_mut().zip(halves) {
                        *pixels = fourth(half);
                    }
                }
                for j in 0..2 {
                    let col = (2 * tile + j).wrapping_sub(before);
                    if col >= cols {
                        continue;
                    }
                    let to = out.wrapping_add(col * at.pixels.col);
                    // Turns that a compiler can unroll, so that the pixels stay in registers.
                    for i in 0..4 {
                        if i >= above && i < above + rows {
                            let to = to.add((i - above) * at.pixels.row);
                            let value = pixels[i][j].add(carried[i][j]);
                            let value = if i < added { value.add(V::load(to)) } else { value };
                            value.store(to);
                        }
                    }
                }
                for (carried, pixels) in carried.iter_mut().zip(pixels) {
                    *carried = [pixels[2], pixels[3]];
                }
            }
        }
    }
}

/// `[a, (a + b + c) / 2, (a - b + c) / 2, c]`: `G` on three values.
#[inline(always)]
unsafe fn widen<V: Vector>([a, b, c]: [V; 3]) -> [V; 4] {
    // SAFETY: the caller vouches for the level.
    unsafe {
        let (ends, half) = (a.add(c), V::splat(0.5));
        [a, ends.add(b).mul(half), ends.sub(b).mul(half), c]
    }
}

/// `U = GwG'`: 9 taps of `n` values each become 16 matrices of as many.
///
/// # Safety
/// The processor has the level of `V`; `n` is a multiple of its registers, `taps` holds `9 n` values, `out` `16 n`.
#[inline(always)]
pub unsafe fn weights<V: Vector>(n: usize, taps: &[f32], out: &mut [f32]) {
    // SAFETY: the caller vouches for the lengths.
    unsafe {
        for at in (0..n).step_by(V::LANES) {
            let from = taps.as_ptr().add(at);
            let mut halves = [[V::splat(0.0); 3]; 4];
            for j in 0..3 {
                let tap = |i: usize| from.add((3 * i + j) * n);
                let column = widen([V::load(tap(0)), V::load(tap(1)), V::load(tap(2))]);
                for (half, value) in halves.iter_mut().zip(column) {
                    half[j] = value;
                }
            }
            for (i, half) in halves.into_iter().enumerate() {
                for (j, value) in widen(half).into_iter().enumerate() {
                    value.store(out.as_mut_ptr().add((4 * i + j) * n + at));
                }
            }
        }
    }
}

/// `[a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d]`: `G'` on four values.
#[inline(always)]
unsafe fn narrow<V: Vector>([a, b, c, d]: [V; 4]) -> [V; 3] {
    // SAFETY: the caller vouches for the level.
    unsafe {
        let half = V::splat(0.5);
        let middle = b.add(c).mul(half);
        [a.add(middle), b.sub(c).mul(half), middle.add(d)]
    }
}

/// `dw = G'dU G`: the way back of [`weights`].
///
/// # Safety
/// As for [`weights`], `matrices` holding `16 n` values and `out` `9 n`.
#[inline(always)]
pub unsafe fn taps<V: Vector>(n: usize, matrices: &[f32], out: &mut [f32]) {
    // SAFETY: the caller vouches for the lengths.
    unsafe {
        for at in (0..n).step_by(V::LANES) {
            let from = matrices.as_ptr().add(at);
            let mut halves = [[V::splat(0.0); 4]; 3];
            for j in 0..4 {
                let column = narrow(column::<V>(from.add(j * n), 4 * n));
                for (half, value) in halves.iter_mut().zip(column) {
                    half[j] = value;
                }
            }
            for (i, half) in halves.into_iter().enumerate() {
                for (j, value) in narrow(half).into_iter().enumerate() {
                    value.store(out.as_mut_ptr().add((3 * i + j) * n + at));
                }
            }
        }
    }
}
