//! The cores against every kind of weather.

mod batches;
mod codecs;
mod half;
mod imputed;
mod policies;
mod port;
mod resumed;
mod scheme;
mod stranger;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::*;
use crate::codec::Codec;
use crate::event::{Event, PushClosed};
use crate::flat::{Layout, Order};
use crate::ids::{PacketNumber, SessionId};
use crate::mlt::Scheme;
use crate::ps::batch::Batches;
use crate::ps::calendar::{Calendar, Length};
use crate::ps::config::ServerConfig;
use crate::ps::missing::Missing;
use crate::ps::optimizer::{ScheduleConfig, ScheduleKind, SgdConfig};
use crate::ps::policy::{Change, Every, PolicyConfig};
use crate::ps::worker::Delivery;
use crate::ps::worker::Setup;
use crate::rng;
use crate::train::{Compute, Prepared, Synthetic};
use crate::units::Tolerance;
use crate::wire::Carrier;

#[derive(Clone)]
struct Case {
    workers: u16,
    rounds: u32,
    /// Instead of rounds.
    epochs: Option<u32>,
    values: usize,
    tolerance: &'static str,
    pull_tolerance: &'static str,
    scheme: Scheme,
    codec: Codec,
    critical_codec: Codec,
    pull_codec: Codec,
    missing: Missing,
    order: Order,
    net: String,
    seed: u64,
    clr: bool,
    policy: Option<PolicyConfig>,
    batches: Batches,
    momentum: f32,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            workers: 3,
            rounds: 20,
            epochs: None,
            values: 20_000,
            tolerance: "0",
            pull_tolerance: "0",
            scheme: Scheme::Bounded,
            codec: Codec::Raw,
            critical_codec: Codec::Fp16,
            pull_codec: Codec::Raw,
            missing: Missing::Feedback,
            order: Order::Rotated,
            net: String::new(),
            seed: 1,
            clr: false,
            policy: None,
            batches: Batches::uniform(10),
            momentum: 0.9,
        }
    }
}

struct Run {
    outcome: Option<Outcome>,
    digest: String,
    events: Vec<Stamped>,
}

impl Case {
    fn world(&self) -> World {
        self.world_with(|| Box::new(Synthetic), Duration::from_millis(5))
    }

    fn calendar(&self) -> Calendar {
        let length = self.epochs.map_or(Length::Rounds(self.rounds), Length::Epochs);
        Calendar { train_len: 100, workers: self.workers, length }
    }

    /// A world in which `compute` computes and takes `mean` time for it.
    fn world_with(&self, compute: fn() -> Box<dyn Compute + Send>, mean: Duration) -> World {
        let tensors = [("a".into(), vec![self.values / 100, 100]), ("b".into(), vec![10])];
        let layout = Arc::new(Layout::new(tensors).unwrap());
        let tolerance: Tolerance = self.tolerance.parse().unwrap();
        let policy = match &self.policy {
            Some(policy) => policy.clone(),
            None if self.clr => {
                PolicyConfig::Clr(Change { tolerance, every: Every::Rounds(5), eta: 0.5 })
            }
            None => PolicyConfig::Static { tolerance },
        };
        let config = ServerConfig {
            plan: "the plan".into(),
            calendar: self.calendar(),
            batches: self.batches,
            test_len: 7,
            slots: 1,
            eval_every: 1,
            missing: self.missing,
            flushes: self.missing.is_repeated(),
            codec: self.codec,
            critical_codec: self.critical_codec,
            pull_codec: self.pull_codec,
            pull_tolerance: self.pull_tolerance.parse().unwrap(),
            scheme: self.scheme,
            streamed: true,
            carrier: Carrier::Datagrams,
            policy,
            signal: true,
            window: Some(Every::Epochs(1)),
            sgd: SgdConfig { momentum: self.momentum, nesterov: false, weight_decay: 0.0 },
            schedule: ScheduleConfig {
                lr: 0.1,
                kind: ScheduleKind::MultiStep { milestones: vec![4], gamma: 0.1 },
            },
            worker_timeout: Duration::from_secs(5),
            compute_timeout: Duration::from_secs(60),
        };
        let values = layout.values();
        let server = ServerCore::new(
            config,
            layout.clone(),
            vec![0.0; values],
            CAPACITY,
            self.seed,
            Instant::ZERO,
        );
        let (feedback, pull_codec) = (self.missing.is_repeated(), self.pull_codec);
        let processor = || {
            let setup = Setup {
                layout: layout.clone(),
                engine: String::new(),
                feedback,
                pull_codec,
                order: self.order,
                seed: self.seed,
                slots: 1,
                batch: 10,
                train_len: 100,
                test_len: 7,
            };
            Processor::new(Box::new(move |plan: &str| {
                assert_eq!(plan, "the plan");
                Ok(Prepared { setup: setup.clone(), compute: compute() })
            }))
        };
        let processors = (0..self.workers).map(|_| processor()).collect();
        let time = ComputeTime { mean, spread: Duration::from_millis(1) };
        World::new(server, processors, &self.net.parse().unwrap(), time, self.seed)
    }

