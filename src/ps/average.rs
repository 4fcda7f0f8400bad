//! The average of a round's pushes, block by block, always added in the order of the workers: floating-point sums
//! depend on their order, and results must not depend on the network.

use std::collections::VecDeque;
use std::ops::Range;

use crate::bitmap::Bitmap;
use crate::codec::DecodeError;
use crate::flat::{BLOCK_VALUES, Codecs, Layout, Part as Carried};
use crate::ids::{BlockIndex, WorkerId};
use crate::ps::imputed::Imputed;
use crate::ps::missing::Missing;
use crate::simd::BlockKernels;

/// One worker's part.
#[derive(Clone, Debug, Default)]
struct Part {
    /// Blocks of the push.
    received: Bitmap,
    /// Blocks of the model that are in the sum or held.
    ready: Bitmap,
    closed: bool,
    /// Decoded blocks that arrived before their turn; empty until there is one.
    held: Vec<f32>,
    /// Factors of matrices, at their places in the push, 0 where nothing has come; empty until something has.
    factors: Vec<f32>,
    /// Of each matrix, how many of its blocks are still to come; 0 too once nobody waits for them.
    missing: Vec<u32>,
}

impl Part {
    /// Begins a push of `layout` with these codecs; all buffers are used again.
    fn reset(&mut self, layout: &Layout, codecs: &Codecs) {
        let blocks = codecs.layout(layout).blocks();
        for (bitmap, len) in [(&mut self.received, blocks), (&mut self.ready, layout.blocks())] {
            if bitmap.len() == len {
                bitmap.clear();
            } else {
                *bitmap = Bitmap::zeros(len);
            }
        }
        self.closed = false;
        self.factors.fill(0.0);
        self.missing.clear();
        self.missing.extend(codecs.matrices().iter().map(|matrix| matrix.blocks.len() as u32));
    }
}

/// Sums blocks as they come, and tells each block of the model whose sum is final.
#[derive(Clone, Debug)]
pub struct Average {
    codecs: Codecs,
    sum: Vec<f32>,
    /// Of each block, the worker whose turn it is.
    turn: Vec<u16>,
    /// Of each block, how many parts are in the sum.
    contributors: Vec<u16>,
    parts: Vec<Part>,
    /// Blocks whose sum is final and was not asked for yet.
    complete: VecDeque<BlockIndex>,
    imputed: Imputed,
    /// Of each block, the squares of all contributions; empty if they are not asked for.
    squares: Vec<f64>,
}

impl Average {
    /// The average of `workers` pushes that have not begun to arrive.
    #[must_use]
    pub fn new(layout: &Layout, codecs: Codecs, workers: u16) -> Self {
        let blocks = layout.blocks() as usize;
        let mut average = Self {
            codecs: Codecs::default(),
            sum: vec![0.0; layout.values()],
            turn: vec![0; blocks],
            contributors: vec![0; blocks],
            parts: Vec::new(),
            complete: VecDeque::new(),
            imputed: Imputed::default(),
            squares: Vec::new(),
        };
        average.reset(layout, codecs, workers);
        average
    }

    /// The same, for somebody who asks for signals if they are `wanted`.
    #[must_use]
    pub fn with_signal(self, wanted: bool) -> Self {
        let squares = if wanted { vec![0.0; self.turn.len()] } else { Vec::new() };
        Self { squares, ..self }
    }

    /// Begins again with other codecs and another number of workers; all buffers are used again.
    pub fn reset(&mut self, layout: &Layout, codecs: Codecs, workers: u16) {
        self.codecs = codecs;
        self.sum.fill(0.0);
        self.turn.fill(0);
        self.contributors.fill(0);
        self.squares.fill(0.0);
        self.complete.clear();
        self.parts.resize_with(workers.into(), Part::default);
        for part in &mut self.parts {
            part.reset(layout, &self.codecs);
        }
    }

