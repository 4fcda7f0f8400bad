//! What a server has to do: from a checked plan to its configuration, from its last state to files and a summary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Exit, Failure};
use crate::dataset::{self, Shards, ShardsError};
use crate::flat::Layout;
use crate::link::NetPlan;
use crate::model::{Checkpoint, Parameters, digest};
use crate::plan::{DataSize, Load, Plan, Training};
use crate::ps::config::ServerConfig;
use crate::ps::server::{Outcome, ServerCore};
use crate::report::{Closing, CodecCost, Progress, Report, ReportError, RunFolder, Start};
use crate::sim::Traffic;
use crate::units::Instant;

use super::cost::costs;
use super::resumed::{self, Resumed};
use super::{Brief, Console};

/// The checkpoint of a run that trained all its rounds.
pub const FINAL: &str = "final.safetensors";
/// The checkpoint of a run that was stopped before.
pub const INTERRUPTED: &str = "interrupted.safetensors";

/// Name of the optimizer's velocity in a checkpoint.
pub(super) const MOMENTUM: &str = "momentum";
/// Name of the sum of the gradients of a window.
pub(super) const WINDOW: &str = "window";

/// A run before it starts, as its server has to know it.
#[derive(Clone, Debug)]
pub struct Job {
    /// What the workers are sent.
    pub brief: Brief,
    /// What the server core has to know.
    pub config: ServerConfig,
    /// The model's layout.
    pub layout: Arc<Layout>,
    /// What the parameters are at the start.
    pub parameters: Vec<f32>,
    /// The conditions of the workers' links.
    pub net: NetPlan,
    /// Where the run goes on from, if not from the start.
    pub resumed: Option<Resumed>,
}

impl Job {
    /// What `plan` asks for. Data sets that have a name need no files here.
    ///
    /// # Errors
    /// If the recipe, or a data set of one's own, cannot be read or does not go with the rest of the plan.
    pub fn new(plan: Plan) -> Result<Self, Failure> {
        let brief = Brief::new(plan)?;
        let plan = &brief.plan;
        let (layout, parameters, data) = match (&plan.load, &brief.recipe) {
            (Load::Training(training), Some(recipe)) => {
                let data = dataset::info(&training.dataset.parse()?, Some(&plan.data_dir))?;
                enough(training, data.train_len, plan.workers)?;
                let parameters = Parameters::new(recipe, data.shape, data.classes)?;
                let size = DataSize { train: data.train_len as u64, test: data.test_len as u32 };
                (parameters.layout().clone(), parameters.init(plan.seed), size)
            }
            _ => {
                let layout = synthetic_layout(&plan.load);
                let values = layout.values();
                (layout, vec![0.0; values], DataSize::default())
            }
        };
        let config = plan.server_config(data, &brief.to_text())?;
        let net: NetPlan = plan.net.parse()?;
        if let Some(number) = net.per_worker.keys().find(|&&number| number > plan.workers) {
            let (workers, net) = (plan.workers, &plan.net);
            let why = format!(
                "--net {net:?}: there is no worker {number}, they are numbered from 1 to {workers} (--workers)"
            );
            return Err(Failure::new(Exit::Usage, why));
        }
        let mut job =
            Self { config, layout: Arc::new(layout), parameters, net, resumed: None, brief };
        if let Some(run) = &job.plan().resume {
            job.resumed = Some(Resumed::read(run, &job)?);
        }
        Ok(job)
    }

    /// Makes sure that workers on this machine find the data.
    ///
    /// # Errors
    /// If files are missing.
    pub fn check_data(&self) -> Result<(), Failure> {
        match &self.plan().load {
            Load::Training(training) => {
                let spec = training.dataset.parse()?;
                Ok(dataset::check_files(&spec, Some(&self.plan().data_dir))?)
            }
            Load::Synthetic { .. } => Ok(()),
        }
    }

    /// Makes sure that workers over real sockets can emulate the conditions that are asked for.
    ///
    /// # Errors
    /// If only a simulation can.
    pub fn check_real(&self) -> Result<(), Failure> {
        if self.full_norm() > 0 {
            let why =
                "--full-norm: only a simulation has all training images at hand (mlt-lite sim)";
            return Err(Failure::new(Exit::Usage, why));
        }
        let Some(what) = self.net.simulated_only() else { return Ok(()) };
        let net = &self.plan().net;
        let why = format!("--net {net:?}: only a simulation can emulate `{what}` (mlt-lite sim)");
        Err(Failure::new(Exit::Usage, why))
    }

