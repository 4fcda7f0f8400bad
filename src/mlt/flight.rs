//! What is on its way: the sender's memory of each transmission until it is known to have arrived or to be lost.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{BlockIndex, PacketNumber};
use crate::units::Instant;
use crate::wire::{Grant, TransferId};

/// Blocks that one datagram may carry.
pub const BLOCKS_MAX: usize = 32;

/// Later datagrams that must have arrived before one is taken for lost.
const OVERTAKEN: u64 = 3;

/// One transmission.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its number.
    pub number: PacketNumber,
    /// When it was sent.
    pub at: Instant,
    /// What it carried; `None` for a ping.
    pub transfer: Option<TransferId>,
    blocks: [BlockIndex; BLOCKS_MAX],
    count: u8,
    open: bool,
}

impl Sent {
    /// A transmission that carries nothing yet.
    #[must_use]
    pub const fn new(number: PacketNumber, at: Instant, transfer: Option<TransferId>) -> Self {
        Self { number, at, transfer, blocks: [BlockIndex(0); BLOCKS_MAX], count: 0, open: true }
    }

    /// Notes a block it carries.
    ///
    /// # Panics
    /// Beyond [`BLOCKS_MAX`] blocks.
    pub const fn add(&mut self, block: BlockIndex) {
        self.blocks[self.count as usize] = block;
        self.count += 1;
    }

    /// Whether no further block can be noted.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count as usize == BLOCKS_MAX
    }

    /// The blocks it carries.
    #[must_use]
    pub fn blocks(&self) -> &[BlockIndex] {
        &self.blocks[..usize::from(self.count)]
    }
}

/// What became of a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// Later ones arrived and it did not.
    Lost,
}

/// All transmissions without a known fate, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct Flight {
    sent: VecDeque<Sent>,
    open: u32,
    largest_arrived: Option<PacketNumber>,
}

impl Flight {
    /// Notes a transmission; numbers ascend.
    pub fn push(&mut self, sent: Sent) {
        debug_assert!(self.sent.back().is_none_or(|last| last.number < sent.number));
        self.sent.push_back(sent);
        self.open += 1;
    }

    /// Transmissions without a known fate.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.open
    }

    /// Transmissions without a known fate that left less than `age` ago.
    #[must_use]
    pub fn younger(&self, now: Instant, age: Duration) -> u32 {
        let young = self.sent.iter().rev().take_while(|sent| sent.at + age > now);
        young.filter(|sent| sent.open).count() as u32
    }

    /// The oldest transmission without a known fate.
    #[must_use]
    pub fn oldest(&self) -> Option<&Sent> {
        self.sent.front()
    }

    /// The transmissions without a known fate, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.open)
    }

    /// Takes a grant in and tells the fate of each transmission that it settles. Returns the round-trip time of the
    /// largest number if that is news.
    pub fn handle_grant(
        &mut self,
        now: Instant,
        grant: &Grant,
        mut fate: impl FnMut(&Sent, Fate),
    ) -> Option<Duration> {
        let mut sample = None;
        for sent in self.sent.iter_mut().take_while(|sent| sent.number <= grant.largest) {
            if sent.open && grant.has_seen(sent.number) == Some(true) {
                sent.open = false;
                self.open -= 1;
                if sent.number == grant.largest {
                    sample = Some(now - sent.at);
                }
                fate(sent, Fate::Arrived);
            }
        }
        self.largest_arrived = self.largest_arrived.max(Some(grant.largest));
        self.forget_closed();
        sample
    }

    /// Declares lost what was overtaken and has had `loss_delay` to arrive.
    pub fn detect_losses(
        &mut self,
        now: Instant,
        loss_delay: Duration,
        mut fate: impl FnMut(&Sent, Fate),
    ) {
        let Some(largest) = self.largest_arrived else { return };
        for sent in &mut self.sent {
            if sent.number.0 + OVERTAKEN > largest.0 || sent.at + loss_delay > now {
                break;
            }
            if sent.open {
                sent.open = false;
                self.open -= 1;
                fate(sent, Fate::Lost);
            }
        }
        self.forget_closed();
    }

    /// Declares lost all that has been on its way for `age` or longer.
    pub fn give_up(&mut self, now: Instant, age: Duration, mut fate: impl FnMut(&Sent, Fate)) {
        for sent in self.sent.iter_mut().take_while(|sent| sent.at + age <= now) {
            if std::mem::take(&mut sent.open) {
                self.open -= 1;
                fate(sent, Fate::Lost);
            }
        }
        self.forget_closed();
    }

    /// When the next overtaken transmission will be declared lost.
    #[must_use]
    pub fn loss_timeout(&self, loss_delay: Duration) -> Option<Instant> {
        let oldest = self.oldest()?;
        (oldest.number.0 + OVERTAKEN <= self.largest_arrived?.0).then(|| oldest.at + loss_delay)
    }

    fn forget_closed(&mut self) {
        while self.sent.front().is_some_and(|sent| !sent.open) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn flight() -> Flight {
        let mut flight = Flight::default();
        for number in 1..=6 {
            let at = Instant::from_nanos(number * MS);
            flight.push(Sent::new(PacketNumber(number), at, None));
        }
        flight
    }

    fn grant(largest: u64, bits: u8) -> Grant {
        let mut seen = [0; 64];
        seen[0] = bits;
        Grant::new(PacketNumber(largest), 0, 64, seen)
    }

    #[test]
    fn three_behind_and_late_is_lost() {
        let (mut flight, mut fates) = (flight(), Vec::new());
        let now = Instant::from_nanos(10 * MS);
        // 5, 4 and 2 arrived.
        let sample = flight.handle_grant(now, &grant(5, 0b1011), |sent, fate| {
            fates.push((sent.number.0, fate));
        });
        assert_eq!(sample, Some(Duration::from_millis(5)));
        assert_eq!(flight.in_flight(), 3);
        let delay = Duration::from_millis(9);
        assert_eq!(flight.loss_timeout(delay), Some(Instant::from_nanos(10 * MS)));
        flight.detect_losses(now, delay, |sent, fate| fates.push((sent.number.0, fate)));
        let arrived = [2, 4, 5].map(|number| (number, Fate::Arrived));
        assert_eq!(fates, [arrived.as_slice(), &[(1, Fate::Lost)]].concat());
        // 3 is only 2 behind: it may still come.
        assert_eq!((flight.in_flight(), flight.oldest().unwrap().number.0), (2, 3));
        assert_eq!(flight.loss_timeout(delay), None);
    }

    #[test]
    fn a_grant_said_twice_says_nothing_new() {
        let mut flight = flight();
        let mut count = 0;
        for _ in 0..2 {
            flight.handle_grant(Instant::ZERO, &grant(6, 0xff), |_, _| count += 1);
        }
        assert_eq!((count, flight.in_flight()), (6, 0));
    }
}
