//! Grant: what the receiver has, for the sender to go on. Cumulative: a later one makes all earlier ones superfluous.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Reject, TransferId, TransferKind};
use crate::ids::{PacketNumber, Round};

/// Packet numbers below the largest that a grant speaks of.
pub const SEEN_BITS: u32 = 512;
/// The queueing time of a grant that knows none.
pub const NO_QUEUE: u32 = u32::MAX;
const SEEN_BYTES: usize = SEEN_BITS as usize / 8;
const SEEN_BYTES_BRIEF: u8 = 16;

/// How a transfer stands at its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// More is wanted.
    Open = 0,
    /// Enough has arrived, or no more will be taken: stop sending.
    Closed = 1,
}

/// One transfer in a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantEntry {
    /// Which.
    pub transfer: TransferId,
    /// Whether to go on.
    pub standing: Standing,
    /// Blocks received.
    pub received: u32,
    /// Blocks still needed, critical ones included; 0 while the receiver is only being patient.
    pub deficit: u32,
    /// Datagrams of it that may be sent in all, copies included.
    pub limit: u32,
}

/// A parsed (or to be written) grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The largest packet number received.
    pub largest: PacketNumber,
    /// How long ago that was, in microseconds.
    pub delay_us: u32,
    /// Datagrams that may be in flight at once.
    pub credit: u16,
    /// How long, in microseconds, datagrams queued of late on average; [`NO_QUEUE`] if nothing is known.
    pub queue_us: u32,
    /// Bit `i` (least significant first): whether `largest - i` was received; bit 0 is always set.
    pub seen: [u8; SEEN_BYTES],
    /// Bytes of it that are said.
    seen_len: u8,
    entries: [Option<GrantEntry>; TransferKind::ALL.len()],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawGrant {
    largest: U64,
    delay_us: U32,
    credit: U16,
    queue_us: U32,
    seen_len: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    transfer: u8,
    standing: u8,
    round: U32,
    received: U32,
    deficit: U32,
    limit: U32,
}

const _: () = assert!(size_of::<RawGrant>() == 19 && size_of::<RawEntry>() == 18);

impl Grant {
    /// A grant that speaks of no transfer yet.
    #[must_use]
    pub const fn new(
        largest: PacketNumber,
        delay_us: u32,
        credit: u16,
        seen: [u8; SEEN_BYTES],
    ) -> Self {
        let entries = [None; TransferKind::ALL.len()];
        let seen_len = SEEN_BYTES as u8;
        Self { largest, delay_us, credit, queue_us: NO_QUEUE, seen, seen_len, entries }
    }

    /// Says less of what was seen: where little is lost, each grant arrives, and it need not repeat those before it.
    #[must_use]
    pub const fn briefly(self) -> Self {
        Self { seen_len: SEEN_BYTES_BRIEF, ..self }
    }

    /// Adds what is said of one transfer; one of each kind.
    pub fn add(&mut self, entry: GrantEntry) {
        self.entries[entry.transfer.kind as usize] = Some(entry);
    }

    /// What is said of transfers.
    pub fn entries(&self) -> impl Iterator<Item = GrantEntry> + '_ {
        self.entries.iter().flatten().copied()
    }

    /// Whether `number` is said to be received; `None` if the grant does not reach back so far.
    #[must_use]
    pub fn has_seen(&self, number: PacketNumber) -> Option<bool> {
        let back = self.largest.0.checked_sub(number.0)?;
        let byte = self.seen[..self.seen_len.into()].get(usize::try_from(back / 8).ok()?)?;
        Some(byte >> (back % 8) & 1 == 1)
    }

    pub(super) fn write(&self, body: &mut Vec<u8>) {
        let raw = RawGrant {
            largest: self.largest.0.into(),
            delay_us: self.delay_us.into(),
            credit: self.credit.into(),
            queue_us: self.queue_us.into(),
            seen_len: self.seen_len,
        };
        body.extend_from_slice(raw.as_bytes());
        body.extend_from_slice(&self.seen[..self.seen_len.into()]);
        for entry in self.entries() {
            let raw = RawEntry {
                transfer: entry.transfer.kind as u8,
                standing: entry.standing as u8,
                round: entry.transfer.round.0.into(),
                received: entry.received.into(),
                deficit: entry.deficit.into(),
                limit: entry.limit.into(),
            };
            body.extend_from_slice(raw.as_bytes());
        }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        let (raw, rest) = RawGrant::ref_from_prefix(body).map_err(|_| Reject::Malformed)?;
        let (said, entries) =
            rest.split_at_checked(raw.seen_len.into()).ok_or(Reject::Malformed)?;
        let mut seen = [0; SEEN_BYTES];
        seen.get_mut(..said.len()).ok_or(Reject::Malformed)?.copy_from_slice(said);
        let entries = <[RawEntry]>::ref_from_bytes(entries).map_err(|_| Reject::Malformed)?;
        if entries.len() > TransferKind::ALL.len() || seen[0] & 1 == 0 {
            return Err(Reject::Malformed);
        }
        let largest = PacketNumber(raw.largest.get());
        let mut grant = Self::new(largest, raw.delay_us.get(), raw.credit.get(), seen);
        grant.seen_len = raw.seen_len;
        grant.queue_us = raw.queue_us.get();
        for entry in entries {
            let kind = TransferKind::from_wire(entry.transfer).ok_or(Reject::Malformed)?;
            let standing = match entry.standing {
                0 => Standing::Open,
                1 => Standing::Closed,
                _ => return Err(Reject::Malformed),
            };
            grant.add(GrantEntry {
                transfer: TransferId { kind, round: Round(entry.round.get()) },
                standing,
                received: entry.received.get(),
                deficit: entry.deficit.get(),
                limit: entry.limit.get(),
            });
        }
        Ok(grant)
    }
}
