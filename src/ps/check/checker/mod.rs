//! The side that asks.

mod answers;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand_chacha::rand_core::RngCore;

use super::findings::{Findings, median, rate};
use super::{PROBES_MAX, Stage};
use crate::ids::{PacketNumber, SessionId};
use crate::rng;
use crate::units::{Instant, Rate};
use crate::wire::{Carrier, DATAGRAM_MAX, ECHO_COPIES_MAX, Header, Message, PROBE_MIN, Probe};

/// How long an answer is waited for before nobody is said to be there.
const GIVE_UP: Duration = Duration::from_secs(5);
/// A check takes no longer, whatever is still unknown then.
const TIME_MAX: Duration = Duration::from_millis(9500);
/// Time between the first greetings; longer by as much with each, up to [`GREETING_MAX`].
const GREETING_FIRST: Duration = Duration::from_millis(50);
/// Longest time between greetings.
const GREETING_MAX: Duration = Duration::from_millis(250);
/// Bytes of a datagram that gets through everywhere.
const SMALL: u16 = 128;
/// The largest datagram there is.
const FULL: u16 = DATAGRAM_MAX as u16;
/// Sizes that are tried if the largest does not get through: what MTUs of 1400, 1380, 1280 (IPv4 and IPv6), 1228, 1052
/// and 576 leave.
const SIZES: [u16; 8] = [FULL, 1372, 1352, 1252, 1232, 1200, 1024, 548];
/// How often they are tried,
const SIZE_ROUNDS: u32 = 10;
/// and the time in between.
const SIZE_EVERY: Duration = Duration::from_millis(100);
/// Trains in each direction, whose median counts.
const TRAINS: u8 = 6;
/// Datagrams of a train: what a session may send before it knows the path,
const TRAIN: u8 = ECHO_COPIES_MAX;
/// or so many as long as the path is not known to be faster than [`SLOW`], in bits per second.
const TRAIN_SHORT: u8 = 8;
/// See [`TRAIN_SHORT`].
const SLOW: u64 = 10_000_000;
/// No new train leaves so long after the first in its direction: slow paths make do with fewer.
const TRAINS_TIME: Duration = Duration::from_millis(1500);
/// The queue that a train has left behind is given so long to empty.
const TRAIN_GAP: Duration = Duration::from_millis(20);
/// A train from the server of which nothing was heard for so long is over.
const TRAIN_SILENCE: Duration = Duration::from_millis(300);
/// A question is asked again after this time,
const ASK_EVERY: Duration = Duration::from_millis(100);
/// so often when it is about a train: the first one waits behind it on the way.
const ASK_TRAIN: u32 = 12;
/// And so often when it is about losses.
const ASK_LOSS: u32 = 20;
/// Probes whose losses are counted, at most:
const LOSS_PROBES: u32 = 500;
/// so many in this time,
const LOSS_TIME: Duration = Duration::from_secs(2);
/// or fewer: their share of the path's rate is one part of so many, for losses that they cause themselves do not count.
const LOSS_SHARE: u32 = 4;

/// How a check ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckEnd {
    /// What was found.
    Found(Findings),
    /// Nobody answered for so long.
    Silent(Duration),
    /// The server has no time for a check now.
    Busy,
    /// The server cannot be checked; why.
    Refused(String),
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    stage: Stage,
    size: u16,
}

/// Answers that arrived together, more or less.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    count: u32,
    first_at: Instant,
    last_at: Instant,
}

/// See the [module](super); driven as [`crate::mlt`] says.
#[derive(Debug)]
pub struct Checker {
    session: SessionId,
    cookie: u64,
    began: Instant,
    stage: Stage,
    /// When the stage began, or the first one of its direction.
    stage_at: Instant,
    /// When something is due, and how often it was.
    due_at: Instant,
    turns: u32,
    /// By number, from 1.
    sent: Vec<Sent>,
    outbox: VecDeque<Probe>,
    /// Answers that arrived: a copy made by the network is none.
    answers: BTreeSet<(u64, u8)>,
    arrivals: Arrivals,
    /// Datagrams of the train that is under way.
    train: u8,
    spacing: Duration,
    planned: u32,
    arrived: u32,
    rates_up: Vec<Rate>,
    rates_down: Vec<Rate>,
    round_trips: Vec<Duration>,
    findings: Findings,
    end: Option<CheckEnd>,
}

