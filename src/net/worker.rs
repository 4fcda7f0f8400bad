//! The worker core over whatever leads to its server: one thread for the network, one that computes, a channel each way
//! between them.

use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use smol::channel::{Receiver, Sender, unbounded};
use smol::future::FutureExt;

use super::datagrams::Datagrams;
use super::stream::Dial;
use super::{Clock, NetError, Stop, entropy};
use crate::ids::WorkerId;
use crate::link::NetPlan;
use crate::ps::worker::{Answer, Computed, End, Job, WorkerCore, WorkerEvent};
use crate::train::{self, Exchange, Processor};
use crate::transport::Transport;
use crate::units::Instant;
use crate::wire::{ByeCode, Carrier, Rejects};

/// Nobody is left without a word for longer.
const NOTICE: Duration = Duration::from_secs(2);

/// What a worker tells people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The server gave us this number.
    Joined(WorkerId),
    /// The plan is understood and the data is there; what computes.
    Ready(String),
    /// The server is looked for again, and why.
    Searching(String),
    /// So many rounds are computed.
    Worked(u32),
    /// Nothing has happened for so long; what is waited for.
    Waiting(Duration, String),
    /// All that was put aside, in the end.
    PutAside(Rejects),
}

/// Network conditions to emulate.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The links.
    pub net: NetPlan,
    /// The run's seed.
    pub seed: u64,
}

/// What leads to the server.
pub(super) trait Line {
    /// Datagrams that the receive buffer holds.
    fn capacity(&self) -> u16;

    /// Hands the core what has arrived, up to a limit; whether there may be more.
    fn receive(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError>;

    /// Sends what is to be sent, up to a limit; whether there may be more.
    async fn transmit(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError>;

    /// Waits until something can be received, or sent that could not be before.
    async fn ready(&mut self) -> Result<(), NetError>;

    /// Takes in what the core has to tell.
    fn handle_event(&mut self, core: &mut WorkerCore, now: Instant, event: &WorkerEvent);

    /// When there is something to be done whatever arrives.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether something that was sent has not left yet.
    fn has_underway(&mut self, now: Instant) -> bool;

    /// What people should know while the server does not answer.
    fn remark(&self) -> Option<&str>;
}

/// Looks for the server at `host` by `transport` and works for it until it is over. `conditions` reads the network
/// conditions to emulate out of a plan.
///
/// # Errors
/// If the name has no address, or the system does not let us look.
pub fn work(
    host: &str,
    transport: &Transport,
    processor: Processor,
    conditions: &dyn Fn(&str) -> Option<Conditions>,
    give_up: Duration,
    stop: &mut Stop,
    tell: impl FnMut(Note),
) -> Result<End, NetError> {
    let addresses = resolve(host)?;
    if transport.is_tcp() {
        let line = Dial::new(addresses, transport.control())?;
        drive(line, Carrier::Stream, processor, give_up, stop, tell)
    } else {
        let line = Datagrams::new(addresses, conditions)?;
        drive(line, Carrier::Datagrams, processor, give_up, stop, tell)
    }
}

fn drive(
    line: impl Line,
    carrier: Carrier,
    processor: Processor,
    give_up: Duration,
    stop: &mut Stop,
    mut tell: impl FnMut(Note),
) -> Result<End, NetError> {
    let clock = Clock::start();
    let core = WorkerCore::new(line.capacity(), give_up, entropy()?, clock.now()).over(carrier);
    let (jobs, answers) = start(processor)?;
    let mut driver = Driver {
        line,
        clock,
        core,
        jobs,
        answers,
        working: false,
        worked: 0,
        crashed: false,
        progress_at: clock.now(),
        noticed_at: clock.now(),
    };
    smol::block_on(driver.run(stop, &mut tell))
}

/// The addresses of a name, at least one.
pub(super) fn resolve(host: &str) -> Result<Vec<SocketAddr>, NetError> {
    let unknown = |source| NetError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<_> = host.to_socket_addrs().map_err(unknown)?.collect();
    if addresses.is_empty() {
        return Err(unknown(std::io::Error::other("the name has no address")));
    }
    Ok(usable(addresses, |address| UdpSocket::bind(any(address)).is_ok()))
}

/// Those addresses of a family that this system has: some have no IPv6, and names have addresses of both. If that is
/// none, all: whoever binds one then says what is wrong.
fn usable(addresses: Vec<SocketAddr>, has: impl Fn(SocketAddr) -> bool) -> Vec<SocketAddr> {
    let known: Vec<_> = addresses.iter().copied().filter(|&address| has(address)).collect();
    if known.is_empty() { addresses } else { known }
}

/// Any address of this machine from which `server` can be reached.
pub(super) fn any(server: SocketAddr) -> SocketAddr {
    if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() }
}

/// The seam as channels.
struct Channels {
    jobs: Receiver<Job>,
    answers: Sender<Answer>,
}

impl Exchange for Channels {
    fn next(&mut self) -> Option<Job> {
        self.jobs.recv_blocking().ok()
    }

