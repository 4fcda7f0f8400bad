//! What one chunk of images leaves behind on its way through the network and back.

use super::slot::Slot;
use crate::simd::Aligned;

/// Activations, gradients and choices of one chunk. One of these per thread is all that threads need.
#[derive(Debug)]
pub struct Tape {
    /// Activations per slot.
    pub values: Vec<Aligned>,
    /// Gradients of the loss per slot.
    pub deltas: Vec<Aligned>,
    /// Per slot that a max-pool made: which place of its window each value is from.
    pub winners: Vec<Vec<u8>>,
}

impl Tape {
    /// Room for `images` images.
    pub fn new(slots: &[Slot], images: usize, is_pooled: impl Fn(usize) -> bool) -> Self {
        let delta = |slot: &Slot| slot.delta.size * if slot.delta_each { images } else { 1 };
        let pooled = |(i, slot): (usize, &Slot)| if is_pooled(i) { slot.value.size } else { 0 };
        Self {
            values: slots.iter().map(|slot| Aligned::zeros(slot.value.size * images)).collect(),
            deltas: slots.iter().map(|slot| Aligned::zeros(delta(slot))).collect(),
            winners: slots.iter().enumerate().map(|slot| vec![0; pooled(slot) * images]).collect(),
        }
    }
}

/// How a layer hands the gradient of one of its inputs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// Not at all: nothing before that input has parameters.
    Nothing,
    /// It is the first to do so.
    Store,
    /// Another layer that reads the same input has done so before.
    Add,
}

impl Deposit {
    /// Puts `source` down in `target`.
    pub fn put(self, target: &mut [f32], source: impl Iterator<Item = f32>) {
        match self {
            Self::Nothing => {}
            Self::Store => target.iter_mut().zip(source).for_each(|(target, x)| *target = x),
            Self::Add => target.iter_mut().zip(source).for_each(|(target, x)| *target += x),
        }
    }
}

/// The buffer of slot `from` and that of the later slot `to`.
pub fn pair<T>(buffers: &mut [T], from: usize, to: usize) -> (&mut T, &mut T) {
    let (before, after) = buffers.split_at_mut(to);
    (&mut before[from], &mut after[0])
}

/// Copies one channel of a row of pixels that are `depth` values apart out of `pixels`.
pub fn take_channel(pixels: &[f32], depth: usize, channel: &mut [f32]) {
    match depth {
        1 => channel.copy_from_slice(&pixels[..channel.len()]),
        _ => {
            channel.iter_mut().zip(pixels.iter().step_by(depth)).for_each(|(to, from)| *to = *from)
        }
    }
}

/// The other way round.
pub fn put_channel(channel: &[f32], pixels: &mut [f32], depth: usize) {
    match depth {
        1 => pixels[..channel.len()].copy_from_slice(channel),
        _ => pixels.iter_mut().step_by(depth).zip(channel).for_each(|(to, from)| *to = *from),
    }
}
