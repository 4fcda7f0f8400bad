//! A model at work: losses, gradients and predictions for parameters that somebody else keeps.

use std::num::NonZeroUsize;

use super::crew::{Crew, PER_VALUE};
use super::error::RecipeError;
use super::graph::{Graph, Op};
use super::loss::{cross_entropy, prediction};
use super::pieces::{self, Packing, Piece, Sum};
use super::recipe::Recipe;
use super::tape::{Context, Tape};
use crate::flat::Layout;
use crate::shape::Shape;
use crate::simd::{Aligned, Kernels, Level};

/// A recipe compiled for an input shape and a number of classes, with all the memory that it needs.
///
/// Parameters and gradients are flat vectors in the canonical layout ([`layout`](Self::layout)). Images are those of a
/// data set: one after the other, each channel by channel, row-major. The same inputs give the same bits on the same
/// binary at the same [`Level`], whatever the number of threads: a batch is cut into parts by its size alone, a part is
/// computed by one thread, and the gradients of the parts are added in order.
#[derive(Debug)]
pub struct Network {
    kernels: &'static Kernels,
    graph: Graph,
    classes: usize,
    /// Weights of convolutions in kernel order.
    packed: Aligned,
    packings: Vec<Piece<Packing>>,
    sums: Vec<Piece<Sum>>,
    parts: Vec<Part>,
    crew: Crew,
}

