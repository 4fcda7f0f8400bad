//! The layout of a push in which some matrices are replaced by their factors.

use std::ops::Range;

use super::Layout;
use crate::codec::Form;
use crate::ids::BlockIndex;

/// A matrix that goes as its factors: that of the shorter side, and behind it that of the longer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// What it looks like.
    pub form: Form,
    /// Its place among the tensors of the model.
    pub tensor: usize,
    /// Where its values lie in the model.
    pub values: Range<usize>,
    /// The blocks of the model that carry them.
    pub model_blocks: Range<u32>,
    /// The blocks of the push that carry its factors.
    pub blocks: Range<u32>,
    /// Where the factors lie in the push.
    pub short: Range<usize>,
    /// See above.
    pub long: Range<usize>,
    /// The first block of the longer one's.
    long_block: u32,
}

impl Matrix {
    /// The blocks of the shorter factor: without them, little would be left of the matrix.
    #[must_use]
    pub const fn short_blocks(&self) -> Range<u32> {
        self.blocks.start..self.long_block
    }

    /// The blocks of the longer factor.
    #[must_use]
    pub const fn long_blocks(&self) -> Range<u32> {
        self.long_block..self.blocks.end
    }

    /// Adds to `values` (of the model) what the factors in `push` say.
    ///
    /// # Panics
    /// If they are of other layouts.
    pub fn expand(&self, push: &[f32], values: &mut [f32]) {
        let (long, short) = (&push[self.long.clone()], &push[self.short.clone()]);
        self.form.expand(long, short, &mut values[self.values.clone()]);
    }
}

/// What a block of a push carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A block of the model.
    Block(BlockIndex),
    /// A part of the factors of the matrix with this number.
    Factor(usize),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factored {
    pub layout: Layout,
    pub matrices: Vec<Matrix>,
    /// Of each block of the push.
    pub parts: Vec<Part>,
}

impl Factored {
    /// The layout of a push of `model` whose tensors go as factors of these forms or as they are; none if all go as
    /// they are.
    pub fn new(model: &Layout, forms: &[Option<Form>]) -> Option<Self> {
        if forms.iter().all(Option::is_none) {
            return None;
        }
        let mut tensors = Vec::new();
        for (tensor, form) in model.tensors().iter().zip(forms) {
            let Some(form) = form else {
                tensors.push((tensor.name.clone(), tensor.shape.clone()));
                continue;
            };
            for (which, values) in [("short", form.short()), ("long", form.long())] {
                let name = format!("{} ({which})", tensor.name);
                tensors.push((name, vec![values / form.rank, form.rank]));
            }
        }
        let layout = Layout::in_order(tensors);
        let (mut matrices, mut parts) = (Vec::new(), Vec::new());
        let mut pushed = layout.tensors().iter();
        for (place, (tensor, form)) in model.tensors().iter().zip(forms).enumerate() {
            let first = pushed.next()?;
            let Some(form) = *form else {
                parts.extend(tensor.blocks.clone().map(|block| Part::Block(BlockIndex(block))));
                continue;
            };
            let long = pushed.next()?;
            parts.resize(long.blocks.end as usize, Part::Factor(matrices.len()));
            matrices.push(Matrix {
                form,
                tensor: place,
                values: tensor.values.clone(),
                model_blocks: tensor.blocks.clone(),
                blocks: first.blocks.start..long.blocks.end,
                short: first.values.clone(),
                long: long.values.clone(),
                long_block: long.blocks.start,
            });
        }
        Some(Self { layout, matrices, parts })
    }
}
