//! What studies of regimes are made of, through the program: codecs and batches by regime, presets, replays, truth.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mlt_lite::plan::Plan;
use mlt_lite::report::Norms;
use mlt_lite::run::WORDS;
use serde_json::Value;

mod common;

use common::{Scratch, said};

/// What has happened in a run.
fn events(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rounds of a run folder that started: batch and learning rate.
fn rounds(folder: &Path) -> Vec<(u64, f64)> {
    events(folder)
        .iter()
        .filter(|event| event["event"] == "round-started")
        .map(|event| (event["batch"].as_u64().unwrap(), event["lr"].as_f64().unwrap()))
        .collect()
}

#[test]
fn accordion_trains_on_small_batches_first() {
    let scratch = Scratch::new("batches");
    let line = "sim --epochs 6 --workers 2 --policy accordion --seed 3";
    let both = "--batch 64 --clr-batch 8 --lr 0.4 --clr-eta 0.8";
    let run = scratch.json(&format!("{line} {both} --name run --json"));
    let rounds = rounds(&scratch.join("runs/run"));
    assert!(rounds.iter().all(|round| [(64, 0.4), (8, 0.05)].contains(round)), "{rounds:?}");
    let small = rounds.iter().filter(|round| round.0 == 8).count();
    // 1,438 examples are 90 small rounds, or 12 large ones; the first two epochs are critical by definition.
    assert!((180..540).contains(&small) && small.is_multiple_of(90), "{small}");
    assert_eq!(rounds.len(), small + (6 - small / 90) * 12);
    assert_eq!(run["rounds"], rounds.len());
    let epochs: Vec<u64> = run["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["epoch"].as_f64().unwrap() as u64)
        .collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6]);
    assert!(run["accuracy"].as_f64().unwrap() > 0.93, "{run}");
    // A compute time is that of the large batch.
    let timed = |compute: &str| scratch.json(&format!("{line} {both} --compute {compute} --json"));
    let seconds = timed("80ms")["seconds"].as_f64().unwrap();
    let steps = small as f64 * 0.01 + (rounds.len() - small) as f64 * 0.08;
    assert!(seconds > steps && seconds < 1.3 * steps + 0.5, "{seconds} {steps}");
}

#[test]
fn plans_inside_run() {
    let scratch = Scratch::new("presets");
    let line = "sim --epochs 4 --workers 2 --batch 32 --clr-eta 0.8 --seed 3 --json";
    for (plan, codecs) in [
        ("accordion-powersgd-2-1", ["powersgd:2", "powersgd:1"]),
        ("accordion-powersgd-4-1", ["powersgd:4", "powersgd:1"]),
        ("accordion-topk-10", ["topk:0.99", "topk:0.1"]),
        ("accordion-topk-25", ["topk:0.99", "topk:0.25"]),
        ("accordion-batch-4096", ["raw", "raw"]),
    ] {
        // 1,438 digits are less than its batch.
        let batch = if plan == "accordion-batch-4096" { "--clr-batch 8" } else { "" };
        // With momentum what waits in the residual overshoots: so short a run of `topk` may end at three quarters.
        let still =
            scratch.json(&format!("{line} --plan {plan} {batch} --momentum 0 --name still-{plan}"));
        assert!(still["accuracy"].as_f64().unwrap() > 0.8, "{plan}: {still}");
        let run = scratch.json(&format!("{line} --plan {plan} {batch} --name {plan}"));
        assert!(run["accuracy"].as_f64().unwrap() > 0.65, "{plan}: {run}");
        let last = run["evaluations"].as_array().unwrap().last().unwrap();
        assert_eq!(last["push_bytes"], run["push_bytes"]);
        assert!((last["seconds"].as_f64().unwrap() - run["seconds"].as_f64().unwrap()).abs() < 1.0);
        let text = fs::read_to_string(scratch.join(format!("runs/{plan}/plan.toml"))).unwrap();
        let [critical, others] = codecs;
        for key in ["policy = \"accordion\"", &format!("codec = \"{others}\"")] {
            assert!(text.lines().any(|line| line == key), "{plan}: {text}");
        }
        assert!(text.contains(&format!("clr-codec = \"{critical}\"")), "{plan}: {text}");
        assert_eq!(text.contains("clr-batch = 8"), !batch.is_empty(), "{plan}: {text}");
    }
}

