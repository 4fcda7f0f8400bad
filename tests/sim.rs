//! Whole runs on the virtual clock, through the program.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mlt_lite::model::{Checkpoint, Parameters, Recipe};
use mlt_lite::ps::calendar::Place;
use mlt_lite::ps::policy::Policy;
use mlt_lite::run::FINAL;
use mlt_lite::shape::Shape;
use serde_json::Value;

mod common;

use common::{Scratch, said};

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
    };
    entries.map(named).collect()
}

/// Blanks in values are written `_`.
const WEATHER: &str = "--net loss=20%_dup=5%_reorder=5%_delay=1ms;2:corrupt=5% --tolerance 5% --policy clr \
                       --compute 3ms+-1ms --codec fp16 --workers 3 --seed 7";

#[test]
fn one_seed_leaves_the_same_files() {
    let scratch = Scratch::new("twice");
    let line = format!("sim --model fc --epochs 2 {WEATHER}");
    let one = scratch.json(&format!("{line} --json --name one"));
    let two = scratch.json(&format!("{line} --json --name two --runs elsewhere"));
    assert_eq!(one["digest"], two["digest"]);
    let [one, two] = ["runs/one", "elsewhere/two"].map(|folder| files(&scratch.join(folder)));
    let names: Vec<&str> = one.keys().map(String::as_str).collect();
    let expected = [
        "evals.csv",
        "events.jsonl",
        "final.safetensors",
        "norms.csv",
        "plan.toml",
        "rounds.csv",
        "summary.json",
    ];
    assert_eq!(names, expected);
    for (name, contents) in one {
        assert!(contents == two[&name], "{name} differs");
    }
}

#[test]
fn a_plan_of_a_run_folder_repeats_the_run() {
    let scratch = Scratch::new("again");
    let one = scratch.json(&format!("sim --bytes 40k --rounds 10 {WEATHER} --json --name one"));
    let again = scratch.json("sim --plan runs/one/plan.toml --json");
    for key in ["digest", "plan", "bytes_up", "forgiven", "round_ms"] {
        assert_eq!(one[key], again[key], "{key}");
    }
    assert_eq!(again["folder"], "runs/bytes40000-7-1");
}

#[test]
fn the_summary_keeps_its_promises() {
    let scratch = Scratch::new("summary");
    let output = scratch.run(&format!("sim --model fc --epochs 3 --batch 32 {WEATHER} --json"));
    let out = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out.lines().count(), 1);
    assert!(summary["accuracy"].as_f64().unwrap() > 0.85, "{summary}");
    assert_eq!(summary["rounds"], 3 * 1438_u32.div_ceil(3 * 32));
    let sent = |key: &str| summary[key].as_u64().unwrap();
    let model = 7850 * 2;
    assert!(sent("bytes_up") > 3 * 45 * model && sent("bytes_down") > 2 * sent("bytes_up"));
    assert!(summary["seconds"].as_f64().unwrap() > 45.0 * 0.003);
    let ms = |key: &str| summary["round_ms"][key].as_f64().unwrap();
    assert!(ms("p50") > 3.0 && ms("max") >= ms("p50"));
    assert_eq!(summary["digest"].as_str().unwrap().len(), 64);
    assert!(summary["rejects"]["checksum"].as_u64().unwrap() > 10, "{summary}");
}

#[test]
fn factors_train_nearly_as_well_with_much_less_to_say() {
    let scratch = Scratch::new("powersgd");
    let of = |codec: &str| {
        let line = format!("sim --model fc --epochs 4 --batch 16 --codec {codec} --json");
        let summary = scratch.json(&line);
        (summary["accuracy"].as_f64().unwrap(), summary["bytes_up"].as_u64().unwrap())
    };
    let ((raw, most), (factors, bytes)) = (of("raw"), of("powersgd:2"));
    assert!(factors > raw - 0.03, "{factors} against {raw}");
    assert!(3 * bytes < most, "{bytes} against {most}");
}

#[test]
fn what_is_missing_is_named() {
    let scratch = Scratch::new("missing");
    let output = scratch.run("sim --dataset mnist --data-dir nowhere");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("train-images-idx3-ubyte") && said.contains("nowhere/mnist"), "{said}");
    assert!(!scratch.join("runs").exists(), "nothing was run");
}

#[test]
fn a_taken_name_is_wrong_usage() {
    let scratch = Scratch::new("taken");
    scratch.json("sim --bytes 4k --rounds 2 --name mine --json");
    let output = scratch.run("sim --bytes 4k --rounds 2 --name mine");
    assert!(output.status.code() == Some(2) && said(&output).contains("runs/mine exists"));
}

