//! What a run came to, as one JSON object and as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::event::Evaluated;
use crate::ps::server::Totals;
use crate::transport::Transport;
use crate::units::ByteSize;
use crate::wire::{Reject, Rejects};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Accuracy of the last evaluation in `[0, 1]`; none if nothing was evaluated.
    pub accuracy: Option<f64>,
    /// Rounds that ended.
    pub rounds: u32,
    /// From the start of the first round to the end of the last pull, in seconds.
    pub seconds: f64,
    /// Rounds in a second, evaluations and all.
    #[serde(default)]
    pub rounds_per_second: f64,
    /// Training images in a second, evaluations and all; none for a synthetic load.
    #[serde(default)]
    pub images_per_second: Option<f64>,
    /// UDP payload bytes that reached the server.
    pub bytes_up: u64,
    /// UDP payload bytes that the server sent.
    pub bytes_down: u64,
    /// Duration of rounds.
    pub round_ms: RoundMs,
    /// SHA-256 of the final parameters; none if the run did not get there.
    pub digest: Option<String>,
    /// Blocks of all pushes.
    pub owed: u64,
    /// Received blocks that needed more than their first transmission.
    pub repaired: u64,
    /// Missing blocks within the allowance.
    pub forgiven: u64,
    /// Missing blocks that a deadline or the loss of a worker closed out.
    pub late: u64,
    /// Datagrams that the server put aside, by reason.
    pub rejects: BTreeMap<Reject, u64>,
    /// All evaluations.
    pub evaluations: Vec<Evaluation>,
    /// The first round after which the loss was beyond all bounds.
    #[serde(default)]
    pub diverged: Option<u32>,
    /// Why the run has failed, if it has.
    #[serde(default)]
    pub failure: Option<String>,
    /// What carried pushes and pulls.
    #[serde(default)]
    pub transport: String,
    /// Digest of the plan.
    pub plan: String,
    /// The run folder.
    pub folder: String,
}

/// What only the server knows when a run is over.
#[derive(Clone, Debug)]
pub struct Closing<'a> {
    /// SHA-256 of the final parameters; none if the run did not get there.
    pub digest: Option<String>,
    /// What carried pushes and pulls.
    pub transport: &'a Transport,
    /// What crossed its door.
    pub totals: &'a Totals,
    /// What it put aside.
    pub rejects: &'a Rejects,
    /// Images of the training set; none for a synthetic load.
    pub images: Option<u64>,
    /// Why the run has failed, if it has.
    pub failure: Option<&'a str>,
}

/// Duration of rounds, from the start to the close of the last pull, in milliseconds.
///
/// Percentiles are nearest-rank: the smallest duration that at least so many percent of the rounds do not exceed.
/// With fewer than 100 rounds `p99` is the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundMs {
    /// Half of the rounds took no longer.
    pub p50: f64,
    /// 99 of 100 rounds took no longer.
    pub p99: f64,
    /// Rounds.
    pub n: usize,
}

/// One evaluation on the test set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rounds trained by then.
    pub round: u32,
    /// Epochs trained by then.
    pub epoch: f64,
    /// Share of examples classified correctly.
    pub accuracy: f64,
    /// Mean cross-entropy; none where it is no finite number, which JSON cannot say.
    pub loss: Option<f64>,
}

impl Summary {
    /// The summary of a run whose events were tallied.
    #[must_use]
    pub fn new(tally: &Tally, plan: &str, folder: String, closing: Closing<'_>) -> Self {
        let evaluations: Vec<_> = tally.evaluations.iter().map(Evaluation::from).collect();
        let seconds = tally.seconds();
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let epochs = tally.ended.as_ref().map_or(0.0, |ended| ended.epoch);
        Self {
            accuracy: evaluations.last().map(|last| last.accuracy),
            rounds: tally.rounds,
            seconds,
            rounds_per_second: per_second(f64::from(tally.rounds)),
            images_per_second: closing.images.map(|images| per_second(epochs * images as f64)),
            bytes_up: closing.totals.bytes_up,
            bytes_down: closing.totals.bytes_down,
            round_ms: RoundMs::new(tally.round_ns().collect()),
            digest: closing.digest,
            owed: tally.owed,
            repaired: tally.repaired,
            forgiven: tally.forgiven,
            late: tally.late,
            rejects: closing.rejects.iter().collect(),
            evaluations,
            diverged: tally.diverged.map(|(round, _)| round.0),
            failure: closing.failure.map(ToOwned::to_owned),
            transport: closing.transport.to_string(),
            plan: plan.to_owned(),
            folder,
        }
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary is plain data with string keys")
    }
}

