//! What only shows when all parts of a model work together.

mod against_candle;
mod gradients;
mod random;
mod recipes;
mod reference;
mod training;
mod widths;

use std::num::NonZeroUsize;

use rand_chacha::rand_core::RngCore;

use crate::rng;
use crate::shape::Shape;

const ONE: NonZeroUsize = NonZeroUsize::MIN;
const MNIST: Shape = Shape { channels: 1, height: 28, width: 28 };

/// Random images with values in `[-1, 1)` and random labels.
fn batch(
    rng: &mut impl RngCore,
    shape: Shape,
    classes: usize,
    count: usize,
) -> (Vec<f32>, Vec<u8>) {
    let values = count * shape.values();
    let images = (0..values).map(|_| (2.0 * rng::unit(rng) - 1.0) as f32).collect();
    let labels = (0..count).map(|_| rng::below(rng, classes as u64) as u8).collect();
    (images, labels)
}

/// The largest distance between two vectors, in units of the largest value of the second.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f64, |largest, x| largest.max(x.abs()));
    let errors =
        found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    errors.fold(0.0, f64::max) / largest.max(1e-3)
}
