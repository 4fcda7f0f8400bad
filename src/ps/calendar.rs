//! Where a run stands, in rounds and in epochs, whatever the batch of its rounds.
//!
//! An epoch ends with the first round by which the planned workers have taken as many examples since the last one ended
//! as the training set has. With one batch, all epochs have as many rounds. Workers that come and go change nothing:
//! the calendar is that of the plan.

use serde::{Deserialize, Serialize};

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many passes over the training data.
    Epochs(u32),
    /// So many rounds.
    Rounds(u32),
}

/// What the days of a run are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Examples of the training set.
    pub train_len: u64,
    /// Planned workers, at least 1.
    pub workers: u16,
    /// How long to train.
    pub length: Length,
}

/// A moment between two rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Rounds that have ended.
    pub round: u32,
    /// Epochs that have ended.
    pub epoch: u32,
    /// Examples of the epoch under way that have been taken.
    examples: u64,
    /// The share of that epoch, if its rounds go on as the last one.
    share: f64,
}

impl Place {
    /// Epochs that have ended, with the share of the one under way.
    #[must_use]
    pub fn epochs(&self) -> f64 {
        f64::from(self.epoch) + self.share
    }

    /// Examples of the epoch under way that have been taken.
    #[must_use]
    pub const fn examples(&self) -> u64 {
        self.examples
    }

    /// Whether an epoch has just ended.
    #[must_use]
    pub const fn ends_epoch(&self) -> bool {
        self.round > 0 && self.examples == 0
    }
}

impl Calendar {
    /// Examples of a round, at least 1.
    const fn taken(&self, batch: u32) -> u64 {
        let taken = self.workers as u64 * batch as u64;
        if taken == 0 { 1 } else { taken }
    }

    /// Rounds of such a `batch` to the epoch, at least 1.
    #[must_use]
    pub fn rounds_per_epoch(&self, batch: u32) -> u64 {
        self.train_len.div_ceil(self.taken(batch)).max(1)
    }

    /// The place behind one more round of such a `batch`.
    #[must_use]
    pub fn after(&self, place: Place, batch: u32) -> Place {
        let taken = self.taken(batch);
        let (round, examples) = (place.round + 1, place.examples.saturating_add(taken));
        if examples >= self.train_len {
            return Place { round, epoch: place.epoch + 1, examples: 0, share: 0.0 };
        }
        let whole = examples + (self.train_len - examples).div_ceil(taken) * taken;
        Place { round, epoch: place.epoch, examples, share: examples as f64 / whole as f64 }
    }

    /// Whether there can be such a place.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        place.examples < self.train_len.max(1) && (0.0..=1.0).contains(&place.share)
    }

    /// Whether the run is over.
    #[must_use]
    pub const fn is_over(&self, place: Place) -> bool {
        match self.length {
            Length::Epochs(epochs) => place.epoch >= epochs,
            Length::Rounds(rounds) => place.round >= rounds,
        }
    }

    /// The share of the run that is behind.
    #[must_use]
    pub fn done(&self, place: Place) -> f64 {
        match self.length {
            Length::Epochs(epochs) => place.epochs() / f64::from(epochs),
            Length::Rounds(rounds) => f64::from(place.round) / f64::from(rounds),
        }
    }

    /// Rounds of the whole run if they all have such a `batch` from `place` on.
    #[must_use]
    pub fn rounds(&self, place: Place, batch: u32) -> u64 {
        let epochs = match self.length {
            Length::Rounds(rounds) => return rounds.into(),
            Length::Epochs(epochs) => epochs,
        };
        let Some(later) = epochs.checked_sub(place.epoch + 1) else { return place.round.into() };
        let rest = (self.train_len - place.examples).div_ceil(self.taken(batch)).max(1);
        let later = self.rounds_per_epoch(batch).saturating_mul(later.into());
        later.saturating_add(rest).saturating_add(place.round.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn one_batch_makes_epochs_of_as_many_rounds() {
        for (train_len, workers, batch) in [(1438, 3, 16), (1440, 3, 16), (100, 1, 7), (3, 9, 1)] {
            let calendar = Calendar { train_len, workers, length: Length::Epochs(4) };
            let rounds = calendar.rounds_per_epoch(batch) as u32;
            assert_eq!(calendar.rounds(Place::default(), batch), u64::from(4 * rounds));
            let mut place = Place::default();
            for round in 1..=4 * rounds {
                assert!(!calendar.is_over(place));
                place = calendar.after(place, batch);
                assert_eq!((place.round, place.epoch), (round, round / rounds));
                assert_eq!(place.ends_epoch(), round.is_multiple_of(rounds));
                let share = f64::from(round % rounds) / f64::from(rounds);
                assert_eq!(place.epochs(), f64::from(round / rounds) + share);
                assert_eq!(calendar.rounds(place, batch), u64::from(4 * rounds));
            }
            assert!(calendar.is_over(place));
        }
    }

    #[test]
    fn epochs_are_counted_in_examples() {
        let calendar = Calendar { train_len: 1000, workers: 2, length: Length::Epochs(2) };
        let mut place = Place::default();
        let mut course = Vec::new();
        // 2 x 50 examples a round, then 2 x 200.
        for batch in [50, 50, 50, 50, 200, 200, 200, 200, 200] {
            place = calendar.after(place, batch);
            course.push((place.epoch, (place.epochs().fract() * 100.0).round() as u32));
        }
        // 400 of 1000 examples are 400 of 1000 if small rounds follow, 800 of 1200 if large ones do.
        let expected =
            [(0, 10), (0, 20), (0, 30), (0, 40), (0, 67), (1, 0), (1, 33), (1, 67), (2, 0)];
        assert_eq!(course, expected);
        assert!(calendar.is_over(place) && calendar.rounds(place, 50) == 9);
    }

    #[test]
    fn time_never_goes_back() {
        for seed in 0..200 {
            let mut rng = rng::stream(seed, "calendar", 0);
            let mut below = |most| 1 + rng::below(&mut rng, most);
            let (train_len, workers) = (below(3000), below(5) as u16);
            let calendar = Calendar { train_len, workers, length: Length::Epochs(3) };
            let (mut place, mut taken) = (Place::default(), 0);
            while !calendar.is_over(place) {
                let batch = below(80) as u32;
                let next = calendar.after(place, batch);
                assert!(next.epochs() > place.epochs(), "seed {seed}: {place:?} {next:?}");
                let (fewest, most) = (calendar.rounds(next, 80), calendar.rounds(next, 1));
                assert!(u64::from(next.round) <= fewest && fewest <= most, "seed {seed}");
                taken += u64::from(workers) * u64::from(batch);
                if next.ends_epoch() {
                    assert!(taken >= train_len, "seed {seed}");
                    taken = 0;
                }
                place = next;
            }
        }
    }
}
