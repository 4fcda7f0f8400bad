//! The `train` command: a server in this process, and its workers in processes of their own.

use std::path::Path;

use super::serving::{Start, say_transport, serve};
use super::threads::threads;
use super::workers::Workers;
use super::{Console, Job, WORDS};
use crate::cli::{self, Exit, Failure, bind_address};
use crate::net::Listening;
use crate::plan::Plan;
use crate::simd::Level;

/// Any free port of this machine.
const BIND: &str = "127.0.0.1:0";

/// Trains on this machine.
///
/// # Errors
/// If the run cannot begin, or ends in any other way than finished or interrupted.
pub fn train(typed: &cli::Train, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let plan = Plan::from_entries(typed.entries()?, &WORDS)?;
    // The workers would find out one after the other.
    Level::detect()?;
    let address = bind_address(typed.bind.as_deref().unwrap_or(BIND), typed.insecure)?;
    console.goes_on("preparing the run");
    let job = Job::new(plan)?;
    job.check_data()?;
    let listening = Listening::bind(address, &job.plan().transport)?;
    let mut server = listening.address();
    if server.ip().is_unspecified() {
        server.set_ip([127, 0, 0, 1].into());
    }
    let threads = threads(typed.threads, job.plan().workers);
    let start = |folder: &Path, console: &mut Console<'_>| {
        let plan = job.plan();
        console.say(format!("training with {} worker processes at {server}", plan.workers));
        say_transport(&plan.transport, console);
        Workers::start(plan, server, threads, folder)
    };
    let how = Start { command: "train", listening, runs: &typed.runs, json: typed.json };
    serve(&job, how, console, start)
}
