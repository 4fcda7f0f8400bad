//! Matrices that go as their factors, and codecs that change from round to round.

use super::*;

fn codec(text: &str) -> Codec {
    text.parse().unwrap()
}

#[test]
fn factors_say_the_same_in_any_weather() {
    for rank in ["powersgd:1", "powersgd:2", "powersgd:4"] {
        let calm = Case { rounds: 6, values: 6000, codec: codec(rank), ..Case::default() };
        let run = calm.run();
        assert_eq!(run.digest, calm.run().digest, "{rank}");
        let rank: u32 = rank[9..].parse().unwrap();
        let factors = (60 * rank).div_ceil(320) + (100 * rank).div_ceil(320) + 1;
        // In the last round all that is unsaid is said, as it is.
        let blocks = 6000_u32.div_ceil(320) + 1;
        for push in closed(&run) {
            assert_eq!(push.owed, if push.round.0 < 6 { factors } else { blocks }, "{push:?}");
        }
        for (seed, net) in (0..).zip(["loss=20%", "loss=5% dup=5% reorder=20%", "burst=0.02/0.1"]) {
            let case = Case { net: net.to_owned(), seed, ..calm.clone() };
            let stormy = case.run();
            assert_eq!(stormy.digest, run.digest, "{net}");
            check_books(&case, &stormy, net);
        }
    }
}

#[test]
fn ranks_and_codecs_may_change_in_the_middle_of_loss() {
    let pairs = [("powersgd:1", "powersgd:2"), ("powersgd:2", "raw"), ("topk:0.01", "powersgd:4")];
    for (seed, (low, high)) in (0..).zip(pairs.into_iter().cycle()).take(12) {
        let case = Case {
            rounds: 30,
            tolerance: ["0", "10%", "40%"][seed as usize / 3 % 3],
            codec: codec(low),
            critical_codec: codec(high),
            net: "loss=10% reorder=5% delay=1ms; 1:loss=40%".to_owned(),
            clr: true,
            seed,
            ..Case::default()
        };
        let run = case.run();
        assert_eq!(run.outcome, Some(Outcome::Finished), "seed {seed}");
        check_books(&case, &run, &format!("seed {seed}"));
        assert_eq!(run.digest, case.run().digest, "seed {seed}");
        let but_the_last = closed(&run).filter(|push| push.round.0 < 30);
        let mut sizes: Vec<_> = but_the_last.map(|push| push.owed).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert!(sizes.len() > 1, "seed {seed}: the blocks of pushes never changed");
    }
}

#[test]
fn a_worker_that_comes_back_and_one_that_leaves_do_not_disturb_factors() {
    let net = "2:partition=100ms..8s".to_owned();
    let case = Case { rounds: 60, codec: codec("powersgd:2"), net, ..Case::default() };
    assert_eq!(case.run().outcome, Some(Outcome::Finished));
}
