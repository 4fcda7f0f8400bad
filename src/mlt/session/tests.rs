//! Two sessions and a hostile network between them, on a virtual clock.

use std::time::Duration;

use super::*;
use crate::mlt::Deadlines;
use crate::rng::{self, Rng};
use crate::wire::{ByeCode, Carrier, Message, write_data};

const BLOCKS: u32 = 200;

/// Sends blocks that say their own index, and checks what arrives.
struct Blocks {
    received: u32,
    bytes: Vec<Vec<u8>>,
}

impl Blocks {
    fn new() -> Self {
        let block = |index: u32| [&index.to_le_bytes()[..], &[0; 636]].concat();
        let bytes = (0..BLOCKS).map(block).collect();
        Self { received: 0, bytes }
    }
}

impl Owner for Blocks {
    fn admit(&mut self, head: &DataHead) -> Option<Admission> {
        (head.total == BLOCKS).then_some(Admission { allowance: head.allowance, urgent: None })
    }

    fn handle_block(&mut self, _: TransferId, block: &Block<'_>) -> Result<(), Reject> {
        assert_eq!(block.bytes[..4], block.index.0.to_le_bytes());
        self.received += 1;
        Ok(())
    }

    fn block_bytes(&self, _: TransferId, block: BlockIndex) -> &[u8] {
        &self.bytes[block.usize()]
    }
}

#[derive(Clone, Copy, Default)]
struct Weather {
    loss: f64,
    duplicate: f64,
    reorder: f64,
    corrupt: f64,
    /// Milliseconds that the way is longer than 1.
    further: u64,
}

struct Pair {
    now: Instant,
    sides: [(Session, Blocks); 2],
    wire: Vec<(Instant, usize, Vec<u8>)>,
    weather: Weather,
    rng: Rng,
    datagrams: u64,
    /// How often each block was pushed.
    pushed: Vec<u32>,
}

impl Pair {
    fn new(weather: Weather, seed: u64) -> Self {
        let side = |role| (Session::new(SessionId(1), role, 64, Instant::ZERO), Blocks::new());
        Self {
            now: Instant::ZERO,
            sides: [side(Role::Server), side(Role::Worker)],
            wire: Vec::new(),
            weather,
            rng: rng::stream(seed, "pair", 0),
            datagrams: 0,
            pushed: vec![0; BLOCKS as usize],
        }
    }

    fn chance(&mut self, p: f64) -> bool {
        rng::unit(&mut self.rng) < p
    }

    fn carry(&mut self, to: usize, mut datagram: Vec<u8>) {
        self.datagrams += 1;
        if let Ok(Message::Data(data)) =
            Message::parse(Carrier::Datagrams.open(&datagram).unwrap().1)
            && data.head.transfer.kind == TransferKind::Push
        {
            data.blocks().for_each(|block| self.pushed[block.index.usize()] += 1);
        }
        let copies = 1 + usize::from(self.chance(self.weather.duplicate));
        if self.chance(self.weather.loss) {
            return;
        }
        if self.chance(self.weather.corrupt) {
            let bit = rng::below(&mut self.rng, datagram.len() as u64 * 8) as usize;
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
        for _ in 0..copies {
            let late = if self.chance(self.weather.reorder) { 3 } else { 1 };
            let late = late + self.weather.further;
            self.wire.push((self.now + Duration::from_millis(late), to, datagram.clone()));
        }
    }

    /// Drives both sides until `done` or the time is up.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        let mut buf = Vec::new();
        while self.now <= end {
            for side in 0..2 {
                loop {
                    let (session, blocks) = &mut self.sides[side];
                    if !session.poll_transmit(self.now, blocks, true, &mut buf) {
                        break;
                    }
                    self.carry(1 - side, buf.clone());
                }
            }
            if done(self) {
                return true;
            }
            let timers =
                self.sides.iter().filter_map(|(session, _)| Some(session.poll_timeout()?.0));
            let next = timers.chain(self.wire.iter().map(|&(at, ..)| at)).min();
            self.now = self.now.max(next.expect("somebody waits for something"));
            let mut arrived: Vec<_> =
                self.wire.extract_if(.., |(at, ..)| *at <= self.now).collect();
            arrived.sort_by_key(|&(at, ..)| at);
            for (_, side, datagram) in arrived {
                let (session, blocks) = &mut self.sides[side];
                hand(session, blocks, self.now, &datagram);
            }
            for (session, _) in &mut self.sides {
                session.handle_timeout(self.now);
            }
        }
        false
    }

