//! In which order blocks are sent: what comes last is what is most likely lost.

use super::Layout;
use crate::bitmap::Bitmap;
use crate::ids::{BlockIndex, Round};
use crate::rng;
use crate::simd::BlockKernels;

/// The order of the blocks of a push that are neither urgent nor old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// One that all workers share and that starts at another place each round: the same blocks arrive first from
    /// everybody, so that their averages are soon known, and no block is always the last (DESIGN section 5).
    #[default]
    Rotated,
    /// The largest first, by the L2 norm of the block: what is lost matters least. Workers differ, so averages come late.
    Magnitude,
    /// By chance, for each worker and round: losses of different workers hit different blocks. Averages come late.
    Random,
}

crate::named!(Order, "order of blocks", {
    Rotated => "rotated",
    Magnitude => "magnitude",
    Random => "random",
});

impl Order {
    /// All blocks of `update` in this order; `rank` tells the workers of a run with this `seed` apart.
    #[must_use]
    pub fn blocks(
        self,
        layout: &Layout,
        update: &[f32],
        round: Round,
        (seed, rank): (u64, u16),
    ) -> Vec<BlockIndex> {
        match self {
            Self::Rotated => rotated(round, layout.blocks()),
            Self::Magnitude => {
                let kernels = BlockKernels::detected();
                let square = |block| kernels.squares(&update[layout.range(block)]);
                let mut sized: Vec<_> =
                    all(layout.blocks()).map(|block| (square(block), block)).collect();
                sized.sort_by(|(a, _), (b, _)| b.total_cmp(a));
                sized.into_iter().map(|(_, block)| block).collect()
            }
            Self::Random => {
                let turn = u64::from(round.0) << 16 | u64::from(rank);
                let mut order: Vec<_> = all(layout.blocks()).collect();
                rng::shuffle(&mut rng::stream(seed, "order", turn), &mut order);
                order
            }
        }
    }
}

fn all(blocks: u32) -> impl Iterator<Item = BlockIndex> {
    (0..blocks).map(BlockIndex)
}

/// All blocks in the order of [`Order::Rotated`].
#[must_use]
pub fn rotated(round: Round, blocks: u32) -> Vec<BlockIndex> {
    // Multiples of the golden ratio: successive starts lie far apart, and no block is favoured in the long run.
    let turn = u64::from(round.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let start = ((turn * u64::from(blocks)) >> 32) as u32;
    (start..blocks).chain(0..start).map(BlockIndex).collect()
}

/// The urgent ones of `blocks` first, then the oldest (by `ages`, rounds in a row in which a block went unused), then
/// the rest; each of these as they stand.
///
/// # Panics
/// If there are fewer `ages` than blocks.
#[must_use]
pub fn send_order(mut blocks: Vec<BlockIndex>, urgent: &Bitmap, ages: &[u8]) -> Vec<BlockIndex> {
    blocks.sort_by_key(|&block| (!urgent.contains(block), u8::MAX - ages[block.usize()]));
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(blocks: Vec<BlockIndex>) -> Vec<u32> {
        blocks.into_iter().map(|block| block.0).collect()
    }

    #[test]
    fn urgent_then_oldest_then_the_rest() {
        let mut urgent = Bitmap::zeros(6);
        urgent.insert(BlockIndex(4));
        let order =
            |round, ages: &[u8]| numbers(send_order(rotated(Round(round), 6), &urgent, ages));
        assert_eq!(order(0, &[0; 6]), [4, 0, 1, 2, 3, 5]);
        assert_eq!(order(1, &[0; 6]), [4, 3, 5, 0, 1, 2]);
        assert_eq!(order(0, &[0, 1, 0, 2, 3, 0]), [4, 3, 1, 0, 2, 5]);
    }

    #[test]
    fn rotated_gives_every_block_once_and_every_start_in_turn() {
        let mut starts = [0; 26];
        for round in 0..2600 {
            let mut order = rotated(Round(round), 26);
            starts[order[0].usize()] += 1;
            order.sort_unstable();
            assert!(order.into_iter().eq(all(26)));
        }
        assert!(starts.iter().all(|&times| (90..=110).contains(&times)), "{starts:?}");
    }

    /// Five blocks of two tensors, the second one short.
    fn layout() -> Layout {
        Layout::new([("a".into(), vec![1200]), ("b".into(), vec![3])]).unwrap()
    }

    #[test]
    fn magnitude_is_that_of_the_block_and_equals_keep_their_order() {
        let layout = layout();
        let mut update = vec![0.01; layout.values()];
        update[layout.range(BlockIndex(4))].fill(7.0);
        update[layout.range(BlockIndex(2))][5] = -5.0;
        let order = Order::Magnitude.blocks(&layout, &update, Round(9), (1, 0));
        assert_eq!(numbers(order), [4, 2, 0, 1, 3]);
    }

    #[test]
    fn random_differs_by_worker_round_and_seed_and_repeats() {
        let layout = Layout::new([("a".into(), vec![320 * 40])]).unwrap();
        let update = vec![0.0; layout.values()];
        let order = |seed, round, rank| {
            numbers(Order::Random.blocks(&layout, &update, Round(round), (seed, rank)))
        };
        let one = order(1, 1, 0);
        assert_eq!(one, order(1, 1, 0));
        for other in [order(2, 1, 0), order(1, 2, 0), order(1, 1, 1)] {
            assert_ne!(one, other);
            let mut other = other;
            other.sort_unstable();
            assert!(other.into_iter().eq(0..40));
        }
    }
}
