//! Round-trip time, as RFC 9002 section 5 estimates it.

use std::time::Duration;

/// Before the first sample: a guess that suits a wide-area path.
const INITIAL: Duration = Duration::from_millis(50);
/// Granularity of timers.
const TICK: Duration = Duration::from_millis(1);

/// Smoothed round-trip time and its variation.
#[derive(Clone, Debug, Default)]
pub struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    min: Duration,
    latest: Duration,
}

impl Rtt {
    /// Takes a sample in, of which the peer spent `delay` before it answered.
    pub fn sample(&mut self, sample: Duration, delay: Duration) {
        let Some(smoothed) = self.smoothed else {
            (self.smoothed, self.variation) = (Some(sample), sample / 2);
            (self.min, self.latest) = (sample, sample);
            return;
        };
        self.min = self.min.min(sample);
        let adjusted = if sample >= self.min + delay { sample - delay } else { sample };
        self.variation = (self.variation * 3 + smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = Some((smoothed * 7 + adjusted) / 8);
        self.latest = adjusted;
    }

    /// Smoothed round-trip time.
    #[must_use]
    pub fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL)
    }

    /// How much longer than the shortest the latest round trip was: time spent in queues.
    #[must_use]
    pub fn queueing(&self) -> Duration {
        self.latest.saturating_sub(self.min)
    }

    /// A datagram that later ones have overtaken is lost after this time: 9/8 of a round trip.
    #[must_use]
    pub fn loss_delay(&self) -> Duration {
        let longest = self.smoothed().max(self.latest);
        (longest * 9 / 8).max(TICK)
    }

    /// How long to wait for a word about the last datagram before asking (RFC 9002 section 6.2).
    #[must_use]
    pub fn probe_timeout(&self) -> Duration {
        self.smoothed() + (self.variation * 4).max(TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_path() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        assert_eq!(rtt.smoothed(), INITIAL);
        for _ in 0..100 {
            rtt.sample(ms(10), Duration::ZERO);
        }
        assert_eq!(rtt.smoothed(), ms(10));
        assert!(rtt.probe_timeout() < ms(12) && rtt.loss_delay() < ms(12));
        rtt.sample(ms(18), ms(4));
        assert_eq!(rtt.queueing(), ms(4));
        assert_eq!(rtt.smoothed(), Duration::from_micros(10_500));
    }
}
