//! The body of a datagram: one message.

use super::blocks::BlocksWriter;
use super::envelope::{Header, seal_padded};
use super::{Bye, Carrier, Data, DataHead, Echo, Grant, Hello, Probe, Reject, Welcome};

/// A parsed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`Data`].
    Data(Data<'a>),
    /// See [`Grant`].
    Grant(Grant),
    /// Asks for a grant; whether the sender has something left that it has never sent.
    Ping(bool),
    /// See [`Bye`].
    Bye(Bye),
    /// See [`Probe`].
    Probe(Probe),
    /// See [`Echo`].
    Echo(Echo),
}

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const DATA: u8 = 3;
const GRANT: u8 = 4;
const PING: u8 = 5;
const BYE: u8 = 6;
const PROBE: u8 = 7;
const ECHO: u8 = 8;

impl<'a> Message<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// If the kind is unknown or the rest is not what the kind demands.
    pub fn parse(body: &'a [u8]) -> Result<Self, Reject> {
        let (&kind, rest) = body.split_first().ok_or(Reject::Malformed)?;
        match kind {
            HELLO => Hello::parse(rest).map(Self::Hello),
            WELCOME => Welcome::parse(rest).map(Self::Welcome),
            DATA => Data::parse(rest).map(Self::Data),
            GRANT => Grant::parse(rest).map(Self::Grant),
            PING => match rest {
                [0] => Ok(Self::Ping(false)),
                [1] => Ok(Self::Ping(true)),
                _ => Err(Reject::Malformed),
            },
            BYE => Bye::parse(rest).map(Self::Bye),
            PROBE => Probe::parse(rest).map(Self::Probe),
            ECHO => Echo::parse(rest).map(Self::Echo),
            _ => Err(Reject::Kind),
        }
    }

    /// Writes a whole datagram or frame with this message into `buf`, which is cleared first.
    ///
    /// # Panics
    /// For [`Message::Data`], which [`write_data`] writes.
    pub fn write(&self, carrier: Carrier, header: Header, buf: &mut Vec<u8>) {
        carrier.start(buf, header);
        match self {
            Self::Hello(hello) => {
                buf.push(HELLO);
                hello.write(buf);
            }
            Self::Welcome(welcome) => {
                buf.push(WELCOME);
                welcome.write(buf);
            }
            Self::Grant(grant) => {
                buf.push(GRANT);
                grant.write(buf);
            }
            // As long as the shortest answer, which must not be longer than its question.
            Self::Ping(more) => buf.extend_from_slice(&[PING, u8::from(*more)]),
            Self::Bye(bye) => {
                buf.push(BYE);
                bye.write(buf);
            }
            Self::Probe(probe) => {
                buf.push(PROBE);
                probe.write(buf);
                return seal_padded(buf);
            }
            Self::Echo(echo) => {
                buf.push(ECHO);
                echo.write(buf);
                return seal_padded(buf);
            }
            Self::Data(_) => unreachable!("data is written block by block"),
        }
        carrier.seal(buf);
    }
}

