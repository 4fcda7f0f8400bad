//! Everything the server core has to know about a run.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Batches;
use super::calendar::{Calendar, Place};
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
    /// How long to train on what; its workers must have joined before the first round.
    pub calendar: Calendar,
    /// Training examples of one worker in one round.
    pub batches: Batches,
    /// Examples of the test set; 0 means that nothing is ever evaluated.
    pub test_len: u32,
    /// Shards that the training data is dealt into: 1 for IID, else one for each planned worker.
    pub slots: u16,
    /// Epochs between evaluations; 0: only after the last round.
    pub eval_every: u32,
    /// Filler for missing blocks.
    pub missing: Missing,
    /// Whether what workers keep is said before the learning rate steps down and in the last round that makes a step.
    pub flushes: bool,
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

impl ServerConfig {
    /// Rounds of the run at most: if all of them have the smaller batch.
    #[must_use]
    pub fn rounds_max(&self) -> u32 {
        let rounds = self.calendar.rounds(Place::default(), self.batches.critical);
        u32::try_from(rounds).unwrap_or(u32::MAX)
    }
}
