//! How often something is looked at: every so many rounds or epochs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::RoundEnded;

/// The length of a period: `10` rounds, an `epoch`, `3epochs`; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Every {
    /// So many rounds.
    Rounds(u32),
    /// So many passes over the training data, counted in examples.
    Epochs(u32),
}

/// Longest period, of either kind.
const MOST: u32 = 1_000_000;
/// Part of an epoch that a sum of fractions may be wrong by.
const ROUNDING: f64 = 1e-9;

impl FromStr for Every {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let count = |text: &str| {
            let count = if text.is_empty() { Some(1) } else { text.trim_end().parse().ok() };
            count.filter(|count| (1..=MOST).contains(count)).ok_or(())
        };
        match text.strip_suffix("epochs").or_else(|| text.strip_suffix("epoch")) {
            Some(epochs) => count(epochs).map(Self::Epochs),
            None => {
                text.parse().ok().filter(|n| (1..=MOST).contains(n)).map(Self::Rounds).ok_or(())
            }
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rounds(rounds) => rounds.fmt(f),
            Self::Epochs(1) => f.write_str("epoch"),
            Self::Epochs(epochs) => write!(f, "{epochs}epochs"),
        }
    }
}

/// Where the rounds that ended stand in their period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The round was the first of its period.
    pub first: bool,
    /// The round was the last of its period.
    pub last: bool,
}

/// Divides rounds into periods.
///
/// An epoch is counted from where the last one ended, so that without a change of batch or workers every epoch has as
/// many rounds as the plan says, and ends where evaluations and steps of the learning rate are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    every: Every,
    /// Rounds and epochs when the period began.
    began: (u32, f64),
    fresh: bool,
}

impl Beat {
    /// Before the first round.
    #[must_use]
    pub const fn new(every: Every) -> Self {
        Self { every, began: (0, 0.0), fresh: true }
    }

    /// Takes in the next round that ended. Where rounds are left out, as in a series from elsewhere, the first one that
    /// is there begins its period.
    pub fn handle_round(&mut self, ended: &RoundEnded) -> Tick {
        let mut rounds = ended.round.0.saturating_sub(self.began.0);
        if let Every::Rounds(every) = self.every
            && rounds > every
        {
            self.began.0 += (rounds - 1) / every * every;
            (rounds, self.fresh) = (ended.round.0 - self.began.0, true);
        }
        let epochs = ended.epoch - self.began.1;
        let last = match self.every {
            Every::Rounds(every) => rounds >= every,
            Every::Epochs(every) => epochs >= f64::from(every) - ROUNDING,
        };
        let first = std::mem::replace(&mut self.fresh, last);
        if last {
            self.restart(ended);
        }
        Tick { first, last }
    }

    /// Begins a period behind `ended`, whatever was left of the one before.
    pub const fn restart(&mut self, ended: &RoundEnded) {
        (self.began, self.fresh) = ((ended.round.0, ended.epoch), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Round;

    #[test]
    fn reads_and_prints() {
        for (text, printed) in
            [("10", "10"), ("epoch", "epoch"), ("1epoch", "epoch"), ("3 epochs", "3epochs")]
        {
            assert_eq!(text.parse::<Every>().unwrap().to_string(), printed);
        }
        for text in ["", "0", "0epochs", "-1", "1.5", "rounds", "10rounds", "1000001", "2epoch2"] {
            assert_eq!(text.parse::<Every>(), Err(()), "{text}");
        }
    }

    #[test]
    fn epochs_have_as_many_rounds_as_they_take() {
        let lasts = |every: Every, images: u32, batch: u32| {
            let mut beat = Beat::new(every);
            let ended = |round: u32| RoundEnded {
                round: Round(round),
                epoch: f64::from(round * batch) / f64::from(images),
                ..RoundEnded::default()
            };
            let last = |&round: &u32| beat.handle_round(&ended(round)).last;
            (1..=3000).filter(last).collect::<Vec<_>>()
        };
        let multiples = |of: u32| (1..=3000 / of).map(|n| n * of).collect::<Vec<_>>();
        assert_eq!(lasts(Every::Rounds(7), 100, 10), multiples(7));
        for (images, batch) in [(1438, 48), (1440, 48), (100, 7), (3, 1), (49, 49)] {
            assert_eq!(lasts(Every::Epochs(1), images, batch), multiples(images.div_ceil(batch)));
        }
        assert_eq!(lasts(Every::Epochs(3), 100, 10), multiples(30));
    }

    #[test]
    fn rounds_may_be_left_out() {
        let mut beat = Beat::new(Every::Rounds(10));
        let mut first = |&round: &u32| {
            beat.handle_round(&RoundEnded { round: Round(round), ..RoundEnded::default() }).first
        };
        let mut firsts =
            |rounds: &[u32]| rounds.iter().copied().filter(&mut first).collect::<Vec<_>>();
        assert_eq!(firsts(&[1, 11, 21, 30, 31, 35, 55, 59, 61]), [1, 11, 21, 31, 55, 61]);
    }

    #[test]
    fn a_period_can_begin_anew() {
        let mut beat = Beat::new(Every::Rounds(3));
        let ended = |round| RoundEnded { round: Round(round), ..RoundEnded::default() };
        let mut seen = String::new();
        for round in 1..=9 {
            let tick = beat.handle_round(&ended(round));
            seen.push(match (tick.first, tick.last) {
                (true, false) => '(',
                (false, true) => ')',
                (false, false) => '.',
                (true, true) => 'o',
            });
            if round == 5 {
                beat.restart(&ended(round));
            }
        }
        assert_eq!(seen, "(.)(.(.)(");
    }
}
