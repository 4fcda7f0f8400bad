//! Max-pooling.

use std::ops::Range;

use super::tape::{Context, Deposit, Forth, Tape, pair};
use crate::shape::Shape;
use crate::simd::PoolRow;

/// The maximum of each `size` x `size` window; of equal values the first in reading order.
#[derive(Debug)]
pub struct MaxPool {
    pub from: usize,
    pub to: usize,
    pub size: usize,
    pub deposit: Deposit,
}

impl MaxPool {
    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let mut winners = std::mem::take(&mut tape.winners[self.to]);
        let Forth { from, to, .. } = tape.forth(context, (self.from, None), self.to);
        let at = PoolRow {
            size: self.size,
            windows: output.shape.width,
            depth: input.depth,
            pixels: input.value.strides,
            result: output.value.strides.col,
        };
        for image in images {
            for row in 0..output.shape.height {
                let values = &from[input.value.pixel(image, row * self.size, 0)..];
                let result = output.value.pixel(image, row, 0);
                context.kernels.pool(&at, values, &mut to[result..], &mut winners[result..]);
            }
        }
        tape.winners[self.to] = winners;
    }

    pub fn backward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let Shape { height, width, .. } = output.shape;
        let covered = [height * self.size, width * self.size];
        debug_assert!(
            self.deposit == Deposit::Store && covered == [input.shape.height, input.shape.width],
            "nobody but a pooling reads what it reads, and nobody fills what it drops"
        );
        // Winners lie as values do, and the gradient of a pooling's result like the values without a border.
        let (targets, sources) = pair(&mut tape.deltas, self.from, self.to);
        let winners = &tape.winners[self.to];
        let at = PoolRow {
            size: self.size,
            windows: width,
            depth: output.depth,
            pixels: input.delta.strides,
            result: output.delta.strides.col,
        };
        for image in images {
            for row in 0..height {
                let deltas = &sources[output.delta_pixel(image, row, 0)..];
                let winners = &winners[output.value.pixel(image, row, 0)..];
                let target = input.delta_pixel(image, row * self.size, 0);
                context.kernels.award(&at, deltas, winners, &mut targets[target..]);
            }
        }
    }
}
