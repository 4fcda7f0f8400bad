//! The worker core over a socket: one thread for the network, one that computes, a channel each way between them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use smol::channel::{Receiver, Sender, bounded};
use smol::future::{self, FutureExt};

use super::socket::Socket;
use super::weather::Weather;
use super::{Clock, NetError, Stop, entropy};
use crate::ids::WorkerId;
use crate::link::NetPlan;
use crate::ps::worker::{Answer, End, Job, WorkerCore, WorkerEvent};
use crate::train::{self, Exchange, Processor};
use crate::units::Instant;
use crate::wire::ByeCode;

/// Nobody is left without a word for longer.
const NOTICE: Duration = Duration::from_secs(2);

/// What a worker tells people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The server gave us this number.
    Joined(WorkerId),
    /// The server is looked for again, and why.
    Searching(String),
    /// Nothing has happened for so long; what is waited for.
    Waiting(Duration, String),
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
    let server = resolve(host)?;
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = Socket::bind(any)?;
    let clock = Clock::start();
    let core = WorkerCore::new(socket.capacity(), give_up, entropy()?, clock.now());
    let (jobs, answers) = start(processor)?;
    let mut driver = Driver {
        server,
        socket,
        clock,
        core,
        jobs,
        answers,
        weather: None,
        number: None,
        conditions,
        working: false,
        progress_at: clock.now(),
        noticed_at: clock.now(),
        buf: Vec::new(),
    };
    smol::block_on(driver.run(stop, &mut tell))
}

fn resolve(host: &str) -> Result<SocketAddr, NetError> {
    let unknown = |source| NetError::Resolve { host: host.to_owned(), source };
    let nothing = || std::io::Error::other("the name has no address");
    host.to_socket_addrs().map_err(unknown)?.next().ok_or_else(nothing).map_err(unknown)
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
    let (job_sender, jobs) = bounded(1);
    let (answers, answer_receiver) = bounded(1);
    let mut channels = Channels { jobs, answers };
    std::thread::Builder::new()
        .name("compute".to_owned())
        .spawn(move || train::run(&mut processor, &mut channels))?;
    Ok((job_sender, answer_receiver))
}

struct Driver<'a> {
    server: SocketAddr,
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
            self.transmit().await?;
            while let Some(event) = self.core.poll_event() {
                self.handle_event(event, tell, &mut end).await;
            }
            // Events may have made something to say.
            self.transmit().await?;
            if let Some(end) = end.take_if(|_| self.core.is_done() && !self.has_underway()) {
                return Ok(end);
            }
            self.notice(tell);
            if more {
                continue;
            }
            match self.wait(stop).await? {
                Wake::Datagram | Wake::Timeout => {}
                Wake::Answer(Some(answer)) => {
                    self.working = false;
                    self.progress_at = self.clock.now();
                    self.core.handle_answer(answer);
                }
                Wake::Answer(None) => {
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
                if let (Job::Prepare(plan), Some(worker)) = (&job, self.number) {
                    self.weather = (self.conditions)(plan).and_then(|Conditions { net, seed }| {
                        Weather::new(net.for_worker(worker.0), seed, worker.0)
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

    /// Sends all there is to be sent; what arrives meanwhile is taken in between batches.
    async fn transmit(&mut self) -> Result<(), NetError> {
        loop {
            let now = self.clock.now();
            let any = match &mut self.weather {
                None => self.core.poll_transmit(now, &mut self.buf),
                Some(weather) => {
                    while self.core.poll_transmit(now, &mut self.buf) {
                        weather.up().send(now, &self.buf);
                    }
                    weather.up().poll(now, &mut self.buf)
                }
            };
            if !any {
                return self.socket.flush().await;
            }
            if !self.socket.fits(self.server, &self.buf) {
                let next = std::mem::take(&mut self.buf);
                self.socket.flush().await?;
                self.receive()?;
                self.buf = next;
            }
            self.socket.add(self.server, &self.buf);
        }
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
        let what = self.core.waits_for(now, self.working);
        tell(Note::Waiting(now - self.progress_at, what));
    }

    async fn wait(&self, stop: &mut Stop) -> Result<Wake, NetError> {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let weather = self.weather.as_ref().and_then(Weather::poll_timeout);
        let notice = self.noticed_at.max(self.progress_at) + NOTICE;
        let deadline = core.into_iter().chain(weather).fold(notice, Instant::min);
        let datagram = async { self.socket.readable().await.map(|()| Wake::Datagram) };
        let timeout = async {
            smol::Timer::at(self.clock.at(deadline)).await;
            Ok(Wake::Timeout)
        };
        let answer = async { Ok(Wake::Answer(self.answers.recv().await.ok())) };
        let stopped = async {
            stop.wait().await;
            Ok(Wake::Stop)
        };
        future::race(stopped, answer.or(datagram).or(timeout)).await
    }
}
