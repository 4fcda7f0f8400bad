//! Everything the server core has to know about a run.

use std::sync::Arc;
use std::time::Duration;

use super::missing::Missing;
use super::optimizer::{ScheduleConfig, SgdConfig};
use super::policy::{Every, PolicyConfig};
use crate::codec::Codec;
use crate::mlt::Scheme;
use crate::units::Tolerance;
use crate::wire::Carrier;

/// A checked run, as the server core sees it.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The plan as text, for the workers; the core does not read it.
    pub plan: Arc<str>,
    /// Workers that must have joined before the first round.
    pub workers: u16,
    /// Training rounds.
    pub rounds: u32,
    /// Training examples of one worker in one round, at least 1.
    pub batch: u32,
    /// Examples of the training set.
    pub train_len: u64,
    /// Examples of the test set; 0 means that nothing is ever evaluated.
    pub test_len: u32,
    /// Shards that the training data is dealt into: 1 for IID, else one for each planned worker.
    pub slots: u16,
    /// Training rounds between evaluations; 0: only after the last.
    pub eval_every: u32,
    /// Filler for missing blocks.
    pub missing: Missing,
    /// Codec of pushes.
    pub codec: Codec,
    /// Codec of pushes in critical regimes.
    pub critical_codec: Codec,
    /// Codec of pulls, one of fixed length; what is evaluated travels as it is.
    pub pull_codec: Codec,
    /// Fraction of a pull that may be missing.
    pub pull_tolerance: Tolerance,
    /// How transfers deal with loss.
    pub scheme: Scheme,
    /// Whether a block of the new parameters leaves as soon as its average is known, while pushes still arrive.
    pub streamed: bool,
    /// What carries the words of the workers.
    pub carrier: Carrier,
    /// What drives the tolerance of pushes.
    pub policy: PolicyConfig,
    /// Whether the part that all gradients have in common is measured.
    pub signal: bool,
    /// Over which window the averaged gradient is accumulated, if at all.
    pub window: Option<Every>,
    /// The optimizer.
    pub sgd: SgdConfig,
    /// The learning rate's course.
    pub schedule: ScheduleConfig,
    /// A worker that says nothing for so long is dropped.
    pub worker_timeout: Duration,
    /// A worker that is heard but does not begin its push for so long is dropped.
    pub compute_timeout: Duration,
}
