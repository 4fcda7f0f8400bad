//! One TCP connection: frames in, frames out, and never more than a little of either in our own memory.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::task::Context;

use smol::Async;

use crate::wire::{FRAME_MAX, Reject, frame_len};

/// Bytes that one call may receive: what a core's own cache holds beside what it is decoded into.
const READ_BYTES: usize = 1 << 17;
/// Calls that receive from one connection before the next one has its turn.
const READS_MAX: usize = 8;
/// Frames up to this size wait for the next one, or for [`Connection::flush`]: what leaves together is one segment.
const SMALL: usize = 1 << 12;
/// Bytes of small frames that may wait so.
const GATHERED_MAX: usize = 1 << 14;
/// Bytes that may wait for a peer who takes none. A stalled session says little; this is years of it.
const PENDING_MAX: usize = 1 << 18;

/// What all connections of a thread receive into.
pub(super) struct Scratch(Vec<u8>);

impl Default for Scratch {
    fn default() -> Self {
        Self(vec![0; FRAME_MAX + READ_BYTES])
    }
}

/// Why there is no connection any more.
#[derive(Debug)]
pub(super) enum Lost {
    /// The peer has closed it.
    Ended,
    /// It broke.
    Failed(io::Error),
    /// What came is no stream of frames.
    Foreign(Reject),
    /// A frame of it was put aside, and its taker wants no more.
    Refused(Reject),
}

impl Lost {
    /// In words that follow "the connection".
    pub(super) fn why(&self) -> String {
        match self {
            Self::Ended => "was closed".to_owned(),
            Self::Failed(error) => format!("broke: {error}"),
            Self::Foreign(reject) | Self::Refused(reject) => {
                format!("carried what is no frame of ours ({reject})")
            }
        }
    }
}

pub(super) struct Connection {
    io: Async<TcpStream>,
    /// The beginning of a frame whose end is not here yet; less than a frame.
    partial: Vec<u8>,
    /// What has not left yet.
    pending: Vec<u8>,
    /// Whether the kernel has refused some of it.
    stalled: bool,
    /// Whether there may be something to be read, or room to write.
    ready: bool,
    shut: bool,
}

impl Connection {
    pub(super) fn new(io: Async<TcpStream>) -> io::Result<Self> {
        io.get_ref().set_nodelay(true)?;
        let (partial, pending) = (Vec::new(), Vec::new());
        Ok(Self { io, partial, pending, stalled: false, ready: true, shut: false })
    }

    /// Whether transfers must wait.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Tries again although nobody has said that there is anything.
    pub(super) const fn touch(&mut self) {
        self.ready = true;
    }

    /// Asks whether something can be received, or sent that could not be before, and to be woken if not.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.ready |= self.io.poll_readable(cx).is_ready();
        self.ready |= self.stalled && self.io.poll_writable(cx).is_ready();
        self.ready
    }

    /// Hands out the frames that have arrived, up to a limit; whether there may be more. An error of `take` is one of
    /// the peer.
    pub(super) fn receive(
        &mut self,
        Scratch(scratch): &mut Scratch,
        mut take: impl FnMut(&[u8]) -> Result<(), Reject>,
    ) -> Result<bool, Lost> {
        if !self.ready {
            return Ok(false);
        }
        for _ in 0..READS_MAX {
            let held = self.partial.len();
            scratch[..held].copy_from_slice(&self.partial);
            let room = &mut scratch[held..held + READ_BYTES];
            let count = match self.io.get_ref().read(room) {
                Ok(0) => return Err(Lost::Ended),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Lost::Failed(error)),
            };
            let mut rest = &scratch[..held + count];
            while let Some(len) = frame_len(rest).map_err(Lost::Foreign)?
                && let Some((frame, after)) = rest.split_at_checked(len)
            {
                take(frame).map_err(Lost::Refused)?;
                rest = after;
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);
            if count < READ_BYTES {
                // Drained. If more has come since, the reactor knows.
                self.ready = false;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads and forgets what still comes.
    pub(super) fn discard(&mut self, Scratch(scratch): &mut Scratch) -> Result<(), Lost> {
        self.partial = Vec::new();
        for _ in 0..READS_MAX {
            match self.io.get_ref().read(scratch) {
                Ok(0) => return Err(Lost::Ended),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Lost::Failed(error)),
            }
        }
        self.ready = false;
        Ok(())
    }

    /// Sends a frame, or keeps what does not leave.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), Lost> {
        let gather = frame.len() <= SMALL && self.pending.len() <= GATHERED_MAX;
        if self.stalled || gather {
            if self.pending.len() + frame.len() > PENDING_MAX {
                return Err(Lost::Failed(io::ErrorKind::TimedOut.into()));
            }
            self.pending.extend_from_slice(frame);
            return Ok(());
        }
        let sent = self.write(frame)?;
        let before = self.pending.len();
        self.pending.drain(..sent.min(before));
        self.pending.extend_from_slice(&frame[sent.saturating_sub(before)..]);
        self.stalled = !self.pending.is_empty();
        Ok(())
    }

    /// Sends what is kept, as far as it leaves.
    pub(super) fn flush(&mut self) -> Result<(), Lost> {
        if !self.pending.is_empty() {
            let sent = self.write(&[])?;
            self.pending.drain(..sent);
            self.stalled = !self.pending.is_empty();
        }
        Ok(())
    }

    /// Bytes that have left, of what is kept and a frame behind it.
    fn write(&self, frame: &[u8]) -> Result<usize, Lost> {
        loop {
            match self
                .io
                .get_ref()
                .write_vectored(&[IoSlice::new(&self.pending), IoSlice::new(frame)])
            {
                Ok(sent) => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Lost::Failed(error)),
            }
        }
    }

    /// Says, once everything has left, that nothing more will be sent.
    pub(super) fn shut(&mut self) -> Result<(), Lost> {
        self.flush()?;
        if self.pending.is_empty() && !std::mem::replace(&mut self.shut, true) {
            self.io.get_ref().shutdown(Shutdown::Write).map_err(Lost::Failed)?;
        }
        Ok(())
    }
}
