//! What `server` and `train` have in common: a core at a socket, watched by a report.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use super::workers::Workers;
use super::{Console, Job};
use crate::cli::{Exit, Failure};
use crate::event::Stamped;
use crate::net::{Clock, Listening, NetError, Stop, Watch, entropy, wall_clock};
use crate::ps::server::ServerCore;
use crate::report::Report;
use crate::transport::Transport;

/// A run that is being served.
struct Serving<'a, 'b> {
    report: Report,
    console: &'a mut Console<'b>,
    clock: Clock,
    workers: Workers,
}

impl Watch for Serving<'_, '_> {
    type Error = Failure;

    fn see(&mut self, stamped: &Stamped, _: &ServerCore) -> Result<(), Failure> {
        let text = self.report.record(stamped, self.console.now())?;
        self.console.show(&text);
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        if let Some(what) = self.report.goes_on(self.console.now()) {
            self.console.goes_on(what);
        }
        self.workers.check(self.clock.now())
    }
}

/// How a server is started.
pub(super) struct Start<'a> {
    /// The command that does it.
    pub(super) command: &'static str,
    pub(super) listening: Listening,
    pub(super) runs: &'a Path,
    pub(super) json: bool,
}

/// Serves `job` until the run has ended, and leaves its files. `start` is called with the run folder as soon as
/// workers can join and nothing stands in the way.
pub(super) fn serve(
    job: &Job,
    how: Start<'_>,
    console: &mut Console<'_>,
    start: impl FnOnce(&Path, &mut Console<'_>) -> Result<Workers, Failure>,
) -> Result<Exit, Failure> {
    let Start { command, listening, runs, json } = how;
    job.check_real()?;
    let mut stop = Stop::listen()?;
    let clock = Clock::start();
    let report = job.report(runs, command, wall_clock(), console)?;
    let workers = start(report.folder().path(), console)?;
    let mut core = job.server(listening.capacity(), entropy()?, clock.now());
    let mut serving = Serving { report, console, clock, workers };
    let served = listening.serve(&mut core, clock, &mut stop, &mut serving);
    let Serving { report, console, mut workers, .. } = serving;
    if let Err(failure) = served {
        core.stop("the server has failed");
        // What was trained so far is worth keeping, whatever ended it.
        if core.trained() > 0
            && let Err(second) = job.finish(&core, None, report, json, console)
        {
            console.say(format!("mlt-lite: {second}"));
        }
        return Err(failure);
    }
    workers.join(clock);
    job.finish(&core, None, report, json, console)
}

/// Says what holds whatever the plan tolerates.
pub(super) fn say_transport(transport: &Transport, console: &mut Console<'_>) {
    if !transport.remark().is_empty() {
        console.say(format!("transport {transport}: {}", transport.remark()));
    }
}

/// The address under which other machines most likely reach a server that listens at `address`.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Connecting a UDP socket sends nothing: it only asks which interface leads to an address (one for documentation).
    let outside = || -> Result<SocketAddr, NetError> {
        let socket = UdpSocket::bind(SocketAddr::new(address.ip(), 0))?;
        socket.connect(if address.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" })?;
        Ok(socket.local_addr()?)
    };
    outside().map_or(address, |own| SocketAddr::new(own.ip(), address.port()))
}
