//! What carries messages: datagrams, or the frames of a stream of bytes.
//!
//! A frame is a datagram behind its length. It has no checksum, for TCP has its own, and may be much larger, so that
//! nobody pays the price of a datagram where there are none.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::Reject;
use super::envelope::{self, BODY_MAX, HEADER, Header};

/// What stands in front of a frame: the number of bytes that follow.
pub const PREFIX: usize = size_of::<U32>();

/// Bytes of the largest frame with its prefix. Larger ones would save nothing that could be measured; a peer on a slow
/// path shows that it lives with each of them.
pub const FRAME_MAX: usize = 1 << 15;

/// What carries the messages of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// UDP: what is sent may be lost, damaged, doubled, and overtaken.
    #[default]
    Datagrams,
    /// TCP: what is sent arrives, in order, or the connection breaks.
    Stream,
}

impl Carrier {
    /// Clears `buf` and begins a datagram or frame in it; the body is appended next, then [`seal`](Self::seal) ends it.
    pub(super) fn start(self, buf: &mut Vec<u8>, header: Header) {
        buf.clear();
        if self == Self::Stream {
            buf.extend_from_slice(&[0; PREFIX]);
        }
        envelope::start(buf, header);
    }

    /// Ends the datagram or frame in `buf`.
    pub(super) fn seal(self, buf: &mut Vec<u8>) {
        match self {
            Self::Datagrams => envelope::seal(buf),
            Self::Stream => {
                assert!(buf.len() <= FRAME_MAX, "a frame of {} bytes", buf.len());
                let length = U32::new((buf.len() - PREFIX) as u32);
                buf[..PREFIX].copy_from_slice(&length.to_bytes());
            }
        }
    }

    /// Bytes of the largest body.
    pub(super) const fn body_max(self) -> usize {
        match self {
            Self::Datagrams => BODY_MAX,
            Self::Stream => FRAME_MAX - PREFIX - HEADER,
        }
    }

    /// The version of a datagram or frame that is of another one ([`Reject::Version`]).
    pub fn version(self, bytes: &[u8]) -> u8 {
        let start = if self == Self::Stream { PREFIX } else { 0 };
        bytes.get(start + 1).copied().unwrap_or_default()
    }

    /// Takes a received datagram, or a whole frame with its prefix, apart into header and body.
    ///
    /// # Errors
    /// If it is not ours, of another version, or damaged.
    pub fn open(self, bytes: &[u8]) -> Result<(Header, &[u8]), Reject> {
        match self {
            Self::Datagrams => envelope::open(bytes),
            Self::Stream => match frame_len(bytes)? {
                Some(len) if len == bytes.len() => envelope::read(&bytes[PREFIX..]),
                _ => Err(Reject::Length),
            },
        }
    }
}

/// Bytes of the frame that begins with `bytes`, its prefix included; `None` as long as there are too few to tell.
///
/// # Errors
/// If no frame of ours is so long: whatever else comes, this is no stream of frames.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, Reject> {
    let Ok((length, _)) = U32::ref_from_prefix(bytes) else { return Ok(None) };
    let length = usize::try_from(length.get()).map_err(|_| Reject::Length)?;
    if !(1..=FRAME_MAX - PREFIX).contains(&length) {
        return Err(Reject::Length);
    }
    Ok(Some(PREFIX + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PacketNumber, SessionId};
    use crate::wire::message::tests::hex;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut buf = vec![9; 3];
        let header = Header { session: SessionId(0x0102_0304), number: PacketNumber(5) };
        Carrier::Stream.start(&mut buf, header);
        buf.extend_from_slice(body);
        Carrier::Stream.seal(&mut buf);
        buf
    }

    #[test]
    fn layout_is_pinned() {
        insta::assert_snapshot!(
            hex(&frame(b"body")),
            @"16 00 00 00 4d 01 04 03 02 01 00 00 00 00 05 00 00 00 00 00 00 00 62 6f 64 79"
        );
    }

    #[test]
    fn only_whole_frames_are_opened() {
        let good = frame(b"some body");
        assert_eq!(frame_len(&good), Ok(Some(good.len())));
        let (header, body) = Carrier::Stream.open(&good).unwrap();
        assert_eq!((header.session.0, header.number.0, body), (0x0102_0304, 5, &b"some body"[..]));
        for len in 0..good.len() {
            assert_eq!(Carrier::Stream.open(&good[..len]), Err(Reject::Length), "length {len}");
            assert_eq!(frame_len(&good[..len]), Ok((len >= PREFIX).then_some(good.len())));
        }
        for (at, wrong) in [(PREFIX, Reject::Foreign), (PREFIX + 1, Reject::Version)] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(Carrier::Stream.open(&bad), Err(wrong));
        }
        let mut newer = good;
        newer[PREFIX + 1] = 7;
        assert_eq!(
            (Carrier::Stream.version(&newer), Carrier::Datagrams.version(&newer[PREFIX..])),
            (7, 7)
        );
        assert_eq!(Carrier::Stream.open(&frame(b"")[..PREFIX + 3]), Err(Reject::Length));
    }

    #[test]
    fn hostile_lengths_are_refused_at_once() {
        for length in
            [0, FRAME_MAX as u32 - PREFIX as u32 + 1, u32::MAX, u32::from_le_bytes(*b"GET ")]
        {
            assert_eq!(frame_len(&length.to_le_bytes()), Err(Reject::Length), "{length}");
        }
        let largest = FRAME_MAX as u32 - PREFIX as u32;
        assert_eq!(frame_len(&largest.to_le_bytes()), Ok(Some(FRAME_MAX)));
    }
}
