//! From a plan to the configuration of the server core, once the size of the data is known.

use super::error::PlanError;
use super::{Length, Load, Plan};
use crate::mlt::Scheme;
use crate::ps::batch::Batches;
use crate::ps::calendar::{Calendar, Place};
use crate::ps::config::ServerConfig;
use crate::ps::optimizer::ScheduleConfig;
use crate::ps::policy::{Every, PolicyConfig};
use crate::transport::Transport;
use crate::units::Tolerance;
use crate::wire::Carrier;

/// Examples of a data set; a synthetic load has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSize {
    /// Of the training set.
    pub train: u64,
    /// Of the test set.
    pub test: u32,
}

/// How transfers of a transport deal with loss.
const fn scheme(transport: &Transport) -> Scheme {
    match transport {
        Transport::Bounded | Transport::Reliable | Transport::Tcp { .. } => Scheme::Bounded,
        Transport::Passes => Scheme::Passes,
        Transport::EarlyClose => Scheme::EarlyClose,
        Transport::Timeout => Scheme::Timeout,
    }
}

impl Plan {
    /// Training examples of one worker in one round; 1 stands for a synthetic push.
    #[must_use]
    pub const fn batches(&self) -> Batches {
        match &self.load {
            Load::Training(training) => training.batches,
            Load::Synthetic { .. } => Batches::uniform(1),
        }
    }

    /// Rounds and epochs over `train_len` training examples.
    ///
    /// # Errors
    /// If the run has more rounds than can be counted.
    pub fn calendar(&self, train_len: u64) -> Result<Calendar, PlanError> {
        let length = match &self.load {
            Load::Synthetic { rounds, .. } => Length::Rounds(*rounds),
            Load::Training(training) => training.length,
        };
        let calendar = Calendar { train_len, workers: self.workers, length };
        match (length, u32::try_from(calendar.rounds(Place::default(), self.batches().critical))) {
            (Length::Epochs(epochs), Err(_)) => {
                Err(PlanError::TooLong { what: format!("{epochs} epochs"), train_len })
            }
            _ => Ok(calendar),
        }
    }

    /// Examples that the rounds go through: those of the data set, `data`. In a synthetic load, one stands for each
    /// worker and round, so that the whole run is one epoch, and nothing is evaluated.
    #[must_use]
    pub fn examples(&self, data: DataSize) -> DataSize {
        match &self.load {
            Load::Training(_) => data,
            Load::Synthetic { rounds, .. } => {
                DataSize { train: u64::from(*rounds) * u64::from(self.workers), test: 0 }
            }
        }
    }

    /// Shards that the training data is dealt into: one for all, or one for each worker.
    #[must_use]
    pub fn slots(&self) -> u16 {
        match &self.load {
            Load::Training(training) if training.shards != "iid" => self.workers,
            Load::Training(_) | Load::Synthetic { .. } => 1,
        }
    }

    /// What the server core has to know to run this plan on data of this size. `brief` goes to the workers.
    ///
    /// # Errors
    /// If the run has more rounds than can be counted or is not longer than its warm-up.
    pub fn server_config(&self, data: DataSize, brief: &str) -> Result<ServerConfig, PlanError> {
        let DataSize { train: train_len, test: test_len } = self.examples(data);
        let eval_every = match &self.load {
            Load::Training(training) => training.eval_every,
            Load::Synthetic { .. } => 0,
        };
        let (calendar, batches) = (self.calendar(train_len)?, self.batches());
        let rounds_per_epoch = calendar.rounds_per_epoch(batches.others);
        let kind = self.schedule.kind(calendar.length, rounds_per_epoch)?;
        // Whatever drives this run, any detector can be scored on it afterwards. Noise has no regimes.
        let trains = matches!(self.load, Load::Training(_));
        let (reliable, policy) = (self.transport.is_reliable(), self.policy.clone());
        Ok(ServerConfig {
            plan: brief.into(),
            calendar,
            batches,
            test_len,
            slots: self.slots(),
            eval_every,
            missing: self.missing,
            flushes: trains && self.missing.is_repeated(),
            codec: self.codec,
            critical_codec: self.critical_codec,
            pull_codec: self.pull_codec,
            pull_tolerance: if reliable { Tolerance::ZERO } else { self.pull_tolerance },
            scheme: scheme(&self.transport),
            streamed: self.transport.is_streamed(),
            carrier: if self.transport.is_tcp() { Carrier::Stream } else { Carrier::Datagrams },
            signal: trains || matches!(policy, PolicyConfig::Signal(_)),
            window: policy.window().or_else(|| trains.then_some(Every::Epochs(1))),
            policy: if reliable { policy.without_tolerance() } else { policy },
            sgd: self.sgd,
            schedule: ScheduleConfig { lr: self.lr, kind },
            worker_timeout: self.worker_timeout,
            compute_timeout: self.compute_timeout,
        })
    }
}
