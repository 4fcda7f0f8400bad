//! What a run came to, as one JSON object and as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::cost::CodecCost;
use super::tally::Tally;
use crate::event::Evaluated;
use crate::flat::RESIDUAL_MAX;
use crate::ps::server::Totals;
use crate::sim::Traffic;
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
    /// From the start of the first round to the end of the last step or pull, in seconds.
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
    /// All datagrams of a simulation; none of real networks, which do not say.
    #[serde(default)]
    pub traffic: Option<Traffic>,
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
    /// Pushes before which a worker gave up a part of what was unsaid, because it was beyond all bounds.
    #[serde(default)]
    pub clipped: u64,
    /// Pushes of all workers.
    #[serde(default)]
    pub pushes: u64,
    /// UDP payload bytes of pushes that arrived.
    #[serde(default)]
    pub push_bytes: u64,
    /// The longest push of a round, on average, in milliseconds.
    #[serde(default)]
    pub push_ms: f64,
    /// What the codecs of pushes cost and saved, that of most rounds first; none of a simulation, which has no time.
    #[serde(default)]
    pub codecs: Vec<CodecCost>,
    /// Datagrams of pushes that workers are known to have sent, copies included.
    pub push_sent: u64,
    /// Datagrams of pushes that arrived.
    pub push_arrived: u64,
    /// Blocks of all pulls.
    pub pull_owed: u64,
    /// Datagrams sent for pulls, copies included.
    pub pull_sent: u64,
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
    /// What a simulation knows of its links.
    pub traffic: Option<Traffic>,
    /// Images of the training set, and those that were taken before this run; none for a synthetic load.
    pub images: Option<(u64, u64)>,
    /// What the codecs of pushes cost, that of most rounds first.
    pub codecs: Vec<CodecCost>,
    /// Why the run has failed, if it has.
    pub failure: Option<&'a str>,
}

/// With fewer rounds, one of a hundred is none of them.
const P99_ROUNDS_MIN: usize = 100;

/// Duration of rounds, from the start at the server to the optimizer's step, with which the next one starts, in
/// milliseconds.
///
/// Percentiles are nearest-rank: the smallest duration that at least so many percent of the rounds do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundMs {
    /// Half of the rounds took no longer; none without rounds.
    pub p50: Option<f64>,
    /// 99 of 100 rounds took no longer; none with fewer than 100.
    pub p99: Option<f64>,
    /// No round took longer.
    #[serde(default)]
    pub max: Option<f64>,
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
    /// When it was known, in seconds after the start of the first round, earlier evaluations and all; none of runs of
    /// earlier versions, which did not say.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// UDP payload bytes of pushes that had arrived by then; none as above.
    #[serde(default)]
    pub push_bytes: Option<u64>,
}

impl Summary {
    /// The summary of a run whose events were tallied.
    #[must_use]
    pub fn new(tally: &Tally, plan: &str, folder: String, closing: Closing<'_>) -> Self {
        let evaluations = tally.evaluations.clone();
        let seconds = tally.seconds();
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let push_ms = tally.push_ns as f64 / 1e6 / f64::from(tally.rounds.max(1));
        let epochs = tally.ended.as_ref().map_or(0.0, |ended| ended.epoch);
        Self {
            accuracy: evaluations.last().map(|last| last.accuracy),
            rounds: tally.rounds,
            seconds,
            rounds_per_second: per_second(f64::from(tally.rounds)),
            images_per_second: closing.images.map(|(images, before)| {
                per_second((epochs * images as f64 - before as f64).max(0.0))
            }),
            bytes_up: closing.totals.bytes_up,
            bytes_down: closing.totals.bytes_down,
            round_ms: RoundMs::new(tally.round_ns.clone()),
            traffic: closing.traffic,
            digest: closing.digest,
            owed: tally.owed,
            repaired: tally.repaired,
            forgiven: tally.forgiven,
            late: tally.late,
            clipped: tally.clipped,
            pushes: tally.pushes,
            push_bytes: tally.bytes_up,
            push_ms,
            codecs: closing.codecs,
            push_sent: tally.push_sent,
            push_arrived: tally.push_arrived,
            pull_owed: tally.pull_owed,
            pull_sent: tally.pull_sent,
            rejects: closing.rejects.iter().collect(),
            evaluations,
            diverged: tally.diverged.map(|(round, _)| round.0),
            failure: closing.failure.map(ToOwned::to_owned),
            transport: closing.transport.to_string(),
            plan: plan.to_owned(),
            folder,
        }
    }

