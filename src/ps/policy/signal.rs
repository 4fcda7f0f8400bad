//! `signal`: critical while the part of the gradient that all workers have in common changes quickly.
//!
//! A mini-batch's norm is mostly noise. What two workers compute from different examples differs in its noise, so the
//! products of their gradients average to the square of what they have in common:
//! `(|sum g|^2 - sum |g|^2) / (N (N - 1))`. It is averaged over a window before it is compared; as an estimate of a
//! square it may be negative, and then says that the signal drowns in noise, which is no reason to change anything.

use serde::{Deserialize, Serialize};

use super::every::Beat;
use super::{Finding, Rule, SignalConfig, Terms, relative_change};
use crate::event::RoundEnded;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signal {
    config: SignalConfig,
    beat: Beat,
    critical: bool,
    /// Sum and number of the squares in this window.
    sum: (f64, u32),
    /// Windows that ended.
    windows: u32,
    /// The signal of the last window that had one.
    previous: Option<f64>,
}

impl Signal {
    pub(super) const fn new(config: SignalConfig) -> Self {
        let beat = Beat::new(config.every);
        Self { config, beat, critical: true, sum: (0.0, 0), windows: 0, previous: None }
    }

    /// What to make of a change, if one is known.
    fn judge(&mut self, ratio: Option<f64>) -> String {
        let SignalConfig { enter, leave, warmup, .. } = self.config;
        let Some(ratio) = ratio.filter(|_| self.windows > warmup) else {
            self.critical |= self.windows <= warmup;
            return match self.windows <= warmup {
                true => format!("window {} of {warmup} that warm up", self.windows),
                false => "no signal to compare: as before".to_owned(),
            };
        };
        let was = self.critical;
        self.critical = ratio >= if was { leave } else { enter };
        match (was, self.critical) {
            (true, true) => format!("signal still changes by {leave} of itself or more"),
            (true, false) => format!("signal changed by less than {leave} of itself"),
            (false, true) => format!("signal changed by {enter} of itself or more"),
            (false, false) => format!("signal changed by less than {enter} of itself"),
        }
    }
}

impl Rule for Signal {
    fn terms(&self) -> Terms {
        Terms::whole(self.critical, self.config.tolerance)
    }

    fn handle_round(&mut self, ended: &RoundEnded) -> Option<Finding> {
        if let Some(square) = ended.signal {
            self.sum = (self.sum.0 + square, self.sum.1 + 1);
        }
        if !self.beat.handle_round(ended).last {
            return None;
        }
        let (sum, count) = std::mem::take(&mut self.sum);
        self.windows = self.windows.saturating_add(1);
        let signal = Some(sum / f64::from(count)).filter(|&square| square > 0.0).map(f64::sqrt);
        let previous = self.previous;
        let ratio =
            previous.zip(signal).map(|(previous, signal)| relative_change(previous, signal));
        self.previous = signal.or(previous);
        let reason = self.judge(ratio);
        Some(Finding { norm: signal.unwrap_or(0.0), previous, ratio, reason })
    }
}
