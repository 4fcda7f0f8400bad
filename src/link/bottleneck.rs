//! A link of limited rate, and the queue in front of it.

use crate::units::{Instant, Rate};

/// Serves datagrams one after the other; what finds the queue full is lost (tail drop).
#[derive(Clone, Debug)]
pub struct Bottleneck {
    bits_per_second: u128,
    queue_bytes: u128,
    /// When the last datagram taken will have left.
    free_at: Instant,
    /// What rounding `free_at` down to whole nanoseconds left out, in billionths of a bit: without it, small datagrams
    /// at a high rate would be up to a percent too fast.
    carry: u128,
}

const NANO_BITS_PER_BYTE: u128 = 8 * 1_000_000_000;

impl Bottleneck {
    pub fn new(rate: Rate, queue_bytes: u64) -> Self {
        let bits_per_second = u128::from(rate.bits_per_second());
        Self { bits_per_second, queue_bytes: queue_bytes.into(), free_at: Instant::ZERO, carry: 0 }
    }

    /// When a datagram of `wire_bytes` that comes at `now` has left; `None` if it does not fit into the queue. An idle
    /// link takes any datagram; what is being sent counts as queued.
    pub fn take(&mut self, now: Instant, wire_bytes: u64) -> Option<Instant> {
        if self.free_at <= now {
            (self.free_at, self.carry) = (now, 0);
        }
        let waiting =
            self.free_at.since(now).as_nanos() * self.bits_per_second / NANO_BITS_PER_BYTE;
        if waiting > 0 && waiting + u128::from(wire_bytes) > self.queue_bytes {
            return None;
        }
        let work = u128::from(wire_bytes) * NANO_BITS_PER_BYTE + self.carry;
        let nanos = u64::try_from(work / self.bits_per_second).unwrap_or(u64::MAX);
        self.carry = work % self.bits_per_second;
        self.free_at = Instant::from_nanos(self.free_at.as_nanos().saturating_add(nanos));
        Some(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bottleneck(rate: &str, queue_bytes: u64) -> Bottleneck {
        Bottleneck::new(rate.parse().unwrap(), queue_bytes)
    }

    #[test]
    fn the_rate_is_exact_over_many_small_datagrams() {
        // 8/7 ns each: rounding down alone would be 12.5 % too fast.
        let mut link = bottleneck("7gbit", u64::MAX);
        let last = (0..7_000_000).map(|_| link.take(Instant::ZERO, 1).unwrap()).last();
        assert_eq!(last, Some(Instant::from_nanos(8_000_000)));
    }

    #[test]
    fn a_full_queue_drops_the_tail_and_drains() {
        let mut link = bottleneck("8mbit", 3000);
        let at = |us: u64| Instant::from_nanos(us * 1000);
        let left: Vec<_> = (0..5).map(|_| link.take(at(0), 1000)).collect();
        assert_eq!(left, [Some(at(1000)), Some(at(2000)), Some(at(3000)), None, None]);
        assert_eq!(link.take(at(999), 1000), None);
        assert_eq!(link.take(at(1000), 1000), Some(at(4000)));
        assert_eq!(link.take(at(9000), 5000), Some(at(14_000)), "idle links take anything");
    }
}
