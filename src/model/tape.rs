//! What one chunk of images leaves behind on its way through the network and back.

use super::slot::Slot;
use crate::simd::{Aligned, Kernels};

/// Activations, gradients and choices of one chunk. One of these per thread is all that threads need.
#[derive(Debug)]
pub struct Tape {
    /// Activations per slot.
    pub values: Vec<Aligned>,
    /// Gradients of the loss per slot.
    pub deltas: Vec<Aligned>,
    /// Per slot that a max-pool made: which place of its window each value is from.
    pub winners: Vec<Vec<u8>>,
    /// For whoever is at work: what it holds is of no interest to the next.
    pub scratch: Aligned,
}

/// What is the same for all chunks of a batch, and the images of one.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub kernels: &'static Kernels,
    pub slots: &'a [Slot],
    /// In the canonical layout.
    pub parameters: &'a [f32],
    /// Weights of convolutions in kernel order.
    pub packed: &'a [f32],
    /// The images of the chunk as the data set has them.
    pub images: &'a [f32],
    /// Whether the partial gradient holds nothing of this batch before the chunk's first image.
    pub fresh: bool,
}

impl Tape {
    /// Room for `images` images.
    pub fn new(
        slots: &[Slot],
        images: usize,
        is_pooled: impl Fn(usize) -> bool,
        scratch: usize,
    ) -> Self {
        let value = |(i, slot): (usize, &Slot)| {
            if i == 0 && slot.is_canonical() { 0 } else { slot.value.size * images }
        };
        let delta = |slot: &Slot| slot.delta.size * if slot.delta_each { images } else { 1 };
        let pooled = |(i, slot): (usize, &Slot)| if is_pooled(i) { slot.value.size } else { 0 };
        Self {
            values: slots.iter().enumerate().map(|slot| Aligned::zeros(value(slot))).collect(),
            deltas: slots.iter().map(|slot| Aligned::zeros(delta(slot))).collect(),
            winners: slots.iter().enumerate().map(|slot| vec![0; pooled(slot) * images]).collect(),
            scratch: Aligned::zeros(scratch),
        }
    }

    /// The values of slot `from`, wherever they are.
    pub fn values<'a>(&'a self, context: &Context<'a>, from: usize) -> &'a [f32] {
        match from {
            0 if context.slots[0].is_canonical() => context.images,
            _ => &self.values[from],
        }
    }

    /// The values of slot `from`, of slot `skip` (if there is one), and of the later slot `to`, which is to be filled;
    /// and the scratch memory.
    pub fn forth<'a>(
        &'a mut self,
        context: &Context<'a>,
        (from, skip): (usize, Option<usize>),
        to: usize,
    ) -> Forth<'a> {
        let (before, after) = self.values.split_at_mut(to);
        let before = &*before;
        let input = |slot: usize| -> &'a [f32] {
            match slot {
                0 if context.slots[0].is_canonical() => context.images,
                _ => &before[slot],
            }
        };
        Forth {
            from: input(from),
            skip: skip.map(input),
            to: &mut after[0],
            scratch: &mut self.scratch,
        }
    }
}

/// See [`Tape::forth`].
pub struct Forth<'a> {
    pub from: &'a [f32],
    pub skip: Option<&'a [f32]>,
    pub to: &'a mut [f32],
    pub scratch: &'a mut [f32],
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
    pub fn put(self, kernels: &Kernels, target: &mut [f32], source: &[f32]) {
        match self {
            Self::Nothing => {}
            Self::Store => target.copy_from_slice(source),
            Self::Add => kernels.add(target, source),
        }
    }
}

/// The buffer of slot `from` and that of the later slot `to`.
pub fn pair<T>(buffers: &mut [T], from: usize, to: usize) -> (&mut T, &mut T) {
    let (before, after) = buffers.split_at_mut(to);
    (&mut before[from], &mut after[0])
}
