//! A convolution as products of its windows with the weights: what serves every kernel and stride.

use super::conv::Conv;
use super::slot::Slot;
use super::tape::{Context, Deposit, Forth, Tape, pair};
use crate::simd::{BLOCK, Factor, Product, Skip, Start, Strides};

/// How the windows of a convolution are read.
#[derive(Debug)]
pub struct Direct {
    forth: Reads,
    back: Reads,
}

/// The values under a square kernel: three nested loops, the innermost over values that follow each other.
#[derive(Debug)]
struct Reads {
    turns: [usize; 3],
    steps: [usize; 3],
}

impl Reads {
    /// A kernel over `channels` of pixels that are `strides` apart.
    const fn new(kernel: usize, channels: usize, strides: Strides) -> Self {
        let Strides { row, col } = strides;
        if channels == col {
            // The pixels of a row have no gaps.
            return Self { turns: [kernel, 1, kernel * channels], steps: [row, 0, 1] };
        }
        Self { turns: [kernel, kernel, channels], steps: [row, col, 1] }
    }

    /// The places of the weights that belong to the values.
    const fn weights(&self) -> [usize; 3] {
        let [_, cols, run] = self.turns;
        [cols * run * BLOCK, run * BLOCK, BLOCK]
    }
}

impl Direct {
    /// A convolution with a kernel of that side from `inputs` channels of one slot to `outputs` of the other.
    pub const fn new(kernel: usize, (input, output): (&Slot, &Slot)) -> Self {
        Self {
            forth: Reads::new(kernel, input.shape.channels, input.value.strides),
            back: Reads::new(kernel, output.shape.channels, output.delta_raw),
        }
    }

    /// Where the windows of a row of output pixels start, from the start of the image.
    const fn window(conv: &Conv, slot: &Slot, image: usize, row: usize) -> usize {
        let Strides { row: down, col } = slot.value.strides;
        let corner = slot.value.offset - conv.window.padding * (down + col);
        image * slot.value.size + corner + row * conv.window.stride * down
    }

    pub fn forward(&self, conv: &Conv, context: &Context<'_>, image: usize, tape: &mut Tape) {
        let (input, output) = (&context.slots[conv.from], &context.slots[conv.to]);
        let Forth { from, skip, to, .. } = tape.forth(context, (conv.from, conv.skip), conv.to);
        let biases = conv.biases(context.packed);
        for row in 0..output.shape.height {
            let left = &from[Self::window(conv, input, image, row)..];
            let skip = conv.skip.zip(skip).map(|(slot, values)| {
                let plane = &context.slots[slot].value;
                (&values[plane.pixel(image, row, 0)..], plane.strides.col)
            });
            let out = &mut to[output.value.pixel(image, row, 0)..];
            for block in 0..conv.blocks() {
                let at = block * BLOCK;
                let product = Product {
                    rows: output.shape.width,
                    cols: BLOCK,
                    terms: self.forth.turns,
                    left: Factor { values: left, terms: self.forth.steps },
                    left_row: conv.window.stride * input.value.strides.col,
                    right: Factor {
                        values: conv.forth(context.packed, block),
                        terms: self.forth.weights(),
                    },
                    out_row: output.value.strides.col,
                    start: Start::Bias(&biases[at..]),
                    skip: skip.map(|(values, row)| Skip { values: &values[at..], row }),
                    relu: conv.relu,
                };
                context.kernels.product(&product, &mut out[at..]);
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
        self.weight_gradient(conv, context, image, tape, partial);
        if conv.deposit != Deposit::Nothing {
            self.input_gradient(conv, context, image, tape);
        }
    }

    fn weight_gradient(
        &self,
        conv: &Conv,
        context: &Context<'_>,
        image: usize,
        tape: &Tape,
        partial: &mut [f32],
    ) {
        let (input, output) = (&context.slots[conv.from], &context.slots[conv.to]);
        let values = &tape.values(context, conv.from)[Self::window(conv, input, image, 0)..];
        let deltas = &tape.deltas[conv.to][output.delta_pixel(image, 0, 0)..];
        let (weights, biases) = partial.split_at_mut(conv.blocks() * conv.block_len());
        let [_, middle, run] = self.forth.turns;
        let Strides { row, col } = output.delta.strides;
        let step = conv.window.stride;
        for (block, weights) in weights.chunks_exact_mut(conv.block_len()).enumerate() {
            for (reads, weights) in weights.chunks_exact_mut(run * BLOCK).enumerate() {
                let at =
                    reads / middle * self.forth.steps[0] + reads % middle * self.forth.steps[1];
                let product = Product {
                    rows: run,
                    cols: BLOCK,
                    terms: [1, output.shape.height, output.shape.width],
                    left: Factor {
                        values: &values[at..],
                        terms: [0, step * input.value.strides.row, step * input.value.strides.col],
                    },
                    left_row: 1,
                    right: Factor { values: &deltas[block * BLOCK..], terms: [0, row, col] },
                    out_row: BLOCK,
                    start: Start::after(context.fresh),
                    skip: None,
                    relu: false,
                };
                context.kernels.product(&product, weights);
            }
        }
        for (block, biases) in biases.chunks_exact_mut(BLOCK).enumerate() {
            let mut sum = [0.0; BLOCK];
            let product = Product {
                rows: 1,
                cols: BLOCK,
                terms: [1, output.shape.height, output.shape.width],
                left: Factor { values: &[1.0], terms: [0; 3] },
                left_row: 0,
                right: Factor { values: &deltas[block * BLOCK..], terms: [0, row, col] },
                out_row: BLOCK,
                start: Start::Zero,
                skip: None,
                relu: false,
            };
            // A sum of its own for each image: adding few values to many loses digits.
            context.kernels.product(&product, &mut sum);
            context.kernels.add(biases, &sum);
        }
    }

    fn input_gradient(&self, conv: &Conv, context: &Context<'_>, image: usize, tape: &mut Tape) {
        let (input, output) = (&context.slots[conv.from], &context.slots[conv.to]);
        let (target, source) = pair(&mut tape.deltas, conv.from, conv.to);
        let source = &source[output.delta_image(image) * output.delta.size..];
        for row in 0..input.shape.height {
            let left = &source[row * output.delta_raw.row..];
            let out = &mut target[input.delta_pixel(image, row, 0)..];
            for block in 0..conv.inputs.div_ceil(BLOCK) {
                let product = Product {
                    rows: input.shape.width,
                    cols: BLOCK,
                    terms: self.back.turns,
                    left: Factor { values: left, terms: self.back.steps },
                    left_row: output.delta_raw.col,
                    right: Factor {
                        values: conv.back(context.packed, block),
                        terms: self.back.weights(),
                    },
                    out_row: input.delta.strides.col,
                    start: match conv.deposit {
                        Deposit::Add => Start::Output,
                        _ => Start::Zero,
                    },
                    skip: None,
                    relu: false,
                };
                context.kernels.product(&product, &mut out[block * BLOCK..]);
            }
        }
    }
}
