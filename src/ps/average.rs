//! The average of a round's pushes, block by block, always added in the order of the workers: floating-point sums
//! depend on their order, and results must not depend on the network.

use std::collections::VecDeque;

use crate::bitmap::Bitmap;
use crate::codec::{Codec, DecodeError};
use crate::flat::{BLOCK_VALUES, Layout};
use crate::ids::BlockIndex;
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
    /// Of each block, the squares of all contributions; empty if they are not asked for.
    squares: Vec<f64>,
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
            squares: Vec::new(),
        }
    }

    /// The same, for somebody who asks for signals if they are `wanted`.
    #[must_use]
    pub fn with_signal(self, wanted: bool) -> Self {
        let squares = if wanted { vec![0.0; self.turn.len()] } else { Vec::new() };
        Self { squares, ..self }
    }

    /// Begins again with another codec and number of workers; all buffers are used again.
    pub fn reset(&mut self, layout: &Layout, codec: Codec, workers: u16) {
        self.codec = codec;
        self.sum.fill(0.0);
        self.turn.fill(0);
        self.contributors.fill(0);
        self.squares.fill(0.0);
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
            if let Some(squares) = self.squares.get_mut(block.usize()) {
                let (mut values, kernels) = ([0.0; BLOCK_VALUES], BlockKernels::detected());
                let values = &mut values[..range.len()];
                self.codec.decode(bytes, values)?;
                *squares += kernels.squares(values);
                kernels.add(values, &mut self.sum[range]);
            } else {
                self.codec.decode_add(bytes, &mut self.sum[range])?;
            }
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

    /// Which blocks of the worker with this rank are in.
    #[must_use]
    pub fn received(&self, rank: u16) -> &Bitmap {
        &self.parts[usize::from(rank)].received
    }

    /// The next block to which no worker adds any more, each once.
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
    /// Divided by the number of workers; only with [`Missing::Mean`] by the number of contributions.
    pub fn mean(&mut self, layout: &Layout, block: BlockIndex, missing: Missing) -> &[f32] {
        let workers = self.parts.len() as u16;
        debug_assert_eq!(self.turn[block.usize()], workers);
        let by = match missing {
            Missing::Mean => self.contributors[block.usize()].max(1),
            Missing::Zero | Missing::Feedback => workers,
        };
        let sum = &mut self.sum[layout.range(block)];
        BlockKernels::detected().divide(sum, by.into());
        sum
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
    fn a_signal_is_the_mean_product_of_two_workers() {
        let layout = layout();
        let mut average = Average::new(&layout, Codec::Raw, 1).with_signal(true);
        let mut plain = Average::new(&layout, Codec::Raw, 1);
        for seed in 0..20 {
            let (pushes, mut rng) = (pushes(seed), rng::stream(seed, "lost", 0));
            average.reset(&layout, Codec::Raw, WORKERS);
            plain.reset(&layout, Codec::Raw, WORKERS);
            let mut used = vec![Vec::new(); layout.blocks() as usize];
            for rank in [3, 0, 4, 1, 2] {
                for block in (0..layout.blocks()).map(BlockIndex) {
                    if rng::unit(&mut rng) > 0.5 {
                        used[block.usize()].push(rank);
                        let push = bytes(&pushes[usize::from(rank)][layout.range(block)]);
                        average.add(&layout, rank, block, &push).unwrap();
                        plain.add(&layout, rank, block, &push).unwrap();
                    }
                }
            }
            (0..WORKERS).for_each(|rank| average.close(&layout, rank));
            (0..WORKERS).for_each(|rank| plain.close(&layout, rank));
            for block in (0..layout.blocks()).map(BlockIndex) {
                let ranks = &used[block.usize()];
                let product = |one: u16, other: u16| -> f64 {
                    let values = |rank| pushes[usize::from(rank)][layout.range(block)].iter();
                    values(one).zip(values(other)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let pairs = ranks.iter().flat_map(|&a| ranks.iter().map(move |&b| (a, b)));
                let products: Vec<f64> =
                    pairs.filter(|(a, b)| a != b).map(|(a, b)| product(a, b)).collect();
                let squares: f64 = ranks.iter().map(|&rank| product(rank, rank)).sum();
                let expected = products.iter().sum::<f64>() / products.len() as f64;
                match average.signal(&layout, block) {
                    Some(signal) => assert!((signal - expected).abs() <= 1e-5 * squares),
                    None => assert!(ranks.len() < 2),
                }
                assert_eq!(plain.signal(&layout, block), None);
            }
            let all = |average| all(average, &layout, Missing::Zero);
            assert_eq!(all(&mut average), all(&mut plain), "to measure changes nothing");
        }
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
