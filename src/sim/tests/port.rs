//! What all workers share, and what one round has to itself.

use super::*;

/// Datagrams of the case's run, and how long each round took, in milliseconds.
fn run(workers: u16, net: &str) -> (Traffic, Vec<f64>) {
    let case = Case { workers, net: net.to_owned(), ..Case::default() };
    let mut world = case.world();
    let mut rounds = Vec::new();
    let outcome = world.run(Duration::from_secs(3600), |stamped, _| {
        if let Event::RoundEnded(ended) = &stamped.event {
            rounds.push(ended.round_ns as f64 / 1e6);
        }
        true
    });
    assert_eq!(outcome, Some(Outcome::Finished), "{net}");
    (world.traffic(), rounds)
}

fn longest(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(0.0, f64::max)
}

#[test]
fn workers_share_the_servers_port() {
    // A push is 80 kB: 6.4 ms at 100 Mbit/s, for each worker one after the other.
    let (one, many) = ("server:rate=100mbit", "rate=1gbit; server:rate=100mbit queue=1MiB");
    let fastest = |workers, net| run(workers, net).1.into_iter().fold(f64::MAX, f64::min);
    // On links of their own they do not wait for each other, once the server has found out whose the queues are.
    let own = fastest(8, "rate=100mbit");
    assert!(own < 3.0 * 6.4, "{own} ms with links of their own");
    assert!((6.4..25.0).contains(&fastest(1, one)));
    assert!(fastest(8, many) > 8.0 * 6.4);
}

#[test]
fn a_shallow_port_drops_and_is_counted() {
    let (clear, _) = run(8, "rate=1gbit; server:rate=1gbit queue=4MiB");
    assert_eq!((clear.lost, clear.dropped), (0, 0));
    let (shallow, _) = run(8, "rate=1gbit; server:rate=100mbit queue=16KiB");
    assert!(shallow.dropped > 0 && shallow.lost == shallow.dropped, "{shallow:?}");
    assert!(shallow.datagrams > clear.datagrams, "{shallow:?} {clear:?}");
}

#[test]
fn a_storm_hits_one_round() {
    let calm = run(3, "rate=100mbit delay=1ms").1;
    let (traffic, stormy) = run(3, "rate=100mbit delay=1ms storm=7/80%");
    assert_eq!(calm[..6], stormy[..6]);
    assert!(stormy[6] > 2.0 * longest(&calm) && longest(&stormy[7..]) < stormy[6], "{stormy:?}");
    assert!(traffic.lost > 0 && traffic.dropped == 0, "{traffic:?}");
}
