//! `clr`: critical while the norm of the whole averaged gradient changes quickly from one check to the next.

use serde::{Deserialize, Serialize};

use super::every::Beat;
use super::{Change, Finding, Rule, Terms, relative_change};
use crate::event::RoundEnded;

/// The first round of every period is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Clr {
    change: Change,
    beat: Beat,
    pub(super) critical: bool,
    previous: Option<f64>,
}

impl Clr {
    pub(super) const fn new(change: Change) -> Self {
        Self { change, beat: Beat::new(change.every), critical: true, previous: None }
    }
}

impl Rule for Clr {
    fn terms(&self) -> Terms {
        Terms::whole(self.critical, self.change.tolerance)
    }

    fn handle_round(&mut self, ended: &RoundEnded) -> Option<Finding> {
        if !self.beat.handle_round(ended).first {
            return None;
        }
        let (norm, eta) = (ended.norm, self.change.eta);
        let previous = self.previous.replace(norm);
        let ratio = previous.map(|previous| relative_change(previous, norm));
        self.critical = ratio.is_none_or(|ratio| ratio >= eta);
        let reason = match ratio {
            None => "first check: critical by definition".to_owned(),
            Some(_) if self.critical => format!("norm changed by {eta} of itself or more"),
            Some(_) => format!("norm changed by less than {eta} of itself"),
        };
        Some(Finding { norm, previous, ratio, reason })
    }
}