impl From<&Evaluated> for Evaluation {
    fn from(evaluated: &Evaluated) -> Self {
        Self {
            round: evaluated.round.0,
            epoch: evaluated.epoch,
            accuracy: evaluated.correct as f64 / evaluated.total.max(1) as f64,
            loss: Some(evaluated.loss).filter(|loss| loss.is_finite()),
        }
    }
}

impl RoundMs {
    /// The percentiles of durations in nanoseconds.
    #[must_use]
    pub fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (nanos.len() * percent).div_ceil(100).max(1);
            nanos.get(rank - 1).map_or(0.0, |&nanos| nanos as f64 / 1e6)
        };
        Self { p50: percentile(50), p99: percentile(99), n: nanos.len() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(last) = self.evaluations.last() {
            let loss = last.loss.unwrap_or(f64::NAN);
            writeln!(f, "accuracy  {:.2}%, loss {loss:.4}", 100.0 * last.accuracy)?;
        }
        let RoundMs { p50, p99, .. } = self.round_ms;
        let (rounds, seconds) = (self.rounds, self.seconds);
        writeln!(f, "rounds    {rounds} in {seconds:.2} s (p50 {p50:.2} ms, p99 {p99:.2} ms)")?;
        write!(f, "speed     {:.1} rounds/s", self.rounds_per_second)?;
        match self.images_per_second {
            Some(images) => writeln!(f, ", {images:.0} images/s")?,
            None => writeln!(f)?,
        }
        let remark = self.transport.parse().map_or("", |transport: Transport| transport.remark());
        if !remark.is_empty() {
            writeln!(f, "transport {} ({remark})", self.transport)?;
        }
        let (up, down) = (ByteSize(self.bytes_up), ByteSize(self.bytes_down));
        writeln!(f, "bytes     {up} up, {down} down")?;
        let Self { owed, repaired, forgiven, late, .. } = self;
        writeln!(
            f,
            "blocks    {owed} owed, {repaired} repaired, {forgiven} forgiven, {late} late"
        )?;
        if let Some(round) = self.diverged {
            writeln!(f, "diverged  in round {round}: lower the learning rate (--lr)")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "failed    {failure}")?;
        }
        if let Some(digest) = &self.digest {
            writeln!(f, "digest    {digest}")?;
        }
        if !self.rejects.is_empty() {
            let rejects: Vec<String> =
                self.rejects.iter().map(|(reject, count)| format!("{count} {reject}")).collect();
            writeln!(f, "rejects   {}", rejects.join(", "))?;
        }
        writeln!(f, "folder    {}", self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let of = |nanos: Vec<u64>| RoundMs::new(nanos);
        assert_eq!(of(vec![]), RoundMs { p50: 0.0, p99: 0.0, n: 0 });
        assert_eq!(of(vec![5_000_000]), RoundMs { p50: 5.0, p99: 5.0, n: 1 });
        let ms = |count: u64| (1..=count).rev().map(|ms| ms * 1_000_000).collect();
        assert_eq!(of(ms(4)), RoundMs { p50: 2.0, p99: 4.0, n: 4 });
        assert_eq!(of(ms(100)), RoundMs { p50: 50.0, p99: 99.0, n: 100 });
        assert_eq!(of(ms(201)), RoundMs { p50: 101.0, p99: 199.0, n: 201 });
    }
}
