//! What detectors are replayed over: a run folder, or somebody's table of norms.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::RegimesError;
use super::course::{Course, terms};
use super::detector::Detector;
use super::sizes::Sizes;
use crate::ids::Round;
use crate::plan::{self, Entry, Words};
use crate::ps::policy::{PolicyConfig, Terms};
use crate::report::{NormRow, Norms, Resumed};
use crate::units::Tolerance;

pub(super) const NORMS: &str = "norms.csv";
const PLAN: &str = "plan.toml";
const EVENTS: &str = "events.jsonl";
const ROUNDS: &str = "rounds.csv";
/// What would have been seen of full gradients.
pub(super) const FULL: &str = "full.csv";
/// What a run's own decisions are called.
const THE_RUN: &str = "the run";
/// Largest table that is read.
const BYTES_MAX: u64 = 1 << 29;

/// What was decided, by the first round in which it held.
type Decisions = Vec<(Round, Terms)>;

/// The rounds of a run, and what else is known of it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What was typed.
    pub path: PathBuf,
    /// What was seen of its rounds; not empty.
    pub norms: Norms,
    /// Its plan as it was typed; none of a run that is not ours.
    pub entries: Vec<Entry>,
    /// The detector that drove it, and what that has decided, if one did.
    pub(super) driven: Option<(Detector, Course)>,
    pub(super) sizes: Option<Sizes>,
    /// The same rounds, as they would have been seen without noise.
    pub(super) truth: Option<Norms>,
    /// What is there and not looked at, and why.
    pub(super) left_out: Vec<(String, String)>,
    /// Whether it is a run folder.
    pub is_run: bool,
}

