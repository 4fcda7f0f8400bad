//! A model at work: losses, gradients and predictions for parameters that somebody else keeps.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::error::RecipeError;
use super::graph::{Graph, Op};
use super::loss::{cross_entropy, prediction};
use super::recipe::Recipe;
use super::tape::{Tape, put_channel};
use crate::flat::Layout;
use crate::shape::Shape;
use crate::simd::{Aligned, Kernels, LANES, Lanes, Level};

/// A recipe compiled for an input shape and a number of classes, with all the memory that it needs.
///
/// Parameters and gradients are flat vectors in the canonical layout ([`layout`](Self::layout)). Images are those of a
/// data set: one after the other, each channel by channel, row-major. The same inputs give the same bits on the same
/// binary at the same [`Level`]: a batch is cut into chunks by its size alone, the gradients of the chunks are summed
/// each by itself and then added in order, so it will not matter who computes them.
#[derive(Debug)]
pub struct Network {
    kernels: &'static Kernels,
    threads: NonZeroUsize,
    graph: Graph,
    classes: usize,
    /// Parameters in kernel order.
    packed: Aligned,
    /// Weights in the order of the way back.
    turned: Aligned,
    /// The gradient of one chunk, in kernel order.
    partial: Aligned,
    /// The gradient of the chunks so far, in kernel order.
    total: Aligned,
    tape: Tape,
}

/// What an evaluation counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Images whose largest logit was their label's.
    pub correct: u32,
    /// Images looked at.
    pub total: u32,
    /// Sum of their losses.
    pub loss_sum: f64,
}

/// Images that go through the whole network together: their activations stay in a core's cache.
const CHUNK_IMAGES: usize = 8;

/// How many images of a batch of `batch` a chunk has: smaller batches still make two chunks.
fn chunk_images(batch: usize) -> usize {
    (batch / 2).clamp(1, CHUNK_IMAGES)
}

