//! How long datagrams queue on the way: their one-way delay above the shortest.
//!
//! The two clocks need not agree, only run at the same speed: a shift is in every delay, the shortest included.

use std::time::Duration;

use crate::units::Instant;

/// The shortest delay counts for one to two times so long: paths change, and clocks drift.
const BASE_AGE: Duration = Duration::from_secs(10);

/// The receiver's watch over the delay of one direction.
#[derive(Clone, Debug, Default)]
pub struct Delay {
    /// The shortest since `since`, and in the time before that; microseconds between two clocks that may wrap.
    base: Option<(u32, u32)>,
    since: Instant,
    latest: Option<Duration>,
    /// The shortest queueing time since it was last asked for.
    least: Option<Duration>,
}

impl Delay {
    /// Takes in a datagram that left at `at_us` on the sender's clock.
    pub fn handle_arrival(&mut self, now: Instant, at_us: u32) {
        let delay = microseconds(now).wrapping_sub(at_us);
        let (base, before) = self.base.unwrap_or((delay, delay));
        let (base, before) = if now - self.since > BASE_AGE {
            self.since = now;
            (delay, base)
        } else {
            (if is_shorter(delay, base) { delay } else { base }, before)
        };
        self.base = Some((base, before));
        let shortest = if is_shorter(before, base) { before } else { base };
        let queued = if is_shorter(delay, shortest) { 0 } else { delay.wrapping_sub(shortest) };
        let queued = Duration::from_micros(queued.into());
        self.latest = Some(queued);
        self.least = Some(self.least.map_or(queued, |least| least.min(queued)));
    }

    /// How long the last datagram queued.
    #[must_use]
    pub const fn latest(&self) -> Option<Duration> {
        self.latest
    }

    /// The shortest queueing time since this was last asked; `None` if nothing has arrived. A queue through which even
    /// the luckiest datagram had to wait is a standing one (the idea of CoDel, RFC 8289 section 3.1).
    pub const fn take_least(&mut self) -> Option<Duration> {
        self.least.take()
    }
}

/// The time as datagrams carry it: wraps after 71 minutes.
#[must_use]
pub const fn microseconds(now: Instant) -> u32 {
    (now.as_nanos() / 1000) as u32
}

const fn is_shorter(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_shortest_whatever_the_clocks_say() {
        for shift in [0, 12_345, u32::MAX - 2000] {
            let mut delay = Delay::default();
            let mut arrive = |now_us: u64, takes: u32| {
                let left = (now_us as u32).wrapping_sub(takes).wrapping_add(shift);
                delay.handle_arrival(Instant::from_nanos(now_us * 1000), left);
                delay.latest().unwrap().as_micros()
            };
            assert_eq!(arrive(1_000_000, 500), 0);
            assert_eq!(arrive(1_001_000, 900), 400);
            assert_eq!(arrive(1_002_000, 300), 0);
            assert_eq!(arrive(1_003_000, 900), 600);
            assert_eq!(delay.take_least(), Some(Duration::ZERO));
            assert_eq!(delay.take_least(), None);
        }
    }

    #[test]
    fn a_longer_path_is_believed_after_a_while() {
        let mut delay = Delay::default();
        for second in 0..30u64 {
            let at = second * 1_000_000;
            let takes = if second < 5 { 300 } else { 5300 };
            delay.handle_arrival(Instant::from_nanos(at * 1000), (at as u32).wrapping_sub(takes));
        }
        assert_eq!(delay.latest(), Some(Duration::ZERO));
    }
}
