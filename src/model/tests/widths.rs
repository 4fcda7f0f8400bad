//! Every width, kernel, stride and batch that a recipe may ask for, at every level beside the oracle.

use super::super::*;
use super::{ONE, batch, distance, reference};
use crate::rng;
use crate::shape::Shape;
use crate::simd::Level;

/// Two convolutions, the second from `inputs` to `outputs` channels, a skip over the third, a pool that drops a row, a
/// linear layer.
fn recipe(inputs: usize, outputs: usize, kernel: usize, stride: usize, padding: &str) -> Recipe {
    let text = format!(
        r#"
name = "wide"
layers = [
    {{ kind = "conv", name = "a", out = {inputs}, kernel = 1 }},
    {{ kind = "relu" }},
    {{ kind = "conv", name = "b", out = {outputs}, kernel = {kernel}, stride = {stride}, padding = "{padding}" }},
    {{ kind = "residual", name = "r", layers = [
        {{ kind = "conv", name = "c", out = {outputs}, kernel = {kernel}, padding = "same" }},
    ] }},
    {{ kind = "relu" }},
    {{ kind = "maxpool", size = 2 }},
    {{ kind = "flatten" }},
    {{ kind = "linear", name = "d", out = "classes" }},
]
[defaults]
lr = 0.1
momentum = 0.9
batch = 8
"#
    );
    Recipe::parse(&text, "wide").unwrap()
}

/// Gradients of every level for the same batch, each compared with that of the scalar one; the loss with that of the
/// definition in f64.
fn check(recipe: &Recipe, shape: Shape, count: usize, what: &str) {
    const CLASSES: usize = 3;
    let (images, labels) = batch(&mut rng::stream(1, what, 0), shape, CLASSES, count);
    let mut oracle: Option<Vec<f64>> = None;
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let mut network = Network::at_level(recipe, shape, CLASSES, ONE, level).unwrap();
        let parameters = network.init(1);
        let mut gradient = vec![f32::NAN; parameters.len()];
        let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
        let tally = network.evaluate(&parameters, &images, &labels);
        assert!((tally.loss_sum / count as f64 - loss).abs() < 1e-6, "{what} {level}");
        let expected = oracle.get_or_insert_with(|| {
            let exact: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
            let layout = network.layout();
            let expected =
                reference::loss(recipe, layout, &exact, shape, CLASSES, &images, &labels);
            assert!((loss - expected).abs() < 1e-5 * (1.0 + expected), "{what}: {loss} {expected}");
            gradient.iter().copied().map(f64::from).collect()
        });
        for tensor in network.layout().tensors() {
            let values = tensor.values.clone();
            let error = distance(&gradient[values.clone()], &expected[values]);
            assert!(error < 2e-5, "{what} {level} {}: {error}", tensor.name);
        }
    }
}

#[test]
fn every_kernel_stride_and_width_is_that_of_the_oracle_at_every_level() {
    let shape = Shape { channels: 2, height: 9, width: 7 };
    for (inputs, outputs) in [(1, 1), (31, 33), (32, 32), (33, 64), (64, 40), (96, 32)] {
        for kernel in [1, 3, 5] {
            for (stride, padding) in [(1, "same"), (1, "valid"), (2, "same"), (2, "valid")] {
                let what = format!("{inputs} to {outputs}, {kernel}x{kernel}, {stride}, {padding}");
                let recipe = recipe(inputs, outputs, kernel, stride, padding);
                // A result of a single pixel cannot be pooled.
                if Network::new(&recipe, shape, 3, ONE).is_ok() {
                    check(&recipe, shape, 3, &what);
                }
            }
        }
    }
}

#[test]
fn wide_layers_are_those_of_the_oracle_at_every_level() {
    let shape = Shape { channels: 1, height: 6, width: 5 };
    for (inputs, outputs) in [(512, 1), (1, 512), (512, 512)] {
        let recipe = recipe(inputs, outputs, 3, 1, "same");
        check(&recipe, shape, 1, &format!("{inputs} to {outputs}"));
    }
}

#[test]
fn every_batch_is_that_of_the_oracle_at_every_level() {
    let shape = Shape { channels: 1, height: 6, width: 5 };
    let recipe = recipe(32, 32, 3, 1, "same");
    for count in [1, 2, 7, 8, 9, 15, 16, 17, 100, 129, 1024] {
        check(&recipe, shape, count, &format!("batch {count}"));
    }
}
