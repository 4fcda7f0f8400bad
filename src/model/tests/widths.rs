//! Every width, kernel, stride, batch and order of layers that a recipe may ask for, at every level beside candle.

use super::super::*;
use super::{ONE, batch, distance};
use crate::rng;
use crate::shape::Shape;
use crate::simd::Level;

fn parse(layers: &str) -> Recipe {
    let head = "name = \"wide\"\nlayers = [\n";
    let tail = "]\n[defaults]\nlr = 0.1\nmomentum = 0.9\nbatch = 8\n";
    Recipe::parse(&format!("{head}{layers}{tail}"), "wide").unwrap()
}

/// Two convolutions, the second from `inputs` to `outputs` channels, a skip over the third, a pool, a linear layer.
fn recipe(inputs: usize, outputs: usize, kernel: usize, stride: usize, padding: &str) -> Recipe {
    parse(&format!(
        r#"
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
"#
    ))
}

/// Loss, gradient and counts of every level, beside those of candle.
fn check(recipe: &Recipe, shape: Shape, count: usize, what: &str) {
    const CLASSES: usize = 3;
    let (images, labels) = batch(&mut rng::stream(1, what, 0), shape, CLASSES, count);
    let oracle = Reference::new(recipe, shape, CLASSES, ONE).unwrap();
    let parameters = oracle.init(1);
    let mut expected = vec![f32::NAN; parameters.len()];
    let expected_loss = oracle.gradient(&parameters, &images, &labels, &mut expected);
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let mut network = Network::at_level(recipe, shape, CLASSES, ONE, level).unwrap();
        let mut gradient = vec![f32::NAN; parameters.len()];
        let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
        assert!((loss - expected_loss).abs() < 1e-5 * (1.0 + loss), "{what} {level}");
        let tally = network.evaluate(&parameters, &images, &labels);
        assert!((tally.loss_sum / count as f64 - loss).abs() < 1e-6, "{what} {level}");
        for tensor in network.layout().tensors() {
            let values = tensor.values.clone();
            let error = distance(&gradient[values.clone()], &expected[values]);
            assert!(error < 3e-5, "{what} {level} {}: {error}", tensor.name);
        }
    }
}

#[test]
fn every_kernel_stride_and_width_is_right_at_every_level() {
    let shape = Shape { channels: 2, height: 9, width: 7 };
    for (inputs, outputs) in [(1, 1), (31, 33), (32, 32), (33, 64), (64, 40), (96, 32)] {
        for kernel in [1, 3, 5] {
            for (stride, padding) in [(1, "same"), (1, "valid"), (2, "same"), (2, "valid")] {
                let what = format!("{inputs} to {outputs}, {kernel}x{kernel}, {stride}, {padding}");
                let recipe = recipe(inputs, outputs, kernel, stride, padding);
                check(&recipe, shape, 3, &what);
            }
        }
    }
}

#[test]
fn wide_layers_are_right_at_every_level() {
    let shape = Shape { channels: 1, height: 6, width: 5 };
    for (inputs, outputs) in [(512, 1), (1, 512), (512, 512)] {
        let recipe = recipe(inputs, outputs, 3, 1, "same");
        check(&recipe, shape, 1, &format!("{inputs} to {outputs}"));
    }
}

#[test]
fn every_batch_is_right_at_every_level() {
    let shape = Shape { channels: 1, height: 6, width: 5 };
    let recipe = recipe(32, 32, 3, 1, "same");
    for count in [1, 2, 7, 8, 9, 15, 16, 17, 100, 129, 1024] {
        check(&recipe, shape, count, &format!("batch {count}"));
    }
    let vectors = parse(
        r#"
    { kind = "flatten" },
    { kind = "linear", name = "a", out = 20 },
    { kind = "relu" },
    { kind = "linear", name = "b", out = "classes" },
"#,
    );
    for count in [1, 63, 64, 65, 127, 128, 129, 1025] {
        check(&vectors, shape, count, &format!("vectors, batch {count}"));
    }
}

