//! A 3x3 convolution at stride 1 by Winograd's F(2x2, 3x3): 16 products where the direct way has 36.
//!
//! An image is worked on in strips of a few rows of tiles, whose transforms stay in the nearest caches.

use std::ops::Range;

use super::conv::Conv;
use super::slot::{Border, Slot, Window};
use super::tape::{Context, Deposit, Forth, Tape, pair};
use crate::shape::Shape;
use crate::simd::{
    Aligned, BLOCK, Factor, Finish, Kernels, PLACES, Product, Spread, Start, Strides, TileRow,
};

/// Tiles of a strip, about.
const STRIP_TILES: usize = 40;

/// How the image is cut into tiles.
#[derive(Debug)]
pub struct Winograd {
    /// Rows and columns of tiles.
    rows: usize,
    cols: usize,
    /// Rows of tiles of a strip.
    strip: usize,
}

/// A strip of tiles: its rows, and the distance between the 16 matrices of a transform per value of a tile's depth.
#[derive(Clone, Copy)]
struct Strip {
    first: usize,
    rows: usize,
    tiles: usize,
    plane: usize,
}

impl Winograd {
    /// Whether that pays: with few channels, transforms cost more than they save.
    pub const fn suits(window: Window, inputs: usize, outputs: usize) -> bool {
        window.kernel == 3 && window.stride == 1 && inputs >= BLOCK && outputs >= BLOCK
    }

    /// For a result of `shape`.
    pub fn new(shape: Shape) -> Self {
        let (rows, cols) = (shape.height.div_ceil(2), shape.width.div_ceil(2));
        // As many strips as there must be, and those as equal as can be.
        let strips = (rows * cols).div_ceil(STRIP_TILES).min(rows);
        Self { rows, cols, strip: rows.div_ceil(strips) }
    }

    /// The zeros around an input that tiles of a result of `shape` read.
    pub fn border(padding: usize, input: Shape, shape: Shape) -> Border {
        let beyond =
            |side: usize, of: usize| (2 * side.div_ceil(2) + 2).saturating_sub(of + padding);
        let rows = beyond(shape.height, input.height);
        Border { before: padding, after: rows.max(beyond(shape.width, input.width)) }
    }

    fn strips(&self) -> impl Iterator<Item = Strip> + use<> {
        let Self { rows, cols, strip } = *self;
        (0..rows).step_by(strip).map(move |first| {
            let rows = strip.min(rows - first);
            let tiles = rows * cols;
            // Odd, for matrices a power of two apart would get into each other's way in the cache.
            Strip { first, rows, tiles, plane: tiles | 1 }
        })
    }

    /// Values of scratch memory: transforms of the input, of the result's gradient, and of the input's gradient.
    pub fn scratch(&self, input: usize, output: usize) -> usize {
        PLACES * ((self.strip * self.cols) | 1) * (2 * input + output)
    }

    /// A row of tiles over pixels of `depth` values.
    const fn row(&self, strip: Strip, depth: usize, pixels: Strides) -> TileRow {
        TileRow { tiles: self.cols, depth, pixels, plane: strip.plane * depth }
    }

    /// The transform of the input of a strip.
    fn transform(
        &self,
        conv: &Conv,
        kernels: &Kernels,
        (slot, image): (&Slot, usize),
        strip: Strip,
        values: &[f32],
        tiles: &mut [f32],
    ) {
        let Strides { row, col } = slot.value.strides;
        let corner = slot.value.pixel(image, 0, 0) - conv.window.padding * (row + col);
        let at = self.row(strip, slot.depth, slot.value.strides);
        for i in 0..strip.rows {
            let pixels = &values[corner + 2 * (strip.first + i) * row..];
            kernels.winograd_input(&at, pixels, &mut tiles[i * self.cols * slot.depth..]);
        }
    }

    pub fn forward(&self, conv: &Conv, context: &Context<'_>, image: usize, tape: &mut Tape) {
        let (input, output) = (&context.slots[conv.from], &context.slots[conv.to]);
        let Forth { from, skip, to, scratch } =
            tape.forth(context, (conv.from, conv.skip), conv.to);
        let skip = conv.skip.zip(skip).map(|(slot, values)| (&context.slots[slot].value, values));
        for strip in self.strips() {
            let (transformed, rest) = scratch.split_at_mut(PLACES * strip.plane * input.depth);
            let products = &mut rest[..PLACES * strip.plane * output.depth];
            self.transform(conv, context.kernels, (input, image), strip, from, transformed);
            for block in 0..conv.blocks() {
                let weights = conv.forth(context.packed, block);
                let (left, right) = ((&*transformed, input.depth), (weights, conv.inputs));
                multiply(context.kernels, strip, left, right, products, (block, output.depth));
            }
            let at = self.row(strip, output.depth, output.value.strides);
            for i in 0..strip.rows {
                let row = 2 * (strip.first + i);
                let finish = Finish {
                    bias: conv.biases(context.packed),
                    skip: skip
                        .map(|(plane, skip)| (&skip[plane.pixel(image, row, 0)..], plane.strides)),
                    relu: conv.relu,
                    rows: (output.shape.height - row).min(2),
                    cols: output.shape.width,
                };
                let tiles = &products[i * self.cols * output.depth..];
                let out = &mut to[output.value.pixel(image, row, 0)..];
                context.kernels.winograd_output(&at, tiles, &finish, out);
            }
        }
    }

