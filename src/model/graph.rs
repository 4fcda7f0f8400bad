//! A recipe compiled for one kind of input: which layer reads and writes what, and where everything lies.

use super::conv::{Conv, Places, is_flat};
use super::draft::{Draft, Drafts};
use super::error::RecipeError;
use super::parameters::Parameters;
use super::pointwise::{Add, Flatten, Relu};
use super::pool::MaxPool;
use super::recipe::Recipe;
use super::slot::Slot;
use super::tape::Deposit;
use crate::shape::Shape;

/// One layer at work.
#[derive(Debug)]
pub enum Op {
    Conv(Conv),
    Relu(Relu),
    Add(Add),
    MaxPool(MaxPool),
    Flatten(Flatten),
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
}

impl Graph {
    /// Compiles `recipe` for images of `shape` that belong to one of `classes`.
    pub fn new(recipe: &Recipe, shape: Shape, classes: usize) -> Result<Self, RecipeError> {
        let Drafts { ops: drafts, shapes, borders, parameters } =
            Drafts::new(recipe, shape, classes)?;
        let deposits = deposits(&drafts);
        let split = split(&drafts, &shapes);
        let slots = slots(&drafts, &shapes, &borders, &deposits, split);
        let ops = place(drafts, &slots, &deposits, &parameters);
        Ok(Self { slots, ops, split, parameters })
    }
}

/// For every operation how it hands on the gradient of each slot that it reads.
fn deposits(drafts: &[Draft]) -> Vec<Vec<Deposit>> {
    let mut trained = vec![false];
    for draft in drafts {
        let inputs = draft.reads().iter().any(|&from| trained[from]);
        trained.push(inputs || matches!(draft, Draft::Conv { .. }));
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
fn split(drafts: &[Draft], shapes: &[Shape]) -> usize {
    let is_vectors = |(i, draft): &(usize, &Draft)| match draft {
        Draft::Conv { from, window, .. } => is_flat(*window, shapes[*from]),
        Draft::Relu { .. } | Draft::Add { .. } => shapes[i + 1].height * shapes[i + 1].width == 1,
        Draft::MaxPool { .. } | Draft::Flatten { .. } => false,
    };
    drafts.len() - drafts.iter().enumerate().rev().take_while(is_vectors).count()
}

/// Lays out every slot for those that read and write it.
fn slots(
    drafts: &[Draft],
    shapes: &[Shape],
    borders: &[usize],
    deposits: &[Vec<Deposit>],
    split: usize,
) -> Vec<Slot> {
    let results = shapes.iter().zip(borders).skip(1);
    let mut slots = vec![Slot::input(shapes[0], borders[0])];
    slots.extend(results.map(|(shape, border)| Slot::result(*shape, *border)));
    for (i, draft) in drafts.iter().enumerate() {
        if let Draft::Conv { from, window, .. } = draft
            && deposits[i][0] != Deposit::Nothing
        {
            slots[i + 1].spread_delta(*window, shapes[*from]);
        }
        if i >= split {
            draft.reads().into_iter().for_each(|from| slots[from].delta_each = true);
        }
    }
    // The loss writes the gradients of all images of a chunk at once.
    slots[drafts.len()].delta_each = true;
    (split..drafts.len()).for_each(|i| slots[i + 1].delta_each = true);
    slots
}

/// Turns drafts into operations that know where everything lies.
fn place(
    drafts: Vec<Draft>,
    slots: &[Slot],
    deposits: &[Vec<Deposit>],
    parameters: &Parameters,
) -> Vec<Op> {
    let mut tensors = parameters.pairs();
    let (mut packed, mut turned) = (0, 0);
    let ops = drafts.into_iter().enumerate().map(|(i, draft)| {
        let (to, deposit) = (i + 1, deposits[i][0]);
        match draft {
            Draft::Conv { from, window, relu } => {
                let pair = tensors.next().expect("every convolution has two parameters");
                let [weight, bias] = pair.map(|tensor| tensor.values.clone());
                let places = Places { weight, bias, packed, turned };
                let conv = Conv::new((from, to), window, relu, deposit, slots, places);
                (packed, turned) = conv.ends();
                Op::Conv(conv)
            }
            Draft::Relu { from } => Op::Relu(Relu { from, to, deposit }),
            Draft::Add { skip, from, relu } => {
                let [deposit_from, deposit_skip] = [deposit, deposits[i][1]];
                Op::Add(Add { skip, from, to, relu, deposit_skip, deposit_from })
            }
            Draft::MaxPool { from, size } => Op::MaxPool(MaxPool { from, to, size, deposit }),
            Draft::Flatten { from } => Op::Flatten(Flatten { from, to, deposit }),
        }
    });
    ops.collect()
}
