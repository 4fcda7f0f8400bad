//! The worker core over a socket: one thread for the network, one that computes, a channel each way between them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use smol::channel::{Receiver, Sender, unbounded};
use smol::future::FutureExt;

use super::socket::Socket;
use super::weather::Weather;
use super::{BATCHES_MAX, Clock, NetError, Stop, entropy};
use crate::ids::WorkerId;
use crate::link::NetPlan;
use crate::ps::worker::{Answer, Computed, End, Job, Work, WorkerCore, WorkerEvent};
use crate::train::{self, Exchange, Processor};
use crate::units::Instant;
use crate::wire::{ByeCode, Rejects};

/// How long an address of the server is tried before the next one.
const TRY: Duration = Duration::from_secs(1);
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

/// Looks for the server at `host` and works for it until it is over. `conditions` reads the network conditions to
/// emulate out of a plan.
///
/// # Errors
/// If the name has no address, or the socket fails.
pub fn work(
    host: &str,
    processor: Processor,
    conditions: &dyn Fn(&str) -> Option<Conditions>,
    give_up: Duration,
    stop: &mut Stop,
    mut tell: impl FnMut(Note),
) -> Result<End, NetError> {
    let addresses = resolve(host)?;
    let server = addresses[0];
    let socket = Socket::bind(any(server))?;
    let clock = Clock::start();
    let core = WorkerCore::new(socket.capacity(), give_up, entropy()?, clock.now());
    let (jobs, answers) = start(processor)?;
    let mut driver = Driver {
        addresses,
        server,
        tried_at: clock.now(),
        socket,
        clock,
        core,
        jobs,
        answers,
        weather: None,
        number: None,
        conditions,
        working: false,
        worked: 0,
        crashed: false,
        progress_at: clock.now(),
        noticed_at: clock.now(),
        buf: Vec::new(),
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
    Ok(addresses)
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

struct Driver<'a> {
    /// The server's addresses; the first is the one in use.
    addresses: Vec<SocketAddr>,
    server: SocketAddr,
    tried_at: Instant,
    socket: Socket,
    clock: Clock,
    core: WorkerCore,
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    weather: Option<Weather>,
    /// Our first number, which our link goes by.
    number: Option<WorkerId>,
    conditions: &'a dyn Fn(&str) -> Option<Conditions>,
    working: bool,
    /// Rounds computed.
    worked: u32,
    crashed: bool,
    progress_at: Instant,
    noticed_at: Instant,
    buf: Vec<u8>,
}

enum Wake {
    Datagram,
    Timeout,
    Answer(Option<Answer>),
    Stop,
}

impl Driver<'_> {
    async fn run(&mut self, stop: &mut Stop, tell: &mut impl FnMut(Note)) -> Result<End, NetError> {
        let mut end = None;
        loop {
            let more = self.receive()?;
            self.core.handle_timeout(self.clock.now());
            while let Some(event) = self.core.poll_event() {
                self.handle_event(event, tell, &mut end).await;
            }
            let more = self.transmit().await? || more;
            if let Some(end) = end.take_if(|_| self.core.is_done() && !self.has_underway()) {
                tell(Note::PutAside(*self.core.rejects()));
                return Ok(end);
            }
            self.notice(tell);
            self.try_next_address()?;
            match self.wait(stop, more).await? {
                Wake::Datagram | Wake::Timeout => {}
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
        match event {
            WorkerEvent::Welcome(worker) => {
                self.number.get_or_insert(worker);
                tell(Note::Joined(worker));
            }
            WorkerEvent::Searching(why) => tell(Note::Searching(why)),
            WorkerEvent::Ended(how) => *end = Some(how),
            WorkerEvent::Job(job) => {
                if let (Work::Prepare(plan), Some(worker)) = (&job.work, self.number()) {
                    self.weather = (self.conditions)(plan).and_then(|Conditions { net, seed }| {
                        Weather::new(net.for_worker(worker), seed, worker)
                    });
                }
                self.working = true;
                // Only after a crash is nobody there to take it, and then the answers' end tells.
                let _ = self.jobs.send(job).await;
            }
        }
    }

    /// Takes in what has arrived, by way of the emulated link if there is one.
    fn receive(&mut self) -> Result<bool, NetError> {
        let Self { socket, core, clock, weather, server, buf, .. } = self;
        let more = socket.receive(|from, datagram| {
            let now = clock.now();
            match weather {
                _ if from != *server => {}
                Some(weather) => weather.down().send(now, datagram),
                None => core.handle_datagram(now, datagram),
            }
        })?;
        if let Some(weather) = weather {
            let now = clock.now();
            while weather.down().poll(now, buf) {
                core.handle_datagram(now, buf);
            }
        }
        Ok(more)
    }

    /// Sends what is to be sent, up to a limit; whether there may be more. What arrives meanwhile is taken in between
    /// batches.
    async fn transmit(&mut self) -> Result<bool, NetError> {
        for _ in 0..BATCHES_MAX {
            let mut left = self.next_datagram();
            while left && self.socket.fits(self.server, &self.buf) {
                self.socket.add(self.server, &self.buf);
                left = self.next_datagram();
            }
            self.socket.flush().await?;
            if !left {
                return Ok(false);
            }
            self.socket.add(self.server, &self.buf);
            self.receive()?;
        }
        self.socket.flush().await?;
        Ok(true)
    }

    /// Puts the next datagram that leaves into the buffer, by way of the emulated link if there is one.
    fn next_datagram(&mut self) -> bool {
        let now = self.clock.now();
        let Some(weather) = &mut self.weather else {
            return self.core.poll_transmit(now, &mut self.buf);
        };
        while self.core.poll_transmit(now, &mut self.buf) {
            weather.up().send(now, &self.buf);
        }
        weather.up().poll(now, &mut self.buf)
    }

    /// The number that our link goes by: the first one we were given.
    fn number(&self) -> Option<u16> {
        self.number.map(|WorkerId(number)| u16::try_from(number).unwrap_or(u16::MAX))
    }

    fn has_underway(&mut self) -> bool {
        self.weather.as_mut().is_some_and(|weather| weather.up().in_flight() > 0)
    }

    fn notice(&mut self, tell: &mut impl FnMut(Note)) {
        let now = self.clock.now();
        if now - self.noticed_at.max(self.progress_at) < NOTICE {
            return;
        }
        self.noticed_at = now;
        let (what, since) = self.core.waits_for(now, self.working);
        let mut what = what.to_owned();
        if self.socket.is_too_narrow() {
            what.push_str("; this machine sends no datagrams of 1,392 bytes: raise the MTU of the interface to 1,420");
        }
        tell(Note::Waiting(now - since.unwrap_or(self.progress_at), what));
    }

    /// While nobody answers, every address of the server's name has its turn.
    fn try_next_address(&mut self) -> Result<(), NetError> {
        let now = self.clock.now();
        if self.number.is_some() || self.addresses.len() < 2 || now - self.tried_at < TRY {
            return Ok(());
        }
        self.tried_at = now;
        self.addresses.rotate_left(1);
        let server = self.addresses[0];
        if server.is_ipv4() != self.server.is_ipv4() {
            self.socket = Socket::bind(any(server))?;
        }
        self.server = server;
        Ok(())
    }

    /// Waits for what comes next; not at all if there is `more` to be received. An interrupt goes before all else.
    async fn wait(&self, stop: &mut Stop, more: bool) -> Result<Wake, NetError> {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let weather = self.weather.as_ref().and_then(Weather::poll_timeout);
        let notice = self.noticed_at.max(self.progress_at) + NOTICE;
        let tried = Some(self.tried_at + TRY).filter(|_| self.number.is_none());
        let deadline = core.into_iter().chain(weather).chain(tried).fold(notice, Instant::min);
        let deadline = if more { Instant::ZERO } else { deadline };
        let datagram = async { self.socket.readable().await.map(|()| Wake::Datagram) };
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
        stopped.or(answer).or(timeout).or(datagram).await
    }
}
