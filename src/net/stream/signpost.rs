//! The UDP port beside a TCP server: tells workers that came by the wrong way.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::task::Context;

use smol::Async;

use crate::ids::PacketNumber;
use crate::wire::{Bye, ByeCode, Carrier, DATAGRAM_MAX, Header, Message};

/// Datagrams that are looked at before something else has its turn.
const READS_MAX: usize = 16;
/// What a worker is told, and who checks the path.
const TO_WORKER: &str = "this server speaks TCP: add --transport tcp";
const TO_CHECKER: &str =
    "this server speaks TCP, which is not checked: start workers with --transport tcp";

pub(super) struct Signpost {
    io: Async<UdpSocket>,
    ready: bool,
    buf: Vec<u8>,
}

impl Signpost {
    /// None if the port is taken: nobody else misses it.
    pub(super) fn bind(address: SocketAddr) -> Option<Self> {
        let io = Async::<UdpSocket>::bind(address).ok()?;
        Some(Self { io, ready: true, buf: Vec::new() })
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.ready |= self.io.poll_readable(cx).is_ready();
        self.ready
    }

    /// Answers greetings; answers are shorter than questions, and nothing is remembered.
    pub(super) fn answer(&mut self) {
        if !std::mem::take(&mut self.ready) {
            return;
        }
        let mut datagram = [0; DATAGRAM_MAX + 1];
        for _ in 0..READS_MAX {
            let (len, from) = match self.io.get_ref().recv_from(&mut datagram) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let Ok((header, body)) = Carrier::Datagrams.open(&datagram[..len]) else { continue };
            let text = match Message::parse(body) {
                Ok(Message::Hello(_)) => TO_WORKER,
                Ok(Message::Probe(_)) => TO_CHECKER,
                _ => continue,
            };
            let header = Header { session: header.session, number: PacketNumber(0) };
            let bye = Message::Bye(Bye::new(ByeCode::Refused, text));
            bye.write(Carrier::Datagrams, header, &mut self.buf);
            if self.buf.len() <= len {
                // It will ask again.
                let _ = self.io.get_ref().send_to(&self.buf, from);
            }
        }
        self.ready = true;
    }
}
