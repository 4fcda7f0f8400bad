//! What a round that is under way has changed: a run that ends in the middle of it ends as it was before.

use crate::flat::Layout;
use crate::ids::BlockIndex;
use crate::ps::cursor::Cursor;

/// What the round has changed block by block: parameters, velocity, and the sum of a window (empty where there are
/// none).
const VECTORS: usize = 3;

/// The state before the round that is under way.
#[derive(Debug, Default)]
pub(super) struct Rollback {
    vectors: [Vec<f32>; VECTORS],
    blocks: Vec<BlockIndex>,
    cursor: Option<Cursor>,
}

impl Rollback {
    /// A round begins; it has not been dealt any examples.
    pub(super) fn begin(&mut self, cursor: &Cursor) {
        self.cursor = Some(cursor.clone());
    }

    /// Takes in the values of a block that is about to be changed.
    pub(super) fn save(&mut self, layout: &Layout, block: BlockIndex, vectors: [&[f32]; VECTORS]) {
        let range = layout.range(block);
        for (saved, vector) in self.vectors.iter_mut().zip(vectors) {
            saved.resize(vector.len(), 0.0);
            if !vector.is_empty() {
                saved[range.clone()].copy_from_slice(&vector[range.clone()]);
            }
        }
        self.blocks.push(block);
    }

    /// The round has ended.
    pub(super) fn forget(&mut self) {
        self.blocks.clear();
        self.cursor = None;
    }

    /// Takes back what the round has changed, if one is under way.
    pub(super) fn undo(
        &mut self,
        layout: &Layout,
        cursor: &mut Cursor,
        vectors: [&mut [f32]; VECTORS],
    ) {
        for (saved, vector) in self.vectors.iter().zip(vectors) {
            let blocks: &[BlockIndex] = if vector.is_empty() { &[] } else { &self.blocks };
            for &block in blocks {
                let range = layout.range(block);
                vector[range.clone()].copy_from_slice(&saved[range]);
            }
        }
        if let Some(before) = self.cursor.take() {
            *cursor = before;
        }
        self.forget();
    }
}