    fn push(&mut self, round: u32, allowance: u32, urgent: Option<Bitmap>) -> TransferId {
        let id = TransferId { kind: TransferKind::Push, round: Round(round) };
        let inbound = Inbound::new(id, BLOCKS, allowance, urgent.clone(), Deadlines::default());
        self.sides[0].0.expect(inbound);
        let order = (0..BLOCKS).map(BlockIndex).collect();
        self.sides[1].0.send(Outbound::blocks(id, order, allowance, urgent));
        id
    }

    fn is_delivered(&self) -> bool {
        self.sides[1].0.outbound(TransferKind::Push).unwrap().is_closed()
    }
}

/// Hands a datagram over, if it is whole.
fn hand(session: &mut Session, blocks: &mut Blocks, now: Instant, datagram: &[u8]) {
    let Ok((header, body)) = Carrier::Datagrams.open(datagram) else { return };
    let message = Message::parse(body).unwrap();
    let arrival = Arrival { now, at: now, number: header.number, bytes: datagram.len() };
    let _ = session.handle_message(arrival, message, blocks);
}

/// All that a session has to send at a time.
fn sent(session: &mut Session, blocks: &Blocks, now: Instant) -> Vec<Vec<u8>> {
    let (mut buf, mut all) = (Vec::new(), Vec::new());
    while session.poll_transmit(now, blocks, true, &mut buf) {
        all.push(buf.clone());
    }
    all
}

/// The blocks that a datagram carries.
fn carried(datagram: &[u8]) -> Vec<u32> {
    match Message::parse(Carrier::Datagrams.open(datagram).unwrap().1).unwrap() {
        Message::Data(data) => data.blocks().map(|block| block.index.0).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn in_good_weather_everything_is_sent_once() {
    let mut pair = Pair::new(Weather::default(), 0);
    for round in 1..=5 {
        pair.push(round, 80, None);
        assert!(pair.run(Duration::from_secs(1), Pair::is_delivered));
        assert_eq!(pair.sides[0].1.received, BLOCKS * round, "what comes for free is taken");
        assert!(pair.pushed.iter().all(|&times| times == round));
    }
    // 100 datagrams and their grants a push.
    assert!(pair.datagrams < 5 * 120, "{}", pair.datagrams);
}

#[test]
fn a_longer_way_looks_like_a_queue_until_the_path_is_forgotten() {
    let mut pair = Pair::new(Weather::default(), 0);
    let queued = |pair: &mut Pair, round| {
        pair.push(round, 0, None);
        assert!(pair.run(Duration::from_secs(10), Pair::is_delivered));
        pair.sides[0].0.queued().unwrap()
    };
    assert_eq!(queued(&mut pair, 1), Duration::ZERO);
    pair.weather.further = 4;
    assert_eq!(queued(&mut pair, 2), Duration::from_millis(4));
    assert!(pair.sides[1].0.round_trip().shortest < Duration::from_millis(10));
    pair.sides.iter_mut().for_each(|(session, _)| session.forget_path());
    assert_eq!(queued(&mut pair, 3), Duration::ZERO);
    assert!(pair.sides[1].0.round_trip().shortest >= Duration::from_millis(10));
}

#[test]
fn any_weather_delivers_what_is_owed() {
    for seed in 0..400 {
        let weather = match seed % 5 {
            0 => Weather { loss: 0.05, ..Weather::default() },
            1 => Weather { loss: 0.4, duplicate: 0.1, ..Weather::default() },
            2 => Weather { reorder: 0.2, duplicate: 0.2, ..Weather::default() },
            3 => Weather { corrupt: 0.3, loss: 0.1, reorder: 0.1, duplicate: 0.1, further: 0 },
            _ => Weather { loss: 0.9, ..Weather::default() },
        };
        let allowance = [0, 4, 20, 80][seed as usize / 5 % 4];
        let mut urgent = Bitmap::zeros(BLOCKS);
        for block in [0, 77, 199] {
            urgent.insert(BlockIndex(block));
        }
        let mut pair = Pair::new(weather, seed);
        for round in 1..=3 {
            pair.push(round, allowance, Some(urgent.clone()));
            assert!(pair.run(Duration::from_secs(300), Pair::is_delivered), "seed {seed}");
            let inbound = pair.sides[0].0.inbound(TransferKind::Push).unwrap();
            assert!(inbound.received().ones() >= BLOCKS - allowance, "seed {seed}");
            assert_eq!(inbound.received().common(&urgent), 3, "seed {seed}");
        }
    }
}

#[test]
fn within_tolerance_nothing_is_sent_twice() {
    for seed in 0..50 {
        let mut pair = Pair::new(Weather { loss: 0.1, ..Weather::default() }, seed);
        pair.push(1, 80, None);
        assert!(pair.run(Duration::from_secs(5), Pair::is_delivered), "seed {seed}");
        assert!(pair.pushed.iter().all(|&times| times == 1), "seed {seed}");
    }
}

#[test]
fn blobs_are_reliable_and_exact() {
    for seed in 0..100 {
        let weather =
            Weather { loss: 0.3, duplicate: 0.1, reorder: 0.1, corrupt: 0.05, further: 0 };
        let mut pair = Pair::new(weather, seed);
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 + seed as u32) as u8).collect();
        let id = TransferId { kind: TransferKind::Plan, round: Round(0) };
        pair.sides[0].0.send(Outbound::blob(id, bytes.clone()));
        let delivered =
            |pair: &Pair| pair.sides[0].0.outbound(TransferKind::Plan).unwrap().is_closed();
        assert!(pair.run(Duration::from_secs(30), delivered), "seed {seed}");
        assert_eq!(
            pair.sides[1].0.poll_event(),
            Some(SessionEvent::Blob(id, bytes)),
            "seed {seed}"
        );
        assert_eq!(pair.sides[1].0.poll_event(), None, "once");
    }
}

