//! A recipe compiled for one kind of input: which layer reads and writes what, and where everything lies.

use std::ops::Range;

use super::conv::{Conv, Method};
use super::direct::Direct;
use super::draft::{Draft, Drafts};
use super::error::RecipeError;
use super::linear::Linear;
use super::parameters::Parameters;
use super::pointwise::{Add, Flatten, Relu};
use super::pool::MaxPool;
use super::recipe::Recipe;
use super::slot::Slot;
use super::tape::{Context, Deposit, Tape};
use super::winograd::Winograd;
use crate::shape::Shape;
use crate::simd::BLOCK;

/// One layer at work.
#[derive(Debug)]
pub enum Op {
    Conv(Conv),
    Linear(Linear),
    Relu(Relu),
    Add(Add),
    MaxPool(MaxPool),
    Flatten(Flatten),
}

impl Op {
    fn forward(&self, context: &Context<'_>, images: Range<usize>, tape: &mut Tape) {
        match self {
            Self::Conv(op) => op.forward(context, images, tape),
            Self::Linear(op) => op.forward(context, images, tape),
            Self::Relu(op) => op.forward(context, images, tape),
            Self::Add(op) => op.forward(context, images, tape),
            Self::MaxPool(op) => op.forward(context, images, tape),
            Self::Flatten(op) => op.forward(context, images, tape),
        }
    }

    fn backward(
        &self,
        context: &Context<'_>,
        images: Range<usize>,
        tape: &mut Tape,
        partial: &mut [f32],
    ) {
        match self {
            Self::Conv(op) => op.backward(context, images, tape, partial),
            Self::Linear(op) => op.backward(context, images, tape, partial),
            Self::Relu(op) => op.backward(context, images, tape),
            Self::Add(op) => op.backward(context, images, tape),
            Self::MaxPool(op) => op.backward(context, images, tape),
            Self::Flatten(op) => op.backward(context, images, tape),
        }
    }
}

/// The layers as a straight line of operations: each reads slots that are complete and fills a new one.
#[derive(Debug)]
pub struct Graph {
    /// Slot 0 is the input, the last one the logits.
    pub slots: Vec<Slot>,
    pub ops: Vec<Op>,
    /// From this operation on images are rows of a matrix; before it they are worked on one by one.
    pub split: usize,
    pub parameters: Parameters,
    /// Values of the packed parameters, and of a partial gradient.
    pub packed: usize,
    pub partial: usize,
}

