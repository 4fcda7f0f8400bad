//! How long datagrams queue on the way: their one-way delay above the shortest.
//!
//! The two clocks need not agree, only run at the same speed: a shift is in every delay, the shortest included.

use std::time::Duration;

use crate::units::Instant;

/// The shortest delay counts for one to two times so long: paths change, and clocks drift.
const BASE_AGE: Duration = Duration::from_secs(10);

/// The mean of some times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mean {
    sum: Duration,
    count: u32,
}

impl Mean {
    /// Takes one more in.
    pub fn add(&mut self, time: Duration) {
        self.sum += time;
        self.count += 1;
    }

    /// The mean of all since this was last asked; `None` of none.
    pub fn take(&mut self) -> Option<Duration> {
        let Self { sum, count } = std::mem::take(self);
        sum.checked_div(count)
    }
}

/// The receiver's watch over the delay of one direction.
#[derive(Clone, Debug, Default)]
pub struct Delay {
    /// The shortest since `since`, and in the time before that; microseconds between two clocks that may wrap.
    base: Option<(u32, u32)>,
    since: Instant,
}

impl Delay {
    /// How long a datagram queued that left at `at_us` on the sender's clock and arrived at `at`.
    pub fn handle_arrival(&mut self, at: Instant, at_us: u32) -> Duration {
        let delay = microseconds(at).wrapping_sub(at_us);
        let (base, before) = self.base.unwrap_or((delay, delay));
        let (base, before) = if at - self.since > BASE_AGE {
            self.since = at;
            (delay, base)
        } else {
            (if is_shorter(delay, base) { delay } else { base }, before)
        };
        self.base = Some((base, before));
        let shortest = if is_shorter(before, base) { before } else { base };
        let queued = if is_shorter(delay, shortest) { 0 } else { delay.wrapping_sub(shortest) };
        Duration::from_micros(queued.into())
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
            let mut mean = Mean::default();
            let mut arrive = |now_us: u64, takes: u32| {
                let left = (now_us as u32).wrapping_sub(takes).wrapping_add(shift);
                let queued = delay.handle_arrival(Instant::from_nanos(now_us * 1000), left);
                mean.add(queued);
                queued.as_micros()
            };
            assert_eq!(arrive(1_000_000, 500), 0);
            assert_eq!(arrive(1_001_000, 900), 400);
            assert_eq!(arrive(1_002_000, 300), 0);
            assert_eq!(arrive(1_003_000, 900), 600);
            assert_eq!(mean.take(), Some(Duration::from_micros(250)));
            assert_eq!(mean.take(), None);
        }
    }

    #[test]
    fn a_longer_path_is_believed_after_a_while() {
        let (mut delay, mut queued) = (Delay::default(), Duration::MAX);
        for second in 0..30u64 {
            let at = second * 1_000_000;
            let takes = if second < 5 { 300 } else { 5300 };
            let left = (at as u32).wrapping_sub(takes);
            queued = delay.handle_arrival(Instant::from_nanos(at * 1000), left);
        }
        assert_eq!(queued, Duration::ZERO);
    }
}