    /// How pushes are put into blocks.
    #[must_use]
    pub const fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Takes in a block of the push of the worker with this rank, once.
    ///
    /// # Errors
    /// If the bytes are no block of its size and codec.
    pub fn add(
        &mut self,
        layout: &Layout,
        rank: u16,
        block: BlockIndex,
        bytes: &[u8],
    ) -> Result<(), DecodeError> {
        let part = &mut self.parts[usize::from(rank)];
        debug_assert!(!part.closed && !part.received.contains(block));
        let codec = self.codecs.of(block);
        match self.codecs.part(block) {
            Carried::Block(of) if self.turn[of.usize()] == rank => {
                let sum = &mut self.sum[layout.range(of)];
                if let Some(squares) = self.squares.get_mut(of.usize()) {
                    let (mut values, kernels) = ([0.0; BLOCK_VALUES], BlockKernels::detected());
                    let values = &mut values[..sum.len()];
                    codec.decode(bytes, values)?;
                    *squares += kernels.squares(values);
                    kernels.add(values, sum);
                } else {
                    codec.decode_add(bytes, sum)?;
                }
                part.received.insert(block);
                part.ready.insert(of);
                self.contributors[of.usize()] += 1;
                self.pass(of);
                self.advance(layout, of);
            }
            Carried::Block(of) => {
                part.held.resize(layout.values(), 0.0);
                codec.decode(bytes, &mut part.held[layout.range(of)])?;
                part.received.insert(block);
                part.ready.insert(of);
            }
            Carried::Factor(matrix) => {
                let push = self.codecs.layout(layout);
                part.factors.resize(push.values(), 0.0);
                let factor = &mut part.factors[push.range(block)];
                if let Err(error) = codec.decode(bytes, factor) {
                    factor.fill(0.0);
                    return Err(error);
                }
                part.received.insert(block);
                part.missing[matrix] -= 1;
                if part.missing[matrix] == 0 {
                    self.expand(layout, rank, matrix);
                }
            }
        }
        Ok(())
    }

    /// Multiplies what has come of the factors of a matrix: what has not is 0. They say nothing of it if nothing has
    /// come of one of them.
    fn expand(&mut self, layout: &Layout, rank: u16, matrix: usize) {
        let (part, matrix) = (&mut self.parts[usize::from(rank)], &self.codecs.matrices()[matrix]);
        let came =
            |mut blocks: Range<u32>| blocks.any(|block| part.received.contains(BlockIndex(block)));
        if !came(matrix.short_blocks()) || !came(matrix.long_blocks()) {
            return;
        }
        part.held.resize(layout.values(), 0.0);
        part.held[matrix.values.clone()].fill(0.0);
        matrix.expand(&part.factors, &mut part.held);
        if !BlockKernels::detected().are_finite(&part.held[matrix.values.clone()]) {
            // Nobody of ours says this.
            return;
        }
        let blocks = matrix.model_blocks.clone();
        for block in blocks.clone().map(BlockIndex) {
            part.ready.insert(block);
        }
        for block in blocks.map(BlockIndex) {
            self.advance(layout, block);
        }
    }

    /// No more comes from the worker with this rank.
    pub fn close(&mut self, layout: &Layout, rank: u16) {
        for matrix in 0..self.codecs.matrices().len() {
            if std::mem::take(&mut self.parts[usize::from(rank)].missing[matrix]) > 0 {
                self.expand(layout, rank, matrix);
            }
        }
        self.parts[usize::from(rank)].closed = true;
        for block in (0..layout.blocks()).map(BlockIndex) {
            self.advance(layout, block);
        }
    }

    /// Adds what was held and passes over what will not come.
    fn advance(&mut self, layout: &Layout, block: BlockIndex) {
        while let Some(part) = self.parts.get(usize::from(self.turn[block.usize()])) {
            if part.ready.contains(block) {
                let (range, kernels) = (layout.range(block), BlockKernels::detected());
                let values = &part.held[range.clone()];
                if let Some(squares) = self.squares.get_mut(block.usize()) {
                    *squares += kernels.squares(values);
                }
                kernels.add(values, &mut self.sum[range]);
                self.contributors[block.usize()] += 1;
            } else if !part.closed {
                return;
            }
            self.pass(block);
        }
    }