#[test]
fn a_batch_that_was_changed_is_found() {
    let scratch = Scratch::new("batch-tampered");
    let line = "sim --epochs 4 --workers 2 --batch 32 --clr-batch 8 --clr-eta 0.8 --seed 3 --json";
    for (policy, lr) in [("accordion", "linear"), ("clr", "none"), ("signal", "sqrt")] {
        let name = scratch.join(policy);
        scratch.json(&format!("{line} --policy {policy} --batch-lr {lr} --name {policy} --runs ."));
        let path = name.join("events.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let started: Vec<&str> =
            text.lines().filter(|line| line.contains("\"round-started\"")).collect();
        let last_of = |batch: &str| started.iter().rfind(|line| line.contains(batch)).unwrap();
        let (small, large) = ("\"batch\":8,", "\"batch\":32,");
        for (from, to) in [(small, large), (large, small)] {
            let line = last_of(from);
            fs::write(&path, text.replace(*line, &line.replace(from, to))).unwrap();
            let output = scratch.run(&format!("audit {policy}"));
            let found = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
            assert!(!output.status.success(), "{policy}: {found}");
            assert!(found.contains("the batch is not that of the regime"), "{policy}: {found}");
        }
        fs::write(&path, &text).unwrap();
        assert!(scratch.run(&format!("audit {policy}")).status.success());
    }
}

/// Blocks of a push that are not critical in a round, and the bytes of each push of such rounds. The last round is left
/// out: in that, all that is unsaid is said.
fn bytes_by_losable(events: &[Value]) -> BTreeMap<u64, Vec<u64>> {
    let (mut bytes, mut losable) = (BTreeMap::<u64, Vec<u64>>::new(), 0);
    let is_start = |event: &Value| event["event"] == "round-started";
    let last = events.iter().rposition(is_start).unwrap();
    for event in &events[..last] {
        match event["event"].as_str() {
            Some("round-started") => losable = event["losable"].as_u64().unwrap(),
            Some("push-closed") => {
                bytes.entry(losable).or_default().push(event["bytes"].as_u64().unwrap());
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn each_tensor_has_the_codec_of_its_own_regime() {
    let scratch = Scratch::new("mixed");
    let recipe = r#"
        name = "three-layers"
        init = "he"
        layers = [
            { kind = "flatten" },
            { kind = "linear", name = "first", out = 32 },
            { kind = "relu" },
            { kind = "linear", name = "second", out = 64 },
            { kind = "relu" },
            { kind = "linear", name = "third", out = "classes" },
        ]
        defaults = { lr = 0.02, momentum = 0.0, batch = 16 }
    "#;
    fs::write(scratch.join("mine.toml"), recipe).unwrap();
    let summary = scratch.json(
        "sim --model ./mine.toml --workers 3 --epochs 8 --seed 1 --policy accordion --clr-eta 0.2 --tolerance 10% \
         --codec topk:0.05 --clr-codec raw --net loss=10% --name mixed --json",
    );
    assert!(summary["accuracy"].as_f64().unwrap() > 0.9, "{summary}");
    let bytes = bytes_by_losable(&events(&scratch.join("runs/mixed")));
    // 79, 7 and 2 blocks are the matrices, of which any may be critical; 3 more the biases.
    let range = |losable| {
        let bytes = bytes.get(&losable).unwrap_or_else(|| panic!("no round with {losable}"));
        (*bytes.iter().min().unwrap(), *bytes.iter().max().unwrap())
    };
    let [first, others, none] = [7 + 2, 79, 79 + 7 + 2].map(range);
    let raw = |values: u64| 4 * values;
    assert!(first.0 > raw(784 * 32) && others.0 > raw(32 * 64 + 64 * 10), "{first:?}, {others:?}");
    assert!(none.1 < others.0 && others.1 < first.0 / 4, "{none:?}, {others:?}, {first:?}");
}

#[test]
fn regimes_agree_with_what_was_decided() {
    let scratch = Scratch::new("regimes");
    let line = "sim --model fc --epochs 3 --batch 32 --net loss=20% --missing zero --seed 3 --json";
    for policy in ["clr", "clr-layer", "accordion", "dblp", "signal"] {
        let keys = "--tolerance 10% --clr-freq 3 --clr-eta 0.3";
        scratch.json(&format!("{line} --policy {policy} {keys} --name {policy}"));
        let findings = scratch.json(&format!("regimes runs/{policy} --json"));
        assert_eq!(findings["rounds"], 69, "{policy}");
        let detectors = findings["detectors"].as_array().unwrap();
        assert_eq!(detectors[0]["name"], "the run");
        // Its own keys, as far as they are not the usual ones.
        let name = format!("{policy} clr-freq=3 clr-eta=0.3");
        assert_eq!(detectors[1]["name"], name);
        assert_eq!(detectors[0]["agreement"][1], 1.0, "{policy}");
        for key in ["critical", "switches", "saved"] {
            assert_eq!(detectors[0][key], detectors[1][key], "{policy} {key}");
        }
        // Windows are measured whatever drives a run.
        let left_out = findings["left_out"].as_object().unwrap();
        assert!(left_out.is_empty(), "{left_out:?}");
    }
    let out = scratch.run("regimes runs/clr --detector signal_clr-freq=5 --out there");
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        text.starts_with("detector           critical %") && text.lines().count() == 3,
        "{text}"
    );
    let csv = fs::read_to_string(scratch.join("there/regimes.csv")).unwrap();
    assert!(csv.starts_with("round,norm,the run,signal clr-freq=5\n1,"), "{csv}");
    assert_eq!(csv.lines().count(), 70);
    assert!(fs::read_to_string(scratch.join("there/regimes.svg")).unwrap().ends_with("</svg>\n"));
    for (line, code, why) in [
        ("regimes nowhere", 1, "cannot read nowhere: No such file"),
        ("regimes runs", 1, "did you mean runs/accordion?"),
        ("regimes runs/clr --detector clrr", 2, "did you mean `clr`?"),
        ("regimes there/regimes.csv", 1, "this is what is read"),
        ("regimes runs/clr --truth there/regimes.csv", 1, "has other rounds or tensors"),
    ] {
        let output = scratch.run(line);
        let said = said(&output);
        assert!(output.status.code() == Some(code) && said.contains(why), "{line}: {said}");
    }
}

#[test]
fn full_gradients_are_the_truth() {
    let scratch = Scratch::new("full");
    let line = "sim --model fc --full-norm 1 --json";
    // One worker with all images in each round sees nothing else.
    scratch.json(&format!("{line} --workers 1 --batch 1438 --rounds 8 --policy clr --name whole"));
    let read = |run: &str, file: &str| -> Norms {
        let path = scratch.join(format!("runs/{run}/{file}"));
        fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let (seen, full) = (read("whole", "norms.csv"), read("whole", "full.csv"));
    for (seen, full) in seen.rows.iter().zip(&full.rows) {
        let (seen, full) = (&seen.ended, &full.ended);
        assert!((seen.norm - full.norm).abs() < 1e-5 * full.norm, "{seen:?} {full:?}");
        assert_eq!((seen.round, seen.epoch, seen.norms.len()), (full.round, full.epoch, 2));
        assert_eq!(full.signal, Some(full.norm * full.norm));
    }
    let whole = scratch.json("regimes runs/whole --json");
    for detector in whole["detectors"].as_array().unwrap() {
        assert_eq!(detector["truth"]["agreement"], 1.0, "{detector}");
        assert_eq!(detector["truth"]["false_switches"], 0.0, "{detector}");
    }
    // Between measurements the last one stands; a window adds up what was measured in it.
    scratch.json(&format!("{line} --batch 16 --epochs 2 --name every").replace("norm 1", "norm 4"));
    let full = read("every", "full.csv");
    assert_eq!(full.rows.len(), read("every", "norms.csv").rows.len());
    let norm = |round: usize| full.rows[round - 1].ended.norm;
    assert!(norm(1) == norm(4) && norm(4) != norm(5) && norm(5) == norm(8));
    assert!(full.rows.iter().any(|row| row.accuracy.is_some()));
    assert_eq!(full.rows.iter().filter(|row| !row.ended.window.is_empty()).count(), 2);
    let path = scratch.join("runs/every/full.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n")).unwrap();
    assert_eq!(scratch.run("audit runs/every").status.code(), Some(6), "it is sealed");
    fs::write(&path, text).unwrap();
    for command in ["train", "server"] {
        let output = scratch.run(&format!("{command} --full-norm 1"));
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.contains("only a simulation"), "{said}");
    }
    let output = scratch.run("sim --bytes 4k --full-norm 1");
    assert!(said(&output).contains("exclude each other"), "{}", said(&output));
}

#[test]
fn a_run_folder_replays_what_was_decided() {
    let scratch = Scratch::new("replay");
    let line = "sim --model fc --epochs 3 --batch 32 --net loss=20% --missing zero --seed 3";
    for (name, policy) in [
        ("clr", "--policy clr --tolerance 10%"),
        ("layer", "--policy clr-layer --tolerance 10% --clr-freq 2 --clr-eta 0.2"),
        ("accordion", "--policy accordion --tolerance 10% --schedule step:2:0.1"),
        ("dblp", "--policy dblp --tolerance 0.8%"),
        ("signal", "--policy signal --tolerance 10% --clr-freq 5"),
        ("phase", "--policy phase --phase-rule prototype"),
        ("clr-batch", "--policy clr --clr-batch 8 --clr-freq 4 --schedule cosine:1"),
        ("accordion-batch", "--policy accordion --clr-batch 8 --schedule step:2:0.1"),
        ("dblp-batch", "--policy dblp --clr-batch 16 --batch-lr sqrt --tolerance 1%"),
    ] {
        scratch.json(&format!("{line} {policy} --name {name} --json"));
        let read = |file: &str| fs::read_to_string(scratch.join(format!("runs/{name}/{file}")));
        let plan = Plan::parse("plan.toml", &read("plan.toml").unwrap(), &WORDS).unwrap();
        let norms: Norms = read("norms.csv").unwrap().parse().unwrap();
        let tensors = [("linear.bias", vec![10]), ("linear.weight", vec![10, 784])];
        assert_eq!(norms.tensors, tensors.map(|(name, shape)| (name.to_owned(), shape)));
        let replayed: Vec<Value> =
            norms.replay(&plan.policy).iter().map(|d| serde_json::to_value(d).unwrap()).collect();
        let events = events(&scratch.join(format!("runs/{name}"))).into_iter();
        let told = events.filter(|event| event["event"] == "decided").map(|mut event| {
            let fields = event.as_object_mut().unwrap();
            fields.retain(|key, _| !["wall", "at", "event"].contains(&key.as_str()));
            event
        });
        assert_eq!(told.collect::<Vec<_>>(), replayed, "{name}");
        assert!(!replayed.is_empty(), "{name}");
    }
}

#[test]
fn what_is_unsaid_is_said_in_the_last_round_that_makes_a_step() {
    let scratch = Scratch::new("flush");
    let line = "sim --epochs 2 --workers 3 --batch 32 --codec topk:0.05 --tolerance 10% --net loss=5% --seed 3";
    // 15 rounds to the epoch; a cosine ends with a round at rate 0.
    for (schedule, flush) in [("constant", 30), ("cosine:1", 29)] {
        let name = schedule.trim_end_matches(":1");
        scratch.json(&format!("{line} --schedule {schedule} --name {name} --runs . --json"));
        let events = events(&scratch.join(name));
        let started = events.iter().filter(|event| event["event"] == "round-started");
        let whole: Vec<u64> = started
            .filter(|event| event["tolerance"] == "0%")
            .map(|event| event["round"].as_u64().unwrap())
            .collect();
        assert_eq!(whole, [flush], "{schedule}");
        for event in events.iter().filter(|event| event["event"] == "push-closed") {
            let is_raw = event["bytes"].as_u64().unwrap() > 4 * 7850;
            assert_eq!(is_raw, event["round"] == flush, "{event}");
        }
        assert!(scratch.run(&format!("audit {name}")).status.success());
        let path = scratch.join(name).join("events.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let is_flush = |line: &&str| {
            line.contains("\"round-started\"") && line.contains(&format!("\"round\":{flush},"))
        };
        let line = text.lines().find(is_flush).unwrap();
        let named = line.replace(&format!("\"round\":{flush},"), "\"round\":4294967295,");
        fs::write(&path, text.replace(line, &named)).unwrap();
        assert_eq!(scratch.run(&format!("audit {name}")).status.code(), Some(6), "{schedule}");
        let raised = line.replace("\"tolerance\":\"0%\"", "\"tolerance\":\"10%\"");
        assert_ne!(line, raised);
        fs::write(&path, text.replace(line, &raised)).unwrap();
        let output = scratch.run(&format!("audit {name}"));
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(found.contains("all that is unsaid must be said"), "{schedule}: {found}");
        fs::write(&path, text).unwrap();
    }
}
