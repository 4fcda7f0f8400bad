//! The `worker` command: everything but the server's address comes from the server.

use std::time::Duration;

use super::threads::threads;
use super::{Brief, Console, prepare};
use crate::cli::{self, Exit, Failure};
use crate::ids::WorkerId;
use crate::net::{Conditions, Note, Stop, work};
use crate::ps::worker::End;
use crate::report::Live;
use crate::train::Processor;
use crate::wire::{ByeCode, Rejects};

/// A pipe hears of a worker that is well at most so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

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
    let mut live = Live::new(console.style(), LINE_EVERY);
    let mut aside = Rejects::default();
    let transport = &typed.transport;
    let end = work(address, transport, processor, &conditions, typed.give_up, &mut stop, |note| {
        let now = console.now();
        let text = match note {
            Note::Joined(WorkerId(number)) => {
                us = format!("worker {number}");
                live.message(&format!("{us} of {address}"))
            }
            Note::Ready(engine) => live.message(&format!("{us}: ready: {engine}")),
            Note::Searching(why) => live.message(&format!("{us}: {why}; looking for it again")),
            Note::Worked(_) if !live.due(now) => return,
            Note::Worked(rounds) => {
                live.line(&format!("{us}: rounds computed: {rounds}; waiting for the next"), now)
            }
            Note::Waiting(time, what) => {
                live.line(&format!("{us}: {what} ({:.0} s)", time.as_secs_f64()), now)
            }
            Note::PutAside(rejects) => {
                aside = rejects;
                live.finish().to_owned()
            }
        };
        console.show(&text);
    })?;
    let aside = put_aside(&aside);
    let (exit, why) = match end {
        End::Finished => {
            console.say(format!("{us}: the run is over{aside}"));
            return Ok(Exit::Done);
        }
        End::Left(ByeCode::Leaving, why) => {
            console.say(format!("{us}: {why}{aside}"));
            return Ok(Exit::Interrupted);
        }
        End::Stopped(why) => (Exit::Unreachable, format!("the server stopped: {why}")),
        End::Refused(why) => (Exit::Refused, why),
        End::Lost(time) => {
            let time = time.as_secs_f64();
            let advice = match transport.is_tcp() {
                true => "with --transport tcp, and is its TCP port open?",
                false => "and is its UDP port open?",
            };
            let why = format!(
                "no answer from {address} for {time:.1} s: is the server started, {advice}"
            );
            (Exit::Unreachable, why)
        }
        End::Left(ByeCode::Data, why) => (Exit::Data, why),
        End::Left(ByeCode::Refused, why) => (Exit::Refused, why),
        End::Left(_, why) => (Exit::Failed, why),
    };
    Err(Failure::new(exit, why + &aside))
}

/// What came and was not used, for the closing line; nothing if there was none.
fn put_aside(rejects: &Rejects) -> String {
    let counts: Vec<String> =
        rejects.iter().map(|(reject, count)| format!("{count} {reject}")).collect();
    match rejects.total() {
        0 => String::new(),
        total => format!("; put aside {total} datagrams or blocks ({})", counts.join(", ")),
    }
}

/// The network conditions to emulate, out of a server's brief. What is wrong with that is said when it is followed.
fn conditions(brief: &str) -> Option<Conditions> {
    let plan = Brief::parse(brief).ok()?.plan;
    Some(Conditions { net: plan.net.parse().ok()?, seed: plan.seed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reject;

    #[test]
    fn what_was_put_aside_is_said_if_there_is_any() {
        let mut rejects = Rejects::default();
        assert_eq!(put_aside(&rejects), "");
        for reject in [Reject::Checksum, Reject::Replayed, Reject::Checksum] {
            rejects.count(reject);
        }
        let said = "; put aside 3 datagrams or blocks (2 checksum, 1 replayed)";
        assert_eq!(put_aside(&rejects), said);
    }
}
