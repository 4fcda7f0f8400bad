//! The sender's half of a transfer: which block goes next.
//!
//! ```text
//!            take            arrived
//!  unsent ---------> away ------------> arrived
//!                    |  ^                  ^
//!               lost |  | take (repair)    | (a copy that was given up arrives after all)
//!                    v  |                  |
//!                    lost -----------------+
//! ```
//! Lost blocks are sent again only when more are lost than may be missing, or when they are urgent.

use std::collections::VecDeque;

use super::flight::Sent;
use super::scheme::Repair;
use crate::bitmap::Bitmap;
use crate::ids::{BlockIndex, PacketNumber};
use crate::wire::{GrantEntry, Standing, TransferId};

/// Bytes of a full block of a blob.
pub const BLOB_BLOCK: usize = 1280;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Copies that are on their way.
    away: u16,
    sent: bool,
    arrived: bool,
    lost: bool,
}

/// A transfer being sent.
#[derive(Clone, Debug)]
pub struct Outbound {
    id: TransferId,
    since: PacketNumber,
    allowance: u32,
    urgent: Option<Bitmap>,
    order: Vec<BlockIndex>,
    next: usize,
    states: Vec<State>,
    away: u32,
    lost: VecDeque<BlockIndex>,
    lost_urgent: VecDeque<BlockIndex>,
    /// Lost blocks to send again though the allowance would cover them.
    demanded: u32,
    repair: Repair,
    /// Lost blocks that are left of this pass, the first of those that are lost.
    pass: usize,
    /// Passes over lost blocks that were begun.
    passes: u8,
    blob: Vec<u8>,
    arrived: u32,
    datagrams: u32,
    /// Datagrams that may be sent in all, as far as the receiver has said.
    limit: u32,
    bytes: u64,
    closed: bool,
}

impl Outbound {
    /// A reliable transfer of `bytes` (at least one).
    #[must_use]
    pub fn blob(id: TransferId, bytes: Vec<u8>) -> Self {
        assert!(!bytes.is_empty(), "an empty blob");
        let total = bytes.len().div_ceil(BLOB_BLOCK) as u32;
        let mut outbound = Self::blocks(id, (0..total).map(BlockIndex).collect(), 0, None);
        outbound.blob = bytes;
        outbound
    }

    /// A transfer of blocks in the given order, of which `allowance` may be missing, but none of the `urgent`.
    #[must_use]
    pub fn blocks(
        id: TransferId,
        order: Vec<BlockIndex>,
        allowance: u32,
        urgent: Option<Bitmap>,
    ) -> Self {
        let total = order.len() as u32;
        Self { order, ..Self::streamed(id, total, allowance, urgent) }
    }

    /// A transfer of `total` blocks that are sent in the order in which they are [released](Self::release).
    #[must_use]
    pub fn streamed(id: TransferId, total: u32, allowance: u32, urgent: Option<Bitmap>) -> Self {
        Self {
            id,
            since: PacketNumber(0),
            allowance,
            urgent,
            next: 0,
            states: vec![State::default(); total as usize],
            order: Vec::with_capacity(total as usize),
            away: 0,
            lost: VecDeque::new(),
            lost_urgent: VecDeque::new(),
            demanded: 0,
            repair: Repair::Deficit,
            pass: 0,
            passes: 0,
            blob: Vec::new(),
            arrived: 0,
            datagrams: 0,
            limit: u32::MAX,
            bytes: 0,
            closed: false,
        }
    }

    /// The same transfer, of which only so many datagrams may be sent before the receiver allows more.
    #[must_use]
    pub fn limited(self, limit: u32) -> Self {
        Self { limit, ..self }
    }

    /// The same transfer, repaired in this way.
    #[must_use]
    pub fn repaired(self, repair: Repair) -> Self {
        Self { repair, ..self }
    }

