//! Policies: from what is known about the model to what the next rounds may miss (DESIGN section 7).
//!
//! A policy is a pure function of two recorded events, [`RoundEnded`] and the accuracy of an evaluation: the same
//! events make the same decisions, online, offline (`norms.csv` has all of them) and after a checkpoint.

mod accordion;
mod clr;
mod clr_layer;
mod config;
mod dblp;
mod every;
mod fixed;
mod phase;
mod schedule;
mod signal;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use config::{Change, PolicyConfig, SignalConfig};
pub use every::{Beat, Every, Tick};
pub use phase::{PhaseConfig, PhaseRule};
pub use schedule::{Steps, StepsError};

use self::accordion::Accordion;
use self::clr::Clr;
use self::clr_layer::ClrLayer;
use self::dblp::Dblp;
use self::fixed::Fixed;
use self::phase::Phase;
use self::schedule::Schedule;
use self::signal::Signal;
use crate::event::{Decided, RoundEnded};
use crate::ids::Round;
use crate::units::Tolerance;

/// What is in a critical learning regime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Critical {
    /// No part of the model.
    Nothing,
    /// All of it.
    Everything,
    /// These tensors, by their place in the layout: some, not all.
    Tensors(Vec<bool>),
}

impl Critical {
    /// The places of critical tensors, where some are and some are not.
    #[must_use]
    pub fn tensors(&self) -> Vec<u32> {
        let Self::Tensors(critical) = self else { return Vec::new() };
        (0..).zip(critical).filter(|&(_, is)| *is).map(|(place, _)| place).collect()
    }
}

/// What holds for the coming rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Part of a push that may be missing; of critical tensors, none may.
    pub tolerance: Tolerance,
    /// What is critical.
    pub critical: Critical,
}

impl Terms {
    /// The terms of a model that is critical as a whole, or not at all.
    fn whole(critical: bool, tolerance: Tolerance) -> Self {
        match critical {
            true => Self { tolerance: Tolerance::ZERO, critical: Critical::Everything },
            false => Self { tolerance, critical: Critical::Nothing },
        }
    }

    /// The terms of a model whose tensors are `critical` or not; none is known before the first decision.
    fn of_tensors(critical: &[bool], tolerance: Tolerance) -> Self {
        if critical.iter().all(|&is| is) || !critical.contains(&true) {
            return Self::whole(critical.first().is_none_or(|&is| is), tolerance);
        }
        Self { tolerance, critical: Critical::Tensors(critical.to_vec()) }
    }
}

/// What a rule looked at, and what it made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Norm (or accuracy) that was looked at.
    norm: f64,
    /// The one it was compared with, if there was one.
    previous: Option<f64>,
    /// How much it has changed.
    ratio: Option<f64>,
    /// In words.
    reason: String,
}

/// One way to decide. Before the first decision, rules that know regimes take the model for critical: nothing is known.
trait Rule {
    /// What holds now.
    fn terms(&self) -> Terms;

    /// Whether the coming rounds have the batch of critical regimes: where all of the model is in one.
    fn has_small_batch(&self) -> bool {
        self.terms().critical == Critical::Everything
    }

    /// Takes in the next round that ended; tells what was found if it was time to look.
    fn handle_round(&mut self, _ended: &RoundEnded) -> Option<Finding> {
        None
    }

    /// Takes in the accuracy of an evaluation after a round that was taken in; tells what was found.
    fn handle_accuracy(&mut self, _accuracy: f64) -> Option<Finding> {
        None
    }
}

/// The rule of a policy, with its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Rules {
    Static(Fixed),
    Phase(Phase),
    Clr(Clr),
    ClrLayer(ClrLayer),
    Accordion(Accordion),
    Dblp(Dblp),
    Signal(Signal),
    Schedule(Schedule),
}

impl Rules {
    fn new(config: &PolicyConfig, dimensions: &[usize]) -> Self {
        match config {
            PolicyConfig::Static { tolerance } => Self::Static(Fixed::new(*tolerance)),
            PolicyConfig::Phase(config) => Self::Phase(Phase::new(*config)),
            PolicyConfig::Clr(change) => Self::Clr(Clr::new(*change)),
            PolicyConfig::ClrLayer(change) => Self::ClrLayer(ClrLayer::new(*change)),
            PolicyConfig::Accordion(change) => Self::Accordion(Accordion::new(*change, dimensions)),
            PolicyConfig::Dblp { low, k } => Self::Dblp(Dblp::new(*low, *k)),
            PolicyConfig::Signal(config) => Self::Signal(Signal::new(*config)),
            PolicyConfig::Schedule(steps) => Self::Schedule(Schedule::new(steps.clone())),
        }
    }
}

