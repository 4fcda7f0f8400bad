//! Which examples were handed out: nothing twice, nothing left out, whoever comes and goes.

use serde::{Deserialize, Serialize};

/// Consecutive examples of one shard's order, counted since the start of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which shard.
    pub slot: u16,
    /// First example.
    pub first: u64,
    /// Examples.
    pub count: u32,
}

/// The place in each shard's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    next: Vec<u64>,
    /// The shard that comes first in the next round, so that fewer workers than shards still see all of them.
    turn: usize,
    redo: Vec<Slice>,
    handed_out: u64,
}

impl Cursor {
    /// The beginning of `slots` (at least one) shards.
    #[must_use]
    pub fn new(slots: u16) -> Self {
        Self { next: vec![0; slots.max(1).into()], turn: 0, redo: Vec::new(), handed_out: 0 }
    }

    /// Whether it can go on over so many shards: all that it has handed out is of one of them.
    #[must_use]
    pub fn fits(&self, slots: u16) -> bool {
        let slots = usize::from(slots.max(1));
        let known = |slice: &Slice| usize::from(slice.slot) < slots && slice.count > 0;
        self.next.len() == slots && self.turn < slots && self.redo.iter().all(known)
    }

    /// Hands `count` examples to each of `workers` workers, in their order; slices that came back go first, and may be
    /// smaller.
    pub fn deal(&mut self, workers: usize, count: u32) -> Vec<Slice> {
        let mut slices = Vec::with_capacity(workers);
        for _ in 0..workers {
            let slice = self.again(count).unwrap_or_else(|| self.fresh(count));
            self.handed_out += u64::from(slice.count);
            slices.push(slice);
        }
        slices
    }

    /// At most `count` examples that came back.
    fn again(&mut self, count: u32) -> Option<Slice> {
        let slice = self.redo.pop()?;
        if slice.count > count {
            let (first, rest) = (slice.first + u64::from(count), slice.count - count);
            self.redo.push(Slice { first, count: rest, ..slice });
        }
        Some(Slice { count: slice.count.min(count), ..slice })
    }

    fn fresh(&mut self, count: u32) -> Slice {
        let slot = self.turn;
        self.turn = (self.turn + 1) % self.next.len();
        let first = self.next[slot];
        self.next[slot] += u64::from(count);
        Slice { slot: slot as u16, first, count }
    }

    /// Takes back a slice of which nothing was used.
    pub fn take_back(&mut self, slice: Slice) {
        self.handed_out -= u64::from(slice.count);
        self.redo.push(slice);
    }

    /// Examples handed out and not taken back.
    #[must_use]
    pub const fn examples(&self) -> u64 {
        self.handed_out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng;

    #[test]
    fn three_workers_see_what_one_sees() {
        let (mut three, mut one) = (Cursor::new(1), Cursor::new(1));
        for _ in 0..10 {
            let slices = three.deal(3, 20);
            let whole = one.deal(1, 60)[0];
            let firsts: Vec<_> = slices.iter().map(|slice| slice.first).collect();
            assert_eq!(firsts, [whole.first, whole.first + 20, whole.first + 40]);
        }
    }

    #[test]
    fn every_worker_keeps_its_shard_and_every_shard_its_turn() {
        let mut cursor = Cursor::new(3);
        for round in 0..4 {
            let slots: Vec<_> = cursor.deal(3, 5).iter().map(|s| (s.slot, s.first)).collect();
            assert_eq!(slots, [(0, 5 * round), (1, 5 * round), (2, 5 * round)]);
        }
        let slots: Vec<_> =
            (0..3).flat_map(|_| cursor.deal(2, 5)).map(|slice| slice.slot).collect();
        assert_eq!(slots, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn nothing_twice_and_nothing_left_out() {
        for seed in 0..200 {
            let mut rng = rng::stream(seed, "cursor", 0);
            let slots = 1 + rng::below(&mut rng, 3) as u16;
            let (mut cursor, mut used) = (Cursor::new(slots), BTreeSet::new());
            for _ in 0..100 {
                let workers = 1 + rng::below(&mut rng, 5) as usize;
                let count = 1 + rng::below(&mut rng, 8) as u32;
                for slice in cursor.deal(workers, count) {
                    assert!((1..=count).contains(&slice.count), "seed {seed}");
                    if rng::below(&mut rng, 4) == 0 {
                        cursor.take_back(slice);
                        continue;
                    }
                    for example in slice.first..slice.first + u64::from(slice.count) {
                        assert!(used.insert((slice.slot, example)), "seed {seed}: twice");
                    }
                }
            }
            for slice in cursor.redo.clone() {
                let range = slice.first..slice.first + u64::from(slice.count);
                used.extend(range.map(|example| (slice.slot, example)));
            }
            let handed: u64 = cursor.next.iter().sum();
            assert_eq!(used.len() as u64, handed, "seed {seed}: left out");
        }
    }
}
