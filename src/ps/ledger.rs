//! What a worker may still miss: the allowance that its tolerance accumulates over rounds (DESIGN section 6).

use crate::units::Tolerance;

/// Rounds of allowance that can be saved up: one round may miss twice its share, not everything...
const ROUNDS_MAX: u64 = 2;
/// ...but always one block, or a tolerance of 2 % would mean nothing to a model of 25 blocks.
const BLOCK: u64 = Tolerance::WHOLE as u64;

/// A ledger in ten-thousandths of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger(u64);

impl Ledger {
    /// As [`open`](Self::open), for schemes that save nothing up.
    pub fn open_anew(&mut self, tolerance: Tolerance, owed: u32) -> u32 {
        self.0 = u64::from(tolerance.parts()) * u64::from(owed);
        u32::try_from(self.0 / BLOCK).unwrap_or(u32::MAX).min(owed - 1)
    }

    /// Adds one round's allowance and tells how many whole blocks may be missing in it: never all that are `owed`, and
    /// at tolerance 0 none, whatever was saved up.
    pub fn open(&mut self, tolerance: Tolerance, owed: u32) -> u32 {
        if tolerance == Tolerance::ZERO {
            return 0;
        }
        let income = u64::from(tolerance.parts()) * u64::from(owed);
        self.0 = (self.0 + income).min((income * ROUNDS_MAX).max(BLOCK));
        u32::try_from(self.0 / BLOCK).unwrap_or(u32::MAX).min(owed - 1)
    }

    /// Deducts blocks that were forgiven.
    ///
    /// # Panics
    /// If they are more than [`open`](Self::open) allowed.
    pub fn spend(&mut self, forgiven: u32) {
        self.0 =
            self.0.checked_sub(u64::from(forgiven) * BLOCK).expect("forgiven within the allowance");
    }

    /// What is left, in ten-thousandths of a block.
    #[must_use]
    pub const fn left(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    #[test]
    fn small_shares_add_up() {
        let mut ledger = Ledger::default();
        let tolerance = Tolerance::from_parts(200).unwrap();
        let allowed: Vec<_> = (0..6)
            .map(|_| {
                let allowed = ledger.open(tolerance, 26);
                ledger.spend(allowed);
                allowed
            })
            .collect();
        assert_eq!(allowed, [0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn never_more_is_forgiven_than_accumulated() {
        for seed in 0..500 {
            let mut rng = rng::stream(seed, "ledger", 0);
            let (mut ledger, mut income, mut forgiven) = (Ledger::default(), 0, 0);
            let owed = 1 + rng::below(&mut rng, 700) as u32;
            for _ in 0..200 {
                let parts = [0, 50, 200, 4000, 10_000][rng::below(&mut rng, 5) as usize];
                let tolerance = Tolerance::from_parts(parts).unwrap();
                let allowed = ledger.open(tolerance, owed);
                assert!(allowed < owed && (parts > 0 || allowed == 0), "seed {seed}");
                let spent = rng::below(&mut rng, u64::from(allowed) + 1) as u32;
                ledger.spend(spent);
                income += u64::from(parts) * u64::from(owed);
                forgiven += u64::from(spent) * BLOCK;
                assert!(forgiven <= income, "seed {seed}");
            }
        }
    }
}
