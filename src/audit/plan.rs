//! What the plan of a run folder says, and whether it is the plan that its digest names.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::findings::{Findings, Place};
use super::schedule::{Clock, Schedule};
use super::{AuditError, PLAN, seal, text};
use crate::model::Recipe;
use crate::plan::{Document, Origin};
use crate::units::Tolerance;

/// Keys that hold for one machine and are no part of the digest.
const LOCAL_KEYS: [&str; 2] = ["name", "data-dir"];

/// What may drive the tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Policy {
    /// Nothing.
    Static,
    /// Relative change of the norm, looked at every `freq` rounds.
    Clr { freq: u32, eta: f64 },
    /// Something whose decisions are taken as they are, but that its batch grows once, when the norm of all tensors
    /// changes by less than `eta`.
    Accordion { eta: f64 },
    /// Something whose decisions are taken as they are.
    Other,
}

/// When a push may be closed though more than its allowance is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Never,
    /// Not before so long after its first datagram.
    After(Duration),
}

/// The plan, as far as it is needed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) digest: String,
    pub(super) policy: Policy,
    /// Whether nothing may be missing in critical regimes.
    pub(super) exact_when_critical: bool,
    /// Tolerance outside critical regimes, in ten-thousandths.
    pub(super) base: u64,
    /// Whether what a round leaves of its allowance is saved for later ones.
    pub(super) saves: bool,
    pub(super) late: Late,
    /// Whether pushes may carry factors of matrices.
    pub(super) factors: bool,
    /// Whether workers keep what was not used, so that it must be said before the learning rate steps down and in the
    /// last round.
    pub(super) flushes: bool,
    pub(super) schedule: Schedule,
    pub(super) lr: f64,
    pub(super) workers: u64,
    /// Examples of a worker in a round, outside critical regimes and in them.
    pub(super) batches: [u64; 2],
    /// The power of a batch that the learning rate follows.
    pub(super) batch_power: f64,
    /// Rounds or epochs.
    pub(super) length: Length,
    pub(super) transport: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Rounds(u64),
    Epochs(u64),
}

/// The keys, asked one at a time.
struct Keys<'a> {
    document: &'a Document,
    findings: &'a mut Findings,
}

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        let choice = self.document.choices.iter().find(|choice| choice.key == key)?;
        choice.texts.first().map(String::as_str)
    }

    fn place(&self, key: &str) -> Place {
        let choice = self.document.choices.iter().find(|choice| choice.key == key);
        match choice.map(|choice| &choice.origin) {
            Some(Origin::File { line, .. }) => Place::file(PLAN).line(*line as u64),
            _ => Place::file(PLAN),
        }
    }

    /// The value of `key`; a plan of a run folder has all of its keys, and says what they mean.
    fn read<T>(&mut self, key: &str, default: T, read: impl Fn(&str) -> Option<T>) -> T {
        if let Some(value) = self.text(key).and_then(read) {
            return value;
        }
        let found = self.text(key).map_or_else(|| "none".to_owned(), |text| format!("{text:?}"));
        let place = self.place(key);
        let meaning = "no run starts with such a plan";
        self.findings.note(place, format!("a value for `{key}`"), found, meaning);
        default
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str, default: T) -> T {
        self.read(key, default, |text| text.parse().ok())
    }

    /// The batch outside critical regimes and in them, and its power that the learning rate follows. A plan of one
    /// batch says it once; one of a synthetic load has none.
    fn batches(&mut self) -> ([u64; 2], f64) {
        if self.text("bytes").is_some() {
            return ([1, 1], 1.0);
        }
        let batch = self.number("batch", 1);
        if self.text("clr-batch").is_none() {
            return ([batch, batch], 1.0);
        }
        let power = |text: &str| match text {
            "linear" => Some(1.0),
            "sqrt" => Some(0.5),
            "none" => Some(0.0),
            _ => None,
        };
        ([batch, self.number("clr-batch", batch)], self.read("batch-lr", 1.0, power))
    }
}

impl Plan {
    pub(super) fn read(folder: &Path, findings: &mut Findings) -> Result<Self, AuditError> {
        let source = text(&folder.join(PLAN))?;
        let document = Document::parse(PLAN, &source)
            .map_err(|source| AuditError::Plan { folder: folder.to_owned(), source })?;
        let mut keys = Keys { document: &document, findings };
        let policy = keys.text("policy").unwrap_or("static").to_owned();
        let exact_when_critical = policy != "dblp";
        let tolerance = if ["phase", "schedule"].contains(&policy.as_str()) {
            0
        } else {
            keys.read("tolerance", 0, |text| {
                text.parse().ok().map(|tolerance: Tolerance| u64::from(tolerance.parts()))
            })
        };
        // Where it is checked by epochs, only the program knows which rounds these are.
        let freq = keys.text("clr-freq").and_then(|text| text.parse().ok());
        let policy = match (policy.as_str(), freq) {
            ("static", _) => Policy::Static,
            ("clr", Some(freq)) => {
                Policy::Clr { freq: std::cmp::max(freq, 1), eta: keys.number("clr-eta", 0.5) }
            }
            ("accordion", _) => Policy::Accordion { eta: keys.number("clr-eta", 0.5) },
            _ => Policy::Other,
        };
        let (batches, batch_power) = keys.batches();
        let transport = keys.read("transport", String::new(), |text| Some(text.to_owned()));
        let (saves, late) = match transport.as_str() {
            "passes" => (false, Late::Never),
            "early-close" => (false, Late::After(Duration::from_millis(30))),
            "timeout" => (false, Late::After(Duration::ZERO)),
            _ => (true, Late::After(Duration::from_millis(200))),
        };
        let exact = transport == "reliable" || transport.starts_with("tcp");
        let length = if keys.text("epochs").is_some() {
            Length::Epochs(keys.number("epochs", 0))
        } else {
            Length::Rounds(keys.number("rounds", 0))
        };
        let plan = Self {
            digest: stated(&source),
            policy,
            exact_when_critical,
            base: if exact { 0 } else { tolerance },
            saves,
            late,
            factors: ["codec", "clr-codec"]
                .iter()
                .any(|key| keys.text(key).is_some_and(|codec| codec.starts_with("powersgd"))),
            flushes: keys.text("bytes").is_none()
                && matches!(keys.text("missing"), Some("feedback" | "imputed")),
            schedule: keys.read("schedule", Schedule::Constant, Schedule::parse),
            lr: keys.number("lr", 0.0),
            workers: keys.number("workers", 1),
            batches,
            batch_power,
            length,
            transport,
        };
        let model = keys.text("model").map(str::to_owned);
        plan.check_digest(folder, &source, model.as_deref(), findings);
        Ok(plan)
    }

