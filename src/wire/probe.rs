//! What a check of the path sends, and what the server answers: no session, and no part in the run.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Reject;
use super::envelope::{CHECKSUM, DATAGRAM_MAX, OVERHEAD};
use crate::ids::PacketNumber;

/// Groups of probes that are counted apart.
pub const PROBE_GROUPS: u8 = 16;
/// Answers that one probe may ask for.
pub const ECHO_COPIES_MAX: u8 = 32;
/// Bytes of the smallest datagram with a probe: none of its answers to a stranger is larger.
pub const PROBE_MIN: u16 = 64;

/// Checker to server: count this, and answer as it says. Padded to any size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What the server's [`Echo`] gave, 0 at first: proves that the checker receives at the address it sends from.
    pub cookie: u64,
    /// The group it is counted in, below [`PROBE_GROUPS`].
    pub group: u8,
    /// The group that the answer tells about.
    pub about: u8,
    /// Answers, at most [`ECHO_COPIES_MAX`].
    pub copies: u8,
    /// Bytes of each answer's datagram, from [`PROBE_MIN`] to [`DATAGRAM_MAX`].
    pub reply: u16,
    /// Bytes of this datagram, in the same limits.
    pub size: u16,
}

/// How the server takes a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Taken {
    /// It was counted.
    Counted = 0,
    /// It does not prove its address; the cookie for that is in the answer.
    Unproven = 1,
    /// The server checks as many paths as it may already.
    Busy = 2,
}

/// Server to checker: the answer to a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// To be sent back in the next [`Probe`].
    pub cookie: u64,
    /// The probe that is answered.
    pub number: PacketNumber,
    /// How it was taken.
    pub taken: Taken,
    /// Which of its answers this is, from 0.
    pub copy: u8,
    /// Probes that arrived, of the group that was asked about.
    pub received: u32,
    /// Answers to them that were sent.
    pub echoes: u32,
    /// Nanoseconds from the arrival of their first to that of their last.
    pub span_ns: u64,
    /// Bytes of this datagram.
    pub size: u16,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawProbe {
    cookie: U64,
    group: u8,
    about: u8,
    copies: u8,
    reply: U16,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEcho {
    cookie: U64,
    number: U64,
    taken: u8,
    copy: u8,
    received: U32,
    echoes: U32,
    span_ns: U64,
}

const _: () = assert!(size_of::<RawProbe>() == 13 && size_of::<RawEcho>() == 34);
/// Bytes around the body of a datagram, the kind included.
const AROUND: usize = OVERHEAD + 1;
const _: () = assert!(AROUND + size_of::<RawEcho>() <= PROBE_MIN as usize);

impl Probe {
    pub(super) fn write(self, datagram: &mut Vec<u8>) {
        let raw = RawProbe {
            cookie: self.cookie.into(),
            group: self.group,
            about: self.about,
            copies: self.copies,
            reply: self.reply.into(),
        };
        datagram.extend_from_slice(raw.as_bytes());
        pad(datagram, self.size);
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        let (raw, padding) = RawProbe::ref_from_prefix(body).map_err(|_| Reject::Malformed)?;
        let size = size(body)?;
        let probe = Self {
            cookie: raw.cookie.get(),
            group: raw.group,
            about: raw.about,
            copies: raw.copies,
            reply: raw.reply.get(),
            size,
        };
        let sound = probe.group < PROBE_GROUPS
            && probe.about < PROBE_GROUPS
            && probe.copies <= ECHO_COPIES_MAX
            && (PROBE_MIN..=DATAGRAM_MAX as u16).contains(&probe.reply)
            && padding.iter().all(|&byte| byte == 0);
        if sound { Ok(probe) } else { Err(Reject::Malformed) }
    }
}

impl Echo {
    pub(super) fn write(self, datagram: &mut Vec<u8>) {
        let raw = RawEcho {
            cookie: self.cookie.into(),
            number: self.number.0.into(),
            taken: self.taken as u8,
            copy: self.copy,
            received: self.received.into(),
            echoes: self.echoes.into(),
            span_ns: self.span_ns.into(),
        };
        datagram.extend_from_slice(raw.as_bytes());
        pad(datagram, self.size);
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        let (raw, _) = RawEcho::ref_from_prefix(body).map_err(|_| Reject::Malformed)?;
        let taken = match raw.taken {
            0 => Taken::Counted,
            1 => Taken::Unproven,
            2 => Taken::Busy,
            _ => return Err(Reject::Malformed),
        };
        Ok(Self {
            cookie: raw.cookie.get(),
            number: PacketNumber(raw.number.get()),
            taken,
            copy: raw.copy,
            received: raw.received.get(),
            echoes: raw.echoes.get(),
            span_ns: raw.span_ns.get(),
            size: size(body)?,
        })
    }
}

/// Fills a datagram up with zeros to `size`, less the checksum that ends it.
fn pad(datagram: &mut Vec<u8>, size: u16) {
    let size = usize::from(size.clamp(PROBE_MIN, DATAGRAM_MAX as u16));
    datagram.resize(size - CHECKSUM, 0);
}

/// Bytes of the datagram that this body came in.
fn size(body: &[u8]) -> Result<u16, Reject> {
    let size = (body.len() + AROUND) as u16;
    if size < PROBE_MIN { Err(Reject::Malformed) } else { Ok(size) }
}
