//! What is measured: steps of SGD with momentum on images in memory.

use std::num::NonZeroUsize;

use mlt_lite::model::{Network, Recipe};
use mlt_lite::ps::optimizer::{Sgd, SgdConfig};
use mlt_lite::shape::Shape;

use crate::{Task, formula};

/// What images are: those of MNIST.
pub const SHAPE: Shape = Shape { channels: 1, height: 28, width: 28 };
pub const CLASSES: usize = 10;
/// Images that steps take their batches from in turn.
const IMAGES: usize = 512;
const LR: f64 = 0.01;
const MOMENTUM: f32 = 0.9;

/// Numbers of threads that are measured unless told otherwise.
pub const THREADS: &[usize] = &[1, 2];

/// A model in training.
pub struct Training {
    network: Network,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    optimizer: Sgd,
    images: Vec<f32>,
    labels: Vec<u8>,
    batch: usize,
    next: usize,
}

impl Training {
    pub fn start(task: &Task) -> Result<Self, String> {
        let batch = task.batch;
        if !IMAGES.is_multiple_of(batch) {
            return Err(format!(
                "--batch {batch}: {IMAGES} images make no whole number of batches"
            ));
        }
        let recipe = Recipe::load(&task.model).map_err(|error| error.to_string())?;
        let threads =
            NonZeroUsize::new(task.threads).ok_or("--threads 0: somebody has to compute")?;
        let network = Network::new(&recipe, SHAPE, CLASSES, threads);
        let network = network.map_err(|error| error.to_string())?;
        let parameters = formula::parameters(network.layout());
        let (images, labels) = formula::images(0, IMAGES, SHAPE, CLASSES);
        let config = SgdConfig { momentum: MOMENTUM, nesterov: false, weight_decay: 0.0 };
        Ok(Self {
            network,
            gradient: vec![0.0; parameters.len()],
            optimizer: Sgd::new(config, parameters.len()),
            parameters,
            images,
            labels,
            batch,
            next: 0,
        })
    }

    /// Takes a step; the loss before it.
    pub fn step(&mut self) -> f64 {
        let batch = self.next..self.next + self.batch;
        self.next = batch.end % IMAGES;
        let images = &self.images[batch.start * SHAPE.values()..batch.end * SHAPE.values()];
        let (parameters, gradient) = (&mut self.parameters, &mut self.gradient);
        let loss = self.network.gradient(parameters, images, &self.labels[batch], gradient);
        self.optimizer.step(parameters, 0, gradient, LR);
        loss
    }
}
