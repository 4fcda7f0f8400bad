//! Layers made of those operations of candle whose gradients are right.
//!
//! Of candle 0.9.2, `max_pool2d` has a wrong gradient (a winner gets its share of the window), that of `relu` is 1
//! at 0, and `conv2d` takes an input of as many channels as rows and columns for transposed (candle issue 3404), and
//! has no gradient where a stride leaves over other numbers of rows and columns. `tests.rs` pins all of these.

use candle_core::{Device, Result, Tensor};

use super::super::slot::Window;

/// `y = W x + b` over images of one pixel.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let sums = x.flatten_from(1)?.matmul(&weight.t()?)?.broadcast_add(bias)?;
    sums.unsqueeze(2)?.unsqueeze(3)
}

/// A convolution with bias: the pixels that each place of the kernel sees, times the weights.
pub fn conv(x: &Tensor, weight: &Tensor, bias: &Tensor, window: Window) -> Result<Tensor> {
    let Window { kernel, stride, padding } = window;
    let bordered = x.pad_with_zeros(2, padding, padding)?.pad_with_zeros(3, padding, padding)?;
    let (images, channels, height, width) = bordered.dims4()?;
    let (rows, cols) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1);
    let places = (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx)));
    let seen = places.flat_map(|(ky, kx)| {
        let pixels = (0..rows).flat_map(move |row| (0..cols).map(move |col| (row, col)));
        pixels.map(move |(row, col)| (row * stride + ky) * width + col * stride + kx)
    });
    let seen = Tensor::from_iter(seen.map(|pixel| pixel as u32), &Device::Cpu)?;
    let inputs = bordered.flatten_from(2)?.index_select(&seen, 2)?.reshape((
        images,
        channels * kernel * kernel,
        rows * cols,
    ))?;
    let outputs = weight.flatten_from(1)?.broadcast_matmul(&inputs)?;
    outputs.reshape((images, (), rows, cols))?.broadcast_add(&bias.reshape((1, (), 1, 1))?)
}

/// `max(x, 0)`, whose gradient at 0 is 0. A NaN comes through.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.le(&zeros)?.where_cond(&zeros, x)
}

/// The maximum of each `size` x `size` window; of equal values the first in reading order. A NaN counts as infinity
/// and comes through as what it is.
pub fn max_pool(x: &Tensor, size: usize) -> Result<Tensor> {
    let (images, channels, height, width) = x.dims4()?;
    let (rows, cols) = (height / size, width / size);
    let whole = x.narrow(2, 0, rows * size)?.narrow(3, 0, cols * size)?;
    let windows = whole
        .reshape((images, channels, rows, size, cols, size))?
        .permute((0, 1, 2, 4, 3, 5))?
        .reshape((images * channels * rows * cols, size * size))?;
    let seen = windows.detach();
    let infinity = Tensor::full(f32::INFINITY, seen.shape(), &Device::Cpu)?;
    let winners = seen.ne(&seen)?.where_cond(&infinity, &seen)?.argmax_keepdim(1)?;
    windows.gather(&winners, 1)?.reshape((images, channels, rows, cols))
}

/// The softmax cross-entropy of each row of logits.
pub fn losses(logits: &Tensor, labels: &[u8]) -> Result<Tensor> {
    // Subtracting it changes no loss and no gradient; it keeps `exp` from overflowing.
    let largest = logits.detach().max_keepdim(1)?;
    let logits = logits.broadcast_sub(&largest)?;
    let log_sums = logits.exp()?.sum_keepdim(1)?.log()?;
    let labels = Tensor::from_iter(labels.iter().copied().map(u32::from), &Device::Cpu)?;
    log_sums - logits.gather(&labels.unsqueeze(1)?, 1)?
}