    /// Adds the gradient of the parameters to `partial` and hands that of the input on.
    pub fn backward(
        &self,
        conv: &Conv,
        context: &Context<'_>,
        image: usize,
        tape: &mut Tape,
        partial: &mut [f32],
    ) {
        let (input, output) = (&context.slots[conv.from], &context.slots[conv.to]);
        let (weights, biases) = partial.split_at_mut(conv.blocks() * conv.block_len());
        let mut scratch = std::mem::take(&mut tape.scratch);
        for strip in self.strips() {
            let (transformed, rest) = scratch.split_at_mut(PLACES * strip.plane * input.depth);
            let (deltas, rest) = rest.split_at_mut(PLACES * strip.plane * output.depth);
            let values = tape.values(context, conv.from);
            self.transform(conv, context.kernels, (input, image), strip, values, transformed);
            let at = self.row(strip, output.depth, output.delta.strides);
            for i in 0..strip.rows {
                let pixels =
                    &tape.deltas[conv.to][output.delta_pixel(image, 2 * (strip.first + i), 0)..];
                let tiles = &mut deltas[i * self.cols * output.depth..];
                context.kernels.winograd_delta(&at, pixels, tiles, biases);
            }
            for (block, weights) in weights.chunks_exact_mut(conv.block_len()).enumerate() {
                let (left, right) = ((&*transformed, input.depth), (&*deltas, output.depth));
                let start = Start::after(context.fresh && strip.first == 0);
                correlate(context.kernels, strip, left, right, start, weights, block);
            }
            if conv.deposit != Deposit::Nothing {
                let gradients = &mut rest[..PLACES * strip.plane * input.depth];
                for block in 0..conv.inputs.div_ceil(BLOCK) {
                    let weights = conv.back(context.packed, block);
                    let (left, right) = ((&*deltas, output.depth), (weights, conv.outputs));
                    multiply(context.kernels, strip, left, right, gradients, (block, input.depth));
                }
                self.put_down(conv, context, image, strip, gradients, &mut tape.deltas);
            }
        }
        tape.scratch = scratch;
    }

    /// Puts the gradient of a strip's input down.
    fn put_down(
        &self,
        conv: &Conv,
        context: &Context<'_>,
        image: usize,
        strip: Strip,
        gradients: &[f32],
        deltas: &mut [Aligned],
    ) {
        let input = &context.slots[conv.from];
        let (target, _) = pair(deltas, conv.from, conv.to);
        let padding = conv.window.padding;
        let Shape { height, width, .. } = input.shape;
        // The first to put a gradient down is the only reader of its input, or else reads as much of it as any.
        let covered = 2 * self.rows + 2 >= height + padding && 2 * self.cols + 2 >= width + padding;
        debug_assert!(conv.deposit == Deposit::Add || covered, "pixels that no tile is made of");
        let at = self.row(strip, input.depth, input.delta.strides);
        for i in 0..strip.rows {
            let top = 2 * (strip.first + i);
            let row = top.saturating_sub(padding);
            let spread = Spread {
                beyond: (padding.saturating_sub(top), padding),
                rows: (height - row).min(4),
                cols: width.min(2 * self.cols + 2 - padding),
                added: match (conv.deposit, top) {
                    (Deposit::Add, _) => 4,
                    (_, 0) => 0,
                    _ => 2,
                },
            };
            let tiles = &gradients[i * self.cols * input.depth..];
            let out = &mut target[input.delta_pixel(image, row, 0)..];
            context.kernels.winograd_spread(&at, tiles, &spread, out);
        }
    }
}

/// 16 products of tiles with weights: of a `(values, depth)` and a block of `(values, channels)`, into a block of the
/// depth given.
fn multiply(
    kernels: &Kernels,
    strip: Strip,
    (tiles, depth): (&[f32], usize),
    (weights, channels): (&[f32], usize),
    out: &mut [f32],
    (block, out_depth): (usize, usize),
) {
    for place in 0..PLACES {
        let product = Product {
            rows: strip.tiles,
            cols: BLOCK,
            terms: [1, 1, channels],
            left: Factor { values: &tiles[place * strip.plane * depth..], terms: [0, 0, 1] },
            left_row: depth,
            right: Factor { values: &weights[place * channels * BLOCK..], terms: [0, 0, BLOCK] },
            out_row: out_depth,
            start: Start::Zero,
            skip: None,
            relu: false,
        };
        kernels.product(&product, &mut out[place * strip.plane * out_depth + block * BLOCK..]);
    }
}

/// Adds 16 products of input tiles with gradient tiles to a block of a weight gradient.
fn correlate(
    kernels: &Kernels,
    strip: Strip,
    (tiles, depth): (&[f32], usize),
    (deltas, delta_depth): (&[f32], usize),
    start: Start<'_>,
    weights: &mut [f32],
    block: usize,
) {
    let channels = weights.len() / (PLACES * BLOCK);
    for (place, weights) in weights.chunks_exact_mut(channels * BLOCK).enumerate() {
        let plane = |depth: usize| -> Range<usize> {
            place * strip.plane * depth..(place + 1) * strip.plane * depth
        };
        let product = Product {
            rows: channels,
            cols: BLOCK,
            terms: [1, 1, strip.tiles],
            left: Factor { values: &tiles[plane(depth)], terms: [0, 0, depth] },
            left_row: 1,
            right: Factor {
                values: &deltas[plane(delta_depth)][block * BLOCK..],
                terms: [0, 0, delta_depth],
            },
            out_row: BLOCK,
            start,
            skip: None,
            relu: false,
        };
        kernels.product(&product, weights);
    }
}
