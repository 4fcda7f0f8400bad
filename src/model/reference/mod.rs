//! A recipe through candle's operations and their gradients: slow, and owing nothing to our kernels.

mod ops;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use candle_core::{Device, Result, Tensor, Var};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::draft::{Draft, Drafts};
use super::error::RecipeError;
use super::loss::prediction;
use super::network::Tally;
use super::recipe::Recipe;
use crate::flat::{self, Layout};
use crate::shape::Shape;

/// A recipe compiled as [`Network`](super::Network) is, and with the same methods.
///
/// The same inputs give the same bits on the same binary and machine. Memory is bounded: a batch is cut into chunks.
#[derive(Debug)]
pub struct Reference {
    drafts: Drafts,
    classes: usize,
    /// candle's operations share their work among the threads of the pool that they are called in.
    threads: ThreadPool,
}

/// Images that go through the network together: all of their activations are in memory until the gradient is there.
const CHUNK_IMAGES: usize = 32;

/// candle refuses operations for their shapes only, and those were checked when the recipe was compiled.
const CHECKED: &str = "shapes fit, for the recipe was compiled for them";

impl Reference {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`, for `threads` threads.
    ///
    /// # Errors
    /// If the layers do not fit the shape, or so many threads cannot be had.
    pub fn new(
        recipe: &Recipe,
        shape: Shape,
        classes: usize,
        threads: NonZeroUsize,
    ) -> std::result::Result<Self, RecipeError> {
        let drafts = Drafts::new(recipe, shape, classes)?;
        let pool = ThreadPoolBuilder::new().num_threads(threads.get()).build();
        let threads =
            pool.map_err(|error| RecipeError::Threads { threads, problem: error.to_string() })?;
        Ok(Self { drafts, classes, threads })
    }

    /// The names and shapes of the parameters.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        self.drafts.parameters.layout()
    }

    /// See [`Parameters::init`](super::Parameters::init).
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        self.drafts.parameters.init(seed)
    }

    /// How many threads compute.
    ///
    /// # Panics
    /// Never: a pool has threads.
    #[must_use]
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.threads.current_num_threads()).expect("a pool has threads")
    }

    /// The mean loss of a batch; its gradient goes to `gradient`.
    ///
    /// # Panics
    /// As [`Network::gradient`](super::Network::gradient).
    pub fn gradient(
        &self,
        parameters: &[f32],
        images: &[f32],
        labels: &[u8],
        gradient: &mut [f32],
    ) -> f64 {
        assert_eq!(gradient.len(), self.layout().values(), "values of the gradient");
        gradient.fill(0.0);
        let scale = 1.0 / labels.len() as f64;
        let loss_sum = self.threads.install(|| -> Result<f64> {
            let variables = tracked(&self.tensors(parameters)?)?;
            let mut loss_sum = 0.0;
            for (images, labels) in self.chunks(images, labels) {
                let losses = ops::losses(&self.forward(&variables, images, labels.len())?, labels)?;
                let gradients = (losses.sum_all()? * scale)?.backward()?;
                let tensors = self.drafts.parameters.pairs().flatten();
                for (tensor, variable) in tensors.zip(variables.iter().flatten()) {
                    let part =
                        gradients.get(variable).expect("every parameter has a part in the loss");
                    let sums = gradient[tensor.values.clone()].iter_mut();
                    sums.zip(values(part)?).for_each(|(sum, x)| *sum += x);
                }
                loss_sum += total(&losses)?;
            }
            Ok(loss_sum)
        });
        loss_sum.expect(CHECKED) * scale
    }

    /// Predicts every image and counts.
    ///
    /// # Panics
    /// As [`gradient`](Self::gradient).
    #[must_use]
    pub fn evaluate(&self, parameters: &[f32], images: &[f32], labels: &[u8]) -> Tally {
        let tally = self.threads.install(|| -> Result<Tally> {
            let tensors = self.tensors(parameters)?;
            let mut tally = Tally::default();
            for (images, labels) in self.chunks(images, labels) {
                let logits = self.forward(&tensors, images, labels.len())?;
                tally.loss_sum += total(&ops::losses(&logits, labels)?)?;
                tally.total += labels.len() as u32;
                let predictions = logits.to_vec2::<f32>()?.into_iter().map(|row| prediction(&row));
                let right =
                    predictions.zip(labels).filter(|(found, label)| *found == usize::from(**label));
                tally.correct += right.count() as u32;
            }
            Ok(tally)
        });
        tally.expect(CHECKED)
    }

    /// A batch as chunks of images with their labels.
    fn chunks<'a>(
        &self,
        images: &'a [f32],
        labels: &'a [u8],
    ) -> impl Iterator<Item = (&'a [f32], &'a [u8])> + use<'a> {
        let image = self.drafts.shapes[0].values();
        assert_eq!(images.len(), labels.len() * image, "values of {} images", labels.len());
        assert!(!labels.is_empty(), "a batch without images");
        let stranger = labels.iter().find(|label| usize::from(**label) >= self.classes);
        assert_eq!(stranger, None, "a label that is none of {} classes", self.classes);
        images.chunks(CHUNK_IMAGES * image).zip(labels.chunks(CHUNK_IMAGES))
    }

    /// Weight and bias of each layer that has them, in the order of the layers.
    fn tensors(&self, parameters: &[f32]) -> Result<Vec<[Tensor; 2]>> {
        assert_eq!(parameters.len(), self.layout().values(), "values of the parameters");
        let tensor = |tensor: &flat::Tensor| {
            let values = &parameters[tensor.values.clone()];
            Tensor::from_slice(values, tensor.shape.as_slice(), &Device::Cpu)
        };
        let pairs = self.drafts.parameters.pairs();
        pairs.map(|[weight, bias]| Ok([tensor(weight)?, tensor(bias)?])).collect()
    }

    /// The logits of `count` images, one row each.
    fn forward(&self, tensors: &[[Tensor; 2]], images: &[f32], count: usize) -> Result<Tensor> {
        let Shape { channels, height, width } = self.drafts.shapes[0];
        let input = Tensor::from_slice(images, (count, channels, height, width), &Device::Cpu)?;
        let mut slots = vec![input];
        let mut pairs = tensors.iter();
        for op in &self.drafts.ops {
            let result = match *op {
                Draft::Conv { from, window, skip, relu } => {
                    let [weight, bias] = pairs.next().expect("a convolution has two parameters");
                    let mut sums = ops::conv(&slots[from], weight, bias, window)?;
                    if let Some(skip) = skip {
                        sums = (sums + &slots[skip])?;
                    }
                    if relu { ops::relu(&sums)? } else { sums }
                }
                Draft::Linear { from, relu } => {
                    let [weight, bias] = pairs.next().expect("a linear layer has two parameters");
                    let sums = ops::linear(&slots[from], weight, bias)?;
                    if relu { ops::relu(&sums)? } else { sums }
                }
                Draft::Relu { from } => ops::relu(&slots[from])?,
                Draft::Add { skip, from, relu } => {
                    let sums = (&slots[skip] + &slots[from])?;
                    if relu { ops::relu(&sums)? } else { sums }
                }
                Draft::MaxPool { from, size } => ops::max_pool(&slots[from], size)?,
                Draft::Flatten { from } => slots[from].reshape((count, (), 1, 1))?,
            };
            slots.push(result);
        }
        slots[self.drafts.ops.len()].flatten_from(1)
    }
}

/// The same tensors as variables, which candle takes gradients with respect to.
fn tracked(tensors: &[[Tensor; 2]]) -> Result<Vec<[Tensor; 2]>> {
    let variable = |tensor: &Tensor| Var::from_tensor(tensor).map(Var::into_inner);
    tensors.iter().map(|[weight, bias]| Ok([variable(weight)?, variable(bias)?])).collect()
}

/// The values of a tensor in reading order.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// The sum of the losses of a chunk.
fn total(losses: &Tensor) -> Result<f64> {
    Ok(values(losses)?.into_iter().map(f64::from).sum())
}
