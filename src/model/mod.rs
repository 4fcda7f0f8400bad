//! Models: what a recipe says, compiled for a data set into loops over flat buffers.
//!
//! A [`Recipe`] is text; a [`Model`] is the recipe for one input shape and number of classes, and computes losses and
//! gradients of [parameters](Parameters) that somebody else keeps. They go in and out in the canonical layout. What
//! computes is an [`Engine`]: [`Network`], inside of which images lie pixel by pixel and weights in blocks of output
//! channels, or [`Reference`], the same through candle. candle also reads and writes [checkpoints](Checkpoint);
//! nothing here knows of rounds, optimizers or networks of machines.

mod checkpoint;
mod conv;
mod crew;
mod direct;
mod draft;
mod engine;
mod error;
mod graph;
mod layer;
mod linear;
mod loss;
mod network;
mod parameters;
mod pieces;
mod pointwise;
mod pool;
mod recipe;
mod reference;
mod slot;
mod tape;
mod winograd;

pub use checkpoint::{Checkpoint, CheckpointError, digest};
pub use engine::{Engine, Model};
pub use error::RecipeError;
pub use layer::{Layer, Padding, Width};
pub use network::{Network, Tally};
pub use parameters::Parameters;
pub use recipe::{Defaults, Init, Recipe};
pub use reference::Reference;

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all text");
        text
    })
}

#[cfg(test)]
mod tests;
