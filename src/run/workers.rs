//! Worker processes on this machine.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::cli::{Exit, Failure};
use crate::net::Clock;
use crate::plan::Plan;
use crate::units::Instant;

/// How often the processes are looked at.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// How long a worker of `train` looks for a server that is gone.
const GIVE_UP: &str = "10s";
/// How long workers that were told to end may take to.
const JOIN: Duration = Duration::from_secs(2);

/// The worker processes of a run; none if they are started elsewhere. Dropping them ends them.
#[derive(Default)]
pub(super) struct Workers {
    processes: Vec<Process>,
    ended: Vec<(PathBuf, ExitStatus)>,
    checked_at: Instant,
}

struct Process {
    child: Child,
    log: PathBuf,
}

impl Workers {
    /// Workers that somebody else starts.
    pub(super) fn elsewhere() -> Self {
        Self::default()
    }

    /// Starts the workers of a plan, whose server is at `address`. Each computes with `threads` threads; what they say
    /// goes to files in `folder`.
    pub(super) fn start(
        plan: &Plan,
        address: SocketAddr,
        threads: NonZeroUsize,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let program = super::program()?;
        let mut workers = Self::default();
        for number in 1..=plan.workers {
            let log = folder.join(format!("worker-{number}.log"));
            let failed = |error| {
                Failure::new(Exit::Failed, format!("cannot start worker {number}: {error}"))
            };
            let said = File::create(&log).map_err(failed)?;
            let mut child = Command::new(&program)
                .args(["worker", &address.to_string(), "--give-up", GIVE_UP, "--data-dir"])
                .arg(&plan.data_dir)
                .args(["--transport", &plan.transport.at_worker().to_string()])
                .args(["--threads", &threads.to_string()])
                // Not `null`, which opens a device: an empty chroot has none.
                .stdin(Stdio::piped())
                .stdout(said.try_clone().map_err(failed)?)
                .stderr(said)
                // An interrupt of the terminal is for the server alone: it tells the workers.
                .process_group(0)
                .spawn()
                .map_err(failed)?;
            drop(child.stdin.take());
            workers.processes.push(Process { child, log });
        }
        Ok(workers)
    }

    /// An error if no worker is left, and not because the run was over.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), Failure> {
        if self.processes.is_empty() || now - self.checked_at < CHECK_EVERY {
            return Ok(());
        }
        self.checked_at = now;
        self.reap();
        match self.ended.iter().find(|(_, status)| !status.success()) {
            Some((log, status)) if self.processes.is_empty() => Err(failure(log, *status)),
            _ => Ok(()),
        }
    }

    fn reap(&mut self) {
        let ended = &mut self.ended;
        self.processes.retain_mut(|process| match process.child.try_wait() {
            Ok(Some(status)) => {
                ended.push((process.log.clone(), status));
                false
            }
            _ => true,
        });
    }

    /// Waits a little for the processes of a run that is over: they have been told.
    pub(super) fn join(&mut self, clock: Clock) {
        let end = clock.now() + JOIN;
        loop {
            self.reap();
            if self.processes.is_empty() || clock.now() >= end {
                return;
            }
            std::thread::park_timeout(JOIN / 100);
        }
    }
}

/// Why the last worker ended: its own last words, and its exit code.
fn failure(log: &Path, status: ExitStatus) -> Failure {
    let said = fs::read_to_string(log).unwrap_or_default();
    let last = said
        .lines()
        .last()
        .unwrap_or("it said nothing")
        .trim_start_matches("mlt-lite: ")
        .to_owned();
    let exit = match status.code() {
        Some(3) => Exit::Data,
        Some(5) => Exit::Refused,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("all workers have ended, the first one ({status}) with: {last}"))
}

impl Drop for Workers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
