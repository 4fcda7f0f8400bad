//! A checker and a desk over emulated links.

use std::time::Duration;

use super::*;
use crate::link::Link;
use crate::units::{Instant, Rate};
use crate::wire::{Carrier, Message};

const COOKIE: u64 = 99;
const MS: Duration = Duration::from_millis(1);

/// Datagrams up to these sizes get through, each way.
#[derive(Clone, Copy)]
struct Limits(usize, usize);

const WIDE: Limits = Limits(1392, 1392);

/// Checks a path until the end, and how long that took.
fn check(up: &str, down: &str, limits: Limits, seed: u64) -> (CheckEnd, Duration) {
    let [mut up, mut down] = [(up, "up"), (down, "down")]
        .map(|(net, way)| Link::new(&net.parse().unwrap(), seed, way, 1));
    let (mut checker, mut desk) = (Checker::new(seed, Instant::ZERO), Desk::default());
    let (mut now, mut buf) = (Instant::ZERO, Vec::new());
    let from = "10.0.0.1:5".parse().unwrap();
    loop {
        while down.poll(now, &mut buf) {
            let _ = checker.handle_datagram(now, &buf);
        }
        checker.handle_timeout(now);
        while checker.poll_transmit(now, &mut buf) {
            if buf.len() <= limits.0 {
                up.send(now, &buf);
            }
        }
        while up.poll(now, &mut buf) {
            let Ok((header, body)) = Carrier::Datagrams.open(&buf) else { continue };
            let Ok(Message::Probe(probe)) = Message::parse(body) else { panic!() };
            let _ = desk.handle_probe(now, from, header, probe, COOKIE);
        }
        while desk.poll_transmit(&mut buf).is_some() {
            if buf.len() <= limits.1 {
                down.send(now, &buf);
            }
        }
        if let Some(end) = checker.end() {
            return (end.clone(), now - Instant::ZERO);
        }
        let next = [checker.poll_timeout(), up.poll_timeout(), down.poll_timeout()];
        now = now.max(next.into_iter().flatten().min().unwrap());
    }
}

fn found(net: &str, seed: u64) -> Findings {
    match check(net, net, WIDE, seed) {
        (CheckEnd::Found(findings), time) if time < Duration::from_secs(10) => findings,
        other => panic!("{net}: {other:?}"),
    }
}

#[test]
fn a_clean_path_is_found_clean() {
    let findings = found("rate=100mbit queue=64KiB delay=2ms", 1);
    assert_eq!((findings.up.datagram, findings.down.datagram), (1392, 1392));
    assert_eq!((findings.up.loss, findings.down.loss), (Some(0.0), Some(0.0)));
    assert_eq!(findings.probes, 500);
    let round_trip = findings.shortest.unwrap();
    assert!(round_trip >= 4 * MS && round_trip < 5 * MS, "{round_trip:?}");
    for way in [findings.up, findings.down] {
        let rate = way.rate.unwrap().bits_per_second();
        assert!((90_000_000..=101_000_000).contains(&rate), "{rate}");
    }
}

#[test]
fn loss_is_told_apart_by_direction() {
    for seed in 0..5 {
        let fast = "delay=1ms rate=1gbit";
        let lossy = "loss=10% delay=1ms rate=1gbit";
        for (up, down, expected) in [(lossy, fast, (0.1, 0.0)), (fast, lossy, (0.0, 0.1))] {
            let (CheckEnd::Found(findings), _) = check(up, down, WIDE, seed) else { panic!() };
            let near = |loss: Option<f64>, expected: f64| (loss.unwrap() - expected).abs() < 0.05;
            assert!(near(findings.up.loss, expected.0), "seed {seed}: {findings:?}");
            assert!(near(findings.down.loss, expected.1), "seed {seed}: {findings:?}");
        }
    }
}

