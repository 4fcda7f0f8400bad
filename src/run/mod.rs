//! The commands at work: what a run needs before it starts, who carries it out, what is left of it.
//!
//! Each command is a function of what was typed ([`crate::cli`]) and a [`Console`]; it returns its exit code, or a
//! failure that `main` prints. A server needs a [`Job`]; a worker needs nothing but the [`Brief`] that the server
//! sends it, and [`prepare()`].

mod audit;
mod brief;
mod check;
mod console;
mod cost;
mod data;
mod eval;
mod experiment;
mod full;
mod job;
mod prepare;
mod regimes;
mod resumed;
mod server;
mod serving;
mod sim;
mod threads;
mod train;
mod version;
mod words;
mod worker;
mod workers;

use std::path::PathBuf;

pub use audit::audit;
pub use brief::{Brief, BriefError};
pub use check::check;
pub use console::Console;
pub use data::data;
pub use eval::eval;
pub use experiment::experiment;
pub use job::{FINAL, INTERRUPTED, Job};
pub use prepare::prepare;
pub use regimes::regimes;
pub use server::server;
pub use sim::sim;
pub use train::train;
pub use version::version;
pub use words::WORDS;
pub use worker::worker;

use crate::cli::{Exit, Failure};

/// This program, for child processes. Where `/proc` is missing, as in an empty chroot, it is what it was called by.
///
/// # Errors
/// If not even that is known.
pub fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .or_else(|error| std::env::args_os().next().map(Into::into).ok_or(error))
        .map_err(|error| Failure::new(Exit::Failed, error))
}
