//! What `server` and `train` have in common: a core at a socket, watched by a report.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use super::job::Job;
use super::say;
use super::workers::Workers;
use crate::cli::{Exit, Failure};
use crate::event::Stamped;
use crate::net::{Clock, Listening, NetError, Stop, Watch, entropy, wall_clock};
use crate::plan::Plan;
use crate::ps::server::{Outcome, ServerCore};
use crate::report::{Progress, Report, RunFolder, Style};

/// A run that is being served.
pub(super) struct Serving {
    report: Report,
    clock: Clock,
    workers: Workers,
}

impl Watch for Serving {
    type Error = Failure;

    fn see(&mut self, stamped: &Stamped, _: &ServerCore) -> Result<(), Failure> {
        show(&self.report.record(stamped, self.clock.now())?);
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.workers.check(self.clock.now())
    }
}

/// Serves `plan` at `listening` until the run has ended, and leaves its files. `start` is called with the run folder as
/// soon as workers can join.
pub(super) fn serve(
    plan: &Plan,
    listening: Listening,
    runs: &Path,
    json: bool,
    start: impl FnOnce(&Path) -> Result<Workers, Failure>,
) -> Result<Exit, Failure> {
    let job = Job::new(plan)?;
    let mut stop = Stop::listen()?;
    let clock = Clock::start();
    let folder = RunFolder::create(runs, plan, &crate::cli::command_line(std::env::args()), wall_clock())?;
    let progress = Progress::new(Style::of_stderr(), job.config.rounds, plan.workers);
    let workers = start(folder.path())?;
    let mut serving = Serving { report: Report::new(folder, progress), clock, workers };
    let capacity = listening.capacity();
    let mut core = job.core(capacity, entropy()?, clock.now());
    let outcome = listening.serve(&mut core, clock, &mut stop, &mut serving);
    let Serving { report, mut workers, .. } = serving;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => {
            // What was trained so far is worth keeping, whatever ended it.
            if core.trained() > 0
                && let Err(second) = job.finish(&core, report, &Outcome::Stopped, json) {
                say(&format!("mlt-lite: {second}"));
            }
            return Err(failure);
        }
    };
    workers.join(clock);
    job.finish(&core, report, &outcome, json)
}

/// The address under which other machines most likely reach a server that listens at `address`.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Connecting a UDP socket sends nothing; it only asks which interface leads outside (an address for documentation).
    let outside = || -> Result<_, NetError> {
        let socket = UdpSocket::bind(SocketAddr::new(address.ip(), 0))?;
        socket.connect(if address.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" })?;
        Ok(socket.local_addr()?)
    };
    outside().map_or(address, |own| SocketAddr::new(own.ip(), address.port()))
}

/// Writes what the progress has to show to standard error.
pub(super) fn show(text: &str) {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    // Nobody is left to be told if that is closed.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
