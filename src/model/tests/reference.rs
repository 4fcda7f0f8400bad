//! Models as their definitions say, in f64: the oracle of the tests.

use super::super::*;
use crate::flat::Layout;
use crate::shape::Shape;

/// An image or vector in canonical order.
#[derive(Clone)]
struct Activation {
    shape: Shape,
    values: Vec<f64>,
}

impl Activation {
    /// A value, 0 beyond the edge.
    fn at(&self, channel: usize, row: isize, col: isize) -> f64 {
        let Shape { height, width, .. } = self.shape;
        match (usize::try_from(row), usize::try_from(col)) {
            (Ok(row), Ok(col)) if row < height && col < width => {
                self.values[(channel * height + row) * width + col]
            }
            _ => 0.0,
        }
    }

    fn build(shape: Shape, value: impl Fn(usize, usize, usize) -> f64) -> Self {
        let mut values = Vec::new();
        for channel in 0..shape.channels {
            for row in 0..shape.height {
                values.extend((0..shape.width).map(|col| value(channel, row, col)));
            }
        }
        Self { shape, values }
    }
}

/// The mean loss of a batch.
pub fn loss(
    recipe: &Recipe,
    layout: &Layout,
    parameters: &[f64],
    shape: Shape,
    classes: usize,
    images: &[f32],
    labels: &[u8],
) -> f64 {
    let model = Model { layout, parameters, classes };
    let losses = images.chunks(shape.values()).zip(labels).map(|(image, label)| {
        let values = image.iter().copied().map(f64::from).collect();
        let logits = model.layers(recipe.layers(), "", Activation { shape, values }).values;
        logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[usize::from(*label)]
    });
    losses.sum::<f64>() / labels.len() as f64
}

struct Model<'a> {
    layout: &'a Layout,
    parameters: &'a [f64],
    classes: usize,
}

impl Model<'_> {
    fn tensor(&self, name: &str) -> &[f64] {
        &self.parameters[self.layout.tensor(name).unwrap().values.clone()]
    }

    fn layers(&self, layers: &[Layer], prefix: &str, input: Activation) -> Activation {
        layers.iter().fold(input, |input, layer| self.layer(layer, prefix, input))
    }

    fn layer(&self, layer: &Layer, prefix: &str, x: Activation) -> Activation {
        match layer {
            Layer::Linear { name, out } => self.conv(&format!("{prefix}{name}"), *out, 1, 1, 0, &x),
            Layer::Conv { name, out, kernel, stride, padding } => {
                let padding = if *padding == Padding::Same { kernel / 2 } else { 0 };
                self.conv(&format!("{prefix}{name}"), *out, *kernel, *stride, padding, &x)
            }
            Layer::Residual { name, layers } => {
                let y = self.layers(layers, &format!("{prefix}{name}."), x.clone());
                let values = x.values.iter().zip(&y.values).map(|(x, y)| x + y).collect();
                Activation { values, ..x }
            }
            Layer::Relu {} => {
                Activation { values: x.values.iter().map(|x| x.max(0.0)).collect(), ..x }
            }
            Layer::MaxPool { size } => {
                let (height, width) = (x.shape.height / size, x.shape.width / size);
                Activation::build(Shape { height, width, ..x.shape }, |channel, row, col| {
                    let places = (0..size * size).map(|place| {
                        let (row, col) = (row * size + place / size, col * size + place % size);
                        x.at(channel, row as isize, col as isize)
                    });
                    places.fold(f64::NEG_INFINITY, f64::max)
                })
            }
            Layer::Flatten {} => {
                let shape = Shape { channels: x.values.len(), height: 1, width: 1 };
                Activation { shape, ..x }
            }
        }
    }

    fn conv(
        &self,
        name: &str,
        out: Width,
        kernel: usize,
        stride: usize,
        padding: usize,
        x: &Activation,
    ) -> Activation {
        let channels = match out {
            Width::Count(count) => count,
            Width::Classes => self.classes,
        };
        let side = |side: usize| (side + 2 * padding - kernel) / stride + 1;
        let shape = Shape { channels, height: side(x.shape.height), width: side(x.shape.width) };
        let weight = self.tensor(&format!("{name}.weight"));
        let bias = self.tensor(&format!("{name}.bias"));
        Activation::build(shape, |output, row, col| {
            let mut sum = bias[output];
            for input in 0..x.shape.channels {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let row = (row * stride + ky) as isize - padding as isize;
                        let col = (col * stride + kx) as isize - padding as isize;
                        let at = ((output * x.shape.channels + input) * kernel + ky) * kernel + kx;
                        sum += weight[at] * x.at(input, row, col);
                    }
                }
            }
            sum
        })
    }
}
