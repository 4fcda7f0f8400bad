//! `signal`: critical while the part of the gradient that all workers have in common changes quickly.
//!
//! A mini-batch's norm is mostly noise. What two workers compute from different examples differs in its noise, so the
//! products of their gradients average to the square of what they have in common:
//! `(|sum g|^2 - sum |g|^2) / (N (N - 1))`. It is averaged over a window before it is compared. How much its rounds
//! differ says how far chance may move that mean: what lies within [`SURE`] standard errors is no change. As an
//! estimate of a square it may be negative, and then there is no signal to be seen: it counts as 0.

use serde::{Deserialize, Serialize};

use super::every::Beat;
use super::{Finding, Rule, SignalConfig, Terms, relative_change};
use crate::event::RoundEnded;

/// Standard errors that the difference of two windows must exceed. Of windows of ten rounds, one in 130 does by chance;
/// of shorter ones more, for they tell less of it.
const SURE: f64 = 3.0;

/// What is kept of the estimates of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Window {
    count: u32,
    /// Of the squares.
    mean: f64,
    /// Sum of what they differ from it, squared (Welford).
    spread: f64,
}

impl Window {
    fn add(&mut self, square: f64) {
        self.count += 1;
        let difference = square - self.mean;
        self.mean += difference / f64::from(self.count);
        self.spread += difference * (square - self.mean);
    }

    /// The norm of the signal.
    fn norm(&self) -> f64 {
        self.mean.max(0.0).sqrt()
    }

    /// The square of the mean's standard error. One round tells nothing of chance.
    fn error(&self) -> Option<f64> {
        let count = f64::from(self.count);
        (self.count > 1).then(|| self.spread / (count - 1.0) / count)
    }

    /// Whether the two differ by more than chance explains, as far as is known of chance.
    fn differs(&self, other: &Self) -> bool {
        let Some((one, two)) = self.error().zip(other.error()) else { return true };
        (self.mean - other.mean).abs() > SURE * (one + two).sqrt()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signal {
    config: SignalConfig,
    beat: Beat,
    critical: bool,
    /// The window under way.
    window: Window,
    /// Windows that ended.
    windows: u32,
    /// The last one that had an estimate.
    previous: Option<Window>,
}

impl Signal {
    pub(super) fn new(config: SignalConfig) -> Self {
        let (beat, window) = (Beat::new(config.every), Window::default());
        Self { config, beat, critical: true, window, windows: 0, previous: None }
    }

    /// What to make of a change of so much, and of whether it is one.
    fn judge(&mut self, ratio: Option<f64>, differs: bool) -> String {
        let SignalConfig { enter, leave, warmup, .. } = self.config;
        if self.windows <= warmup {
            self.critical = true;
            return format!("window {} of {warmup} that warm up", self.windows);
        }
        let Some(ratio) = ratio else {
            return "no signal to compare: as before".to_owned();
        };
        if !differs {
            self.critical = false;
            return "signal changed by no more than chance explains".to_owned();
        }
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
            self.window.add(square);
        }
        if !self.beat.handle_round(ended).last {
            return None;
        }
        self.windows = self.windows.saturating_add(1);
        let window = Some(std::mem::take(&mut self.window)).filter(|window| window.count > 0);
        let (previous, pair) = (self.previous, self.previous.zip(window));
        let ratio = pair.map(|(before, now)| relative_change(before.norm(), now.norm()));
        let reason = self.judge(ratio, pair.is_none_or(|(before, now)| now.differs(&before)));
        self.previous = window.or(previous);
        let norm = window.map_or(0.0, |window| window.norm());
        Some(Finding { norm, previous: previous.map(|before| before.norm()), ratio, reason })
    }
}
