//! Every kernel of every level that this processor has, against what it is said to be.

use rand_chacha::rand_core::RngCore;

use super::*;
use crate::rng;

fn kernels() -> impl Iterator<Item = &'static Kernels> {
    Level::ALL.into_iter().filter_map(|level| Kernels::of(level).ok())
}

#[test]
fn every_level_of_this_processor_has_kernels_of_its_own() {
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        assert_eq!(Kernels::of(level).unwrap().level(), level);
    }
    assert_eq!(Level::Neon.is_available(), cfg!(target_arch = "aarch64"));
}

#[test]
fn every_round_of_multiply_adds_counts() {
    for kernels in kernels() {
        let once = kernels.multiply_adds(1);
        assert!(once > 0 && kernels.multiply_adds(5) == 5 * once, "{}", kernels.level());
    }
}

/// Values in `[-1, 1)`.
fn values(rng: &mut impl RngCore, len: usize) -> Vec<f32> {
    (0..len).map(|_| (rng::unit(rng) * 2.0 - 1.0) as f32).collect()
}

fn check(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (f64::from(*found) - expected).abs() <= 2e-5 * (1.0 + expected.abs());
        assert!(close, "{what}, value {i}: {found}, not {expected}");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Calls `visit` with the turns of three loops.
fn loops([a, b, c]: [usize; 3], mut visit: impl FnMut([usize; 3])) {
    (0..a).for_each(|i| (0..b).for_each(|j| (0..c).for_each(|k| visit([i, j, k]))));
}

fn place(turns: [usize; 3], steps: [usize; 3]) -> usize {
    turns.iter().zip(steps).map(|(turn, step)| turn * step).sum()
}

#[test]
fn products_are_sums_of_products_at_every_level() {
    for seed in 0..300 {
        let mut rng = rng::stream(seed, "product", 0);
        let mut up_to = |max: u64| 1 + rng::below(&mut rng, max) as usize;
        let (rows, cols) = (up_to(40), [1, 7, 16, 31, 32, 50, 70][up_to(7) - 1]);
        let terms = [up_to(3), up_to(3), up_to(20)];
        let left_row = [1, 1, 3, 32][up_to(4) - 1];
        let left_terms = [up_to(60), up_to(20), up_to(5)];
        let right_terms = [up_to(900), up_to(300), cols + up_to(9)];
        let (out_row, skip_row) = (cols + up_to(40), cols + up_to(5));
        let (skipped, relu, start) = (up_to(2) == 1, up_to(2) == 1, up_to(3));
        let last = terms.map(|turns| turns - 1);
        let left = values(&mut rng, (rows - 1) * left_row + place(last, left_terms) + 1);
        let right = values(&mut rng, place(last, right_terms) + cols);
        let (bias, out) = (values(&mut rng, cols), values(&mut rng, rows * out_row));
        let skip = values(&mut rng, rows * skip_row);
        let mut expected = wide(&out);
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let at = row * out_row + col;
            let mut sum = [0.0, f64::from(bias[col]), expected[at]][start - 1];
            loops(terms, |turns| {
                let value = left[row * left_row + place(turns, left_terms)];
                sum += f64::from(value) * f64::from(right[place(turns, right_terms) + col]);
            });
            sum += if skipped { f64::from(skip[row * skip_row + col]) } else { 0.0 };
            expected[at] = if relu { sum.max(0.0) } else { sum };
        }
        let product = Product {
            rows,
            cols,
            terms,
            left: Factor { values: &left, terms: left_terms },
            left_row,
            right: Factor { values: &right, terms: right_terms },
            out_row,
            start: [Start::Zero, Start::Bias(&bias), Start::Output][start - 1],
            skip: skipped.then_some(Skip { values: &skip, row: skip_row }),
            relu,
        };
        for kernels in kernels() {
            let mut found = out.clone();
            kernels.product(&product, &mut found);
            check(&found, &expected, &format!("seed {seed}, {}", kernels.level()));
        }
    }
}

