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
