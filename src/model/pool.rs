//! Max-pooling.

use std::ops::Range;

use super::slot::Slot;
use super::tape::{Deposit, Tape, pair};

/// The maximum of each `size` x `size` window; of equal values the first in reading order.
#[derive(Debug)]
pub struct MaxPool {
    pub from: usize,
    pub to: usize,
    pub size: usize,
    pub deposit: Deposit,
}

impl MaxPool {
    pub fn forward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (from, to) = pair(&mut tape.values, self.from, self.to);
        let winners = &mut tape.winners[self.to];
        for image in images {
            let first = image * input.value.size + input.value.offset;
            for (pixel, at) in output.value.pixels(output.shape, image).enumerate() {
                let (row, col) = (pixel / output.shape.width, pixel % output.shape.width);
                let maxima = &mut to[at..at + input.depth];
                let winners = &mut winners[at..at + input.depth];
                for place in 0..self.size * self.size {
                    let row = row * self.size + place / self.size;
                    let col = col * self.size + place % self.size;
                    let at = first + row * input.value.strides.row + col * input.value.strides.col;
                    challenge(place as u8, &from[at..at + input.depth], maxima, winners);
                }
            }
        }
    }

    pub fn backward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (targets, sources) = pair(&mut tape.deltas, self.from, self.to);
        for image in images {
            let source = output.delta_image(image) * output.delta.size + output.delta.offset;
            let winner = image * output.value.size + output.value.offset;
            let pixels = input.delta.pixels(input.shape, input.delta_image(image));
            for (pixel, at) in pixels.enumerate() {
                let (row, col) = (pixel / input.shape.width, pixel % input.shape.width);
                let place = (row % self.size * self.size + col % self.size) as u8;
                let (row, col) = (row / self.size, col / self.size);
                let target = &mut targets[at..at + input.depth];
                if row >= output.shape.height || col >= output.shape.width {
                    self.deposit.put(target, std::iter::repeat(0.0));
                    continue;
                }
                let source =
                    source + row * output.delta.strides.row + col * output.delta.strides.col;
                let winner =
                    winner + row * output.value.strides.row + col * output.value.strides.col;
                let pairs = sources[source..source + output.depth]
                    .iter()
                    .zip(&tape.winners[self.to][winner..winner + output.depth]);
                let won = pairs.map(|(delta, winner)| if *winner == place { *delta } else { 0.0 });
                self.deposit.put(target, won);
            }
        }
    }
}

/// Lets the values at `place` of a window take the lead; the first place has it for a start, and a NaN always takes it.
fn challenge(place: u8, values: &[f32], maxima: &mut [f32], winners: &mut [u8]) {
    if place == 0 {
        maxima.copy_from_slice(values);
        winners.fill(0);
        return;
    }
    for ((maximum, winner), value) in maxima.iter_mut().zip(winners).zip(values) {
        let wins = *value > *maximum || value.is_nan();
        *winner = if wins { place } else { *winner };
        *maximum = if wins { *value } else { *maximum };
    }
}
