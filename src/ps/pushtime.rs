//! How long pushes take, and from that the deadlines of the next ones (DESIGN section 6).

use std::time::Duration;

use crate::mlt::{Deadlines, Scheme};

/// Rounds before there are deadlines.
const HISTORY_MIN: u32 = 8;
/// Weight of a new round in the averages.
const WEIGHT: f64 = 0.125;
/// The soft deadline: so many times the usual duration...
const SOFT_FACTOR: f64 = 1.25;
/// ...and so many usual deviations more.
const SOFT_DEVIATIONS: f64 = 4.0;
/// The hard deadline is so many soft ones...
const HARD_FACTOR: f64 = 4.0;
/// ...and never less than this, in seconds: what a busy host may sleep.
const HARD_MIN: f64 = 0.2;

/// LTP: its deadline lies so many seconds after the time from which a fraction is enough.
const EARLY_CLOSE_MORE: f64 = 0.03;
/// OptiReduce: a transfer's time is the 95th percentile of the usual; of a normal distribution that is so many usual
/// (absolute) deviations above the mean.
const TIMEOUT_DEVIATIONS: f64 = 2.06;

/// Moving averages over the median duration of a round's pushes, in seconds.
#[derive(Clone, Debug, Default)]
pub struct PushTime {
    mean: f64,
    deviation: f64,
    rounds: u32,
}

impl PushTime {
    /// Takes in how long the pushes of a round took, each from its first datagram to its quota.
    pub fn handle_round(&mut self, durations: &mut [Duration]) {
        durations.sort_unstable();
        let Some(median) = durations.get(durations.len() / 2).map(Duration::as_secs_f64) else {
            return;
        };
        if self.rounds == 0 {
            (self.mean, self.deviation) = (median, median / 2.0);
        } else {
            self.deviation += WEIGHT * ((median - self.mean).abs() - self.deviation);
            self.mean += WEIGHT * (median - self.mean);
        }
        self.rounds = self.rounds.saturating_add(1);
    }

    /// The deadlines of the next pushes; none as long as too little is known.
    #[must_use]
    pub fn deadlines(&self, scheme: Scheme) -> Deadlines {
        let soft = SOFT_FACTOR * self.mean + SOFT_DEVIATIONS * self.deviation;
        let (soft, hard) = match scheme {
            _ if self.rounds < HISTORY_MIN => return Deadlines::default(),
            Scheme::Bounded => (Some(soft), (HARD_FACTOR * soft).max(HARD_MIN)),
            Scheme::Passes => return Deadlines::default(),
            Scheme::EarlyClose => (Some(self.mean), self.mean + EARLY_CLOSE_MORE),
            Scheme::Timeout => (None, self.mean + TIMEOUT_DEVIATIONS * self.deviation),
        };
        let duration = Duration::from_secs_f64;
        Deadlines { soft: soft.map(duration), hard: Some(duration(hard)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_need_a_history_and_follow_it() {
        let ms = Duration::from_millis;
        let mut time = PushTime::default();
        time.handle_round(&mut []);
        for _ in 0..7 {
            time.handle_round(&mut [ms(100), ms(900), ms(80)]);
            assert_eq!(time.deadlines(Scheme::Bounded), Deadlines::default());
        }
        for _ in 0..100 {
            time.handle_round(&mut [ms(100), ms(900), ms(80)]);
        }
        let Deadlines { soft: Some(soft), hard: Some(hard) } = time.deadlines(Scheme::Bounded)
        else {
            panic!()
        };
        assert!((ms(124)..ms(127)).contains(&soft), "{soft:?}");
        assert!((ms(496)..ms(508)).contains(&hard), "{hard:?}");
        // Pushes that are cut off are reported as twice what they had: deadlines that are too short grow.
        let hard = hard * 2;
        time.handle_round(&mut [hard]);
        assert!(time.deadlines(Scheme::Bounded).hard > Some(hard));
        for _ in 0..200 {
            time.handle_round(&mut [ms(1)]);
        }
        assert_eq!(time.deadlines(Scheme::Bounded).hard, Some(ms(200)));
    }
}
