//! Which codec each block of a push is written in: a level may be another for each parameter tensor.

use super::Layout;
use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::ids::BlockIndex;

/// The codec of every block, the same at both ends of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs(Vec<Codec>);

impl Codecs {
    /// The same codec for all tensors; of one dimension, its [`for_vectors`](Codec::for_vectors).
    #[must_use]
    pub fn uniform(layout: &Layout, codec: Codec) -> Self {
        Self::mixed(layout, codec, codec, &Bitmap::zeros(layout.tensors().len() as u32))
    }

    /// `other` for the tensors (by their places in the layout) that are in `others`, and `codec` for the rest.
    #[must_use]
    pub fn mixed(layout: &Layout, codec: Codec, other: Codec, others: &Bitmap) -> Self {
        let mut blocks = Vec::with_capacity(layout.blocks() as usize);
        for (place, tensor) in (0..).map(BlockIndex).zip(layout.tensors()) {
            let codec = if others.contains(place) { other } else { codec };
            let codec = if tensor.shape.len() < 2 { codec.for_vectors() } else { codec };
            blocks.resize(tensor.blocks.end as usize, codec);
        }
        Self(blocks)
    }

    /// The codec of a block.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn of(&self, block: BlockIndex) -> Codec {
        self.0[block.usize()]
    }
}