    /// UDP payload bytes of a push, on average.
    #[must_use]
    pub fn bytes_per_push(&self) -> Option<f64> {
        (self.pushes > 0).then(|| self.push_bytes as f64 / self.pushes as f64)
    }

    /// The first evaluation of at least this accuracy, if there is one.
    #[must_use]
    pub fn reached(&self, accuracy: f64) -> Option<&Evaluation> {
        self.evaluations.iter().find(|evaluation| evaluation.accuracy >= accuracy)
    }

    /// One JSON object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary is plain data with string keys")
    }
}

impl Evaluation {
    /// One that was known after so many seconds, when so many bytes of pushes had arrived.
    #[must_use]
    pub fn new(evaluated: &Evaluated, seconds: f64, push_bytes: u64) -> Self {
        Self {
            round: evaluated.round.0,
            epoch: evaluated.epoch,
            accuracy: evaluated.accuracy(),
            loss: Some(evaluated.loss).filter(|loss| loss.is_finite()),
            seconds: Some(seconds),
            push_bytes: Some(push_bytes),
        }
    }
}

impl RoundMs {
    /// The percentiles of durations in nanoseconds.
    #[must_use]
    pub fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        let n = nanos.len();
        let ms = |rank: usize| nanos.get(rank.checked_sub(1)?).map(|&nanos| nanos as f64 / 1e6);
        let percentile = |percent: usize| ms((n * percent).div_ceil(100));
        let p99 = percentile(99).filter(|_| n >= P99_ROUNDS_MIN);
        Self { p50: percentile(50), p99, max: ms(n), n }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(last) = self.evaluations.last() {
            let loss = last.loss.unwrap_or(f64::NAN);
            writeln!(f, "accuracy  {:.2}%, loss {loss:.4}", 100.0 * last.accuracy)?;
        }
        let (rounds, seconds) = (self.rounds, self.seconds);
        write!(f, "rounds    {rounds} in {seconds:.2} s")?;
        let RoundMs { p50, p99, max, .. } = self.round_ms;
        let known = [("p50", p50), ("p99", p99), ("max", max)];
        let known = known.into_iter().filter_map(|(name, ms)| Some((name, ms?)));
        let words: Vec<_> = known.map(|(name, ms)| format!("{name} {ms:.2} ms")).collect();
        writeln!(
            f,
            "{}",
            if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
        )?;
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
        let Self { push_sent, push_arrived, pull_sent, .. } = self;
        writeln!(
            f,
            "datagrams {push_sent} pushed, of which {push_arrived} arrived; {pull_sent} for pulls"
        )?;
        for codec in self.codecs.iter().filter(|codec| codec.is_told()) {
            writeln!(f, "codec     {}", codec.verdict(self))?;
        }
        if self.clipped > 0 {
            let Self { clipped, pushes, .. } = self;
            writeln!(
                f,
                "residual  clipped before {clipped} of {pushes} pushes: it was beyond {RESIDUAL_MAX} gradients"
            )?;
        }
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
        let of = |count: u64| {
            let RoundMs { p50, p99, max, n } =
                RoundMs::new((1..=count).rev().map(|ms| ms * 1_000_000).collect());
            assert_eq!(n as u64, count);
            (p50, p99, max)
        };
        assert_eq!(of(0), (None, None, None));
        assert_eq!(of(1), (Some(1.0), None, Some(1.0)));
        assert_eq!(of(4), (Some(2.0), None, Some(4.0)));
        assert_eq!(of(99).1, None);
        assert_eq!(of(100), (Some(50.0), Some(99.0), Some(100.0)));
        assert_eq!(of(201), (Some(101.0), Some(199.0), Some(201.0)));
    }
}
