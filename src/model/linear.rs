//! Linear layers. Their weights `[out, in]` and the gradient of these stay as they are in the canonical layout: vectors
//! run along the inputs.

use std::ops::Range;

use super::pointwise::gate;
use super::tape::{Context, Deposit, Forth, Tape, pair};
use crate::simd::{Dot, Factor, Product, Start};

/// `y = W x + b`, and the ReLU that may follow it.
#[derive(Debug)]
pub struct Linear {
    pub from: usize,
    pub to: usize,
    pub relu: bool,
    pub deposit: Deposit,
    pub inputs: usize,
    pub outputs: usize,
    /// Places of the parameters in the canonical vector.
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    /// Where the gradient of the weights starts in a partial one; that of the bias follows.
    pub partial: usize,
}

impl Linear {
    /// Values of a partial gradient.
    pub const fn partial_len(&self) -> usize {
        self.outputs * self.inputs + self.outputs
    }

    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let Forth { from, to, .. } = tape.forth(context, (self.from, None), self.to);
        let dot = Dot {
            rows: images.len(),
            cols: self.outputs,
            terms: self.inputs,
            left: &from[input.value.pixel(images.start, 0, 0)..],
            left_row: input.value.size,
            right: &context.parameters[self.weight.clone()],
            bias: &context.parameters[self.bias.clone()],
            relu: self.relu,
            out_row: output.value.size,
        };
        context.kernels.dot(&dot, &mut to[output.value.pixel(images.start, 0, 0)..]);
    }

    /// Adds the gradient of the parameters to `partial` and hands that of the input on.
    pub fn backward(
        &self,
        context: &Context<'_>,
        images: Range<usize>,
        tape: &mut Tape,
        partial: &mut [f32],
    ) {
        if self.relu {
            gate(context, images.clone(), tape, self.to);
        }
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let deltas = &tape.deltas[self.to][output.delta_pixel(images.start, 0, 0)..];
        let fresh = context.fresh && images.start == 0;
        let partial = &mut partial[self.partial..self.partial + self.partial_len()];
        let (weights, biases) = partial.split_at_mut(self.outputs * self.inputs);
        let values = tape.values(context, self.from);
        let product = Product {
            rows: self.outputs,
            cols: self.inputs,
            terms: [1, 1, images.len()],
            left: Factor { values: deltas, terms: [0, 0, output.delta.size] },
            left_row: 1,
            right: Factor {
                values: &values[input.value.pixel(images.start, 0, 0)..],
                terms: [0, 0, input.value.size],
            },
            out_row: self.inputs,
            start: Start::after(fresh),
            skip: None,
            relu: false,
        };
        context.kernels.product(&product, weights);
        if fresh {
            biases.fill(0.0);
        }
        for image in 0..images.len() {
            let deltas = &deltas[image * output.delta.size..][..self.outputs];
            context.kernels.add(biases, deltas);
        }
        self.input_gradient(context, images, tape);
    }

    fn input_gradient(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let (target, source) = pair(&mut tape.deltas, self.from, self.to);
        let product = Product {
            rows: images.len(),
            cols: self.inputs,
            terms: [1, 1, self.outputs],
            left: Factor {
                values: &source[output.delta_pixel(images.start, 0, 0)..],
                terms: [0, 0, 1],
            },
            left_row: output.delta.size,
            right: Factor {
                values: &context.parameters[self.weight.clone()],
                terms: [0, 0, self.inputs],
            },
            out_row: input.delta.size,
            start: if self.deposit == Deposit::Add { Start::Output } else { Start::Zero },
            skip: None,
            relu: false,
        };
        context.kernels.product(&product, &mut target[input.delta_pixel(images.start, 0, 0)..]);
    }
}