/// Writes a datagram or frame of data into `buf`: `fill` appends blocks and returns how many have never been sent.
pub fn write_data(
    carrier: Carrier,
    header: Header,
    head: DataHead,
    buf: &mut Vec<u8>,
    fill: impl FnOnce(&mut BlocksWriter<'_>) -> u32,
) {
    carrier.start(buf, header);
    buf.push(DATA);
    let mut writer = BlocksWriter::new(carrier, buf, head);
    let unsent = fill(&mut writer);
    writer.finish(unsent);
    carrier.seal(buf);
}

#[cfg(test)]
pub(super) mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::ids::{BlockIndex, PacketNumber, Round, SessionId, WorkerId};
    use crate::rng;
    use crate::wire::{
        BLOCK_BYTES_MAX, Block, ByeCode, DATAGRAM_MAX, GrantEntry, PROBE_MIN, Standing, Taken,
        TransferId, TransferKind,
    };

    pub(in crate::wire) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }

    const HEADER: Header = Header { session: SessionId(7), number: PacketNumber(9) };

    fn written(message: &Message<'_>) -> Vec<u8> {
        let mut buf = Vec::new();
        message.write(Carrier::Datagrams, HEADER, &mut buf);
        buf
    }

    fn data(blocks: &[(u32, &[u8])]) -> Vec<u8> {
        let transfer = TransferId { kind: TransferKind::Push, round: Round(3) };
        let head = DataHead {
            transfer,
            total: 26,
            allowance: 2,
            ordinal: 7,
            at_us: 8,
            unsent: 0,
            passes: 3,
        };
        let mut buf = Vec::new();
        write_data(Carrier::Datagrams, HEADER, head, &mut buf, |writer| {
            for &(index, bytes) in blocks {
                let block = Block { index: BlockIndex(index), repair: index == 25, bytes };
                assert!(writer.push(block));
            }
            5
        });
        buf
    }

    fn grant() -> Grant {
        let mut seen = [0; 64];
        seen[0] = 0b1011;
        let mut grant = Grant::new(PacketNumber(1000), 250, 64, seen);
        grant.add(GrantEntry {
            transfer: TransferId { kind: TransferKind::Push, round: Round(3) },
            standing: Standing::Open,
            received: 20,
            deficit: 4,
            limit: 30,
        });
        grant
    }

    fn probe(size: u16) -> Probe {
        Probe { cookie: 0x0a0b, group: 1, about: 2, copies: 3, reply: 1200, size }
    }

    fn echo(size: u16) -> Echo {
        let (number, taken) = (PacketNumber(7), Taken::Busy);
        Echo { cookie: 0x0a0b, number, taken, copy: 1, received: 30, echoes: 29, span_ns: 99, size }
    }

    fn body(datagram: &[u8]) -> &[u8] {
        Carrier::Datagrams.open(datagram).unwrap().1
    }

    #[test]
    fn layouts_are_pinned() {
        let welcome = Welcome { cookie: 0x0a0b, worker: Some(WorkerId(3)) };
        let bye = Bye::new(ByeCode::Leaving, "bye");
        let text = [
            format!(
                "hello    {}",
                hex(&body(&written(&Message::Hello(Hello { cookie: 5 })))[..12])
            ),
            format!("welcome  {}", hex(body(&written(&Message::Welcome(welcome))))),
            format!("data     {}", hex(body(&data(&[(1, b"one"), (25, b"again")])))),
            format!("grant    {}", hex(body(&written(&Message::Grant(grant()))))),
            format!("ping     {}", hex(body(&written(&Message::Ping(false))))),
            format!("bye      {}", hex(body(&written(&Message::Bye(bye))))),
            format!("probe    {}", hex(body(&written(&Message::Probe(probe(PROBE_MIN)))))),
            format!("echo     {}", hex(body(&written(&Message::Echo(echo(PROBE_MIN)))))),
        ];
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn what_is_written_is_read() {
        let messages = [
            Message::Hello(Hello { cookie: u64::MAX }),
            Message::Welcome(Welcome { cookie: 1, worker: None }),
            Message::Grant(grant()),
            Message::Ping(true),
            Message::Bye(Bye::new(ByeCode::Data, "no such file")),
            Message::Probe(probe(DATAGRAM_MAX as u16)),
            Message::Probe(probe(1000)),
            Message::Echo(echo(DATAGRAM_MAX as u16)),
            Message::Echo(echo(PROBE_MIN)),
        ];
        for message in messages {
            let datagram = written(&message);
            assert!(datagram.len() <= DATAGRAM_MAX);
            assert_eq!(Message::parse(body(&datagram)), Ok(message));
        }
        let datagram = data(&[(1, b"one"), (25, b"again")]);
        let Ok(Message::Data(parsed)) = Message::parse(body(&datagram)) else { panic!() };
        assert_eq!((parsed.head.total, parsed.head.unsent), (26, 5));
        let blocks: Vec<_> =
            parsed.blocks().map(|block| (block.index.0, block.repair, block.bytes)).collect();
        assert_eq!(blocks, [(1, false, &b"one"[..]), (25, true, &b"again"[..])]);
    }

    #[test]
    fn a_full_datagram_is_full() {
        let transfer = TransferId { kind: TransferKind::Pull, round: Round(1) };
        let head = DataHead {
            transfer,
            total: 9,
            allowance: 0,
            ordinal: 7,
            at_us: 8,
            unsent: 0,
            passes: 3,
        };
        let mut buf = Vec::new();
        write_data(Carrier::Datagrams, HEADER, head, &mut buf, |writer| {
            let bytes = &[1; BLOCK_BYTES_MAX];
            let block = |index, bytes| Block { index: BlockIndex(index), repair: false, bytes };
            assert!(writer.push(block(0, bytes)));
            assert!(!writer.push(block(1, &bytes[..1])));
            8
        });
        assert_eq!(buf.len(), DATAGRAM_MAX - 12);
        let Ok(Message::Data(parsed)) = Message::parse(body(&buf)) else { panic!() };
        assert_eq!(parsed.blocks().count(), 1);
    }

    #[test]
    fn grants_tell_what_was_seen() {
        let grant = grant();
        let seen = |number| grant.has_seen(PacketNumber(number));
        assert_eq!([1000, 999, 998, 997].map(seen), [true, true, false, true].map(Some));
        assert_eq!((seen(1001), seen(489), seen(488)), (None, Some(false), None));
    }

    #[test]
    fn hostile_values_are_refused() {
        let transfer = TransferId { kind: TransferKind::Push, round: Round(3) };
        let mut buf = Vec::new();
        let head = DataHead {
            transfer,
            total: 3,
            allowance: 0,
            ordinal: 7,
            at_us: 8,
            unsent: 0,
            passes: 3,
        };
        write_data(Carrier::Datagrams, HEADER, head, &mut buf, |writer| {
            writer.push(Block { index: BlockIndex(3), repair: false, bytes: b"" });
            0
        });
        assert_eq!(Message::parse(body(&buf)), Err(Reject::Span));
        assert_eq!(Message::parse(&[]), Err(Reject::Malformed));
        assert_eq!(Message::parse(&[99]), Err(Reject::Kind));
        assert_eq!(Message::parse(&[PING, 2]), Err(Reject::Malformed));
        assert_eq!(Message::parse(&[BYE, 200]), Err(Reject::Malformed));
        for wrong in [
            Probe { group: 16, ..probe(100) },
            Probe { about: 16, ..probe(100) },
            Probe { copies: 33, ..probe(100) },
            Probe { reply: PROBE_MIN - 1, ..probe(100) },
            Probe { reply: DATAGRAM_MAX as u16 + 1, ..probe(100) },
        ] {
            let datagram = written(&Message::Probe(wrong));
            assert_eq!(Message::parse(body(&datagram)), Err(Reject::Malformed), "{wrong:?}");
        }
        let datagram = written(&Message::Probe(probe(PROBE_MIN)));
        let short = &body(&datagram)[..20];
        assert_eq!(Message::parse(short), Err(Reject::Malformed), "its answer would be larger");
        let escape = Bye { code: ByeCode::Leaving, text: "a\x1b[2Jb".to_owned() };
        let datagram = written(&Message::Bye(escape));
        let Ok(Message::Bye(bye)) = Message::parse(body(&datagram)) else { panic!() };
        assert_eq!(bye.text, "a [2Jb");
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let valid = [
            data(&[(1, b"one"), (25, b"again")]),
            written(&Message::Grant(grant())),
            written(&Message::Hello(Hello { cookie: 5 })),
            written(&Message::Bye(Bye::new(ByeCode::Leaving, "bye"))),
            written(&Message::Probe(probe(100))),
            written(&Message::Echo(echo(100))),
        ];
        for seed in 0..20_000 {
            let mut rng = rng::stream(seed, "fuzz", 0);
            let mut bytes = body(&valid[seed as usize % valid.len()]).to_vec();
            for _ in 0..=rng::below(&mut rng, 4) {
                let at = rng::below(&mut rng, bytes.len() as u64) as usize;
                bytes[at] = rng.next_u32() as u8;
            }
            bytes.truncate(rng::below(&mut rng, bytes.len() as u64 + 1) as usize);
            if let Ok(Message::Data(data)) = Message::parse(&bytes) {
                assert!(data.blocks().all(|block| block.index.0 < data.head.total), "seed {seed}");
            }
        }
    }
}
