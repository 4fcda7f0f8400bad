//! Convolutions and linear layers (a linear layer is a convolution whose pixels are the images of a chunk).

use std::ops::Range;

use super::slot::{Slot, Window};
use super::tape::{Deposit, Tape, pair};
use crate::shape::Shape;
use crate::simd::{Convolution, Grid, Kernels, LANES, Lanes, Start, Strides, WeightGradient};

/// A convolution with bias, and the ReLU that may follow it.
#[derive(Debug)]
pub struct Conv {
    pub from: usize,
    pub to: usize,
    pub window: Window,
    pub relu: bool,
    pub deposit: Deposit,
    inputs: usize,
    outputs: usize,
    /// Places of the parameters in the canonical vector.
    weight: Range<usize>,
    bias: Range<usize>,
    /// Place of blocks of output channels: per block its weights `[ky][kx][input]`, then the biases of all.
    packed: Range<usize>,
    /// Place of blocks of input channels for the way back: `[ky][kx][output]`, the kernel turned by 180 degrees.
    turned: Range<usize>,
    forth: Taps,
    back: Taps,
    /// Whether images are pixels: one kernel call takes all of them.
    flat: bool,
}

/// The runs of consecutive values that a pixel reads.
#[derive(Debug)]
struct Taps {
    starts: Vec<usize>,
    run: usize,
}

impl Taps {
    /// A square kernel over `channels` of pixels that are `strides` apart.
    fn new(kernel: usize, channels: usize, strides: Strides) -> Self {
        let rows = (0..kernel).map(|row| row * strides.row);
        if channels == strides.col {
            return Self { starts: rows.collect(), run: kernel * channels };
        }
        let starts = rows.flat_map(|row| (0..kernel).map(move |col| row + col * strides.col));
        Self { starts: starts.collect(), run: channels }
    }
}

/// A rectangle of pixels that one kernel call visits.
struct Sweep {
    image: usize,
    rows: usize,
    cols: usize,
}

/// Where a convolution's parameters lie: in the canonical vector, and so far in the packed ones.
pub struct Places {
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    pub packed: usize,
    pub turned: usize,
}

impl Conv {
    /// The convolution from slot `from` to slot `to`; its packed parameters start at `places`.
    pub fn new(
        (from, to): (usize, usize),
        window: Window,
        relu: bool,
        deposit: Deposit,
        slots: &[Slot],
        places: Places,
    ) -> Self {
        let (input, output) = (&slots[from], &slots[to]);
        let (inputs, outputs) = (input.shape.channels, output.shape.channels);
        let area = window.kernel * window.kernel;
        let packed = output.depth / LANES * (area * inputs + 1);
        let turned = match deposit {
            Deposit::Nothing => 0,
            _ => input.depth / LANES * area * outputs,
        };
        Self {
            from,
            to,
            window,
            relu,
            deposit,
            inputs,
            outputs,
            weight: places.weight,
            bias: places.bias,
            packed: places.packed..places.packed + packed,
            turned: places.turned..places.turned + turned,
            forth: Taps::new(window.kernel, inputs, input.value.strides),
            back: Taps::new(window.kernel, outputs, output.delta_raw),
            flat: is_flat(window, input.shape),
        }
    }

    /// Where the packed parameters of the next convolution start.
    pub const fn ends(&self) -> (usize, usize) {
        (self.packed.end, self.turned.end)
    }

    /// Weights of a block of output channels.
    const fn depth(&self) -> usize {
        self.window.kernel * self.window.kernel * self.inputs
    }