#[test]
fn images_of_several_strips_of_tiles_are_right_at_every_level() {
    for (height, width) in [(20, 21), (9, 90)] {
        let shape = Shape { channels: 1, height, width };
        for padding in ["same", "valid"] {
            let recipe = recipe(32, 64, 3, 1, padding);
            check(&recipe, shape, 2, &format!("{height}x{width}, {padding}"));
        }
    }
}

#[test]
fn layers_in_every_order_are_right_at_every_level() {
    let conv =
        |name: &str, rest: &str| format!("{{ kind = \"conv\", name = \"{name}\", {rest} }},\n");
    let residual = |name: &str, layers: &str| {
        format!("{{ kind = \"residual\", name = \"{name}\", layers = [\n{layers}] }},\n")
    };
    let same = |name: &str| conv(name, "out = 32, kernel = 3, padding = \"same\"");
    let (relu, flatten) = ("{ kind = \"relu\" },\n", "{ kind = \"flatten\" },\n");
    let pool = |size: usize| format!("{{ kind = \"maxpool\", size = {size} }},\n");
    let linear = |name: &str, out: &str| {
        format!("{{ kind = \"linear\", name = \"{name}\", out = {out} }},\n")
    };
    let last = linear("z", "\"classes\"");
    let grey = Shape { channels: 1, height: 9, width: 8 };
    let deep = Shape { channels: 32, ..grey };
    let vector = Shape { channels: 33, height: 1, width: 1 };
    let nested = residual("o", &(same("b") + &residual("i", &(same("c") + relu)) + relu));
    for (what, shape, layers) in [
        ("nested residuals", grey, same("a") + &nested + &pool(2) + flatten + &last),
        (
            "a residual that begins with one",
            grey,
            same("a") + &residual("o", &(residual("i", &same("b")) + &same("c"))) + flatten + &last,
        ),
        ("a residual of one layer", deep, residual("r", &same("a")) + relu + flatten + &last),
        ("a deep input behind a ReLU", deep, relu.to_owned() + &same("a") + flatten + &last),
        ("a deep input behind a pooling", deep, pool(2) + &same("a") + flatten + &last),
        ("a pooling of four", grey, same("a") + &pool(4) + flatten + &last),
        (
            "even kernels",
            grey,
            conv("a", "out = 32, kernel = 2")
                + &conv("b", "out = 5, kernel = 4, stride = 2")
                + flatten
                + &last,
        ),
        (
            "a kernel of seven",
            grey,
            conv("a", "out = 33, kernel = 7, padding = \"same\"") + &pool(3) + flatten + &last,
        ),
        (
            "logits of a convolution",
            grey,
            same("a") + &pool(8) + &conv("z", "out = \"classes\", kernel = 1"),
        ),
        ("logits of a pooling", grey, conv("z", "out = \"classes\", kernel = 1") + &pool(8)),
        (
            "a convolution behind a linear layer",
            vector,
            linear("a", "40") + relu + &conv("b", "out = 32, kernel = 1") + flatten + &last,
        ),
        (
            "vectors in a residual",
            vector,
            residual("r", &(linear("a", "33") + relu + flatten)) + &last,
        ),
    ] {
        check(&parse(&layers), shape, 5, what);
    }
}

#[test]
fn a_batch_that_is_no_number_leaves_nothing_behind() {
    let shape = Shape { channels: 1, height: 9, width: 8 };
    let recipe = recipe(33, 40, 3, 1, "same");
    let (images, labels) = batch(&mut rng::stream(1, "clean", 0), shape, 3, 9);
    let mut network = Network::new(&recipe, shape, 3, ONE).unwrap();
    let parameters = network.init(1);
    let mut clean = vec![0.0; parameters.len()];
    let loss = network.gradient(&parameters, &images, &labels, &mut clean);
    let mut gradient = vec![0.0; parameters.len()];
    let nowhere = vec![f32::NAN; images.len()];
    assert!(network.gradient(&parameters, &nowhere, &labels, &mut gradient).is_nan());
    assert!(gradient.iter().any(|x| x.is_nan()), "a NaN does not vanish");
    assert_eq!(network.gradient(&parameters, &images, &labels, &mut gradient), loss);
    assert_eq!(gradient, clean);
}
