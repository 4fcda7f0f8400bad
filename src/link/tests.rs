//! The laws of a link, over thousands of random conditions and loads.

use std::fmt::Write as _;

use rand_chacha::rand_core::RngCore;

use super::*;
use crate::rng::{Rng, below, stream};

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn link(conditions: &str, seed: u64) -> Link {
    Link::new(&conditions.parse().unwrap(), seed, "test", 0)
}

/// Conditions in which each effect is on or off by a coin.
fn random_conditions(rng: &mut Rng) -> String {
    let words = [
        format!("loss={}%", below(rng, 101)),
        format!("burst={}%/{}%", below(rng, 30), 1 + below(rng, 100)),
        format!("rate={}kbit", 1 + below(rng, 1_000_000)),
        format!("delay={}us", below(rng, 10_000)),
        format!("jitter={}us", below(rng, 5000)),
        format!("rate=10mbit queue={}", below(rng, 100_000)),
        format!("reorder={}%/{}us", below(rng, 101), 1 + below(rng, 3000)),
        format!("dup={}%", below(rng, 101)),
        format!("corrupt={}%", below(rng, 101)),
        format!("partition={}us..{}us", below(rng, 5000), 5000 + below(rng, 20_000)),
    ];
    let mut spec = NetSpec::default();
    for word in words {
        if below(rng, 2) == 0 {
            spec.apply(&word).unwrap();
        }
    }
    spec.to_string()
}

/// Sends `count` datagrams that begin with their number, at random times; polls now and then, and to the end.
/// Checks every law that holds under all conditions, and returns what came out when.
fn drive(link: &mut Link, rng: &mut Rng, count: u32) -> Vec<(Instant, Vec<u8>)> {
    let (mut now, mut last, mut out, mut buf) = (Instant::ZERO, Instant::ZERO, vec![], vec![]);
    for number in 0..count {
        now += Duration::from_nanos(below(rng, 200_000));
        let mut datagram = number.to_le_bytes().to_vec();
        datagram.resize(4 + below(rng, 1400) as usize, 0xa5);
        link.send(now, &datagram);
        if below(rng, 4) == 0 || number + 1 == count {
            let until = if number + 1 == count { at(u64::MAX) } else { now };
            while let Some(arrival) = link.poll_timeout().filter(|arrival| *arrival <= until) {
                assert!(!link.poll(at(arrival.as_nanos() - 1), &mut buf), "too early");
                assert!(link.poll(arrival, &mut buf));
                assert!(last <= arrival, "time runs backwards");
                last = arrival;
                out.push((arrival, buf.clone()));
            }
            assert!(!link.poll(until, &mut buf));
        }
        let stats = link.stats();
        let under_way = link.in_flight() as u64;
        assert_eq!(stats.sent + stats.duplicated, stats.delivered + stats.lost() + under_way);
    }
    assert_eq!(link.in_flight(), 0);
    out
}

fn number_of(datagram: &[u8]) -> u32 {
    u32::from_le_bytes(datagram[..4].try_into().unwrap())
}

#[test]
fn the_laws_hold_under_all_conditions() {
    for seed in 0..3000 {
        let mut rng = stream(seed, "conditions", 0);
        let conditions = random_conditions(&mut rng);
        let load = rng.clone();
        let mut first = link(&conditions, seed);
        let out = drive(&mut first, &mut rng, 60);
        let mut second = link(&conditions, seed);
        let again = drive(&mut second, &mut load.clone(), 60);
        assert_eq!(out, again, "seed {seed} `{conditions}`: not the same twice");
        assert_eq!(first.stats(), second.stats());
        let spec: NetSpec = conditions.parse().unwrap();
        if spec.corrupt.as_f64() == 0.0 {
            let numbers: Vec<_> = out.iter().map(|(_, datagram)| number_of(datagram)).collect();
            let ordered = numbers.is_sorted();
            assert!(ordered || spec.reorder.is_some(), "seed {seed} `{conditions}`: out of order");
            let mut distinct = numbers;
            distinct.sort_unstable();
            distinct.dedup();
            let (stats, distinct) = (first.stats(), distinct.len() as u64);
            assert_eq!(distinct + stats.duplicated, stats.delivered, "seed {seed} `{conditions}`");
        }
        if spec.is_clear() {
            assert_eq!(out.len(), 60);
        }
    }
}

