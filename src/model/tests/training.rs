//! Training lowers the loss.

use super::super::*;
use super::{MNIST, ONE};
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
    let mut network = Network::new(&Recipe::builtin(name).unwrap(), MNIST, 10, ONE).unwrap();
    let (images, labels) = stripes(MNIST, 10, 32);
    let mut parameters = network.init(1);
    let mut gradient = vec![0.0; parameters.len()];
    let mut velocity = vec![0.0; parameters.len()];
    let mut losses = Vec::new();
    for _ in 0..steps {
        losses.push(network.gradient(&parameters, &images, &labels, &mut gradient));
        velocity.iter_mut().zip(&gradient).for_each(|(v, g)| *v = 0.9 * *v + g);
        parameters.iter_mut().zip(&velocity).for_each(|(p, v)| *p -= lr * v);
    }
    (losses[0], losses[steps - 1], network.evaluate(&parameters, &images, &labels))
}

#[test]
fn fc_learns_stripes() {
    let (first, last, tally) = train("fc", 30, 0.01);
    assert!(first > 2.0 && last < 0.2, "{first} {last}");
    assert_eq!((tally.correct, tally.total), (32, 32));
}

#[test]
fn resnet8_learns_stripes() {
    let (first, last, tally) = train("resnet8", 20, 0.05);
    assert!(last < 0.8 * first, "{first} {last}");
    assert!(tally.correct > 16, "{tally:?}");
}
