//! `clr-layer`: the rule of `clr` for each tensor by itself.

use serde::{Deserialize, Serialize};

use super::every::Beat;
use super::{Change, Finding, Rule, Terms, relative_change};
use crate::event::RoundEnded;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ClrLayer {
    change: Change,
    beat: Beat,
    /// Of each tensor; empty before the first check, when all are.
    critical: Vec<bool>,
    previous: Vec<f64>,
}

impl ClrLayer {
    pub(super) const fn new(change: Change) -> Self {
        let beat = Beat::new(change.every);
        Self { change, beat, critical: Vec::new(), previous: Vec::new() }
    }
}

impl Rule for ClrLayer {
    fn terms(&self) -> Terms {
        Terms::of_tensors(&self.critical, self.change.tolerance)
    }

    fn handle_round(&mut self, ended: &RoundEnded) -> Option<Finding> {
        if !self.beat.handle_round(ended).first {
            return None;
        }
        let eta = self.change.eta;
        let previous = std::mem::replace(&mut self.previous, ended.norms.clone());
        let (critical, ratio) = compare(&previous, &ended.norms, eta);
        self.critical = critical;
        let reason = match ratio {
            None => "first check: critical by definition".to_owned(),
            Some(_) => format!("{} by {eta} of itself or more", changed(&self.critical)),
        };
        Some(Finding { norm: ended.norm, previous: None, ratio, reason })
    }
}

/// Which tensors' norms have changed by `eta` of themselves or more, and the largest change. Without earlier norms all
/// are critical.
pub(super) fn compare(previous: &[f64], norms: &[f64], eta: f64) -> (Vec<bool>, Option<f64>) {
    if previous.len() != norms.len() || norms.is_empty() {
        return (vec![true; norms.len()], None);
    }
    let ratios = || previous.iter().zip(norms).map(|(&old, &new)| relative_change(old, new));
    (ratios().map(|ratio| ratio >= eta).collect(), ratios().reduce(f64::max))
}

/// How many tensors have changed, in words.
pub(super) fn changed(critical: &[bool]) -> String {
    let count = critical.iter().filter(|&&is| is).count();
    format!("{count} of {} tensors changed", critical.len())
}
