//! Batches by regime: examples, rounds and rates of a run whose rounds are not alike.

use super::*;
use crate::event::{Decided, RoundEnded, RoundStarted};
use crate::ps::batch::BatchLr;
use crate::ps::policy::Policy;

const BATCHES: Batches = Batches { others: 10, critical: 2, lr: BatchLr::Linear };

/// Gradients that grow and shrink with the examples' numbers, and depend on no parameter.
pub(super) struct Waves;

impl Compute for Waves {
    fn gradient(&mut self, delivery: &mut Delivery, slot: u16, first: u64, count: u32) -> f64 {
        let loss = Synthetic.gradient(delivery, slot, first, count);
        if first / 150 % 2 == 1 {
            delivery.gradient.iter_mut().for_each(|value| *value *= 64.0);
        }
        loss
    }

    fn evaluate(&mut self, _: &[f32], _: u32, _: u32) -> (u32, f64) {
        (0, 0.0)
    }
}

pub(super) fn change(every: Every, eta: f64) -> Change {
    Change { tolerance: Tolerance::ZERO, every, eta }
}

fn of<T>(run: &Run, of: impl Fn(&Event) -> Option<T>) -> Vec<T> {
    run.events.iter().filter_map(|stamped| of(&stamped.event)).collect()
}

fn started(run: &Run) -> Vec<RoundStarted> {
    of(run, |event| match event {
        Event::RoundStarted(started) => Some(started.clone()),
        _ => None,
    })
}

fn ended(run: &Run) -> Vec<RoundEnded> {
    of(run, |event| match event {
        Event::RoundEnded(ended) => Some(ended.clone()),
        _ => None,
    })
}

/// The events of a run on waves.
fn waves(case: &Case) -> Run {
    let mut world = case.world_with(|| Box::new(Waves), Duration::from_millis(5));
    let mut events = Vec::new();
    let outcome = world.run(Duration::from_secs(3600), |stamped, _| {
        events.push(stamped.clone());
        true
    });
    assert_eq!(outcome, Some(Outcome::Finished));
    Run { outcome, digest: digest(&world), events }
}

#[test]
fn rounds_have_the_batch_and_the_rate_of_their_regime() {
    let policy = Some(PolicyConfig::Clr(change(Every::Rounds(7), 0.5)));
    for (lr, factor) in
        [(BatchLr::Linear, 0.2), (BatchLr::Sqrt, 0.2f64.sqrt()), (BatchLr::None, 1.0)]
    {
        let batches = Batches { lr, ..BATCHES };
        let case = Case { policy: policy.clone(), batches, rounds: 80, ..Case::default() };
        let run = waves(&case);
        let (mut taken, mut epochs, mut handed, mut sizes) = (0, 0, 0, [0; 2]);
        for (started, ended) in started(&run).iter().zip(ended(&run)) {
            let small = started.critical;
            assert_eq!(started.batch, if small { 2 } else { 10 });
            // The rate steps down after four epochs, whatever rounds they have.
            let course = if epochs >= 4 { 0.01 } else { 0.1 };
            let rate = course * if small { factor } else { 1.0 };
            assert!((started.lr - rate).abs() < 1e-12, "{started:?}");
            let examples = 3 * started.batch;
            (taken, handed) = (taken + examples, handed + examples);
            if handed >= 100 {
                (epochs, handed) = (epochs + 1, 0);
            }
            assert_eq!((ended.batch, ended.epoch), (started.batch, f64::from(taken) / 100.0));
            assert_eq!(ended.lr_drops, epochs == 4 && handed == 0, "{ended:?}");
            sizes[usize::from(small)] += 1;
        }
        assert!(sizes.iter().all(|&rounds| rounds >= 14), "{sizes:?} large and small rounds");
        let evaluated = of(&run, |event| match event {
            Event::Evaluated(evaluated) => Some(evaluated.round),
            _ => None,
        });
        assert_eq!(evaluated.len() as u32, epochs + u32::from(handed > 0), "once an epoch");
    }
}

#[test]
fn a_run_of_epochs_ends_with_the_last_one() {
    let policy = Some(PolicyConfig::Clr(change(Every::Rounds(20), 9.0)));
    let run = Case { policy, batches: BATCHES, epochs: Some(5), ..Case::default() }.run();
    assert_eq!(run.outcome, Some(Outcome::Finished));
    // The second look finds it calm: 21 rounds of 6 examples, the rest of 30. An epoch of 17 small rounds, one of 4
    // small ones and 3 large ones, three of 4 large ones.
    assert_eq!(started(&run).len(), 17 + 4 + 3 + 3 * 4);
}

#[test]
fn accordion_s_batch_grows_once() {
    let policy = PolicyConfig::Accordion(change(Every::Epochs(1), 0.9));
    for lr in [BatchLr::Linear, BatchLr::None] {
        let batches = Batches { lr, ..BATCHES };
        let case = Case { policy: Some(policy.clone()), batches, rounds: 90, ..Case::default() };
        let run = case.run();
        let sizes: Vec<u32> = started(&run).iter().map(|started| started.batch).collect();
        // Two epochs of 17 small rounds at least; the step of the rate after four epochs changes nothing.
        let grown = sizes.iter().position(|&batch| batch == 10).unwrap();
        assert!(grown >= 34 && grown % 17 == 0, "{sizes:?}");
        assert!(sizes[grown..].iter().all(|&batch| batch == 10), "{sizes:?}");
        assert!(ended(&run).iter().any(|ended| ended.lr_drops && ended.round.0 as usize > grown));
    }
}

