//! Softmax cross-entropy on logits.

/// The loss of one image, and its gradient with respect to the logits, times `scale`.
pub fn cross_entropy(logits: &[f32], label: u8, scale: f32, delta: &mut [f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    delta.iter_mut().zip(logits).for_each(|(delta, logit)| *delta = (logit - largest).exp());
    let sum: f32 = delta.iter().sum();
    delta.iter_mut().for_each(|delta| *delta *= scale / sum);
    delta[usize::from(label)] -= scale;
    f64::from(sum.ln() + largest - logits[usize::from(label)])
}

/// The class of the largest logit, the first of equal ones.
pub fn prediction(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (1..logits.len()).fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_gradient_of_known_logits() {
        let mut delta = [0.0; 3];
        let loss = cross_entropy(&[0.0, 0.0, 0.0], 1, 1.0, &mut delta);
        assert!((loss - 3f64.ln()).abs() < 1e-6);
        assert!(delta.iter().zip([1.0, -2.0, 1.0]).all(|(a, b)| (a - b / 3.0).abs() < 1e-6));
        let loss = cross_entropy(&[1000.0, -1000.0, 0.0], 0, 0.5, &mut delta);
        assert_eq!((loss, delta), (0.0, [0.0, 0.0, 0.0]));
        assert!(cross_entropy(&[f32::NAN, 0.0, 0.0], 1, 1.0, &mut delta).is_nan());
    }

    #[test]
    fn the_first_of_the_largest_wins() {
        assert_eq!(prediction(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(prediction(&[0.0]), 0);
        assert_eq!(prediction(&[f32::NAN, 1.0]), 0);
    }
}
