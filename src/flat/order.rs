//! In which order blocks are sent: what comes last is what is most likely lost.

use crate::bitmap::Bitmap;
use crate::ids::{BlockIndex, Round};

/// All blocks: the urgent, then the oldest (by `ages`, rounds in a row in which a block went unused), then the rest in
/// an order that all workers share in a round and that starts at another place each round (DESIGN section 5).
///
/// # Panics
/// If there are not as many `ages` as blocks.
#[must_use]
pub fn send_order(round: Round, urgent: &Bitmap, ages: &[u8]) -> Vec<BlockIndex> {
    let blocks = urgent.len();
    assert_eq!(ages.len(), blocks as usize);
    // Multiples of the golden ratio: successive starts lie far apart, and no block is favoured in the long run.
    let turn = u64::from(round.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let start = ((turn * u64::from(blocks)) >> 32) as u32;
    let mut order: Vec<_> = (start..blocks).chain(0..start).map(BlockIndex).collect();
    order.sort_by_key(|&block| (!urgent.contains(block), u8::MAX - ages[block.usize()]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_then_oldest_then_rotated() {
        let mut urgent = Bitmap::zeros(6);
        urgent.insert(BlockIndex(4));
        let order = |round, ages: &[u8]| -> Vec<u32> {
            send_order(Round(round), &urgent, ages).into_iter().map(|block| block.0).collect()
        };
        assert_eq!(order(0, &[0; 6]), [4, 0, 1, 2, 3, 5]);
        assert_eq!(order(1, &[0; 6]), [4, 3, 5, 0, 1, 2]);
        assert_eq!(order(0, &[0, 1, 0, 2, 3, 0]), [4, 3, 1, 0, 2, 5]);
    }

    #[test]
    fn every_block_once_and_every_start_in_turn() {
        let urgent = Bitmap::zeros(26);
        let mut starts = [0; 26];
        for round in 0..2600 {
            let mut order = send_order(Round(round), &urgent, &[0; 26]);
            starts[order[0].usize()] += 1;
            order.sort_unstable();
            assert!(order.into_iter().eq((0..26).map(BlockIndex)));
        }
        assert!(starts.iter().all(|&times| (90..=110).contains(&times)), "{starts:?}");
    }
}
