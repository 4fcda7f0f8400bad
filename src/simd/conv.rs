//! Convolution and its gradient as two loops over pixels, blocked so that sums stay in registers.
//!
//! Images lie pixel by pixel, the channels of a pixel side by side. A kernel makes [`LANES`] output channels at a time,
//! whatever the level: packed weights mean the same everywhere. In a linear layer the pixels are images.

use std::array;

/// Output channels that a kernel makes at once: two AVX-512 registers, four of AVX2.
pub const LANES: usize = 32;

/// One value for each of the output channels of a block.
pub type Lanes = [f32; LANES];

/// Distance in values between pixels that follow each other in a column and in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strides {
    /// From a pixel to the one below it.
    pub row: usize,
    /// From a pixel to the one right of it.
    pub col: usize,
}

/// Pixels in memory: pixel `(row, col)` starts at value `row * strides.row + col * strides.col`.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// The values, from the first pixel on.
    pub values: &'a [f32],
    /// Where the other pixels are.
    pub strides: Strides,
}

/// What a sum starts from.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// A bias per output channel.
    Bias(&'a Lanes),
    /// What the output holds already.
    Output,
}

/// One block of output channels at `rows` x `cols` pixels:
/// `output[pixel] = start + sum over taps t and k < run of input[pixel + t + k] * weights[t][k]`.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels of a row.
    pub cols: usize,
    /// Values that each pixel reads.
    pub input: Grid<'a>,
    /// Where the runs of consecutive values that a pixel reads start, relative to the pixel.
    pub taps: &'a [usize],
    /// Length of a run.
    pub run: usize,
    /// `taps x run` rows of a block.
    pub weights: &'a [Lanes],
    /// What the sums start from.
    pub start: Start<'a>,
    /// Whether negative results become 0.
    pub relu: bool,
    /// Where the results go.
    pub output: Strides,
}

/// One block of the gradient of a convolution's weights: what [`Convolution`] reads, and the gradient of what it wrote.
#[derive(Clone, Copy, Debug)]
pub struct WeightGradient<'a> {
    /// Rows of pixels.
    pub rows: usize,
    /// Pixels of a row.
    pub cols: usize,
    /// Values that each pixel read.
    pub input: Grid<'a>,
    /// Where the runs of a pixel started.
    pub taps: &'a [usize],
    /// Length of a run.
    pub run: usize,
    /// Gradient of the block of output channels.
    pub delta: Grid<'a>,
}

/// `a * b + c`; fused only where that is one instruction, for elsewhere it is a slow call.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
pub(super) fn lanes(values: &[f32]) -> &Lanes {
    values.first_chunk().expect("buffers hold whole blocks of channels")
}

/// Pixels that a kernel makes at once, at most.
const PIXELS_MAX: usize = 8;

/// The sums of some consecutive pixels.
pub type Sums = [Lanes; PIXELS_MAX];

/// A kernel that makes `pixels` pixels at once.
#[derive(Debug)]
pub struct Tile {
    pub pixels: usize,
    /// Sums the products of the first pixels of a slice of input, the start apart.
    ///
    /// It is called through a pointer for speed: where the compiler saw what became of the sums, it kept them in
    /// memory all the time.
    pub sum: fn(&Convolution<'_>, &[f32], &mut Sums),
}

/// The loop around the kernels: `tiles` are sorted from many pixels to 1.
pub fn convolve(conv: &Convolution<'_>, tiles: &[Tile], output: &mut [f32]) {
    let mut sums = [[0.0; LANES]; PIXELS_MAX];
    for row in 0..conv.rows {
        let mut col = 0;
        for tile in tiles {
            while conv.cols - col >= tile.pixels {
                let input = row * conv.input.strides.row + col * conv.input.strides.col;
                (tile.sum)(conv, &conv.input.values[input..], &mut sums);
                for sums in &sums[..tile.pixels] {
                    finish(
                        conv,
                        sums,
                        &mut output[row * conv.output.row + col * conv.output.col..],
                    );
                    col += 1;
                }
            }
        }
    }
}

/// Writes a pixel.
fn finish(conv: &Convolution<'_>, sums: &Lanes, output: &mut [f32]) {
    let output = &mut output[..LANES];
    let start = match conv.start {
        Start::Bias(bias) => *bias,
        Start::Output => *lanes(output),
    };
    for ((output, sum), start) in output.iter_mut().zip(sums).zip(start) {
        let result = start + sum;
        // Not `max`: a NaN must come through.
        *output = if conv.relu && result < 0.0 { 0.0 } else { result };
    }
}

/// The body of a [`Tile`] of `P` pixels.
#[inline(always)]
pub fn sum<const P: usize, const FMA: bool>(
    conv: &Convolution<'_>,
    input: &[f32],
    result: &mut Sums,
) {
    let mut sums = [[0.0; LANES]; P];
    let run = conv.run;
    for (&tap, weights) in conv.taps.iter().zip(conv.weights.chunks_exact(run)) {
        let runs: [&[f32]; P] =
            array::from_fn(|p| &input[tap + p * conv.input.strides.col..][..run]);
        for (k, weights) in weights.iter().enumerate() {
            for (sums, run) in sums.iter_mut().zip(&runs) {
                let value = run[k];
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = multiply_add::<FMA>(value, *weight, *sum);
                }
            }
        }
    }
    *result.first_chunk_mut().expect("no tile has more pixels than sums") = sums;
}

