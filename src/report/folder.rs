//! The run folder: `plan.toml`, `events.jsonl`, `rounds.csv`, `norms.csv`, `evals.csv`, in the end `summary.json`; with
//! full gradients, `full.csv`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::norms::NormRows;
use super::rows::RoundRows;
use super::{ReportError, Summary, timestamp};
use crate::event::{Event, RoundEnded, Stamped};
use crate::flat::Layout;
use crate::plan::{Folder, Plan};
use crate::ps::calendar::Place;
use crate::ps::policy::{Critical, Policy, Terms};
use crate::units::{Instant, Tolerance};

/// Longest time, on the clock of the events, that an event may stay in memory while others arrive.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

const EVALS_HEADER: &str = "round,epoch,accuracy,correct,total,loss\n";

/// What is known of a run before it starts, beside its plan.
#[derive(Clone, Debug, Default)]
pub struct Start<'a> {
    /// The command that runs it (`train`).
    pub command: &'a str,
    /// Wall-clock time (since 1970) at which the clock of the events starts; 0 in a simulation.
    pub base: Duration,
    /// Rounds of the whole run.
    pub rounds: u32,
    /// Training examples of an epoch.
    pub examples: u64,
    /// Whether full gradients are measured.
    pub full: bool,
    /// Where the run goes on from, if not from the start.
    pub resumed: Option<Resumed>,
}

/// Where a run goes on from: what nobody could know who has its files only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// SHA-256 of the parameters.
    pub digest: String,
    /// Rounds that had ended.
    pub round: u32,
    /// Epochs that had ended.
    pub epochs: u32,
    /// Examples of the next one that were handed out.
    pub examples: u64,
    /// Whether the next round is critical.
    pub critical: bool,
    /// If not, its tensors that are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<u32>,
    /// Its tolerance.
    pub tolerance: Tolerance,
    /// The norm that was looked at last; none if nothing was.
    pub norm: Option<f64>,
}

impl Resumed {
    /// A run whose parameters have this `digest`, which stands at `place` and has decided so much.
    #[must_use]
    pub fn new(digest: String, place: Place, policy: &Policy) -> Self {
        let Terms { tolerance, critical } = policy.terms();
        let norm = policy.history().last().map(|&(_, _, norm)| norm);
        let (round, epochs, examples) = (place.round, place.epoch, place.examples());
        let (critical, tensors) = (critical == Critical::Everything, critical.tensors());
        Self { digest, round, epochs, examples, critical, tensors, tolerance, norm }
    }
}

/// The files of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    plan_digest: String,
    /// Wall-clock time (since 1970) at which the clock of the events started.
    base: Duration,
    plan: Output,
    events: Output,
    rounds: Output,
    norms: Output,
    evals: Output,
    /// What would have been seen of full gradients.
    full: Option<(Output, NormRows)>,
    rows: RoundRows,
    norm_rows: NormRows,
    flushed_at: Instant,
}

impl RunFolder {
    /// Makes the folder of `plan`, whose model has this `layout`, under `runs`.
    ///
    /// # Errors
    /// If the plan names a folder that exists, or something cannot be written.
    pub fn create(
        runs: &Path,
        plan: &Plan,
        layout: &Layout,
        start: Start<'_>,
    ) -> Result<Self, ReportError> {
        let path = claim(runs, &plan.folder())?;
        let plan_digest = plan.digest();
        let mut file = Output::create(path.join("plan.toml"))?;
        file.write(&preamble(start.command, &plan_digest))?;
        // Without its name, so that the file can be run again as it is.
        file.write(&Plan { name: None, ..plan.clone() }.to_toml())?;
        file.flush()?;
        let opening = line(&Opening::new(&start, &plan_digest));
        let full = start.full.then(|| Output::create(path.join("full.csv"))).transpose()?;
        let mut folder = Self {
            plan: file,
            events: Output::create(path.join("events.jsonl"))?,
            rounds: Output::create(path.join("rounds.csv"))?,
            norms: Output::create(path.join("norms.csv"))?,
            evals: Output::create(path.join("evals.csv"))?,
            path,
            plan_digest,
            base: start.base,
            full: full.map(|output| (output, NormRows::new(layout))),
            rows: RoundRows::default(),
            norm_rows: NormRows::new(layout),
            flushed_at: Instant::ZERO,
        };
        folder.events.write(&opening)?;
        folder.rounds.write(RoundRows::HEADER)?;
        folder.norms.write(&folder.norm_rows.header())?;
        folder.evals.write(EVALS_HEADER)?;
        if let Some((output, rows)) = &mut folder.full {
            output.write(&rows.header())?;
        }
        folder.flush()?;
        Ok(folder)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest of the plan.
    #[must_use]
    pub fn plan_digest(&self) -> &str {
        &self.plan_digest
    }

    /// Writes one event to the files that it belongs to.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn record(&mut self, stamped: &Stamped) -> Result<(), ReportError> {
        let wall = timestamp(self.base + stamped.at.since(Instant::ZERO));
        self.events.write(&line(&Line { wall, stamped }))?;
        self.rounds.write(&self.rows.record(&stamped.event))?;
        self.norms.write(&self.norm_rows.record(&stamped.event))?;
        if let Event::Evaluated(evaluated) = &stamped.event {
            self.record_full(&stamped.event)?;
            let accuracy = evaluated.accuracy();
            self.evals.write(&format!(
                "{},{},{accuracy},{},{},{}\n",
                evaluated.round,
                evaluated.epoch,
                evaluated.correct,
                evaluated.total,
                evaluated.loss
            ))?;
            return self.flush();
        }
        if stamped.at.since(self.flushed_at) >= FLUSH_EVERY {
            self.flushed_at = stamped.at;
            return self.flush();
        }
        Ok(())
    }

