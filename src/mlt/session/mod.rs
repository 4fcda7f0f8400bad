//! One peer as the other sees it: numbers, acknowledges and paces the datagrams of up to one transfer of each kind in
//! each direction.

mod receive;
mod stream;
#[cfg(test)]
mod tests;
mod time;
mod transmit;

use std::collections::VecDeque;
use std::time::Duration;

use super::delay::{Delay, Mean};
use super::flight::{Fate, Flight, Sent};
use super::governor::Governor;
use super::inbound::{Close, Inbound};
use super::outbound::Outbound;
use super::pace::Pace;
use super::rtt::{RoundTrip, Rtt};
use super::seen::Seen;
use crate::bitmap::Bitmap;
use crate::ids::{BlockIndex, PacketNumber, Round, SessionId};
use crate::units::Instant;
use crate::wire::{Block, Bye, Carrier, DataHead, Header, Reject, TransferId, TransferKind};

const KINDS: usize = TransferKind::ALL.len();

/// Datagrams that may be unanswered before a grant is due; fewer where many are lost, for grants are lost too.
const GRANT_EVERY: f64 = 8.0;
/// How long a datagram may stay unanswered: half a round trip, but not longer than this,
const GRANT_DELAY: Duration = Duration::from_millis(1);
/// nor shorter: each grant costs a system call.
const GRANT_DELAY_MIN: Duration = Duration::from_micros(250);
/// While a transfer is open and nothing arrives, the last grant is said again after this time,
const REGRANT: Duration = Duration::from_millis(10);
/// so many times, then after twice that...
const REGRANTS_PATIENT: u32 = 16;
/// ...doubled so many times at most.
const REGRANT_DOUBLINGS: u32 = 4;
/// Where most grants are lost, every so often.
const REGRANT_LOSSY: Duration = Duration::from_millis(2);
/// All that is on its way is taken for lost when nothing of it was answered for so long: a window full of losses must
/// not keep the sender from trying again, nor others that share a port with it.
const LOSS_SILENCE: Duration = Duration::from_millis(100);
/// A worker speaks at least this often.
const KEEPALIVE: Duration = Duration::from_millis(400);
/// Datagrams under way that no session is asked to go below.
const WINDOW_MIN: u32 = 4;
/// Where so much is lost, grants are repeated in quick succession, and the last blocks are sent several times at
/// once...
const LOSSY: f64 = 0.2;
/// ...so often that this is the chance that none arrives,
const TAIL_RISK: f64 = 0.05;
/// but not more often than this.
const TAIL_COPIES: f64 = 8.0;
/// Copies of a farewell: nobody answers it.
const BYE_COPIES: u32 = 3;

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives pushes and reports.
    Server,
    /// Receives plans, round starts and pulls.
    Worker,
}

impl Role {
    const fn receives(self, kind: TransferKind) -> bool {
        let from_worker = matches!(kind, TransferKind::Report | TransferKind::Push);
        from_worker == matches!(self, Self::Server)
    }
}

/// What is expected of a transfer that was not announced.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Blocks that may be missing.
    pub allowance: u32,
    /// Blocks that may not.
    pub urgent: Option<Bitmap>,
}

/// Whoever knows what blocks mean.
pub trait Owner {
    /// A loss-bounded transfer that nobody announced begins to arrive: what is expected of it, or `None` to refuse it.
    fn admit(&mut self, head: &DataHead) -> Option<Admission>;

    /// A block arrived for the first time.
    ///
    /// # Errors
    /// If its bytes are no block: the peer misbehaves.
    fn handle_block(&mut self, transfer: TransferId, block: &Block<'_>) -> Result<(), Reject>;

    /// The bytes of a block that is to be sent, the same for every copy.
    fn block_bytes(&self, transfer: TransferId, block: BlockIndex) -> &[u8];
}

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// A reliable transfer arrived.
    Blob(TransferId, Vec<u8>),
    /// A loss-bounded transfer was closed; [`Session::inbound`] has the details.
    Received(TransferId, Close),
    /// The peer wants no more of a transfer; [`Session::outbound`] has the details.
    Delivered(TransferId),
    /// The peer is gone.
    Bye(Bye),
}

