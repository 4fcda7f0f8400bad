//! The datagram: public header, body, checksum.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Reject;
use crate::ids::{PacketNumber, SessionId};

/// Version of the protocol. In every version, the first two bytes of a greeting and its answer, and the checksum at
/// their end, keep their place and meaning.
pub const VERSION: u8 = 1;

const MAGIC: u8 = b'M';

/// Bytes of the largest UDP payload: fits the 1,420 to 1,460 byte MTUs of VPNs and clouds with IPv4 and IPv6 headers.
pub const DATAGRAM_MAX: usize = 1392;

/// Bytes kept free for the trailer: 16 will hold an AEAD tag, 4 of them hold the checksum as long as there is no key.
const TRAILER_MAX: usize = 16;
pub(super) const CHECKSUM: usize = 4;

/// Bytes of the header.
pub(super) const HEADER: usize = size_of::<RawHeader>();

/// Bytes of a datagram that are not body.
pub const OVERHEAD: usize = size_of::<RawHeader>() + CHECKSUM;

/// Bytes of the largest body.
pub const BODY_MAX: usize = DATAGRAM_MAX - size_of::<RawHeader>() - TRAILER_MAX;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: u8,
    version: u8,
    session: U64,
    number: U64,
}

const _: () = assert!(size_of::<RawHeader>() == 18);

/// The public part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which connection.
    pub session: SessionId,
    /// Which transmission of the sender's direction.
    pub number: PacketNumber,
}

/// Appends the header; the body is appended next.
pub(super) fn start(buf: &mut Vec<u8>, header: Header) {
    let raw = RawHeader {
        magic: MAGIC,
        version: VERSION,
        session: header.session.0.into(),
        number: header.number.0.into(),
    };
    buf.extend_from_slice(raw.as_bytes());
}

/// Ends the datagram in `buf`.
///
/// # Panics
/// If the body is larger than [`BODY_MAX`]: a writer of ours did not keep its limit.
pub(super) fn seal(buf: &mut Vec<u8>) {
    assert!(buf.len() <= DATAGRAM_MAX - TRAILER_MAX, "a datagram of {} bytes", buf.len());
    seal_padded(buf);
}

/// Ends a datagram that is padded: a larger trailer will find its room in the padding.
pub(super) fn seal_padded(buf: &mut Vec<u8>) {
    let checksum = U32::new(crc32fast::hash(buf));
    buf.extend_from_slice(checksum.as_bytes());
}

/// Takes a received datagram apart into header and body.
///
/// # Errors
/// If it is not ours, of another version, or damaged.
pub(super) fn open(datagram: &[u8]) -> Result<(Header, &[u8]), Reject> {
    if datagram.len() > DATAGRAM_MAX {
        return Err(Reject::Length);
    }
    match datagram {
        [MAGIC, ..] => {}
        [] => return Err(Reject::Length),
        _ => return Err(Reject::Foreign),
    }
    let (sealed, checksum) = U32::ref_from_suffix(datagram).map_err(|_| Reject::Length)?;
    if sealed.len() < size_of::<RawHeader>() {
        return Err(Reject::Length);
    }
    if crc32fast::hash(sealed) != checksum.get() {
        return Err(Reject::Checksum);
    }
    // Only now: a damaged byte is not another version.
    read(sealed)
}

/// Takes header and body apart, which have arrived as they were sent.
pub(super) fn read(sealed: &[u8]) -> Result<(Header, &[u8]), Reject> {
    let (header, body) = RawHeader::ref_from_prefix(sealed).map_err(|_| Reject::Length)?;
    if header.magic != MAGIC {
        return Err(Reject::Foreign);
    }
    if header.version != VERSION {
        return Err(Reject::Version);
    }
    let session = SessionId(header.session.get());
    Ok((Header { session, number: PacketNumber(header.number.get()) }, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(body: &[u8]) -> Vec<u8> {
        let mut buf = Vec::new();
        let header = Header { session: SessionId(0x0102_0304), number: PacketNumber(5) };
        start(&mut buf, header);
        buf.extend_from_slice(body);
        seal(&mut buf);
        buf
    }

    #[test]
    fn layout_is_pinned() {
        insta::assert_snapshot!(
            crate::wire::message::tests::hex(&datagram(b"body")),
            @"4d 01 04 03 02 01 00 00 00 00 05 00 00 00 00 00 00 00 62 6f 64 79 f7 ae f1 02"
        );
    }

    #[test]
    fn any_damage_is_noticed() {
        let good = datagram(b"some body");
        let (header, body) = open(&good).unwrap();
        assert_eq!((header.session.0, header.number.0, body), (0x0102_0304, 5, &b"some body"[..]));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(open(&good[..len]).is_err(), "length {len}");
        }
        assert_eq!(open(&vec![b'M'; 1393]), Err(Reject::Length));
        let mut newer = good.clone();
        newer.truncate(good.len() - 4);
        newer[1] = VERSION + 1;
        seal(&mut newer);
        assert_eq!(open(&newer), Err(Reject::Version));
        assert_eq!(open(b"GET / HTTP/1.1"), Err(Reject::Foreign));
    }
}
