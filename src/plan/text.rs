//! The canonical text of a plan, and its digest.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Length, Load, Plan};
use crate::ps::policy::PolicyConfig;

/// Keys that say where things lie on one machine and change no result: left out of the shared text and the digest.
const LOCAL_KEYS: [&str; 2] = ["name", "data-dir"];

impl Plan {
    /// The whole plan as TOML: parses back to an equal plan.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.lines().iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// What the workers get: the plan without what holds for this machine only.
    #[must_use]
    pub fn shared_text(&self) -> String {
        let shared = self.lines().into_iter().filter(|(key, _)| !LOCAL_KEYS.contains(key));
        shared.map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// SHA-256 of the shared text in hexadecimal: equal digests, equal results.
    #[must_use]
    pub fn digest(&self) -> String {
        let digest = Sha256::digest(self.shared_text());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Keys and values as TOML, in the order of [`KEYS`](super::KEYS).
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut line = |key, value| lines.push((key, value));
        if let Some(name) = &self.name {
            line("name", quoted(name));
        }
        line("data-dir", quoted(&self.data_dir.to_string_lossy()));
        match &self.load {
            Load::Training(training) => {
                line("model", quoted(&training.model));
                line("dataset", quoted(&training.dataset));
                line("shards", quoted(&training.shards));
                line("augment", quoted(&training.augment));
                line("batch", training.batch.to_string());
                match training.length {
                    Length::Epochs(epochs) => line("epochs", epochs.to_string()),
                    Length::Rounds(rounds) => line("rounds", rounds.to_string()),
                }
                line("eval-every", training.eval_every.to_string());
            }
            Load::Synthetic { bytes, rounds } => {
                line("rounds", rounds.to_string());
                line("bytes", bytes.to_string());
            }
        }
        lines.extend(self.common());
        lines
    }

    /// What any load has.
    fn common(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("workers", self.workers.to_string()),
            ("lr", format!("{:?}", self.lr)),
            ("schedule", quoted(&self.schedule.to_string())),
            ("momentum", format!("{:?}", self.sgd.momentum)),
            ("nesterov", self.sgd.nesterov.to_string()),
            ("weight-decay", format!("{:?}", self.sgd.weight_decay)),
            ("seed", self.seed.to_string()),
            ("codec", quoted(&self.codec.to_string())),
            ("missing", quoted(&self.missing.to_string())),
        ];
        let (tolerance, policy) = match self.policy {
            PolicyConfig::Static { tolerance } => (tolerance, "static"),
            PolicyConfig::Clr { tolerance, .. } => (tolerance, "clr"),
        };
        lines.push(("tolerance", quoted(&tolerance.to_string())));
        lines.push(("pull-tolerance", quoted(&self.pull_tolerance.to_string())));
        lines.push(("policy", quoted(policy)));
        if let PolicyConfig::Clr { freq, eta, .. } = self.policy {
            lines.push(("clr-freq", freq.to_string()));
            lines.push(("clr-eta", format!("{eta:?}")));
        }
        lines.push(("net", quoted(&self.net)));
        lines.push(("compute", quoted(&self.compute.to_string())));
        lines.push(("worker-timeout", quoted(&duration(self.worker_timeout))));
        lines.push(("compute-timeout", quoted(&duration(self.compute_timeout))));
        lines
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A duration in the largest unit that leaves no fraction, as `units::parse_duration` reads it.
pub(super) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let exact = units.iter().find(|(_, scale)| nanos.is_multiple_of(*scale));
    let (unit, scale) = exact.expect("every number is a multiple of 1");
    format!("{}{unit}", nanos / scale)
}
