//! A run that goes on from the checkpoint of another one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::job::{FINAL, INTERRUPTED, MOMENTUM, WINDOW};
use super::{Job, WORDS};
use crate::cli::{Exit, Failure};
use crate::model::Checkpoint;
use crate::plan::{self, Load, Plan};
use crate::ps::calendar::Place;
use crate::ps::policy::Policy;
use crate::ps::server::{ServerCore, Standing, Values};
use crate::report;

/// The metadata of a checkpoint that tell where its run stood: the fields of a [`Standing`], each as JSON.
const FIELDS: [&str; 5] = ["cursor", "evaluated", "place", "policy", "window"];

/// Where a run goes on from.
#[derive(Clone, Debug)]
pub struct Resumed {
    run: PathBuf,
    checkpoint: Checkpoint,
    standing: Standing,
    /// Whether the plan has another policy, which knows nothing yet.
    anew: bool,
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
            refused(format!("this is no folder of a run that has ended: it has neither {FINAL} nor {INTERRUPTED}"))
        })?;
        let checkpoint = Checkpoint::load(path, &job.layout)?;
        let mut standing = standing(&checkpoint, job).ok_or_else(|| {
            let why = "does not say where its run stood: it is damaged, or of another version";
            Failure::new(Exit::Failed, format!("{} {why}", path.display()))
        })?;
        if let (Load::Training(training), Some(recipe)) = (&job.plan().load, &job.brief.recipe) {
            for (key, wanted) in [("dataset", training.dataset.as_str()), ("recipe", recipe.text())]
            {
                if checkpoint.metadata.get(key).is_none_or(|found| found != wanted) {
                    return Err(refused(format!(
                        "it has trained another {key} than this run would"
                    )));
                }
            }
        }
        let (calendar, place) = (job.config.calendar, standing.place);
        if !standing.cursor.fits(job.config.slots) {
            let why =
                "its data was dealt to another number of shards: keep its --workers and --shards";
            return Err(refused(why.to_owned()));
        }
        if calendar.is_over(place) {
            let (rounds, epochs) = (place.round, place.epochs());
            return Err(refused(format!(
                "there is nothing left to train after {rounds} rounds ({epochs:.2} epochs): give this run more \
                 (--epochs, --rounds)"
            )));
        }
        let anew = Plan::from_entries(plan::of_run(run)?, &WORDS)?.policy != job.config.policy;
        if anew {
            let dimensions: Vec<_> = job.layout.tensors().iter().map(|t| t.shape.len()).collect();
            standing.policy = Policy::new(&job.config.policy, &dimensions);
        }
        Ok(Self { run: run.to_owned(), checkpoint, standing, anew })
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
        write!(f, "goes on from round {} ({:.2} epochs) of {run}", place.round, place.epochs())?;
        if self.anew {
            f.write_str("; its policy was another one: this one begins anew")
        } else {
            Ok(())
        }
    }
}

/// What a checkpoint says of where its run stands.
pub(super) fn metadata(standing: &Standing) -> BTreeMap<String, String> {
    let value = serde_json::to_value(standing).expect("rounds and norms are JSON");
    let Value::Object(fields) = value else { unreachable!("a struct is an object") };
    fields.into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

/// Where the run of a checkpoint stood, if it says so and `job` can stand there.
fn standing(checkpoint: &Checkpoint, job: &Job) -> Option<Standing> {
    let field = |key: &str| {
        let value = serde_json::from_str(checkpoint.metadata.get(key)?).ok()?;
        Some((key.to_owned(), value))
    };
    let fields: Map<String, Value> = FIELDS.into_iter().map(field).collect::<Option<_>>()?;
    let standing: Standing = serde_json::from_value(Value::Object(fields)).ok()?;
    let (values, tensors) = (job.layout.values(), job.layout.tensors().len());
    let fits = |name: &str| checkpoint.extra.get(name).is_none_or(|extra| extra.len() == values);
    let whole = standing.window.is_none() || checkpoint.extra.contains_key(WINDOW);
    let sound = fits(MOMENTUM)
        && fits(WINDOW)
        && whole
        && job.config.calendar.has(standing.place)
        && standing.policy.critical_tensors(tensors).len() == tensors;
    sound.then_some(standing)
}
