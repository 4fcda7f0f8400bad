//! A flat vector in encoded blocks, ready to be sent any number of times.

use super::Layout;
use crate::codec::Codec;
use crate::ids::BlockIndex;

/// Every block of a flat vector, encoded alone.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    spare: Vec<u8>,
}

impl Encoded {
    /// Encodes all of `values`; the buffers of what was here before are used again.
    ///
    /// # Panics
    /// If `values` are not as many as the layout says.
    pub fn fill(&mut self, layout: &Layout, codec: Codec, values: &[f32]) {
        assert_eq!(values.len(), layout.values());
        self.bytes.clear();
        self.ends.clear();
        for block in (0..layout.blocks()).map(BlockIndex) {
            codec.encode(&values[layout.range(block)], &mut self.bytes);
            self.ends.push(self.bytes.len());
        }
    }

    /// Encodes other values of one block, with the codec of the last [`fill`](Self::fill).
    ///
    /// # Panics
    /// If they take more or fewer bytes than those before: only for codecs of fixed length.
    pub fn replace(&mut self, codec: Codec, block: BlockIndex, values: &[f32]) {
        self.spare.clear();
        codec.encode(values, &mut self.spare);
        let range = self.range(block);
        self.bytes[range].copy_from_slice(&self.spare);
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
