//! The `server` command.

use super::serving::{Start, reachable, say_transport, serve};
use super::workers::Workers;
use super::{Console, Job, WORDS};
use crate::cli::{self, DEFAULT_BIND, Exit, Failure, bind_address};
use crate::net::Listening;
use crate::plan::Plan;
use crate::simd::Level;
use crate::transport::Transport;

/// Holds the parameters and serves workers until the run has ended.
///
/// # Errors
/// If the run cannot begin, or ends in any other way than finished or interrupted.
pub fn server(typed: &cli::Server, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let plan = Plan::from_entries(typed.entries()?, &WORDS)?;
    Level::detect()?;
    let address = bind_address(typed.bind.as_deref().unwrap_or(DEFAULT_BIND), typed.insecure)?;
    let job = Job::new(plan)?;
    let transport = &job.plan().transport;
    let listening = Listening::bind(address, transport)?;
    let flag = match transport.at_worker() {
        Transport::Bounded => String::new(),
        other => format!("--transport {other} "),
    };
    // The address is the last word.
    let line =
        format!("start each worker with: mlt-lite worker {flag}{}", reachable(listening.address()));
    say_transport(transport, console);
    let how = Start { command: "server", listening, runs: &typed.runs, json: typed.json };
    serve(&job, how, console, |_, console| {
        if typed.json {
            console.say(line);
        } else {
            console.result(line);
        }
        Ok(Workers::elsewhere())
    })
}
