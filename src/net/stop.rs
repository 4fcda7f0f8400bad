//! Ctrl-C, and other polite requests to end.

use std::convert::Infallible;
use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_signal::{Signal, Signals};
use rustix::process::{Pid, Signal as Sent, kill_process};
use smol::future::FutureExt;
use smol::stream::StreamExt;

use super::NetError;

/// Waits for an interrupt, a termination, or the end of the terminal.
pub struct Stop {
    signals: Signals,
}

impl Stop {
    /// From now on such a request does not end the process by itself. Under `nohup`, the end of the terminal is none.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn listen() -> Result<Self, NetError> {
        let mut signals = Signals::new([Signal::Int, Signal::Term])?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if !hangup_is_ignored(&status) {
            signals.add_signals([Signal::Hup])?;
        }
        Ok(Self { signals })
    }

    /// Waits for the next request.
    pub(super) async fn wait(&mut self) {
        if self.signals.next().await.is_none() {
            std::future::pending::<Infallible>().await;
        }
    }

    /// Waits for `work`, which blocks a thread of its own, and calls `pass_on` for each request meanwhile.
    pub fn during<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        mut pass_on: impl FnMut(),
    ) -> T {
        smol::block_on(async {
            let mut work = smol::unblock(work);
            loop {
                let done = async { Some((&mut work).await) };
                let requested = async {
                    self.wait().await;
                    None
                };
                match done.or(requested).await {
                    Some(done) => return done,
                    None => pass_on(),
                }
            }
        })
    }

    /// For those who never wait: a flag that the first request sets.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn into_flag(mut self) -> Result<Arc<AtomicBool>, NetError> {
        let requested = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&requested);
        std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
            smol::block_on(async {
                self.wait().await;
                flag.store(true, Ordering::Relaxed);
                // The signals stay caught.
                std::future::pending::<Infallible>().await
            })
        })?;
        Ok(requested)
    }
}

/// A child process as an address for interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(Pid);

impl Interrupt {
    /// For `child`, which must not have been waited for when [`send`](Self::send) is called.
    #[must_use]
    pub fn of(child: &Child) -> Self {
        Self(Pid::from_child(child))
    }

    /// Interrupts it, as Ctrl-C would.
    pub fn send(self) {
        // If it has ended already, all is well.
        let _ = kill_process(self.0, Sent::INT);
    }
}

/// Whether the process with this `/proc/PID/status` was started to outlive its terminal.
fn hangup_is_ignored(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_recognised() {
        for (status, ignored) in [
            ("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n", false),
            ("SigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n", true),
            ("SigIgn:\tnonsense", false),
            ("", false),
        ] {
            assert_eq!(hangup_is_ignored(status), ignored, "{status}");
        }
    }
}
