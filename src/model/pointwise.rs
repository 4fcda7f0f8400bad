//! Layers that take every value by itself: ReLU, the addition that ends a residual, flatten.

use std::ops::Range;

use super::slot::{Slot, stretches};
use super::tape::{Context, Deposit, Forth, Tape, pair};
use crate::shape::Shape;

/// A ReLU that could not be made a part of the layer before it.
#[derive(Debug)]
pub struct Relu {
    pub from: usize,
    pub to: usize,
    pub deposit: Deposit,
}

impl Relu {
    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let Forth { from, to, .. } = tape.forth(context, (self.from, None), self.to);
        for image in images {
            for (row, col) in output.shape.pixels() {
                let from = &from[input.value.pixel(image, row, col)..][..input.shape.channels];
                let to = &mut to[output.value.pixel(image, row, col)..];
                // Not `max`: a NaN must come through.
                to.iter_mut().zip(from).for_each(|(to, x)| *to = if *x < 0.0 { 0.0 } else { *x });
            }
        }
    }

    pub fn backward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        gate(context, images.clone(), tape, self.to);
        hand_on(context, (self.from, self.to), self.deposit, images, tape);
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
    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let [skip, from, to] = [self.skip, self.from, self.to].map(|slot| &context.slots[slot]);
        let Forth { from: froms, skip: skips, to: tos, .. } =
            tape.forth(context, (self.from, Some(self.skip)), self.to);
        let skips = skips.expect("an addition has two inputs");
        for image in images {
            for (row, col) in to.shape.pixels() {
                let tos = &mut tos[to.value.pixel(image, row, col)..][..to.shape.channels];
                let skips = &skips[skip.value.pixel(image, row, col)..];
                let froms = &froms[from.value.pixel(image, row, col)..];
                for ((to, skip), from) in tos.iter_mut().zip(skips).zip(froms) {
                    let sum = skip + from;
                    *to = if self.relu && sum < 0.0 { 0.0 } else { sum };
                }
            }
        }
    }

    pub fn backward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.relu {
            gate(context, images.clone(), tape, self.to);
        }
        hand_on(context, (self.from, self.to), self.deposit_from, images.clone(), tape);
        hand_on(context, (self.skip, self.to), self.deposit_skip, images, tape);
    }
}

/// Takes a slot's gradient back through the ReLU that made its values: it stops where a value is not positive.
pub fn gate(context: &Context<'_>, images: Range<usize>, tape: &mut Tape, at: usize) {
    let slot = &context.slots[at];
    let (values, deltas) = (&tape.values[at], &mut tape.deltas[at]);
    for image in images {
        let (len, starts) = stretches(slot.shape, slot.depth, [&slot.value, &slot.delta]);
        for (row, col) in starts {
            let values = &values[slot.value.pixel(image, row, col)..][..len];
            context.kernels.gate(&mut deltas[slot.delta_pixel(image, row, col)..][..len], values);
        }
    }
}

/// Gives slot `from` the gradient of slot `to`, unchanged.
pub fn hand_on(
    context: &Context<'_>,
    (from, to): (usize, usize),
    deposit: Deposit,
    images: Range<usize>,
    tape: &mut Tape,
) {
    if deposit == Deposit::Nothing {
        return;
    }
    let (input, output) = (&context.slots[from], &context.slots[to]);
    let (targets, sources) = pair(&mut tape.deltas, from, to);
    for image in images {
        if deposit == Deposit::Store && input.shape != output.shape {
            clear(input, image, targets);
        }
        let (len, starts) = stretches(output.shape, output.depth, [&input.delta, &output.delta]);
        for (row, col) in starts {
            let target = &mut targets[input.delta_pixel(image, row, col)..][..len];
            let source = &sources[output.delta_pixel(image, row, col)..][..len];
            deposit.put(context.kernels, target, source);
        }
    }
}

/// Sets the gradient of an image to 0.
pub fn clear(slot: &Slot, image: usize, deltas: &mut [f32]) {
    let (len, starts) = stretches(slot.shape, slot.depth, [&slot.delta, &slot.delta]);
    for (row, col) in starts {
        deltas[slot.delta_pixel(image, row, col)..][..len].fill(0.0);
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
    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let Forth { from, to, .. } = tape.forth(context, (self.from, None), self.to);
        let Shape { channels, height, width } = input.shape;
        for image in images {
            let vector = &mut to[output.value.pixel(image, 0, 0)..][..input.shape.values()];
            for (place, (row, col)) in input.shape.pixels().enumerate() {
                let pixel = &from[input.value.pixel(image, row, col)..][..channels];
                let vector = vector[place..].iter_mut().step_by(height * width);
                vector.zip(pixel).for_each(|(to, from)| *to = *from);
            }
        }
    }

    pub fn backward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        if self.deposit == Deposit::Nothing {
            return;
        }
        let (input, output) = (&context.slots[self.from], &context.slots[self.to]);
        let (targets, sources) = pair(&mut tape.deltas, self.from, self.to);
        let Shape { channels, height, width } = input.shape;
        for image in images {
            let vector = &sources[output.delta_pixel(image, 0, 0)..][..input.shape.values()];
            for (place, (row, col)) in input.shape.pixels().enumerate() {
                let target = &mut targets[input.delta_pixel(image, row, col)..][..channels];
                let vector = vector[place..].iter().step_by(height * width);
                for (target, delta) in target.iter_mut().zip(vector) {
                    *target = if self.deposit == Deposit::Add { *target + delta } else { *delta };
                }
            }
        }
    }
}
