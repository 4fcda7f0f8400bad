//! A session over a stream, where whatever is written arrives, in order, or the connection breaks: nothing is paced,
//! repaired, or asked about. Of grants there remains the word that a transfer is closed, and the answer to a ping.

use super::transmit::{bytes_of, head};
use super::{KEEPALIVE, Owner, Role, Session};
use crate::units::Instant;
use crate::wire::{Block, Carrier, Message, write_data};

impl Session {
    /// The same session over another carrier, before anything was sent or received.
    #[must_use]
    pub fn over(self, carrier: Carrier) -> Self {
        Self { carrier, ..self }
    }

    pub(super) fn is_stream(&self) -> bool {
        self.carrier == Carrier::Stream
    }

    /// Takes in whether the stream takes no more for now: transfers wait, what is said of them does not.
    pub const fn set_stalled(&mut self, stalled: bool) {
        self.stalled = stalled;
    }

    /// A worker asks so often whatever else is on its way: a long transfer in one direction is no sign of life from the
    /// other, and behind it everything waits.
    pub(super) fn ping_timeout(&self) -> Option<Instant> {
        (self.role == Role::Worker).then(|| self.last_eliciting + KEEPALIVE)
    }

    /// Writes a ping that is due, or a frame full of blocks, which count as arrived from now on.
    pub(super) fn transmit_frame(
        &mut self,
        now: Instant,
        owner: &impl Owner,
        buf: &mut Vec<u8>,
    ) -> bool {
        if std::mem::take(&mut self.ping) {
            let header = self.next_header();
            Message::Ping(self.has_unsent()).write(self.carrier, header, buf);
            self.last_eliciting = now;
            return true;
        }
        if self.stalled {
            return false;
        }
        let header = self.header();
        let mut outbound = self.outbound.iter_mut().flatten();
        let Some(outbound) = outbound.find(|outbound| outbound.peek().is_some()) else {
            return false;
        };
        write_data(self.carrier, header, head(outbound, now), buf, |writer| {
            while let Some((index, repair)) = outbound.peek() {
                let bytes = bytes_of(outbound, owner, index);
                if !writer.push(Block { index, repair, bytes }) {
                    break;
                }
                outbound.take(index);
                outbound.handle_arrived(index);
            }
            outbound.unsent()
        });
        outbound.handle_sent(buf.len());
        self.next_number += 1;
        true
    }
}
