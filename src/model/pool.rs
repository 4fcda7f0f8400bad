//! Max-pooling.

use std::ops::Range;

use super::pointwise::clear;
use super::tape::{Context, Deposit, Forth, Tape, pair};

/// The maximum of each `size` x `size` window; of equal values the first in reading order.
#[derive(Debug)]
pub struct MaxPool {
    pub from: usize,
    pub to: usize,
    pub size: usize,
    pub deposit: Deposit,
}

impl MaxPool {
    /// The places of a window: number, row and column.
    fn places(&self) -> impl Iterator<Item = (u8, usize, usize)> + use<> {
        let size = self.size;
        (0..size * size).map(move |place| (place as u8, place / size, place % size))
    }

    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let mut winners = std::mem::take(&mut tape.winners[self.to]);
        let Forth { from, to, .. } = tape.forth(context, (self.from, None), self.to);
        let depth = input.depth;
        for image in images {
            for (row, col) in output.shape.pixels() {
                let at = output.value.pixel(image, row, col);
                let (maxima, winners) = (&mut to[at..at + depth], &mut winners[at..at + depth]);
                for (place, i, j) in self.places() {
                    let (row, col) = (row * self.size + i, col * self.size + j);
                    let values = &from[input.value.pixel(image, row, col)..][..depth];
                    context.kernels.challenge(place, values, maxima, winners);
                }
            }
        }
        tape.winners[self.to] = winners;
    }

    pub fn backward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let (targets, sources) = pair(&mut tape.deltas, self.from, self.to);
        let (winners, won) = (&tape.winners[self.to], &mut tape.scratch[..output.depth]);
        let covered =
            [(output.shape.height, input.shape.height), (output.shape.width, input.shape.width)]
                .iter()
                .all(|(pooled, whole)| pooled * self.size == *whole);
        for image in images {
            if self.deposit == Deposit::Store && !covered {
                clear(input, image, targets);
            }
            for (row, col) in output.shape.pixels() {
                let winners = &winners[output.value.pixel(image, row, col)..][..output.depth];
                let source = &sources[output.delta_pixel(image, row, col)..][..output.depth];
                for (place, i, j) in self.places() {
                    let (row, col) = (row * self.size + i, col * self.size + j);
                    let target = &mut targets[input.delta_pixel(image, row, col)..][..output.depth];
                    if self.deposit == Deposit::Store {
                        context.kernels.award(place, source, winners, target);
                    } else {
                        context.kernels.award(place, source, winners, won);
                        context.kernels.add(target, won);
                    }
                }
            }
        }
    }
}
