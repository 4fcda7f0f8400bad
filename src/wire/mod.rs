//! The wire format: bytes to meaning and back, nothing else.
//!
//! A datagram is a public [`Header`], a body whose first byte is its kind, and a checksum; over a stream, frames take
//! its place ([`Carrier`]). Everything that comes from
//! the network is parsed here, once, into types that cannot be wrong; what cannot be parsed is a [`Reject`].
//! `docs/PROTOCOL.md` describes the layouts; the snapshots beside this module pin them.

mod blocks;
mod carrier;
mod envelope;
mod grant;
mod greeting;
mod message;
mod probe;
mod reject;
mod report;
mod start;

pub use blocks::{BLOCK_BYTES_MAX, BLOCK_OVERHEAD, Block, BlocksWriter, Data, DataHead};
pub use carrier::{Carrier, FRAME_MAX, PREFIX, frame_len};
pub use envelope::{BODY_MAX, DATAGRAM_MAX, Header, OVERHEAD, VERSION};
pub use grant::{Grant, GrantEntry, NO_QUEUE, SEEN_BITS, Standing};
pub use greeting::{Bye, ByeCode, Hello, Welcome};
pub use message::{Message, write_data};
pub use probe::{ECHO_COPIES_MAX, Echo, PROBE_GROUPS, PROBE_MIN, Probe, Taken};
pub use reject::{Reject, Rejects};
pub use report::Report;
pub use start::{Exception, RoundStart, Sparse, StartError, Task};

use crate::ids::Round;

/// What a transfer carries; its direction follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TransferKind {
    /// Server to worker, reliable: the plan.
    Plan = 0,
    /// Server to worker, reliable: a [`RoundStart`].
    Start = 1,
    /// Worker to server, reliable: a [`Report`].
    Report = 2,
    /// Worker to server, loss-bounded: a gradient.
    Push = 3,
    /// Server to worker, loss-bounded: parameters.
    Pull = 4,
}

impl TransferKind {
    /// Every kind, in the order in which they are sent.
    pub const ALL: [Self; 5] = [Self::Plan, Self::Start, Self::Report, Self::Push, Self::Pull];

    const fn from_wire(byte: u8) -> Option<Self> {
        if (byte as usize) < Self::ALL.len() { Some(Self::ALL[byte as usize]) } else { None }
    }

    /// Whether it carries a sequence of bytes rather than the blocks of a model.
    #[must_use]
    pub const fn is_blob(self) -> bool {
        matches!(self, Self::Plan | Self::Start | Self::Report)
    }
}

/// One push, pull or reliable message; of each kind, a later round supersedes an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId {
    /// What it carries.
    pub kind: TransferKind,
    /// The round it belongs to.
    pub round: Round,
}
