//! The lines of `events.jsonl`, as far as an audit looks at them.

use serde::Deserialize;

use super::findings::{Findings, Place};
use super::lines::Lines;
use super::{AuditError, EVENTS};
use crate::units::Tolerance;

/// One line.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) at: u64,
    #[serde(flatten)]
    pub(super) event: Event,
}

/// What happened.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    Run(Opening),
    WorkerJoined(Membership),
    WorkerLeft(Membership),
    RoundStarted(RoundStarted),
    PushClosed(Push),
    PullClosed(Pull),
    RoundEnded(RoundEnded),
    Decided(Decided),
    Evaluated(Evaluated),
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Opening {
    pub(super) plan: String,
    pub(super) rounds: u32,
    pub(super) examples: u64,
    pub(super) resumed: Option<Resumed>,
}

/// Where the run went on from: what was before is in another folder.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Resumed {
    pub(super) digest: String,
    pub(super) round: u32,
    pub(super) epochs: u64,
    pub(super) examples: u64,
    pub(super) critical: bool,
    #[serde(deserialize_with = "parts")]
    pub(super) tolerance: u64,
    pub(super) norm: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    pub(super) worker: u32,
    pub(super) live: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RoundStarted {
    pub(super) round: u32,
    pub(super) workers: Vec<u32>,
    #[serde(deserialize_with = "parts")]
    pub(super) tolerance: u64,
    pub(super) losable: u32,
    pub(super) critical: bool,
    pub(super) batch: u64,
    pub(super) lr: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Push {
    pub(super) round: u32,
    pub(super) worker: u32,
    pub(super) owed: u32,
    pub(super) received: u32,
    pub(super) repaired: u32,
    pub(super) forgiven: u32,
    pub(super) late: u32,
    pub(super) gone: u32,
    pub(super) sent: u32,
    pub(super) datagrams: u32,
    pub(super) passes: u32,
    pub(super) bytes: u64,
    pub(super) allowance: u64,
    pub(super) wait_ns: u64,
    pub(super) push_ns: u64,
    pub(super) residual: Option<f64>,
    pub(super) clipped: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pull {
    pub(super) round: u32,
    pub(super) worker: u32,
    pub(super) owed: u32,
    pub(super) sent: u32,
    pub(super) pull_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RoundEnded {
    pub(super) round: u32,
    /// None where it is no number: nobody has told one.
    pub(super) loss: Option<f64>,
    pub(super) norm: f64,
    pub(super) batch: u64,
    pub(super) round_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Decided {
    pub(super) round: u32,
    pub(super) norm: f64,
    pub(super) previous: Option<f64>,
    pub(super) critical: bool,
    #[serde(deserialize_with = "parts")]
    pub(super) old: u64,
    #[serde(deserialize_with = "parts")]
    pub(super) new: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Evaluated {
    pub(super) round: u32,
    pub(super) epoch: f64,
    pub(super) correct: u64,
    pub(super) total: u64,
    /// None where it is no finite number.
    pub(super) loss: Option<f64>,
}

/// A tolerance in ten-thousandths.
fn parts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let tolerance: Tolerance = text.parse().map_err(serde::de::Error::custom)?;
    Ok(u64::from(tolerance.parts()))
}

/// The next line that is one.
pub(super) fn next(
    lines: &mut Lines,
    findings: &mut Findings,
) -> Result<Option<(u64, Line)>, AuditError> {
    while let Some((number, text)) = lines.next()? {
        match serde_json::from_str(&text) {
            Ok(line) => return Ok(Some((number, line))),
            Err(error) => {
                let place = Place::file(EVENTS).line(number);
                let meaning = format!("the line was damaged or written by somebody else ({error})");
                findings.note(place, "an event", excerpt(&text), meaning);
            }
        }
    }
    Ok(None)
}

/// The beginning of a text, in quotes.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS: usize = 40;
    let start: String = text.chars().take(CHARS).collect();
    let more = if text.chars().count() > CHARS { "..." } else { "" };
    format!("{start:?}{more}")
}
