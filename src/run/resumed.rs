//! A run that goes on from the checkpoint of another one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::job::{FINAL, INTERRUPTED, MOMENTUM, WINDOW};
use super::{Job, WORDS};
use crate::cli::{Exit, Failure};
use crate::model::{Checkpoint, hex};
use crate::plan::{self, Load, Plan};
use crate::ps::calendar::Place;
use crate::ps::policy::Beat;
use crate::ps::server::{ServerCore, Standing, Values};
use crate::report;

/// The metadata of a checkpoint that tell where its run stood: the fields of a [`Standing`], each as JSON.
const FIELDS: [&str; 5] = ["cursor", "evaluated", "place", "policy", "window"];
/// The metadata that seals them.
const SEAL: &str = "digest.standing";
/// Keys that a run cannot change when it goes on: its order of the data, and what its policy has decided, hang on them.
const KEPT: [&str; 18] = [
    "model",
    "dataset",
    "shards",
    "seed",
    "batch",
    "clr-batch",
    "batch-lr",
    "bytes",
    "policy",
    "tolerance",
    "tolerance-steps",
    "clr-freq",
    "clr-eta",
    "signal-leave",
    "signal-warmup",
    "dblp-k",
    "phase-tolerances",
    "phase-rule",
];

/// Where a run goes on from.
#[derive(Clone, Debug)]
pub struct Resumed {
    run: PathBuf,
    checkpoint: Checkpoint,
    standing: Standing,
}

impl Resumed {
    /// Reads the checkpoint of `run` for `job`, which is to go on from it.
    ///
    /// # Errors
    /// If there is none, or the job cannot go on from it.
    pub fn read(run: &Path, job: &Job) -> Result<Self, Failure> {
        let refused =
            |why: String| Failure::new(Exit::Usage, format!("--resume {}: {why}", run.display()));
        let paths = [FINAL, INTERRUPTED].map(|name| run.join(name));
        let path = paths.iter().find(|path| path.is_file()).ok_or_else(|| {
            refused(format!("there is no checkpoint, neither {FINAL} nor {INTERRUPTED}"))
        })?;
        let before = Plan::from_entries(plan::of_run(run)?, &WORDS)?;
        if let Some(why) = changed(&before, job.plan()) {
            return Err(refused(why));
        }
        let checkpoint = Checkpoint::load(path, &job.layout)?;
        let damaged = |why: &str| {
            let why = format!("{} {why}", path.display());
            Failure::new(Exit::Failed, why)
        };
        if checkpoint.metadata.get("plan") != Some(&before.digest()) {
            return Err(damaged("is of another run than the plan beside it, or that was changed"));
        }
        let standing = standing(&checkpoint, job).ok_or_else(|| {
            damaged("does not say where its run stood: it is damaged, or of another version")
        })?;
        let all = checkpoint.extra.values().chain([&checkpoint.parameters]);
        if !all.flatten().all(|value| value.is_finite()) {
            return Err(damaged("has values that are not finite"));
        }
        let (config, place) = (&job.config, standing.place);
        if !standing.cursor.fits(config.slots) {
            let why = "its data was dealt to another number of workers, and each has a shard of its own: \
                       keep its --workers";
            return Err(refused(why.to_owned()));
        }
        let evaluated = config.test_len == 0 || standing.evaluated == Some(place.round);
        if config.calendar.is_over(place) && evaluated {
            let (rounds, epochs) = (place.round, place.epochs());
            return Err(refused(format!(
                "there is nothing left to train after {rounds} rounds ({epochs:.2} epochs): give this run more \
                 (--epochs, --rounds)"
            )));
        }
        Ok(Self { run: run.to_owned(), checkpoint, standing })
    }

    /// The parameters of the checkpoint.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.checkpoint.parameters
    }

    /// Behind the last round of the checkpoint.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.standing.place
    }

    /// Examples that had been handed out by then.
    #[must_use]
    pub const fn examples(&self) -> u64 {
        self.standing.cursor.examples()
    }

    /// Where the window of the checkpoint stands.
    #[must_use]
    pub const fn window(&self) -> Option<&Beat> {
        self.standing.window.as_ref()
    }

    /// The server, where the run goes on.
    #[must_use]
    pub fn stand(&self, server: ServerCore) -> ServerCore {
        let values = |name| self.checkpoint.extra.get(name).map_or(&[][..], Vec::as_slice);
        let values = Values { velocity: values(MOMENTUM), window: values(WINDOW) };
        server.standing_at(self.standing.clone(), values)
    }

    /// What the events of the run begin with.
    #[must_use]
    pub fn event(&self) -> report::Resumed {
        let Standing { place, policy, .. } = &self.standing;
        let digest = self.checkpoint.metadata.get("digest").cloned().unwrap_or_default();
        report::Resumed::new(digest, *place, policy)
    }
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, run) = (self.standing.place, self.run.display());
        write!(f, "goes on from round {} ({:.2} epochs) of {run}", place.round, place.epochs())
    }
}

/// What has changed that cannot, in words; the text of a recipe is part of its model.
fn changed(before: &Plan, now: &Plan) -> Option<String> {
    let (old, new) = (before.texts(), now.texts());
    for key in KEPT {
        let [was, is] = [&old, &new].map(|texts| texts.iter().find(|text| text.0 == key));
        if was != is {
            let [was, is] = [was, is].map(|text| text.map_or("none", |text| text.1.as_str()));
            return Some(format!(
                "a run keeps its `{key}` when it goes on: it was {was}, not {is}"
            ));
        }
    }
    let recipe = |plan: &Plan| match &plan.load {
        Load::Training(training) => training.recipe.clone(),
        Load::Synthetic { .. } => String::new(),
    };
    let other = recipe(before) != recipe(now);
    other.then(|| "its model has another recipe by now".to_owned())
}

/// What a checkpoint says of where its run stands.
pub(super) fn metadata(standing: &Standing) -> BTreeMap<String, String> {
    let value = serde_json::to_value(standing).expect("rounds and norms are JSON");
    let Value::Object(fields) = value else { unreachable!("a struct is an object") };
    let mut metadata: BTreeMap<String, String> =
        fields.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    metadata.insert(SEAL.to_owned(), seal(&metadata));
    metadata
}

/// SHA-256 of all that tells where a run stood.
fn seal(metadata: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in FIELDS.iter().filter_map(|key| metadata.get(*key)) {
        hash.update(text);
        hash.update("\n");
    }
    hex(&hash.finalize())
}

/// Where the run of a checkpoint stood, if it says so and `job` can stand there.
fn standing(checkpoint: &Checkpoint, job: &Job) -> Option<Standing> {
    let metadata = &checkpoint.metadata;
    if !metadata.contains_key("digest") || metadata.get(SEAL) != Some(&seal(metadata)) {
        return None;
    }
    let field = |key: &str| {
        let value = serde_json::from_str(metadata.get(key)?).ok()?;
        Some((key.to_owned(), value))
    };
    let fields: Map<String, Value> = FIELDS.into_iter().map(field).collect::<Option<_>>()?;
    let standing: Standing = serde_json::from_value(Value::Object(fields)).ok()?;
    let values = job.layout.values();
    let fits = |name: &str| checkpoint.extra.get(name).is_none_or(|extra| extra.len() == values);
    let whole = standing.window.is_none() || checkpoint.extra.contains_key(WINDOW);
    (fits(MOMENTUM) && fits(WINDOW) && whole && job.config.calendar.has(standing.place))
        .then_some(standing)
}