    fn blocks(&self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// Calls `visit` with the canonical place, the packed row and the lane of every parameter.
    fn each_parameter(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (area, depth) = (self.window.kernel * self.window.kernel, self.depth());
        for block in 0..self.blocks() {
            let lanes = LANES.min(self.outputs - block * LANES);
            for tap in 0..area {
                for input in 0..self.inputs {
                    let row = block * depth + tap * self.inputs + input;
                    for lane in 0..lanes {
                        let output = block * LANES + lane;
                        visit(
                            self.weight.start + (output * self.inputs + input) * area + tap,
                            row,
                            lane,
                        );
                    }
                }
            }
            for lane in 0..lanes {
                visit(self.bias.start + block * LANES + lane, self.blocks() * depth + block, lane);
            }
        }
    }

    /// Copies the canonical `parameters` into kernel order.
    pub fn pack(&self, parameters: &[f32], packed: &mut [Lanes], turned: &mut [Lanes]) {
        let packed = &mut packed[self.packed.clone()];
        self.each_parameter(|at, row, lane| packed[row][lane] = parameters[at]);
        if self.turned.is_empty() {
            return;
        }
        let turned = &mut turned[self.turned.clone()];
        let (area, weights) =
            (self.window.kernel * self.window.kernel, &parameters[self.weight.clone()]);
        for (output, weights) in weights.chunks_exact(self.inputs * area).enumerate() {
            for (input, weights) in weights.chunks_exact(area).enumerate() {
                let (block, lane) = (input / LANES, input % LANES);
                for (tap, weight) in weights.iter().rev().enumerate() {
                    turned[(block * area + tap) * self.outputs + output][lane] = *weight;
                }
            }
        }
    }

    /// Copies a gradient in kernel order into the canonical one.
    pub fn unpack(&self, packed: &[Lanes], gradient: &mut [f32]) {
        let packed = &packed[self.packed.clone()];
        self.each_parameter(|at, row, lane| gradient[at] = packed[row][lane]);
    }

    fn sweeps(&self, shape: Shape, images: Range<usize>) -> impl Iterator<Item = Sweep> + use<> {
        let flat = self.flat;
        let calls = if flat { images.start..images.start + 1 } else { images.clone() };
        calls.map(move |image| match flat {
            true => Sweep { image, rows: 1, cols: images.len() },
            false => Sweep { image, rows: shape.height, cols: shape.width },
        })
    }

    /// Strides between the pixels of a sweep.
    const fn strides(&self, pixels: Strides, image: usize) -> Strides {
        if self.flat { Strides { row: 0, col: image } } else { pixels }
    }

    /// What the window of output pixel (0, 0) of `image` and of those after it reads.
    fn windows<'a>(&self, slot: &Slot, values: &'a [f32], image: usize) -> Grid<'a> {
        let Strides { row, col } = slot.value.strides;
        let corner = slot.value.offset - self.window.padding * (row + col);
        let step = Strides { row: row * self.window.stride, col: col * self.window.stride };
        Grid {
            values: &values[image * slot.value.size + corner..],
            strides: self.strides(step, slot.value.size),
        }
    }

    pub fn forward(
        &self,
        kernels: &Kernels,
        slots: &[Slot],
        packed: &[Lanes],
        images: Range<usize>,
        tape: &mut Tape,
    ) {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let (weights, biases) = packed[self.packed.clone()].split_at(self.blocks() * self.depth());
        let (from, to) = pair(&mut tape.values, self.from, self.to);
        for sweep in self.sweeps(output.shape, images) {
            let to = &mut to[sweep.image * output.value.size + output.value.offset..];
            for (block, weights) in weights.chunks_exact(self.depth()).enumerate() {
                let convolution = Convolution {
                    rows: sweep.rows,
                    cols: sweep.cols,
                    input: self.windows(input, from, sweep.image),
                    taps: &self.forth.starts,
                    run: self.forth.run,
                    weights,
                    start: Start::Bias(&biases[block]),
                    relu: self.relu,
                    output: self.strides(output.value.strides, output.value.size),
                };
                kernels.convolve(&convolution, &mut to[block * LANES..]);
            }
        }
    }

    /// Adds the gradient of the parameters to `gradient` and hands that of the input on.
    pub fn backward(
        &self,
        kernels: &Kernels,
        slots: &[Slot],
        turned: &[Lanes],
        images: Range<usize>,
        tape: &mut Tape,
        gradient: &mut [Lanes],
    ) {
        let output = &slots[self.to];
        if self.relu {
            mask(output, images.clone(), tape, self.to);
        }
        let packed = &mut gradient[self.packed.clone()];
        let (weights, biases) = packed.split_at_mut(self.blocks() * self.depth());
        for sweep in self.sweeps(output.shape, images.clone()) {
            let image = output.delta_image(sweep.image);
            let deltas = &tape.deltas[self.to][image * output.delta.size + output.delta.offset..];
            let blocks = weights.chunks_exact_mut(self.depth()).zip(biases.iter_mut());
            for (block, (weights, bias)) in blocks.enumerate() {
                let part = WeightGradient {
                    rows: sweep.rows,
                    cols: sweep.cols,
                    input: self.windows(&slots[self.from], &tape.values[self.from], sweep.image),
                    taps: &self.forth.starts,
                    run: self.forth.run,
                    delta: Grid {
                        values: &deltas[block * LANES..],
                        strides: self.strides(output.delta.strides, output.delta.size),
                    },
                };
                kernels.weight_gradient(&part, weights, bias);
            }
        }
        if self.deposit != Deposit::Nothing {
            self.input_gradient(kernels, slots, &turned[self.turned.clone()], images, tape);
        }
    }

    fn input_gradient(
        &self,
        kernels: &Kernels,
        slots: &[Slot],
        turned: &[Lanes],
        images: Range<usize>,
        tape: &mut Tape,
    ) {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let rows = self.window.kernel * self.window.kernel * self.outputs;
        let start = match self.deposit {
            Deposit::Add => Start::Output,
            _ => Start::Bias(&[0.0; LANES]),
        };
        let (target, source) = pair(&mut tape.deltas, self.from, self.to);
        for sweep in self.sweeps(input.shape, images) {
            let source = &source[output.delta_image(sweep.image) * output.delta.size..];
            let target_image = input.delta_image(sweep.image) * input.delta.size;
            let target = &mut target[target_image + input.delta.offset..];
            for (block, weights) in turned.chunks_exact(rows).enumerate() {
                let convolution = Convolution {
                    rows: sweep.rows,
                    cols: sweep.cols,
                    input: Grid {
                        values: source,
                        strides: self.strides(output.delta_raw, output.delta.size),
                    },
                    taps: &self.back.starts,
                    run: self.back.run,
                    weights,
                    start,
                    relu: false,
                    output: self.strides(input.delta.strides, input.delta.size),
                };
                kernels.convolve(&convolution, &mut target[block * LANES..]);
            }
        }
    }
}

/// Whether a convolution over `input` has one pixel that reads one pixel, so that images can be its pixels.
pub fn is_flat(window: Window, input: Shape) -> bool {
    window.kernel == 1 && input.height == 1 && input.width == 1
}

/// Takes a slot's gradient back through the ReLU that made its values: it stops where a value is not positive.
pub fn mask(slot: &Slot, images: Range<usize>, tape: &mut Tape, at: usize) {
    let (values, deltas) = (&tape.values[at], &mut tape.deltas[at]);
    for (value, delta) in slot.value_and_delta(images) {
        let values = &values[value..value + slot.depth];
        let deltas = &mut deltas[delta..delta + slot.depth];
        for (delta, value) in deltas.iter_mut().zip(values) {
            *delta = if *value <= 0.0 { 0.0 } else { *delta };
        }
    }
}
