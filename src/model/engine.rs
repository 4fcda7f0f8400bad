//! What can compute with a recipe, and the one that was chosen.

use std::fmt;
use std::num::NonZeroUsize;

use super::error::RecipeError;
use super::network::{Network, Tally};
use super::recipe::Recipe;
use super::reference::Reference;
use crate::flat::Layout;
use crate::shape::Shape;

/// What computes losses and gradients. Engines agree but for rounding, so the choice is part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// The kernels of this program.
    #[default]
    Native,
    /// candle's tensor operations: slow and memory-hungry, and independent of our kernels.
    Candle,
}

crate::named!(Engine, "engine", { Native => "native", Candle => "candle" });

/// A recipe compiled for an engine, an input shape and a number of classes.
#[derive(Debug)]
pub struct Model {
    recipe: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Native(Box<Network>),
    Candle(Reference),
}

impl Model {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`; `threads` threads compute.
    ///
    /// # Errors
    /// If the layers do not fit the shape, or what the engine needs cannot be had.
    pub fn new(
        engine: Engine,
        recipe: &Recipe,
        shape: Shape,
        classes: usize,
        threads: NonZeroUsize,
    ) -> Result<Self, RecipeError> {
        let body = match engine {
            Engine::Native => {
                Body::Native(Box::new(Network::new(recipe, shape, classes, threads)?))
            }
            Engine::Candle => Body::Candle(Reference::new(recipe, shape, classes, threads)?),
        };
        Ok(Self { recipe: recipe.name().to_owned(), body })
    }

    /// The names and shapes of the parameters.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        match &self.body {
            Body::Native(network) => network.layout(),
            Body::Candle(reference) => reference.layout(),
        }
    }

    /// See [`Parameters::init`](super::Parameters::init).
    #[must_use]
    pub fn init(&self, seed: u64) -> Vec<f32> {
        match &self.body {
            Body::Native(network) => network.init(seed),
            Body::Candle(reference) => reference.init(seed),
        }
    }

    /// The mean loss of a batch; its gradient goes to `gradient`.
    ///
    /// # Panics
    /// As [`Network::gradient`].
    pub fn gradient(
        &mut self,
        parameters: &[f32],
        images: &[f32],
        labels: &[u8],
        gradient: &mut [f32],
    ) -> f64 {
        match &mut self.body {
            Body::Native(network) => network.gradient(parameters, images, labels, gradient),
            Body::Candle(reference) => reference.gradient(parameters, images, labels, gradient),
        }
    }

    /// Predicts every image and counts.
    ///
    /// # Panics
    /// As [`Network::gradient`].
    pub fn evaluate(&mut self, parameters: &[f32], images: &[f32], labels: &[u8]) -> Tally {
        match &mut self.body {
            Body::Native(network) => network.evaluate(parameters, images, labels),
            Body::Candle(reference) => reference.evaluate(parameters, images, labels),
        }
    }
}

/// What computes, for people: `resnet8, avx512, 2 threads`.
impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (how, threads) = match &self.body {
            Body::Native(network) => (network.level().to_string(), network.threads()),
            Body::Candle(reference) => (Engine::Candle.to_string(), reference.threads()),
        };
        let plural = if threads.get() == 1 { "" } else { "s" };
        write!(f, "{}, {how}, {threads} thread{plural}", self.recipe)
    }
}