#[test]
fn achieved_shares_are_those_asked_for() {
    let count = 200_000;
    let mut link = link("loss=5% burst=0.2%/20% dup=0.5% corrupt=2% reorder=1%/10us", 7);
    let mut buf = vec![];
    for number in 0..count {
        let now = at(number * 1000);
        link.send(now, &[0; 100]);
        while link.poll(now, &mut buf) {}
    }
    let stats = link.stats();
    let kept = (count - stats.lost()) as f64;
    let near = |achieved: u64, of: f64, asked: f64| {
        let share = achieved as f64 / of;
        assert!((share / asked - 1.0).abs() < 0.1, "{share} instead of {asked}: {stats:?}");
    };
    near(stats.lost_random, count as f64, 0.05);
    near(stats.lost_burst, count as f64, 0.95 * 0.002 / 0.202);
    near(stats.duplicated, kept, 0.005);
    near(stats.corrupted, kept, 0.02);
    near(stats.reordered, kept * 1.005, 0.01);
}

#[test]
fn turning_one_knob_leaves_the_others_alone() {
    // Which datagrams get through, by number, and when.
    let survivors = |conditions: &str| {
        let mut link = link(conditions, 11);
        drive(&mut link, &mut stream(1, "load", 0), 2000)
    };
    let numbers = |conditions: &str| {
        let mut numbers: Vec<_> =
            survivors(conditions).iter().map(|(_, datagram)| number_of(datagram)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let plain = numbers("loss=10% burst=2%/30%");
    for more in ["dup=50%", "delay=3ms jitter=2ms", "reorder=20%", "rate=1gbit", "seed=11"] {
        assert_eq!(numbers(&format!("loss=10% burst=2%/30% {more}")), plain, "{more}");
    }
    let corrupted = |conditions: &str| {
        let mut all = survivors(conditions);
        all.retain(|(_, datagram)| {
            datagram.len() < 4 || datagram[4..].iter().any(|byte| *byte != 0xa5)
        });
        all
    };
    let (few, many) = (corrupted("corrupt=5% loss=30%"), corrupted("corrupt=5%"));
    assert!(few.len() < many.len() && few.iter().all(|damaged| many.contains(damaged)));
    assert_ne!(numbers("loss=10% seed=1"), numbers("loss=10% seed=2"));
    let other = Link::new(&"loss=10%".parse().unwrap(), 11, "test", 1);
    let other = drive(&mut { other }, &mut stream(1, "load", 0), 2000);
    assert_ne!(other, survivors("loss=10%"), "links share their luck");
}

#[test]
fn rate_delay_and_jitter_are_kept() {
    let mut fast = link("rate=100mbit delay=2ms queue=1MiB", 1);
    for _ in 0..500 {
        fast.send(at(1000), &[0; 1208]);
    }
    // 1,250 bytes on the wire are 100 us at 100 Mbit/s.
    let (mut buf, mut expected) = (vec![], at(1000 + 2_000_000));
    while let Some(arrival) = fast.poll_timeout() {
        expected += Duration::from_micros(100);
        assert_eq!(arrival, expected);
        assert!(fast.poll(arrival, &mut buf));
    }
    assert_eq!(fast.stats().delivered, 500);

    let mut jittery = link("delay=2ms jitter=500us", 1);
    let mut waits = vec![];
    for number in 0..10_000 {
        let now = at(number * 1_000_000);
        jittery.send(now, &[]);
        let arrival = jittery.poll_timeout().unwrap();
        waits.push((arrival - now).as_micros());
        assert!(jittery.poll(arrival, &mut buf) && buf.is_empty());
    }
    waits.sort_unstable();
    assert!(waits[0] < 2010 && waits[9999] > 2490 && waits[9999] <= 2500);
    assert!((2240..2260).contains(&waits[5000]), "{}", waits[5000]);
}

#[test]
fn a_held_datagram_is_overtaken() {
    let mut link = link("reorder=10%/1ms", 5);
    let out = drive(&mut link, &mut stream(2, "load", 0), 2000);
    let numbers: Vec<_> = out.iter().map(|(_, datagram)| number_of(datagram)).collect();
    let overtaken = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    let held = link.stats().reordered as usize;
    assert!(held > 150 && overtaken > held / 2 && overtaken <= held, "{overtaken} of {held}");
}

#[test]
fn a_partition_is_silent_and_ends() {
    let mut link = link("partition=2ms..4ms delay=1ms", 1);
    let mut buf = vec![];
    let mut table = String::new();
    for us in (0..6000).step_by(500) {
        link.send(at(us * 1000), &us.to_le_bytes());
        while link.poll(at(us * 1000), &mut buf) {
            let sent = u64::from_le_bytes(buf[..].try_into().unwrap());
            write!(table, "{sent}@{us} ").unwrap();
        }
    }
    insta::assert_snapshot!(table, @"0@1000 500@1500 1000@2000 1500@2500 4000@5000 4500@5500");
    assert_eq!(link.stats().lost_partition, 4);
}

#[test]
fn a_storm_rages_in_its_round_only_and_leaves_the_rest_alone() {
    let deliver = |conditions: &str, round: u32| {
        let mut link = link(conditions, 3);
        link.enter(Round(round));
        let out = drive(&mut link, &mut stream(1, "load", 0), 2000);
        (out, link.stats())
    };
    let calm = deliver("loss=5%", 7);
    assert_eq!(deliver("loss=5% storm=7/80%", 6), calm);
    let (rest, stats) = deliver("loss=5% storm=7/80%", 7);
    assert!((1460..1580).contains(&stats.lost_storm), "{stats:?}");
    assert_eq!(stats.lost_random, calm.1.lost_random);
    assert!(rest.iter().all(|arrived| calm.0.contains(arrived)));
}

#[test]
fn owners_come_out_with_what_they_sent() {
    let mut link = link("rate=10mbit delay=1ms dup=20% reorder=10% jitter=2ms", 3);
    let mut buf = vec![];
    for number in 0..1000u16 {
        link.send_of(at(u64::from(number) * 1_000_000), number, &number.to_le_bytes());
        while let Some(owner) = link.poll_of(at(u64::from(number) * 1_000_000), &mut buf) {
            assert_eq!(buf, owner.to_le_bytes());
        }
    }
}

#[test]
fn buffers_are_used_again() {
    let mut link = link("dup=10% loss=10% jitter=1ms reorder=5%", 1);
    let mut rng = stream(1, "load", 0);
    drive(&mut link, &mut rng, 1000);
    let buffers = link.spare.len();
    let (mut buf, mut now) = (vec![0; 64], at(1 << 40));
    for _ in 0..10_000 {
        now += Duration::from_micros(below(&mut rng, 1000));
        link.send(now, &[1; 64]);
        while link.poll(now, &mut buf) {}
        assert!(link.spare.len() + link.in_flight() <= buffers, "a buffer was allocated");
    }
}

#[test]
fn a_clock_that_jumps_back_harms_nothing() {
    let mut link = link("rate=1mbit delay=1ms", 1);
    let mut rng = stream(1, "clock", 0);
    let (mut last, mut buf) = (Instant::ZERO, vec![]);
    for _ in 0..1000 {
        link.send(at(rng.next_u64() % (1 << 34)), &[0; 10]);
        while let Some(arrival) = link.poll_timeout() {
            assert!(last <= arrival && link.poll(arrival, &mut buf));
            last = arrival;
        }
    }
    link.send(at(u64::MAX), &[0]);
    assert!(link.poll(at(u64::MAX), &mut buf));
}
