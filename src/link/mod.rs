//! One direction of a network link that delays, loses, reorders, repeats and damages datagrams, all from one seed.
//!
//! Knows no socket and no clock: the driver uses it with real time, the simulator with virtual time.

mod bottleneck;
mod condition;
mod dice;
mod error;
mod plan;
mod spec;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::Serialize;

use self::bottleneck::Bottleneck;
pub use self::condition::{Burst, Partition, Reorder, Storm};
use self::dice::{Dice, Fate, Wait, damage};
pub use self::error::NetError;
pub use self::plan::NetPlan;
pub use self::spec::NetSpec;
use crate::ids::Round;
use crate::units::Instant;

/// What Ethernet, IPv4 and UDP add to a datagram: it takes this much more of a link's rate.
pub const HEADER_BYTES: u64 = 42;

/// The queue of a link that has a rate and is not told otherwise: what a port of a shallow switch has to itself.
const QUEUE_BYTES_DEFAULT: u64 = 256 << 10;

/// A seeded emulation of one direction of a link.
///
/// [`send`](Self::send) puts a datagram in; it comes out of [`poll`](Self::poll) at its time, which
/// [`poll_timeout`](Self::poll_timeout) tells. The same conditions, seed and calls give the same datagrams at the same
/// times. Each effect has its own dice: changing one condition leaves what the others do to the n-th datagram.
pub struct Link {
    dice: Dice,
    bottleneck: Option<Bottleneck>,
    delay: Duration,
    partition: Option<Partition>,
    storm: Option<Storm>,
    /// Whether the storm is raging.
    stormy: bool,
    now: Instant,
    /// Arrival of the last datagram that was not held back: the next must not be earlier.
    last_arrival: Instant,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    /// Copies included; tells apart what arrives at the same moment.
    launched: u64,
    /// Buffers of datagrams that are gone, for those to come.
    spare: Vec<Vec<u8>>,
    stats: LinkStats,
}

/// What became of the datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStats {
    /// Put in by the sender.
    pub sent: u64,
    /// UDP payload bytes of those.
    pub sent_bytes: u64,
    /// Given to the receiver.
    pub delivered: u64,
    /// Lost to `loss`.
    pub lost_random: u64,
    /// Lost to `burst` (and not to `loss` as well).
    pub lost_burst: u64,
    /// Lost to `storm`, behind the queue.
    pub lost_storm: u64,
    /// Lost to `partition`.
    pub lost_partition: u64,
    /// Lost because the queue was full.
    pub lost_queue: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Damaged and not lost.
    pub corrupted: u64,
    /// Held back so that others could overtake, copies included.
    pub reordered: u64,
}

impl LinkStats {
    /// Lost for any cause. `sent + duplicated = delivered + lost + in flight`, always.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost_random + self.lost_burst + self.lost_storm + self.lost_partition + self.lost_queue
    }
}

/// Ordered by arrival, then by number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    arrival: Instant,
    number: u64,
    /// Whose it is, on a link that several share.
    owner: u16,
    datagram: Vec<u8>,
}

impl Link {
    /// A link under `spec`. `name` and `index` say which one it is: links that differ in them have different luck.
    /// `seed` is the run's, and counts if `spec` has none.
    #[must_use]
    pub fn new(spec: &NetSpec, seed: u64, name: &str, index: u64) -> Self {
        let queue_bytes = spec.queue.map_or(QUEUE_BYTES_DEFAULT, |queue| queue.0);
        Self {
            dice: Dice::new(spec, spec.seed.unwrap_or(seed), name, index),
            bottleneck: spec.rate.map(|rate| Bottleneck::new(rate, queue_bytes)),
            delay: spec.delay,
            partition: spec.partition,
            storm: spec.storm,
            stormy: false,
            now: Instant::ZERO,
            last_arrival: Instant::ZERO,
            in_flight: BinaryHeap::new(),
            launched: 0,
            spare: vec![],
            stats: LinkStats::default(),
        }
    }

    /// Says which training round goes on from now on: a storm belongs to one.
    pub fn enter(&mut self, round: Round) {
        self.stormy = self.storm.is_some_and(|storm| storm.round == round);
    }

    /// Puts `datagram` on the link. A `now` before the last one counts as the last one.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        self.send_of(now, 0, datagram);
    }

    /// As [`send`](Self::send), on a link that several share: `owner` comes out with it.
    pub fn send_of(&mut self, now: Instant, owner: u16, datagram: &[u8]) {
        self.now = self.now.max(now);
        self.stats.sent += 1;
        self.stats.sent_bytes += datagram.len() as u64;
        let fate = self.dice.roll();
        let Some(left) = self.pass(&fate, datagram.len()) else { return };
        let mut original = self.spare.pop().unwrap_or_default();
        original.clear();
        original.extend_from_slice(datagram);
        if let Some(seed) = fate.damage {
            self.stats.corrupted += 1;
            damage(seed, &mut original);
        }
        let copy = fate.copy.map(|wait| {
            self.stats.duplicated += 1;
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clone_from(&original);
            (wait, copy)
        });
        self.launch(left, &fate.wait, owner, original);
        if let Some((wait, copy)) = copy {
            self.launch(left, &wait, owner, copy);
        }
    }

    /// When a datagram of `len` bytes has left the sender; `None` if it is lost, which is counted.
    fn pass(&mut self, fate: &Fate, len: usize) -> Option<Instant> {
        let cause = if self.partition.is_some_and(|dead| dead.contains(self.now)) {
            &mut self.stats.lost_partition
        } else if fate.lost_random {
            &mut self.stats.lost_random
        } else if fate.lost_burst {
            &mut self.stats.lost_burst
        } else {
            let wire_bytes = len as u64 + HEADER_BYTES;
            let bottleneck = self.bottleneck.as_mut();
            match bottleneck.map_or(Some(self.now), |link| link.take(self.now, wire_bytes)) {
                None => &mut self.stats.lost_queue,
                // Behind the queue: what it takes has taken its part of the rate.
                Some(_) if self.stormy && fate.lost_storm => &mut self.stats.lost_storm,
                left => return left,
            }
        };
        *cause += 1;
        None
    }

    fn launch(&mut self, left: Instant, wait: &Wait, owner: u16, datagram: Vec<u8>) {
        let in_order = (left + self.delay + wait.jitter).max(self.last_arrival);
        let arrival = match wait.hold {
            Some(hold) => {
                self.stats.reordered += 1;
                in_order + hold
            }
            None => {
                self.last_arrival = in_order;
                in_order
            }
        };
        self.launched += 1;
        self.in_flight.push(Reverse(InFlight { arrival, number: self.launched, owner, datagram }));
    }

    /// When [`poll`](Self::poll) has the next datagram, if any is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.arrival)
    }

    /// Replaces the contents of `buf` by the next datagram that has arrived by `now`; `false` if there is none.
    pub fn poll(&mut self, now: Instant, buf: &mut Vec<u8>) -> bool {
        self.poll_of(now, buf).is_some()
    }

    /// As [`poll`](Self::poll), on a link that several share: says whose datagram it is.
    pub fn poll_of(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<u16> {
        if self.poll_timeout().is_none_or(|arrival| arrival > now) {
            return None;
        }
        let Reverse(mut next) = self.in_flight.pop()?;
        std::mem::swap(buf, &mut next.datagram);
        self.spare.push(next.datagram);
        self.stats.delivered += 1;
        Some(next.owner)
    }

    /// How many datagrams are under way, copies included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What became of the datagrams so far.
    #[must_use]
    pub const fn stats(&self) -> LinkStats {
        self.stats
    }
}
