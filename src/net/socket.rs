//! A UDP socket that moves many datagrams with one call.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use smol::Async;

use super::{Clock, NetError, wall_clock};
use crate::units::Instant;
use crate::wire::DATAGRAM_MAX;

/// Bytes of the buffers that are asked for; systems give what they allow.
const BUFFER_BYTES: usize = 4 << 20;
/// What the kernel accounts for one of our datagrams, in bytes.
const KERNEL_BYTES: usize = 2304;
/// Datagrams that leave with one call: more would delay what has just been received.
const SEGMENTS_MAX: usize = 40;
/// What one receive buffer holds: a batch of merged datagrams is at most an IP packet.
const RECEIVE_BYTES: usize = 1 << 16;
/// Peers whose way to us is remembered; others are answered from the address that the system chooses.
const ROUTES_MAX: usize = 4096;
/// No datagram is believed to have waited longer in our receive buffer: somebody may have set the time of day.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Calls that receive before something may be sent again.
const RECEIVES_MAX: usize = 8;

/// What the sockets of this machine can do.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Datagrams in one send (GSO).
    pub send_segments: usize,
    /// Datagrams in one receive buffer (GRO).
    pub receive_segments: usize,
    /// Bytes of the send buffer, as the kernel counts.
    pub send_buffer: usize,
    /// Bytes of the receive buffer, as the kernel counts.
    pub receive_buffer: usize,
}

impl Features {
    /// Tries a socket on the loopback interface.
    ///
    /// # Errors
    /// If there is none.
    pub fn probe() -> Result<Self, NetError> {
        Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map(|socket| socket.features())
    }
}