#[test]
fn a_standstill_ends() {
    let scratch = Scratch::new("standstill");
    let output = scratch.run("sim --bytes 40k --rounds 10000 --net partition=100ms..90000s");
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stands still (0 of 1 workers are ready"), "{said}");
}

#[test]
fn a_recipe_of_ones_own_is_trained() {
    let scratch = Scratch::new("recipe");
    let recipe = r#"
        name = "two-layers"
        init = "he"
        layers = [
            { kind = "flatten" },
            { kind = "linear", name = "hidden", out = 32 },
            { kind = "relu" },
            { kind = "linear", name = "logits", out = "classes" },
        ]
        defaults = { lr = 0.02, momentum = 0.9, batch = 16 }
    "#;
    fs::write(scratch.join("mine.toml"), recipe).unwrap();
    let first = scratch.json("sim --model mine.toml --epochs 4 --json");
    assert!(first["accuracy"].as_f64().unwrap() > 0.9, "{first}");
    fs::write(scratch.join("mine.toml"), recipe.replace("out = 32", "out = 16")).unwrap();
    let edited = scratch.json("sim --model mine.toml --epochs 4 --json");
    assert_ne!(first["plan"], edited["plan"], "an edited recipe is another plan");
    let evaluated = scratch.json("eval runs/mine-optdigits-1-1/final.safetensors --json");
    assert_eq!(
        evaluated["accuracy"], first["accuracy"],
        "the file has changed, its recipe has not"
    );
}

#[test]
fn an_experiment_runs_its_cells_and_keeps_them() {
    let scratch = Scratch::new("experiment");
    let plan = "mode = 'sim'\nmodel = 'fc'\nepochs = 1\nnet = ['', 'loss=5%']\ntolerance = [0, '2%']\nseeds = 2";
    fs::write(scratch.join("small.toml"), plan).unwrap();
    let findings = scratch.json("experiment small.toml --json");
    assert_eq!(findings["failed"], 0);
    assert_eq!(findings["cells"].as_array().unwrap().len(), 8);
    let table = fs::read_to_string(scratch.join("runs/small/table.txt")).unwrap();
    assert_eq!(table.lines().count(), 5, "{table}");
    fs::write(scratch.join("small.toml"), plan.replace("seeds = 2", "seeds = 3")).unwrap();
    let output = scratch.run("experiment small.toml");
    let said = said(&output);
    assert!(
        output.status.success() && said.contains("8 of 12 cells are finished already"),
        "{said}"
    );
}

#[test]
fn an_experiment_is_audited_as_a_whole() {
    let scratch = Scratch::new("audit");
    let plan =
        "mode = 'sim'\nbytes = '20k'\nrounds = 12\nnet = 'loss=20%'\ntolerance = ['2%', '10%']";
    fs::write(scratch.join("two.toml"), plan).unwrap();
    scratch.json("experiment two.toml --json");
    let audit = scratch.json("audit runs/two --json");
    assert_eq!([&audit["runs"], &audit["violations"], &audit["unfinished"]], [2, 0, 0]);
    assert_eq!(audit["checked"]["pushes"], 2 * 2 * 12);
    let mut results = fs::read_dir(scratch.join("runs/two/cells")).unwrap();
    let result = results.find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|ending| ending == "json").then_some(path)
    });
    let result = result.unwrap();
    let text = fs::read_to_string(&result).unwrap();
    fs::write(&result, text.replacen("\"late\":0", "\"late\":1", 1)).unwrap();
    let output = scratch.run("audit runs/two");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{out}");
    assert!(out.starts_with("violated  runs/two") && out.contains("expected late 0, found late 1"));
}

#[test]
fn an_audit_says_what_it_found() {
    let scratch = Scratch::new("audit-said");
    scratch.json(&format!("sim --model fc --epochs 2 {WEATHER} --name run --json"));
    let audit = scratch.run("audit runs/run");
    let out = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success() && out.starts_with("passed    runs/run\n"), "{out}");
    assert!(out.contains("\nblocks    ") && !out.contains("remark"), "{out}");
    for (folder, code, why) in [
        ("runs", 1, "did you mean runs/run?"),
        ("nowhere", 1, "for it does not exist"),
        ("runs/run/plan.toml", 1, "no run folder"),
        ("runs/run --deep", 2, "unknown flag"),
    ] {
        let output = scratch.run(&format!("audit {folder}"));
        let said = said(&output);
        assert!(output.status.code() == Some(code) && said.contains(why), "{folder}: {said}");
    }
    let rows = scratch.join("runs/run/rounds.csv");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replacen(",true,", ",false,", 1)).unwrap();
    let output = scratch.run("audit runs/run");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{out}");
    assert!(
        out.contains("first     rounds.csv, line 2, round 1, worker 1: expected critical true")
    );
    assert!(out.contains("more      1\n"), "the digest of the file: {out}");
    fs::write(&rows, text).unwrap();
}

#[test]
fn a_checkpoint_that_is_none_is_refused() {
    let scratch = Scratch::new("checkpoint");
    scratch.json("sim --bytes 4k --rounds 2 --name noise --json");
    fs::write(scratch.join("text"), "not safetensors at all").unwrap();
    for (checkpoint, code, why) in [
        ("runs/noise/final.safetensors", 1, "does not say its recipe"),
        ("absent.safetensors", 1, "cannot read the checkpoint absent.safetensors: No such file"),
        ("text", 1, "text is not a whole safetensors file"),
    ] {
        let output = scratch.run(&format!("eval {checkpoint}"));
        let said = said(&output);
        assert!(output.status.code() == Some(code) && said.contains(why), "{said}");
        assert_eq!(said.matches("No such file").count(), usize::from(why.contains("No such")));
    }
}

