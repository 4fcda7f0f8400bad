//! The canonical text of a plan, and its digest.

use sha2::{Digest, Sha256};
use toml::Value;

use super::{Length, Load, Plan};
use crate::units::format_duration;

/// Keys that say where things lie on one machine and change no result: left out of the shared text and the digest.
const LOCAL_KEYS: [&str; 2] = ["name", "data-dir"];

impl Plan {
    /// The whole plan as TOML: parses back to an equal plan.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml(&self.values())
    }

    /// What the workers get: the plan without what holds for this machine only.
    #[must_use]
    pub fn shared_text(&self) -> String {
        let mut values = self.values();
        values.retain(|(key, _)| !LOCAL_KEYS.contains(key));
        toml(&values)
    }

    /// SHA-256 of the shared text and the recipe's digest, in hexadecimal: equal digests, equal results.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.shared_text());
        if let Load::Training(training) = &self.load {
            hash.update(&training.recipe);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Keys and their values as they would be typed, in the order of [`KEYS`](super::KEYS).
    #[must_use]
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.values().into_iter().map(|(key, value)| (key, text(value))).collect()
    }

    fn values(&self) -> Vec<(&'static str, Value)> {
        let mut values = Vec::new();
        let mut set = |key, value| values.push((key, value));
        if let Some(name) = &self.name {
            set("name", name.as_str().into());
        }
        set("data-dir", self.data_dir.to_string_lossy().into_owned().into());
        if let Some(run) = &self.resume {
            set("resume", run.to_string_lossy().into_owned().into());
        }
        match &self.load {
            Load::Training(training) => {
                set("model", training.model.as_str().into());
                set("engine", training.engine.to_string().into());
                set("dataset", training.dataset.as_str().into());
                set("shards", training.shards.as_str().into());
                set("augment", training.augment.as_str().into());
                set("batch", training.batches.others.into());
                match training.length {
                    Length::Epochs(epochs) => set("epochs", epochs.into()),
                    Length::Rounds(rounds) => set("rounds", rounds.into()),
                }
                set("eval-every", training.eval_every.into());
                if training.full_norm > 0 {
                    set("full-norm", training.full_norm.into());
                }
            }
            Load::Synthetic { bytes, rounds } => {
                set("rounds", (*rounds).into());
                set("bytes", whole(*bytes));
            }
        }
        values.extend(self.optimizer());
        values.extend(self.exchange());
        values
    }

    fn optimizer(&self) -> [(&'static str, Value); 6] {
        [
            ("workers", i64::from(self.workers).into()),
            ("lr", self.lr.into()),
            ("schedule", self.schedule.to_string().into()),
            ("momentum", real(self.sgd.momentum)),
            ("nesterov", self.sgd.nesterov.into()),
            ("weight-decay", real(self.sgd.weight_decay)),
        ]
    }

    fn exchange(&self) -> Vec<(&'static str, Value)> {
        let mut values = vec![
            ("seed", whole(self.seed)),
            ("codec", self.codec.to_string().into()),
            ("missing", self.missing.to_string().into()),
            ("order", self.order.to_string().into()),
        ];
        if let Some(tolerance) = self.typed_tolerance() {
            values.push(("tolerance", tolerance.to_string().into()));
        }
        values.push(("pull-codec", self.pull_codec.to_string().into()));
        values.push(("pull-tolerance", self.pull_tolerance.to_string().into()));
        values.extend(self.policy_values());
        values.push(("transport", self.transport.to_string().into()));
        values.push(("net", self.net.as_str().into()));
        values.push(("compute", self.compute.to_string().into()));
        values.push(("worker-timeout", format_duration(self.worker_timeout).into()));
        values.push(("compute-timeout", format_duration(self.compute_timeout).into()));
        values
    }
}

fn toml(values: &[(&'static str, Value)]) -> String {
    values.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// `key` with a text of any length as TOML.
#[must_use]
pub fn line(key: &str, text: &str) -> String {
    format!("{key} = {}\n", Value::from(text))
}

/// A whole number; TOML's are signed, and the plan's ranges end below that.
fn whole(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// The shortest decimal that is this `f32`, which is not the one that is its `f64`.
fn real(number: f32) -> Value {
    number.to_string().parse::<f64>().unwrap_or_else(|_| f64::from(number)).into()
}
