//! Convolutions: what is the same however they are computed.

use std::ops::Range;

use super::direct::Direct;
use super::pointwise::{gate, hand_on};
use super::slot::{Slot, Window};
use super::tape::{Context, Deposit, Tape};
use super::winograd::Winograd;
use crate::simd::{BLOCK, Kernels};

/// A convolution with bias, the addition that may follow it, and the ReLU that may follow that.
#[derive(Debug)]
pub struct Conv {
    pub from: usize,
    pub to: usize,
    pub window: Window,
    /// The slot that is added to the result.
    pub skip: Option<usize>,
    pub relu: bool,
    pub deposit: Deposit,
    pub deposit_skip: Deposit,
    pub inputs: usize,
    pub outputs: usize,
    /// Places of the parameters in the canonical vector.
    pub weight: Range<usize>,
    pub bias: Range<usize>,
    /// Where its share of the packed parameters starts: the weights in blocks of output channels, the bias, and, if the
    /// input has a gradient, the weights in blocks of input channels. A block is `[place][channel][BLOCK]`, a place
    /// being one of the kernel, or one of a transformed tile.
    pub packed: usize,
    /// Where its share of a partial gradient starts: blocks of output channels, and the bias.
    pub partial: usize,
    pub method: Method,
}

/// How a convolution is computed.
#[derive(Debug)]
pub enum Method {
    Direct(Direct),
    Winograd(Winograd),
}

/// A part of the packed parameters of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum Pack {
    /// A block of output channels.
    Forth(usize),
    Bias,
    /// A block of input channels.
    Back(usize),
}

impl Conv {
    /// Places of a kernel.
    pub const fn area(&self) -> usize {
        self.window.kernel * self.window.kernel
    }

    const fn places(&self) -> usize {
        match self.method {
            Method::Direct(_) => self.area(),
            Method::Winograd(_) => crate::simd::PLACES,
        }
    }

    /// Blocks of output channels.
    pub const fn blocks(&self) -> usize {
        self.outputs.div_ceil(BLOCK)
    }

    /// Values of a block of output channels.
    pub const fn block_len(&self) -> usize {
        self.places() * self.inputs * BLOCK
    }

    /// Values of a block of input channels.
    pub const fn back_len(&self) -> usize {
        self.places() * self.outputs * BLOCK
    }

    /// Values of its share of a partial gradient.
    pub const fn partial_len(&self) -> usize {
        self.blocks() * (self.block_len() + BLOCK)
    }

    /// The parts of its packed parameters, in order, and their lengths.
    pub fn packs(&self) -> impl Iterator<Item = (Pack, usize)> + use<> {
        let back = if self.deposit == Deposit::Nothing { 0 } else { self.inputs.div_ceil(BLOCK) };
        let (blocks, block_len, back_len) = (self.blocks(), self.block_len(), self.back_len());
        let forth = (0..blocks).map(move |block| (Pack::Forth(block), block_len));
        let bias = (Pack::Bias, blocks * BLOCK);
        forth.chain([bias]).chain((0..back).map(move |block| (Pack::Back(block), back_len)))
    }

