//! The server's optimizer: stochastic gradient descent and the learning rate's course.

use serde::{Deserialize, Serialize};

/// Stochastic gradient descent with momentum (PyTorch's form: `v = m v + g + w x`, `x -= lr v`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SgdConfig {
    /// Momentum `m` in `[0, 1)`.
    pub momentum: f32,
    /// Nesterov's variant: the step looks one momentum ahead.
    pub nesterov: bool,
    /// Weight decay `w`, at least 0, added to the gradient.
    pub weight_decay: f32,
}

/// The learning rate as a function of the round.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// The rate that all others are multiples of.
    pub lr: f64,
    /// Its course.
    pub kind: ScheduleKind,
}

/// How the learning rate goes.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Always the same.
    Constant,
    /// Multiplied by `gamma` at each of these rounds (ascending, each above 1).
    MultiStep {
        /// First rounds with the new rate.
        milestones: Vec<u32>,
        /// The factor.
        gamma: f64,
    },
    /// Linear from 0 over `warmup` rounds, then half a cosine down to 0 at round `rounds`.
    Cosine {
        /// Rounds of linear warm-up.
        warmup: u32,
        /// Rounds of the whole course.
        rounds: u32,
    },
}
