//! How an update is put into the blocks of a push: which codec each of them is written in, which may be another for
//! each parameter tensor, and which matrices go as their factors.

use super::Layout;
use super::factored::{Factored, Matrix, Part};
use crate::bitmap::Bitmap;
use crate::codec::{Codec, Form};
use crate::ids::BlockIndex;

/// The codec of every block of a push, the same at both of its ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    blocks: Vec<Codec>,
    factored: Option<Factored>,
}

impl Codecs {
    /// The same codec for all tensors; of one dimension, its [`for_vectors`](Codec::for_vectors).
    #[must_use]
    pub fn uniform(layout: &Layout, codec: Codec) -> Self {
        Self::mixed(layout, codec, codec, &Bitmap::zeros(layout.tensors().len() as u32))
    }

    /// `other` for the tensors (by their places in the layout) that are in `others`, and `codec` for the rest.
    #[must_use]
    pub fn mixed(layout: &Layout, codec: Codec, other: Codec, others: &Bitmap) -> Self {
        let chosen = (0..)
            .map(BlockIndex)
            .zip(layout.tensors())
            .map(|(place, tensor)| (tensor, if others.contains(place) { other } else { codec }));
        let form = |codec, shape: &[usize]| match codec {
            Codec::PowerSgd(rank) => Form::of(shape, rank),
            _ => None,
        };
        let forms: Vec<_> =
            chosen.clone().map(|(tensor, codec)| form(codec, &tensor.shape)).collect();
        let factored = Factored::new(layout, &forms);
        let mut blocks = Vec::new();
        for ((tensor, codec), form) in chosen.zip(forms) {
            let count = form.map_or_else(|| tensor.blocks.len(), Form::blocks);
            let codec = if tensor.shape.len() < 2 { codec.for_vectors() } else { codec };
            blocks.resize(blocks.len() + count, codec);
        }
        Self { blocks, factored }
    }

    /// The layout of a push of a model with this one.
    #[must_use]
    pub fn layout<'a>(&'a self, model: &'a Layout) -> &'a Layout {
        self.factored.as_ref().map_or(model, |factored| &factored.layout)
    }

    /// Whether the blocks of such a push carry what those of `other` do.
    #[must_use]
    pub fn is_laid_out_like(&self, other: &Self) -> bool {
        self.factored == other.factored
    }

    /// The matrices that go as their factors.
    #[must_use]
    pub fn matrices(&self) -> &[Matrix] {
        self.factored.as_ref().map_or(&[], |factored| &factored.matrices)
    }

    /// What a block of a push carries.
    ///
    /// # Panics
    /// If there is no such block. So does [`of`](Self::of).
    #[must_use]
    pub fn part(&self, block: BlockIndex) -> Part {
        let parts = self.factored.as_ref().map(|factored| &factored.parts);
        parts.map_or(Part::Block(block), |parts| parts[block.usize()])
    }

    /// The codec of a block of a push.
    #[must_use]
    pub fn of(&self, block: BlockIndex) -> Codec {
        self.blocks[block.usize()]
    }
}