    /// Lets a block of a [streamed](Self::streamed) transfer go; each once.
    pub fn release(&mut self, block: BlockIndex) {
        debug_assert!(self.order.len() < self.states.len());
        self.order.push(block);
    }

    /// Takes in that its first datagram will have this number or a later one.
    pub const fn begin(&mut self, since: PacketNumber) {
        self.since = since;
    }

    /// Whether a transmission was one of this transfer, and not of an earlier one of its name.
    #[must_use]
    pub fn has_sent(&self, sent: &Sent) -> bool {
        sent.transfer == Some(self.id) && sent.number >= self.since
    }

    /// Which transfer this is.
    #[must_use]
    pub const fn id(&self) -> TransferId {
        self.id
    }

    /// Blocks of the whole transfer.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.states.len() as u32
    }

    /// Blocks that may be missing.
    #[must_use]
    pub const fn allowance(&self) -> u32 {
        self.allowance
    }

    /// Blocks that have never been sent.
    #[must_use]
    pub const fn unsent(&self) -> u32 {
        (self.states.len() - self.next) as u32
    }

    /// Whether nothing can go on before the receiver's word: everything was sent, or as much as it allows.
    #[must_use]
    pub fn awaits_word(&self) -> bool {
        let next = self.peek().is_some();
        !self.closed && if next { !self.may_send() } else { self.unsent() == 0 }
    }

    /// Whether the receiver allows another datagram.
    #[must_use]
    pub const fn may_send(&self) -> bool {
        self.datagrams < self.limit
    }

    /// Datagrams sent so far, copies included.
    #[must_use]
    pub const fn datagrams(&self) -> u32 {
        self.datagrams
    }

    /// Blocks known to have arrived.
    #[must_use]
    pub const fn arrived(&self) -> u32 {
        self.arrived
    }

    /// Whether `block` is known to have arrived.
    #[must_use]
    pub fn has_arrived(&self, block: BlockIndex) -> bool {
        self.states[block.usize()].arrived
    }

    /// How often all that was lost has begun to be sent again, up to 255; only [`Repair::Passes`] has passes.
    #[must_use]
    pub const fn passes(&self) -> u8 {
        self.passes
    }

    /// UDP payload bytes sent so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the receiver wants no more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The bytes of `block` of a blob.
    #[must_use]
    pub fn blob_block(&self, block: BlockIndex) -> &[u8] {
        let start = block.usize() * BLOB_BLOCK;
        &self.blob[start..self.blob.len().min(start + BLOB_BLOCK)]
    }

    /// The block to send next and whether that is a repair.
    #[must_use]
    pub fn peek(&self) -> Option<(BlockIndex, bool)> {
        if self.closed {
            return None;
        }
        let over = match self.repair {
            Repair::Deficit => self.lost.len() as u32 > self.allowance || self.demanded > 0,
            Repair::Passes => self.pass > 0,
            Repair::All => true,
            Repair::None => false,
        };
        let lost = self.lost_urgent.front().or_else(|| self.lost.front().filter(|_| over));
        if let Some(&block) = lost {
            return Some((block, true));
        }
        self.order.get(self.next).map(|&block| (block, false))
    }

    /// Takes the block that [`peek`](Self::peek) gave: it is on its way.
    pub fn take(&mut self, block: BlockIndex) {
        let state = &mut self.states[block.usize()];
        if !state.sent {
            debug_assert_eq!(self.order.get(self.next), Some(&block));
            self.next += 1;
            state.sent = true;
        } else if state.lost {
            state.lost = false;
            let first = self.queue(block).pop_front();
            debug_assert_eq!(first, Some(block));
            self.demanded = self.demanded.saturating_sub(1);
            self.pass = self.pass.saturating_sub(1);
        }
        let state = &mut self.states[block.usize()];
        state.away += 1;
        self.away += 1;
    }

    /// Takes in that a datagram of `bytes` bytes left.
    pub const fn handle_sent(&mut self, bytes: usize) {
        self.datagrams = self.datagrams.saturating_add(1);
        self.bytes += bytes as u64;
    }

    /// Takes in that a copy of `block` arrived.
    pub fn handle_arrived(&mut self, block: BlockIndex) {
        let state = &mut self.states[block.usize()];
        state.away -= 1;
        self.away -= 1;
        self.arrived += u32::from(!state.arrived);
        state.arrived = true;
        if std::mem::take(&mut state.lost) {
            let place = self.queue(block).iter().position(|&other| other == block);
            place.and_then(|place| self.queue(block).remove(place));
            self.pass -= usize::from(place.is_some_and(|place| place < self.pass));
        }
        self.begin_pass();
    }

    /// Takes in that a copy of `block` is lost.
    pub fn handle_lost(&mut self, block: BlockIndex) {
        let state = &mut self.states[block.usize()];
        state.away -= 1;
        self.away -= 1;
        if state.away == 0 && !state.arrived && !state.lost {
            state.lost = true;
            self.queue(block).push_back(block);
        }
        self.begin_pass();
    }

    /// Begins another pass if the last one is over and was not enough.
    fn begin_pass(&mut self) {
        let over = self.unsent() == 0 && self.away == 0 && self.pass == 0;
        if over && self.lost.len() as u32 > self.allowance {
            self.go_through_lost();
        }
    }

    fn go_through_lost(&mut self) {
        if self.repair == Repair::Passes && !self.lost.is_empty() {
            self.pass = self.lost.len();
            self.passes = self.passes.saturating_add(1);
        }
    }

    /// Takes in what the receiver says of the transfer.
    pub fn handle_entry(&mut self, entry: &GrantEntry) {
        self.closed |= entry.standing == Standing::Closed;
        self.limit = self.limit.max(entry.limit);
        // The receiver may count differently (an urgent block that we do not know of): it has the last word.
        let idle = self.unsent() == 0 && self.away == 0;
        if idle && entry.deficit > 0 {
            self.demanded = entry.deficit;
            if self.pass == 0 {
                self.go_through_lost();
            }
        }
    }

    /// Whether a copy of a block that is on its way may be sent as a probe: it is needed if all on its way is lost.
    #[must_use]
    pub fn may_probe(&self, block: BlockIndex) -> bool {
        let missing = self.total() - self.unsent() - self.arrived;
        let state = self.states[block.usize()];
        let repairs = matches!(self.repair, Repair::Deficit | Repair::All);
        repairs
            && !self.closed
            && !state.arrived
            && (missing > self.allowance || self.is_urgent(block))
    }

    /// Copies of a block that are on their way.
    #[must_use]
    pub fn copies(&self, block: BlockIndex) -> u16 {
        self.states[block.usize()].away
    }

    fn is_urgent(&self, block: BlockIndex) -> bool {
        let ours = self.repair == Repair::Deficit;
        ours && self.urgent.as_ref().is_some_and(|urgent| urgent.contains(block))
    }

    fn queue(&mut self, block: BlockIndex) -> &mut VecDeque<BlockIndex> {
        if self.is_urgent(block) { &mut self.lost_urgent } else { &mut self.lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Round;
    use crate::wire::TransferKind;

    const ID: TransferId = TransferId { kind: TransferKind::Push, round: Round(1) };

    fn sent(total: u32, allowance: u32, urgent: &[u32]) -> Outbound {
        let mut set = Bitmap::zeros(total);
        urgent.iter().for_each(|&block| assert!(set.insert(BlockIndex(block))));
        let order = (0..total).map(BlockIndex).collect();
        let mut outbound = Outbound::blocks(ID, order, allowance, Some(set));
        for block in (0..total).map(BlockIndex) {
            assert_eq!(outbound.peek(), Some((block, false)));
            outbound.take(block);
        }
        assert_eq!((outbound.peek(), outbound.unsent()), (None, 0));
        outbound
    }

    #[test]
    fn within_the_allowance_nothing_is_sent_twice() {
        let mut outbound = sent(10, 2, &[]);
        outbound.handle_lost(BlockIndex(4));
        outbound.handle_lost(BlockIndex(7));
        assert_eq!(outbound.peek(), None);
        outbound.handle_lost(BlockIndex(1));
        assert_eq!(outbound.peek(), Some((BlockIndex(4), true)), "the deficit is one block");
        outbound.take(BlockIndex(4));
        assert_eq!(outbound.peek(), None);
    }

    #[test]
    fn passes_begin_when_the_fate_of_everything_is_known() {
        let mut outbound = sent(6, 1, &[]).repaired(Repair::Passes);
        (0..3).for_each(|block| outbound.handle_arrived(BlockIndex(block)));
        (3..5).for_each(|block| outbound.handle_lost(BlockIndex(block)));
        assert_eq!((outbound.peek(), outbound.passes()), (None, 0));
        outbound.handle_lost(BlockIndex(5));
        assert_eq!(outbound.passes(), 1);
        for block in (3..6).map(BlockIndex) {
            assert_eq!(outbound.peek(), Some((block, true)));
            outbound.take(block);
        }
        outbound.handle_lost(BlockIndex(3));
        outbound.handle_lost(BlockIndex(5));
        assert_eq!((outbound.peek(), outbound.passes()), (None, 1));
        outbound.handle_arrived(BlockIndex(4));
        assert_eq!((outbound.peek(), outbound.passes()), (Some((BlockIndex(3), true)), 2));
    }

    #[test]
    fn an_urgent_block_is_always_repaired_and_first() {
        let mut outbound = sent(10, 1, &[9]);
        [3, 5, 9].into_iter().for_each(|block| outbound.handle_lost(BlockIndex(block)));
        assert_eq!(outbound.peek(), Some((BlockIndex(9), true)));
        outbound.take(BlockIndex(9));
        assert_eq!(outbound.peek(), Some((BlockIndex(3), true)));
    }

    #[test]
    fn a_copy_given_up_may_still_arrive() {
        let mut outbound = sent(4, 0, &[]);
        outbound.handle_lost(BlockIndex(2));
        outbound.take(BlockIndex(2));
        assert!(outbound.may_probe(BlockIndex(2)));
        outbound.handle_arrived(BlockIndex(2));
        assert_eq!((outbound.peek(), outbound.arrived()), (None, 1));
        assert!(!outbound.may_probe(BlockIndex(2)));
    }

    #[test]
    fn the_receiver_has_the_last_word() {
        let mut outbound = sent(4, 4, &[]);
        (0..4).for_each(|block| outbound.handle_lost(BlockIndex(block)));
        assert_eq!(outbound.peek(), None);
        let mut entry = GrantEntry {
            transfer: ID,
            standing: Standing::Open,
            received: 0,
            deficit: 1,
            limit: 0,
        };
        outbound.handle_entry(&entry);
        assert_eq!(outbound.peek(), Some((BlockIndex(0), true)));
        outbound.take(BlockIndex(0));
        assert_eq!(outbound.peek(), None);
        entry.standing = Standing::Closed;
        outbound.handle_entry(&entry);
        outbound.handle_lost(BlockIndex(0));
        assert!(outbound.is_closed() && outbound.peek().is_none());
    }

    #[test]
    fn blobs_are_cut_into_blocks() {
        let bytes: Vec<u8> = (0..3000u32).map(|i| i as u8).collect();
        let blob = Outbound::blob(ID, bytes.clone());
        assert_eq!((blob.total(), blob.allowance()), (3, 0));
        let joined: Vec<u8> =
            (0..3).flat_map(|i| blob.blob_block(BlockIndex(i)).to_vec()).collect();
        assert_eq!(joined, bytes);
    }
}