impl Network {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`, at the level of this processor, for
    /// `threads` threads.
    ///
    /// # Errors
    /// If the layers do not fit the shape, or the level that is asked for cannot be had.
    pub fn new(
        recipe: &Recipe,
        shape: Shape,
        classes: usize,
        threads: NonZeroUsize,
    ) -> Result<Self, RecipeError> {
        Self::at_level(recipe, shape, classes, threads, Level::detect()?)
    }

    /// The same at a given level.
    ///
    /// # Errors
    /// If the layers do not fit the shape, or this processor has not got the level.
    pub fn at_level(
        recipe: &Recipe,
        shape: Shape,
        classes: usize,
        threads: NonZeroUsize,
        level: Level,
    ) -> Result<Self, RecipeError> {
        let kernels = Kernels::of(level)?;
        let graph = Graph::new(recipe, shape, classes)?;
        let mut convs = graph.ops.iter().filter_map(|op| match op {
            Op::Conv(conv) => Some(conv.ends()),
            _ => None,
        });
        let (packed, turned) = convs.next_back().unwrap_or_default();
        let is_pooled = |slot: usize| slot > 0 && matches!(graph.ops[slot - 1], Op::MaxPool(_));
        Ok(Self {
            kernels,
            threads,
            classes,
            packed: Aligned::zeros(packed * LANES),
            turned: Aligned::zeros(turned * LANES),
            partial: Aligned::zeros(packed * LANES),
            total: Aligned::zeros(packed * LANES),
            tape: Tape::new(&graph.slots, CHUNK_IMAGES, is_pooled),
            graph,
        })
    }

    /// The names and shapes of the parameters.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        self.graph.parameters.layout()
    }

    /// See [`Parameters::init`](super::Parameters::init).
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        self.graph.parameters.init(seed)
    }

    /// The level of the kernels.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.kernels.level()
    }

    /// How many threads compute. Results do not depend on it.
    #[must_use]
    pub const fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// The mean loss of a batch; its gradient goes to `gradient`.
    ///
    /// # Panics
    /// If a length is not that of the layout or of the images of the batch, the batch is empty, or a label is not a
    /// class: a data set has checked its labels.
    pub fn gradient(
        &mut self,
        parameters: &[f32],
        images: &[f32],
        labels: &[u8],
        gradient: &mut [f32],
    ) -> f64 {
        assert_eq!(gradient.len(), self.layout().values(), "values of the gradient");
        self.take(parameters, images, labels);
        self.total.fill(0.0);
        let scale = 1.0 / labels.len() as f32;
        let mut loss_sum = 0.0;
        for (images, labels) in self.chunks(images, labels) {
            self.forward(images, labels.len());
            loss_sum += self.loss(labels, scale);
            self.partial.fill(0.0);
            self.backward(labels.len());
            self.total.iter_mut().zip(&*self.partial).for_each(|(total, part)| *total += part);
        }
        for op in &self.graph.ops {
            if let Op::Conv(conv) = op {
                conv.unpack(blocks(&self.total), gradient);
            }
        }
        loss_sum / labels.len() as f64
    }

    /// Predicts every image and counts.
    ///
    /// # Panics
    /// As [`gradient`](Self::gradient).
    pub fn evaluate(&mut self, parameters: &[f32], images: &[f32], labels: &[u8]) -> Tally {
        self.take(parameters, images, labels);
        let mut tally = Tally::default();
        for (images, labels) in self.chunks(images, labels) {
            self.forward(images, labels.len());
            tally.loss_sum += self.loss(labels, 1.0);
            tally.total += labels.len() as u32;
            let right = |&(image, &label): &(usize, &u8)| {
                prediction(self.logits(image)) == usize::from(label)
            };
            tally.correct += labels.iter().enumerate().filter(right).count() as u32;
        }
        tally
    }

    /// Checks what a call is given and packs the parameters.
    fn take(&mut self, parameters: &[f32], images: &[f32], labels: &[u8]) {
        let image = self.graph.slots[0].shape.values();
        assert_eq!(parameters.len(), self.layout().values(), "values of the parameters");
        assert_eq!(images.len(), labels.len() * image, "values of {} images", labels.len());
        assert!(!labels.is_empty(), "a batch without images");
        let stranger = labels.iter().find(|label| usize::from(**label) >= self.classes);
        assert_eq!(stranger, None, "a label that is none of {} classes", self.classes);
        for op in &self.graph.ops {
            if let Op::Conv(conv) = op {
                conv.pack(parameters, blocks_mut(&mut self.packed), blocks_mut(&mut self.turned));
            }
        }
    }

    /// A batch as chunks of images with their labels.
    fn chunks<'a>(
        &self,
        images: &'a [f32],
        labels: &'a [u8],
    ) -> impl Iterator<Item = (&'a [f32], &'a [u8])> + use<'a> {
        let (count, image) = (chunk_images(labels.len()), self.graph.slots[0].shape.values());
        images.chunks(count * image).zip(labels.chunks(count))
    }

    fn forward(&mut self, images: &[f32], count: usize) {
        let (slots, tape) = (&self.graph.slots, &mut self.tape);
        let (input, Shape { channels, height, width }) = (&slots[0], slots[0].shape);
        for (i, image) in images.chunks_exact(channels * height * width).enumerate() {
            for (row, values) in image.chunks_exact(width).enumerate() {
                let (channel, row) = (row / height, row % height);
                let at = input.value.row(i, row) + channel;
                put_channel(values, &mut tape.values[0][at..], input.depth);
            }
        }
        let (head, tail) = self.graph.ops.split_at(self.graph.split);
        let packed = blocks(&self.packed);
        let mut run = |ops: &[Op], images: Range<usize>| {
            for op in ops {
                match op {
                    Op::Conv(op) => op.forward(self.kernels, slots, packed, images.clone(), tape),
                    Op::Relu(op) => op.forward(slots, images.clone(), tape),
                    Op::Add(op) => op.forward(slots, images.clone(), tape),
                    Op::MaxPool(op) => op.forward(slots, images.clone(), tape),
                    Op::Flatten(op) => op.forward(slots, images.clone(), tape),
                }
            }
        };
        (0..count).for_each(|image| run(head, image..image + 1));
        run(tail, 0..count);
    }

    fn backward(&mut self, count: usize) {
        let (slots, tape) = (&self.graph.slots, &mut self.tape);
        let (head, tail) = self.graph.ops.split_at(self.graph.split);
        let (turned, partial) = (blocks(&self.turned), blocks_mut(&mut self.partial));
        let mut run = |ops: &[Op], images: Range<usize>| {
            for op in ops.iter().rev() {
                let images = images.clone();
                match op {
                    Op::Conv(op) => {
                        op.backward(self.kernels, slots, turned, images, tape, partial);
                    }
                    Op::Relu(op) => op.backward(slots, images, tape),
                    Op::Add(op) => op.backward(slots, images, tape),
                    Op::MaxPool(op) => op.backward(slots, images, tape),
                    Op::Flatten(op) => op.backward(slots, images, tape),
                }
            }
        };
        run(tail, 0..count);
        (0..count).for_each(|image| run(head, image..image + 1));
    }

    /// The sum of the losses of a chunk; leaves its gradient, times `scale`, at the logits.
    fn loss(&mut self, labels: &[u8], scale: f32) -> f64 {
        let at = self.graph.ops.len();
        let (slot, classes) = (&self.graph.slots[at], self.classes);
        let (logits, deltas) = (&self.tape.values[at], &mut self.tape.deltas[at]);
        let losses = labels.iter().enumerate().map(|(image, &label)| {
            let logits = &logits[image * slot.value.size + slot.value.offset..][..classes];
            let delta = &mut deltas[image * slot.delta.size + slot.delta.offset..][..classes];
            cross_entropy(logits, label, scale, delta)
        });
        losses.sum()
    }

    fn logits(&self, image: usize) -> &[f32] {
        let at = self.graph.ops.len();
        let slot = &self.graph.slots[at];
        &self.tape.values[at][image * slot.value.size + slot.value.offset..][..self.classes]
    }
}

fn blocks(values: &[f32]) -> &[Lanes] {
    values.as_chunks().0
}

fn blocks_mut(values: &mut [f32]) -> &mut [Lanes] {
    values.as_chunks_mut().0
}