#[test]
fn a_replay_finds_the_same_batches() {
    for policy in [
        PolicyConfig::Clr(change(Every::Rounds(5), 0.4)),
        PolicyConfig::Accordion(change(Every::Epochs(1), 0.9)),
        PolicyConfig::Dblp { low: change(Every::Epochs(1), 0.4), k: "20%".parse().unwrap() },
    ] {
        let config = Some(policy.clone());
        let net = "loss=20%".to_owned();
        let case = Case { policy: config, batches: BATCHES, net, rounds: 60, ..Case::default() };
        let run = case.run();
        let told: Vec<Decided> = of(&run, |event| match event {
            Event::Decided(decided) => Some(decided.clone()),
            _ => None,
        });
        let (mut replay, mut found) = (Policy::new(&policy, &[2, 1]), Vec::new());
        for (started, ended) in started(&run).iter().zip(ended(&run)) {
            assert_eq!(started.batch, BATCHES.of(replay.has_small_batch()), "{}", policy.name());
            found.extend(replay.handle_round(&ended));
        }
        assert_eq!(found, told, "{}", policy.name());
    }
}

#[test]
fn what_is_unsaid_keeps_its_worth_when_the_batch_changes() {
    let tolerance = "5%".parse().unwrap();
    let policy = PolicyConfig::Clr(Change { tolerance, ..change(Every::Rounds(5), 0.5) });
    let sum = |missing, net: &str| {
        // The rate steps down after four epochs, and what is unsaid is said before.
        let case = Case {
            missing,
            net: net.to_owned(),
            policy: Some(policy.clone()),
            batches: BATCHES,
            epochs: Some(4),
            momentum: 0.0,
            critical_codec: Codec::Raw,
            ..Case::default()
        };
        let mut world = case.world_with(|| Box::new(Waves), Duration::from_millis(5));
        let mut sizes = Vec::new();
        let outcome = world.run(Duration::from_secs(3600), |stamped, _| {
            if let Event::RoundStarted(started) = &stamped.event {
                sizes.push(started.batch);
            }
            true
        });
        assert_eq!(outcome, Some(Outcome::Finished));
        (sizes, world.server().parameters().to_vec())
    };
    let (sizes, expected) = sum(Missing::Feedback, "");
    assert!(!sizes.is_sorted() && sizes.contains(&10), "from small to large and back: {sizes:?}");
    for missing in [Missing::Feedback, Missing::Imputed, Missing::Zero] {
        let (found, lossy) = sum(missing, "loss=30%");
        assert_eq!(found, sizes, "{missing}: other rounds cannot be compared");
        let most = lossy.iter().zip(&expected).fold(0f32, |most, (x, y)| most.max((x - y).abs()));
        assert_eq!(most < 1e-4, missing != Missing::Zero, "{missing}: {most}");
    }
}

/// Says which examples a gradient was computed over: example `i` counts in value `i`.
struct Examples;

impl Compute for Examples {
    fn gradient(&mut self, delivery: &mut Delivery, _: u16, first: u64, count: u32) -> f64 {
        delivery.gradient.fill(0.0);
        let range = first as usize..first as usize + count as usize;
        delivery.gradient[range].fill(1.0);
        0.0
    }

    fn evaluate(&mut self, _: &[f32], _: u32, _: u32) -> (u32, f64) {
        (0, 0.0)
    }
}

#[test]
fn whoever_comes_and_goes_no_example_counts_twice() {
    let clr = || Some(PolicyConfig::Clr(change(Every::Rounds(1), 0.01)));
    for (net, seed, batches, policy) in [
        ("2:partition=50ms..15s", 1, Batches::uniform(10), None),
        ("1:partition=80ms..20s; 3:partition=3s..12s", 2, Batches::uniform(10), None),
        ("1:partition=80ms..20s; 3:partition=3s..12s", 3, BATCHES, clr()),
    ] {
        let net = net.to_owned();
        let case =
            Case { rounds: 12, net, seed, batches, policy, momentum: 0.0, ..Case::default() };
        let mut world = case.world_with(|| Box::new(Examples), Duration::from_secs(2));
        let outcome = world.run(Duration::from_secs(3600), |_, _| true);
        assert_eq!(outcome, Some(Outcome::Finished), "{}", case.net);
        let weights = world.server().parameters().iter().filter(|&&x| x != 0.0);
        let mut counts: Vec<u32> = weights.map(|x| (-x * 1e4).round() as u32).collect();
        counts.sort_unstable();
        counts.dedup();
        // One step of an example is lr / workers, whatever lr and the number of workers were then.
        let mut allowed = vec![333, 500, 1000, 33, 50, 100];
        if batches.differ() {
            allowed.extend([67, 100, 200, 7, 10, 20]);
        }
        assert!(counts.iter().all(|count| allowed.contains(count)), "{}: {counts:?}", case.net);
    }
}
