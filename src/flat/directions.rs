//! Where the search for the factors of a matrix begins.

use super::factored::Part;
use super::{Codecs, Layout};
use crate::ids::BlockIndex;

/// Of each tensor that was pushed as factors, the shorter one: what changed most is likely to change most again.
#[derive(Clone, Debug, Default)]
pub struct Directions {
    tensors: Vec<Vec<f32>>,
    push: Vec<f32>,
}

impl Directions {
    /// What a push of `update` carries: its values, or factors.
    ///
    /// # Panics
    /// If the arguments do not belong to one layout.
    pub fn put<'a>(&'a mut self, layout: &Layout, codecs: &Codecs, update: &'a [f32]) -> &'a [f32] {
        if codecs.matrices().is_empty() {
            return update;
        }
        let push = &mut self.push;
        let pushed = codecs.layout(layout);
        push.resize(pushed.values(), 0.0);
        for block in (0..pushed.blocks()).map(BlockIndex) {
            if let Part::Block(of) = codecs.part(block) {
                push[pushed.range(block)].copy_from_slice(&update[layout.range(of)]);
            }
        }
        self.tensors.resize(layout.tensors().len(), Vec::new());
        for matrix in codecs.matrices() {
            let (form, last) = (matrix.form, &mut self.tensors[matrix.tensor]);
            let (before, long) = push[..matrix.long.end].split_at_mut(matrix.long.start);
            let short = &mut before[matrix.short.clone()];
            short.fill(0.0);
            // Another rank begins with the columns that are there.
            let side = form.short() / form.rank;
            let columns = last.len() / side;
            for (to, from) in short.chunks_mut(form.rank).zip(last.chunks(columns.max(1))) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            form.factor(&update[matrix.values.clone()], long, short);
            last.clear();
            last.extend_from_slice(short);
        }
        push
    }
}