#[test]
fn dots_are_sums_of_products_at_every_level() {
    for seed in 0..100 {
        let mut rng = rng::stream(seed, "dot", 0);
        let mut up_to = |max: u64| 1 + rng::below(&mut rng, max) as usize;
        let (rows, cols, terms) = (up_to(12), up_to(13), up_to(100));
        let (left_row, out_row, relu) = (terms + up_to(9), cols + up_to(40), up_to(2) == 1);
        let (left, right) = (values(&mut rng, rows * left_row), values(&mut rng, cols * terms));
        let (bias, out) = (values(&mut rng, cols), values(&mut rng, rows * out_row));
        let mut expected = wide(&out);
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let product =
                |t: usize| f64::from(left[row * left_row + t]) * f64::from(right[col * terms + t]);
            let sum = f64::from(bias[col]) + (0..terms).map(product).sum::<f64>();
            expected[row * out_row + col] = if relu { sum.max(0.0) } else { sum };
        }
        let (left, right) = (left.as_slice(), right.as_slice());
        let dot = Dot { rows, cols, terms, left, left_row, right, bias: &bias, relu, out_row };
        for kernels in kernels() {
            let mut found = out.clone();
            kernels.dot(&dot, &mut found);
            check(&found, &expected, &format!("seed {seed}, {}", kernels.level()));
        }
    }
}

/// A random image of `channels` channels, and a 3x3 kernel for each of them.
fn filters(seed: u64, side: usize, channels: usize) -> (Vec<f32>, Vec<f32>) {
    let mut rng = rng::stream(seed, "filter", 0);
    (values(&mut rng, side * side * channels), values(&mut rng, 9 * channels))
}

#[test]
fn winograd_forth_is_a_convolution_at_every_level() {
    const CHANNELS: usize = 64;
    // Eight pixels make a row of six: three tiles, the last of which is cut in two for five.
    for (cols, rows, seed) in [(6, 2, 1), (5, 2, 2), (5, 1, 3)] {
        let (image, kernel) = filters(seed, 8, CHANNELS);
        let mut rng = rng::stream(seed, "finish", 0);
        let (bias, skip) = (values(&mut rng, CHANNELS), values(&mut rng, 2 * 9 * CHANNELS));
        let at = |row: usize, col: usize| (row * 8 + col) * CHANNELS;
        let mut expected = vec![7.0; 2 * 6 * CHANNELS];
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            for channel in 0..CHANNELS {
                let tap = |t: usize| {
                    f64::from(kernel[t * CHANNELS + channel])
                        * f64::from(image[at(row + t / 3, col + t % 3) + channel])
                };
                let start = bias[channel] + skip[(row * 9 + col) * CHANNELS + channel];
                let sum = f64::from(start) + (0..9).map(tap).sum::<f64>();
                expected[(row * 6 + col) * CHANNELS + channel] = sum.max(0.0);
            }
        }
        for kernels in kernels() {
            let tiles = 3;
            let strides = Strides { row: 8 * CHANNELS, col: CHANNELS };
            let plane = (tiles + 1) * CHANNELS;
            let row = TileRow { tiles, depth: CHANNELS, pixels: strides, plane };
            let mut transformed = vec![0.0; PLACES * plane];
            kernels.winograd_input(&row, &image, &mut transformed);
            let mut weights = vec![0.0; PLACES * CHANNELS];
            kernels.winograd_weights(&kernel, &mut weights);
            for (place, values) in transformed.chunks_mut(plane).enumerate() {
                let weights = &weights[place * CHANNELS..][..CHANNELS];
                for pixel in values.chunks_mut(CHANNELS) {
                    pixel.iter_mut().zip(weights).for_each(|(value, weight)| *value *= weight);
                }
            }
            let skip = (skip.as_slice(), Strides { row: 9 * CHANNELS, col: CHANNELS });
            let finish = Finish { bias: &bias, skip: Some(skip), relu: true, rows, cols };
            let strides = Strides { row: 6 * CHANNELS, col: CHANNELS };
            let mut found = vec![7.0; 2 * 6 * CHANNELS];
            let row = TileRow { pixels: strides, ..row };
            kernels.winograd_output(&row, &transformed, &finish, &mut found);
            check(&found, &expected, &format!("{rows}x{cols}, {}", kernels.level()));
        }
    }
}