impl Graph {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`.
    pub fn new(recipe: &Recipe, shape: Shape, classes: usize) -> Result<Self, RecipeError> {
        let drafts = Drafts::new(recipe, shape, classes)?;
        let deposits = deposits(&drafts.ops);
        let extents = drafts.extents();
        let split = split(&drafts.ops, &extents);
        let slots = slots(&drafts, &extents, &deposits, split);
        let mut placed = Placed { packed: 0, partial: 0, ops: Vec::new() };
        place(&drafts, &slots, &deposits, &mut placed);
        let Placed { packed, partial, ops } = placed;
        let parameters = drafts.parameters;
        Ok(Self { slots, ops, split, parameters, packed, partial })
    }

    /// The convolutions and their numbers.
    pub fn convs(&self) -> impl Iterator<Item = (usize, &Conv)> {
        self.ops.iter().enumerate().filter_map(|(i, op)| match op {
            Op::Conv(conv) => Some((i, conv)),
            _ => None,
        })
    }

    /// Multiplications of the forward pass of one image, about.
    pub fn work(&self) -> usize {
        let work = |op: &Op| match op {
            Op::Conv(conv) => {
                let Shape { height, width, .. } = self.slots[conv.to].shape;
                height * width * conv.area() * conv.inputs * conv.outputs
            }
            Op::Linear(linear) => linear.inputs * linear.outputs,
            _ => 0,
        };
        self.ops.iter().map(work).sum()
    }

    /// Values of scratch memory that the operations need.
    pub fn scratch(&self) -> usize {
        self.convs().map(|(_, conv)| conv.scratch(&self.slots)).max().unwrap_or(0)
    }

    /// Takes the images of `context` from the input to the logits.
    pub fn forward(&self, context: &Context<'_>, count: usize, tape: &mut Tape) {
        self.read(context, tape);
        let (head, tail) = self.ops.split_at(self.split);
        for image in 0..count {
            head.iter().for_each(|op| op.forward(context, image..image + 1, tape));
        }
        tail.iter().for_each(|op| op.forward(context, 0..count, tape));
    }

    /// Takes the gradient of the logits back, and adds that of the parameters to `partial`.
    pub fn backward(
        &self,
        context: &Context<'_>,
        count: usize,
        tape: &mut Tape,
        partial: &mut [f32],
    ) {
        let (head, tail) = self.ops.split_at(self.split);
        tail.iter().rev().for_each(|op| op.backward(context, 0..count, tape, partial));
        for image in 0..count {
            let images = image..image + 1;
            head.iter().rev().for_each(|op| op.backward(context, images.clone(), tape, partial));
        }
    }

    /// Puts the images where the first layer reads them, if that is not where they are.
    fn read(&self, context: &Context<'_>, tape: &mut Tape) {
        let slot = &self.slots[0];
        if slot.is_canonical() {
            return;
        }
        let Shape { channels, height, width } = slot.shape;
        for (i, image) in context.images.chunks_exact(slot.shape.values()).enumerate() {
            for (row, values) in image.chunks_exact(width).enumerate() {
                let (channel, row) = (row / height, row % height);
                let pixels = &mut tape.values[0][slot.value.pixel(i, row, 0) + channel..];
                let pixels = pixels.iter_mut().step_by(channels);
                pixels.zip(values).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// For every operation how it hands on the gradient of each slot that it reads.
fn deposits(drafts: &[Draft]) -> Vec<Vec<Deposit>> {
    let mut trained = vec![false];
    for draft in drafts {
        let inputs = draft.reads().iter().any(|&from| trained[from]);
        trained.push(inputs || matches!(draft, Draft::Conv { .. } | Draft::Linear { .. }));
    }
    let mut stored = vec![false; trained.len()];
    let backward = drafts.iter().rev().map(|draft| {
        let deposit =
            |from: usize| match (trained[from], std::mem::replace(&mut stored[from], true)) {
                (false, _) => Deposit::Nothing,
                (true, false) => Deposit::Store,
                (true, true) => Deposit::Add,
            };
        draft.reads().into_iter().map(deposit).collect()
    });
    let mut deposits: Vec<_> = backward.collect();
    deposits.reverse();
    deposits
}

/// The operation from which on all of them take vectors to vectors.
fn split(drafts: &[Draft], extents: &[Shape]) -> usize {
    let is_vectors = |(i, draft): &(usize, &Draft)| match draft {
        Draft::Linear { .. } => true,
        Draft::Relu { .. } | Draft::Add { .. } => extents[i + 1].height * extents[i + 1].width == 1,
        Draft::Conv { .. } | Draft::MaxPool { .. } | Draft::Flatten { .. } => false,
    };
    drafts.len() - drafts.iter().enumerate().rev().take_while(is_vectors).count()
}

/// Lays out every slot for those that read and write it.
fn slots(drafts: &Drafts, extents: &[Shape], deposits: &[Vec<Deposit>], split: usize) -> Vec<Slot> {
    let borders = drafts.borders(extents);
    let results = extents.iter().zip(&borders).skip(1);
    let mut slots = vec![Slot::input(extents[0], borders[0])];
    slots.extend(results.map(|(shape, border)| Slot::result(*shape, *border)));
    for (i, draft) in drafts.ops.iter().enumerate() {
        if let Draft::Conv { from, window, .. } = draft {
            if drafts.by_tiles(i) {
                slots[i + 1].tile_delta();
            } else if deposits[i][0] != Deposit::Nothing {
                slots[i + 1].dilate_delta(*window, extents[*from]);
            }
        }
        if i >= split {
            draft.reads().into_iter().for_each(|from| slots[from].delta_each = true);
            slots[i + 1].delta_each = true;
        }
    }
    // The loss writes the gradients of all images of a chunk at once.
    slots[drafts.ops.len()].delta_each = true;
    slots
}

/// Operations, and how much of the packed parameters and of a partial gradient belongs to them.
struct Placed {
    packed: usize,
    partial: usize,
    ops: Vec<Op>,
}

/// Turns drafts into operations that know where everything lies.
fn place(drafts: &Drafts, slots: &[Slot], deposits: &[Vec<Deposit>], placed: &mut Placed) {
    let mut pairs = drafts.parameters.pairs();
    let mut parameters = || {
        let pair = pairs.next().expect("every such layer has two parameters");
        pair.map(|tensor| tensor.values.clone())
    };
    for (i, draft) in drafts.ops.iter().enumerate() {
        let (to, deposit) = (i + 1, deposits[i][0]);
        let op = match *draft {
            Draft::Conv { from, window, skip, relu } => {
                let [weight, bias] = parameters();
                let (input, output) = (&slots[from], &slots[to]);
                let method = match drafts.by_tiles(i) {
                    true => Method::Winograd(Winograd::new(output.shape)),
                    false => Method::Direct(Direct::new(window.kernel, (input, output))),
                };
                let conv = Conv {
                    from,
                    to,
                    window,
                    skip,
                    relu,
                    deposit,
                    deposit_skip: deposits[i].get(1).copied().unwrap_or(Deposit::Nothing),
                    inputs: input.shape.channels,
                    outputs: output.shape.channels,
                    weight,
                    bias,
                    packed: placed.packed,
                    partial: placed.partial,
                    method,
                };
                placed.packed += conv.packs().map(|(_, len)| len).sum::<usize>();
                placed.partial += conv.partial_len();
                Op::Conv(conv)
            }
            Draft::Linear { from, relu } => {
                let [weight, bias] = parameters();
                let (inputs, outputs) = (slots[from].shape.channels, slots[to].shape.channels);
                let partial = placed.partial;
                let linear =
                    Linear { from, to, relu, deposit, inputs, outputs, weight, bias, partial };
                // The next one starts at a cache line again.
                placed.partial += linear.partial_len().next_multiple_of(BLOCK);
                Op::Linear(linear)
            }
            Draft::Relu { from } => Op::Relu(Relu { from, to, deposit }),
            Draft::Add { skip, from, relu } => {
                let [deposit_from, deposit_skip] = [deposit, deposits[i][1]];
                Op::Add(Add { skip, from, to, relu, deposit_skip, deposit_from })
            }
            Draft::MaxPool { from, size } => Op::MaxPool(MaxPool { from, to, size, deposit }),
            Draft::Flatten { from } => Op::Flatten(Flatten { from, to, deposit }),
        };
        placed.ops.push(op);
    }
}
