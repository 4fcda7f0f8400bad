//! The progress of a run for people: one redrawn line on a terminal, now and then a line in a pipe.
//!
//! A pure function of events and time: it returns text and leaves the writing to its caller.

use std::io::{self, IsTerminal};
use std::time::Duration;

use super::tally::Tally;
use crate::event::{Event, Waiting};
use crate::units::{ByteSize, Instant};

/// A terminal is redrawn at most so often: faster than eyes can follow, slower than rounds.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// A pipe gets a line at most so often (evaluations aside).
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Columns of a terminal that does not say.
const TERMINAL_WIDTH: usize = 80;
/// Carriage return, and clear to the end of the line.
const ERASE: &str = "\r\x1b[K";

/// Where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal of so many columns.
    Terminal {
        /// Columns.
        width: usize,
    },
    /// A pipe or a file.
    Plain,
}

impl Style {
    /// What standard error is. The width of a terminal is what `COLUMNS` says, else what every terminal has.
    #[must_use]
    pub fn of_stderr() -> Self {
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        match io::stderr().is_terminal() {
            true => Self::Terminal { width: columns().unwrap_or(TERMINAL_WIDTH) },
            false => Self::Plain,
        }
    }
}

/// The progress of one run.
#[derive(Clone, Debug)]
pub struct Progress {
    style: Style,
    /// Rounds of the whole run.
    rounds: u32,
    /// Workers of the plan.
    workers: u16,
    /// When the first round was seen.
    began: Option<Instant>,
    shown: Option<Instant>,
    /// Whether an unfinished line stands on the terminal.
    open: bool,
}

impl Progress {
    /// Progress of a run of `rounds` rounds with `workers` workers.
    #[must_use]
    pub const fn new(style: Style, rounds: u32, workers: u16) -> Self {
        Self { style, rounds, workers, began: None, shown: None, open: false }
    }

    /// What is to be written to standard error after `event`, of which `tally` knows already.
    #[must_use]
    pub fn record(&mut self, event: &Event, tally: &Tally, now: Instant) -> String {
        match event {
            Event::WorkerJoined(joined) => {
                let (worker, address) = (joined.worker, joined.address);
                let (live, planned) = (joined.live, self.workers);
                self.message(&format!(
                    "worker {worker} joined from {address} ({live} of {planned})"
                ))
            }
            // Everybody leaves in the end.
            Event::WorkerLeft(_) if tally.rounds >= self.rounds => String::new(),
            Event::WorkerLeft(left) => {
                let (worker, reason, live) = (left.worker, &left.reason, left.live);
                self.message(&format!(
                    "worker {worker} left: {reason} ({live} of {})",
                    self.workers
                ))
            }
            Event::RoundStarted(_) => {
                self.began.get_or_insert(now);
                String::new()
            }
            Event::RoundEnded(_) if self.due(now) => self.line(&self.state(tally, now), now),
            Event::Evaluated(_) => self.line(&self.state(tally, now), now),
            Event::Waiting(waiting) if self.due(now) => self.line(&waits(waiting), now),
            _ => String::new(),
        }
    }

    /// What is to be written before anything else follows.
    #[must_use]
    pub fn finish(&mut self) -> String {
        let open = std::mem::take(&mut self.open);
        if open { "\n".to_owned() } else { String::new() }
    }

    fn due(&self, now: Instant) -> bool {
        let every = match self.style {
            Style::Terminal { .. } => REDRAW_EVERY,
            Style::Plain => LINE_EVERY,
        };
        self.shown.is_none_or(|shown| now.since(shown) >= every)
    }

    /// A line that is there to stay.
    fn message(&mut self, text: &str) -> String {
        let erase = if std::mem::take(&mut self.open) { ERASE } else { "" };
        format!("{erase}{text}\n")
    }

    /// A line that the next one replaces, where it can.
    fn line(&mut self, text: &str, now: Instant) -> String {
        self.shown = Some(now);
        match self.style {
            Style::Plain => format!("{text}\n"),
            Style::Terminal { width } => {
                self.open = true;
                // A line that fills the last column would wrap on some terminals.
                let fitting: String = text.chars().take(width.saturating_sub(1)).collect();
                format!("{ERASE}{fitting}")
            }
        }
    }

    /// How far the run is.
    fn state(&self, tally: &Tally, now: Instant) -> String {
        let mut parts = vec![format!("round {}/{}", tally.rounds, self.rounds)];
        if let Some(eta) = self.eta(tally.rounds, now) {
            parts.push(format!("ETA {}", clock(eta)));
        }
        if let Some(ended) = &tally.ended {
            parts.push(format!("epoch {:.2}", ended.epoch));
            parts.push(format!("loss {:.4}", ended.loss));
        }
        if let Some(last) = tally.evaluations.last() {
            let accuracy = 100.0 * last.correct as f64 / last.total.max(1) as f64;
            parts.push(format!("accuracy {accuracy:.2}%"));
        }
        if let Some(started) = &tally.started {
            let regime = if started.critical { " critical" } else { "" };
            parts.push(format!("tolerance {}{regime}", started.tolerance));
        }
        parts.push(format!("forgiven {:.2}%", 100.0 * tally.forgiven_share()));
        if let Some(ended) = &tally.ended {
            parts.push(format!("{:.1} ms/round", ended.round_ns as f64 / 1e6));
        }
        parts.push(format!("up {}, down {}", ByteSize(tally.bytes_up), ByteSize(tally.bytes_down)));
        parts.join("  ")
    }

    /// The time that is left if the rest goes as fast as what is done.
    fn eta(&self, done: u32, now: Instant) -> Option<Duration> {
        let left = self.rounds.checked_sub(done)?;
        let elapsed = now.since(self.began?);
        (done > 0).then(|| elapsed.mul_f64(f64::from(left) / f64::from(done)))
    }
}

/// Who is waited for, and why.
fn waits(waiting: &Waiting) -> String {
    let Waiting { round, workers, why, waited_ns } = waiting;
    let waited = Duration::from_nanos(*waited_ns);
    let waited = match waited.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", waited.as_secs_f64()),
    };
    let whom: Vec<String> = workers.iter().map(ToString::to_string).collect();
    let whom = match whom.len() {
        0 => String::new(),
        1 => format!(" for worker {}", whom[0]),
        _ => format!(" for workers {}", whom.join(", ")),
    };
    let place = if round.0 == 0 { String::new() } else { format!("round {round}: ") };
    format!("{place}waiting {waited}{whom} ({why})")
}

/// `1h02m`, `2m10s` or `9s`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
