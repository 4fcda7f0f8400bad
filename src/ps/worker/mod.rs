//! The worker: looks for the server, hands its parameters to whoever computes, says the gradient until it was heard.
//!
//! ```text
//!            welcome            plan, ready           start and pull             gradient
//!  greeting ---------> waiting -------------> waiting ---------------> computing ----------> pushing
//!      ^                                         ^                                              |
//!      +---- silence, or dropped (from any) -----+-------------- next start --------------------+
//! ```

mod input;
mod push;
mod setup;
mod stream;

use std::collections::VecDeque;
use std::time::Duration;

use rand_chacha::rand_core::RngCore;

pub use self::setup::Setup;
use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::flat::{Codecs, Directions, Encoded, Residual};
use crate::ids::{BlockIndex, Round, SessionId, WorkerId};
use crate::mlt::{Admission, Outbound, Owner, Role, Session, Timer};
use crate::ps::credit;
use crate::rng::{self, Rng};
use crate::units::Instant;
use crate::wire::{
    Block, Bye, ByeCode, Carrier, DataHead, Hello, Message, Reject, Rejects, Report, RoundStart,
    Task, TransferId, TransferKind,
};

/// Time between the first greetings; doubled with each, up to [`HELLO_MAX`].
const HELLO_FIRST: Duration = Duration::from_millis(50);
/// Longest time between greetings.
const HELLO_MAX: Duration = Duration::from_millis(250);
/// A server that says nothing for so long is greeted anew. A restarted one says at once that it does not know us.
const SERVER_SILENCE: Duration = Duration::from_secs(10);
/// What is called silence when it is reported.
const SILENT: Duration = Duration::from_secs(1);

/// What is to be computed; the buffers come back with the answer and are used again.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Which exchange this is.
    pub round: Round,
    /// What to do; never [`Task::Finish`].
    pub task: Option<Task>,
    /// The parameters to do it with, in the canonical layout.
    pub parameters: Vec<f32>,
    /// Where the gradient goes, as long as the parameters.
    pub gradient: Vec<f32>,
}

/// How a worker's part in a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All rounds were trained.
    Finished,
    /// The server stopped, and said why.
    Stopped(String),
    /// The two cannot work together; why, and what to do.
    Refused(String),
    /// The server was looked for in vain, for so long.
    Lost(Duration),
    /// The worker itself left, and said why.
    Left(ByeCode, String),
}

/// Something that takes a worker's processor, and its time.
#[derive(Clone, Debug)]
pub struct Job {
    /// Comes back with the answer: an answer that nobody waits for any more is known by it.
    pub ticket: u64,
    /// What to do.
    pub work: Work,
}

/// What there is to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Understand the plan and load the data.
    Prepare(String),
    /// Compute.
    Compute(Delivery),
}

/// What came of a [`Job`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// The job's.
    pub ticket: u64,
    /// What came of it.
    pub result: Computed,
}

/// What comes of work.
#[derive(Clone, Debug)]
pub enum Computed {
    /// The plan is understood and the data is there.
    Ready(Setup),
    /// The plan cannot be followed here; why, and what to do.
    Refused(ByeCode, String),
    /// The gradient is computed, at this mean training loss.
    Trained(Delivery, f64),
    /// So many examples are classified correctly, with this sum of the cross-entropy.
    Evaluated(Delivery, u32, f64),
}

/// What a worker has to tell.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// The server answered; this is our number.
    Welcome(WorkerId),
    /// Something to do: do it, and call [`WorkerCore::handle_answer`]. Jobs are done in their order.
    Job(Job),
    /// The server is silent, or has dropped us: it is looked for again.
    Searching(String),
    /// It is over.
    Ended(End),
}

#[derive(Debug)]
struct State {
    setup: Setup,
    replica: Vec<f32>,
    /// The parameters in the replica.
    version: Option<Round>,
    /// Of each block, pulls in a row that did not bring it.
    holes: Vec<u8>,
    residual: Residual,
    update: Vec<f32>,
    encoded: Encoded,
    directions: Directions,
    /// How the last push was encoded.
    codecs: Codecs,
    /// How the next one is to be.
    wanted: Codecs,
    /// The push that nothing is known about yet.
    pushed: Option<Round>,
}

