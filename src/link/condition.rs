//! The conditions that have parts, and how values of all conditions are read and written.
//!
//! What is written is canonical and reads back as exactly the same value.

use std::fmt;
use std::time::Duration;

use crate::ids::Round;
use crate::units::{Instant, Probability, format_duration, parse_duration};

/// Gilbert and Elliott's two states: a good one, and a bad one that loses. Each datagram first moves the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// From good to bad.
    pub enter: Probability,
    /// From bad to good, never 0: bad times are `1 / leave` datagrams long on average.
    pub leave: Probability,
    /// Loss in the bad state.
    pub loss: Probability,
}

impl Burst {
    /// `ENTER/LEAVE` or `ENTER/LEAVE/LOSS`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(probability);
        let (enter, leave) = (parts.next()??, parts.next()??);
        let loss = parts.next().unwrap_or_else(|| probability("1"))?;
        let whole = parts.next().is_none() && leave > Probability::ZERO;
        whole.then_some(Self { enter, leave, loss })
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", percent(self.enter), percent(self.leave))?;
        if self.loss.as_f64() < 1.0 { write!(f, "/{}", percent(self.loss)) } else { Ok(()) }
    }
}

/// How often a datagram is held back so that later ones overtake it, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// How often.
    pub share: Probability,
    /// At most this long, at least half of it.
    pub hold: Duration,
}

/// How long a datagram is held back unless told otherwise: a dozen more arrive in that time at 100 Mbit/s.
const HOLD_DEFAULT: Duration = Duration::from_millis(1);

impl Reorder {
    /// `SHARE` or `SHARE/HOLD`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (share, hold) = match text.split_once('/') {
            Some((share, hold)) => (share, delay(hold)?),
            None => (text, HOLD_DEFAULT),
        };
        let share = probability(share)?;
        (!hold.is_zero()).then_some(Self { share, hold })
    }
}

impl fmt::Display for Reorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&percent(self.share))?;
        if self.hold == HOLD_DEFAULT {
            Ok(())
        } else {
            write!(f, "/{}", format_duration(self.hold))
        }
    }
}

/// A time in which the link is dead, counted from the start of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The first moment without a link.
    pub start: Instant,
    /// The first moment with a link again, later than `start`.
    pub end: Instant,
}

impl Partition {
    /// Whether the link is dead at `now`.
    #[must_use]
    pub fn contains(&self, now: Instant) -> bool {
        (self.start..self.end).contains(&now)
    }

    /// `START..END`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (start, end) = text.split_once("..")?;
        let [start, end] =
            [start, end].map(|text| Some(Instant::ZERO + parse_duration(text).ok()?));
        let partition = Self { start: start?, end: end? };
        (partition.start < partition.end).then_some(partition)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, end] = [self.start, self.end].map(|at| format_duration(at - Instant::ZERO));
        write!(f, "{start}..{end}")
    }
}

/// A microburst: loss that holds for one training round, from its start at the server to its step. It comes behind the
/// queue: what it takes has taken its part of the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storm {
    /// Which round.
    pub round: Round,
    /// Its loss; independent, as `loss` is.
    pub loss: Probability,
}

impl Storm {
    /// `ROUND/LOSS`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (round, loss) = text.split_once('/')?;
        let round = Round(round.parse().ok().filter(|round| *round > 0)?);
        Some(Self { round, loss: probability(loss)? })
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.round, percent(self.loss))
    }
}

/// Longer delays are refused: what is under way is held in memory.
const DELAY_MAX: Duration = Duration::from_secs(60);

pub(super) fn probability(text: &str) -> Option<Probability> {
    text.parse().ok()
}

pub(super) fn delay(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|delay| *delay <= DELAY_MAX)
}

/// In percent where that reads back as the same number, else as it is.
pub(super) fn percent(share: Probability) -> String {
    let percent = format!("{}%", (share.as_f64() * 1e8).round() / 1e6);
    let exact = percent.parse() == Ok(share);
    if exact { percent } else { share.as_f64().to_string() }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::rng::{stream, unit};

    #[test]
    fn values_print_in_the_unit_that_fits() {
        for (text, printed) in
            [("5%", "5%"), ("0.07", "7%"), ("1", "100%"), ("0", "0%"), ("1e-12", "0.000000000001")]
        {
            assert_eq!(percent(text.parse().unwrap()), printed);
        }
        for (text, printed) in [
            ("1500us", "1500us"),
            ("2000us", "2ms"),
            ("0ms", "0s"),
            ("0.5us", "500ns"),
            ("60s", "60s"),
        ] {
            assert_eq!(format_duration(delay(text).unwrap()), printed);
        }
        assert_eq!(delay("61s"), None);
    }

    #[test]
    fn every_probability_reads_back() {
        let mut rng = stream(1, "test", 0);
        for _ in 0..10_000 {
            let share = (unit(&mut rng) * 10f64.powi(-((rng.next_u32() % 12) as i32))).to_string();
            let share: Probability = share.parse().unwrap();
            assert_eq!(percent(share).parse(), Ok(share), "{}", percent(share));
        }
        for parts in 0..=10_000 {
            let share: Probability = format!("{}%", f64::from(parts) / 100.0).parse().unwrap();
            assert!(percent(share).ends_with('%'), "{}", percent(share));
        }
    }

    #[test]
    fn conditions_with_parts_read_and_print() {
        for (text, printed) in
            [("0.01/0.3", "1%/30%"), ("1%/30%/100%", "1%/30%"), ("0/1/50%", "0%/100%/50%")]
        {
            assert_eq!(Burst::parse(text).unwrap().to_string(), printed);
        }
        for text in ["", "1%", "1%/0%", "1%/2%/3%/4%", "1%/", "/1%", "1%/2%/"] {
            assert_eq!(Burst::parse(text), None, "{text}");
        }
        assert_eq!(Reorder::parse("1%/1000us").unwrap().to_string(), "1%");
        assert_eq!(Reorder::parse("1%/5ms").unwrap().to_string(), "1%/5ms");
        assert_eq!(Storm::parse("11/0.8").unwrap().to_string(), "11/80%");
        assert!(["11", "0/80%", "x/80%", "11/8"].iter().all(|text| Storm::parse(text).is_none()));
        assert!(Reorder::parse("1%/0s").is_none() && Reorder::parse("1%/").is_none());
        let partition = Partition::parse("0.5s..4s").unwrap();
        assert_eq!(partition.to_string(), "500ms..4s");
        let dead =
            [0, 500, 3999, 4000].map(|ms| partition.contains(Instant::from_nanos(ms * 1_000_000)));
        assert_eq!(dead, [false, true, true, false]);
        assert!(Partition::parse("4s..4s").is_none() && Partition::parse("4s").is_none());
    }
}
