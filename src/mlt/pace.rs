//! How fast datagrams leave: evenly over a round trip, in small batches.

use std::time::Duration;

use super::rtt::Rtt;
use crate::units::Instant;

/// Pacing is so much faster than one window a round trip, or the window could not be filled.
const GAIN: f64 = 1.25;
/// What may leave back to back: so much time of it, for fewer and larger system calls,
const BURST_TIME: f64 = 250e-6;
/// but not fewer datagrams,
const BURST_MIN: f64 = 8.0;
/// and not more: they leave with one call.
const BURST_MAX: f64 = 40.0;

/// Token bucket of one direction of a session.
#[derive(Clone, Debug)]
pub struct Pace {
    tokens: f64,
    refilled_at: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self { tokens: BURST_MIN, refilled_at: Instant::ZERO }
    }
}

impl Pace {
    /// When the next datagram may leave if `window` of them go in a round trip, `now` if at once; call
    /// [`spend`](Self::spend) when it has left.
    pub fn next_departure(&mut self, now: Instant, window: f64, rtt: &Rtt) -> Instant {
        let rate = GAIN * window / rtt.smoothed().as_secs_f64().max(1e-6);
        let burst = (rate * BURST_TIME).clamp(BURST_MIN, BURST_MAX);
        self.tokens = (self.tokens + rate * (now - self.refilled_at).as_secs_f64()).min(burst);
        self.refilled_at = now;
        // Not one token but the next fraction of the bucket is waited for: fewer and larger batches.
        if self.tokens >= 1.0 {
            now
        } else {
            now + Duration::from_secs_f64((burst / 4.0 - self.tokens) / rate)
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
    fn leaves_at_the_paced_rate() {
        let (mut pace, rtt) = (Pace::default(), rtt(&[10]));
        let (mut now, mut left) = (Instant::ZERO, 0);
        while now < Instant::from_nanos(100_000_000) {
            let next = pace.next_departure(now, 32.0, &rtt);
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