/// See the [module](self); driven as [`crate::mlt`] says.
#[derive(Debug)]
pub struct WorkerCore {
    rng: Rng,
    credit: u16,
    carrier: Carrier,
    give_up: Duration,
    session: Session,
    worker: Option<WorkerId>,
    cookie: u64,
    hello_at: Instant,
    hello_wait: Duration,
    heard_at: Instant,
    plan: Option<String>,
    state: Option<State>,
    start: Option<RoundStart>,
    delivered: Round,
    ticket: u64,
    /// The job that is out.
    awaited: Option<u64>,
    spare: Delivery,
    events: VecDeque<WorkerEvent>,
    rejects: Rejects,
    ended: bool,
}

impl WorkerCore {
    /// A worker that looks for its server for `give_up`. `capacity` datagrams find room in its receive buffer;
    /// `entropy` must not be guessed by strangers.
    #[must_use]
    pub fn new(capacity: u16, give_up: Duration, entropy: u64, now: Instant) -> Self {
        let mut rng = rng::stream(entropy, "session", 0);
        let id = SessionId(rng.next_u64());
        Self {
            rng,
            credit: credit(capacity, 1),
            carrier: Carrier::Datagrams,
            give_up,
            session: Session::new(id, Role::Worker, credit(capacity, 1), now),
            worker: None,
            cookie: 0,
            hello_at: now,
            hello_wait: HELLO_FIRST,
            heard_at: now,
            plan: None,
            state: None,
            start: None,
            delivered: Round(0),
            ticket: 0,
            awaited: None,
            spare: Delivery::default(),
            events: VecDeque::new(),
            rejects: Rejects::default(),
            ended: false,
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<WorkerEvent> {
        self.events.pop_front()
    }

    /// What was put aside.
    #[must_use]
    pub const fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// Whether it is over and everything was said.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.ended && (self.worker.is_none() || self.session.is_silent())
    }

    /// Writes the next datagram into `buf`; `false` if there is none to be sent now.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> bool {
        if self.worker.is_some() {
            let blocks = Blocks { state: self.state.as_mut() };
            return self.session.poll_transmit(now, &blocks, true, buf);
        }
        if self.ended || now < self.hello_at {
            return false;
        }
        let header = self.session.next_header();
        Message::Hello(Hello { cookie: self.cookie }).write(self.carrier, header, buf);
        self.hello_at = now + self.hello_wait;
        self.hello_wait = (self.hello_wait * 2).min(HELLO_MAX);
        true
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.ended {
            return None;
        }
        let silence = if self.worker.is_some() { self.silence() } else { self.give_up };
        let silence = Some((self.heard_at + silence, Timer::KeepAlive));
        let greeting = (self.hello_at, Timer::Probe);
        let session =
            if self.worker.is_some() { self.session.poll_timeout() } else { Some(greeting) };
        session.into_iter().chain(silence).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        if self.worker.is_some() {
            self.session.handle_timeout(now);
            if now - self.heard_at >= self.silence() {
                self.greet_again(now, "the server is silent");
            }
        }
        if self.worker.is_none() && now - self.heard_at >= self.give_up {
            self.end(End::Lost(now - self.heard_at));
        }
        self.settle();
    }

    /// Takes in what came of a job; nothing, if the session or the plan it was for is gone.
    pub fn handle_answer(&mut self, answer: Answer) {
        if self.ended || self.awaited.take_if(|ticket| *ticket == answer.ticket).is_none() {
            return;
        }
        match answer.result {
            Computed::Ready(setup) => self.ready(setup),
            Computed::Refused(code, why) => self.leave(code, &why),
            Computed::Trained(delivery, loss) => self.trained(delivery, loss),
            Computed::Evaluated(delivery, correct, loss_sum) => {
                self.evaluated(delivery, correct, loss_sum);
            }
        }
        self.settle();
    }

    /// Gives work away; what was given before is not waited for any more.
    fn give(&mut self, work: Work) {
        self.ticket += 1;
        self.awaited = Some(self.ticket);
        self.events.push_back(WorkerEvent::Job(Job { ticket: self.ticket, work }));
    }

    /// How long a silent server is believed to be alive; some time must be left to look for it.
    fn silence(&self) -> Duration {
        SERVER_SILENCE.min(self.give_up / 2)
    }

