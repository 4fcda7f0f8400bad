//! Every kernel of every level that this processor has, against loops in f64.

use rand_chacha::rand_core::RngCore;

use super::*;
use crate::rng;

/// A random convolution: geometry, and values in `[-1, 1)`.
struct Case {
    rows: usize,
    cols: usize,
    input: Vec<f32>,
    input_strides: Strides,
    taps: Vec<usize>,
    run: usize,
    weights: Vec<Lanes>,
    output: Vec<f32>,
    output_strides: Strides,
}

fn values(rng: &mut impl RngCore, len: usize) -> Vec<f32> {
    (0..len).map(|_| (rng::unit(rng) * 2.0 - 1.0) as f32).collect()
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut rng = rng::stream(seed, "kernel", 0);
        let mut up_to = |max: u64| 1 + rng::below(&mut rng, max) as usize;
        let (rows, cols, run, step) = (up_to(6), up_to(40), up_to(20), up_to(3));
        let input_strides = Strides { row: cols * step * run + up_to(9), col: step * run };
        let output_strides = Strides { row: cols * LANES * step + 32, col: LANES * step };
        let taps: Vec<_> = (0..up_to(4)).map(|tap| tap * up_to(50)).collect();
        let last = (rows - 1) * input_strides.row + (cols - 1) * input_strides.col;
        let input_len = last + taps.iter().max().unwrap() + run;
        let input = values(&mut rng, input_len);
        let weights = values(&mut rng, taps.len() * run * LANES);
        let output = values(&mut rng, rows * output_strides.row);
        let weights = weights.as_chunks().0.to_vec();
        Self { rows, cols, input, input_strides, taps, run, weights, output, output_strides }
    }

    fn input(&self, row: usize, col: usize, tap: usize, k: usize) -> f64 {
        let at = row * self.input_strides.row + col * self.input_strides.col;
        f64::from(self.input[at + self.taps[tap] + k])
    }

    /// Where lane `lane` of a pixel lies in the output.
    fn at(&self, row: usize, col: usize, lane: usize) -> usize {
        row * self.output_strides.row + col * self.output_strides.col + lane
    }

    fn pixels(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.rows).flat_map(|row| (0..self.cols).map(move |col| (row, col)))
    }

    fn rows_of_weights(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.taps.len()).flat_map(|tap| (0..self.run).map(move |k| (tap, k)))
    }
}

fn kernels() -> impl Iterator<Item = &'static Kernels> {
    Level::ALL.into_iter().filter_map(|level| Kernels::of(level).ok())
}

fn close(found: f32, expected: f64) -> bool {
    (f64::from(found) - expected).abs() <= 2e-5 * (1.0 + expected.abs())
}

#[test]
fn convolutions_are_those_of_the_oracle_at_every_level() {
    for seed in 0..60 {
        let case = Case::random(seed);
        let bias: Lanes = std::array::from_fn(|lane| lane as f32 / 16.0 - 1.0);
        for (accumulate, relu) in [(false, false), (false, true), (true, false)] {
            for kernels in kernels() {
                let start = if accumulate { Start::Output } else { Start::Bias(&bias) };
                let convolution = Convolution {
                    rows: case.rows,
                    cols: case.cols,
                    input: Grid { values: &case.input, strides: case.input_strides },
                    taps: &case.taps,
                    run: case.run,
                    weights: &case.weights,
                    start,
                    relu,
                    output: case.output_strides,
                };
                let mut output = case.output.clone();
                kernels.convolve(&convolution, &mut output);
                let mut expected: Vec<f64> = case.output.iter().copied().map(f64::from).collect();
                for (row, col) in case.pixels() {
                    for (lane, bias) in bias.iter().enumerate() {
                        let at = case.at(row, col, lane);
                        let start = if accumulate { expected[at] } else { f64::from(*bias) };
                        let products = case.rows_of_weights().map(|(tap, k)| {
                            let weight = case.weights[tap * case.run + k][lane];
                            case.input(row, col, tap, k) * f64::from(weight)
                        });
                        let sum = start + products.sum::<f64>();
                        expected[at] = if relu { sum.max(0.0) } else { sum };
                    }
                }
                for (found, expected) in output.iter().zip(expected) {
                    assert!(close(*found, expected), "seed {seed} {}", kernels.level());
                }
            }
        }
    }
}

#[test]
fn weight_gradients_are_those_of_the_oracle_at_every_level() {
    for seed in 0..60 {
        let case = Case::random(seed);
        for kernels in kernels() {
            let gradient = WeightGradient {
                rows: case.rows,
                cols: case.cols,
                input: Grid { values: &case.input, strides: case.input_strides },
                taps: &case.taps,
                run: case.run,
                delta: Grid { values: &case.output, strides: case.output_strides },
            };
            let (mut weights, mut bias) = (case.weights.clone(), [0.5; LANES]);
            kernels.weight_gradient(&gradient, &mut weights, &mut bias);
            for lane in 0..LANES {
                let delta =
                    |(row, col): (usize, usize)| f64::from(case.output[case.at(row, col, lane)]);
                let expected = 0.5 + case.pixels().map(delta).sum::<f64>();
                assert!(close(bias[lane], expected), "seed {seed} {} bias", kernels.level());
                for (tap, k) in case.rows_of_weights() {
                    let row = tap * case.run + k;
                    let products =
                        case.pixels().map(|at| delta(at) * case.input(at.0, at.1, tap, k));
                    let expected = f64::from(case.weights[row][lane]) + products.sum::<f64>();
                    assert!(close(weights[row][lane], expected), "seed {seed} {}", kernels.level());
                }
            }
        }
    }
}

#[test]
fn a_nan_comes_through_a_relu() {
    for kernels in kernels() {
        let convolution = Convolution {
            rows: 1,
            cols: 1,
            input: Grid { values: &[f32::NAN], strides: Strides::default() },
            taps: &[0],
            run: 1,
            weights: &[[1.0; LANES]],
            start: Start::Bias(&[0.0; LANES]),
            relu: true,
            output: Strides::default(),
        };
        let mut output = [0.0; LANES];
        kernels.convolve(&convolution, &mut output);
        assert!(output.iter().all(|value| value.is_nan()));
    }
}