    /// Whether the digest at the top of the text is that of the rest of it and of the model's recipe.
    fn check_digest(
        &self,
        folder: &Path,
        source: &str,
        model: Option<&str>,
        findings: &mut Findings,
    ) {
        let Some(recipe) = model.map_or(Some(String::new()), |model| recipe(folder, model)) else {
            findings.remark(
                "the recipe of the model is not here: whether the plan has its digest was not checked",
            );
            return;
        };
        let mut hash = Sha256::new();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            let key = line.split('=').next().unwrap_or_default().trim();
            if !LOCAL_KEYS.contains(&key) {
                hash.update(line);
                hash.update("\n");
            }
        }
        hash.update(recipe);
        let found = seal::hex(&hash.finalize());
        let meaning = "the plan was changed after the run began";
        let expected = format!("plan {}", self.digest);
        findings.equal(|| Place::file(PLAN), expected, format!("plan {found}"), meaning);
    }

    /// Examples that all workers together take in a round of such a batch.
    pub(super) fn taken(&self, batch: u64) -> u64 {
        self.workers.saturating_mul(batch).max(1)
    }

    /// Rounds of such a batch to the epoch, of so many examples.
    fn rounds_per_epoch(&self, examples: u64, batch: u64) -> u64 {
        examples.div_ceil(self.taken(batch)).max(1)
    }

    /// Rounds of the whole run at most.
    pub(super) fn rounds(&self, examples: u64) -> u64 {
        match self.length {
            Length::Rounds(rounds) => rounds,
            Length::Epochs(epochs) => {
                self.rounds_per_epoch(examples, self.batches[1]).saturating_mul(epochs)
            }
        }
    }

    /// Epochs of the whole run.
    pub(super) fn epochs(&self, examples: u64) -> f64 {
        match self.length {
            Length::Rounds(rounds) => {
                rounds as f64 / self.rounds_per_epoch(examples, self.batches[0]) as f64
            }
            Length::Epochs(epochs) => epochs as f64,
        }
    }

    /// Whether a run that has got so far is over.
    pub(super) fn is_over(&self, rounds: u32, epochs: u64) -> bool {
        match self.length {
            Length::Rounds(all) => u64::from(rounds) >= all,
            Length::Epochs(all) => epochs >= all,
        }
    }

    /// The learning rate of a round of such a batch at this time.
    pub(super) fn lr(&self, clock: &Clock, batch: u64, examples: u64) -> f64 {
        let of_batch = (batch as f64 / self.batches[0] as f64).powf(self.batch_power);
        self.lr * self.schedule.factor(clock, self.taken(batch), self.epochs(examples)) * of_batch
    }

    /// Whether the push of a `round` of such a batch at this time must say all that is unsaid.
    pub(super) fn flushes(&self, clock: &Clock, batch: u64, round: u32, examples: u64) -> bool {
        let taken = self.taken(batch);
        let mut behind = *clock;
        behind.count(taken);
        let mut next = behind;
        next.count(taken);
        let rate = |clock: &Clock| self.schedule.factor(clock, taken, self.epochs(examples));
        // A cosine ends with a round at rate 0, in which nothing that is said counts.
        let is_last = self.is_over(round, behind.epochs)
            || self.is_over(round.saturating_add(1), next.epochs) && rate(&behind) == 0.0;
        self.flushes && (self.schedule.drops_after(clock, taken) || is_last && rate(clock) > 0.0)
    }
}

/// The digest that the first line names.
fn stated(source: &str) -> String {
    let first = source.lines().next().unwrap_or_default();
    let digest = first.strip_prefix('#').and_then(|first| first.split_once(", plan "));
    digest.map_or_else(|| "none".to_owned(), |(_, digest)| digest.trim().to_owned())
}

/// The digest of the recipe that was trained: that of the checkpoint, where there is one.
fn recipe(folder: &Path, model: &str) -> Option<String> {
    let own = seal::metadata(folder).and_then(|(_, metadata)| metadata.get("recipe").cloned());
    match own {
        Some(text) => Some(seal::hex(&Sha256::digest(text))),
        None => Recipe::load(model).ok().map(|recipe| recipe.digest()),
    }
}