    fn ready(&mut self, setup: Setup) {
        let (values, blocks) = (setup.layout.values(), setup.layout.blocks());
        self.state = Some(State {
            replica: vec![0.0; values],
            version: None,
            holes: vec![0; blocks as usize],
            residual: Residual::new(&setup.layout),
            update: vec![0.0; values],
            encoded: Encoded::default(),
            directions: Directions::default(),
            codecs: Codecs::default(),
            wanted: Codecs::default(),
            pushed: None,
            setup,
        });
        self.report_ready();
    }

    fn report_ready(&mut self) {
        let Some(State { setup, .. }) = &self.state else { return };
        let (train_len, test_len) = (setup.train_len, setup.test_len);
        let report = Report::Ready { layout: setup.layout.digest(), train_len, test_len };
        self.report(Round(0), report);
    }

    fn report(&mut self, round: Round, report: Report) {
        let transfer = TransferId { kind: TransferKind::Report, round };
        self.session.send(Outbound::blob(transfer, report.to_bytes()));
    }

    /// What goes on, for people, and since when if it is silence.
    #[must_use]
    pub fn waits_for(&self, now: Instant, working: bool) -> (&'static str, Option<Instant>) {
        let heard_at = Some(self.heard_at);
        if self.worker.is_none() {
            (self.unanswered(), heard_at)
        } else if now - self.heard_at >= SILENT {
            ("waiting for the server, which is silent", heard_at)
        } else if self.state.is_none() && working {
            ("loading the data", None)
        } else if working {
            ("computing", None)
        } else {
            ("waiting for the server: the other workers are not ready", None)
        }
    }

    /// Leaves, and says why.
    pub fn leave(&mut self, code: ByeCode, why: &str) {
        if self.ended {
            return;
        }
        self.session.close(Bye::new(code, why));
        self.end(End::Left(code, why.to_owned()));
    }

    fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            self.events.push_back(WorkerEvent::Ended(end));
        }
    }

    /// What was learnt of the way to the server holds no longer.
    pub fn forget_path(&mut self) {
        self.session.forget_path();
    }

    /// Begins a new session: the server knows nothing of the old one, and what it was told is forgotten with it.
    fn greet_again(&mut self, now: Instant, why: &str) {
        let id = SessionId(self.rng.next_u64());
        self.session = Session::new(id, Role::Worker, self.credit, now).over(self.carrier);
        (self.worker, self.cookie, self.start, self.awaited) = (None, 0, None, None);
        (self.hello_at, self.hello_wait) = (now + self.hello_wait, HELLO_FIRST);
        self.delivered = Round(0);
        if let Some(state) = &mut self.state {
            state.residual.clear();
            state.holes.fill(0);
            (state.version, state.pushed) = (None, None);
        }
        self.events.push_back(WorkerEvent::Searching(why.to_owned()));
    }
}

/// What blocks mean to a worker: pulls go into the replica, pushes come out of the encoded update.
struct Blocks<'a> {
    state: Option<&'a mut State>,
}

impl Owner for Blocks<'_> {
    fn admit(&mut self, head: &DataHead) -> Option<Admission> {
        let state = self.state.as_ref()?;
        let is_pull = head.transfer.kind == TransferKind::Pull;
        let fits = is_pull && head.total == state.setup.layout.blocks();
        let urgent = fits.then(|| crate::ps::member::urgent_to_pull(&state.holes));
        urgent.map(|urgent| Admission { allowance: head.allowance, urgent: Some(urgent) })
    }

    fn handle_block(&mut self, _: TransferId, block: &Block<'_>) -> Result<(), Reject> {
        let state = self.state.as_mut().ok_or(Reject::Transfer)?;
        let values = &mut state.replica[state.setup.layout.range(block.index)];
        // A block of this length is raw, whatever the codec: so are those that are evaluated.
        let raw = block.bytes.len() == size_of_val(values);
        let codec = if raw { Codec::Raw } else { state.setup.pull_codec };
        codec.decode(block.bytes, values).map_err(|_| Reject::Span)
    }

    fn block_bytes(&self, _: TransferId, block: BlockIndex) -> &[u8] {
        self.state.as_ref().map_or(&[], |state| state.encoded.block(block))
    }
}

fn count_holes(holes: &mut [u8], received: &Bitmap) {
    for (block, hole) in (0..).map(BlockIndex).zip(holes) {
        *hole = if received.contains(block) { 0 } else { hole.saturating_add(1) };
    }
}
