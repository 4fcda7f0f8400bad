//! The average of a round's pushes, block by block, always added in the order of the workers: floating-point sums
//! depend on their order, and results must not depend on the network.

use std::collections::VecDeque;
use std::ops::Range;

use crate::bitmap::Bitmap;
use crate::codec::DecodeError;
use crate::flat::{Codecs, Layout, Part as Carried};
use crate::ids::BlockIndex;
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
        };
        average.reset(layout, codecs, workers);
        average
    }

    /// Begins again with other codecs and another number of workers; all buffers are used again.
    pub fn reset(&mut self, layout: &Layout, codecs: Codecs, workers: u16) {
        self.codecs = codecs;
        self.sum.fill(0.0);
        self.turn.fill(0);
        self.contributors.fill(0);
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
                codec.decode_add(bytes, &mut self.sum[layout.range(of)])?;
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

    /// Which blocks of the push of the worker with this rank are in.
    #[must_use]
    pub fn received(&self, rank: u16) -> &Bitmap {
        &self.parts[usize::from(rank)].received
    }

    /// The next block of the model to which no worker adds any more, each once.
    pub fn poll_complete(&mut self) -> Option<BlockIndex> {
        self.complete.pop_front()
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
    use crate::codec::Codec;
    use crate::flat::{Directions, Encoded};
    use crate::rng;

    const WORKERS: u16 = 5;

    fn layout() -> Layout {
        Layout::new([("a".into(), vec![25, 40]), ("b".into(), vec![3])]).unwrap()
    }

    fn powersgd(layout: &Layout) -> Codecs {
        Codecs::uniform(layout, "powersgd:2".parse().unwrap())
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
        let mut average = Average::new(&layout, Codecs::uniform(&layout, Codec::Fp16), 1);
        for seed in 0..50 {
            let pushes = pushes(seed);
            let mut rng = rng::stream(seed, "order", 0);
            let raw = Codecs::uniform(&layout, Codec::Raw);
            let codecs = if seed % 2 == 0 { raw } else { powersgd(&layout) };
            let push = codecs.layout(&layout);
            let blocks = push.blocks();
            let mut arrivals: Vec<_> = (0..WORKERS)
                .flat_map(|rank| (0..blocks).map(move |block| (rank, BlockIndex(block))))
                .filter(|_| rng::unit(&mut rng) > 0.3)
                .collect();
            let mut results: Vec<Vec<u32>> = Vec::new();
            for _ in 0..4 {
                average.reset(&layout, codecs.clone(), WORKERS);
                rng::shuffle(&mut rng, &mut arrivals);
                for &(rank, block) in &arrivals {
                    let block_bytes = bytes(&pushes[usize::from(rank)][push.range(block)]);
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

    /// Each tensor comes out as if the whole push had its codec.
    #[test]
    fn mixed_pushes_average_as_each_tensor_alone() {
        let shapes = [("a", vec![30, 40]), ("b", vec![70]), ("c", vec![7, 9]), ("d", vec![3])];
        let layout = Layout::new(shapes.map(|(name, shape)| (name.to_owned(), shape))).unwrap();
        let averaged = |codecs: Codecs, seed| {
            let mut average = Average::new(&layout, codecs.clone(), WORKERS);
            let push = codecs.layout(&layout);
            for rank in 0..WORKERS {
                let mut rng = rng::stream(seed, "values", rank.into());
                let mut value = || rng::unit(&mut rng) as f32 - 0.5;
                let update: Vec<_> = (0..layout.values()).map(|_| value()).collect();
                let (mut encoded, mut directions) = (Encoded::default(), Directions::default());
                encoded.fill(push, &codecs, directions.put(&layout, &codecs, &update));
                for tensor in push.tensors() {
                    let mut rng = rng::stream(seed, &tensor.name, rank.into());
                    for block in tensor.blocks.clone().map(BlockIndex) {
                        if rng::unit(&mut rng) > 0.2 {
                            average.add(&layout, rank, block, encoded.block(block)).unwrap();
                        }
                    }
                }
                average.close(&layout, rank);
            }
            all(&mut average, &layout, Missing::Feedback)
        };
        for seed in 0..300 {
            let mut rng = rng::stream(seed, "codecs", 0);
            let mut any = || Codec::ALL[rng::below(&mut rng, Codec::ALL.len() as u64) as usize];
            let (codec, other) = (any(), any());
            let others = Bitmap::from_bytes(&[seed as u8 % 16], 4).unwrap();
            let mixed = averaged(Codecs::mixed(&layout, codec, other, &others), seed);
            let alone = [codec, other].map(|codec| averaged(Codecs::uniform(&layout, codec), seed));
            for (place, tensor) in (0..).map(BlockIndex).zip(layout.tensors()) {
                let range = tensor.values.clone();
                let alone = &alone[usize::from(others.contains(place))];
                assert_eq!(mixed[range.clone()], alone[range], "seed {seed}: {codec}, {other}");
            }
        }
    }

    #[test]
    fn missing_blocks_are_zero_or_the_mean() {
        let layout = Layout::new([("a".into(), vec![1]), ("b".into(), vec![1])]).unwrap();
        let result = |missing| {
            let mut average = Average::new(&layout, Codecs::uniform(&layout, Codec::Raw), 3);
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
    fn what_is_missing_of_a_longer_factor_is_missing_of_the_matrix_only_there() {
        let layout = Layout::new([("a".into(), vec![3, 500])]).unwrap();
        let codecs = Codecs::uniform(&layout, "powersgd:1".parse().unwrap());
        let mut average = Average::new(&layout, codecs, 2);
        let averaged = |average: &mut Average, blocks: &[(u32, Vec<f32>)], missing| {
            for (block, values) in blocks {
                average.add(&layout, 0, BlockIndex(*block), &bytes(values)).unwrap();
            }
            (0..2).for_each(|rank| average.close(&layout, rank));
            all(average, &layout, missing)
        };
        let (short, long) = (vec![2.0, 0.0, -4.0], [vec![1.0; 320], vec![3.0; 180]]);
        let whole = [(0, short), (1, long[0].clone()), (2, long[1].clone())];
        let values = averaged(&mut average, &whole, Missing::Zero);
        assert_eq!((values[0], values[499], values[500], values[1000]), (1.0, 3.0, 0.0, -2.0));
        for (parts, first, last) in
            [(vec![0, 2], 0.0, 3.0), (vec![1, 2], 0.0, 0.0), (vec![0], 0.0, 0.0)]
        {
            average.reset(&layout, average.codecs().clone(), 2);
            let parts: Vec<_> = parts.into_iter().map(|part| whole[part].clone()).collect();
            let values = averaged(&mut average, &parts, Missing::Feedback);
            assert_eq!((values[0], values[499]), (first, last));
        }
        average.reset(&layout, average.codecs().clone(), 2);
        let values = averaged(&mut average, &whole, Missing::Mean);
        assert_eq!((values[0], values[499]), (2.0, 6.0));
    }

    #[test]
    fn bytes_that_are_no_block_change_nothing() {
        let layout = layout();
        let mut average = Average::new(&layout, Codecs::uniform(&layout, Codec::Raw), 1);
        assert!(average.add(&layout, 0, BlockIndex(0), b"short").is_err());
        let hostile = [1.0, f32::NAN, 0.0].map(f32::to_le_bytes).concat();
        assert!(average.add(&layout, 0, BlockIndex(4), &hostile).is_err());
        assert_eq!(average.received(0).ones(), 0);
        average.reset(&layout, powersgd(&layout), 1);
        for block in (0..2).map(BlockIndex) {
            let range = average.codecs().layout(&layout).range(block);
            let hostile = [&[f32::MAX; 79][..range.len() - 1], &[f32::INFINITY]].concat();
            assert!(average.add(&layout, 0, block, &bytes(&hostile)).is_err());
            assert!(average.add(&layout, 0, block, &bytes(&hostile)[4..]).is_err());
        }
        average.close(&layout, 0);
        assert_eq!(all(&mut average, &layout, Missing::Zero), vec![0.0; 1003]);
        average.reset(&layout, powersgd(&layout), 1);
        for block in (0..2).map(BlockIndex) {
            let len = average.codecs().layout(&layout).range(block).len();
            average.add(&layout, 0, block, &bytes(&vec![f32::MAX; len])).unwrap();
        }
        average.close(&layout, 0);
        assert_eq!(all(&mut average, &layout, Missing::Zero), vec![0.0; 1003]);
    }
}
