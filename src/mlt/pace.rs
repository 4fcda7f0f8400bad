//! How much may be in flight, and how fast it leaves.
//!
//! The window grows until queues grow and shrinks when they stand; loss alone slows nobody, because a network that
//! loses packets for other reasons than congestion is what this transport is for.

use std::time::Duration;

use super::rtt::Rtt;
use crate::units::Instant;

/// Datagrams in flight before anything is known of the path.
const WINDOW_INITIAL: f64 = 32.0;
/// Datagrams in flight that nobody is asked to go below: a standing queue that others keep must not starve us.
const WINDOW_MIN: f64 = 16.0;
/// What a standing queue leaves of the window.
const DECREASE: f64 = 0.7;
/// Pacing is so much faster than one window a round trip, or the window could not be filled.
const GAIN: f64 = 1.25;
/// Datagrams that may leave back to back.
const BURST: f64 = 16.0;

/// Window and token bucket of one direction of a session.
#[derive(Clone, Debug)]
pub struct Pace {
    window: f64,
    credit: f64,
    starting: bool,
    decreased_at: Instant,
    tokens: f64,
    refilled_at: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: WINDOW_INITIAL,
            credit: WINDOW_INITIAL,
            starting: true,
            decreased_at: Instant::ZERO,
            tokens: BURST,
            refilled_at: Instant::ZERO,
        }
    }
}

impl Pace {
    /// Takes in that `arrived` more datagrams arrived, and how many the peer's buffer has room for.
    pub fn handle_arrivals(&mut self, now: Instant, arrived: u32, credit: u16, rtt: &Rtt) {
        self.credit = f64::from(credit.max(1));
        if arrived == 0 {
            return;
        }
        if rtt.has_queue() {
            self.starting = false;
            if now - self.decreased_at > rtt.smoothed() {
                self.window = (self.window * DECREASE).max(WINDOW_MIN);
                self.decreased_at = now;
            }
            return;
        }
        let arrived = f64::from(arrived);
        self.window += if self.starting { arrived } else { arrived / self.window };
        self.window = self.window.min(self.credit.max(WINDOW_MIN));
    }

    /// Datagrams that may be in flight.
    #[must_use]
    pub fn window(&self) -> u32 {
        self.window.min(self.credit) as u32
    }

    /// When the next datagram may leave, `now` if at once; call [`spend`](Self::spend) when it has left.
    pub fn next_departure(&mut self, now: Instant, rtt: &Rtt) -> Instant {
        let rate = GAIN * self.window / rtt.smoothed().as_secs_f64().max(1e-6);
        self.tokens = (self.tokens + rate * (now - self.refilled_at).as_secs_f64()).min(BURST);
        self.refilled_at = now;
        // Not one token but the next fraction of the bucket is waited for: fewer and larger batches.
        if self.tokens >= 1.0 {
            now
        } else {
            now + Duration::from_secs_f64((BURST / 4.0 - self.tokens) / rate)
        }
    }

    /// Takes in that a datagram has left.
    pub fn spend(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtt(millis: &[u64]) -> Rtt {
        let mut rtt = Rtt::default();
        for &millis in millis {
            rtt.sample(Instant::ZERO, Duration::from_millis(millis), Duration::ZERO);
        }
        rtt
    }

    #[test]
    fn grows_to_the_credit_and_yields_to_a_standing_queue() {
        let (mut pace, clear, queue) =
            (Pace::default(), rtt(&[10]), rtt(&[[10; 20], [40; 20]].concat()));
        for _ in 0..10 {
            pace.handle_arrivals(Instant::ZERO, 32, 100, &clear);
        }
        assert_eq!(pace.window(), 100);
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            now += Duration::from_millis(40);
            pace.handle_arrivals(now, 1, 100, &queue);
        }
        assert_eq!(pace.window(), 16);
        for _ in 0..16 {
            pace.handle_arrivals(now, 1, 100, &clear);
        }
        assert_eq!(pace.window(), 16, "from now on it grows by one a round trip");
        pace.handle_arrivals(now, 16, 8, &clear);
        assert_eq!(pace.window(), 8, "never above the credit");
    }

    #[test]
    fn leaves_at_the_paced_rate() {
        let (mut pace, rtt) = (Pace::default(), rtt(&[10]));
        let (mut now, mut left) = (Instant::ZERO, 0);
        while now < Instant::from_nanos(100_000_000) {
            let next = pace.next_departure(now, &rtt);
            if next > now {
                now = next;
            } else {
                pace.spend();
                left += 1;
            }
        }
        // 1.25 windows of 32 in each of 10 round trips, and one burst.
        assert!((400..=420).contains(&left), "{left}");
    }
}
