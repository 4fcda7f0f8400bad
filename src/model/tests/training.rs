//! Training lowers the loss.

use super::super::*;
use super::MNIST;
use crate::rng;
use crate::shape::Shape;

/// Noise, and a bright stripe whose place tells the class.
fn stripes(shape: Shape, classes: usize, count: usize) -> (Vec<f32>, Vec<u8>) {
    let (mut images, labels) =
        super::batch(&mut rng::stream(2, "stripes", 0), shape, classes, count);
    let band = shape.height / classes;
    for (image, label) in images.chunks_mut(shape.values()).zip(&labels) {
        let first = usize::from(*label) * band * shape.width;
        image[first..first + band * shape.width].iter_mut().for_each(|x| *x += 1.0);
    }
    (images, labels)
}

fn train(name: &str, steps: usize, lr: f32) -> (f64, f64, Tally) {
    let mut network = Network::new(&Recipe::builtin(name).unwrap(), MNIST, 10).unwrap();
    let (images, labels) = stripes(MNIST, 10, 64);
    let mut parameters = network.init(1);
    let mut gradient = vec![0.0; parameters.len()];
    let mut losses = Vec::new();
    for _ in 0..steps {
        losses.push(network.gradient(&parameters, &images, &labels, &mut gradient));
        parameters.iter_mut().zip(&gradient).for_each(|(p, g)| *p -= lr * g);
    }
    (losses[0], losses[steps - 1], network.evaluate(&parameters, &images, &labels))
}

#[test]
fn fc_learns_stripes() {
    let (first, last, tally) = train("fc", 40, 0.05);
    assert!(first > 2.0 && last < 0.2, "{first} {last}");
    assert_eq!((tally.correct, tally.total), (64, 64));
}

#[test]
fn resnet8_learns_stripes() {
    let (first, last, tally) = train("resnet8", 12, 0.1);
    assert!(last < 0.8 * first, "{first} {last}");
    assert!(tally.correct > 20, "{tally:?}");
}