#[test]
fn a_silent_peer_is_asked_again_and_a_closed_session_says_nothing() {
    let mut pair = Pair::new(Weather { loss: 1.0, ..Weather::default() }, 0);
    pair.push(1, 0, None);
    assert!(!pair.run(Duration::from_secs(3), Pair::is_delivered));
    // A window now and then, and two probes every 50 ms or so; never a flood.
    assert!((80..500).contains(&pair.datagrams), "{}", pair.datagrams);
    let before = pair.datagrams;
    pair.sides[1].0.close(Bye::new(ByeCode::Leaving, "enough"));
    pair.run(Duration::from_secs(1), |pair| {
        pair.sides.iter().all(|side| side.0.poll_timeout().is_none())
    });
    assert_eq!(pair.datagrams, before + 3);
    assert!(pair.sides[1].0.is_silent());
}

#[test]
fn a_path_that_dies_in_a_storm_is_not_flooded() {
    let mut pair = Pair::new(Weather { loss: 0.5, ..Weather::default() }, 1);
    for round in 1..=5 {
        pair.push(round, 0, None);
        assert!(pair.run(Duration::from_secs(30), Pair::is_delivered));
    }
    assert!(pair.sides.iter().any(|(session, _)| session.is_lossy()));
    pair.push(6, 0, None);
    assert!(!pair.run(Duration::from_millis(10), Pair::is_delivered));
    pair.weather.loss = 1.0;
    pair.run(Duration::from_secs(2), Pair::is_delivered);
    let before = pair.datagrams;
    pair.run(Duration::from_secs(10), Pair::is_delivered);
    // As in `a_silent_peer_is_asked_again...`, and the server repeats its last word.
    assert!(pair.datagrams - before < 2000, "{} in 10 s", pair.datagrams - before);
    pair.weather.loss = 0.5;
    assert!(pair.run(Duration::from_secs(30), Pair::is_delivered), "it lives again");
}

#[test]
fn probes_ask_after_one_datagram_after_the_other() {
    let mut pair = Pair::new(Weather::default(), 0);
    let (worker, blocks) = &mut pair.sides[1];
    let id = TransferId { kind: TransferKind::Push, round: Round(1) };
    worker.send(Outbound::blocks(id, (0..12).map(BlockIndex).collect(), 0, None));
    let of = |datagrams: Vec<Vec<u8>>| datagrams.iter().map(|d| carried(d)).collect::<Vec<_>>();
    let first = of(sent(worker, blocks, Instant::ZERO));
    assert_eq!(first.len(), 6);
    let mut probed = Vec::new();
    for _ in 0..2 {
        let (at, timer) = worker.poll_timeout().unwrap();
        assert_eq!(timer, Timer::Probe);
        worker.handle_timeout(at);
        probed.extend(of(sent(worker, blocks, at)));
    }
    assert_eq!(probed, first[..4]);
}