    /// Gives the turn to the next worker.
    fn pass(&mut self, block: BlockIndex) {
        let turn = &mut self.turn[block.usize()];
        *turn += 1;
        if usize::from(*turn) == self.parts.len() {
            self.complete.push_back(block);
        }
    }

    /// Which blocks of the push of the worker with this rank are in.
    #[must_use]
    pub fn received(&self, rank: u16) -> &Bitmap {
        &self.parts[usize::from(rank)].received
    }

    /// All that was averaged so far, and of other blocks what was added up.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.sum
    }

    /// The next block of the model to which no worker adds any more, each once.
    pub fn poll_complete(&mut self) -> Option<BlockIndex> {
        self.complete.pop_front()
    }

    /// Estimate of the square of the norm of what a complete block's contributions have in common; to be asked for
    /// before its [`mean`](Self::mean). None without two contributions.
    ///
    /// It is the mean product of two different workers' gradients, in which noise cancels: whoever is missing, the
    /// products of those that are there have the same mean.
    #[must_use]
    pub fn signal(&self, layout: &Layout, block: BlockIndex) -> Option<f64> {
        let squares = self.squares.get(block.usize())?;
        let count = f64::from(self.contributors[block.usize()]);
        let whole = BlockKernels::detected().squares(&self.sum[layout.range(block)]);
        (count >= 2.0).then(|| (whole - squares) / (count * (count - 1.0)))
    }

    /// The average of a complete block; to be asked for once.
    ///
    /// Divided by the number of workers; with [`Missing::Mean`] by the number of contributions, and with
    /// [`Missing::Imputed`] too, if they are half of the workers at least.
    pub fn mean(&mut self, layout: &Layout, block: BlockIndex, missing: Missing) -> &[f32] {
        debug_assert_eq!(usize::from(self.turn[block.usize()]), self.parts.len());
        let (by, range) = (self.divisor(block, missing), layout.range(block));
        let sum = &mut self.sum[range.clone()];
        if missing == Missing::Imputed {
            let heard = |part: &Part| part.ready.contains(block);
            for (rank, _) in self.parts.iter().enumerate().filter(|(_, part)| heard(part)) {
                self.imputed.deduct(rank, range.clone(), sum);
            }
        }
        BlockKernels::detected().divide(sum, by.into());
        sum
    }

    fn divisor(&self, block: BlockIndex, missing: Missing) -> u16 {
        let (workers, heard) = (self.parts.len() as u16, self.contributors[block.usize()]);
        match missing {
            Missing::Mean => heard.max(1),
            Missing::Imputed if 2 * u32::from(heard) >= u32::from(workers) => heard,
            Missing::Zero | Missing::Feedback | Missing::Imputed => workers,
        }
    }

    /// Something may stand in the place of these workers, who push in this order for a step at this learning rate.
    pub fn impute(&mut self, workers: &[WorkerId], lr: f64) {
        self.imputed.begin(workers, lr);
    }

    /// Remembers what stood in the place of missing blocks, once the whole step is taken: a round that is taken back
    /// leaves no trace here.
    pub fn remember(&mut self, layout: &Layout) {
        for block in (0..layout.blocks()).map(BlockIndex) {
            let (by, range) = (self.divisor(block, Missing::Imputed), layout.range(block));
            let filled = by == self.contributors[block.usize()];
            for (rank, part) in self.parts.iter().enumerate() {
                if part.ready.contains(block) {
                    self.imputed.settle(rank, range.clone());
                } else if filled {
                    let filler = &self.sum[range.clone()];
                    self.imputed.remember(rank, range.clone(), filler, layout.values());
                }
            }
        }
    }

    /// What stood in the place of the worker with this rank and was not deducted yet; empty if nothing ever did.
    #[cfg(test)]
    pub fn imputed(&self, rank: u16) -> &[f32] {
        self.imputed.debt(rank.into())
    }
}

#[cfg(test)]
mod tests;
