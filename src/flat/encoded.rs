//! A flat vector in encoded blocks, ready to be sent any number of times.

use super::{Codecs, Layout};
use crate::codec::Codec;
use crate::ids::BlockIndex;

/// Every block of a flat vector, encoded alone.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Room for every block as it is.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    /// Encodes all of `values`; the buffers of what was here before are used again.
    ///
    /// # Panics
    /// If `values` are not as many as the layout says.
    pub fn fill(&mut self, layout: &Layout, codecs: &Codecs, values: &[f32]) {
        assert_eq!(values.len(), layout.values());
        self.bytes.resize(size_of_val(values), 0);
        self.ends.clear();
        let mut end = 0;
        for block in (0..layout.blocks()).map(BlockIndex) {
            let values = &values[layout.range(block)];
            end += codecs.of(block).encode(values, &mut self.bytes[end..]);
            self.ends.push(end);
        }
    }

    /// Encodes other values of one block, with its codec of the last [`fill`](Self::fill).
    ///
    /// # Panics
    /// If the codec is not one of fixed length.
    pub fn replace(&mut self, codec: Codec, block: BlockIndex, values: &[f32]) {
        let range = self.range(block);
        assert_eq!(codec.fixed_len(values.len()), Some(range.len()), "a block of another length");
        codec.encode(values, &mut self.bytes[range.start..]);
    }

    /// The bytes of one block.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn block(&self, block: BlockIndex) -> &[u8] {
        &self.bytes[self.range(block)]
    }

    fn range(&self, block: BlockIndex) -> std::ops::Range<usize> {
        let start = block.0.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        start..self.ends[block.usize()]
    }
}