/// Does something with the rule, whichever it is.
macro_rules! each {
    ($rules:expr, $rule:ident => $done:expr) => {
        match $rules {
            Rules::Static($rule) => $done,
            Rules::Phase($rule) => $done,
            Rules::Clr($rule) => $done,
            Rules::ClrLayer($rule) => $done,
            Rules::Accordion($rule) => $done,
            Rules::Dblp($rule) => $done,
            Rules::Signal($rule) => $done,
            Rules::Schedule($rule) => $done,
        }
    };
}

/// A policy and what it has decided so far. As JSON it is part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    rules: Rules,
    /// The last round that was taken in, and the epochs trained by then.
    at: (Round, f64),
    /// `(round, critical, norm)` of every check.
    history: Vec<(Round, bool, f64)>,
}

impl Policy {
    /// A policy before the first round, for a model whose tensors have so many `dimensions`.
    #[must_use]
    pub fn new(config: &PolicyConfig, dimensions: &[usize]) -> Self {
        Self { rules: Rules::new(config, dimensions), at: (Round(0), 0.0), history: Vec::new() }
    }

    /// What holds for the coming rounds.
    #[must_use]
    pub fn terms(&self) -> Terms {
        each!(&self.rules, rule => rule.terms())
    }

    /// Whether all of the model is in a critical learning regime in the coming rounds.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.terms().critical == Critical::Everything
    }

    /// Whether the coming rounds have the batch of critical regimes.
    #[must_use]
    pub fn has_small_batch(&self) -> bool {
        each!(&self.rules, rule => rule.has_small_batch())
    }

    /// Of each of `tensors` tensors, whether it is critical in the coming rounds.
    #[must_use]
    pub fn critical_tensors(&self, tensors: usize) -> Vec<bool> {
        match self.terms().critical {
            Critical::Nothing => vec![false; tensors],
            Critical::Everything => vec![true; tensors],
            Critical::Tensors(critical) => critical,
        }
    }

    /// The tolerance of the coming rounds.
    #[must_use]
    pub fn tolerance(&self) -> Tolerance {
        self.terms().tolerance
    }

    /// Every check so far: `(round, critical, norm)`.
    #[must_use]
    pub fn history(&self) -> &[(Round, bool, f64)] {
        &self.history
    }

    /// Takes in the next round that ended, and tells what was decided if it was time to.
    pub fn handle_round(&mut self, ended: &RoundEnded) -> Option<Decided> {
        self.at = (ended.round, ended.epoch);
        let old = self.tolerance();
        let finding = each!(&mut self.rules, rule => rule.handle_round(ended))?;
        Some(self.decide(old, finding))
    }

    /// Takes in the accuracy of an evaluation after the last round, and tells what was decided if it was time to.
    pub fn handle_accuracy(&mut self, accuracy: f64) -> Option<Decided> {
        let old = self.tolerance();
        let finding = each!(&mut self.rules, rule => rule.handle_accuracy(accuracy))?;
        Some(self.decide(old, finding))
    }

    fn decide(&mut self, old: Tolerance, finding: Finding) -> Decided {
        let ((round, epoch), terms) = (self.at, self.terms());
        let critical = terms.critical == Critical::Everything;
        self.history.push((round, critical, finding.norm));
        let tensors = terms.critical.tensors();
        Decided {
            round: round.next(),
            epoch,
            norm: finding.norm,
            previous: finding.previous,
            ratio: finding.ratio.filter(|ratio| ratio.is_finite()),
            critical,
            tensors,
            old,
            new: terms.tolerance,
            reason: finding.reason,
        }
    }
}

/// `|norm - previous| / previous`; from 0, any change is infinite.
fn relative_change(previous: f64, norm: f64) -> f64 {
    let change = (norm - previous).abs();
    if change == 0.0 { 0.0 } else { change / previous }
}
