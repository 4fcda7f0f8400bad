//! `rounds.csv`: one row for each round and worker, made of several events.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use crate::event::{Event, PullClosed, PushClosed, RoundEnded, RoundStarted};
use crate::ids::{Round, WorkerId};
use crate::units::Tolerance;

/// A pull that has not closed when the round after the next has ended will never close: its row is written without.
const ROUNDS_OPEN_MAX: u32 = 2;

/// Puts rows together; rounds leave in their order, workers in the order of averaging.
#[derive(Debug, Default)]
pub struct RoundRows {
    open: VecDeque<OpenRound>,
}

#[derive(Debug)]
struct OpenRound {
    started: RoundStarted,
    ended: Option<RoundEnded>,
    shares: BTreeMap<WorkerId, Share>,
}

/// What is known about one worker's part of a round.
#[derive(Debug, Default)]
struct Share {
    push: Option<PushClosed>,
    pull: Option<PullClosed>,
    left: bool,
}

impl RoundRows {
    /// The first line.
    pub const HEADER: &str = "round,worker,owed,received,repaired,forgiven,late,gone,sent,arrived,passes,bytes,wait_ms,\
        push_ms,pull_sent,pull_ms,round_ms,norm,loss,tolerance,losable,critical,allowance,residual,clipped\n";

    /// How long each round took, in nanoseconds, out of the text of a `rounds.csv`; none if it is no such text.
    #[must_use]
    pub fn round_ns(csv: &str) -> Option<Vec<u64>> {
        let of_round = |rows: &[Vec<&str>]| {
            let ms: f64 = rows[0][0].parse().ok()?;
            Some((ms * 1e6).round() as u64)
        };
        by_round(csv, &["round_ms"], of_round)
    }

    /// The part of each round's pushes that might be missing, what earlier rounds had saved up counted, out of the text
    /// of a `rounds.csv`; none if it is no such text.
    #[must_use]
    pub fn allowed(csv: &str) -> Option<Vec<f64>> {
        let of_round = |rows: &[Vec<&str>]| {
            let mut sums = [0.0; 2];
            for row in rows {
                let [owed, tolerance, forgiven, left] = numbers(row)?;
                let allowed = if tolerance > 0.0 { forgiven + left } else { 0.0 };
                sums = [sums[0] + allowed.min(owed), sums[1] + owed];
            }
            Some(if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 })
        };
        by_round(csv, &["owed", "tolerance", "forgiven", "allowance"], of_round)
    }

    /// How many passes the pushes of each round took on average, out of the text of a `rounds.csv`; none if it is no
    /// such text.
    #[must_use]
    pub fn passes(csv: &str) -> Option<Vec<f64>> {
        let of_round = |rows: &[Vec<&str>]| {
            let sum = rows.iter().map(|row| Some(numbers::<1>(row)?[0])).sum::<Option<f64>>()?;
            Some(sum / rows.len() as f64)
        };
        by_round(csv, &["passes"], of_round)
    }

    /// Takes note of one event; returns the rows that it completes.
    #[must_use]
    pub fn record(&mut self, event: &Event) -> String {
        match event {
            Event::RoundStarted(started) => {
                // A round of which nothing could be used was begun anew.
                self.open.retain(|open| open.ended.is_some());
                let shares = started.workers.iter().map(|&worker| (worker, Share::default()));
                let shares = shares.collect();
                self.open.push_back(OpenRound { started: started.clone(), ended: None, shares });
            }
            Event::PushClosed(push) => {
                self.share(push.round, push.worker, |share| share.push = Some(push.clone()));
            }
            Event::PullClosed(pull) => {
                self.share(pull.round, pull.worker, |share| share.pull = Some(pull.clone()));
            }
            Event::RoundEnded(ended) => {
                if let Some(open) = self.round(ended.round) {
                    open.ended = Some(ended.clone());
                }
                return self.leave(|open| {
                    open.complete() || open.started.round.0 + ROUNDS_OPEN_MAX <= ended.round.0
                });
            }
            Event::WorkerLeft(left) => {
                for share in
                    self.open.iter_mut().filter_map(|open| open.shares.get_mut(&left.worker))
                {
                    share.left = true;
                }
            }
            Event::WorkerJoined(_)
            | Event::Decided(_)
            | Event::Evaluated(_)
            | Event::Waiting(_) => {}
        }
        self.leave(OpenRound::complete)
    }

    /// The rows of all rounds that have ended. One that was cut off has none: half of its fields would be empty.
    #[must_use]
    pub fn finish(&mut self) -> String {
        self.open.retain(|open| open.ended.is_some());
        self.leave(|_| true)
    }

    fn round(&mut self, round: Round) -> Option<&mut OpenRound> {
        self.open.iter_mut().find(|open| open.started.round == round)
    }

    fn share(&mut self, round: Round, worker: WorkerId, note: impl FnOnce(&mut Share)) {
        if let Some(share) = self.round(round).and_then(|open| open.shares.get_mut(&worker)) {
            note(share);
        }
    }

    fn leave(&mut self, done: impl Fn(&OpenRound) -> bool) -> String {
        let mut rows = String::new();
        while self.open.front().is_some_and(&done) {
            if let Some(open) = self.open.pop_front() {
                open.rows(&mut rows);
            }
        }
        rows
    }
}

