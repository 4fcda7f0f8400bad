//! What a session has to send, most pressing first.

use super::{Owner, REGRANT, REGRANT_DOUBLINGS, Session};
use crate::ids::BlockIndex;
use crate::mlt::flight::Sent;
use crate::mlt::inbound::Inbound;
use crate::mlt::outbound::Outbound;
use crate::units::Instant;
use crate::wire::{
    Block, Carrier, DataHead, Grant, GrantEntry, Header, Message, Standing, TransferId,
    TransferKind, write_data,
};

impl Session {
    /// Writes the next datagram into `buf`; `false` if there is none to be sent now.
    pub fn poll_transmit(&mut self, now: Instant, owner: &impl Owner, buf: &mut Vec<u8>) -> bool {
        self.paced_until = None;
        if let Some((bye, copies)) = &mut self.bye {
            let message = Message::Bye(bye.clone());
            let left = *copies > 0;
            *copies = copies.saturating_sub(1);
            if left {
                let header = self.next_header();
                message.write(self.carrier, header, buf);
            }
            return left;
        }
        let sent = self.transmit_grant(now, buf)
            || if self.is_stream() {
                self.transmit_frame(now, owner, buf)
            } else {
                self.transmit_data(now, owner, buf)
            };
        if sent {
            self.last_sent = now;
        }
        sent
    }

    fn transmit_grant(&mut self, now: Instant, buf: &mut Vec<u8>) -> bool {
        let due = self.grant_at.is_some_and(|at| at <= now);
        let Some(largest) = self.seen.largest().filter(|_| due) else { return false };
        let delay = (now - self.largest_at).as_micros().min(u32::MAX.into()) as u32;
        let mut grant = Grant::new(largest, delay, self.credit, self.seen.window());
        for kind in TransferKind::ALL {
            let mention = self.mentions[kind as usize].take();
            let underway = self.inbound(kind).filter(|inbound| inbound.is_underway());
            let Some(round) = mention.or_else(|| underway.map(|inbound| inbound.id().round)) else {
                continue;
            };
            let current = self.inbound(kind).filter(|current| current.id().round == round);
            let transfer = TransferId { kind, round };
            let closed =
                GrantEntry { transfer, standing: Standing::Closed, received: 0, deficit: 0 };
            grant.add(current.map_or(closed, Inbound::entry));
        }
        // Grants are lost too: as long as something is missing they are repeated, ever more rarely.
        let wanted = !self.is_stream() && self.inbound.iter().flatten().any(Inbound::is_underway);
        self.grant_at = wanted.then(|| now + REGRANT * (1 << self.regrants.min(REGRANT_DOUBLINGS)));
        self.regrants += 1;
        self.unanswered = 0;
        let header = self.next_header();
        Message::Grant(grant).write(self.carrier, header, buf);
        true
    }

    fn transmit_data(&mut self, now: Instant, owner: &impl Owner, buf: &mut Vec<u8>) -> bool {
        let slot =
            self.outbound.iter().position(|slot| slot.as_ref().is_some_and(|o| o.peek().is_some()));
        let pressing = self.probes > 0 || self.ping;
        if !pressing && (slot.is_none() || !self.may_depart(now)) {
            return false;
        }
        let copied = if slot.is_none() && self.probes > 0 { self.worth_copying() } else { None };
        let header = self.next_header();
        let mut sent = Sent::new(header.number, now, None);
        if let Some(outbound) = slot.and_then(|slot| self.outbound[slot].as_mut()) {
            write_next(header, outbound, &mut sent, owner, buf);
        } else if let Some((original, outbound)) = copied
            .and_then(|sent| Some((sent, self.outbound[sent.transfer?.kind as usize].as_mut()?)))
        {
            write_copy(header, outbound, &original, &mut sent, owner, buf);
        } else {
            Message::Ping.write(self.carrier, header, buf);
        }
        if self.probes > 0 {
            self.probes -= 1;
        } else {
            self.pace.spend();
        }
        self.ping = false;
        self.last_eliciting = now;
        self.flight.push(sent);
        true
    }

    /// Whether window and pace allow a datagram now.
    fn may_depart(&mut self, now: Instant) -> bool {
        if self.flight.in_flight() >= self.pace.window() {
            return false;
        }
        let departure = self.pace.next_departure(now, &self.rtt);
        self.paced_until = Some(departure).filter(|&at| at > now);
        self.paced_until.is_none()
    }

    /// The oldest datagram on its way with a block that is needed if it is lost.
    fn worth_copying(&self) -> Option<Sent> {
        let needed = |sent: &&Sent| {
            let outbound = sent.transfer.and_then(|id| self.outbound(id.kind));
            outbound.is_some_and(|outbound| {
                outbound.has_sent(sent)
                    && sent.blocks().iter().any(|&block| outbound.may_probe(block))
            })
        };
        self.flight.iter().find(needed).copied()
    }
}

/// Writes as many of the next blocks as fit.
fn write_next(
    header: Header,
    outbound: &mut Outbound,
    sent: &mut Sent,
    owner: &impl Owner,
    buf: &mut Vec<u8>,
) {
    sent.transfer = Some(outbound.id());
    write_data(Carrier::Datagrams, header, head(outbound), buf, |writer| {
        while let Some((index, repair)) = outbound.peek().filter(|_| !sent.is_full()) {
            let bytes = bytes_of(outbound, owner, index);
            if !writer.push(Block { index, repair, bytes }) {
                break;
            }
            outbound.take(index);
            sent.add(index);
        }
        outbound.unsent()
    });
    outbound.handle_sent(buf.len());
}

/// Writes those blocks of a datagram on its way that are needed if it is lost.
fn write_copy(
    header: Header,
    outbound: &mut Outbound,
    original: &Sent,
    sent: &mut Sent,
    owner: &impl Owner,
    buf: &mut Vec<u8>,
) {
    sent.transfer = original.transfer;
    write_data(Carrier::Datagrams, header, head(outbound), buf, |writer| {
        for &index in original.blocks() {
            let bytes = bytes_of(outbound, owner, index);
            if outbound.may_probe(index) && writer.push(Block { index, repair: true, bytes }) {
                outbound.take(index);
                sent.add(index);
            }
        }
        outbound.unsent()
    });
    outbound.handle_sent(buf.len());
}

pub(super) fn head(outbound: &Outbound) -> DataHead {
    DataHead {
        transfer: outbound.id(),
        total: outbound.total(),
        allowance: outbound.allowance(),
        unsent: outbound.unsent(),
    }
}

pub(super) fn bytes_of<'a>(
    outbound: &'a Outbound,
    owner: &'a impl Owner,
    block: BlockIndex,
) -> &'a [u8] {
    if outbound.id().kind.is_blob() {
        outbound.blob_block(block)
    } else {
        owner.block_bytes(outbound.id(), block)
    }
}