pub(super) struct Socket {
    io: Async<UdpSocket>,
    state: UdpSocketState,
    receive: Vec<Vec<u8>>,
    meta: [RecvMeta; BATCH_SIZE],
    /// Datagrams of one size and destination that wait for the call that sends them.
    batch: Vec<u8>,
    batch_to: Option<SocketAddr>,
    segment: usize,
    segments: usize,
    /// Whether we listen at all addresses of this machine.
    anywhere: bool,
    /// If so: at which of them each peer reaches us, so that answers come from there.
    routes: HashMap<SocketAddr, IpAddr>,
    too_large: bool,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, NetError> {
        let bind = |source| NetError::Bind { address, source };
        let io = Async::<UdpSocket>::bind(address).map_err(bind)?;
        let state = UdpSocketState::new((&io).into())?;
        // A refusal leaves the system's default, which the credits take into account.
        let _ = state.set_send_buffer_size((&io).into(), BUFFER_BYTES);
        let _ = state.set_recv_buffer_size((&io).into(), BUFFER_BYTES);
        Ok(Self {
            io,
            state,
            receive: vec![vec![0; RECEIVE_BYTES]; BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
            batch: Vec::with_capacity(SEGMENTS_MAX * DATAGRAM_MAX),
            batch_to: None,
            segment: 0,
            segments: 0,
            anywhere: address.ip().is_unspecified(),
            routes: HashMap::new(),
            too_large: false,
        })
    }

    pub(super) fn local_address(&self) -> Result<SocketAddr, NetError> {
        Ok(self.io.get_ref().local_addr()?)
    }

    pub(super) fn features(&self) -> Features {
        let buffer = |bytes: io::Result<usize>| bytes.unwrap_or(KERNEL_BYTES);
        Features {
            send_segments: self.state.max_gso_segments(),
            receive_segments: self.state.gro_segments(),
            send_buffer: buffer(self.state.send_buffer_size((&self.io).into())),
            receive_buffer: buffer(self.state.recv_buffer_size((&self.io).into())),
        }
    }

    /// Datagrams that the receive buffer holds.
    pub(super) fn capacity(&self) -> u16 {
        let datagrams = self.features().receive_buffer / KERNEL_BYTES;
        u16::try_from(datagrams).unwrap_or(u16::MAX).max(1)
    }

    /// Whether the system has refused to send datagrams of our size.
    pub(super) const fn is_too_narrow(&self) -> bool {
        self.too_large
    }

    /// Waits until something can be received.
    pub(super) async fn readable(&self) -> Result<(), NetError> {
        Ok(self.io.readable().await?)
    }

    /// Hands out what has arrived, with the time and the time when the system received it, up to a limit; whether there
    /// may be more.
    pub(super) fn receive(
        &mut self,
        clock: Clock,
        mut take: impl FnMut(Instant, Instant, SocketAddr, &[u8]),
    ) -> Result<bool, NetError> {
        for _ in 0..RECEIVES_MAX {
            let mut slices = self.receive.iter_mut().map(|buf| IoSliceMut::new(buf));
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| slices.next().expect("one buffer for each slice"));
            let count = match self.state.recv((&self.io).into(), &mut slices, &mut self.meta) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if is_ours(&error) => return Err(error.into()),
                Err(_) => continue,
            };
            let (now, wall) = (clock.now(), wall_clock());
            for (buf, meta) in self.receive.iter().zip(&self.meta[..count]) {
                if let Some(own) =
                    meta.dst_ip.filter(|_| self.anywhere && self.routes.len() < ROUTES_MAX)
                {
                    self.routes.insert(meta.addr, own);
                }
                let age = meta.timestamp.map_or(Duration::ZERO, |at| wall.saturating_sub(at));
                let at = now.before(age.min(AGE_MAX));
                for datagram in buf[..meta.len].chunks(meta.stride.max(1)) {
                    take(now, at, meta.addr, datagram);
                }
            }
        }
        Ok(true)
    }

    /// Whether `datagram` can be added to the batch; if not, [`flush`](Self::flush) first.
    pub(super) fn fits(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        let limit = self.state.max_gso_segments().min(SEGMENTS_MAX);
        match self.batch_to {
            None => true,
            Some(other) => {
                // All but the last of a batch have one size.
                let whole = self.batch.len() == self.segments * self.segment;
                other == to && whole && self.segments < limit && datagram.len() <= self.segment
            }
        }
    }

    /// Adds a datagram that [`fits`](Self::fits).
    pub(super) fn add(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.batch_to.is_none() {
            (self.batch_to, self.segment) = (Some(to), datagram.len());
        }
        self.batch.extend_from_slice(datagram);
        self.segments += 1;
    }

    /// Sends the batch.
    pub(super) async fn flush(&mut self) -> Result<(), NetError> {
        let Some(destination) = self.batch_to.take() else { return Ok(()) };
        let result = self.send(destination).await;
        self.batch.clear();
        self.segments = 0;
        result
    }

    async fn send(&mut self, destination: SocketAddr) -> Result<(), NetError> {
        let segments = self.state.max_gso_segments();
        let whole = std::mem::take(&mut self.batch);
        let mut sent = self.send_at_once(destination, &whole, self.segments).await;
        if sent.is_err() && self.segments > 1 && self.state.max_gso_segments() < segments {
            // The system has just found out that it cannot segment.
            sent = Ok(());
            for one in whole.chunks(self.segment) {
                sent = sent.and(self.send_at_once(destination, one, 1).await);
            }
        }
        self.batch = whole;
        match sent {
            Err(error) if is_ours(&error) => Err(error.into()),
            Err(error) => {
                self.too_large |= error.raw_os_error() == Some(TOO_LARGE);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn send_at_once(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segments: usize,
    ) -> io::Result<()> {
        let segment_size = (segments > 1).then_some(self.segment);
        let src_ip = self.routes.get(&destination).copied();
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip };
        loop {
            match self.state.try_send((&self.io).into(), &transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.io.writable().await?
                }
                result => return result,
            }
        }
    }
}

/// `EMSGSIZE` of Linux: the interface carries no datagram of this size.
const TOO_LARGE: i32 = 90;

/// Whether an error is one of our socket. Any other is one of a destination or of the network: weather, and what was to
/// be sent counts as lost.
fn is_ours(error: &io::Error) -> bool {
    /// `EBADF`, `EFAULT` and `ENOTSOCK` of Linux.
    const OURS: [i32; 3] = [9, 14, 88];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}
