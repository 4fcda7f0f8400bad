//! The plan: one checked run.
//!
//! What was typed (flags over a TOML file) is a list of [`Entry`]s; [`Plan::from_entries`] turns it into what is meant,
//! once, and nothing behind it looks at text again. [`Plan::to_toml`] is the canonical text: it parses back to an equal
//! plan and travels to the workers; together with the model's recipe it has a digest. Names that other modules own
//! (models, data sets, shards, augmentation, network conditions) are checked through [`Words`] and kept as text.

mod error;
mod policy;
mod preset;
mod resolve;
mod resume;
mod schedule;
mod server;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::path::PathBuf;
use std::time::Duration;

pub use error::PlanError;
pub use preset::{named, presets};
pub(crate) use preset::{preset, unknown as unknown_plan};
pub(crate) use resolve::folder_name;
pub use resolve::{RecipeFacts, Words};
pub(crate) use resume::RESUME;
pub use resume::{of_run, resumed};
pub use schedule::Schedule;
pub use server::DataSize;
pub(crate) use source::unknown;
pub use source::{Choice, Document, Entry, Origin, overlay};
pub use text::line;

use crate::codec::Codec;
use crate::flat::Order;
use crate::model::Engine;
use crate::ps::batch::Batches;
pub use crate::ps::calendar::Length;
use crate::ps::missing::Missing;
use crate::ps::optimizer::SgdConfig;
use crate::ps::policy::PolicyConfig;
use crate::sim::ComputeTime;
use crate::transport::Transport;
use crate::units::Tolerance;

/// Every key of a plan, in the order of the canonical text. A flag is a key behind two dashes.
pub const KEYS: &[&str] = &[
    "name",
    "data-dir",
    "resume",
    "model",
    "engine",
    "dataset",
    "shards",
    "augment",
    "batch",
    "epochs",
    "rounds",
    "eval-every",
    "full-norm",
    "bytes",
    "workers",
    "lr",
    "schedule",
    "momentum",
    "nesterov",
    "weight-decay",
    "seed",
    "codec",
    "missing",
    "order",
    "tolerance",
    "pull-codec",
    "pull-tolerance",
    "policy",
    "clr-freq",
    "clr-eta",
    "clr-codec",
    "clr-batch",
    "batch-lr",
    "signal-leave",
    "signal-warmup",
    "dblp-k",
    "phase-tolerances",
    "phase-rule",
    "tolerance-steps",
    "transport",
    "net",
    "compute",
    "worker-timeout",
    "compute-timeout",
];

/// One checked run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the run folder; derived from the load where absent. No part of the digest.
    pub name: Option<String>,
    /// Folder that holds the data sets on this machine. No part of the digest.
    pub data_dir: PathBuf,
    /// Folder of the run whose checkpoint this one goes on from, if it does. The digest has its name, not its content.
    pub resume: Option<PathBuf>,
    /// What the rounds carry.
    pub load: Load,
    /// Workers that must have joined before the first round.
    pub workers: u16,
    /// Learning rate that the schedule starts from, finite and above 0.
    pub lr: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// The optimizer.
    pub sgd: SgdConfig,
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// Codec of pushes.
    pub codec: Codec,
    /// The same in critical regimes; never another one where the policy knows of none.
    pub critical_codec: Codec,
    /// Filler for missing blocks.
    pub missing: Missing,
    /// Codec of pulls.
    pub pull_codec: Codec,
    /// In which order blocks are pushed.
    pub order: Order,
    /// Fraction of a pull that may be missing.
    pub pull_tolerance: Tolerance,
    /// What drives the tolerance of pushes.
    pub policy: PolicyConfig,
    /// How pushes and pulls travel.
    pub transport: Transport,
    /// Network conditions, clauses joined by `; `; empty: as the network is.
    pub net: String,
    /// What stands for the time of a training step in a simulation.
    pub compute: ComputeTime,
    /// A worker that says nothing for so long is dropped.
    pub worker_timeout: Duration,
    /// A worker that is heard but does not begin its push for so long is dropped.
    pub compute_timeout: Duration,
}

/// What the rounds carry.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Gradients of a model.
    Training(Training),
    /// Seeded noise, to study the transport alone.
    Synthetic {
        /// Bytes of a whole push, and of a whole pull, as raw f32.
        bytes: u64,
        /// Rounds to run.
        rounds: u32,
    },
}

/// See [`Load::Training`].
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Name or path of the recipe.
    pub model: String,
    /// Digest of the recipe. No part of the text, which is read together with the recipe.
    pub recipe: String,
    /// What computes with it.
    pub engine: Engine,
    /// Name of the data set.
    pub dataset: String,
    /// How the data is dealt to the workers.
    pub shards: String,
    /// How training images are varied.
    pub augment: String,
    /// Training examples of one worker in one round.
    pub batches: Batches,
    /// How long to train.
    pub length: Length,
    /// Epochs between evaluations; 0: only at the end.
    pub eval_every: u32,
    /// Rounds between measurements of the gradient over all training images, in a simulation; 0: never.
    pub full_norm: u32,
}

impl Plan {
    /// The same plan, to be simulated.
    ///
    /// # Errors
    /// If it needs what only a kernel has.
    pub fn simulated(self) -> Result<Self, PlanError> {
        if self.transport.is_tcp() {
            let entry = Entry::flag("transport", &self.transport.to_string()).to_string();
            let reason = "a simulation has no kernel, whose TCP this is: use `train` or `server`";
            return Err(PlanError::Refused { entry, reason: reason.to_owned() });
        }
        Ok(self)
    }

    /// The name that the run folder gets: the one given, else one that says what runs (and to be numbered).
    #[must_use]
    pub fn folder(&self) -> Folder {
        match (&self.name, &self.load) {
            (Some(name), _) => Folder::Given(name.clone()),
            (None, Load::Training(training)) => {
                let model = plain(&training.model);
                let dataset = plain(&training.dataset);
                Folder::Derived(format!("{model}-{dataset}-{}", self.seed))
            }
            (None, Load::Synthetic { bytes, .. }) => {
                Folder::Derived(format!("bytes{bytes}-{}", self.seed))
            }
        }
    }
}

/// Name of a run folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Chosen by the user: taken as it is.
    Given(String),
    /// Chosen by us: gets a number where it is taken.
    Derived(String),
}

/// `./models/mine.toml` as `mine`: the last part of a path, without its ending, in characters that suit a folder.
fn plain(word: &str) -> String {
    let last = word.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or(word);
    let stem = last.strip_suffix(".toml").unwrap_or(last);
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
