//! `dblp` (arXiv 2605.01989): the regimes of `clr`, usually checked once an epoch, with a little tolerance in critical
//! ones and `k` more outside.

use serde::{Deserialize, Serialize};

use super::clr::Clr;
use super::{Change, Critical, Finding, Rule, Terms};
use crate::event::RoundEnded;
use crate::units::Tolerance;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Dblp {
    regimes: Clr,
    low: Tolerance,
    high: Tolerance,
}

impl Dblp {
    pub(super) fn new(low: Change, k: Tolerance) -> Self {
        let high = low.tolerance.saturating_add(k);
        Self { regimes: Clr::new(low), low: low.tolerance, high }
    }
}

impl Rule for Dblp {
    fn terms(&self) -> Terms {
        match self.regimes.critical {
            true => Terms { tolerance: self.low, critical: Critical::Everything },
            false => Terms { tolerance: self.high, critical: Critical::Nothing },
        }
    }

    fn handle_round(&mut self, ended: &RoundEnded) -> Option<Finding> {
        self.regimes.handle_round(ended)
    }
}
