//! Images and parameters out of a formula: `formula.py` makes the same bits, so that neither side stores any.

use mlt_lite::flat::Layout;
use mlt_lite::shape::Shape;

/// Numbers of the parameters' stream start here; those of the images at 0.
const PARAMETERS: u32 = 1 << 30;
/// Biases lie between minus and plus this.
const BIAS: f32 = 0.1;

/// Number `index` of the stream, in [0, 1): 24 bits of a hash (the last steps of MurmurHash3).
fn unit(index: u32) -> f32 {
    let mut x = index;
    x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
    x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
    ((x ^ x >> 16) >> 8) as f32 / (1 << 24) as f32
}

/// The class of an image.
fn label(image: usize, classes: usize) -> usize {
    image % classes
}

/// `count` images from number `first` on, and their labels: noise, with rows of 1 more where the label says.
pub fn images(first: usize, count: usize, shape: Shape, classes: usize) -> (Vec<f32>, Vec<u8>) {
    let values = shape.values();
    let pixel = |at: usize| {
        let row = at % values / shape.width % shape.height;
        let bright = row * classes / shape.height == label(at / values, classes);
        0.5 * unit(at as u32) + if bright { 1.0 } else { 0.0 }
    };
    let pixels = (first * values..(first + count) * values).map(pixel);
    (pixels.collect(), (first..first + count).map(|image| label(image, classes) as u8).collect())
}

/// Parameters in the canonical layout: weights within `1 / sqrt(inputs of a unit)`.
pub fn parameters(layout: &Layout) -> Vec<f32> {
    let tensors = layout.tensors().iter().flat_map(|tensor| {
        let bound = match tensor.shape[..] {
            [_] => BIAS,
            ref shape => (1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt()) as f32,
        };
        tensor.values.clone().map(move |at| (2.0 * unit(PARAMETERS + at as u32) - 1.0) * bound)
    });
    tensors.collect()
}
