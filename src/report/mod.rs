//! What a run leaves behind and shows while it goes on: subscribers of [`Stamped`] events.
//!
//! [`Report`] hands each event to all of them: the [`RunFolder`] (files), the [`Tally`] (sums, in the end the
//! [`Summary`]) and the [`Progress`] (a line for people). None of them reads a clock or writes to the terminal itself.

mod chart;
mod cost;
mod folder;
mod live;
mod map;
mod norms;
mod progress;
mod rows;
mod strips;
mod summary;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod ticks;
mod wall;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use chart::{Chart, Panel};
pub use cost::CodecCost;
pub use folder::{Resumed, RunFolder, Start};
pub use live::Live;
pub use norms::{NormRow, NormRows, Norms, NormsError};
pub(crate) use progress::clock;
pub use progress::{Progress, Style};
pub use rows::RoundRows;
pub use strips::Strips;
pub use summary::{Closing, Evaluation, RoundMs, Summary};
pub use table::{Cell, Column, Table};
pub use tally::Tally;
pub use wall::timestamp;

use crate::event::{Event, RoundEnded, Stamped};
use crate::units::Instant;

/// How often what goes on is put into words.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// A file of the run folder that cannot be written. The run stops: its record would have holes.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder of a given name exists.
    #[error("the run folder {0} exists: choose another --name, or remove it")]
    Taken(PathBuf),
    /// No folder can be made for the run.
    #[error("cannot make a run folder in {runs}: choose another place with --runs")]
    Runs {
        /// Where.
        runs: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something cannot be written.
    #[error("cannot write {path}: the run stops, for its record would have holes")]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ReportError {
    /// For `map_err`: what went wrong with `path`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

/// All subscribers of one run.
#[derive(Debug)]
pub struct Report {
    folder: RunFolder,
    tally: Tally,
    progress: Progress,
    /// When it was last said what goes on.
    told_at: Option<Instant>,
}

impl Report {
    /// Writes to `folder` and shows `progress`.
    #[must_use]
    pub fn new(folder: RunFolder, progress: Progress) -> Self {
        Self { folder, tally: Tally::default(), progress, told_at: None }
    }

    /// Takes note of one event; returns what is to be written to the terminal at `now` (on the clock of whoever
    /// watches, which in a simulation is not the event's), often nothing.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn record(&mut self, stamped: &Stamped, now: Instant) -> Result<String, ReportError> {
        self.folder.record(stamped)?;
        self.tally.record(stamped);
        let text = self.progress.record(&stamped.event, &self.tally, now);
        if !text.is_empty() || matches!(stamped.event, Event::RoundStarted(_)) {
            self.told_at = None;
        }
        Ok(text)
    }

    /// Takes note of what would have been seen of a round, had its gradient been the full one.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn full(&mut self, ended: RoundEnded) -> Result<(), ReportError> {
        self.folder.full(ended)
    }

    /// What goes on at `now`, for those who have not heard of it for a while; none if it has hardly changed.
    #[must_use]
    pub fn goes_on(&mut self, now: Instant) -> Option<String> {
        self.told_at.is_none_or(|told_at| now.since(told_at) >= TELL_EVERY).then(|| {
            self.told_at = Some(now);
            self.progress.goes_on(&self.tally, now)
        })
    }

    /// Completes the files; returns the summary, and what is to be written to the terminal before anything else.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(mut self, closing: Closing<'_>) -> Result<(Summary, &'static str), ReportError> {
        self.folder.finish()?;
        let folder = self.folder.path().display().to_string();
        let summary = Summary::new(&self.tally, self.folder.plan_digest(), folder, closing);
        self.folder.seal(&summary)?;
        Ok((summary, self.progress.finish()))
    }

    /// The run folder, for checkpoints.
    #[must_use]
    pub const fn folder(&self) -> &RunFolder {
        &self.folder
    }
}