/// `sum of a * b` in f64.
fn inner(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// A transform `f` and the way back `g` of its gradient are adjoint: `f(x) . y = x . g(y)` for all `x` and `y`.
#[test]
fn the_ways_back_of_winograd_are_adjoint_to_the_ways_forth() {
    const DEPTH: usize = 32;
    for kernels in kernels() {
        let level = kernels.level();
        let mut rng = rng::stream(9, "adjoint", 0);
        let tiles = 3;
        let strides = Strides { row: 8 * DEPTH, col: DEPTH };
        let plane = tiles * DEPTH;
        let row = TileRow { tiles, depth: DEPTH, pixels: strides, plane };
        let transformed = values(&mut rng, PLACES * plane);

        let image = values(&mut rng, 4 * 8 * DEPTH);
        let (mut forth, mut back) = (vec![0.0; PLACES * plane], vec![0.0; 4 * 8 * DEPTH]);
        kernels.winograd_input(&row, &image, &mut forth);
        let spread = Spread { beyond: (0, 0), rows: 4, cols: 8, added: 0 };
        kernels.winograd_spread(&row, &transformed, &spread, &mut back);
        check(&[inner(&forth, &transformed) as f32], &[inner(&image, &back)], &format!("{level}"));

        let deltas = values(&mut rng, 2 * 8 * DEPTH);
        let (mut forth, mut back) = (vec![0.0; 2 * 8 * DEPTH], vec![0.0; PLACES * plane]);
        let finish = Finish { bias: &[0.0; DEPTH], skip: None, relu: false, rows: 2, cols: 6 };
        kernels.winograd_output(&row, &transformed, &finish, &mut forth);
        let mut bias = [1.0; DEPTH];
        kernels.winograd_delta(&row, &deltas, &mut back, &mut bias);
        let inside: Vec<f32> =
            deltas.chunks(8 * DEPTH).flat_map(|row| &row[..6 * DEPTH]).copied().collect();
        let found: Vec<f32> =
            forth.chunks(8 * DEPTH).flat_map(|row| &row[..6 * DEPTH]).copied().collect();
        check(&[inner(&found, &inside) as f32], &[inner(&transformed, &back)], &format!("{level}"));
        let sums: Vec<f64> = (0..DEPTH)
            .map(|channel| {
                1.0 + inside[channel..].iter().step_by(DEPTH).copied().map(f64::from).sum::<f64>()
            })
            .collect();
        check(&bias, &sums, &format!("{level} bias"));

        let (taps, matrices) = (values(&mut rng, 9 * DEPTH), values(&mut rng, PLACES * DEPTH));
        let (mut forth, mut back) = (vec![0.0; PLACES * DEPTH], vec![0.0; 9 * DEPTH]);
        kernels.winograd_weights(&taps, &mut forth);
        kernels.winograd_taps(&matrices, &mut back);
        check(&[inner(&forth, &matrices) as f32], &[inner(&taps, &back)], &format!("{level}"));
    }
}

#[test]
fn the_gradient_of_pixels_beyond_the_edge_is_left_out() {
    const DEPTH: usize = 32;
    for kernels in kernels() {
        let mut rng = rng::stream(4, "edge", 0);
        let (tiles, plane) = (3, 3 * DEPTH);
        let strides = Strides { row: 8 * DEPTH, col: DEPTH };
        let row = TileRow { tiles, depth: DEPTH, pixels: strides, plane };
        let transformed = values(&mut rng, PLACES * plane);
        let mut whole = vec![0.0; 4 * 8 * DEPTH];
        let spread = Spread { beyond: (0, 0), rows: 4, cols: 8, added: 0 };
        kernels.winograd_spread(&row, &transformed, &spread, &mut whole);
        // The first row and column are outside, so are the last row and two columns; one row has a value already.
        let mut found = vec![3.0; 4 * 8 * DEPTH];
        let spread = Spread { beyond: (1, 1), rows: 2, cols: 5, added: 2 };
        kernels.winograd_spread(&row, &transformed, &spread, &mut found);
        for (i, found) in found.chunks(DEPTH).enumerate() {
            let (row, col) = (i / 8, i % 8);
            for (channel, found) in found.iter().enumerate() {
                let expected = match (row, col) {
                    (0..2, 0..5) => {
                        let before = if row == 0 { 3.0 } else { 0.0 };
                        before + whole[((row + 1) * 8 + col + 1) * DEPTH + channel]
                    }
                    _ => 3.0,
                };
                assert_eq!(*found, expected, "{} ({row}, {col})", kernels.level());
            }
        }
    }
}

#[test]
fn a_nan_comes_through_a_relu() {
    for kernels in kernels() {
        let product = Product {
            rows: 1,
            cols: 33,
            terms: [1, 1, 1],
            left: Factor { values: &[f32::NAN], terms: [0; 3] },
            left_row: 1,
            right: Factor { values: &[1.0; 33], terms: [0; 3] },
            out_row: 33,
            start: Start::Zero,
            skip: None,
            relu: true,
        };
        let mut out = [0.0; 33];
        kernels.product(&product, &mut out);
        assert!(out.iter().all(|value| value.is_nan()));
    }
}

#[test]
fn a_slice_that_is_too_short_is_refused() {
    let kernels = Kernels::of(Level::Scalar).unwrap();
    let product = |left: usize, right: usize, out: usize| {
        let (left, right, mut out) = (vec![0.0; left], vec![0.0; right], vec![0.0; out]);
        std::panic::catch_unwind(move || {
            let product = Product {
                rows: 3,
                cols: 32,
                terms: [1, 2, 4],
                left: Factor { values: &left, terms: [0, 10, 1] },
                left_row: 5,
                right: Factor { values: &right, terms: [0, 100, 32] },
                out_row: 40,
                start: Start::Zero,
                skip: None,
                relu: false,
            };
            kernels.product(&product, &mut out);
        })
    };
    let (left, right, out) = (2 * 5 + 10 + 3 + 1, 100 + 3 * 32 + 32, 2 * 40 + 32);
    assert!(product(left, right, out).is_ok());
    assert!(product(left - 1, right, out).is_err());
    assert!(product(left, right - 1, out).is_err());
    assert!(product(left, right, out - 1).is_err());
}

#[test]
fn tiles_that_do_not_fit_are_refused() {
    let kernels = Kernels::of(Level::Scalar).unwrap();
    let good = TileRow { tiles: 2, depth: 32, pixels: Strides { row: 6 * 32, col: 32 }, plane: 64 };
    let (pixels, len) = (vec![0.0; 4 * 6 * 32], PLACES * 64);
    let input = |at: TileRow, pixels: &[f32], len: usize| {
        let pixels = pixels.to_vec();
        std::panic::catch_unwind(move || {
            kernels.winograd_input(&at, &pixels, &mut vec![0.0; len]);
        })
    };
    assert!(input(good, &pixels, len).is_ok());
    let huge = usize::MAX / 32;
    for at in [
        TileRow { tiles: 0, ..good },
        TileRow { tiles: huge, ..good },
        TileRow { depth: 1, ..good },
        TileRow { depth: 33, ..good },
        TileRow { plane: 63, ..good },
        TileRow { plane: huge, ..good },
        TileRow { pixels: Strides { row: huge, col: 32 }, ..good },
        TileRow { pixels: Strides { row: 6 * 32, col: usize::MAX }, ..good },
    ] {
        assert!(input(at, &pixels, len).is_err(), "{at:?}");
    }
    assert!(input(good, &pixels[1..], len).is_err() && input(good, &pixels, len - 1).is_err());
    let spread = |rows: usize, cols: usize| {
        let (tiles, spread) = (vec![0.0; len], Spread { beyond: (0, 0), rows, cols, added: 4 });
        std::panic::catch_unwind(move || {
            kernels.winograd_spread(&good, &tiles, &spread, &mut vec![0.0; 4 * 6 * 32]);
        })
    };
    assert!(spread(4, 6).is_ok() && spread(0, 6).is_err() && spread(4, 0).is_err());
    assert!(spread(5, 6).is_err());
    let overflow = std::panic::catch_unwind(move || {
        let product = Product {
            rows: 2,
            cols: 1,
            terms: [1, 1, 2],
            left: Factor { values: &[1.0], terms: [0, 0, usize::MAX] },
            left_row: 1,
            right: Factor { values: &[1.0; 2], terms: [0, 0, 1] },
            out_row: 1,
            start: Start::Zero,
            skip: None,
            relu: false,
        };
        kernels.product(&product, &mut [0.0; 2]);
    });
    assert!(overflow.is_err());
}

#[test]
fn what_is_done_to_single_values_is_right_at_every_level() {
    let mut rng = rng::stream(3, "single", 0);
    for len in 0..70 {
        let mut gates = values(&mut rng, len);
        gates.iter_mut().step_by(5).for_each(|gate| *gate = 0.0);
        gates.iter_mut().skip(1).step_by(7).for_each(|gate| *gate = f32::NAN);
        let (deltas, more) = (values(&mut rng, len), values(&mut rng, len));
        for kernels in kernels() {
            let (mut gated, mut sums) = (deltas.clone(), deltas.clone());
            kernels.gate(&mut gated, &gates);
            kernels.add(&mut sums, &more);
            for i in 0..len {
                let open = gates[i] > 0.0 || gates[i].is_nan();
                assert_eq!(gated[i], if open { deltas[i] } else { 0.0 }, "{}", kernels.level());
                assert_eq!(sums[i], deltas[i] + more[i], "{}", kernels.level());
            }
        }
    }
}

#[test]
fn pooling_finds_the_first_of_the_largest_at_every_level() {
    for (depth, size) in [(1, 2), (3, 3), (32, 2), (35, 2), (64, 3)] {
        let mut rng = rng::stream(depth as u64, "pool", 0);
        let row = 2 * size * depth;
        // Few different values, so that many are equal; some are none at all.
        let image: Vec<f32> = (0..size * row)
            .map(|_| match rng::below(&mut rng, 9) {
                8 => f32::NAN,
                small => small as f32 - 4.0,
            })
            .collect();
        let at =
            PoolRow { size, windows: 2, depth, pixels: Strides { row, col: depth }, result: 70 };
        for kernels in kernels() {
            let (mut maxima, mut winners) = (vec![0.0; 140], vec![0; 140]);
            kernels.pool(&at, &image, &mut maxima, &mut winners);
            for (window, channel) in (0..2).flat_map(|w| (0..depth).map(move |c| (w, c))) {
                let place =
                    |p: usize| p / size * row + (window * size + p % size) * depth + channel;
                let better = |best: usize, p: usize| {
                    let (value, most) = (image[place(p)], image[place(best)]);
                    if value > most || value.is_nan() { p } else { best }
                };
                let best = (1..size * size).fold(0, better);
                let found = (maxima[window * 70 + channel], winners[window * 70 + channel]);
                assert_eq!(found.0.to_bits(), image[place(best)].to_bits(), "{}", kernels.level());
                assert_eq!(usize::from(found.1), best, "{}", kernels.level());
            }
        }
    }
}
