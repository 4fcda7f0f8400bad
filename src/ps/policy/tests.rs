//! Decision tables on made-up series.

use std::fmt::Write as _;

use super::*;
use crate::rng;

fn percent(percent: u16) -> Tolerance {
    Tolerance::from_parts(100 * percent).unwrap()
}

fn change(every: &str) -> Change {
    Change { tolerance: percent(2), every: every.parse().unwrap(), eta: 0.5 }
}

/// A round of a model with two tensors, a matrix and a vector; ten rounds make an epoch.
fn ended(round: u32, norms: [f64; 2]) -> RoundEnded {
    RoundEnded {
        round: Round(round),
        epoch: f64::from(round) / 10.0,
        norm: norms[0].hypot(norms[1]),
        norms: norms.to_vec(),
        ..RoundEnded::default()
    }
}

fn policy(config: &PolicyConfig) -> Policy {
    Policy::new(config, &[2, 1])
}

/// One row for each decision.
#[derive(Default)]
struct Decisions(String);

impl Decisions {
    fn note(&mut self, decided: Option<Decided>) {
        let Some(decided) = decided else { return };
        let Decided { round, epoch, norm, critical, tensors, old, new, reason, .. } = decided;
        let ratio = decided.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        let critical = match (critical, tensors.as_slice()) {
            (true, _) => "all".to_owned(),
            (false, []) => "none".to_owned(),
            (false, tensors) => format!("{tensors:?}"),
        };
        writeln!(
            self.0,
            "{round:>2} {epoch:>4.1} {norm:>5.3} {ratio:>6} {critical:>4} {old:>3}->{new:<3} {reason}"
        )
        .unwrap();
    }
}

fn table(config: &PolicyConfig, rounds: impl IntoIterator<Item = RoundEnded>) -> String {
    let (mut policy, mut decisions) = (policy(config), Decisions::default());
    for ended in rounds {
        decisions.note(policy.handle_round(&ended));
    }
    decisions.0
}

fn of_norms(norms: &[f64]) -> Vec<RoundEnded> {
    (1..).zip(norms).map(|(round, &norm)| ended(round, [norm, 0.0])).collect()
}

#[test]
fn clr_decides_as_defined() {
    let norms = [4.0, 3.0, 1.5, 1.4, 0.0, 0.0, 1.0, 1.5, 1.49, 0.75, 0.7];
    insta::assert_snapshot!(table(&PolicyConfig::Clr(change("1")), of_norms(&norms)));
}

#[test]
fn between_checks_nothing_changes_and_the_base_comes_back() {
    let mut policy = policy(&PolicyConfig::Clr(change("10")));
    let mut critical = Vec::new();
    for round in 1..=40 {
        critical.push(policy.is_critical());
        assert_eq!(policy.tolerance() == Tolerance::ZERO, policy.is_critical());
        let norm = if round <= 11 { 8.0 } else { 1.0 };
        let decided = policy.handle_round(&ended(round, [norm, 0.0]));
        assert_eq!(decided.is_some(), round % 10 == 1);
    }
    // Rounds 1 to 11 by definition, 12 to 21 stable, 22 to 31 after the fall, then stable again.
    let expected: Vec<_> =
        (1..=40).map(|round| round <= 11 || (22..=31).contains(&round)).collect();
    assert_eq!(critical, expected);
}

#[test]
fn clr_layer_tells_tensors_apart() {
    let norms = [[4.0, 1.0], [4.0, 1.0], [2.0, 1.0], [2.0, 0.0], [1.0, 1.0], [1.0, 1.0]];
    let rounds = (1..).zip(norms).map(|(round, norms)| ended(round, norms));
    insta::assert_snapshot!(table(&PolicyConfig::ClrLayer(change("1")), rounds));
}

