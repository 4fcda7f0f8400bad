//! The operations against their definitions, and where candle's own ones go wrong.

use candle_core::{Device, Result, Tensor, Var};

use super::super::slot::Window;
use super::{ops, values};
use crate::rng;

fn variable(shape: &[usize], values: impl IntoIterator<Item = f32>) -> Tensor {
    let values: Vec<f32> = values.into_iter().collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap().into_inner()
}

fn noise(name: &str, shape: &[usize]) -> Tensor {
    let mut rng = rng::stream(1, name, 0);
    let count = shape.iter().product();
    variable(shape, (0..count).map(|_| (2.0 * rng::unit(&mut rng) - 1.0) as f32))
}

/// The gradient of a sum in which result `i` counts `i + 1` times.
fn gradient(result: &Tensor, of: &Tensor) -> Result<Vec<f32>> {
    let weights = Tensor::arange(1f32, 1.0 + result.elem_count() as f32, &Device::Cpu)?;
    let sum = (result.flatten_all()? * weights)?.sum_all()?;
    values(sum.backward()?.get(of).unwrap())
}

#[test]
fn the_first_of_equal_maxima_takes_the_whole_gradient() {
    // An odd side, equal values, and a NaN.
    let nan = f32::NAN;
    let image = [
        [1.0, 4.0, 2.0, 2.0, 9.0],
        [3.0, 0.0, 2.0, 2.0, 9.0],
        [-5.0, -6.0, 7.0, nan, 9.0],
        [-7.0, -5.0, 8.0, 6.0, 9.0],
        [9.0, 9.0, 9.0, 9.0, 9.0],
    ];
    let x = variable(&[1, 1, 5, 5], image.concat());
    let pooled = ops::max_pool(&x, 2).unwrap();
    let maxima = values(&pooled).unwrap();
    assert_eq!(maxima[..3], [4.0, 2.0, -5.0]);
    assert!(maxima[3].is_nan());
    let expected = [
        [0.0, 1.0, 2.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [3.0, 0.0, 0.0, 4.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ];
    assert_eq!(gradient(&pooled, &x).unwrap(), expected.concat());
}

#[test]
fn candles_own_max_pool_has_another_gradient() {
    let x = variable(&[1, 1, 2, 2], [1.0, 4.0, 2.0, 3.0]);
    let own = gradient(&x.max_pool2d(2).unwrap(), &x).unwrap();
    assert_eq!(own, [0.0, 0.25, 0.0, 0.0], "candle is right now: use it");
    assert_eq!(gradient(&ops::max_pool(&x, 2).unwrap(), &x).unwrap(), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn relu_stops_the_gradient_at_0_and_lets_a_nan_through() {
    let x = variable(&[4], [-1.0, 0.0, 2.0, f32::NAN]);
    let ours = ops::relu(&x).unwrap();
    assert_eq!(values(&ours).unwrap()[..3], [0.0, 0.0, 2.0]);
    assert!(values(&ours).unwrap()[3].is_nan());
    assert_eq!(gradient(&ours, &x).unwrap()[..3], [0.0, 0.0, 3.0]);
    let own = x.relu().unwrap();
    assert_eq!(gradient(&own, &x).unwrap()[..3], [0.0, 2.0, 3.0], "candle is right now: use it");
}

/// A convolution of `x` (1 x 2 x height x width) by definition, each result `i` counted `i + 1` times: results,
/// gradient of `x`, gradient of the weight (3 x 2 x kernel x kernel).
fn defined(x: &Tensor, weight: &Tensor, window: Window) -> [Vec<f32>; 3] {
    let Window { kernel, stride, padding } = window;
    let (_, _, height, width) = x.dims4().unwrap();
    let side = |side: usize| (side + 2 * padding - kernel) / stride + 1;
    let (rows, cols) = (side(height), side(width));
    let (x, weight) = (values(x).unwrap(), values(weight).unwrap());
    let mut result = vec![0.0; 3 * rows * cols];
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; weight.len()]);
    for (to, sum) in result.iter_mut().enumerate() {
        let (out, row, col) = (to / (rows * cols), to / cols % rows, to % cols);
        for tap in 0..2 * kernel * kernel {
            let (channel, ky, kx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
            let (y, x_at) = (row * stride + ky, col * stride + kx);
            let inside = (padding..height + padding).contains(&y)
                && (padding..width + padding).contains(&x_at);
            if inside {
                let from = (channel * height + y - padding) * width + x_at - padding;
                let at = out * 2 * kernel * kernel + tap;
                *sum += x[from] * weight[at];
                dx[from] += (to + 1) as f32 * weight[at];
                dw[at] += (to + 1) as f32 * x[from];
            }
        }
    }
    [result, dx, dw]
}

fn far_apart(found: &[f32], expected: &[f32]) -> bool {
    let largest = expected.iter().fold(1f32, |largest, x| largest.max(x.abs()));
    let pairs = found.iter().zip(expected);
    found.len() != expected.len() || pairs.into_iter().any(|(a, b)| (a - b).abs() > 1e-5 * largest)
}

#[test]
fn convolutions_of_every_kind_have_the_gradients_of_their_definition() {
    for (height, width) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 8), (6, 7), (7, 9), (12, 5)] {
        for (kernel, stride) in [1, 2, 3, 5].into_iter().flat_map(|k| [1, 2, 3, 4].map(|s| (k, s)))
        {
            for padding in [0, kernel / 2] {
                if height.min(width) + 2 * padding < kernel {
                    continue;
                }
                let window = Window { kernel, stride, padding };
                let x = noise("x", &[1, 2, height, width]);
                let weight = noise("weight", &[3, 2, kernel, kernel]);
                let bias = variable(&[3], [0.0; 3]);
                let [result, dx, dw] = defined(&x, &weight, window);
                let ours = ops::conv(&x, &weight, &bias, window).unwrap();
                let what = format!("{height}x{width} {window:?}");
                assert!(!far_apart(&values(&ours).unwrap(), &result), "{what}");
                assert!(!far_apart(&gradient(&ours, &x).unwrap(), &dx), "{what}");
                assert!(!far_apart(&gradient(&ours, &weight).unwrap(), &dw), "{what}");
            }
        }
    }
}

#[test]
fn candles_own_convolution_mistakes_cubes_and_cannot_take_all_strides_back() {
    let window = Window { kernel: 3, stride: 1, padding: 1 };
    let weight = noise("weight", &[3, 2, 3, 3]);
    let cube = noise("x", &[1, 2, 2, 2]);
    let [result, ..] = defined(&cube, &weight, window);
    let own = values(&cube.conv2d(&weight, 1, 1, 1, 1).unwrap()).unwrap();
    assert!(far_apart(&own, &result), "candle is right now");
    let uneven = noise("x", &[1, 2, 5, 8]);
    let own = uneven.conv2d(&weight, 0, 2, 1, 1).unwrap();
    assert!(gradient(&own, &weight).is_err(), "candle is right now");
}
