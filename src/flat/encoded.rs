//! A flat vector in encoded blocks, ready to be sent any number of times.

use super::{Codecs, Layout};
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
