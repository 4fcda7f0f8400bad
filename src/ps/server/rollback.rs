//! What a step that is taken block by block has overwritten: a run that ends in the middle of a round ends with the
//! parameters of a whole one.

use crate::flat::Layout;
use crate::ids::BlockIndex;

/// The values before the step of the round that is under way.
#[derive(Debug, Default)]
pub(super) struct Rollback {
    parameters: Vec<f32>,
    velocity: Vec<f32>,
    blocks: Vec<BlockIndex>,
}

impl Rollback {
    /// Takes in the values of a block that is about to be stepped.
    pub(super) fn save(
        &mut self,
        layout: &Layout,
        block: BlockIndex,
        parameters: &[f32],
        velocity: &[f32],
    ) {
        let range = layout.range(block);
        self.parameters.resize(parameters.len(), 0.0);
        self.velocity.resize(velocity.len(), 0.0);
        self.parameters[range.clone()].copy_from_slice(&parameters[range.clone()]);
        if !velocity.is_empty() {
            self.velocity[range.clone()].copy_from_slice(&velocity[range]);
        }
        self.blocks.push(block);
    }

    /// The step was taken as a whole.
    pub(super) fn forget(&mut self) {
        self.blocks.clear();
    }

    /// Takes the step back.
    pub(super) fn undo(&mut self, layout: &Layout, parameters: &mut [f32], velocity: &mut [f32]) {
        for block in self.blocks.drain(..) {
            let range = layout.range(block);
            parameters[range.clone()].copy_from_slice(&self.parameters[range.clone()]);
            if !velocity.is_empty() {
                velocity[range.clone()].copy_from_slice(&self.velocity[range]);
            }
        }
    }
}