#[test]
fn an_answer_waits_for_a_repetition_only_where_little_is_lost() {
    let mut pair = Pair::new(Weather::default(), 0);
    pair.push(1, 0, None);
    let [(server, received), (worker, blocks)] = &mut pair.sides;
    let datagrams = sent(worker, blocks, Instant::ZERO);
    hand(server, received, Instant::ZERO, &datagrams[0]);
    let answered = Instant::ZERO + GRANT_DELAY;
    assert_eq!(server.poll_timeout(), Some((answered, Timer::Grant)));
    assert_eq!(sent(server, received, answered).len(), 1);
    assert_eq!(server.poll_timeout(), Some((answered + REGRANT, Timer::Grant)));
    let next = answered + REGRANT / 2;
    hand(server, received, next, &datagrams[1]);
    assert_eq!(server.poll_timeout(), Some((answered + REGRANT, Timer::Grant)));
    // So many numbers are skipped that this is a storm.
    let mut ping = Vec::new();
    let header = Header { session: SessionId(1), number: PacketNumber(43) };
    Message::Ping(true).write(Carrier::Datagrams, header, &mut ping);
    hand(server, received, next, &ping);
    assert!(server.is_lossy());
    assert_eq!(sent(server, received, next).len(), 1);
    server.grant_at = Some(next + REGRANT);
    hand(server, received, next, &datagrams[2]);
    assert_eq!(server.poll_timeout(), Some((next + GRANT_DELAY, Timer::Grant)));
}

#[test]
fn where_much_is_lost_a_word_is_repeated_though_nothing_is_missing() {
    // Whether 98 of 100 numbers were skipped.
    for (lossy, words) in [(false, 1), (true, 1 + REGRANTS_PATIENT)] {
        let mut pair = Pair::new(Weather::default(), 0);
        let (server, blocks) = &mut pair.sides[0];
        for number in [1, if lossy { 100 } else { 2 }] {
            let header = Header { session: SessionId(1), number: PacketNumber(number) };
            let mut ping = Vec::new();
            Message::Ping(false).write(Carrier::Datagrams, header, &mut ping);
            hand(server, blocks, Instant::ZERO, &ping);
        }
        assert_eq!(server.is_lossy(), lossy);
        let (mut said, mut last) = (0, Instant::ZERO);
        while let Some((at, timer)) = server.poll_timeout() {
            assert_eq!(timer, Timer::Grant);
            assert!(at - last <= REGRANT_LOSSY);
            server.handle_timeout(at);
            said += sent(server, blocks, at).len() as u32;
            last = at;
        }
        assert_eq!(said, words);
    }
}

#[test]
fn the_wrong_side_and_the_wrong_time_are_rejected() {
    let mut pair = Pair::new(Weather::default(), 0);
    let mut buf = Vec::new();
    pair.push(1, 0, None);
    let (worker, blocks) = &mut pair.sides[1];
    assert!(worker.poll_transmit(Instant::ZERO, blocks, true, &mut buf));
    let (header, body) = Carrier::Datagrams.open(&buf).unwrap();
    let message = Message::parse(body).unwrap();
    let (now, at) = (Instant::ZERO, Instant::ZERO);
    let arrival = Arrival { now, at, number: header.number, bytes: 9 };
    let back = worker.handle_message(arrival, message.clone(), blocks);
    assert_eq!(back, Err(Reject::Transfer), "a worker takes no push");
    let (server, blocks) = &mut pair.sides[0];
    let mut take = |message| server.handle_message(arrival, message, blocks);
    assert_eq!(take(message.clone()), Ok(()));
    assert_eq!(take(message), Err(Reject::Replayed));
    assert_eq!(take(Message::Hello(crate::wire::Hello { cookie: 0 })), Err(Reject::Session));
}

#[test]
fn an_ordinal_that_cannot_be_is_refused() {
    let mut pair = Pair::new(Weather::default(), 0);
    let transfer = pair.push(1, 0, None);
    let (server, blocks) = &mut pair.sides[0];
    let limited = Inbound::new(transfer, BLOCKS, 0, None, Deadlines::default()).limited(10);
    server.expect(limited);
    let mut take = |number, ordinal| {
        let head = DataHead {
            transfer,
            total: BLOCKS,
            allowance: 0,
            ordinal,
            at_us: 0,
            unsent: 0,
            passes: 0,
        };
        let header = Header { session: SessionId(1), number: PacketNumber(number) };
        let mut buf = Vec::new();
        write_data(Carrier::Datagrams, header, head, &mut buf, |writer| {
            let bytes = blocks.bytes[0].clone();
            writer.push(Block { index: BlockIndex(0), repair: false, bytes: &bytes });
            0
        });
        let message = Message::parse(Carrier::Datagrams.open(&buf).unwrap().1).unwrap();
        let (now, at) = (Instant::ZERO, Instant::ZERO);
        let arrival = Arrival { now, at, number: PacketNumber(number), bytes: buf.len() };
        server.handle_message(arrival, message, blocks)
    };
    assert_eq!(take(5, 6), Err(Reject::Malformed), "more than numbers");
    assert_eq!(take(1_000_000, 900_000), Err(Reject::Malformed), "far beyond the limit");
    assert_eq!(take(20, 12), Ok(()), "a probe or two beyond it");
}
