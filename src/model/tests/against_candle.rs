//! The kernels against the reference engine, which goes through candle.

use super::super::*;
use super::{MNIST, ONE, batch, distance, random};
use crate::rng;

#[test]
fn random_models_have_the_losses_and_gradients_of_the_reference() {
    for seed in 0..150 {
        let random::Model { text, shape, classes, batch: count } = random::model(seed);
        let recipe = Recipe::parse(&text, "random").unwrap();
        let mut network = Network::new(&recipe, shape, classes, ONE).unwrap();
        let reference = Reference::new(&recipe, shape, classes, ONE).unwrap();
        assert_eq!(network.layout(), reference.layout());
        let parameters = network.init(seed);
        assert_eq!(parameters, reference.init(seed));
        let (images, labels) = batch(&mut rng::stream(seed, "data", 0), shape, classes, count);
        let mut gradient = vec![f32::NAN; parameters.len()];
        let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
        let mut expected = vec![f32::NAN; parameters.len()];
        let expected_loss = reference.gradient(&parameters, &images, &labels, &mut expected);
        let apart = (loss - expected_loss).abs();
        assert!(apart < 1e-5 * (1.0 + expected_loss), "seed {seed}: {loss} {expected_loss}");
        for tensor in network.layout().tensors() {
            let expected: Vec<_> =
                expected[tensor.values.clone()].iter().copied().map(f64::from).collect();
            let error = distance(&gradient[tensor.values.clone()], &expected);
            assert!(error < 1e-4, "seed {seed}, {shape}, {}: {error}\n{text}", tensor.name);
        }
        let (tally, expected) = (
            network.evaluate(&parameters, &images, &labels),
            reference.evaluate(&parameters, &images, &labels),
        );
        assert_eq!((tally.correct, tally.total), (expected.correct, expected.total), "seed {seed}");
        let apart = (tally.loss_sum - expected.loss_sum).abs();
        assert!(apart < 1e-5 * (1.0 + expected.loss_sum), "seed {seed}");
    }
}

#[test]
fn a_batch_of_several_chunks_is_one_batch_however_many_threads() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    let mut network = Network::new(&recipe, MNIST, 10, ONE).unwrap();
    let parameters = network.init(3);
    let (images, labels) = batch(&mut rng::stream(3, "data", 0), MNIST, 10, 70);
    let mut gradient = vec![0.0; parameters.len()];
    let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
    let results = [1, 3].map(|threads| {
        let threads = std::num::NonZeroUsize::new(threads).unwrap();
        let reference = Reference::new(&recipe, MNIST, 10, threads).unwrap();
        assert_eq!(reference.threads(), threads);
        let mut expected = vec![0.0; parameters.len()];
        let expected_loss = reference.gradient(&parameters, &images, &labels, &mut expected);
        assert_eq!(reference.evaluate(&parameters, &images, &labels).total, 70);
        (expected_loss, expected)
    });
    assert!(results[0] == results[1], "threads change a bit");
    let expected: Vec<_> = results[0].1.iter().copied().map(f64::from).collect();
    assert!((loss - results[0].0).abs() < 1e-5 && distance(&gradient, &expected) < 1e-4);
}

#[test]
fn values_that_are_exactly_0_have_the_same_gradient_too() {
    // Without biases a dark image is 0 all the way, and every ReLU and every window is a tie.
    let dark = Recipe::builtin("resnet8").unwrap().text().to_owned();
    let dark = dark.replacen("layers = [", "init = \"he\"\nlayers = [", 1);
    let recipe = Recipe::parse(&dark, "dark").unwrap();
    let (mut images, labels) = batch(&mut rng::stream(5, "data", 0), MNIST, 10, 3);
    images[..MNIST.values() + 300].fill(0.0);
    let [native, candle] = [Engine::Native, Engine::Candle].map(|engine| {
        let mut model = Model::new(engine, &recipe, MNIST, 10, ONE).unwrap();
        let mut gradient = vec![0.0; model.layout().values()];
        model.gradient(&model.init(5), &images, &labels, &mut gradient);
        gradient
    });
    let candle: Vec<_> = candle.into_iter().map(f64::from).collect();
    assert!(distance(&native, &candle) < 1e-5);
}

#[test]
fn an_image_that_is_no_number_is_not_hidden() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    for engine in [Engine::Native, Engine::Candle] {
        let mut model = Model::new(engine, &recipe, MNIST, 10, ONE).unwrap();
        let (mut images, labels) = batch(&mut rng::stream(4, "data", 0), MNIST, 10, 2);
        images[300] = f32::NAN;
        let parameters = model.init(4);
        let mut gradient = vec![0.0; parameters.len()];
        let loss = model.gradient(&parameters, &images, &labels, &mut gradient);
        assert!(loss.is_nan() && gradient.iter().any(|x| x.is_nan()), "{engine}");
        assert!(model.evaluate(&parameters, &images, &labels).loss_sum.is_nan(), "{engine}");
    }
}

#[test]
fn a_model_says_what_computes() {
    let recipe = Recipe::builtin("fc").unwrap();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let native = Model::new(Engine::Native, &recipe, MNIST, 10, two).unwrap().to_string();
    assert!(native.starts_with("fc, ") && native.ends_with(", 2 threads"), "{native}");
    let candle = Model::new(Engine::Candle, &recipe, MNIST, 10, ONE).unwrap().to_string();
    assert_eq!(candle, "fc, candle, 1 thread");
}
