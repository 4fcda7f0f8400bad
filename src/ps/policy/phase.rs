//! `phase`: a tolerance for the beginning, the middle and the end of training, told apart by how much an evaluation
//! gains on the last one.

use serde::{Deserialize, Serialize};

use super::{Finding, Rule, Terms};
use crate::units::Tolerance;

/// See [`PolicyConfig::Phase`](super::PolicyConfig::Phase).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseConfig {
    /// Tolerances of Begin, Mid and Final (`phase-tolerances`).
    pub tolerances: [Tolerance; 3],
    /// How phases are told apart (`phase-rule`).
    pub rule: PhaseRule,
}

/// How phases are told apart. Both compare the first accuracy with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseRule {
    /// As the study of three phases says: a gain above 8 points is Begin, below 2 points Final, between them Mid;
    /// phases may come back.
    Study,
    /// As the prototype's code says: above 7 points Begin, below 3 points Final, between them Mid; Mid and Final only
    /// with more than half of the test set right; phases never come back.
    Prototype,
}

crate::named!(PhaseRule, "rule of phases", { Study => "study", Prototype => "prototype" });

const NAMES: [&str; 3] = ["Begin", "Mid", "Final"];
/// The prototype's accuracy above which Begin can end.
const HALF: f64 = 0.5;

impl PhaseRule {
    /// The gain above which it is Begin, and that below which it is Final.
    const fn bounds(self) -> (f64, f64) {
        match self {
            Self::Study => (0.08, 0.02),
            Self::Prototype => (0.07, 0.03),
        }
    }

    /// The phase after `phase`, as a place in [`NAMES`].
    fn next(self, phase: usize, gain: f64, accuracy: f64) -> usize {
        let (begin, last) = self.bounds();
        let told = if gain > begin {
            0
        } else if gain < last {
            2
        } else {
            1
        };
        match self {
            Self::Study => told,
            Self::Prototype if accuracy > HALF => told.max(phase),
            Self::Prototype => phase,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Phase {
    config: PhaseConfig,
    phase: usize,
    accuracy: f64,
}

impl Phase {
    pub(super) const fn new(config: PhaseConfig) -> Self {
        Self { config, phase: 0, accuracy: 0.0 }
    }
}

impl Rule for Phase {
    fn terms(&self) -> Terms {
        Terms::whole(false, self.config.tolerances[self.phase])
    }

    fn handle_accuracy(&mut self, accuracy: f64) -> Option<Finding> {
        let previous = std::mem::replace(&mut self.accuracy, accuracy);
        let gain = accuracy - previous;
        self.phase = self.config.rule.next(self.phase, gain, accuracy);
        let (points, phase) = (100.0 * gain, NAMES[self.phase]);
        let reason = format!("{phase}: accuracy {:.2} %, {points:+.2} points", 100.0 * accuracy);
        Some(Finding { norm: accuracy, previous: Some(previous), ratio: Some(gain), reason })
    }
}