    fn answer(&mut self, answer: Answer) {
        // If the network is gone there will be no next job either.
        let _ = self.answers.send_blocking(answer);
    }
}

/// Starts the thread that computes. It ends when the network no longer wants its answers.
fn start(mut processor: Processor) -> Result<(Sender<Job>, Receiver<Answer>), NetError> {
    // Rarely more than one of each: a job is only given when the one before has come back, or has lost its purpose.
    let (job_sender, jobs) = unbounded();
    let (answers, answer_receiver) = unbounded();
    let mut channels = Channels { jobs, answers };
    std::thread::Builder::new()
        .name("compute".to_owned())
        .spawn(move || train::run(&mut processor, &mut channels))?;
    Ok((job_sender, answer_receiver))
}

struct Driver<L> {
    line: L,
    clock: Clock,
    core: WorkerCore,
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    working: bool,
    /// Rounds computed.
    worked: u32,
    crashed: bool,
    progress_at: Instant,
    noticed_at: Instant,
}

enum Wake {
    Ready,
    Timeout,
    Answer(Option<Answer>),
    Stop,
}

impl<L: Line> Driver<L> {
    async fn run(&mut self, stop: &mut Stop, tell: &mut impl FnMut(Note)) -> Result<End, NetError> {
        let mut end = None;
        loop {
            let more = self.line.receive(&mut self.core, self.clock)?;
            self.core.handle_timeout(self.clock.now());
            while let Some(event) = self.core.poll_event() {
                self.handle_event(event, tell, &mut end).await;
            }
            let more = self.line.transmit(&mut self.core, self.clock).await? || more;
            let now = self.clock.now();
            if let Some(end) = end.take_if(|_| self.core.is_done() && !self.line.has_underway(now))
            {
                tell(Note::PutAside(*self.core.rejects()));
                return Ok(end);
            }
            self.notice(tell);
            match self.wait(stop, more).await? {
                Wake::Ready | Wake::Timeout => {}
                Wake::Answer(Some(answer)) => {
                    self.working = false;
                    self.progress_at = self.clock.now();
                    match &answer.result {
                        Computed::Ready(setup) => tell(Note::Ready(setup.engine.clone())),
                        Computed::Trained(..) => {
                            self.worked += 1;
                            tell(Note::Worked(self.worked));
                        }
                        _ => {}
                    }
                    self.core.handle_answer(answer);
                }
                Wake::Answer(None) => {
                    self.crashed = true;
                    self.core.leave(ByeCode::Leaving, "its computation crashed");
                }
                Wake::Stop => self.core.leave(ByeCode::Leaving, "it was interrupted"),
            }
        }
    }

    async fn handle_event(
        &mut self,
        event: WorkerEvent,
        tell: &mut impl FnMut(Note),
        end: &mut Option<End>,
    ) {
        self.progress_at = self.clock.now();
        self.line.handle_event(&mut self.core, self.progress_at, &event);
        match event {
            WorkerEvent::Welcome(worker) => tell(Note::Joined(worker)),
            WorkerEvent::Searching(why) => tell(Note::Searching(why)),
            WorkerEvent::Ended(how) => *end = Some(how),
            WorkerEvent::Job(job) => {
                self.working = true;
                // Only after a crash is nobody there to take it, and then the answers' end tells.
                let _ = self.jobs.send(job).await;
            }
        }
    }

    fn notice(&mut self, tell: &mut impl FnMut(Note)) {
        let now = self.clock.now();
        if now - self.noticed_at.max(self.progress_at) < NOTICE {
            return;
        }
        self.noticed_at = now;
        let (what, since) = self.core.waits_for(now, self.working);
        let remark = self.line.remark().map_or_else(String::new, |remark| format!("; {remark}"));
        tell(Note::Waiting(now - since.unwrap_or(self.progress_at), format!("{what}{remark}")));
    }

    /// Waits for what comes next; not at all if there is `more` to be received. An interrupt goes before all else.
    async fn wait(&mut self, stop: &mut Stop, more: bool) -> Result<Wake, NetError> {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let notice = self.noticed_at.max(self.progress_at) + NOTICE;
        let deadline = core.into_iter().chain(self.line.poll_timeout()).fold(notice, Instant::min);
        let deadline = if more { Instant::ZERO } else { deadline };
        let ready = async { self.line.ready().await.map(|()| Wake::Ready) };
        let timeout = async {
            smol::Timer::at(self.clock.at(deadline)).await;
            Ok(Wake::Timeout)
        };
        let answer = async {
            if self.crashed {
                std::future::pending::<()>().await;
            }
            Ok(Wake::Answer(self.answers.recv().await.ok()))
        };
        let stopped = async {
            stop.wait().await;
            Ok(Wake::Stop)
        };
        stopped.or(answer).or(timeout).or(ready).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_family_that_the_system_lacks_are_left_out() {
        let both: Vec<SocketAddr> = vec![([0u16; 8], 1).into(), ([127, 0, 0, 1], 1).into()];
        assert_eq!(usable(both.clone(), |address| address.is_ipv4()), both[1..]);
        assert_eq!(usable(both.clone(), |_| true), both);
        assert_eq!(usable(both.clone(), |_| false), both, "whoever binds one says what is wrong");
    }
}
