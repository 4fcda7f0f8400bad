//! What the receiver of a transfer allows its sender, in datagrams: cumulative, so that the last word holds.

use std::time::Duration;

use crate::units::Instant;

/// The account of one transfer.
#[derive(Clone, Debug)]
pub struct Credit {
    datagrams: u32,
    /// The largest ordinal that arrived.
    ordinal: u32,
    limit: u32,
    /// The limit that the sender was told last.
    told: u32,
    /// Datagrams that were allowed and are taken for lost, counted as ordinals, and when that was decided.
    written_off: (u32, Instant),
}

impl Credit {
    /// The sender may send what it likes.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self::limited(u32::MAX)
    }

    /// The sender knows that it may send so many datagrams before it is allowed more.
    #[must_use]
    pub const fn limited(limit: u32) -> Self {
        let written_off = (0, Instant::ZERO);
        Self { datagrams: 0, ordinal: 0, limit, told: limit, written_off }
    }

    pub(super) fn handle_arrival(&mut self, ordinal: u32) {
        self.datagrams = self.datagrams.saturating_add(1);
        self.ordinal = self.ordinal.max(ordinal);
    }

    pub(super) const fn allow(&mut self, more: u32) {
        self.limit = self.limit.saturating_add(more);
    }

    /// The limit, which the sender is told now.
    pub(super) const fn tell(&mut self) -> u32 {
        self.told = self.limit;
        self.limit
    }

    /// Takes for lost all that is outstanding if nothing has come since `last_at` for longer than `patience`.
    pub(super) fn write_off(&mut self, now: Instant, last_at: Instant, patience: Duration) {
        if now - last_at.max(self.written_off.1) > patience {
            self.written_off = (self.limit, now);
        }
    }

    /// Datagrams that are allowed and have not come: some may be lost.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.limit.saturating_sub(self.ordinal.max(self.written_off.0))
    }

    /// Of those, the ones that the sender was told of.
    #[must_use]
    pub const fn promised(&self) -> u32 {
        self.told.saturating_sub(self.ordinal)
    }

    /// Whether more is allowed than the sender was told.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.limit > self.told
    }

    /// Datagrams that arrived, copies included.
    #[must_use]
    pub const fn datagrams(&self) -> u32 {
        self.datagrams
    }

    /// Datagrams that the sender may send.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Datagrams that the sender has sent at least.
    #[must_use]
    pub const fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Fraction of the datagrams that was lost on the way so far.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = self.ordinal.saturating_sub(self.datagrams);
        f64::from(lost) / f64::from(self.ordinal.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_comes_or_is_written_off() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut credit = Credit::limited(10);
        [1, 2, 5].into_iter().for_each(|ordinal| credit.handle_arrival(ordinal));
        assert_eq!((credit.outstanding(), credit.promised(), credit.datagrams()), (5, 5, 3));
        assert!((credit.loss() - 0.4).abs() < 1e-9);
        credit.allow(4);
        assert_eq!((credit.outstanding(), credit.promised(), credit.has_news()), (9, 5, true));
        assert_eq!((credit.tell(), credit.promised(), credit.has_news()), (14, 9, false));
        let patience = Duration::from_millis(10);
        credit.write_off(at(10), at(5), patience);
        assert_eq!(credit.outstanding(), 9, "it may still come");
        credit.write_off(at(16), at(5), patience);
        assert_eq!(credit.outstanding(), 0);
        credit.allow(2);
        credit.write_off(at(20), at(5), patience);
        assert_eq!(credit.outstanding(), 2, "what is new has its own time");
        credit.handle_arrival(16);
        assert_eq!(credit.outstanding(), 0);
    }
}
