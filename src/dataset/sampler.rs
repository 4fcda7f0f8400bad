//! Which training sample comes when: a function of the seed and the global sample index, not of who asks.

use super::Shards;
use super::shards::{ShardsError, dirichlet};
use crate::rng::{shuffle, stream};

/// The order of all samples of a run.
///
/// With IID shards all slots share one order: the `n` samples from `e x n` on are epoch `e`, in which each training
/// image comes exactly once. With label-skewed shards every slot has its own images, order and epochs.
#[derive(Clone, Debug)]
pub struct Sampler {
    seed: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Positions in the training data.
    samples: Vec<u32>,
    /// The orders asked for last, the latest first: work that is done again reaches back into the epoch before.
    orders: [Option<(u64, Vec<u32>)>; 2],
}

impl Sampler {
    /// The order of training data with these `labels` for `slots` workers.
    ///
    /// # Errors
    /// If there are not enough samples for all slots.
    pub fn new(labels: &[u8], shards: Shards, slots: u16, seed: u64) -> Result<Self, ShardsError> {
        let shards = match shards {
            Shards::Iid if labels.is_empty() => {
                return Err(ShardsError::TooMany { samples: 0, slots });
            }
            Shards::Iid => vec![(0..labels.len() as u32).collect()],
            Shards::Dirichlet(alpha) => dirichlet(labels, alpha, slots, seed)?,
        };
        let slots = shards.into_iter().map(|samples| Slot { samples, orders: [None, None] });
        Ok(Self { seed, slots: slots.collect() })
    }

    /// How many orders there are: 1 for IID shards, else one for each slot.
    #[must_use]
    pub const fn orders(&self) -> usize {
        self.slots.len()
    }

    /// How many samples an epoch of `slot` has.
    #[must_use]
    pub fn epoch_len(&self, slot: u16) -> usize {
        self.slots[self.order_of(slot)].samples.len()
    }

    /// The position in the training data of sample `global` of `slot`, both counted from 0.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn sample(&mut self, slot: u16, global: u64) -> usize {
        let order = self.order_of(slot);
        let (seed, slot) = (self.seed, &mut self.slots[order]);
        let len = slot.samples.len() as u64;
        let (epoch, position) = (global / len, global % len);
        slot.order(epoch, || stream(seed, &format!("order/{order}"), epoch))[position as usize]
            as usize
    }

    fn order_of(&self, slot: u16) -> usize {
        if self.slots.len() == 1 { 0 } else { slot.into() }
    }
}

impl Slot {
    fn order(&mut self, epoch: u64, rng: impl FnOnce() -> crate::rng::Rng) -> &[u32] {
        let is_cached = |cached: &Option<(u64, Vec<u32>)>| {
            cached.as_ref().is_some_and(|cached| cached.0 == epoch)
        };
        if !is_cached(&self.orders[0]) {
            self.orders.swap(0, 1);
        }
        if !is_cached(&self.orders[0]) {
            let mut order = self.orders[0].take().map(|(_, order)| order).unwrap_or_default();
            order.clone_from(&self.samples);
            shuffle(&mut rng(), &mut order);
            self.orders[0] = Some((epoch, order));
        }
        self.orders[0].as_ref().map_or(&[], |(_, order)| order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::below;

    fn labels(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * i % 7) as u8).collect()
    }

    #[test]
    fn each_epoch_has_every_sample_once_in_another_order() {
        let mut sampler = Sampler::new(&labels(101), Shards::Iid, 3, 7).unwrap();
        assert_eq!((sampler.orders(), sampler.epoch_len(2)), (1, 101));
        let mut epochs: Vec<Vec<usize>> = vec![];
        for epoch in 0..5u64 {
            let order: Vec<usize> = (0..101).map(|i| sampler.sample(0, epoch * 101 + i)).collect();
            assert!(!epochs.contains(&order));
            epochs.push(order.clone());
            let mut sorted = order;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..101));
        }
        let mut other = Sampler::new(&labels(101), Shards::Iid, 1, 8).unwrap();
        assert_ne!(epochs[0], (0..101).map(|i| other.sample(0, i)).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_does_not_depend_on_who_asks_when() {
        for shards in [Shards::Iid, Shards::Dirichlet(0.3)] {
            let mut forwards = Sampler::new(&labels(60), shards, 4, 1).unwrap();
            let expected: Vec<Vec<usize>> = (0..4)
                .map(|slot| (0..500).map(|global| forwards.sample(slot, global)).collect())
                .collect();
            let mut rng = stream(1, "test", 0);
            let mut anyhow = Sampler::new(&labels(60), shards, 4, 1).unwrap();
            for _ in 0..5000 {
                let (slot, global) = (below(&mut rng, 4) as u16, below(&mut rng, 500));
                assert_eq!(
                    anyhow.sample(slot, global),
                    expected[usize::from(slot)][global as usize]
                );
            }
            if shards == Shards::Iid {
                assert!(expected.iter().all(|order| *order == expected[0]), "one order for all");
            }
        }
    }

    #[test]
    fn skewed_slots_go_through_their_own_samples() {
        let mut sampler = Sampler::new(&labels(200), Shards::Dirichlet(0.5), 3, 5).unwrap();
        let mut all = vec![];
        for slot in 0..3 {
            let len = sampler.epoch_len(slot);
            let epoch = |sampler: &mut Sampler, number: usize| {
                let mut samples: Vec<_> =
                    (0..len).map(|i| sampler.sample(slot, (number * len + i) as u64)).collect();
                samples.sort_unstable();
                samples
            };
            let first = epoch(&mut sampler, 0);
            assert_eq!(first, epoch(&mut sampler, 9));
            all.extend(first);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..200));
    }

    #[test]
    fn nothing_cannot_be_sampled() {
        assert!(Sampler::new(&[], Shards::Iid, 1, 1).is_err());
        assert!(Sampler::new(&[1, 2], Shards::Dirichlet(1.0), 3, 1).is_err());
    }
}
