//! The work that a step nominally is: what the layers' definitions multiply and add, whatever the kernels save.

use mlt_lite::model::{Layer, Padding, Recipe, Width};
use mlt_lite::shape::Shape;

use crate::workload::{CLASSES, SHAPE};

/// Floating-point operations of a step, for each image: a multiply-add is two. Every layer with parameters is counted
/// three times (its result, the gradients of its parameters and of its input), the first one twice.
pub fn of_step(recipe: &Recipe) -> f64 {
    let mut work = Work { shape: SHAPE, multiply_adds: 0, is_first: true };
    recipe.layers().iter().for_each(|layer| work.add(layer));
    2.0 * work.multiply_adds as f64
}

struct Work {
    /// Of what the layers so far have made.
    shape: Shape,
    multiply_adds: usize,
    /// No layer with parameters has come yet.
    is_first: bool,
}

impl Work {
    fn add(&mut self, layer: &Layer) {
        let Shape { channels, height, width } = self.shape;
        match layer {
            Layer::Linear { out, .. } => self.product(1, *out, (1, 1)),
            Layer::Conv { out, kernel, stride, padding, .. } => {
                let zeros = if *padding == Padding::Same { 2 * (kernel / 2) } else { 0 };
                let side = |pixels: usize| (pixels + zeros - kernel) / stride + 1;
                self.product(kernel * kernel, *out, (side(height), side(width)));
            }
            Layer::Residual { layers, .. } => layers.iter().for_each(|layer| self.add(layer)),
            Layer::MaxPool { size } => {
                self.shape = Shape { channels, height: height / size, width: width / size };
            }
            Layer::Flatten {} => {
                self.shape = Shape { channels: self.shape.values(), height: 1, width: 1 };
            }
            Layer::Relu {} => {}
        }
    }

    /// A layer whose results are sums over `taps` pixels with all their channels.
    fn product(&mut self, taps: usize, out: Width, (height, width): (usize, usize)) {
        let inputs = taps * self.shape.channels;
        let channels = match out {
            Width::Count(channels) => channels,
            Width::Classes => CLASSES,
        };
        self.shape = Shape { channels, height, width };
        let products = if std::mem::take(&mut self.is_first) { 2 } else { 3 };
        self.multiply_adds += products * inputs * self.shape.values();
    }
}