impl Checker {
    /// A check that begins `now`; `entropy` must not be guessed by strangers.
    #[must_use]
    pub fn new(entropy: u64, now: Instant) -> Self {
        let mut findings = Findings::default();
        (findings.up.datagram, findings.down.datagram) = (SMALL, PROBE_MIN);
        Self {
            session: SessionId(rng::stream(entropy, "check", 0).next_u64()),
            cookie: 0,
            began: now,
            stage: Stage::Greeting,
            stage_at: now,
            due_at: now,
            turns: 0,
            sent: Vec::new(),
            outbox: VecDeque::new(),
            answers: BTreeSet::new(),
            arrivals: Arrivals::default(),
            train: 0,
            spacing: Duration::ZERO,
            planned: 0,
            arrived: 0,
            rates_up: Vec::new(),
            rates_down: Vec::new(),
            round_trips: Vec::new(),
            findings,
            end: None,
        }
    }

    /// What is being found out.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<&CheckEnd> {
        self.end.as_ref()
    }

    /// Writes the next datagram into `buf`; `false` if there is none to be sent now.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> bool {
        if self.end.is_some() || self.sent.len() as u64 >= PROBES_MAX {
            return false;
        }
        let Some(probe) = self.outbox.pop_front() else { return false };
        self.sent.push(Sent { at: now, stage: self.stage, size: probe.size });
        let number = PacketNumber(self.sent.len() as u64);
        let probe = Probe { cookie: self.cookie, ..probe };
        Message::Probe(probe).write(
            Carrier::Datagrams,
            Header { session: self.session, number },
            buf,
        );
        true
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.end.is_none().then(|| self.due_at.min(self.began + TIME_MAX))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        if now >= self.began + TIME_MAX {
            return self.finish();
        }
        if now < self.due_at {
            return;
        }
        self.turns += 1;
        match self.stage {
            Stage::Greeting => self.greet(now),
            Stage::Sizes => self.try_sizes(now),
            Stage::RateUp(_) | Stage::Count => self.ask(now),
            Stage::RateDown(_) => self.end_train_down(now),
            Stage::Loss => self.probe_loss(now),
        }
    }

    fn greet(&mut self, now: Instant) {
        let looked = now - self.began;
        if looked >= GIVE_UP {
            self.end = Some(CheckEnd::Silent(looked));
            return;
        }
        // Only a full one is answered by a server of another version.
        self.say(SMALL, PROBE_MIN, 1);
        self.say(FULL, PROBE_MIN, 1);
        self.due_at = now + (GREETING_FIRST * self.turns).min(GREETING_MAX);
    }

    fn try_sizes(&mut self, now: Instant) {
        let (up, down) = (self.findings.up.datagram, self.findings.down.datagram);
        if up == FULL && down == FULL || self.turns > SIZE_ROUNDS + 2 {
            return self.enter(now, Stage::RateUp(0));
        }
        self.due_at = now + SIZE_EVERY;
        if self.turns > SIZE_ROUNDS {
            return;
        }
        // Most often the largest is all that has to be tried.
        let tried = if self.turns == 1 { &SIZES[..1] } else { &SIZES[..] };
        for &size in tried {
            if size > up {
                self.say(size, PROBE_MIN, 1);
            }
            if size > down {
                self.say(SMALL, size, 1);
            }
        }
    }

    /// Begins a stage.
    fn enter(&mut self, now: Instant, stage: Stage) {
        if !matches!(stage, Stage::RateUp(1..) | Stage::RateDown(1..)) {
            self.stage_at = now;
        }
        (self.stage, self.turns) = (stage, 0);
        self.outbox.clear();
        self.arrivals = Arrivals::default();
        let (up, down) = (self.findings.up.datagram, self.findings.down.datagram);
        match stage {
            Stage::Greeting | Stage::Sizes => self.due_at = now,
            Stage::RateUp(_) => {
                self.train = train(&self.rates_up);
                (0..self.train).for_each(|_| self.say(up, PROBE_MIN, 0));
                self.ask(now);
            }
            Stage::RateDown(_) => {
                self.train = train(&self.rates_down);
                self.say(SMALL, down, self.train);
                self.due_at = now + TRAIN_SILENCE;
            }
            Stage::Loss => {
                self.plan_loss();
                self.due_at = now + TRAIN_GAP;
            }
            Stage::Count => self.due_at = now + self.settling(),
        }
    }

    /// How long the last datagrams may take to arrive.
    fn settling(&mut self) -> Duration {
        median(&mut self.round_trips).unwrap_or_default() * 2 + ASK_EVERY
    }

    /// Queues a probe of `size` bytes that wants so many answers of `reply` bytes.
    fn say(&mut self, size: u16, reply: u16, copies: u8) {
        let group = self.stage.group();
        self.outbox.push_back(Probe { cookie: 0, group, about: group, copies, reply, size });
    }

    /// Asks how the group of this stage stands.
    fn ask(&mut self, now: Instant) {
        let about = if self.stage == Stage::Count { Stage::Loss } else { self.stage }.group();
        let question =
            Probe { cookie: 0, group: 0, about, copies: 1, reply: PROBE_MIN, size: SMALL };
        self.outbox.push_back(question);
        self.due_at = now + ASK_EVERY;
        match self.stage {
            Stage::RateUp(train) if self.turns >= ASK_TRAIN => self.next_train_up(now, train),
            Stage::Count if self.turns >= ASK_LOSS => self.finish(),
            _ => {}
        }
    }

    fn next_train_up(&mut self, now: Instant, train: u8) {
        let over = train + 1 == TRAINS || now - self.stage_at >= TRAINS_TIME;
        self.enter(now, if over { Stage::RateDown(0) } else { Stage::RateUp(train + 1) });
    }

    fn end_train_down(&mut self, now: Instant) {
        let Stage::RateDown(train) = self.stage else { return };
        let Arrivals { count, first_at, last_at } = self.arrivals;
        self.rates_down.extend(rate(count, self.findings.down.datagram, last_at - first_at));
        let over = train + 1 == TRAINS || now - self.stage_at >= TRAINS_TIME;
        self.enter(now, if over { Stage::Loss } else { Stage::RateDown(train + 1) });
    }

    /// Decides how many probes leave, and how often.
    fn plan_loss(&mut self) {
        self.findings.up.rate = median(&mut self.rates_up);
        self.findings.down.rate = median(&mut self.rates_down);
        let rates = [self.findings.up.rate, self.findings.down.rate];
        let bytes = self.findings.up.datagram.max(self.findings.down.datagram);
        let slowest = rates.into_iter().flatten().min();
        let gentle = slowest.map(|rate| rate.time_for(bytes.into()) * LOSS_SHARE);
        let spacing = (LOSS_TIME / LOSS_PROBES).max(gentle.unwrap_or_default());
        self.spacing = spacing.min(LOSS_TIME);
        self.planned = (LOSS_TIME.as_nanos() / self.spacing.as_nanos()).max(1) as u32;
    }

    fn probe_loss(&mut self, now: Instant) {
        if self.turns > self.planned {
            return self.enter(now, Stage::Count);
        }
        self.say(self.findings.up.datagram, self.findings.down.datagram, 1);
        // Not from now: a host that was slow makes up for it, but never faster than the path.
        self.due_at = (self.due_at + self.spacing).max(now + self.spacing / LOSS_SHARE);
        self.findings.probes = self.turns;
    }
}

/// Datagrams of the next train, given what those before have shown.
fn train(rates: &[Rate]) -> u8 {
    let fast = rates.iter().any(|rate| rate.bits_per_second() > SLOW);
    if fast { TRAIN } else { TRAIN_SHORT }
}
