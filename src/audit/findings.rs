//! What an audit finds.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::course::Course;
use super::plan::Plan;

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, inside the run folder.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The round that it is about.
    pub round: Option<u32>,
    /// The worker that it is about.
    pub worker: Option<u32>,
}

impl Place {
    pub(super) fn file(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    pub(super) fn line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }

    pub(super) fn round(self, round: u32) -> Self {
        Self { round: Some(round), ..self }
    }

    pub(super) fn worker(self, worker: u32) -> Self {
        Self { worker: Some(worker), ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        let parts = [
            ("line", self.line),
            ("round", self.round.map(u64::from)),
            ("worker", self.worker.map(u64::from)),
        ];
        for (name, number) in parts {
            if let Some(number) = number {
                write!(f, ", {name} {number}")?;
            }
        }
        Ok(())
    }
}

/// Something that no run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where.
    pub place: Place,
    /// What had to be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What that means.
    pub meaning: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, expected, found, meaning } = self;
        write!(f, "{place}: expected {expected}, found {found}: {meaning}")
    }
}

/// The first violation, how many there are, and remarks.
#[derive(Debug, Default)]
pub(super) struct Findings {
    first: Option<(u64, Violation)>,
    violations: u64,
    remarks: Vec<String>,
    /// The round that the events have come to.
    round: u32,
}

impl Findings {
    /// From now on, events are about this round.
    pub(super) const fn go_on_to(&mut self, round: u32) {
        self.round = round;
    }

    /// Takes note of a violation.
    pub(super) fn note(
        &mut self,
        place: Place,
        expected: impl fmt::Display,
        found: impl fmt::Display,
        meaning: impl fmt::Display,
    ) {
        self.violations += 1;
        // What is about no round is about the whole run: only a plan comes before all rounds. Events come in their
        // order, whatever round they claim to be of.
        let order = match (place.file.as_str(), place.round) {
            (super::PLAN, _) => 0,
            (super::EVENTS, _) if place.line.is_some() => u64::from(self.round),
            (_, Some(round)) => u64::from(round),
            _ => u64::MAX,
        };
        if self.first.as_ref().is_none_or(|(first, _)| order < *first) {
            let (expected, found) = (expected.to_string(), found.to_string());
            let meaning = meaning.to_string();
            self.first = Some((order, Violation { place, expected, found, meaning }));
        }
    }

    /// As [`note`](Self::note), if the two differ.
    pub(super) fn equal<T: fmt::Display + PartialEq>(
        &mut self,
        place: impl FnOnce() -> Place,
        expected: T,
        found: T,
        meaning: impl fmt::Display,
    ) {
        if expected != found {
            self.note(place(), expected, found, meaning);
        }
    }

    /// Takes note of something that is no violation, and should be known.
    pub(super) fn remark(&mut self, remark: impl fmt::Display) {
        self.remarks.push(remark.to_string());
    }

    pub(super) fn conclude(
        self,
        folder: &Path,
        plan: &Plan,
        course: &Course<'_>,
        sealed: bool,
    ) -> Audit {
        Audit {
            folder: folder.to_owned(),
            plan: plan.digest.clone(),
            sealed,
            checked: course.totals.checked,
            first: self.first.map(|(_, first)| first),
            violations: self.violations,
            remarks: self.remarks,
        }
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Rounds that ended.
    pub rounds: u64,
    /// Those among them that were critical.
    pub critical: u64,
    /// Those in which nothing might be missing.
    pub exact: u64,
    /// Decisions of the tolerance policy.
    pub decisions: u64,
    /// Workers that took part.
    pub workers: u64,
    /// Pushes that were closed.
    pub pushes: u64,
    /// Blocks of them.
    pub owed: u64,
    /// Those that were received.
    pub received: u64,
    /// Those that were missing within an allowance.
    pub forgiven: u64,
    /// Those that a hard deadline closed out.
    pub late: u64,
    /// Those of workers that left.
    pub gone: u64,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.rounds, other.rounds),
            (&mut self.critical, other.critical),
            (&mut self.exact, other.exact),
            (&mut self.decisions, other.decisions),
            (&mut self.workers, other.workers),
            (&mut self.pushes, other.pushes),
            (&mut self.owed, other.owed),
            (&mut self.received, other.received),
            (&mut self.forgiven, other.forgiven),
            (&mut self.late, other.late),
            (&mut self.gone, other.gone),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What the audit of one run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The run folder.
    pub folder: PathBuf,
    /// Digest of its plan.
    pub plan: String,
    /// Whether the run was brought to an end, so that its files are sealed.
    pub sealed: bool,
    /// What was looked at.
    pub checked: Checked,
    /// The first violation, by round.
    pub first: Option<Violation>,
    /// All of them.
    pub violations: u64,
    /// What else should be known.
    pub remarks: Vec<String>,
}

impl Audit {
    /// Whether everything held.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.violations == 0
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            None => writeln!(f, "passed    {}", self.folder.display())?,
            Some(first) => {
                writeln!(f, "violated  {}", self.folder.display())?;
                writeln!(f, "first     {first}")?;
                writeln!(f, "more      {}", self.violations - 1)?;
            }
        }
        for remark in &self.remarks {
            writeln!(f, "remark    {remark}")?;
        }
        self.checked.fmt(f)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, critical, exact, decisions, workers, pushes, .. } = self;
        let Self { owed, received, forgiven, late, gone, .. } = self;
        writeln!(
            f,
            "rounds    {rounds}, {critical} of them critical, {exact} at tolerance 0; {decisions} decisions"
        )?;
        writeln!(f, "pushes    {pushes} of {workers} workers")?;
        writeln!(
            f,
            "blocks    {owed} owed = {received} received + {forgiven} forgiven + {late} late + {gone} gone"
        )
    }
}
