//! Runs that go on from what other runs have left. (Each of them is audited when its test is over.)

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::fs;
use std::path::Path;

use mlt_lite::audit::audit;

mod common;

use common::{Scratch, said};

/// Nothing waits for later rounds, and the norms decide again and again.
const CLR: &str =
    "--model fc --workers 2 --missing zero --policy clr --clr-freq 3 --clr-eta 0.2 --tolerance 2%";

/// The lines of a file of a run behind the first ones, which are its header and what was before.
fn rows(folder: &Path, file: &str, before: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines().skip_while(|row| !row.starts_with(before)).map(str::to_owned).collect()
}

#[test]
fn a_run_in_two_parts_is_the_run_in_one() {
    let scratch = Scratch::new("resume-parts");
    let whole = scratch.json(&format!("sim {CLR} --rounds 40 --name whole --json"));
    scratch.json(&format!("sim {CLR} --rounds 17 --name first --json"));
    let line = "sim --resume runs/first --rounds 40 --name second --json";
    let output = scratch.run(line);
    let (err, out) = (said(&output), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(err.contains("goes on from round 17 (1.42 epochs) of runs/first\n"), "{err}");
    assert!(err.contains("round 40/40"), "{err}");
    let second: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(second["digest"], whole["digest"]);
    assert_eq!([&second["rounds"], &second["pushes"]], [23, 46]);
    let runs = scratch.join("runs");
    let [of_whole, of_second] =
        ["whole", "second"].map(|run| rows(&runs.join(run), "norms.csv", "18,"));
    assert!(of_whole.len() == 23 && of_whole == of_second, "{of_second:?}");
    let decided = |run: &str| {
        let events = rows(&runs.join(run), "events.jsonl", "");
        let decided = events.iter().filter(|line| line.contains(r#""event":"decided""#));
        let parts = decided.map(|line| line.split_once(r#""event""#).unwrap().1.to_owned());
        parts.collect::<Vec<_>>()
    };
    let (mut parts, all) = (decided("first"), decided("whole"));
    parts.extend(decided("second"));
    assert!(parts == all && all.len() == 14, "{parts:?}");
    // Its folder says how to repeat it, and what it made of its norms.
    let again = scratch.json("sim --plan runs/second/plan.toml --json");
    assert_eq!([&again["digest"], &again["plan"]], [&second["digest"], &second["plan"]]);
    let regimes = scratch.json("regimes runs/second --json");
    assert_eq!(regimes["rounds"], 23, "{regimes}");
}

#[test]
fn another_policy_begins_anew() {
    let scratch = Scratch::new("resume-policy");
    scratch.json(&format!("sim {CLR} --rounds 17 --name first --json"));
    for policy in ["clr --clr-freq 5", "signal --clr-freq 4", "accordion", "clr-layer"] {
        let output = scratch.run(&format!("sim --resume runs/first --rounds 40 --policy {policy}"));
        let said = said(&output);
        assert!(output.status.success() && said.contains("; its policy was another one"), "{said}");
    }
}

#[test]
fn what_cannot_go_on_is_refused() {
    let scratch = Scratch::new("resume-refused");
    scratch.json(&format!("sim {CLR} --rounds 4 --name first --json"));
    fs::create_dir_all(scratch.join("empty")).unwrap();
    for (line, code, why) in [
        ("--resume runs/first", 2, "there is nothing left to train after 4 rounds (0.33 epochs)"),
        ("--resume nowhere", 2, "cannot read the plan file nowhere/plan.toml"),
        ("--resume empty --model fc", 2, "cannot read the plan file empty/plan.toml"),
        (
            "--resume empty --plan runs/first/plan.toml",
            2,
            "this is no folder of a run that has ended",
        ),
        ("--resume runs/first --rounds 9 --model resnet8", 1, "is not a checkpoint of this model"),
        ("--resume runs/first --rounds 9 --shards dirichlet:1", 2, "another number of shards"),
    ] {
        let output = scratch.run(&format!("sim {line}"));
        let said = said(&output);
        assert!(output.status.code() == Some(code) && said.contains(why), "{line}: {said}");
    }
    let checkpoint = scratch.join("runs/first/final.safetensors");
    let sound = fs::read(&checkpoint).unwrap();
    // A field that is not there, a policy that is none, a place that cannot be.
    for (old, new) in [("turn", "torn"), ("Clr", "Clp"), ("share\\\":0.", "share\\\":9.")] {
        let damaged = replaced(&sound, old.as_bytes(), new.as_bytes());
        assert_ne!(damaged, sound, "{old} is there");
        fs::write(&checkpoint, damaged).unwrap();
        let output = scratch.run("sim --resume runs/first --rounds 9");
        let said = said(&output);
        assert!(
            output.status.code() == Some(1) && said.contains("does not say where its run stood"),
            "{said}"
        );
    }
    fs::write(&checkpoint, sound).unwrap();
}

/// The first `old` becomes `new`, of the same length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[test]
fn an_audit_knows_where_a_run_went_on() {
    let scratch = Scratch::new("resume-audit");
    scratch.json(&format!("sim {CLR} --rounds 17 --name first --json"));
    scratch.json("sim --resume runs/first --rounds 40 --name second --json");
    let folder = scratch.join("runs/second");
    let found = audit(&folder).unwrap();
    assert!(
        found.passed() && found.to_string().contains("after round 17 of another one"),
        "{found}"
    );
    let events = folder.join("events.jsonl");
    let sound = fs::read_to_string(&events).unwrap();
    for (old, new, why) in [
        (r#""round":17,"#, r#""round":16,"#, "rounds are missing"),
        (r#""examples":"#, r#""examples":1"#, "plan has another length"),
        (r#""tolerance":"#, r#""tolerance":"3%","was":"#, "not the one that was decided"),
    ] {
        let tampered = sound.replacen(old, new, 1);
        assert_ne!(tampered, sound, "{old}");
        fs::write(&events, tampered).unwrap();
        let found = audit(&folder).unwrap();
        assert!(!found.passed(), "{why}: {found}");
    }
    fs::write(&events, sound).unwrap();
}
