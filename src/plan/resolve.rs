//! From what was typed to what is meant: defaults, ranges, conflicts.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::error::PlanError;
use super::resume::resumed;
use super::schedule::Schedule;
use super::source::{Document, Entry, known};
use super::{Length, Load, Plan, Training};
use crate::codec::Codec;
use crate::ps::batch::{BatchLr, Batches};
use crate::ps::missing::Missing;
use crate::ps::optimizer::SgdConfig;
use crate::transport::Transport;
use crate::units::{ByteSize, Tolerance, parse_duration};

/// What a plan has to know of its model's recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeFacts {
    /// Tells it from any other recipe.
    pub digest: String,
    /// Learning rate where the plan names none.
    pub lr: f64,
    /// Momentum where the plan names none.
    pub momentum: f32,
    /// Training examples of one worker in one round where the plan does not say.
    pub batch: u32,
}

/// The modules that own a plan's words, as far as a plan has to ask them.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// The facts of the recipe called so (a name or a path), or why there is none.
    pub recipe: &'a dyn Fn(&str) -> Result<RecipeFacts, String>,
    /// The text of a file that the plan names, or why there is none.
    pub file: &'a dyn Fn(&str) -> Result<String, String>,
    /// Whether a text suits its key (`dataset`, `shards`, `augment` or `net`), or why not.
    pub check: &'a dyn Fn(&str, &str) -> Result<(), String>,
}

/// What stands for the recipe of a synthetic load, whose parameters mean nothing: they only have to move a little.
const SYNTHETIC: RecipeFacts =
    RecipeFacts { digest: String::new(), lr: 0.1, momentum: 0.0, batch: 1 };
/// Keys that say nothing about a synthetic load.
const TRAINING_KEYS: [&str; 10] = [
    "model",
    "engine",
    "dataset",
    "epochs",
    "shards",
    "augment",
    "batch",
    "clr-batch",
    "eval-every",
    "full-norm",
];
/// Largest batch of a worker.
const BATCH_MAX: u64 = 65_536;
/// Longest run: 16 million rounds are a year of 2 s rounds.
const ROUNDS_MAX: u64 = 1 << 24;
/// Longest run in epochs.
const EPOCHS_MAX: u64 = 100_000;
/// Largest synthetic load: a model of 4 billion values.
const BYTES_MAX: u64 = 1 << 34;

impl Plan {
    /// The plan that `entries` (each key at most once) describe.
    ///
    /// # Errors
    /// If a key is unknown, a value is none or outside its range, or two keys exclude each other.
    pub fn from_entries(entries: Vec<Entry>, words: &Words<'_>) -> Result<Self, PlanError> {
        known(&entries)?;
        let typed = Typed { entries, words };
        let (load, recipe) = typed.load()?;
        let (policy, codec) = (typed.policy(&load)?, typed.named("codec")?.unwrap_or(Codec::Raw));
        let schedule = typed.parse("schedule", Schedule::EXPECTED)?.unwrap_or(Schedule::Constant);
        typed.suits_batches(&policy, &schedule)?;
        let critical_codec = typed.critical_codec(&policy)?;
        Ok(Self {
            name: typed.name()?,
            data_dir: PathBuf::from(typed.text("data-dir").unwrap_or("data")),
            resume: resumed(&typed.entries).map(PathBuf::from),
            load,
            workers: typed.whole("workers", 1..=1024)?.unwrap_or(2) as u16,
            lr: typed.real("lr", "a number above 0", |lr| lr > 0.0)?.unwrap_or(recipe.lr),
            schedule,
            sgd: typed.sgd(recipe.momentum)?,
            seed: typed.whole("seed", 0..=i64::MAX as u64)?.unwrap_or(1),
            codec,
            critical_codec: critical_codec.unwrap_or(codec),
            missing: typed.named("missing")?.unwrap_or(Missing::Feedback),
            pull_codec: typed
                .read("pull-codec", "`raw`, `fp16` or `bf16`", pull_codec)?
                .unwrap_or_default(),
            order: typed.named("order")?.unwrap_or_default(),
            pull_tolerance: typed.tolerance("pull-tolerance")?,
            policy,
            transport: typed.transport()?,
            net: typed.checked("net", "")?,
            compute: typed
                .parse("compute", "a duration, such as `20ms` or `20ms+-2ms`")?
                .unwrap_or_default(),
            worker_timeout: typed.timeout("worker-timeout", 5)?,
            compute_timeout: typed.timeout("compute-timeout", 300)?,
        })
    }

