//! The progress of a run for people: one redrawn line on a terminal, now and then a line in a pipe.
//!
//! A pure function of events and time: it returns text and leaves the writing to its caller.

use std::io::{self, IsTerminal};
use std::time::Duration;

use super::Live;
use super::tally::Tally;
use crate::event::{Event, Waiting};
use crate::ids::WorkerId;
use crate::ps::calendar::{Calendar, Place};
use crate::units::{ByteSize, Instant};

/// A pipe gets a line at most so often (evaluations aside): in time for those who would miss a word after 2 s.
const LINE_EVERY: Duration = Duration::from_millis(1500);
/// Columns of a terminal that does not say.
const TERMINAL_WIDTH: usize = 80;

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
    live: Live,
    calendar: Calendar,
    /// Behind the last round that ended, and where the run began.
    place: Place,
    start: Place,
    /// Whether a model is trained: a synthetic load has no epochs and no loss.
    trains: bool,
    /// Workers that take part.
    joined: u16,
    /// When the first round was seen.
    began: Option<Instant>,
    /// What the server waits for as long as nothing happens, and when it said so.
    waits: Option<(Waiting, Instant)>,
    warned: bool,
}

impl Progress {
    /// Progress of a run with this `calendar`, which `trains` a model or only looks like it.
    #[must_use]
    pub fn new(style: Style, calendar: Calendar, trains: bool) -> Self {
        let (live, place) = (Live::new(style, LINE_EVERY), Place::default());
        let (start, joined, began, waits, warned) = (place, 0, None, None, false);
        Self { live, calendar, place, start, trains, joined, began, waits, warned }
    }

    /// The same of a run that begins at this place of its calendar.
    #[must_use]
    pub fn starting_at(self, place: Place) -> Self {
        Self { place, start: place, ..self }
    }

    /// What is to be written to standard error after `event`, of which `tally` knows already.
    #[must_use]
    pub fn record(&mut self, event: &Event, tally: &Tally, now: Instant) -> String {
        self.waits = None;
        if let Event::RoundEnded(ended) = event {
            self.place = self.calendar.after(self.place, ended.batch);
        }
        let warning = self.warning(tally);
        warning + &self.tell(event, tally, now)
    }

    fn tell(&mut self, event: &Event, tally: &Tally, now: Instant) -> String {
        let planned = self.calendar.workers;
        match event {
            Event::WorkerJoined(joined) => {
                let (worker, address, live) = (joined.worker, joined.address, joined.live);
                self.joined = live;
                self.live.message(&format!(
                    "worker {worker} joined from {address} ({live} of {planned})"
                ))
            }
            // Everybody leaves in the end.
            Event::WorkerLeft(_) if self.calendar.is_over(self.place) => String::new(),
            Event::WorkerLeft(left) => {
                let (worker, reason, live) = (left.worker, &left.reason, left.live);
                self.joined = live;
                self.live.message(&format!("worker {worker} left: {reason} ({live} of {planned})"))
            }
            Event::RoundStarted(_) => {
                self.began.get_or_insert(now);
                String::new()
            }
            Event::RoundEnded(_) if !self.live.due(now) => String::new(),
            Event::RoundEnded(_) | Event::Evaluated(_) => {
                let state = self.state(tally, now);
                self.live.line(&state, now)
            }
            Event::Waiting(waiting) => {
                self.waits = Some((waiting.clone(), now));
                String::new()
            }
            Event::PushClosed(_) | Event::PullClosed(_) | Event::Decided(_) => String::new(),
        }
    }

    /// What goes on, for those who have not heard of it for a while.
    #[must_use]
    pub fn goes_on(&self, tally: &Tally, now: Instant) -> String {
        match (&self.waits, &tally.started) {
            // A simulation's time is another than ours, but little of ours passes between two of its words.
            (Some((waiting, said_at)), _) => waits(waiting, now.since(*said_at)),
            (None, None) => {
                format!("{} of {} workers have joined", self.joined, self.calendar.workers)
            }
            (None, Some(started)) if !tally.pushing.is_empty() => {
                let (round, whom) = (started.round, whom(&tally.pushing));
                format!("round {round}: waiting{whom}; {}", self.state(tally, now))
            }
            (None, Some(_)) => self.state(tally, now),
        }
    }

    /// What is to be written before anything else follows.
    #[must_use]
    pub const fn finish(&mut self) -> &'static str {
        self.live.finish()
    }

    /// Says once that the model is lost.
    fn warning(&mut self, tally: &Tally) -> String {
        let Some((round, loss)) = tally.diverged.filter(|_| !self.warned) else {
            return String::new();
        };
        self.warned = true;
        self.live.message(&format!(
            "warning: training has diverged (the loss is {loss:.3e} in round {round}): lower the learning rate (--lr)"
        ))
    }

    /// How far the run is.
    fn state(&self, tally: &Tally, now: Instant) -> String {
        let batch = tally.started.as_ref().map_or(1, |started| started.batch);
        let rounds = self.calendar.rounds(self.place, batch);
        let mut parts = vec![format!("round {}/{rounds}", self.place.round)];
        if let Some(eta) = self.eta(now) {
            parts.push(format!("ETA {}", clock(eta)));
        }
        if let Some(ended) = tally.ended.as_ref().filter(|_| self.trains) {
            parts.push(format!("epoch {:.2}", ended.epoch));
            parts.push(format!("loss {:.4}", ended.loss));
        }
        if let Some(last) = tally.evaluations.last() {
            parts.push(format!("accuracy {:.2}%", 100.0 * last.accuracy));
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
    fn eta(&self, now: Instant) -> Option<Duration> {
        let left = 1.0 - self.calendar.done(self.place);
        let done = self.calendar.done(self.place) - self.calendar.done(self.start);
        let elapsed = now.since(self.began?);
        (done > 0.0).then(|| elapsed.mul_f64(left.max(0.0) / done))
    }
}

/// Who is waited for, why, and how long: `more` than when it was said.
fn waits(waiting: &Waiting, more: Duration) -> String {
    let Waiting { round, workers, why, waited_ns } = waiting;
    let waited = Duration::from_nanos(*waited_ns) + more;
    let waited = match waited.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", waited.as_secs_f64()),
    };
    let place = if round.0 == 0 { String::new() } else { format!("round {round}: ") };
    format!("{place}waiting {waited}{} ({why})", whom(workers))
}

fn whom(workers: &[WorkerId]) -> String {
    let whom: Vec<String> = workers.iter().map(ToString::to_string).collect();
    match whom.len() {
        0 => String::new(),
        1 => format!(" for worker {}", whom[0]),
        _ => format!(" for workers {}", whom.join(", ")),
    }
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