/// Pixels after which [`weight_gradient`] goes on to the next weights: what they read stays in the nearest cache.
const BAND_PIXELS: usize = 96;

/// A kernel that adds to `rows` rows of a weight gradient at once.
#[derive(Debug)]
pub struct RowTile {
    pub rows: usize,
    /// Adds to the rows that a slice of weights starts with, which multiply the values from a place on of every pixel.
    pub add: fn(&WeightGradient<'_>, usize, &mut [Lanes]),
}

/// Adds [`WeightGradient`] to `weights` (`taps x run` rows) and `bias`: the loop around the kernels. `tiles` are sorted
/// from many rows to 1.
pub fn weight_gradient(
    gradient: &WeightGradient<'_>,
    tiles: &[RowTile],
    weights: &mut [Lanes],
    bias: &mut Lanes,
) {
    let band = BAND_PIXELS.div_ceil(gradient.cols);
    for first in (0..gradient.rows).step_by(band) {
        let rows = band.min(gradient.rows - first);
        let band = WeightGradient {
            rows,
            input: below(gradient.input, first),
            delta: below(gradient.delta, first),
            ..*gradient
        };
        for (&tap, weights) in band.taps.iter().zip(weights.chunks_exact_mut(band.run)) {
            let mut row = 0;
            for tile in tiles {
                while weights.len() - row >= tile.rows {
                    (tile.add)(&band, tap + row, &mut weights[row..]);
                    row += tile.rows;
                }
            }
        }
        sum_pixels(&band, bias);
    }
}

fn below(grid: Grid<'_>, row: usize) -> Grid<'_> {
    Grid { values: &grid.values[row * grid.strides.row..], ..grid }
}

/// The body of a [`RowTile`] of `R` rows.
#[inline(always)]
pub fn add_rows<const R: usize, const FMA: bool>(
    band: &WeightGradient<'_>,
    at: usize,
    weights: &mut [Lanes],
) {
    let weights: &mut [Lanes; R] = weights.first_chunk_mut().expect("the caller has counted");
    let mut sums = *weights;
    for row in 0..band.rows {
        let input = &band.input.values[row * band.input.strides.row + at..];
        let delta = &band.delta.values[row * band.delta.strides.row..];
        for col in 0..band.cols {
            let input: &[f32; R] = input[col * band.input.strides.col..]
                .first_chunk()
                .expect("a pixel has all of its run");
            let delta = lanes(&delta[col * band.delta.strides.col..]);
            for (sums, value) in sums.iter_mut().zip(input) {
                for (sum, delta) in sums.iter_mut().zip(delta) {
                    *sum = multiply_add::<FMA>(*value, *delta, *sum);
                }
            }
        }
    }
    *weights = sums;
}

fn sum_pixels(band: &WeightGradient<'_>, bias: &mut Lanes) {
    let mut sums = *bias;
    for row in 0..band.rows {
        let delta = &band.delta.values[row * band.delta.strides.row..];
        for col in 0..band.cols {
            let delta = lanes(&delta[col * band.delta.strides.col..]);
            sums.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += delta);
        }
    }
    *bias = sums;
}