    /// The plan that the canonical text describes.
    ///
    /// # Errors
    /// As [`Plan::from_entries`], and if the text is not TOML; messages call the text `name`.
    pub fn parse(name: &str, text: &str, words: &Words<'_>) -> Result<Self, PlanError> {
        Self::from_entries(Document::parse(name, text)?.into_entries()?, words)
    }
}

/// The entries, asked one key at a time.
pub(super) struct Typed<'a> {
    entries: Vec<Entry>,
    pub(super) words: &'a Words<'a>,
}

impl Typed<'_> {
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| entry.text.as_str())
    }

    /// The value of `key` as `read` understands it; where it does not, `expected` says what it would.
    pub(super) fn read<T>(
        &self,
        key: &str,
        expected: impl Display,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, PlanError> {
        let value = |entry: &Entry| {
            read(entry.text.trim()).ok_or_else(|| PlanError::Value {
                entry: entry.to_string(),
                expected: expected.to_string(),
            })
        };
        self.entry(key).map(value).transpose()
    }

    fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, PlanError> {
        self.read(key, expected, |text| text.parse().ok())
    }

    /// One of a closed set of names, whose own error lists them.
    pub(super) fn named<T: FromStr<Err: Display>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, PlanError> {
        let value = |entry: &Entry| {
            entry.text.parse().map_err(|error: T::Err| refused(entry, error.to_string()))
        };
        self.entry(key).map(value).transpose()
    }

    pub(super) fn whole(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, PlanError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, expected, |text| text.parse().ok().filter(|value| range.contains(value)))
    }

    pub(super) fn real(
        &self,
        key: &str,
        expected: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, PlanError> {
        let number = |text: &str| text.parse().ok().filter(|&x: &f64| x.is_finite() && fits(x));
        self.read(key, expected, number)
    }

    pub(super) fn tolerance(&self, key: &str) -> Result<Tolerance, PlanError> {
        let expected = "a share between 0 and 1, such as `2%` or `0.02`";
        Ok(self.parse(key, expected)?.unwrap_or(Tolerance::ZERO))
    }

    fn timeout(&self, key: &str, default_s: u64) -> Result<Duration, PlanError> {
        let range = Duration::from_millis(1)..=Duration::from_secs(86_400);
        let read = |text: &str| parse_duration(text).ok().filter(|value| range.contains(value));
        let value = self.read(key, "a duration from `1ms` to `86400s`, such as `5s`", read)?;
        Ok(value.unwrap_or_else(|| Duration::from_secs(default_s)))
    }

    /// The text of a key that another module owns, as that module likes it.
    fn checked(&self, key: &str, default: &str) -> Result<String, PlanError> {
        if let Some(entry) = self.entry(key) {
            (self.words.check)(key, &entry.text).map_err(|reason| refused(entry, reason))?;
        }
        Ok(self.text(key).unwrap_or(default).to_owned())
    }

    fn name(&self) -> Result<Option<String>, PlanError> {
        self.entry("name").map(folder_name).transpose()
    }

    fn load(&self) -> Result<(Load, RecipeFacts), PlanError> {
        let Some(bytes) = self.entry("bytes") else {
            let (training, recipe) = self.training()?;
            return Ok((Load::Training(training), recipe));
        };
        if let Some(other) = TRAINING_KEYS.iter().find_map(|key| self.entry(key)) {
            let advice = "`bytes` replaces training by a synthetic load";
            return Err(conflict(bytes, other, advice));
        }
        let size = |text: &str| {
            text.parse().ok().map(|ByteSize(bytes)| bytes).filter(|n| (4..=BYTES_MAX).contains(n))
        };
        let expected = format!("a size from 4 B to {BYTES_MAX} B, such as `827k` or `21MB`");
        let bytes = self.read("bytes", expected, size)?.unwrap_or(4);
        let rounds = self.whole("rounds", 1..=ROUNDS_MAX)?.unwrap_or(100) as u32;
        Ok((Load::Synthetic { bytes, rounds }, SYNTHETIC))
    }

    fn training(&self) -> Result<(Training, RecipeFacts), PlanError> {
        let model = self.text("model").unwrap_or("fc").to_owned();
        let recipe = self.recipe(&model)?;
        let training = Training {
            model,
            recipe: recipe.digest.clone(),
            engine: self.named("engine")?.unwrap_or_default(),
            dataset: self.checked("dataset", "optdigits")?,
            shards: self.checked("shards", "iid")?,
            augment: self.checked("augment", "none")?,
            batches: self.batches(recipe.batch)?,
            length: self.length()?,
            eval_every: self.whole("eval-every", 0..=EPOCHS_MAX)?.unwrap_or(1) as u32,
            full_norm: self.whole("full-norm", 0..=ROUNDS_MAX)?.unwrap_or(0) as u32,
        };
        Ok((training, recipe))
    }

    /// The batches, that of the recipe where the plan names none.
    fn batches(&self, default: u32) -> Result<Batches, PlanError> {
        let others = self.whole("batch", 1..=BATCH_MAX)?.map_or(default, |batch| batch as u32);
        let expected = format!("a whole number from 1 to batch, which is {others}");
        let smaller = |text: &str| text.parse().ok().filter(|batch| (1..=others).contains(batch));
        let critical = self.read("clr-batch", expected, smaller)?;
        let lr = self.named("batch-lr")?;
        match (self.entry("batch-lr"), critical) {
            (Some(entry), None) => {
                let reason = "there is one batch only: give that of critical regimes (--clr-batch)";
                Err(refused(entry, reason.to_owned()))
            }
            (_, Some(critical)) if critical < others => {
                Ok(Batches { others, critical, lr: lr.unwrap_or(BatchLr::Linear) })
            }
            _ => Ok(Batches::uniform(others)),
        }
    }

    fn recipe(&self, model: &str) -> Result<RecipeFacts, PlanError> {
        (self.words.recipe)(model).map_err(|reason| {
            let default = Entry::flag("model", model);
            refused(self.entry("model").unwrap_or(&default), reason)
        })
    }

    fn length(&self) -> Result<Length, PlanError> {
        if let (Some(one), Some(other)) = (self.entry("epochs"), self.entry("rounds")) {
            return Err(conflict(one, other, "a run has one length"));
        }
        let rounds = self.whole("rounds", 1..=ROUNDS_MAX)?;
        let epochs = self.whole("epochs", 1..=EPOCHS_MAX)?.unwrap_or(5);
        Ok(rounds.map_or(Length::Epochs(epochs as u32), |rounds| Length::Rounds(rounds as u32)))
    }

    fn sgd(&self, momentum: f32) -> Result<SgdConfig, PlanError> {
        let share = |text: &str| text.parse().ok().filter(|m: &f32| (0.0..1.0).contains(m));
        let decay = |text: &str| text.parse().ok().filter(|w: &f32| (0.0..=1.0).contains(w));
        let sgd = SgdConfig {
            momentum: self
                .read("momentum", "a number from 0 to below 1", share)?
                .unwrap_or(momentum),
            nesterov: self.parse("nesterov", "true or false")?.unwrap_or(false),
            weight_decay: self.read("weight-decay", "a number from 0 to 1", decay)?.unwrap_or(0.0),
        };
        match self.entry("nesterov") {
            Some(entry) if sgd.nesterov && sgd.momentum == 0.0 => {
                Err(refused(entry, "Nesterov's step needs a momentum above 0".to_owned()))
            }
            _ => Ok(sgd),
        }
    }

    /// The transport; over TCP there are no datagrams to which anything could happen.
    pub(super) fn transport(&self) -> Result<Transport, PlanError> {
        let transport: Transport = self.named("transport")?.unwrap_or_default();
        match (self.entry("transport"), self.entry("net")) {
            (Some(tcp), Some(net)) if transport.is_tcp() && !net.text.trim().is_empty() => {
                let advice = "the kernel's TCP passes no emulated link; impair its network from outside (tc, a lab)";
                Err(conflict(tcp, net, advice))
            }
            _ => Ok(transport),
        }
    }
}

/// Parameters are not said again: a codec of pulls may round them, and nothing else.
fn pull_codec(text: &str) -> Option<Codec> {
    let codec = text.parse().ok()?;
    [Codec::Raw, Codec::Fp16, Codec::Bf16].contains(&codec).then_some(codec)
}

pub(super) fn refused(entry: &Entry, reason: String) -> PlanError {
    PlanError::Refused { entry: entry.to_string(), reason }
}

pub(super) fn conflict(one: &Entry, other: &Entry, advice: &'static str) -> PlanError {
    PlanError::Conflict { one: one.to_string(), other: other.to_string(), advice }
}

/// The name of a folder, which cannot lead anywhere else.
pub(crate) fn folder_name(entry: &Entry) -> Result<String, PlanError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = entry.text.trim();
    let good = name.chars().all(fits) && (1..=100).contains(&name.len()) && !name.starts_with('.');
    good.then(|| name.to_owned()).ok_or_else(|| PlanError::Value {
        entry: entry.to_string(),
        expected:
            "a folder name of at most 100 letters, digits, `-`, `_` and `.`, not starting with `.`"
                .to_owned(),
    })
}
