//! Every way of dealing with loss, ours and those it is compared with.

use super::*;

#[test]
fn every_scheme_keeps_its_books_and_is_exact_at_tolerance_zero() {
    let expected = Case::default().run().digest;
    for (seed, scheme) in (0..).zip([Scheme::Passes, Scheme::EarlyClose, Scheme::Timeout]) {
        for net in ["", "loss=2%", "loss=30%", "burst=0.02/0.1"] {
            for tolerance in ["0", "10%"] {
                let net = net.to_owned();
                let case = Case { scheme, tolerance, net, seed, rounds: 30, ..Case::default() };
                let (run, what) = (case.run(), format!("{scheme:?} {tolerance} {}", case.net));
                assert_eq!(run.outcome, Some(Outcome::Finished), "{what}");
                assert_eq!(closed(&run).count(), 90, "{what}");
                check_books(&case, &run, &what);
                let late: u32 = closed(&run).map(|c| c.late).sum();
                if tolerance == "0" {
                    let case = Case { rounds: 20, ..case };
                    assert_eq!(case.run().digest, expected, "{what}");
                } else if scheme == Scheme::Passes {
                    assert_eq!(late, 0, "{what}: it asks until enough has arrived");
                } else if scheme == Scheme::Timeout && case.net == "loss=30%" {
                    assert!(late > 0, "{what}: what the time does not suffice for is late");
                }
            }
        }
    }
}

/// Virtual milliseconds that a case takes.
fn millis(case: &Case) -> u64 {
    let run = case.run();
    assert_eq!(run.outcome, Some(Outcome::Finished));
    run.events.last().unwrap().at.as_nanos() / 1_000_000
}

#[test]
fn to_tolerate_more_takes_no_scheme_longer() {
    for scheme in [Scheme::Bounded, Scheme::Passes, Scheme::EarlyClose, Scheme::Timeout] {
        let net = "loss=40% rate=100mbit delay=1ms".to_owned();
        let none = Case { scheme, net, ..Case::default() };
        let some = Case { tolerance: "40%", ..none.clone() };
        let (none, some) = (millis(&none), millis(&some));
        assert!(some * 4 < none * 5, "{scheme:?}: {none} ms without, {some} ms with tolerance");
    }
}

#[test]
fn a_push_of_which_nothing_arrives_has_its_deadline_too() {
    for seed in 0..10 {
        let net = "loss=70%".to_owned();
        let (scheme, tolerance) = (Scheme::Timeout, "90%");
        let case =
            Case { scheme, tolerance, net, seed, values: 1500, rounds: 60, ..Case::default() };
        let run = case.run();
        assert_eq!(run.outcome, Some(Outcome::Finished), "seed {seed}");
        let ended = |s: &Stamped| match &s.event {
            Event::RoundEnded(ended) => Some(ended.round_ns),
            _ => None,
        };
        let longest = run.events.iter().filter_map(ended).max().unwrap();
        // The time that a computation may take is 60 s.
        assert!(longest < 30_000_000_000, "seed {seed}: {longest} ns");
    }
}

#[test]
fn stop_and_probe_takes_the_passes_that_loss_and_tolerance_ask_for() {
    let passes = |scheme, net: &str, tolerance| {
        let net = net.to_owned();
        let run = Case { scheme, net, tolerance, rounds: 10, ..Case::default() }.run();
        let passes: Vec<_> = closed(&run).map(|closed| f64::from(closed.passes)).collect();
        passes.iter().sum::<f64>() / passes.len() as f64
    };
    assert_eq!(passes(Scheme::Bounded, "loss=50%", "10%").to_bits(), 1f64.to_bits());
    assert_eq!(passes(Scheme::Passes, "", "10%").to_bits(), 1f64.to_bits());
    // As many as the loss must be multiplied with itself to come below the tolerance, ln 0.1 / ln 0.5 and
    // ln 0.1 / ln 0.8, rounded up. The ledger saves up and blocks are few: neither is met to the pass.
    let (half, most) =
        (passes(Scheme::Passes, "loss=50%", "10%"), passes(Scheme::Passes, "loss=80%", "10%"));
    assert!((2.5..=4.5).contains(&half), "{half} passes at 50 % loss, about 4 expected");
    assert!((7.0..=12.0).contains(&most), "{most} passes at 80 % loss, about 11 expected");
}
