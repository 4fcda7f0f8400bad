//! A run that is stopped anywhere and goes on from what it left is the run that was never stopped.

use super::batches::{Waves, change};
use super::*;
use crate::event::{Decided, RoundEnded};
use crate::ps::batch::BatchLr;
use crate::ps::policy::{PhaseConfig, PhaseRule, SignalConfig};
use crate::ps::server::Standing;

/// What the rounds of a run came to: the virtual time that they took is another matter.
#[derive(Debug, Default, PartialEq)]
struct Course {
    ended: Vec<RoundEnded>,
    decided: Vec<Decided>,
}

impl Course {
    fn record(&mut self, event: &Event) {
        match event {
            Event::RoundEnded(ended) => {
                self.ended.push(RoundEnded { round_ns: 0, ..ended.clone() });
            }
            Event::Decided(decided) => self.decided.push(decided.clone()),
            _ => {}
        }
    }
}

fn world(case: &Case) -> World {
    case.world_with(|| Box::new(Waves), Duration::from_millis(5))
}

/// Runs `world` for so long at most; whether it has ended by then.
fn run(world: &mut World, time: Duration, course: &mut Course) -> bool {
    let outcome = world.run(time, |stamped, _| {
        course.record(&stamped.event);
        true
    });
    outcome.is_some()
}

/// Another world in which the run goes on, from what went through a checkpoint.
fn resumed(case: &Case, stopped: &World) -> World {
    let json = serde_json::to_string(&stopped.server().standing()).unwrap();
    let standing: Standing = serde_json::from_str(&json).unwrap();
    assert_eq!(standing, stopped.server().standing());
    let mut world = world(case);
    world.server.parameters_mut().copy_from_slice(stopped.server().parameters());
    world.server = world.server.standing_at(standing, stopped.server().values());
    world
}

#[test]
fn whoever_goes_on_from_a_checkpoint_decides_and_ends_alike() {
    let signal = SignalConfig {
        tolerance: Tolerance::ZERO,
        every: Every::Rounds(4),
        enter: 0.5,
        leave: 0.25,
        warmup: 2,
    };
    let policies = [
        PolicyConfig::Clr(change(Every::Rounds(5), 0.5)),
        PolicyConfig::ClrLayer(change(Every::Rounds(3), 0.5)),
        PolicyConfig::Accordion(change(Every::Epochs(1), 0.5)),
        PolicyConfig::Dblp { low: change(Every::Epochs(2), 0.5), k: Tolerance::ZERO },
        PolicyConfig::Signal(signal),
        PolicyConfig::Schedule("epochs 0 0%, 2 0.01%, 5 0%, 6 0.01%".parse().unwrap()),
        PolicyConfig::Phase(PhaseConfig { tolerances: Default::default(), rule: PhaseRule::Study }),
    ];
    for policy in policies {
        let net = "rate=100mbit".to_owned();
        let batches = Batches { others: 10, critical: 2, lr: BatchLr::Linear };
        let (policy, epochs) = (Some(policy), Some(9));
        // What a codec rounds away is said later, if the workers are still there.
        let critical_codec = Codec::Raw;
        let case =
            Case { values: 2000, net, batches, policy, epochs, critical_codec, ..Case::default() };
        let (mut unbroken, mut expected) = (world(&case), Course::default());
        assert!(run(&mut unbroken, Duration::from_secs(3600), &mut expected));
        assert!(expected.decided.len() > 2, "{:?}: {:?}", case.policy, expected.decided);
        let mut stops = 0;
        for millis in (3..).step_by(53) {
            let (mut first, mut course) = (world(&case), Course::default());
            if run(&mut first, Duration::from_millis(millis), &mut course) {
                break;
            }
            first.server.stop("enough");
            let mut second = resumed(&case, &first);
            assert!(run(&mut second, Duration::from_secs(3600), &mut course));
            let what = format!("{:?} after {millis} ms", case.policy);
            for (one, other) in course.ended.iter().zip(&expected.ended) {
                assert_eq!(one, other, "{what}, in round {}", first.server().trained());
            }
            assert_eq!(course.decided, expected.decided, "{what}");
            assert_eq!(course.ended.len(), expected.ended.len(), "{what}");
            assert_eq!(digest(&second), digest(&unbroken), "{:?} after {millis} ms", case.policy);
            stops += 1;
        }
        assert!(stops > 5, "{stops} stops");
    }
}
