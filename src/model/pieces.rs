//! Packing parameters and summing up gradients, piece by piece: whoever does one needs nothing of the others.

use super::conv::Pack;
use super::graph::{Graph, Op};
use super::network::Part;
use super::tape::Tape;
use crate::simd::{BLOCK, Kernels};

/// A piece of work on a part of a buffer, whose parts follow each other.
#[derive(Debug)]
pub struct Piece<T> {
    what: T,
    /// Values of the buffer that belong to it.
    len: usize,
}

/// A part of the packed parameters: operation, and what of it.
pub type Packing = (usize, Pack);

/// A part of the canonical gradient.
#[derive(Clone, Copy, Debug)]
pub enum Sum {
    /// The same values of the partial gradients, from there on.
    Values(usize),
    /// A block of output channels of a convolution.
    Block { op: usize, block: usize },
}

/// Values of a linear layer's gradient that are summed up together.
const VALUES: usize = 1 << 14;

/// The pieces of the packed parameters.
pub fn packings(graph: &Graph) -> Vec<Piece<Packing>> {
    let packs = graph.convs().flat_map(|(op, conv)| {
        conv.packs().map(move |(pack, len)| Piece { what: (op, pack), len })
    });
    packs.collect()
}

/// The pieces of the canonical gradient.
pub fn sums(graph: &Graph) -> Vec<Piece<Sum>> {
    let mut sums = Vec::new();
    let values = |first: usize, partial: usize, len: usize| {
        let pieces = (0..len).step_by(VALUES).map(|at| {
            (first + at, Piece { what: Sum::Values(partial + at), len: VALUES.min(len - at) })
        });
        pieces.collect::<Vec<_>>()
    };
    for (op, layer) in graph.ops.iter().enumerate() {
        match layer {
            Op::Conv(conv) => {
                for block in 0..conv.blocks() {
                    let outputs = BLOCK.min(conv.outputs - block * BLOCK);
                    let of_output = conv.inputs * conv.area();
                    let first = conv.weight.start + block * BLOCK * of_output;
                    let what = Sum::Block { op, block };
                    sums.push((first, Piece { what, len: outputs * of_output }));
                }
                let biases = conv.partial + conv.blocks() * conv.block_len();
                sums.extend(values(conv.bias.start, biases, conv.outputs));
            }
            Op::Linear(linear) => {
                let weights = linear.weight.len();
                sums.extend(values(linear.weight.start, linear.partial, weights));
                sums.extend(values(linear.bias.start, linear.partial + weights, linear.outputs));
            }
            _ => {}
        }
    }
    sums.sort_by_key(|(first, _)| *first);
    sums.into_iter().map(|(_, piece)| piece).collect()
}

/// Hands out the pieces of `buffer`.
pub fn cut<'a, T: Copy>(
    pieces: &'a [Piece<T>],
    mut buffer: &'a mut [f32],
) -> impl Iterator<Item = (T, &'a mut [f32])> {
    pieces.iter().map(move |piece| {
        let (part, rest) = std::mem::take(&mut buffer).split_at_mut(piece.len);
        buffer = rest;
        (piece.what, part)
    })
}

impl Graph {
    /// Fills a piece of the packed parameters.
    pub fn pack(
        &self,
        kernels: &Kernels,
        (op, pack): Packing,
        parameters: &[f32],
        out: &mut [f32],
        tape: &mut Tape,
    ) {
        let Op::Conv(conv) = &self.ops[op] else { unreachable!("only convolutions are packed") };
        conv.pack(kernels, pack, parameters, out, &mut tape.scratch);
    }

    /// Fills a piece of the canonical gradient with the sum of the partial ones, added in their order.
    pub fn sum(
        &self,
        kernels: &Kernels,
        sum: Sum,
        parts: &[Part],
        out: &mut [f32],
        tape: &mut Tape,
    ) {
        match sum {
            Sum::Values(at) => add_up(kernels, parts, at, out),
            Sum::Block { op, block } => {
                let Op::Conv(conv) = &self.ops[op] else { unreachable!("only these have blocks") };
                let (total, scratch) = tape.scratch.split_at_mut(conv.block_len());
                add_up(kernels, parts, conv.partial + block * conv.block_len(), total);
                conv.unpack(kernels, total, out, scratch);
            }
        }
    }
}

/// The sum of the partial gradients from a place on.
fn add_up(kernels: &Kernels, parts: &[Part], at: usize, out: &mut [f32]) {
    let (first, others) = parts.split_first().expect("a batch has a part");
    out.copy_from_slice(&first.partial[at..at + out.len()]);
    for other in others {
        kernels.add(out, &other.partial[at..at + out.len()]);
    }
}