#[test]
fn accordion_decides_per_tensor_and_window() {
    // The norms of single rounds say nothing: they are noise around what adds up.
    let windows = [[4.0, 4.0], [3.9, 1.0], [1.0, 1.0], [0.9, 9.0], [0.0, 9.0], [0.8, 9.0]];
    let rounds = (1..=60).map(|round| {
        let window = match round % 10 {
            0 => windows[round as usize / 10 - 1].to_vec(),
            _ => Vec::new(),
        };
        // The learning rate steps down in the middle of the third window, and at the end of the fourth.
        let lr_drops = [25, 40].contains(&round);
        let norms = [f64::from(round % 7), f64::from(round % 5)];
        RoundEnded { window, lr_drops, ..ended(round, norms) }
    });
    insta::assert_snapshot!(table(&PolicyConfig::Accordion(change("epoch")), rounds));
}

#[test]
fn norms_of_different_batches_are_not_compared() {
    let config = PolicyConfig::Clr(change("2"));
    let (mut policy, mut decisions, mut sizes) = (policy(&config), Decisions::default(), vec![]);
    for round in 1..=21 {
        let batch = if policy.has_small_batch() { 2 } else { 16 };
        sizes.push(batch);
        // A larger batch has less noise: were that a change, the batch would go up and down for ever. In round 13 the
        // model changes.
        let noise = 8.0 / f64::from(batch).sqrt();
        let norm = noise * if round < 13 { 1.0 } else { 4.0 };
        decisions.note(policy.handle_round(&RoundEnded { batch, ..ended(round, [norm, 0.0]) }));
    }
    insta::assert_snapshot!(format!("{sizes:?}\n{}", decisions.0));
}

#[test]
fn accordion_s_batch_goes_by_the_whole_norm_and_grows_once() {
    let mut policy = policy(&PolicyConfig::Accordion(change("epoch")));
    let mut sizes = Vec::new();
    // One tensor always changes; the norm of both does so from the second window to the third, and after the fourth,
    // when the batch has grown.
    let windows = [[9.0, 0.1], [9.0, 0.2], [1.0, 0.4], [1.0, 0.8], [9.0, 0.1], [1.0, 0.4]];
    for (round, window) in (1..).zip(windows) {
        // The rate steps down behind the second window, which decides nothing then.
        let ended =
            RoundEnded { window: window.to_vec(), lr_drops: round == 2, ..ended(round, window) };
        policy.handle_round(&ended);
        assert!(policy.critical_tensors(2)[1]);
        sizes.push(policy.has_small_batch());
    }
    assert_eq!(sizes, [true, true, true, false, false, false]);
}

#[test]
fn accordion_never_compresses_vectors() {
    let mut policy = policy(&PolicyConfig::Accordion(change("1")));
    assert_eq!(policy.critical_tensors(2), [true, true]);
    for round in 1..=3 {
        policy.handle_round(&RoundEnded { window: vec![1.0, 1.0], ..ended(round, [1.0, 1.0]) });
    }
    assert_eq!(policy.critical_tensors(2), [false, true]);
    assert_eq!((policy.is_critical(), policy.tolerance()), (false, percent(2)));
}

#[test]
fn dblp_looks_once_an_epoch_and_always_tolerates_a_little() {
    let low = Change { tolerance: Tolerance::from_parts(80).unwrap(), ..change("epoch") };
    let norms: Vec<f64> = (1..=50).map(|round| if round < 25 { 4.0 } else { 1.0 }).collect();
    let config = PolicyConfig::Dblp { low, k: percent(40) };
    assert_eq!(config.most(), Tolerance::from_parts(4080).unwrap());
    insta::assert_snapshot!(table(&config, of_norms(&norms)));
}

#[test]
fn phases_of_both_rules() {
    let accuracies = [0.06, 0.4, 0.47, 0.48, 0.55, 0.6, 0.75, 0.8, 0.81, 0.79, 0.9];
    let tolerances = [percent(8), percent(2), Tolerance::from_parts(50).unwrap()];
    let mut decisions = Decisions::default();
    for rule in [PhaseRule::Study, PhaseRule::Prototype] {
        let mut policy = policy(&PolicyConfig::Phase(PhaseConfig { tolerances, rule }));
        assert_eq!((policy.tolerance(), policy.is_critical()), (percent(8), false));
        for (round, accuracy) in (1..).zip(accuracies) {
            assert_eq!(policy.handle_round(&ended(10 * round, [1.0, 1.0])), None);
            decisions.note(policy.handle_accuracy(accuracy));
        }
        decisions.0 += "\n";
    }
    insta::assert_snapshot!(decisions.0);
}