    fn run(&self) -> Run {
        let mut world = self.world();
        let mut events = Vec::new();
        let outcome = world.run(Duration::from_secs(3600), |stamped, _| {
            events.push(stamped.clone());
            true
        });
        Run { outcome, digest: digest(&world), events }
    }
}

fn digest(world: &World) -> String {
    let bytes: Vec<u8> = world.server().parameters().iter().flat_map(|x| x.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn closed(run: &Run) -> impl Iterator<Item = &PushClosed> {
    run.events.iter().filter_map(|stamped| match &stamped.event {
        Event::PushClosed(closed) => Some(closed),
        _ => None,
    })
}

/// What must hold in any run: nothing is lost from the books, and no more is forgiven than was allowed.
fn check_books(case: &Case, run: &Run, what: &str) {
    let tolerance: Tolerance = case.tolerance.parse().unwrap();
    let mut forgiven = vec![0u64; 100];
    let mut allowed = forgiven.clone();
    let mut now = (Tolerance::ZERO, false);
    for stamped in &run.events {
        match &stamped.event {
            Event::RoundStarted(started) => {
                now = (started.tolerance, started.critical);
                assert!(!started.critical || started.tolerance == Tolerance::ZERO, "{what}");
            }
            Event::PushClosed(c) => {
                assert_eq!(c.owed, c.received + c.forgiven + c.late + c.gone, "{what}: {c:?}");
                let worker = c.worker.0 as usize;
                allowed[worker] += u64::from(now.0.parts()) * u64::from(c.owed);
                forgiven[worker] += u64::from(c.forgiven) * 10_000;
                assert!(forgiven[worker] <= allowed[worker], "{what}: {c:?}");
                if now.0 == Tolerance::ZERO {
                    assert_eq!((c.forgiven, c.late), (0, 0), "{what}: {c:?}");
                }
                assert!(now.0 <= tolerance, "{what}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_quiet_network_loses_nothing_and_repeats_to_the_bit() {
    let case = Case::default();
    let (one, two) = (case.run(), case.run());
    assert_eq!(one.outcome, Some(Outcome::Finished));
    assert_eq!(one.digest, two.digest);
    assert_eq!(one.events, two.events);
    assert_eq!(closed(&one).count(), 60);
    assert!(closed(&one).all(|c| c.received == c.owed && c.repaired == 0));
    let evaluated = one.events.iter().filter(|s| matches!(s.event, Event::Evaluated(_))).count();
    assert_eq!(evaluated, 5, "every four rounds");
    let other = Case { seed: 2, ..case }.run();
    assert_eq!(one.digest, other.digest, "the network's luck does not change what is computed");
}

#[test]
fn at_tolerance_zero_no_weather_changes_the_result() {
    let calm = Case { rounds: 6, values: 6000, ..Case::default() };
    let expected = calm.run().digest;
    let weathers = [
        "loss=5%",
        "loss=40%",
        "burst=0.05/0.2",
        "dup=20% reorder=20%/3ms",
        "corrupt=10% loss=5%",
        "rate=20mbit queue=20KiB delay=5ms",
        "loss=20% dup=5% reorder=5% corrupt=2% delay=2ms jitter=1ms; 2:loss=60%",
    ];
    for (seed, net) in (0..70).zip(weathers.iter().cycle()) {
        let order = [Order::Rotated, Order::Magnitude, Order::Random][seed as usize / 7 % 3];
        let case = Case { net: (*net).to_owned(), seed, order, ..calm.clone() };
        let run = case.run();
        assert_eq!(run.outcome, Some(Outcome::Finished), "{net} seed {seed}");
        assert_eq!(run.digest, expected, "{net} seed {seed}");
        check_books(&case, &run, &format!("{net} seed {seed}"));
    }
}

#[test]
fn within_any_tolerance_the_books_balance() {
    for seed in 0..90 {
        let case = Case {
            tolerance: ["2%", "10%", "40%"][seed as usize % 3],
            pull_tolerance: ["0", "5%"][seed as usize % 2],
            missing: Missing::NAMES[seed as usize / 3 % 4].1,
            pull_codec: [Codec::Raw, Codec::Bf16][seed as usize / 2 % 2],
            order: [Order::Rotated, Order::Magnitude, Order::Random][seed as usize / 9 % 3],
            codec: Codec::ALL[seed as usize / 7 % Codec::ALL.len()],
            net: [
                "loss=1%",
                "loss=5%",
                "loss=20%",
                "burst=0.02/0.1 loss=1%",
                "loss=30%; 1:loss=80%",
            ][seed as usize % 5]
                .to_owned(),
            clr: seed % 4 == 0,
            seed,
            ..Case::default()
        };
        let run = case.run();
        assert_eq!(run.outcome, Some(Outcome::Finished), "seed {seed}");
        check_books(&case, &run, &format!("seed {seed}"));
        assert_eq!(closed(&run).count(), 60, "seed {seed}");
    }
}

#[test]
fn the_tolerance_is_used_under_loss_and_only_then() {
    let forgiven = |net: &str| -> u32 {
        let case = Case { tolerance: "10%", net: net.to_owned(), rounds: 40, ..Case::default() };
        closed(&case.run()).map(|c| c.forgiven).sum()
    };
    assert_eq!(forgiven(""), 0, "a healthy network must not lose what it is allowed to");
    assert!(forgiven("loss=5%") > 100);
}

#[test]
fn a_dead_worker_is_dropped_and_the_round_goes_on() {
    let case = Case { rounds: 50, ..Case::default() };
    let mut world = case.world();
    let mut rounds = 0;
    let mut left = Vec::new();
    let observe = |rounds: &mut u32, stamped: &Stamped| match &stamped.event {
        Event::RoundEnded(_) => *rounds += 1,
        Event::WorkerLeft(gone) if gone.reason != "the run is over" => left.push(gone.clone()),
        _ => {}
    };
    let mut observe = observe;
    world.run(Duration::from_millis(200), |stamped, _| {
        observe(&mut rounds, stamped);
        true
    });
    assert!(rounds > 3);
    world.kill(2);
    let outcome = world.run(Duration::from_secs(60), |stamped, _| {
        observe(&mut rounds, stamped);
        true
    });
    assert_eq!((outcome, rounds), (Some(Outcome::Finished), 50));
    assert_eq!(left.len(), 1);
    assert!(left[0].reason.starts_with("nothing was heard of it for 5.0 s"), "{:?}", left[0]);
}

#[test]
fn a_partition_heals() {
    let case = Case { rounds: 60, net: "2:partition=100ms..8s".to_owned(), ..Case::default() };
    let run = case.run();
    assert_eq!(run.outcome, Some(Outcome::Finished));
    let joined: Vec<u32> = run
        .events
        .iter()
        .filter_map(|s| if let Event::WorkerJoined(j) = &s.event { Some(j.worker.0) } else { None })
        .collect();
    assert!(joined.len() >= 3, "{joined:?}");
    check_books(&case, &run, "partition");
}

#[test]
fn hostile_datagrams_are_counted_and_change_nothing() {
    let expected = Case::default().run().digest;
    for seed in 0..30 {
        let mut rng = rng::stream(seed, "hostile", 0);
        let mut world = Case::default().world();
        let mut captured: Vec<Vec<u8>> = Vec::new();
        let stranger = "192.0.2.1:99".parse().unwrap();
        let mut rounds = 0;
        while world.server().outcome().is_none() && rounds < 100_000 {
            rounds += 1;
            world.run(world.now() - Instant::ZERO, |_, _| true);
            let mut junk = vec![0; rng::below(&mut rng, 1500) as usize];
            rand_chacha::rand_core::RngCore::fill_bytes(&mut rng, &mut junk);
            if let Some(old) = captured.get(rng::below(&mut rng, 50) as usize) {
                junk = old.clone();
                if rounds % 2 == 0 && !junk.is_empty() {
                    let at = rng::below(&mut rng, junk.len() as u64) as usize;
                    junk[at] ^= 1 << (rounds % 8);
                }
            }
            if captured.len() < 50 {
                captured.push(world.buf.clone());
            }
            let now = world.now;
            world.server.handle_datagram(now, now, stranger, &junk);
            let next = world.hosts.iter().map(Host::next).min().unwrap();
            let timer = world.server.poll_timeout().map_or(Instant::MAX, |(at, _)| at);
            world.now = world.now.max(next.min(timer));
        }
        assert_eq!(world.server().outcome(), Some(&Outcome::Finished), "seed {seed}");
        assert_eq!(digest(&world), expected, "seed {seed}");
        assert!(world.server().rejects().total() > 100, "seed {seed}");
    }
}

#[test]
fn a_long_path_is_filled_and_jitter_slows_nobody() {
    // 4 MB at 100 Mbit/s are 336 ms, and the window has to grow over a few round trips first.
    for (net, limit_ms) in [
        ("rate=100mbit delay=1ms", 700),
        ("rate=100mbit delay=26ms", 1500),
        ("rate=100mbit delay=10ms jitter=10ms", 1500),
    ] {
        let case = Case {
            workers: 1,
            rounds: 8,
            values: 1_000_000,
            net: net.to_owned(),
            ..Case::default()
        };
        let run = case.run();
        let last = closed(&run).last().unwrap();
        assert!(last.push_ns < limit_ms * 1_000_000, "{net}: {} ms", last.push_ns / 1_000_000);
    }
}

/// Diverges at the third gradient.
struct Diverging(u32);

impl Compute for Diverging {
    fn gradient(&mut self, delivery: &mut Delivery, _: u16, _: u64, _: u32) -> f64 {
        self.0 += 1;
        delivery.gradient.fill(if self.0 < 3 { 1.0 } else { f32::NAN });
        0.0
    }

    fn evaluate(&mut self, _: &[f32], _: u32, _: u32) -> (u32, f64) {
        (0, 0.0)
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_by_name() {
    let mut world = Case::default().world_with(|| Box::new(Diverging(0)), Duration::from_millis(5));
    let outcome = world.run(Duration::from_secs(60), |_, _| true);
    let Some(Outcome::Failed(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("the gradient of `a` is not finite"), "{why}");
    assert_eq!(world.server().trained(), 2);
    assert!(world.server().parameters().iter().all(|x| x.is_finite()));
    let mut buf = Vec::new();
    assert_eq!(world.server.poll_transmit(world.now, &mut buf), None, "nobody is left to be told");
}