    /// Writes what would have been seen of a round, had its gradient been the full one.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn full(&mut self, ended: RoundEnded) -> Result<(), ReportError> {
        self.record_full(&Event::RoundEnded(ended))
    }

    fn record_full(&mut self, event: &Event) -> Result<(), ReportError> {
        match &mut self.full {
            Some((output, rows)) => output.write(&rows.record(event)),
            None => Ok(()),
        }
    }

    /// Writes all that is still held back.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(&mut self) -> Result<(), ReportError> {
        self.rounds.write(&self.rows.finish())?;
        self.norms.write(&self.norm_rows.finish())?;
        if let Some((output, rows)) = &mut self.full {
            output.write(&rows.finish())?;
        }
        self.flush()
    }

    /// Leaves the summary, with the digests of all that was written here: what is changed afterwards can be told.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn seal(&mut self, summary: &Summary) -> Result<(), ReportError> {
        let outputs =
            [&self.plan, &self.events, &self.rounds, &self.norms, &self.evals].into_iter();
        let full = self.full.iter().map(|(output, _)| output);
        let files = outputs.chain(full).map(Output::digest).collect();
        let mut file = Output::create(self.path.join("summary.json"))?;
        // Without its folder, which may be moved.
        let summary = &Summary { folder: String::new(), ..summary.clone() };
        file.write(&line(&Sealed { summary, files }))?;
        file.flush()
    }

    /// From now on there is no space left for events.
    #[cfg(test)]
    pub(super) fn fill_disk(&mut self) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        self.events.file = BufWriter::new(full);
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        [&mut self.events, &mut self.rounds, &mut self.norms, &mut self.evals]
            .into_iter()
            .chain(self.full.iter_mut().map(|(output, _)| output))
            .try_for_each(Output::flush)
    }
}

/// One line of `events.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    wall: String,
    #[serde(flatten)]
    stamped: &'a Stamped,
}

/// The first line of `events.jsonl`: the plan that all others belong to, and what it amounts to.
#[derive(Serialize)]
struct Opening<'a> {
    wall: String,
    at: Instant,
    event: &'static str,
    plan: &'a str,
    rounds: u32,
    examples: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<&'a Resumed>,
}

impl<'a> Opening<'a> {
    fn new(start: &'a Start<'_>, plan: &'a str) -> Self {
        let &Start { base, rounds, examples, ref resumed, .. } = start;
        let (wall, resumed) = (timestamp(base), resumed.as_ref());
        Self { wall, at: Instant::ZERO, event: "run", plan, rounds, examples, resumed }
    }
}

/// What `summary.json` holds.
#[derive(Serialize)]
struct Sealed<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    /// SHA-256 of the other files.
    files: BTreeMap<String, String>,
}

/// Plain data as a line of JSON.
fn line(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("plain data with string keys is JSON") + "\n"
}

/// Comments that say what the plan is and how to repeat it.
fn preamble(command: &str, digest: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "# mlt-lite {version}, plan {digest}\n\
         # To repeat this run, where it was started: mlt-lite {command} --plan THIS_FILE\n"
    )
}

/// Makes a new folder under `runs`, whose name nobody else has.
fn claim(runs: &Path, folder: &Folder) -> Result<PathBuf, ReportError> {
    let refused = |source| ReportError::Runs { runs: runs.to_owned(), source };
    fs::create_dir_all(runs).map_err(refused)?;
    let mut number = 1;
    loop {
        let path = match folder {
            Folder::Given(name) => runs.join(name),
            Folder::Derived(stem) => runs.join(format!("{stem}-{number}")),
        };
        match (fs::create_dir(&path), folder) {
            (Ok(()), _) => return Ok(path),
            (Err(error), _) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused(error));
            }
            (Err(_), Folder::Given(_)) => return Err(ReportError::Taken(path)),
            (Err(_), Folder::Derived(_)) => number += 1,
        }
    }
}

/// A file that says its name when it fails.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
}

impl Output {
    fn create(path: PathBuf) -> Result<Self, ReportError> {
        let file = File::create_new(&path).map_err(ReportError::write(&path))?;
        Ok(Self { path, file: BufWriter::new(file), hash: Sha256::new() })
    }

    fn write(&mut self, text: &str) -> Result<(), ReportError> {
        self.hash.update(text);
        self.file.write_all(text.as_bytes()).map_err(ReportError::write(&self.path))
    }

    /// Its name, and the SHA-256 of what was written to it, in hexadecimal.
    fn digest(&self) -> (String, String) {
        let digest = self.hash.clone().finalize();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush().map_err(ReportError::write(&self.path))
    }
}