/// What a part of a batch came to.
#[derive(Debug)]
pub struct Part {
    /// The gradient of its loss, in kernel order.
    pub partial: Aligned,
    tally: Tally,
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

impl Tally {
    /// Adds what another evaluation counted.
    pub fn add(&mut self, other: Self) {
        self.correct += other.correct;
        self.total += other.total;
        self.loss_sum += other.loss_sum;
    }
}

/// Images that go through the whole network together: their activations stay in a core's cache.
const CHUNK_IMAGES: usize = 8;
/// The same where there are only vectors.
const CHUNK_VECTORS: usize = 64;
/// Parts of a batch, at most: as many threads can be of use, and as many partial gradients are in memory.
const PARTS_MAX: usize = 16;

/// Images of a part of a batch.
fn part_images(batch: usize, chunk: usize) -> usize {
    if batch < 2 * chunk {
        // Small batches make two parts, but for the smallest.
        return batch.div_ceil(2).max(chunk / 2).min(batch);
    }
    batch.div_ceil(PARTS_MAX).next_multiple_of(chunk)
}

impl Network {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`, at the level of this processor, to be
    /// computed by so many threads.
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
        let is_pooled = |slot: usize| slot > 0 && matches!(graph.ops[slot - 1], Op::MaxPool(_));
        let chunk = chunk_images(&graph);
        let scratch = graph.scratch();
        let crew = Crew::new(threads, || Tape::new(&graph.slots, chunk, is_pooled, scratch))?;
        Ok(Self {
            kernels,
            classes,
            packed: Aligned::zeros(graph.packed),
            packings: pieces::packings(&graph),
            sums: pieces::sums(&graph),
            parts: Vec::new(),
            crew,
            graph,
        })
    }

    /// The names and shapes of the parameters.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        self.graph.parameters.layout()
    }

    /// The level of the kernels.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.kernels.level()
    }

    /// How many threads compute.
    #[must_use]
    pub const fn threads(&self) -> NonZeroUsize {
        self.crew.threads()
    }

    /// See [`Parameters::init`](super::Parameters::init).
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        self.graph.parameters.init(seed)
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
        self.check(parameters, images, labels);
        let company = self.crew.company(3 * labels.len() * self.graph.work());
        let mut train = || self.train(parameters, images, labels, gradient);
        match company {
            Some(pool) => pool.install(train),
            None => train(),
        }
    }

    fn train(
        &mut self,
        parameters: &[f32],
        images: &[f32],
        labels: &[u8],
        gradient: &mut [f32],
    ) -> f64 {
        let tally = self.run(parameters, images, labels, true);
        let Self { kernels, graph, parts, sums, crew, .. } = self;
        let parts = &parts[..labels.len().div_ceil(part_images(labels.len(), chunk_images(graph)))];
        let work = parts.len() * graph.partial * PER_VALUE;
        crew.share_out(work, pieces::cut(sums, gradient), |(sum, out), tape| {
            graph.sum(kernels, sum, parts, out, tape);
        });
        tally.loss_sum / labels.len() as f64
    }

    /// Predicts every image and counts.
    ///
    /// # Panics
    /// As [`gradient`](Self::gradient).
    pub fn evaluate(&mut self, parameters: &[f32], images: &[f32], labels: &[u8]) -> Tally {
        self.check(parameters, images, labels);
        let company = self.crew.company(labels.len() * self.graph.work());
        let mut evaluate = || self.run(parameters, images, labels, false);
        match company {
            Some(pool) => pool.install(evaluate),
            None => evaluate(),
        }
    }

    /// Takes a batch forth and, if asked to, back; leaves the gradients with the parts.
    fn run(&mut self, parameters: &[f32], images: &[f32], labels: &[u8], back: bool) -> Tally {
        let Self { kernels, graph, packed, packings, parts, crew, classes, .. } = self;
        let packing = packed.len() * PER_VALUE;
        crew.share_out(packing, pieces::cut(packings, packed), |(what, out), tape| {
            graph.pack(kernels, what, parameters, out, tape);
        });
        let (image, chunk) = (graph.slots[0].shape.values(), chunk_images(graph));
        let part = part_images(labels.len(), chunk);
        let count = labels.len().div_ceil(part);
        while parts.len() < count {
            parts.push(Part { partial: Aligned::default(), tally: Tally::default() });
        }
        let batch =
            Batch { kernels, graph, parameters, packed, classes: *classes, size: labels.len() };
        let tasks = parts.iter_mut().zip(images.chunks(part * image)).zip(labels.chunks(part));
        let work = labels.len() * graph.work() * if back { 3 } else { 1 };
        crew.share_out(work, tasks, |((part, images), labels), tape| {
            part.tally = Tally::default();
            if back && part.partial.is_empty() {
                part.partial = Aligned::zeros(graph.partial);
            }
            for (images, labels) in images.chunks(chunk * image).zip(labels.chunks(chunk)) {
                batch.take(images, labels, part, tape, back);
            }
        });
        let mut tally = Tally::default();
        parts[..count].iter().for_each(|part| tally.add(part.tally));
        tally
    }

    /// Checks what a call is given.
    fn check(&self, parameters: &[f32], images: &[f32], labels: &[u8]) {
        let image = self.graph.slots[0].shape.values();
        assert_eq!(parameters.len(), self.layout().values(), "values of the parameters");
        assert_eq!(images.len(), labels.len() * image, "values of {} images", labels.len());
        assert!(!labels.is_empty(), "a batch without images");
        let stranger = labels.iter().find(|label| usize::from(**label) >= self.classes);
        assert_eq!(stranger, None, "a label that is none of {} classes", self.classes);
    }
}

/// Images of a chunk: they depend on the model alone.
const fn chunk_images(graph: &Graph) -> usize {
    if graph.split == 0 { CHUNK_VECTORS } else { CHUNK_IMAGES }
}

/// What is the same for all parts of a batch.
struct Batch<'a> {
    kernels: &'static Kernels,
    graph: &'a Graph,
    parameters: &'a [f32],
    packed: &'a [f32],
    classes: usize,
    size: usize,
}

impl Batch<'_> {
    /// Takes a chunk forth and, if asked to, back.
    fn take(&self, images: &[f32], labels: &[u8], part: &mut Part, tape: &mut Tape, back: bool) {
        let Self { kernels, graph, parameters, packed, .. } = *self;
        let fresh = part.tally.total == 0;
        let slots = &graph.slots;
        let context = Context { kernels, slots, parameters, packed, images, fresh };
        graph.forward(&context, labels.len(), tape);
        self.judge(labels, &mut part.tally, tape);
        if back {
            graph.backward(&context, labels.len(), tape, &mut part.partial);
        }
    }

    /// Counts what the logits of a chunk are worth; leaves the gradient of the batch's mean loss with them.
    fn judge(&self, labels: &[u8], tally: &mut Tally, tape: &mut Tape) {
        let at = self.graph.ops.len();
        let slot = &self.graph.slots[at];
        let scale = 1.0 / self.size as f32;
        for (image, &label) in labels.iter().enumerate() {
            let logits = &tape.values[at][slot.value.pixel(image, 0, 0)..][..self.classes];
            let delta = &mut tape.deltas[at][slot.delta_pixel(image, 0, 0)..][..self.classes];
            tally.loss_sum += cross_entropy(logits, label, scale, delta);
            tally.correct += u32::from(prediction(logits) == usize::from(label));
            tally.total += 1;
        }
    }
}
