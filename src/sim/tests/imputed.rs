//! Nothing is lost for good: what the network lost is said later, or stood for by others until then.

use super::*;
use crate::codec::{Rounding, Share, TopK};

/// Everything unsaid is said in round 16, before the learning rate drops, and in the last: gradients depend on no
/// parameter here.
fn flushed() -> Case {
    Case { rounds: 22, momentum: 0.0, tolerance: "40%", ..Case::default() }
}

/// The parameters after each of those two rounds, and after one between them.
fn parameters(case: &Case) -> [Vec<f32>; 3] {
    let mut world = case.world();
    let mut found = Vec::new();
    let outcome = world.run(Duration::from_secs(3600), |stamped, core| {
        match &stamped.event {
            Event::RoundEnded(ended) if [16, 19, 22].contains(&ended.round.0) => {
                found.push(core.parameters().to_vec());
            }
            _ => {}
        }
        true
    });
    assert_eq!(outcome, Some(Outcome::Finished));
    let [drop, between, last] = found.try_into().unwrap();
    [drop, last, between]
}

#[test]
fn once_all_is_said_no_loss_and_no_codec_has_changed_the_sum() {
    let expected = parameters(&flushed());
    let topk = Codec::TopK(TopK { share: Share::PERCENT, halves: false });
    for (seed, net) in (0..).zip(["loss=30%", "loss=10%; 1:loss=80%", "burst=0.02/0.1"]) {
        for codec in [Codec::Raw, Codec::Uint8(Rounding::Stochastic), topk] {
            let farthest = |missing| {
                let case = Case { missing, codec, net: net.to_owned(), seed, ..flushed() };
                let found = parameters(&case);
                [0, 1, 2].map(|when| {
                    let pairs = found[when].iter().zip(&expected[when]);
                    pairs.fold(0.0, |most: f32, (x, y)| most.max((x - y).abs()))
                })
            };
            for missing in [Missing::Feedback, Missing::Imputed] {
                let [drop, last, between] = farthest(missing);
                assert!(drop < 1e-5 && last < 1e-5, "{net} {codec} {missing}: {drop} {last}");
                assert!(between > 1e-4, "{net} {codec} {missing}: {between}");
            }
            let [_, most, _] = farthest(Missing::Zero);
            assert!(most > 1e-3, "{net} {codec} zero: {most}");
        }
    }
}

#[test]
fn a_step_that_is_taken_back_is_not_remembered() {
    let (mut halves, mut owing) = (0, 0);
    let net = "rate=20mbit loss=20%".to_owned();
    let case = Case { net, missing: Missing::Imputed, ..flushed() };
    for millis in (50..500).step_by(7) {
        let mut world = case.world();
        let state = |core: &ServerCore| (core.parameters().to_vec(), core.imputed());
        let mut last = state(world.server());
        let outcome = world.run(Duration::from_millis(millis), |stamped, core| {
            if matches!(stamped.event, Event::RoundEnded(_)) {
                last = state(core);
            }
            true
        });
        if outcome.is_some() {
            break;
        }
        halves += u32::from(world.server().parameters() != last.0);
        owing += u32::from(last.1.iter().any(|&x| x != 0.0));
        world.server.stop("enough");
        assert!(state(world.server()) == last, "after {millis} ms");
    }
    assert!(halves > 5 && owing > 5, "{halves} stops in the middle of a step, {owing} with debts");
}

#[test]
fn who_comes_back_owes_nothing() {
    let net = "loss=20%; 2:partition=100ms..8s".to_owned();
    let case =
        Case { net, missing: Missing::Imputed, rounds: 60, tolerance: "40%", ..Case::default() };
    let (one, two) = (case.run(), case.run());
    assert_eq!(one.outcome, Some(Outcome::Finished));
    check_books(&case, &one, "imputed");
    assert!(one.digest == two.digest && one.events == two.events);
}

#[test]
fn a_rounded_pull_changes_what_is_computed_and_not_what_is_evaluated() {
    // Gradients depend on no parameter here: only evaluations could tell.
    let seen = |pull_codec| {
        let case = Case { pull_codec, net: "loss=10%".to_owned(), ..Case::default() };
        let run = case.run();
        let down = run.events.iter().filter_map(|stamped| match &stamped.event {
            Event::PullClosed(pull) => Some(pull.bytes),
            _ => None,
        });
        (run.digest.clone(), down.sum::<u64>())
    };
    let (raw, fp16) = (seen(Codec::Raw), seen(Codec::Fp16));
    assert_eq!(raw.0, fp16.0);
    assert!(fp16.1 * 10 < raw.1 * 7 && fp16.1 * 2 > raw.1, "{fp16:?} of {raw:?}");
}