#[test]
fn signal_has_hysteresis_and_warms_up() {
    let (tolerance, every) = (percent(2), Every::Rounds(2));
    let config = SignalConfig { tolerance, every, enter: 0.5, leave: 0.25, warmup: 2 };
    // The signal of each window of two rounds: the mean of squares that differ from it by 0.02. NaN: nobody could tell.
    let windows = [8.0, 8.0, 5.0, 3.6, 3.0, 2.0, 1.0, 0.7, f64::NAN, -1.0, 0.6, 0.61, 3.0];
    let rounds = (1..=26).map(|round| {
        let signal: f64 = windows[(round as usize - 1) / 2];
        let noise = if round % 2 == 0 { 0.02 } else { -0.02 };
        let square = Some(signal.abs() * signal + noise).filter(|square| square.is_finite());
        RoundEnded { signal: square, ..ended(round, [9.0, f64::from(round)]) }
    });
    insta::assert_snapshot!(table(&PolicyConfig::Signal(config), rounds));
}

#[test]
fn signal_takes_no_chance_for_a_change() {
    let (tolerance, every) = (percent(2), Every::Rounds(4));
    let config = SignalConfig { tolerance, every, enter: 0.5, leave: 0.25, warmup: 1 };
    // Means of four squares, and how far they are from it, up and down. Of 0.4 and 0.4 the means' standard errors are
    // 0.4 / sqrt(3) = 0.23, so 0.98 is the least that is no chance.
    let windows =
        [(4.0, 0.4), (3.1, 0.4), (2.1, 0.4), (1.1, 0.4), (-0.3, 0.4), (0.5, 0.4), (9.0, 0.1)];
    let rounds = (1..=28).map(|round| {
        let (mean, noise) = windows[(round as usize - 1) / 4];
        let square = if round % 2 == 0 { mean + noise } else { mean - noise };
        RoundEnded { signal: Some(square), ..ended(round, [9.0, f64::from(round)]) }
    });
    insta::assert_snapshot!(table(&PolicyConfig::Signal(config), rounds));
}

#[test]
fn schedules_are_kept() {
    let rounds = || (1..=40).map(|round| ended(round, [1.0, 0.0]));
    let config = |text: &str| PolicyConfig::Schedule(text.parse().unwrap());
    let mut tables = String::new();
    for text in ["rounds 1 8%, 5 2%, 6 2%, 30 0", "epochs\n0 0 # calm\n1 40%\n3 0.5%"] {
        let config = config(text);
        let PolicyConfig::Schedule(steps) = &config else { unreachable!() };
        writeln!(
            tables,
            "{steps}, at most {}, first {}",
            config.most(),
            policy(&config).tolerance()
        )
        .unwrap();
        tables += &table(&config, rounds());
        assert_eq!(steps.to_string().parse().as_ref(), Ok(steps));
    }
    insta::assert_snapshot!(tables);
}

#[test]
fn bad_schedules_say_what_is_wrong() {
    let mut said = String::new();
    for text in [
        "",
        "# nothing\n\n",
        "hours 0 2%",
        "rounds",
        "epochs\n",
        "rounds 0 2%",
        "epochs 1 2%",
        "epochs 0 2%\n\n3",
        "epochs 0 2%, 3 much",
        "epochs 0 2%, 3.5 2%",
        "rounds 1 2%\n9 3%\n9 4%",
        "rounds 1 2%\n-9 4%",
        "rounds 1 101%",
    ] {
        writeln!(said, "{}", text.parse::<Steps>().unwrap_err()).unwrap();
    }
    insta::assert_snapshot!(said);
}

