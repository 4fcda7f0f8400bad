//! A check of the path between a machine and a server: what gets through, how long it takes, what is lost.
//!
//! The `Desk` is the server's side. It counts probes and answers them, has no part in the run, and what it may cost
//! is bounded. The [`Checker`] is the other side, driven as [`crate::mlt`] says; it ends with [`Findings`].

mod checker;
mod desk;
mod findings;
mod stage;
#[cfg(test)]
mod tests;

pub use checker::{CheckEnd, Checker};
pub(super) use desk::Desk;
pub use findings::{Findings, Way};
pub use stage::Stage;

use std::time::Duration;

/// Numbers of the probes of one check go from 1 to this: beside its stages as they are planned, room for questions that
/// are asked again.
const PROBES_MAX: u64 = 1024;
/// Answers that one check gets: 1.4 MB, if all are of the largest size.
const ECHOES_MAX: u32 = 1024;
/// Checks that a server has at a time; with the limits above, 9 Mbit/s each way in the worst of cases.
const CHECKS_MAX: usize = 8;
/// How long a check has its place: longer than any takes.
const CHECK_TIME: Duration = Duration::from_secs(10);