impl OpenRound {
    fn complete(&self) -> bool {
        let closed = |share: &Share| share.push.is_some() && (share.pull.is_some() || share.left);
        self.ended.is_some() && self.shares.values().all(closed)
    }

    fn rows(&self, rows: &mut String) {
        let Self { started, ended, shares } = self;
        for worker in &started.workers {
            let share = &shares[worker];
            let push = |field: &dyn Fn(&PushClosed) -> String| text(share.push.as_ref().map(field));
            let pull = |field: &dyn Fn(&PullClosed) -> String| text(share.pull.as_ref().map(field));
            let end = |field: &dyn Fn(&RoundEnded) -> String| text(ended.as_ref().map(field));
            let fields = [
                started.round.to_string(),
                worker.to_string(),
                push(&|push| push.owed.to_string()),
                push(&|push| push.received.to_string()),
                push(&|push| push.repaired.to_string()),
                push(&|push| push.forgiven.to_string()),
                push(&|push| push.late.to_string()),
                push(&|push| push.gone.to_string()),
                push(&|push| push.sent.to_string()),
                push(&|push| push.datagrams.to_string()),
                push(&|push| push.passes.to_string()),
                push(&|push| push.bytes.to_string()),
                push(&|push| millis(push.wait_ns)),
                push(&|push| millis(push.push_ns)),
                pull(&|pull| pull.sent.to_string()),
                pull(&|pull| millis(pull.pull_ns)),
                end(&|ended| millis(ended.round_ns)),
                end(&|ended| ended.norm.to_string()),
                end(&|ended| ended.loss.to_string()),
                started.tolerance.as_f64().to_string(),
                started.losable.to_string(),
                started.critical.to_string(),
                push(&|push| blocks(push.allowance)),
                push(&|push| text(push.residual.map(|norm| norm.to_string()))),
                push(&|push| text(push.clipped.map(|norm| norm.to_string()))),
            ];
            // Writing to a String cannot fail.
            let _ = writeln!(rows, "{}", fields.join(","));
        }
    }
}

/// What `of` makes of the named columns of each round's rows, in the text of a `rounds.csv`.
fn by_round<T>(
    csv: &str,
    columns: &[&str],
    of: impl Fn(&[Vec<&str>]) -> Option<T>,
) -> Option<Vec<T>> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next()?.split(',').collect();
    let place = |name: &str| header.iter().position(|known| *known == name);
    let round = place("round")?;
    let places = columns.iter().map(|name| place(name)).collect::<Option<Vec<_>>>()?;
    let mut rounds: Vec<(&str, Vec<Vec<&str>>)> = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let row = places.iter().map(|&at| fields.get(at).copied()).collect::<Option<Vec<_>>>()?;
        let number = *fields.get(round)?;
        match rounds.last_mut().filter(|(last, _)| *last == number) {
            Some((_, rows)) => rows.push(row),
            None => rounds.push((number, vec![row])),
        }
    }
    rounds.iter().map(|(_, rows)| of(rows)).collect()
}

/// The numbers of a row; an empty field is 0.
fn numbers<const N: usize>(row: &[&str]) -> Option<[f64; N]> {
    let mut numbers = [0.0; N];
    for (number, text) in numbers.iter_mut().zip(row).filter(|(_, text)| !text.is_empty()) {
        *number = text.parse().ok()?;
    }
    Some(numbers)
}

/// A field that is not known is empty.
fn text(field: Option<String>) -> String {
    field.unwrap_or_default()
}

/// Nanoseconds as milliseconds, to the microsecond.
pub(super) fn millis(nanos: u64) -> String {
    let micros = nanos / 1000;
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// Ten-thousandths of a block as blocks, exactly.
fn blocks(parts: u64) -> String {
    let whole = u64::from(Tolerance::WHOLE);
    format!("{}.{:04}", parts / whole, parts % whole)
}