    /// The weights of a block of output channels.
    pub fn forth<'a>(&self, packed: &'a [f32], block: usize) -> &'a [f32] {
        &packed[self.packed + block * self.block_len()..][..self.block_len()]
    }

    /// The bias of all blocks of output channels.
    pub fn biases<'a>(&self, packed: &'a [f32]) -> &'a [f32] {
        &packed[self.packed + self.blocks() * self.block_len()..][..self.blocks() * BLOCK]
    }

    /// The weights of a block of input channels.
    pub fn back<'a>(&self, packed: &'a [f32], block: usize) -> &'a [f32] {
        let first = self.packed + self.blocks() * (self.block_len() + BLOCK);
        &packed[first + block * self.back_len()..][..self.back_len()]
    }

    /// Fills a part of the packed parameters.
    pub fn pack(
        &self,
        kernels: &Kernels,
        part: Pack,
        parameters: &[f32],
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let weights = &parameters[self.weight.clone()];
        let (by_output, by_input) = (self.inputs * self.area(), self.area());
        let (block, lanes, channels, [lane, channel]) = match part {
            Pack::Bias => {
                out[..self.outputs].copy_from_slice(&parameters[self.bias.clone()]);
                return;
            }
            Pack::Forth(block) => (block, self.outputs, self.inputs, [by_output, by_input]),
            Pack::Back(block) => (block, self.inputs, self.outputs, [by_input, by_output]),
        };
        let lanes = BLOCK.min(lanes - block * BLOCK);
        let weights = &weights[block * BLOCK * lane..];
        let turned = matches!((part, &self.method), (Pack::Back(_), Method::Direct(_)));
        let gather = |out: &mut [f32]| {
            for (place, out) in out.chunks_exact_mut(channels * BLOCK).enumerate() {
                let place = if turned { self.area() - 1 - place } else { place };
                for (i, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                    let weights = weights[i * channel + place..].iter().step_by(lane);
                    out[..lanes].iter_mut().zip(weights).for_each(|(out, weight)| *out = *weight);
                }
            }
        };
        match self.method {
            Method::Direct(_) => gather(out),
            Method::Winograd(_) => {
                let taps = &mut scratch[..self.area() * channels * BLOCK];
                // Lanes without a channel: what another layer has left there must not reach the sums.
                taps.fill(0.0);
                gather(taps);
                kernels.winograd_weights(taps, out);
            }
        }
    }

    /// The canonical gradient of a block of output channels, of which `sum` is the sum of the partial ones.
    pub fn unpack(&self, kernels: &Kernels, sum: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        let taps = match self.method {
            Method::Direct(_) => sum,
            Method::Winograd(_) => {
                let taps = &mut scratch[..self.area() * self.inputs * BLOCK];
                kernels.winograd_taps(sum, taps);
                taps
            }
        };
        for (place, taps) in taps.chunks_exact(self.inputs * BLOCK).enumerate() {
            for (input, taps) in taps.chunks_exact(BLOCK).enumerate() {
                let out = out[input * self.area() + place..].iter_mut();
                let out = out.step_by(self.inputs * self.area());
                out.zip(taps).for_each(|(out, tap)| *out = *tap);
            }
        }
    }

    pub fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        for image in images {
            match &self.method {
                Method::Direct(direct) => direct.forward(self, context, image, tape),
                Method::Winograd(winograd) => winograd.forward(self, context, image, tape),
            }
        }
    }

    /// Adds the gradient of the parameters to `partial` and hands that of the inputs on.
    pub fn backward(
        &self,
        context: &Context<'_>,
        images: Range<usize>,
        tape: &mut Tape,
        partial: &mut [f32],
    ) {
        if self.relu {
            gate(context, images.clone(), tape, self.to);
        }
        let partial = &mut partial[self.partial..self.partial + self.partial_len()];
        for image in images.clone() {
            let context = &Context { fresh: context.fresh && image == 0, ..*context };
            if context.fresh {
                partial[self.blocks() * self.block_len()..].fill(0.0);
            }
            match &self.method {
                Method::Direct(direct) => direct.backward(self, context, image, tape, partial),
                Method::Winograd(winograd) => {
                    winograd.backward(self, context, image, tape, partial)
                }
            }
        }
        if let Some(skip) = self.skip {
            hand_on(context, (skip, self.to), self.deposit_skip, images, tape);
        }
    }

    /// Values of scratch memory that it needs.
    pub fn scratch(&self, slots: &[Slot]) -> usize {
        let (input, output) = (&slots[self.from], &slots[self.to]);
        let weights = self.area() * self.inputs.max(self.outputs) * BLOCK;
        let sums = self.block_len() + weights;
        match &self.method {
            Method::Direct(_) => sums,
            Method::Winograd(winograd) => sums.max(winograd.scratch(input.depth, output.depth)),
        }
    }
}