#[test]
fn a_slow_path_does_not_lose_what_is_sent_to_measure_it() {
    for net in ["rate=1mbit queue=64KiB delay=20ms", "rate=300kbit queue=64KiB delay=5ms"] {
        let findings = found(net, 3);
        assert_eq!((findings.up.loss, findings.down.loss), (Some(0.0), Some(0.0)), "{net}");
        assert!(findings.probes >= 10, "{net}: {findings:?}");
        let expected: Rate = net[5..].split(' ').next().unwrap().parse().unwrap();
        let rate = findings.up.rate.unwrap().bits_per_second() as f64;
        let share = rate / expected.bits_per_second() as f64;
        assert!((0.9..1.05).contains(&share), "{net}: {share}");
    }
}

#[test]
fn the_largest_datagram_is_found_in_each_direction() {
    for (limits, up, down) in [
        (Limits(1392, 1392), 1392, 1392),
        (Limits(1391, 1392), 1372, 1392),
        (Limits(1392, 1240), 1392, 1232),
        (Limits(1200, 600), 1200, 548),
        (Limits(200, 200), 128, 64),
    ] {
        let net = "delay=5ms loss=3%";
        let (CheckEnd::Found(findings), _) = check(net, net, limits, 4) else { panic!() };
        assert_eq!((findings.up.datagram, findings.down.datagram), (up, down));
        assert!(findings.up.loss.unwrap() < 0.1 && findings.down.loss.unwrap() < 0.1);
    }
}

#[test]
fn the_worst_of_paths_takes_less_than_ten_seconds() {
    for seed in 0..20 {
        for net in ["loss=90%", "loss=60% delay=300ms", "rate=50kbit queue=8KiB", "burst=0.1/0.1"] {
            let (_, time) = check(net, net, WIDE, seed);
            assert!(time < Duration::from_secs(10), "{net}, seed {seed}: {time:?}");
        }
    }
    let (end, time) = check("loss=100%", "", WIDE, 1);
    assert_eq!(end, CheckEnd::Silent(time));
    assert!(time >= Duration::from_secs(5) && time < Duration::from_secs(6));
}

#[test]
fn answers_of_a_hostile_server_are_survived() {
    use rand_chacha::rand_core::RngCore;

    use crate::wire::{Echo, Header, Taken};
    for seed in 0..200 {
        let mut rng = crate::rng::stream(seed, "hostile", 0);
        let (mut checker, mut now) = (Checker::new(seed, Instant::ZERO), Instant::ZERO);
        let (mut probe, mut buf) = (Vec::new(), Vec::new());
        while checker.end().is_none() {
            checker.handle_timeout(now);
            while checker.poll_transmit(now, &mut probe) {}
            let (header, _) = Carrier::Datagrams.open(&probe).unwrap();
            let bits = rng.next_u64();
            let echo = Echo {
                cookie: rng.next_u64(),
                number: crate::ids::PacketNumber(bits % (header.number.0 + 2)),
                taken: if bits.is_multiple_of(5) { Taken::Unproven } else { Taken::Counted },
                copy: (bits >> 8) as u8,
                received: (bits >> 16) as u32 >> (bits & 31),
                echoes: (bits >> 24) as u32 >> (bits & 31),
                span_ns: rng.next_u64() >> (bits & 63),
                size: (bits >> 32) as u16,
            };
            let header = Header { session: header.session, number: header.number };
            Message::Echo(echo).write(Carrier::Datagrams, header, &mut buf);
            if bits.is_multiple_of(3) {
                let at = (bits >> 40) as usize % buf.len();
                buf[at] ^= 1;
            }
            let _ = checker.handle_datagram(now, &buf);
            now += MS * 5;
        }
        assert!(now - Instant::ZERO <= Duration::from_secs(10), "seed {seed}");
        if let Some(CheckEnd::Found(findings)) = checker.end() {
            for loss in [findings.up.loss, findings.down.loss].into_iter().flatten() {
                assert!((0.0..=1.0).contains(&loss), "seed {seed}");
            }
        }
    }
}