    /// The plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.brief.plan
    }

    /// Rounds between measurements of the full gradient; 0: never.
    #[must_use]
    pub const fn full_norm(&self) -> u32 {
        match &self.plan().load {
            Load::Training(training) => training.full_norm,
            Load::Synthetic { .. } => 0,
        }
    }

    /// A server that starts the run; see [`ServerCore::new`].
    #[must_use]
    pub fn server(&self, capacity: u16, entropy: u64, now: Instant) -> ServerCore {
        let (config, layout) = (self.config.clone(), Arc::clone(&self.layout));
        let at = |parameters: &[f32]| {
            ServerCore::new(config, layout, parameters.to_vec(), capacity, entropy, now)
        };
        match &self.resumed {
            Some(resumed) => resumed.stand(at(resumed.parameters())),
            None => at(&self.parameters),
        }
    }

    /// Makes the run folder under `runs` and the report that fills it. `command` is the command that runs this, `base`
    /// the wall-clock time at which the events' clock starts (0 in a simulation).
    ///
    /// # Errors
    /// If the plan names a folder that exists, or something cannot be written.
    pub fn report(
        &self,
        runs: &Path,
        command: &str,
        base: Duration,
        console: &mut Console<'_>,
    ) -> Result<Report, ReportError> {
        let (calendar, rounds) = (self.config.calendar, self.config.rounds_max());
        let full = self.full_norm() > 0;
        let examples = calendar.train_len;
        let resumed = self.resumed.as_ref().map(Resumed::event);
        let start = Start { command, base, rounds, examples, full, resumed };
        let folder = RunFolder::create(runs, self.plan(), &self.layout, start)?;
        let place = self.resumed.as_ref().map(Resumed::place).unwrap_or_default();
        let trains = self.brief.recipe.is_some();
        let progress = Progress::new(console.style(), calendar, trains).starting_at(place);
        if let Some(resumed) = &self.resumed {
            console.say(resumed.to_string());
        }
        Ok(Report::new(folder, progress))
    }

    /// Completes the run folder with a checkpoint and tells what the run came to; a simulation knows its `traffic`.
    ///
    /// # Errors
    /// If a file cannot be written, or the run has failed.
    pub fn finish(
        &self,
        server: &ServerCore,
        traffic: Option<Traffic>,
        report: Report,
        json: bool,
        console: &mut Console<'_>,
    ) -> Result<Exit, Failure> {
        console.goes_on("writing the checkpoint");
        let finished = server.outcome() == Some(&Outcome::Finished);
        let run = report.folder().path().to_owned();
        let path = run.join(if finished { FINAL } else { INTERRUPTED });
        let checkpoint = self.checkpoint(server, report.folder().plan_digest());
        checkpoint.save(&path, &self.layout)?;
        let digest = finished.then(|| digest(server.parameters()));
        let failure = match server.outcome() {
            Some(Outcome::Failed(why)) => Some(why.as_str()),
            _ => None,
        };
        let images = self.brief.recipe.as_ref().map(|_| self.config.calendar.train_len);
        let taken = self.resumed.as_ref().map_or(0, Resumed::examples);
        let images = images.map(|images| (images, taken));
        let (totals, rejects) = (server.totals(), server.rejects());
        let transport = &self.plan().transport;
        let codecs = if traffic.is_some() { Vec::new() } else { self.codec_costs(server) };
        let closing =
            Closing { digest, transport, totals, rejects, traffic, images, codecs, failure };
        let (summary, before) = report.finish(closing)?;
        console.goes_on("");
        console.show(before);
        if json {
            console.result(summary.to_json());
        } else {
            console.result(&summary);
        }
        let most = if self.config.batches.differ() { "at most " } else { "" };
        let rounds = self.config.rounds_max();
        let trained = format!("{} of {most}{rounds} rounds", server.trained());
        match server.outcome() {
            Some(Outcome::Finished) => Ok(Exit::Done),
            Some(Outcome::Failed(why)) => {
                let kept = format!("{why}; {trained} are kept in {}", path.display());
                Err(Failure::new(Exit::Failed, kept))
            }
            Some(Outcome::Stopped) | None => {
                let (kept, run) = (path.display(), run.display());
                console.say(format!(
                    "interrupted: {trained} are kept in {kept}; go on with: --resume {run}"
                ));
                Ok(Exit::Interrupted)
            }
        }
    }

    /// What the codecs of the run cost here; a simulation, whose time is not real, does not ask.
    fn codec_costs(&self, server: &ServerCore) -> Vec<CodecCost> {
        let ServerConfig { codec, critical_codec, .. } = self.config;
        let mut codecs = vec![codec, critical_codec];
        codecs.dedup();
        costs(&self.layout, server.gradient(), &codecs)
    }

    /// All that the server knows, for an evaluation or for going on.
    fn checkpoint(&self, server: &ServerCore, plan_digest: &str) -> Checkpoint {
        let values = server.values();
        let extra = [(MOMENTUM, values.velocity), (WINDOW, values.window)];
        let extra = extra.into_iter().filter(|(_, values)| !values.is_empty());
        let standing = resumed::metadata(&server.standing());
        let mut metadata = BTreeMap::from([
            ("plan", plan_digest.to_owned()),
            ("rounds", server.trained().to_string()),
            ("seed", self.plan().seed.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        if let (Load::Training(training), Some(recipe)) = (&self.plan().load, &self.brief.recipe) {
            metadata.insert("dataset", training.dataset.clone());
            metadata.insert("model", training.model.clone());
            metadata.insert("recipe", recipe.text().to_owned());
        }
        Checkpoint {
            parameters: server.parameters().to_vec(),
            extra: extra.map(|(name, values)| (name.to_owned(), values.to_vec())).collect(),
            metadata: metadata
                .into_iter()
                .map(|(key, text)| (key.to_owned(), text))
                .chain(standing)
                .collect(),
        }
    }
}

/// Refuses shards for more workers than there are examples; the workers would find out one after the other.
fn enough(training: &Training, samples: usize, workers: u16) -> Result<(), Failure> {
    match training.shards.parse()? {
        Shards::Dirichlet(_) if samples < usize::from(workers) => {
            Err(ShardsError::TooMany { samples, slots: workers }.into())
        }
        _ => Ok(()),
    }
}

/// The layout of a load that only looks like a model.
pub(super) fn synthetic_layout(load: &Load) -> Layout {
    let bytes = if let Load::Synthetic { bytes, .. } = load { *bytes } else { 0 };
    let values = (bytes as usize / size_of::<f32>()).max(1);
    // A matrix: what codecs do to vectors only would say little of a model.
    let shape = vec![1, values];
    Layout::new([("synthetic".to_owned(), shape)]).expect("one tensor of a checked size")
}
