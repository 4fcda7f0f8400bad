//! Gradients against finite differences in f64, and against themselves.

use std::num::NonZeroUsize;

use super::super::*;
use super::{ONE, batch, distance, random, reference};
use crate::rng;
use crate::simd::Level;

/// Step of a central difference in f64: its error is far below that of f32.
const STEP: f64 = 1e-6;
/// Parameters of a tensor that are compared.
const SAMPLES: u64 = 4;

#[test]
fn random_models_have_the_gradients_of_finite_differences() {
    for seed in 0..100 {
        let random::Model { text, shape, classes, batch: count } = random::model(seed);
        let recipe = Recipe::parse(&text, "random").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut network = Network::new(&recipe, shape, classes, ONE)
            .unwrap_or_else(|e| panic!("seed {seed}, {shape}: {e}\n{text}"));
        let mut rng = rng::stream(seed, "data", 0);
        let (images, labels) = batch(&mut rng, shape, classes, count);
        let parameters = network.init(seed);
        let mut gradient = vec![f32::NAN; parameters.len()];
        let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
        let layout = network.layout();
        let mut exact: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
        let reference = |parameters: &[f64]| {
            reference::loss(&recipe, layout, parameters, shape, classes, &images, &labels)
        };
        let expected = reference(&exact);
        assert!(
            (loss - expected).abs() < 1e-5 * (1.0 + expected),
            "seed {seed}: {loss} {expected}"
        );
        assert!(gradient.iter().all(|x| x.is_finite()), "seed {seed}: a parameter was left out");
        for tensor in layout.tensors() {
            let (mut found, mut wanted) = (Vec::new(), Vec::new());
            for _ in 0..SAMPLES {
                let length = tensor.values.len() as u64;
                let at = tensor.values.start + rng::below(&mut rng, length) as usize;
                let value = exact[at];
                exact[at] = value + STEP;
                let above = reference(&exact);
                exact[at] = value - STEP;
                let below = reference(&exact);
                exact[at] = value;
                found.push(gradient[at]);
                wanted.push((above - below) / (2.0 * STEP));
            }
            let error = distance(&found, &wanted);
            let name = &tensor.name;
            assert!(
                error < 1e-4,
                "seed {seed}, {shape}, {name}: {error}\n{found:?}\n{wanted:?}\n{text}"
            );
        }
    }
}

#[test]
fn every_level_computes_the_same_and_repeats_itself_to_the_bit() {
    for seed in 0..40 {
        let random::Model { text, shape, classes, batch: count } = random::model(seed);
        let recipe = Recipe::parse(&text, "random").unwrap();
        let (images, labels) = batch(&mut rng::stream(seed, "data", 0), shape, classes, count);
        let mut scalar: Option<Vec<f64>> = None;
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let mut network = Network::at_level(&recipe, shape, classes, ONE, level).unwrap();
            let parameters = network.init(seed);
            let mut gradient = vec![0.0; parameters.len()];
            let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
            let first = gradient.clone();
            // Something else in between leaves nothing behind.
            let other = batch(&mut rng::stream(seed, "other", 0), shape, classes, 21);
            network.gradient(&network.init(seed + 1), &other.0, &other.1, &mut gradient);
            assert_eq!(network.gradient(&parameters, &images, &labels, &mut gradient), loss);
            assert_eq!(gradient, first, "seed {seed} {level}");
            let expected =
                scalar.get_or_insert_with(|| first.iter().copied().map(f64::from).collect());
            assert!(distance(&first, expected) < 1e-4, "seed {seed} {level}");
        }
    }
}

#[test]
fn the_gradient_of_a_batch_is_the_mean_over_its_parts() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    let mut network = Network::new(&recipe, super::MNIST, 10, ONE).unwrap();
    let (images, labels) = batch(&mut rng::stream(5, "data", 0), super::MNIST, 10, 37);
    let parameters = network.init(5);
    let mut whole = vec![0.0; parameters.len()];
    let loss = network.gradient(&parameters, &images, &labels, &mut whole);
    for parts in [vec![37], vec![1, 36], vec![8, 8, 21], vec![5, 30, 2]] {
        let (mut sum, mut loss_sum, mut first) = (vec![0f64; parameters.len()], 0.0, 0);
        for part in parts {
            let images = &images[first * 784..(first + part) * 784];
            let labels = &labels[first..first + part];
            let mut gradient = vec![0.0; parameters.len()];
            let share = part as f64 / 37.0;
            loss_sum += network.gradient(&parameters, images, labels, &mut gradient) * share;
            sum.iter_mut().zip(&gradient).for_each(|(sum, x)| *sum += f64::from(*x) * share);
            first += part;
        }
        assert!(distance(&whole, &sum) < 1e-5 && (loss - loss_sum).abs() < 1e-6);
    }
}

#[test]
fn evaluation_counts_what_the_loss_sees() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    let mut network = Network::new(&recipe, super::MNIST, 10, ONE).unwrap();
    let (images, labels) = batch(&mut rng::stream(6, "data", 0), super::MNIST, 10, 19);
    let parameters = network.init(6);
    let mut gradient = vec![0.0; parameters.len()];
    let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
    let tally = network.evaluate(&parameters, &images, &labels);
    assert_eq!(tally.total, 19);
    assert!((tally.loss_sum / 19.0 - loss).abs() < 1e-6);
    let single = |i: usize| {
        network.evaluate(&parameters, &images[i * 784..(i + 1) * 784], &labels[i..=i]).correct
    };
    assert_eq!((0..19).map(single).sum::<u32>(), tally.correct);
}

#[test]
fn any_number_of_threads_computes_the_same_bits() {
    let recipe = Recipe::builtin("resnet8").unwrap();
    for count in [1, 7, 16, 37, 130] {
        let (images, labels) =
            batch(&mut rng::stream(count as u64, "data", 0), super::MNIST, 10, count);
        let results = [1, 2, 3, 5].map(|threads| {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut network = Network::new(&recipe, super::MNIST, 10, threads).unwrap();
            let parameters = network.init(5);
            let mut gradient = vec![0.0; parameters.len()];
            let loss = network.gradient(&parameters, &images, &labels, &mut gradient);
            (loss, network.evaluate(&parameters, &images, &labels), gradient)
        });
        assert!(results.iter().all(|result| *result == results[0]), "batch {count}");
    }
}