impl Subject {
    /// Reads the run folder or table at `path`, and beside it the same rounds of full gradients: those at `truth`, else
    /// what the run has left. Where one of both ends earlier, as killed runs leave them, what follows is left out.
    ///
    /// # Errors
    /// If something is not there, cannot be understood, or is not of the same rounds and tensors.
    pub fn read(
        path: &Path,
        truth: Option<&Path>,
        words: &Words<'_>,
    ) -> Result<Self, RegimesError> {
        let is_run = path.is_dir();
        if is_run && !path.join(NORMS).is_file() {
            return Err(RegimesError::NoRun { folder: path.to_owned(), advice: advice(path) });
        }
        let norms = read_norms(&if is_run { path.join(NORMS) } else { path.to_owned() }, is_run)?;
        let path = path.to_owned();
        let mut subject = Self {
            path,
            norms,
            entries: Vec::new(),
            driven: None,
            sizes: None,
            truth: None,
            left_out: Vec::new(),
            is_run,
        };
        let full = subject.path.join(FULL);
        if let Some(truth) = truth {
            subject.stand_beside(truth, read_norms(truth, false)?)?;
        } else if is_run && full.is_file() {
            match read_norms(&full, true) {
                Ok(truth) => subject.stand_beside(&full, truth)?,
                Err(why @ RegimesError::Empty { .. }) => {
                    subject.left_out.push(("the truth".to_owned(), why.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        if is_run {
            if subject.path.join(PLAN).is_file() {
                subject.entries = plan::of_run(&subject.path)?;
                subject.driven = subject.driven(words)?;
            }
            let rounds = subject.path.join(ROUNDS);
            if rounds.is_file() {
                subject.sizes = Sizes::new(&subject.norms, &read_text(&rounds, true)?);
            }
        }
        Ok(subject)
    }

    /// The rounds that `truth`, the table at `path`, has as well are looked at.
    fn stand_beside(&mut self, path: &Path, mut truth: Norms) -> Result<(), RegimesError> {
        let round = |row: &NormRow| row.ended.round;
        let (own, rows) = (&mut self.norms.rows, &mut truth.rows);
        let same = rows.iter().zip(own.iter()).all(|(one, other)| round(one) == round(other));
        if !same || truth.tensors != self.norms.tensors {
            return Err(RegimesError::Other { path: path.to_owned(), than: self.path.clone() });
        }
        let common = own.len().min(rows.len());
        if own.len() != rows.len() {
            let shorter = if rows.len() == common { path } else { &self.path };
            let what = format!("all after round {}", round(&own[common - 1]));
            self.left_out.push((what, format!("{} ends with it", shorter.display())));
        }
        own.truncate(common);
        rows.truncate(common);
        self.truth = Some(truth);
        Ok(())
    }

    /// What `detector` would have decided on what is true, called after `name`; none if nobody knows that.
    pub(super) fn truth_of(
        &self,
        detector: &Detector,
        name: &str,
    ) -> Option<Result<Course, String>> {
        let truth = self.truth.as_ref()?;
        Some(replay(&format!("truth of {name}"), truth, &detector.policy))
    }

    /// What drove the run, if that knows regimes and has told what it decided.
    fn driven(&self, words: &Words<'_>) -> Result<Option<(Detector, Course)>, RegimesError> {
        let path = self.path.join(EVENTS);
        let detector = Detector::of_run(&self.entries, words)?;
        if !detector.policy.has_regimes() || !path.is_file() {
            return Ok(None);
        }
        let (resumed, decisions) = self.decisions(&path)?;
        let start = resumed.unwrap_or_else(|| self.norms.policy(&detector.policy).terms());
        let course = Course::new(THE_RUN, &self.norms, start, decisions);
        Ok(Some((detector, course)))
    }

    /// Everything that was decided, as the events at `path` tell, and what held before, if the run went on from another
    /// one.
    fn decisions(&self, path: &Path) -> Result<(Option<Terms>, Decisions), RegimesError> {
        /// The first line, as far as it is looked at.
        #[derive(Deserialize)]
        struct Opening {
            resumed: Option<Resumed>,
        }
        /// A decision, as far as it is looked at.
        #[derive(Deserialize)]
        struct Line {
            round: u32,
            critical: bool,
            #[serde(default)]
            tensors: Vec<u32>,
            new: String,
        }
        let read = |source| RegimesError::Read { path: path.to_owned(), source };
        let mut lines = BufReader::new(File::open(path).map_err(read)?);
        let (mut resumed, mut decisions, mut bytes) = (None, Decisions::new(), Vec::new());
        let tensors = self.norms.tensors.len();
        for number in 1.. {
            bytes.clear();
            // A line without its end is one that a run had no time to finish.
            if lines.read_until(b'\n', &mut bytes).map_err(read)? == 0 || !bytes.ends_with(b"\n") {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            let damaged = |problem: String| {
                let path = path.to_owned();
                RegimesError::Damaged { path, line: number, problem }
            };
            if text.contains(r#""event":"run""#) {
                let opening: Opening =
                    serde_json::from_str(&text).map_err(|why| damaged(why.to_string()))?;
                resumed = opening
                    .resumed
                    .map(|at| terms(at.critical, &at.tensors, at.tolerance, tensors));
            }
            if !text.contains(r#""event":"decided""#) {
                continue;
            }
            let line: Line = serde_json::from_str(&text).map_err(|why| damaged(why.to_string()))?;
            let new: Tolerance = line.new.parse().map_err(|_| damaged("no tolerance".into()))?;
            if let Some(tensor) = line.tensors.iter().find(|&&tensor| tensor as usize >= tensors) {
                return Err(damaged(format!("there is no tensor {tensor}")));
            }
            if decisions.last().is_some_and(|last| last.0.0 > line.round) {
                return Err(damaged(format!("round {} comes too late", line.round)));
            }
            let terms = terms(line.critical, &line.tensors, new, tensors);
            decisions.push((Round(line.round), terms));
        }
        Ok((resumed, decisions))
    }

    /// What `detector` would have decided, or what it looks at and is not here.
    pub(super) fn replay(&self, detector: &Detector) -> Result<Course, String> {
        replay(&detector.name, &self.norms, &detector.policy)
    }
}

/// What `policy` would have decided, called `name`, or what it looks at and is not there.
pub(super) fn replay(name: &str, norms: &Norms, policy: &PolicyConfig) -> Result<Course, String> {
    norms.lacks(policy).map_or(Ok(()), Err)?;
    let start = norms.policy(policy).terms();
    let decisions = norms.replay(policy).into_iter().map(|decided| {
        let tensors = norms.tensors.len();
        (decided.round, terms(decided.critical, &decided.tensors, decided.new, tensors))
    });
    Ok(Course::new(name, norms, start, decisions))
}

/// The table of norms at `path`; if it is `ours`, a last line without its end is one that a run had no time to finish.
pub(super) fn read_norms(path: &Path, ours: bool) -> Result<Norms, RegimesError> {
    let norms: Norms = read_text(path, ours)?
        .parse()
        .map_err(|source| RegimesError::Norms { path: path.to_owned(), source })?;
    match norms.rows.is_empty() {
        true => Err(RegimesError::Empty { path: path.to_owned() }),
        false => Ok(norms),
    }
}

fn read_text(path: &Path, ours: bool) -> Result<String, RegimesError> {
    let read = |source| RegimesError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(read)?.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(RegimesError::Large { path: path.to_owned(), most: BYTES_MAX >> 20 });
    }
    if ours {
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    }
    Ok(text)
}

/// What may have been meant instead of `folder`.
fn advice(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut inner: Vec<_> = entries.map(|entry| entry.path()).collect();
    inner.sort();
    match inner.iter().find(|inner| inner.join(NORMS).is_file()) {
        Some(inner) => format!("; did you mean {}?", inner.display()),
        None => String::new(),
    }
}
