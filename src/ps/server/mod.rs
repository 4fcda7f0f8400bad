//! The server: parameters, optimizer, members, and the round that is under way.
//!
//! ```text
//!               enough are ready          every push is closed: step
//!  gathering ---------------------> training ----------------------> training, or evaluating if that is due
//!      ^                               |  evaluating --------------> training, or finishing after the last round
//!      +------ nobody is left ---------+     every range is counted
//! ```

mod credit;
mod evaluation;
mod input;
mod rollback;
mod standing;
mod stream;
mod time;
mod training;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use self::evaluation::Evaluation;
use self::rollback::Rollback;
pub use self::standing::{Standing, Values};
use self::training::Training;
use super::average::Average;
use super::calendar::Place;
use super::check::Desk;
use super::config::ServerConfig;
use super::cookie::Cookies;
use super::cursor::Cursor;
use super::measure::Measures;
use super::member::Member;
use super::optimizer::Sgd;
use super::policy::Policy;
use super::pushtime::PushTime;
use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::event::{Event, Stamped};
use crate::flat::{Codecs, Layout, Slots};
use crate::ids::{Round, SessionId, WorkerId};
use crate::mlt::Governor;
use crate::units::Instant;
use crate::wire::{Message, Rejects};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All rounds were trained.
    Finished,
    /// It was told to stop.
    Stopped,
    /// It cannot go on; why, and what to do.
    Failed(String),
}

/// UDP payload that crossed the server's door, and how long rounds took.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Bytes received.
    pub bytes_up: u64,
    /// Bytes sent.
    pub bytes_down: u64,
}

#[derive(Debug)]
enum Phase {
    /// Waits for workers.
    Gathering,
    Training(Training),
    Evaluating(Evaluation),
    /// Waits until the workers know that the run is over.
    Finishing(Instant),
    Over,
}

/// See the [module](self); driven as [`crate::mlt`] says.
#[derive(Debug)]
pub struct ServerCore {
    config: ServerConfig,
    layout: Arc<Layout>,
    parameters: Vec<f32>,
    sgd: Sgd,
    rollback: Rollback,
    policy: Policy,
    /// The blocks of critical tensors in the coming round.
    critical: Bitmap,
    measures: Measures,
    cursor: Cursor,
    push_time: PushTime,
    average: Average,
    pull: Slots,
    cookies: Cookies,
    /// Datagrams that the driver's receive buffer holds.
    capacity: u16,
    /// What may be on its way to the server, and from it.
    ingress: Governor,
    egress: Governor,
    /// Whether it is to be looked at who may send more.
    credit_due: bool,
    members: BTreeMap<WorkerId, Member>,
    sessions: BTreeMap<SessionId, WorkerId>,
    next_worker: u32,
    replies: VecDeque<(SocketAddr, SessionId, Message<'static>)>,
    desk: Desk,
    phase: Phase,
    /// The latest exchange with any worker, training or evaluation.
    round: Round,
    /// The exchange whose step made the parameters what they are.
    version: Round,
    /// Behind the last training round that ended.
    place: Place,
    evaluated: Option<u32>,
    progress_at: Instant,
    noticed_at: Instant,
    transmit_from: WorkerId,
    /// Datagrams that it was sent in one go.
    transmit_run: u32,
    events: VecDeque<Stamped>,
    rejects: Rejects,
    totals: Totals,
    outcome: Option<Outcome>,
}

impl ServerCore {
    /// A server that begins at `parameters`. `capacity` datagrams find room in its receive buffer; `entropy` must not
    /// be guessed by strangers.
    ///
    /// # Panics
    /// If `parameters` are not as many as the layout says.
    #[must_use]
    pub fn new(
        config: ServerConfig,
        layout: Arc<Layout>,
        parameters: Vec<f32>,
        capacity: u16,
        entropy: u64,
        now: Instant,
    ) -> Self {
        assert_eq!(parameters.len(), layout.values());
        let dimensions: Vec<_> = layout.tensors().iter().map(|t| t.shape.len()).collect();
        let policy = Policy::new(&config.policy, &dimensions);
        let pull = Slots::new(&layout, config.pull_codec, &parameters);
        let raw = Codecs::uniform(&layout, Codec::Raw);
        Self {
            sgd: Sgd::new(config.sgd, layout.values()),
            rollback: Rollback::default(),
            critical: training::critical_blocks(&policy, &layout),
            policy,
            measures: Measures::new(&layout, config.window),
            cursor: Cursor::new(config.slots),
            push_time: PushTime::default(),
            average: Average::new(&layout, raw, 0).with_signal(config.signal),
            pull,
            cookies: Cookies::new(entropy),
            capacity,
            ingress: credit::port(),
            egress: credit::port(),
            credit_due: false,
            members: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_worker: 1,
            replies: VecDeque::new(),
            desk: Desk::default(),
            phase: Phase::Gathering,
            round: Round(0),
            version: Round(0),
            place: Place::default(),
            evaluated: None,
            progress_at: now,
            noticed_at: now,
            transmit_from: WorkerId(0),
            transmit_run: 0,
            events: VecDeque::new(),
            rejects: Rejects::default(),
            totals: Totals::default(),
            outcome: None,
            config,
            layout,
            parameters,
        }
    }

    /// The parameters as they are now.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// The parameters, to begin elsewhere.
    #[cfg(test)]
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// What stood in the place of workers of the last round, one after the other.
    #[cfg(test)]
    pub fn imputed(&self) -> Vec<f32> {
        let ranks = 0..self.ready().len() as u16;
        ranks.flat_map(|rank| self.average.imputed(rank).to_vec()).collect()
    }

    /// The averaged gradient of the last round, as far as it is known.
    #[must_use]
    pub fn gradient(&self) -> &[f32] {
        self.average.values()
    }

    /// Training examples of each worker in a round outside critical regimes.
    #[must_use]
    pub const fn batch(&self) -> u32 {
        self.config.batches.others
    }

    /// Where the run stands.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Training rounds that ended.
    #[must_use]
    pub const fn trained(&self) -> u32 {
        self.place.round
    }

    /// The policy with all that it has decided.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What came and went.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What was put aside.
    #[must_use]
    pub const fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// How the run ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref().filter(|_| matches!(self.phase, Phase::Over))
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Stamped> {
        self.events.pop_front()
    }

    fn tell(&mut self, at: Instant, event: Event) {
        self.events.push_back(Stamped { at, event });
    }

    fn epoch(&self) -> f64 {
        self.cursor.examples() as f64 / self.config.calendar.train_len.max(1) as f64
    }

    /// Members that take part, in the order of averaging.
    fn ready(&self) -> Vec<WorkerId> {
        let ready = |member: &&Member| member.stage == super::member::Stage::Ready;
        self.members.values().filter(ready).map(|member| member.id).collect()
    }
}
