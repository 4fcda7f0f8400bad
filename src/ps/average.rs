//! The average of a round's pushes, block by block, always added in the order of the workers: floating-point sums
//! depend on their order, and results must not depend on the network.

use std::collections::VecDeque;

use crate::bitmap::Bitmap;
use crate::codec::{Codec, DecodeError};
use crate::flat::Layout;
use crate::ids::{BlockIndex, WorkerId};
use crate::ps::imputed::Imputed;
use crate::ps::missing::Missing;
use crate::simd::BlockKernels;

/// One worker's part.
#[derive(Clone, Debug)]
struct Part {
    received: Bitmap,
    closed: bool,
    /// Decoded blocks that arrived before their turn; empty until there is one.
    held: Vec<f32>,
}

/// Sums blocks as they come, and tells each block whose sum is final.
#[derive(Clone, Debug)]
pub struct Average {
    codec: Codec,
    sum: Vec<f32>,
    /// Of each block, the worker whose turn it is.
    turn: Vec<u16>,
    /// Of each block, how many parts are in the sum.
    contributors: Vec<u16>,
    parts: Vec<Part>,
    /// Blocks whose sum is final and was not asked for yet.
    complete: VecDeque<BlockIndex>,
    imputed: Imputed,
}

impl Average {
    /// The average of `workers` pushes that have not begun to arrive.
    #[must_use]
    pub fn new(layout: &Layout, codec: Codec, workers: u16) -> Self {
        let blocks = layout.blocks();
        let part = Part { received: Bitmap::zeros(blocks), closed: false, held: Vec::new() };
        Self {
            codec,
            sum: vec![0.0; layout.values()],
            turn: vec![0; blocks as usize],
            contributors: vec![0; blocks as usize],
            parts: vec![part; workers.into()],
            complete: VecDeque::new(),
            imputed: Imputed::default(),
        }
    }

    /// Begins again with another codec and number of workers; all buffers are used again.
    pub fn reset(&mut self, layout: &Layout, codec: Codec, workers: u16) {
        self.codec = codec;
        self.sum.fill(0.0);
        self.turn.fill(0);
        self.contributors.fill(0);
        self.complete.clear();
        let part =
            Part { received: Bitmap::zeros(layout.blocks()), closed: false, held: Vec::new() };
        self.parts.resize(workers.into(), part);
        for part in &mut self.parts {
            part.received.clear();
            part.closed = false;
        }
    }

    /// Takes in a block of the worker with this rank, once.
    ///
    /// # Errors
    /// If the bytes are no block of this size and codec.
    pub fn add(
        &mut self,
        layout: &Layout,
        rank: u16,
        block: BlockIndex,
        bytes: &[u8],
    ) -> Result<(), DecodeError> {
        let (range, part) = (layout.range(block), &mut self.parts[usize::from(rank)]);
        debug_assert!(!part.closed && !part.received.contains(block));
        if self.turn[block.usize()] == rank {
            self.codec.decode_add(bytes, &mut self.sum[range])?;
            part.received.insert(block);
            self.contributors[block.usize()] += 1;
            self.pass(block);
            self.advance(layout, block);
        } else {
            part.held.resize(layout.values(), 0.0);
            self.codec.decode(bytes, &mut part.held[range])?;
            part.received.insert(block);
        }
        Ok(())
    }

    /// No more comes from the worker with this rank.
    pub fn close(&mut self, layout: &Layout, rank: u16) {
        self.parts[usize::from(rank)].closed = true;
        for block in (0..layout.blocks()).map(BlockIndex) {
            self.advance(layout, block);
        }
    }

