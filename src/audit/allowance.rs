//! What a worker may miss, counted again (DESIGN section 6).

/// A whole block, in the ten-thousandths that allowances are counted in.
const BLOCK: u64 = 10_000;

/// What one worker has saved up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    parts: u64,
    /// Whole blocks that may be missing in the round that was opened last.
    pub(super) blocks: u32,
}

impl Allowance {
    /// A round begins: `tolerance` (in ten-thousandths) of each owed block is added to what earlier rounds have saved,
    /// up to the worth of two such rounds, or of one block if that is more. Where nothing is saved, it is all there is.
    /// Somebody has to send something, so it never covers a whole push; and a round at tolerance 0 leaves it untouched.
    pub(super) fn open(&mut self, tolerance: u64, owed: u32, saves: bool) {
        if saves && tolerance == 0 {
            self.blocks = 0;
            return;
        }
        let earned = tolerance.saturating_mul(u64::from(owed));
        self.parts = if saves {
            let most = BLOCK.max(earned.saturating_mul(2));
            self.parts.saturating_add(earned).min(most)
        } else {
            earned
        };
        let whole = self.parts / BLOCK;
        self.blocks = u32::try_from(whole).unwrap_or(u32::MAX).min(owed.saturating_sub(1));
    }

    /// Blocks were forgiven; returns what is left.
    pub(super) fn spend(&mut self, forgiven: u32) -> u64 {
        self.parts = self.parts.saturating_sub(u64::from(forgiven) * BLOCK);
        self.parts
    }

    /// Takes what was recorded for what is left, so that one wrong number is found once.
    pub(super) fn go_on_from(&mut self, recorded: u64) {
        self.parts = recorded;
    }
}

/// Ten-thousandths of a block as `rounds.csv` has them.
pub(super) fn blocks(parts: u64) -> String {
    format!("{}.{:04}", parts / BLOCK, parts % BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_block_add_up_to_one() {
        let mut allowance = Allowance::default();
        let mut course = Vec::new();
        for tolerance in [200, 200, 0, 200, 4000, 4000, 10_000, 200] {
            allowance.open(tolerance, 26, true);
            let blocks = allowance.blocks;
            course.push((blocks, blocks_left(allowance.spend(blocks.min(1)))));
        }
        let expected = [
            (0, "0.5200"),
            (1, "0.0400"),
            (0, "0.0400"),
            (0, "0.5600"),
            (10, "9.9600"),
            (20, "19.3600"),
            (25, "44.3600"),
            (1, "0.0400"),
        ];
        assert_eq!(course, expected.map(|(blocks, left)| (blocks, left.to_owned())));
        allowance.open(1000, 26, false);
        assert_eq!(allowance.blocks, 2);
        allowance.open(1000, 26, false);
        assert_eq!((allowance.blocks, allowance.spend(0)), (2, 26_000), "nothing is saved");
    }

    fn blocks_left(parts: u64) -> String {
        blocks(parts)
    }
}
