//! Which packet numbers have arrived: tells copies from news, and tells the sender.

use crate::ids::PacketNumber;
use crate::wire::{Reject, SEEN_BITS};

/// Numbers over which loss is averaged.
const LOSS_MEMORY: f64 = 128.0;
const WORDS: usize = SEEN_BITS as usize / 64;

/// A sliding window over the packet numbers of one direction.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    largest: Option<PacketNumber>,
    /// Bit `i` of the whole, least significant first: `largest - i` was seen.
    bits: [u64; WORDS],
    /// Of late, the fraction of numbers that were skipped.
    loss: f64,
}

impl Seen {
    /// Notes an arrival.
    ///
    /// # Errors
    /// If the number was seen before, or is so old that nobody can tell.
    pub fn insert(&mut self, number: PacketNumber) -> Result<(), Reject> {
        let ahead = match self.largest {
            Some(largest) if number <= largest => {
                let back = largest.0 - number.0;
                if back >= u64::from(SEEN_BITS) {
                    return Err(Reject::Replayed);
                }
                let (word, bit) = (back as usize / 64, 1 << (back % 64));
                if self.bits[word] & bit != 0 {
                    return Err(Reject::Replayed);
                }
                self.bits[word] |= bit;
                // It was not lost, only overtaken.
                self.loss = (self.loss - 1.0 / LOSS_MEMORY).max(0.0);
                return Ok(());
            }
            Some(largest) => {
                let ahead = number.0 - largest.0;
                let skipped = (ahead - 1).min(u64::from(SEEN_BITS)) as f64;
                self.loss += (skipped - self.loss * (skipped + 1.0)) / LOSS_MEMORY;
                self.loss = self.loss.clamp(0.0, 1.0);
                ahead
            }
            None => u64::MAX,
        };
        self.shift(ahead);
        self.bits[0] |= 1;
        self.largest = Some(number);
        Ok(())
    }

    fn shift(&mut self, by: u64) {
        let (words, bits) = ((by / 64).min(WORDS as u64) as usize, by % 64);
        for i in (0..WORDS).rev() {
            let low = i.checked_sub(words).map_or(0, |from| self.bits[from]);
            let lower = i.checked_sub(words + 1).map_or(0, |from| self.bits[from]);
            self.bits[i] = if bits == 0 { low } else { low << bits | lower >> (64 - bits) };
        }
    }

    /// The largest number seen.
    #[must_use]
    pub const fn largest(&self) -> Option<PacketNumber> {
        self.largest
    }

    /// Fraction of the numbers that were skipped of late.
    #[must_use]
    pub const fn loss(&self) -> f64 {
        self.loss
    }

    /// The window as a grant carries it.
    #[must_use]
    pub fn window(&self) -> [u8; SEEN_BITS as usize / 8] {
        let mut bytes = [0; SEEN_BITS as usize / 8];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.bits) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng;
    use crate::wire::Grant;

    #[test]
    fn agrees_with_a_set() {
        for seed in 0..200 {
            let mut rng = rng::stream(seed, "seen", 0);
            let (mut seen, mut set, mut base) = (Seen::default(), BTreeSet::new(), 1000);
            for _ in 0..500 {
                base += if rng::below(&mut rng, 50) == 0 { rng::below(&mut rng, 1500) } else { 1 };
                let number = base.saturating_sub(rng::below(&mut rng, 600));
                let largest = set.last().copied().unwrap_or(0);
                let old = number + u64::from(SEEN_BITS) <= largest;
                let fresh = !old && !set.contains(&number);
                assert_eq!(seen.insert(PacketNumber(number)).is_ok(), fresh, "seed {seed}");
                if fresh {
                    set.insert(number);
                }
                let largest = seen.largest().unwrap();
                assert_eq!(largest.0, *set.last().unwrap(), "seed {seed}");
                let grant = Grant::new(largest, 0, 0, seen.window());
                for back in 0..u64::from(SEEN_BITS) {
                    let Some(number) = largest.0.checked_sub(back) else { break };
                    let said = grant.has_seen(PacketNumber(number));
                    assert_eq!(said, Some(set.contains(&number)), "seed {seed}, {back} back");
                }
            }
        }
    }
}
