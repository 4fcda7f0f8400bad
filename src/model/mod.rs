//! Models: what a recipe says, compiled for a data set into loops over flat buffers.
//!
//! A [`Recipe`] is text; [`Network`] is the recipe for one input shape and number of classes, and computes losses and
//! gradients of parameters that somebody else keeps. Parameters and gradients go in and out in the canonical layout;
//! inside, images lie pixel by pixel and weights in blocks of output channels. candle reads and writes
//! [checkpoints](Checkpoint); nothing here knows of rounds, optimizers or networks of machines.

mod checkpoint;
mod conv;
mod crew;
mod direct;
mod draft;
mod error;
mod graph;
mod layer;
mod linear;
mod loss;
mod network;
mod pieces;
mod pointwise;
mod pool;
mod recipe;
mod slot;
mod tape;
mod winograd;

pub use checkpoint::{Checkpoint, CheckpointError, digest};
pub use error::RecipeError;
pub use layer::{Layer, Padding, Width};
pub use network::{Network, Tally};
pub use recipe::{Defaults, Init, Recipe};

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all text");
        text
    })
}

#[cfg(test)]
mod tests;
