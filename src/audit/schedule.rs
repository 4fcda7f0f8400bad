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

    /// The share of the plan's rate that `round` of `rounds` has.
    pub(super) fn factor(&self, round: u32, rounds: u64, per_epoch: u64) -> f64 {
        // Whole epochs behind us when the round begins, and rounds behind us when it has ended.
        let (epoch, round) = (u64::from(round.saturating_sub(1)) / per_epoch, u64::from(round));
        match self {
            Self::Constant => 1.0,
            Self::Step { epochs, gamma } => {
                gamma.powi(epochs.iter().filter(|&&drop| drop <= epoch).count() as i32)
            }
            Self::Cosine { warmup } => {
                let warmup = warmup.saturating_mul(per_epoch);
                if round <= warmup {
                    return round as f64 / warmup as f64;
                }
                let rest = rounds.saturating_sub(warmup).max(1);
                let done = (round - warmup) as f64 / rest as f64;
                0.5 + 0.5 * (PI * done.min(1.0)).cos()
            }
        }
    }

    /// Whether the rate steps down between `round` and the next one.
    pub(super) fn drops_after(&self, round: u32, per_epoch: u64) -> bool {
        let Self::Step { epochs, .. } = self else { return false };
        let round = u64::from(round);
        round.is_multiple_of(per_epoch) && epochs.contains(&(round / per_epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_after_whole_epochs() {
        let step = Schedule::parse("step:2,3:0.1").unwrap();
        let rates: Vec<f64> = (1..=10).map(|round| step.factor(round, 10, 3)).collect();
        assert_eq!(rates[..6], [1.0; 6]);
        assert_eq!((rates[6], rates[8]), (0.1, 0.1));
        assert!((rates[9] - 0.01).abs() < 1e-15);
        let drops: Vec<u32> = (1..=10).filter(|&round| step.drops_after(round, 3)).collect();
        assert_eq!(drops, [6, 9]);
        let cosine = Schedule::parse("cosine:1").unwrap();
        assert_eq!([1, 2, 12].map(|round| cosine.factor(round, 12, 2)), [0.5, 1.0, 0.0]);
        assert_eq!(Schedule::parse("step:x:1"), None);
    }
}
