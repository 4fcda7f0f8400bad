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
    let images = |run: &serde_json::Value| {
        let [images, rounds] =
            ["images_per_second", "rounds_per_second"].map(|key| run[key].as_f64());
        images.unwrap() / rounds.unwrap()
    };
    assert!((images(&second) - images(&whole)).abs() < 1e-6, "{second}: as many in each round");
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
fn evaluations_of_an_end_that_was_none_decide_nothing() {
    let scratch = Scratch::new("resume-phase");
    let line = "--model fc --workers 2 --missing zero --policy phase";
    let whole = scratch.json(&format!("sim {line} --epochs 5 --name whole --json"));
    scratch.json(&format!("sim {line} --rounds 20 --name first --json"));
    fs::write(scratch.join("longer.toml"), "resume = 'runs/first'\nepochs = 5").unwrap();
    let second = scratch.json("sim --plan longer.toml --name second --json");
    assert_eq!(second["digest"], whole["digest"]);
}

#[test]
fn two_batches_and_full_gradients_go_on() {
    let scratch = Scratch::new("resume-batches");
    let line = "--model fc --workers 2 --policy clr --clr-batch 16 --tolerance 2% --full-norm 2";
    let full = |run: &str| rows(&scratch.join("runs").join(run), "full.csv", "19,");
    scratch.json(&format!("sim {line} --epochs 3 --name whole --json"));
    scratch.json(&format!("sim {line} --rounds 18 --name first --json"));
    scratch.json("sim --resume runs/first --epochs 3 --name second --json");
    let (whole, second) = (full("whole"), full("second"));
    assert!(whole.len() > 20 && whole.len() == second.len(), "{second:?}");
    let norm = |row: &String| row.split(',').nth(1).unwrap().to_owned();
    assert!(second.iter().map(norm).all(|norm| norm.parse::<f64>().unwrap() > 0.0), "{second:?}");
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
            "--resume runs/first --rounds 9 --model resnet8",
            2,
            "keeps its `model` when it goes on: it was fc, not resnet8",
        ),
        ("--resume runs/first --rounds 9 --shards dirichlet:1", 2, "keeps its `shards`"),
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
    let plan = scratch.join("runs/first/plan.toml");
    let sound = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, sound.replace("tolerance = \"2%\"", "tolerance = \"5%\"")).unwrap();
    let said = said(&scratch.run("sim --resume runs/first --rounds 9"));
    assert!(
        said.contains("is of another run than the plan beside it, or that was changed"),
        "{said}"
    );
    fs::write(&plan, sound).unwrap();
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
    // Without a seal, what is said must hold for itself.
    let copy = scratch.join("copy");
    fs::create_dir_all(&copy).unwrap();
    for file in ["plan.toml", "events.jsonl", "rounds.csv", "norms.csv", "evals.csv"] {
        fs::copy(folder.join(file), copy.join(file)).unwrap();
    }
    let sound = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    for (old, new, why) in [
        (r#""round":17,"#, r#""round":16,"#, "expected round 17, found round 18"),
        (
            r#""tolerance":"0%""#,
            r#""tolerance":"3%""#,
            "does not go on with a tolerance of its plan",
        ),
        (
            r#""tolerance":"2%""#,
            r#""tolerance":"3%""#,
            "does not go on with a tolerance of its plan",
        ),
        (r#""norm":"#, r#""norm":1"#, "not compared with the norm of the last check"),
    ] {
        let Some((first, rest)) = sound.split_once('\n') else { unreachable!("lines") };
        let tampered = first.replacen(old, new, 1);
        if tampered == first {
            // Regime and tolerance of the place are one or the other.
            assert!(old.starts_with(r#""tolerance""#), "{old}: {first}");
            continue;
        }
        fs::write(copy.join("events.jsonl"), format!("{tampered}\n{rest}")).unwrap();
        let found = audit(&copy).unwrap();
        assert!(!found.passed() && found.to_string().contains(why), "{old}: {found}");
    }
    fs::remove_dir_all(&copy).unwrap();
}