/// Why a session wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A grant is due.
    Grant,
    /// A datagram that was overtaken will be declared lost.
    Loss,
    /// The pace allows the next datagram.
    Pace,
    /// Nothing was heard about the last datagram.
    Probe,
    /// A transfer's patience or deadline ends.
    Transfer,
    /// It is time to show that we live.
    KeepAlive,
}

/// When and how a message came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it is taken in.
    pub now: Instant,
    /// When the system received it.
    pub at: Instant,
    /// The number of its datagram.
    pub number: PacketNumber,
    /// Bytes of its datagram.
    pub bytes: usize,
}

/// What a sender has learnt of the path, for whoever governs several sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Datagrams that have arrived.
    pub delivered: u32,
    /// Datagrams that are lost.
    pub lost: u32,
    /// How long they queued on average, as the peer said last.
    pub queue: Option<Duration>,
}

/// See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    role: Role,
    carrier: Carrier,
    /// Whether the stream takes no transfers for now.
    stalled: bool,
    next_number: u64,
    seen: Seen,
    largest_at: Instant,
    unanswered: u32,
    /// The largest number at the last grant.
    granted: PacketNumber,
    regrants: u32,
    grant_at: Option<Instant>,
    /// Which transfers the next grant speaks of; where it is not the current one of its kind, it is long closed.
    mentions: [Option<Round>; KINDS],
    /// What the peer may have in flight, and we.
    credit: u16,
    peer_credit: u16,
    delay: Delay,
    /// How long the peer's datagrams queued: the last, and those since the last grant.
    queued: Option<Duration>,
    queued_mean: Mean,
    rtt: Rtt,
    flight: Flight,
    governor: Governor,
    /// How long ours queued, as the peer says.
    ours_queued: Mean,
    feedback: Feedback,
    pace: Pace,
    paced_until: Option<Instant>,
    probes: u32,
    probe_backoff: u32,
    give_ups: u32,
    last_eliciting: Instant,
    last_sent: Instant,
    last_heard: Instant,
    /// When the peer last answered something of ours, or since when it owes an answer.
    answered_at: Instant,
    ping: bool,
    bye: Option<(Bye, u32)>,
    outbound: [Option<Outbound>; KINDS],
    inbound: [Option<Inbound>; KINDS],
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// A session that begins `now`; `credit` datagrams of the peer find room in the receive buffer.
    #[must_use]
    pub fn new(id: SessionId, role: Role, credit: u16, now: Instant) -> Self {
        Self {
            id,
            role,
            carrier: Carrier::Datagrams,
            stalled: false,
            next_number: 1,
            seen: Seen::default(),
            largest_at: now,
            unanswered: 0,
            granted: PacketNumber(0),
            regrants: 0,
            grant_at: None,
            mentions: [None; KINDS],
            credit,
            peer_credit: credit,
            delay: Delay::default(),
            queued: None,
            queued_mean: Mean::default(),
            rtt: Rtt::default(),
            flight: Flight::default(),
            governor: Governor::new(WINDOW_MIN),
            ours_queued: Mean::default(),
            feedback: Feedback::default(),
            pace: Pace::default(),
            paced_until: None,
            probes: 0,
            probe_backoff: 0,
            give_ups: 0,
            last_eliciting: now,
            last_sent: now,
            last_heard: now,
            answered_at: now,
            ping: false,
            bye: None,
            outbound: [const { None }; KINDS],
            inbound: [const { None }; KINDS],
            events: VecDeque::new(),
        }
    }

    /// Which session this is.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// When the peer was last heard.
    #[must_use]
    pub const fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// The largest packet number received.
    #[must_use]
    pub const fn largest_seen(&self) -> Option<PacketNumber> {
        self.seen.largest()
    }

    /// The latest transfer of a kind that was sent or is being sent.
    #[must_use]
    pub const fn outbound(&self, kind: TransferKind) -> Option<&Outbound> {
        self.outbound[kind as usize].as_ref()
    }

    /// The latest transfer of a kind that was received or is being received.
    #[must_use]
    pub const fn inbound(&self, kind: TransferKind) -> Option<&Inbound> {
        self.inbound[kind as usize].as_ref()
    }

    /// The transfer of a kind that is being received.
    pub const fn inbound_mut(&mut self, kind: TransferKind) -> Option<&mut Inbound> {
        self.inbound[kind as usize].as_mut()
    }

    /// Datagrams whose fate is not known; none of a peer that does not answer: others need not wait for its sake.
    #[must_use]
    pub fn in_flight(&self, now: Instant) -> u32 {
        let patience = LOSS_SILENCE.max(self.rtt.smoothed() * 2);
        if now - self.answered_at <= patience { self.under_way(now) } else { 0 }
    }

    /// Whether the peer was heard of late.
    #[must_use]
    pub fn is_heard(&self, now: Instant) -> bool {
        now - self.last_heard <= LOSS_SILENCE.max(self.rtt.smoothed() * 2)
    }

    /// What is known of the round trip.
    #[must_use]
    pub fn round_trip(&self) -> RoundTrip {
        self.rtt.round_trip()
    }

    /// How long the last datagram queued on its way here.
    #[must_use]
    pub const fn queued(&self) -> Option<Duration> {
        self.queued
    }

    /// Forgets how long the way is, for it is another one from now on. (What has changed by itself is noticed in time.)
    pub fn forget_path(&mut self) {
        (self.delay, self.rtt) = (Delay::default(), Rtt::default());
    }

    /// What was learnt of the path to the peer since this was last asked.
    pub const fn take_feedback(&mut self) -> Feedback {
        std::mem::replace(&mut self.feedback, Feedback { delivered: 0, lost: 0, queue: None })
    }

    /// Speaks of the transfer of `kind` at once.
    pub fn prompt(&mut self, now: Instant, kind: TransferKind) {
        if let Some(inbound) = self.inbound(kind) {
            self.mentions[kind as usize] = Some(inbound.id().round);
            self.grant_at = Some(now);
        }
    }

    /// Changes how many of the peer's datagrams may be in flight.
    pub const fn set_credit(&mut self, credit: u16) {
        self.credit = credit;
    }

    /// Takes in that the peer still greets: it lives, but has not heard the answer.
    pub const fn handle_hello(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// Begins to send a transfer; an earlier one of its kind is superseded.
    pub fn send(&mut self, mut outbound: Outbound) {
        let kind = outbound.id().kind;
        debug_assert!(!self.role.receives(kind));
        outbound.begin(PacketNumber(self.next_number));
        self.outbound[kind as usize] = Some(outbound);
    }

    /// Lets a block of the streamed transfer of `kind` go.
    pub fn release(&mut self, kind: TransferKind, block: BlockIndex) {
        if let Some(outbound) = &mut self.outbound[kind as usize] {
            outbound.release(block);
        }
    }

    /// Sends no more of the current transfer of `kind`.
    pub fn cancel(&mut self, kind: TransferKind) {
        self.outbound[kind as usize] = None;
    }

    /// Expects a transfer; an earlier one of its kind is superseded.
    pub fn expect(&mut self, inbound: Inbound) {
        let kind = inbound.id().kind;
        debug_assert!(self.role.receives(kind));
        self.inbound[kind as usize] = Some(inbound);
    }

    /// Says good-bye, a few times, and nothing else from now on.
    pub fn close(&mut self, bye: Bye) {
        self.bye = Some((bye, if self.is_stream() { 1 } else { BYE_COPIES }));
    }

    /// Whether the last good-bye has left.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self.bye, Some((_, 0)))
    }

    /// The header of the next datagram.
    pub const fn next_header(&mut self) -> Header {
        let header = self.header();
        self.next_number += 1;
        header
    }

    const fn header(&self) -> Header {
        Header { session: self.id, number: PacketNumber(self.next_number) }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }
}

/// Tells the transfer what became of a transmission.
fn settle(outbound: &mut [Option<Outbound>; KINDS], sent: &Sent, fate: Fate) {
    let Some(transfer) = sent.transfer else { return };
    let current = outbound[transfer.kind as usize].as_mut();
    let Some(current) = current.filter(|current| current.has_sent(sent)) else { return };
    for &block in sent.blocks() {
        match fate {
            Fate::Arrived => current.handle_arrived(block),
            Fate::Lost => current.handle_lost(block),
        }
    }
}