fn configs() -> Vec<PolicyConfig> {
    let (tolerance, every) = (percent(3), Every::Rounds(4));
    let signal = SignalConfig { tolerance, every, enter: 0.5, leave: 0.25, warmup: 2 };
    let phases = |rule| PhaseConfig { tolerances: [percent(8), percent(2), percent(1)], rule };
    vec![
        PolicyConfig::Static { tolerance },
        PolicyConfig::Phase(phases(PhaseRule::Study)),
        PolicyConfig::Phase(phases(PhaseRule::Prototype)),
        PolicyConfig::Clr(change("3")),
        PolicyConfig::ClrLayer(change("2")),
        PolicyConfig::Accordion(change("epoch")),
        PolicyConfig::Dblp { low: change("epoch"), k: percent(40) },
        PolicyConfig::Signal(signal),
        PolicyConfig::Schedule("epochs 0 8%, 2 1%, 3 0".parse().unwrap()),
    ]
}

/// The events of a run that nobody can foresee.
fn series(seed: u64) -> Vec<(RoundEnded, Option<f64>)> {
    let mut rng = rng::stream(seed, "series", 0);
    let mut unit = || rng::unit(&mut rng);
    let mut rounds = Vec::new();
    for round in 1..=60 {
        let norms = [4.0 * unit(), if unit() < 0.1 { 0.0 } else { unit() }];
        let window = if round % 10 == 0 { vec![9.0 * unit(), unit()] } else { Vec::new() };
        let signal = (unit() < 0.9).then(|| unit() - 0.2);
        let lr_drops = unit() < 0.05;
        let accuracy = (round % 5 == 0).then(&mut unit);
        let batch = if unit() < 0.8 { 16 } else { 4 };
        let ended = RoundEnded { signal, lr_drops, batch, window, ..ended(round, norms) };
        rounds.push((ended, accuracy));
    }
    rounds
}

fn decide(policy: &mut Policy, series: &[(RoundEnded, Option<f64>)]) -> Vec<Decided> {
    let mut decisions = Vec::new();
    for (ended, accuracy) in series {
        decisions.extend(policy.handle_round(ended));
        decisions.extend(accuracy.and_then(|accuracy| policy.handle_accuracy(accuracy)));
    }
    decisions
}

#[test]
fn the_same_events_make_the_same_decisions() {
    for seed in 0..50 {
        let series = series(seed);
        for config in configs() {
            let mut whole = policy(&config);
            let expected = decide(&mut whole, &series);
            assert_eq!(decide(&mut policy(&config), &series), expected, "{seed} {config:?}");
            assert_eq!(whole.history().len(), expected.len());
            // What a policy never tells apart it never calls critical.
            let critical = expected.iter().any(|decided| decided.critical);
            assert!(config.has_regimes() || !critical, "{seed} {config:?}");
            assert!(config.is_of_the_model() || !whole.has_small_batch() || config.is_of_tensors());
            let most = expected.iter().map(|decided| decided.new).max().unwrap_or_default();
            assert!(most <= config.most(), "{seed} {config:?}");
        }
    }
}

#[test]
fn a_policy_that_was_put_aside_goes_on_as_before() {
    for seed in 0..20 {
        let series = series(seed);
        for config in configs() {
            let mut whole = policy(&config);
            let expected = decide(&mut whole, &series);
            let (before, after) = series.split_at(seed as usize * 3);
            let mut first = policy(&config);
            let mut found = decide(&mut first, before);
            let text = serde_json::to_string(&first).unwrap();
            let mut second: Policy = serde_json::from_str(&text).unwrap();
            assert_eq!(second.terms(), first.terms());
            assert_eq!(second.has_small_batch(), first.has_small_batch());
            found.extend(decide(&mut second, after));
            assert_eq!(found, expected, "{seed} {config:?}");
            assert_eq!(second, whole, "{seed} {config:?}");
        }
    }
}

#[test]
fn without_tolerance_it_still_decides() {
    for config in configs() {
        let none = config.clone().without_tolerance();
        assert_eq!((none.most(), none.name()), (Tolerance::ZERO, config.name()));
        let regimes = |config| {
            let decisions = decide(&mut policy(config), &series(1));
            decisions.into_iter().map(|decided| (decided.round, decided.critical)).collect()
        };
        let (with, without): (Vec<_>, Vec<_>) = (regimes(&config), regimes(&none));
        assert!(with == without || matches!(config, PolicyConfig::Schedule(_)), "{config:?}");
    }
}