#[test]
fn broken_data_is_3() {
    let scratch = Scratch::new("data");
    let sound = scratch.json("data verify --json");
    assert_eq!(sound["broken"], 0, "{sound}");
    assert_eq!(sound["datasets"][0]["dataset"], "optdigits");
    let folder = scratch.join("data/mnist");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("t10k-labels-idx1-ubyte"), [0, 0, 8, 1]).unwrap();
    let output = scratch.run("data verify");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert!(out.contains("another file") && out.contains("missing"), "{out}");
    let output = scratch.run("data list");
    assert!(output.status.success());
}

#[test]
fn the_version_says_what_it_finds() {
    let version = Scratch::new("version").json("version --json");
    assert_eq!((version["version"].as_str(), &version["protocol"]), (Some("0.1.0"), &1.into()));
    assert!(version["simd"].is_string() && version["features"].is_array(), "{version}");
}

#[test]
fn a_checkpoint_knows_all_about_its_run() {
    let scratch = Scratch::new("metadata");
    let line = "sim --model fc --rounds 12 --policy clr --clr-freq 5 --tolerance 2% --seed 9";
    let summary = scratch.json(&format!("{line} --name run --json"));
    let path = scratch.join("runs/run").join(FINAL);
    let metadata = Checkpoint::metadata(&path).unwrap();
    let keys: Vec<&str> = metadata.keys().map(String::as_str).collect();
    let digests = ["digest", "digest.momentum", "digest.standing", "digest.window"];
    assert_eq!((keys[0], keys[1], &keys[2..6]), ("cursor", "dataset", &digests[..]));
    let expected = ["evaluated", "model", "place", "plan", "policy", "recipe", "rounds", "seed"];
    assert_eq!((&keys[6..14], &keys[14..]), (&expected[..], &["version", "window"][..]));
    assert_eq!(metadata["digest"], summary["digest"]);
    assert_eq!(metadata["plan"], summary["plan"]);
    assert_eq!([&metadata["rounds"], &metadata["seed"]], ["12", "9"]);
    let place: Place = serde_json::from_str(&metadata["place"]).unwrap();
    assert_eq!((place.round, place.epoch, place.ends_epoch()), (12, 1, true));
    let recipe = Recipe::builtin("fc").unwrap();
    assert_eq!(metadata["recipe"], recipe.text());
    let policy: Policy = serde_json::from_str(&metadata["policy"]).unwrap();
    let history: Vec<_> = policy.history().iter().map(|&(round, is, _)| (round.0, is)).collect();
    let rounds: Vec<u32> = history.iter().map(|check| check.0).collect();
    assert!(rounds == [1, 6, 11] && history[0].1, "{history:?}");
    let shape = Shape { channels: 1, height: 28, width: 28 };
    let parameters = Parameters::new(&recipe, shape, 10).unwrap();
    let checkpoint = Checkpoint::load(&path, parameters.layout()).unwrap();
    assert_eq!(checkpoint.extra["momentum"].len(), 7850);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    // Linux has a device that is always full.
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: no /dev/full here");
        return;
    };
    let scratch = Scratch::new("stdout");
    for line in ["version", "data list", "sim --bytes 4k --rounds 2 --json", "--help"] {
        let output = scratch.command(line).stdout(full.try_clone().unwrap()).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("cannot write the result to standard output"), "{line}: {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = scratch.command(line).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
    }
}

#[test]
fn all_cells_are_checked_before_the_first_runs() {
    let scratch = Scratch::new("check");
    let plan = "mode = 'sim'\nworkers = [9, 2]\nrounds = 1\nnet = '9:loss=5%'";
    fs::write(scratch.join("late.toml"), plan).unwrap();
    let output = scratch.run("experiment late.toml");
    let said = said(&output);
    assert!(output.status.code() == Some(2) && said.contains("there is no worker 9"), "{said}");
    assert!(!scratch.join("runs").exists(), "nothing was run");
}

#[test]
fn only_the_missing_are_waited_for() {
    let scratch = Scratch::new("waiting");
    let line = "sim --bytes 4k --rounds 2 --workers 2 --net 2:partition=0s..5s --name run --json";
    scratch.json(line);
    let events = fs::read_to_string(scratch.join("runs/run/events.jsonl")).unwrap();
    let waiting = events.lines().find(|line| line.contains("1 of 2 workers are ready")).unwrap();
    assert!(waiting.contains("\"workers\":[]"), "worker 1 is ready: {waiting}");
}

#[test]
fn a_lost_model_is_no_quiet_success() {
    let scratch = Scratch::new("diverged");
    let output = scratch.run("sim --model fc --lr 1e30 --epochs 1");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(said(&output).contains("warning: training has diverged"), "{}", said(&output));
    assert!(out.contains("diverged  in round 2"), "{out}");
    assert_eq!(scratch.json("sim --model fc --epochs 1 --json")["diverged"], Value::Null);
}
