//! Layers that take every value by itself: ReLU, the addition that ends a residual, flatten.

use std::ops::Range;

use super::conv::mask;
use super::slot::Slot;
use super::tape::{Deposit, Tape, pair, take_channel};
use crate::shape::Shape;

/// A ReLU that could not be made a part of the layer before it.
#[derive(Debug)]
pub struct Relu {
    pub from: usize,
    pub to: usize,
    pub deposit: Deposit,
}

impl Relu {
    pub fn forward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (from, to) = pair(&mut tape.values, self.from, self.to);
        for image in images {
            let pixels = input.value.pixels(input.shape, image);
            for (from_at, to_at) in pixels.zip(output.value.pixels(output.shape, image)) {
                let from = from[from_at..from_at + input.depth].iter();
                // Not `max`: a NaN must come through.
                let positive = from.map(|x| if *x < 0.0 { 0.0 } else { *x });
                Deposit::Store.put(&mut to[to_at..], positive);
            }
        }
    }

    pub fn backward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        mask(&slots[self.to], images.clone(), tape, self.to);
        hand_on(slots, (self.from, self.to), self.deposit, images, tape);
    }
}

/// The sum of a residual's input (`skip`) and the result of what is inside it (`from`), and the ReLU that may follow.
#[derive(Debug)]
pub struct Add {
    pub skip: usize,
    pub from: usize,
    pub to: usize,
    pub relu: bool,
    pub deposit_skip: Deposit,
    pub deposit_from: Deposit,
}

impl Add {
    pub fn forward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        let [skip, from, to] = [self.skip, self.from, self.to].map(|slot| &slots[slot]);
        let (before, after) = tape.values.split_at_mut(self.to);
        let (skips, froms, tos) = (&before[self.skip], &before[self.from], &mut after[0]);
        for image in images {
            let inputs =
                skip.value.pixels(skip.shape, image).zip(from.value.pixels(from.shape, image));
            for ((skip_at, from_at), to_at) in inputs.zip(to.value.pixels(to.shape, image)) {
                let tos = &mut tos[to_at..to_at + to.depth];
                let skips = &skips[skip_at..skip_at + skip.depth];
                let sums = skips.iter().zip(&froms[from_at..]).map(|(a, b)| a + b);
                Deposit::Store.put(tos, sums);
                if self.relu {
                    tos.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
                }
            }
        }
    }

    pub fn backward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        if self.relu {
            mask(&slots[self.to], images.clone(), tape, self.to);
        }
        hand_on(slots, (self.from, self.to), self.deposit_from, images.clone(), tape);
        hand_on(slots, (self.skip, self.to), self.deposit_skip, images, tape);
    }
}

/// Gives slot `from` the gradient of slot `to`, unchanged.
fn hand_on(
    slots: &[Slot],
    (from, to): (usize, usize),
    deposit: Deposit,
    images: Range<usize>,
    tape: &mut Tape,
) {
    let (input, output) = (&slots[from], &slots[to]);
    let (targets, sources) = pair(&mut tape.deltas, from, to);
    for image in images {
        let target_pixels = input.delta.pixels(input.shape, input.delta_image(image));
        let source_pixels = output.delta.pixels(output.shape, output.delta_image(image));
        for (target_at, source_at) in target_pixels.zip(source_pixels) {
            let source = sources[source_at..source_at + output.depth].iter().copied();
            deposit.put(&mut targets[target_at..], source);
        }
    }
}

/// An image as a vector in canonical order: channel by channel, row by row.
#[derive(Debug)]
pub struct Flatten {
    pub from: usize,
    pub to: usize,
    pub deposit: Deposit,
}

impl Flatten {
    pub fn forward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (from, to) = pair(&mut tape.values, self.from, self.to);
        let Shape { height, width, .. } = input.shape;
        for image in images {
            let vector = output.value.row(image, 0);
            let vector = &mut to[vector..vector + input.shape.values()];
            for (row, values) in vector.chunks_exact_mut(width).enumerate() {
                let (channel, row) = (row / height, row % height);
                take_channel(&from[input.value.row(image, row) + channel..], input.depth, values);
            }
        }
    }

    pub fn backward(&self, slots: &[Slot], images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (targets, sources) = pair(&mut tape.deltas, self.from, self.to);
        let area = input.shape.height * input.shape.width;
        for image in images {
            let source = output.delta_image(image) * output.delta.size + output.delta.offset;
            let pixels = input.delta.pixels(input.shape, input.delta_image(image));
            for (pixel, at) in pixels.enumerate() {
                let vector = sources[source + pixel..].iter().step_by(area).copied();
                self.deposit.put(&mut targets[at..at + input.shape.channels], vector);
            }
        }
    }
}