    /// Adds what was held and passes over what will not come.
    fn advance(&mut self, layout: &Layout, block: BlockIndex) {
        while let Some(part) = self.parts.get(usize::from(self.turn[block.usize()])) {
            if part.received.contains(block) {
                let range = layout.range(block);
                BlockKernels::detected().add(&part.held[range.clone()], &mut self.sum[range]);
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

    /// Which blocks of the worker with this rank are in.
    #[must_use]
    pub fn received(&self, rank: u16) -> &Bitmap {
        &self.parts[usize::from(rank)].received
    }

    /// All that was averaged so far, and of other blocks what was added up.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.sum
    }

    /// The next block to which no worker adds any more, each once.
    pub fn poll_complete(&mut self) -> Option<BlockIndex> {
        self.complete.pop_front()
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
            let heard = |part: &Part| part.received.contains(block);
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
                if part.received.contains(block) {
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
mod tests {
    use super::*;
    use crate::rng;

    const WORKERS: u16 = 5;

    fn layout() -> Layout {
        Layout::new([("a".into(), vec![1000]), ("b".into(), vec![3])]).unwrap()
    }

    /// Every worker's values, so different in size that the order of a sum shows.
    fn pushes(seed: u64) -> Vec<Vec<f32>> {
        let mut rng = rng::stream(seed, "pushes", 0);
        let mut value = || (rng::unit(&mut rng) - 0.5) * 10f64.powf(rng::unit(&mut rng) * 8.0);
        (0..WORKERS).map(|_| (0..1003).map(|_| value() as f32).collect()).collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn all(average: &mut Average, layout: &Layout, missing: Missing) -> Vec<f32> {
        let mut values = vec![f32::NAN; layout.values()];
        while let Some(block) = average.poll_complete() {
            values[layout.range(block)].copy_from_slice(average.mean(layout, block, missing));
        }
        values
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let layout = layout();
        let mut average = Average::new(&layout, Codec::Fp16, 1);
        for seed in 0..50 {
            let pushes = pushes(seed);
            let mut rng = rng::stream(seed, "order", 0);
            let mut arrivals: Vec<_> = (0..WORKERS)
                .flat_map(|rank| (0..layout.blocks()).map(move |block| (rank, BlockIndex(block))))
                .filter(|_| rng::unit(&mut rng) > 0.3)
                .collect();
            let mut results: Vec<Vec<u32>> = Vec::new();
            for _ in 0..4 {
                average.reset(&layout, Codec::Raw, WORKERS);
                rng::shuffle(&mut rng, &mut arrivals);
                for &(rank, block) in &arrivals {
                    let block_bytes = bytes(&pushes[usize::from(rank)][layout.range(block)]);
                    average.add(&layout, rank, block, &block_bytes).unwrap();
                }
                let mut ranks: Vec<_> = (0..WORKERS).collect();
                rng::shuffle(&mut rng, &mut ranks);
                ranks.into_iter().for_each(|rank| average.close(&layout, rank));
                let values = all(&mut average, &layout, Missing::Feedback);
                results.push(values.iter().map(|x| x.to_bits()).collect());
            }
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}");
        }
    }

    #[test]
    fn missing_blocks_are_zero_or_the_mean() {
        let layout = Layout::new([("a".into(), vec![1]), ("b".into(), vec![1])]).unwrap();
        let result = |missing| {
            let mut average = Average::new(&layout, Codec::Raw, 3);
            let add = |average: &mut Average, rank, block, value| {
                average.add(&layout, rank, BlockIndex(block), &bytes(&[value])).unwrap();
            };
            add(&mut average, 2, 0, 6.0);
            add(&mut average, 0, 0, 3.0);
            (0..3).for_each(|rank| average.close(&layout, rank));
            all(&mut average, &layout, missing)
        };
        assert_eq!(result(Missing::Zero), [3.0, 0.0]);
        assert_eq!(result(Missing::Feedback), [3.0, 0.0]);
        assert_eq!(result(Missing::Mean), [4.5, 0.0]);
    }

    #[test]
    fn bytes_that_are_no_block_change_nothing() {
        let layout = layout();
        let mut average = Average::new(&layout, Codec::Raw, 1);
        assert!(average.add(&layout, 0, BlockIndex(0), b"short").is_err());
        let hostile = [1.0, f32::NAN, 0.0].map(f32::to_le_bytes).concat();
        assert!(average.add(&layout, 0, BlockIndex(4), &hostile).is_err());
        assert_eq!(average.received(0).ones(), 0);
    }
}
