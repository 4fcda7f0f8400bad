//! The `worker` command: everything but the server's address comes from the server.

use super::threads::threads;
use super::{Brief, Console, prepare};
use crate::cli::{self, Exit, Failure};
use crate::ids::WorkerId;
use crate::net::{Conditions, Note, Stop, work};
use crate::ps::worker::End;
use crate::train::Processor;
use crate::wire::ByeCode;

/// Works for the server at `typed.address` until it is over.
///
/// # Errors
/// If it ends in any other way than with the run.
pub fn worker(typed: &cli::Worker, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let address = &typed.address;
    console.say(format!("looking for the server at {address}"));
    let mut stop = Stop::listen()?;
    let processor = Processor::new(prepare(typed.data_dir.clone(), threads(typed.threads, 1)));
    let mut us = String::from("worker");
    let end = work(address, processor, &conditions, typed.give_up, &mut stop, |note| match note {
        Note::Joined(WorkerId(number)) => {
            us = format!("worker {number}");
            console.say(format!("{us} of {address}"));
        }
        Note::Ready(engine) => console.say(format!("{us}: ready: {engine}")),
        Note::Searching(why) => console.say(format!("{us}: {why}; looking for it again")),
        Note::Waiting(time, what) => {
            console.say(format!("{us}: {what} ({:.0} s)", time.as_secs_f64()))
        }
    });
    let (exit, why) = match end? {
        End::Finished => {
            console.say(format!("{us}: the run is over"));
            return Ok(Exit::Done);
        }
        End::Left(ByeCode::Leaving, why) => {
            console.say(format!("{us}: {why}"));
            return Ok(Exit::Interrupted);
        }
        End::Stopped(why) => (Exit::Unreachable, format!("the server stopped: {why}")),
        End::Refused(why) => (Exit::Refused, why),
        End::Lost(time) => {
            let time = time.as_secs_f64();
            let why = format!(
                "no answer from {address} for {time:.1} s: is the server started, and is its UDP port open?"
            );
            (Exit::Unreachable, why)
        }
        End::Left(ByeCode::Data, why) => (Exit::Data, why),
        End::Left(ByeCode::Refused, why) => (Exit::Refused, why),
        End::Left(_, why) => (Exit::Failed, why),
    };
    Err(Failure::new(exit, why))
}

/// The network conditions to emulate, out of a server's brief. What is wrong with that is said when it is followed.
fn conditions(brief: &str) -> Option<Conditions> {
    let plan = Brief::parse(brief).ok()?.plan;
    Some(Conditions { net: plan.net.parse().ok()?, seed: plan.seed })
}
