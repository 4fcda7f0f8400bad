//! The learning rate that a round must have.

use std::f64::consts::PI;

/// The course of the rate, in epochs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Schedule {
    Constant,
    Step { epochs: Vec<u64>, gamma: f64 },
    Cosine { warmup: u64 },
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["constant"] => Some(Self::Constant),
            ["cosine"] => Some(Self::Cosine { warmup: 0 }),
            ["cosine", warmup] => Some(Self::Cosine { warmup: warmup.parse().ok()? }),
            ["step", epochs, gamma] => Some(Self::Step {
                epochs: epochs.split(',').map(|epoch| epoch.parse().ok()).collect::<Option<_>>()?,
                gamma: gamma.parse().ok()?,
            }),
            _ => None,
        }
    }

    /// The share of the plan's rate that the round which `clock` is about to count has, of a run of so many `epochs`.
    pub(super) fn factor(&self, clock: &Clock, taken: u64, epochs: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Step { epochs, gamma } => {
                gamma.powi(epochs.iter().filter(|&&drop| drop <= clock.epochs).count() as i32)
            }
            Self::Cosine { warmup } => {
                let (warmup, end) = (*warmup as f64, clock.end_of_round(taken));
                if end <= warmup {
                    return end / warmup;
                }
                let done = (end - warmup) / (epochs - warmup);
                0.5 + 0.5 * (PI * done.min(1.0)).cos()
            }
        }
    }

    /// Whether the rate steps down behind the round which `clock` is about to count.
    pub(super) fn drops_after(&self, clock: &Clock, taken: u64) -> bool {
        let Self::Step { epochs, .. } = self else { return false };
        clock.ends_with(taken) && epochs.contains(&(clock.epochs + 1))
    }
}

/// Epochs, counted in the examples that the plan hands out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Examples of an epoch.
    examples: u64,
    /// Whole epochs behind.
    pub(super) epochs: u64,
    /// Examples of the next one that are handed out.
    handed: u64,
}

impl Clock {
    /// The beginning of a run over so many `examples`.
    pub(super) const fn new(examples: u64) -> Self {
        Self { examples, epochs: 0, handed: 0 }
    }

    /// The same after so many epochs, when so many examples of the next one were handed out.
    pub(super) const fn at(self, epochs: u64, handed: u64) -> Self {
        Self { epochs, handed, ..self }
    }

    /// Whether a round that takes so many examples is the last of its epoch.
    const fn ends_with(&self, taken: u64) -> bool {
        self.handed.saturating_add(taken) >= self.examples
    }

    /// Epochs behind such a round. Of one that is not over there is a share: of the rounds that it would have if all
    /// that come were like this one, the first ones counted as many of these.
    fn end_of_round(&self, taken: u64) -> f64 {
        if self.ends_with(taken) {
            return self.epochs as f64 + 1.0;
        }
        let behind = self.handed as f64 / taken as f64 + 1.0;
        let ahead = (self.examples - self.handed - taken).div_ceil(taken) as f64;
        self.epochs as f64 + behind / (behind + ahead)
    }

    /// A round that takes so many examples has ended.
    pub(super) const fn count(&mut self, taken: u64) {
        if self.ends_with(taken) {
            (self.epochs, self.handed) = (self.epochs + 1, 0);
        } else {
            self.handed += taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `of` says of each of ten rounds, three to the epoch.
    fn of_rounds<T>(of: impl Fn(&Clock) -> T) -> Vec<T> {
        let mut clock = Clock::new(50);
        let mut found = Vec::new();
        for _ in 0..10 {
            found.push(of(&clock));
            clock.count(20);
        }
        found
    }

    #[test]
    fn rates_fall_after_whole_epochs() {
        let step = Schedule::parse("step:2,3:0.1").unwrap();
        let rates = of_rounds(|clock| step.factor(clock, 20, 4.0));
        assert_eq!(rates[..6], [1.0; 6]);
        assert_eq!((rates[6], rates[8]), (0.1, 0.1));
        assert!((rates[9] - 0.01).abs() < 1e-15);
        let drops = of_rounds(|clock| step.drops_after(clock, 20));
        assert_eq!((1..).zip(drops).filter(|drop| drop.1).map(|drop| drop.0).sum::<u32>(), 6 + 9);
        let cosine = Schedule::parse("cosine:1").unwrap();
        let rates = of_rounds(|clock| cosine.factor(clock, 20, 3.0));
        assert_eq!(
            [rates[0], rates[2], rates[5], rates[8]].map(|rate| (3e3 * rate).round()),
            [1000.0, 3000.0, 1500.0, 0.0]
        );
        assert_eq!(Schedule::parse("step:x:1"), None);
    }

    #[test]
    fn large_rounds_count_as_many_small_ones() {
        let mut clock = Clock::new(1000);
        for _ in 0..4 {
            clock.count(100);
        }
        assert_eq!(clock.end_of_round(100), 0.5);
        // As if two large rounds were behind, with two of them to go.
        assert_eq!((clock.end_of_round(200), clock.end_of_round(400)), (0.6, 2.0 / 3.0));
        assert_eq!(clock.end_of_round(600), 1.0);
        clock.count(600);
        assert_eq!((clock.epochs, clock.end_of_round(250)), (1, 1.25));
    }
}
