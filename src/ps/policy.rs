//! Policies: from what is known about the model to the tolerance of the next rounds (DESIGN section 7).

use crate::event::Decided;
use crate::ids::Round;
use crate::units::Tolerance;

/// Which policy, with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyConfig {
    /// Always the same tolerance.
    Static {
        /// That tolerance.
        tolerance: Tolerance,
    },
    /// Tolerance 0 while the norm of the averaged gradient changes quickly.
    Clr {
        /// Tolerance outside critical regimes.
        tolerance: Tolerance,
        /// Rounds between checks (`clr_freq`), at least 1.
        freq: u32,
        /// Relative change of the norm that means critical (`clr_eta`).
        eta: f64,
    },
}

impl PolicyConfig {
    /// Whether it tells critical regimes from others.
    #[must_use]
    pub const fn has_regimes(&self) -> bool {
        matches!(self, Self::Clr { .. })
    }

    /// The same policy with another tolerance outside critical regimes.
    #[must_use]
    pub const fn with_tolerance(self, tolerance: Tolerance) -> Self {
        match self {
            Self::Static { .. } => Self::Static { tolerance },
            Self::Clr { freq, eta, .. } => Self::Clr { tolerance, freq, eta },
        }
    }
}

/// A policy and what it has decided so far.
#[derive(Clone, Debug)]
pub struct Policy {
    config: PolicyConfig,
    critical: bool,
    /// `(round, critical, norm)` of every check.
    history: Vec<(Round, bool, f64)>,
}

impl Policy {
    /// A policy before the first round. What drives a tolerance by regimes begins in a critical one: nothing is known.
    #[must_use]
    pub fn new(config: PolicyConfig) -> Self {
        let critical = config.has_regimes();
        Self { config, critical, history: Vec::new() }
    }

    /// Whether the coming rounds are in a critical learning regime.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.critical
    }

    /// The tolerance of the coming rounds.
    #[must_use]
    pub const fn tolerance(&self) -> Tolerance {
        match self.config {
            PolicyConfig::Static { tolerance } => tolerance,
            PolicyConfig::Clr { .. } if self.critical => Tolerance::ZERO,
            PolicyConfig::Clr { tolerance, .. } => tolerance,
        }
    }

    /// Every check so far: `(round, critical, norm)`.
    #[must_use]
    pub fn history(&self) -> &[(Round, bool, f64)] {
        &self.history
    }

    /// Takes in the norm of the averaged gradient of `round` (from 1), and tells what was decided if it was time to.
    pub fn handle_norm(&mut self, round: Round, norm: f64) -> Option<Decided> {
        let PolicyConfig::Clr { freq, eta, .. } = self.config else { return None };
        if !(round.0 - 1).is_multiple_of(freq) {
            return None;
        }
        let old = self.tolerance();
        let previous = self.history.last().map(|&(.., norm)| norm);
        let ratio = previous.map(|previous| relative_change(previous, norm));
        self.critical = ratio.is_none_or(|ratio| ratio >= eta);
        self.history.push((round, self.critical, norm));
        let reason = match ratio {
            None => "first check: critical by definition".to_owned(),
            Some(_) if self.critical => format!("norm changed by {eta} of itself or more"),
            Some(_) => format!("norm changed by less than {eta} of itself"),
        };
        Some(Decided {
            round: round.next(),
            norm,
            previous,
            ratio: ratio.filter(|ratio| ratio.is_finite()),
            critical: self.critical,
            old,
            new: self.tolerance(),
            reason,
        })
    }
}

/// `|norm - previous| / previous`; from 0, any change is infinite.
fn relative_change(previous: f64, norm: f64) -> f64 {
    let change = (norm - previous).abs();
    if change == 0.0 { 0.0 } else { change / previous }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn clr(freq: u32) -> Policy {
        let tolerance = Tolerance::from_parts(200).unwrap();
        Policy::new(PolicyConfig::Clr { tolerance, freq, eta: 0.5 })
    }

    #[test]
    fn clr_decides_as_defined() {
        let norms = [4.0, 3.0, 1.5, 1.4, 0.0, 0.0, 1.0, 1.5, 1.49, 0.75, 0.7];
        let (mut policy, mut table) = (clr(1), String::new());
        for (round, norm) in (1..).zip(norms) {
            let decided = policy.handle_norm(Round(round), norm).unwrap();
            let ratio = decided.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
            let Decided { round, critical, old, new, reason, .. } = decided;
            writeln!(
                table,
                "{round:>2} {norm:>4} {ratio:>6} {critical:>5} {old:>2}->{new:<2} {reason}"
            )
            .unwrap();
        }
        insta::assert_snapshot!(table, @r"
         2    4      -  true 0%->0% first check: critical by definition
         3    3  0.250 false 0%->2% norm changed by less than 0.5 of itself
         4  1.5  0.500  true 2%->0% norm changed by 0.5 of itself or more
         5  1.4  0.067 false 0%->2% norm changed by less than 0.5 of itself
         6    0  1.000  true 2%->0% norm changed by 0.5 of itself or more
         7    0  0.000 false 0%->2% norm changed by less than 0.5 of itself
         8    1      -  true 2%->0% norm changed by 0.5 of itself or more
         9  1.5  0.500  true 0%->0% norm changed by 0.5 of itself or more
        10 1.49  0.007 false 0%->2% norm changed by less than 0.5 of itself
        11 0.75  0.497 false 2%->2% norm changed by less than 0.5 of itself
        12  0.7  0.067 false 2%->2% norm changed by less than 0.5 of itself
        ");
        assert_eq!(policy.history().len(), norms.len());
    }

    #[test]
    fn between_checks_nothing_changes_and_the_base_comes_back() {
        let mut policy = clr(10);
        let mut critical = Vec::new();
        for round in 1..=40 {
            critical.push(policy.is_critical());
            assert_eq!(policy.tolerance() == Tolerance::ZERO, policy.is_critical());
            let norm = if round <= 11 { 8.0 } else { 1.0 };
            let decided = policy.handle_norm(Round(round), norm);
            assert_eq!(decided.is_some(), round % 10 == 1);
        }
        // Rounds 1 to 11 by definition, 12 to 21 stable, 22 to 31 after the fall, then stable again.
        let expected: Vec<_> =
            (1..=40).map(|round| round <= 11 || (22..=31).contains(&round)).collect();
        assert_eq!(critical, expected);
    }

    #[test]
    fn static_never_changes() {
        let tolerance = Tolerance::from_parts(4000).unwrap();
        let mut policy = Policy::new(PolicyConfig::Static { tolerance });
        assert!(!policy.is_critical());
        assert!((1..50).all(|round| policy.handle_norm(Round(round), f64::from(round)).is_none()));
        assert_eq!(policy.tolerance(), tolerance);
    }
}
