//! The real binary as people start it: good ends, bad ends, and what is said about them.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

mod common;
#[path = "common/process.rs"]
mod process;

use common::{Scratch, said};
use process::{Process, await_line, await_one, replace_a_worker, server};

const QUICK: &str = "--model fc --epochs 2 --batch 32 --workers 3 --seed 5 --json";

#[test]
fn the_same_plan_ends_in_the_same_parameters_everywhere() {
    let scratch = Scratch::new("digest");
    let train = scratch.json(&format!("train {QUICK}"));
    let again = scratch.json(&format!("train {QUICK}"));
    let lossy = scratch.json(&format!("train {QUICK} --net loss=5%"));
    let sim = scratch.json(&format!("sim {QUICK}"));
    for other in [&again, &lossy, &sim] {
        assert_eq!(train["digest"], other["digest"]);
        assert_eq!(train["accuracy"], other["accuracy"]);
    }
    for key in ["accuracy", "rounds", "seconds", "bytes_up", "bytes_down", "digest"] {
        assert!(!train[key].is_null(), "{key}");
    }
    assert!(!train["round_ms"]["p50"].is_null() && !train["round_ms"]["max"].is_null());
    let folder = train["folder"].as_str().unwrap();
    for file in ["plan.toml", "events.jsonl", "rounds.csv", "evals.csv", "final.safetensors"] {
        assert!(scratch.join(folder).join(file).exists(), "{file}");
    }
    let eval = scratch.json(&format!("eval {folder}/final.safetensors --json"));
    assert_eq!(eval["accuracy"], train["accuracy"]);
}

#[test]
fn candle_trains_the_same_model_but_for_rounding() {
    let scratch = Scratch::new("engine");
    let line = "--model fc --rounds 12 --workers 2 --batch 40 --seed 5 --json --name";
    let runs = ["native", "candle"].map(|engine| {
        let run = scratch.json(&format!("train --engine {engine} {line} {engine}"));
        let evals = scratch.join(format!("runs/{engine}/evals.csv"));
        let evals = std::fs::read_to_string(evals).unwrap();
        let loss: f64 =
            evals.lines().last().unwrap().split(',').next_back().unwrap().parse().unwrap();
        (run, loss)
    });
    let [(native, native_loss), (candle, candle_loss)] = runs;
    assert_ne!(native["plan"], candle["plan"]);
    assert!((native_loss - candle_loss).abs() < 1e-4 * native_loss, "{native_loss} {candle_loss}");
    let log = std::fs::read_to_string(scratch.join("runs/candle/worker-1.log")).unwrap();
    assert!(log.contains(": ready: fc, candle, "), "{log}");
    let eval = |engine: &str| {
        let line = format!("eval runs/native/final.safetensors --json --engine {engine}");
        scratch.json(&line)
    };
    let (native, candle) = (eval("native"), eval("candle"));
    assert_eq!(native["correct"], candle["correct"]);
    let apart = native["loss"].as_f64().unwrap() - candle["loss"].as_f64().unwrap();
    assert!(apart.abs() < 1e-5, "{native} {candle}");
}

#[test]
fn threads_are_no_part_of_the_run() {
    let scratch = Scratch::new("threads");
    let line = "--model resnet8 --rounds 2 --workers 2 --batch 20 --json";
    let one = scratch.json(&format!("train {line} --threads 1 --name one"));
    let three = scratch.json(&format!("train {line} --threads 3 --name three"));
    let sim = scratch.json(&format!("sim {line} --threads 2"));
    for other in [&three, &sim] {
        assert_eq!([&one["plan"], &one["digest"]], [&other["plan"], &other["digest"]]);
    }
    let log = std::fs::read_to_string(scratch.join("runs/three/worker-2.log")).unwrap();
    assert!(log.contains(": ready: resnet8, ") && log.contains(", 3 threads\n"), "{log}");
    let plan = std::fs::read_to_string(scratch.join("runs/three/plan.toml")).unwrap();
    assert!(!plan.contains("threads"), "{plan}");
}

#[test]
fn one_worker_with_three_batches_is_three_workers() {
    let scratch = Scratch::new("batch");
    let run = |workers: u32, batch: u32| -> f64 {
        let line = format!(
            "sim --model fc --rounds 40 --workers {workers} --batch {batch} --seed 3 --json --name w{workers}"
        );
        assert!(scratch.json(&line)["digest"].is_string());
        let evals =
            std::fs::read_to_string(scratch.join(format!("runs/w{workers}/evals.csv"))).unwrap();
        evals.lines().last().unwrap().split(',').next_back().unwrap().parse().unwrap()
    };
    let (three, one) = (run(3, 20), run(1, 60));
    assert!((three - one).abs() < 1e-4 * one, "test losses {three} and {one}");
}

#[test]
fn two_simulations_leave_identical_files() {
    let scratch = Scratch::new("sim");
    let line = "sim --workers 3 --rounds 20 --bytes 100k --net loss=5% --tolerance 2% --seed 7 --name same";
    for runs in ["one", "two"] {
        assert!(scratch.run(&format!("{line} --runs {runs}")).status.success());
    }
    for entry in std::fs::read_dir(scratch.join("one/same")).unwrap() {
        let name = entry.unwrap().file_name();
        let read = |runs: &str| {
            let text = std::fs::read(scratch.join(runs).join("same").join(&name)).unwrap();
            // The command that repeats the run names the folder it went to.
            String::from_utf8_lossy(&text).replace("--runs one", "").replace("--runs two", "")
        };
        assert_eq!(read("one"), read("two"), "{}", name.display());
    }
}

#[test]
fn a_killed_worker_is_dropped_and_a_new_one_may_join() {
    let scratch = Scratch::new("kill");
    let flags = "--model fc --rounds 100000 --worker-timeout 1s --net delay=2ms";
    for err in replace_a_worker(&scratch, flags, "", "nothing was heard of it for 1.") {
        assert!(err.contains("rounds computed: 1;"), "a worker that is well says so: {err}");
    }
    let checkpoint = scratch.json("eval runs/run/interrupted.safetensors --json");
    assert!(checkpoint["accuracy"].as_f64().unwrap() > 0.3);
}

#[test]
fn polite_requests_to_end_leave_a_checkpoint() {
    let scratch = Scratch::new("interrupt");
    let cases = [
        ("train", "-INT"),
        ("train", "-TERM"),
        ("train", "-HUP"),
        ("sim", "-INT"),
        ("sim", "-HUP"),
    ];
    for (command, signal) in cases {
        if signal == "-HUP" && hangups_are_ignored() {
            eprintln!("skipped: {command} {signal}, for this test runs under nohup");
            continue;
        }
        let name = format!("{command}{signal}");
        let line = format!("{command} --model fc --rounds 1000000 --workers 2 --name {name}");
        let process = Process::start(scratch.command(&line));
        let folder = scratch.join("runs").join(&name);
        await_line(&folder.join("evals.csv"), |line| line.starts_with("12,"));
        process.signal(signal);
        let (code, _, err) = process.end();
        assert_eq!(code, Some(130), "{name}: {err}");
        assert!(err.contains("interrupted.safetensors"), "{name}: {err}");
        assert!(folder.join("interrupted.safetensors").exists(), "{name}");
        let rows = std::fs::read_to_string(folder.join("rounds.csv")).unwrap();
        let norms = || rows.lines().map(|row| row.split(',').nth(12).unwrap());
        assert!(norms().count() > 24 && norms().all(|norm| !norm.is_empty()), "whole rows only");
    }
}

#[test]
fn whoever_is_interrupted_goes_on_elsewhere() {
    let scratch = Scratch::new("resume-interrupted");
    let line = "train --model fc --rounds 1000000 --workers 2 --missing zero --name first";
    let process = Process::start(scratch.command(line));
    let folder = scratch.join("runs/first");
    await_line(&folder.join("evals.csv"), |line| line.starts_with("12,"));
    process.signal("-INT");
    let (code, _, err) = process.end();
    assert!(code == Some(130) && err.contains("go on with: --resume runs/first"), "{err}");
    let norms = std::fs::read_to_string(folder.join("norms.csv")).unwrap();
    let trained = norms.lines().count() - 1;
    // A round that was under way is trained again, with the same examples.
    let rounds = trained + 5;
    let second =
        scratch.json(&format!("sim --resume runs/first --rounds {rounds} --name second --json"));
    let whole = scratch
        .json(&format!("sim --model fc --rounds {rounds} --workers 2 --missing zero --json"));
    assert!(second["digest"] == whole["digest"] && second["rounds"] == 5, "{second}");
    // Over sockets, too, and with as many steps of the same server as there are parts.
    let third = scratch.json(&format!("train --resume runs/second --rounds {} --json", rounds + 5));
    assert!(third["rounds"] == 5 && third["failure"].is_null(), "{third}");
}

/// Whether what we start is told to ignore `SIGHUP`, as `nohup` does.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| mask.trim().ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']))
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let scratch = Scratch::new("nohup");
    let line = scratch.command("sim --model fc --rounds 1000000 --name run");
    let mut command = Command::new("nohup");
    command.arg(line.get_program()).args(line.get_args()).current_dir(&*scratch);
    let process = Process::start(command);
    let evals = scratch.join("runs/run/evals.csv");
    await_line(&evals, |line| line.starts_with("12,"));
    process.signal("-HUP");
    let seen = std::fs::read_to_string(&evals).unwrap().lines().count();
    // Ten epochs later it is still at it.
    await_line(&evals, |line| line.starts_with(&format!("{},", 12 * (seen + 10))));
    process.signal("-TERM");
    assert_eq!(process.end().0, Some(130));
}

#[test]
fn an_interrupted_experiment_ends_its_cell_and_says_how_to_go_on() {
    let scratch = Scratch::new("experiment");
    std::fs::write(scratch.join("two.toml"), "rounds = [12, 1000000]\nmodel = 'fc'").unwrap();
    let line = "experiment two.toml --runs elsewhere";
    let experiment = Process::start(scratch.command(line));
    let cells = scratch.join("elsewhere/two/runs");
    let long = await_one(|| {
        let folders = std::fs::read_dir(&cells).ok()?.map(|entry| entry.unwrap().path());
        let long = |folder: &PathBuf| {
            let evals = std::fs::read_to_string(folder.join("evals.csv")).unwrap_or_default();
            evals.lines().any(|line| line.starts_with("24,"))
        };
        folders.into_iter().find(long)
    });
    let second = scratch.run(line);
    assert_eq!(second.status.code(), Some(2), "{}", said(&second));
    assert!(said(&second).contains("elsewhere/two is running already"), "{}", said(&second));
    experiment.signal("-TERM");
    let (code, out, err) = experiment.end();
    assert_eq!(code, Some(130), "{err}");
    assert!(long.join("interrupted.safetensors").exists(), "the cell was waited for: {err}");
    assert!(out.contains("1000000  0/1"), "{out}");
    let resume =
        "1 of 2 cells are finished; go on with: mlt-lite experiment two.toml --runs elsewhere";
    assert!(err.contains(resume), "{err}");
}

#[test]
fn a_worker_without_the_data_says_what_it_misses() {
    let scratch = Scratch::new("data");
    let (server, address) = server(&scratch, "--model fc --dataset mnist --workers 1");
    let output = scratch.run(&format!("worker {address} --data-dir nowhere"));
    let err = said(&output);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("train-images-idx3-ubyte") && err.contains("nowhere"), "{err}");
    drop(server);
    let output = scratch.run("train --model fc --dataset mnist --workers 2 --data-dir nowhere");
    let err = said(&output);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("train-images-idx3-ubyte"), "{err}");
}

#[test]
fn bad_input_is_said_with_its_exit_code() {
    let scratch = Scratch::new("bad");
    std::fs::write(scratch.join("bad.toml"), "name = \"bad\"\nlayers = [{ word = \"conf\" }]\n")
        .unwrap();
    std::fs::write(scratch.join("bad.safetensors"), [7; 100]).unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cases: &[(String, i32, &str)] = &[
        (format!("server --bind 127.0.0.1:{port}"), 1, "the port is taken"),
        ("server --bind 0.0.0.0:0".into(), 2, "--insecure"),
        ("worker no.such.host.invalid:4433".into(), 4, "cannot find `no.such.host.invalid:4433`"),
        (format!("worker 127.0.0.1:{port} --give-up 300ms"), 4, "is its UDP port open?"),
        ("worker localhost".into(), 2, "HOST:PORT"),
        ("worker localhost:99999".into(), 2, "HOST:PORT"),
        ("train --workers 3 --net 9:loss=5%".into(), 2, "there is no worker 9"),
        ("train --runs bad.toml".into(), 1, "cannot make a run folder in bad.toml"),
        ("train --model bad.toml".into(), 2, "bad.toml"),
        ("train --model nothing".into(), 2, "resnet8"),
        ("train --dataset mnis".into(), 2, "mnist"),
        ("train --toleranc 2%".into(), 2, "--tolerance"),
        ("train --tolerance 200%".into(), 2, "tolerance"),
        ("train --net los=3%".into(), 2, "loss"),
        ("train --engine torch".into(), 2, "native, candle"),
        ("train --threads 0".into(), 2, "from 1 to 1024"),
        ("worker 127.0.0.1:1 --threads 1025".into(), 2, "from 1 to 1024"),
        ("eval bad.safetensors --engine torch".into(), 2, "native, candle"),
        ("eval bad.safetensors".into(), 1, "bad.safetensors"),
        ("eval nothing.safetensors".into(), 1, "nothing.safetensors"),
    ];
    for (line, code, why) in cases {
        let output = scratch.run(line);
        let err = said(&output);
        assert_eq!(output.status.code(), Some(*code), "{line}: {err}");
        assert!(err.contains(why), "{line}: {err}");
        assert!(!err.contains("training with"), "{line}: {err}");
    }
}

#[test]
fn a_path_is_checked_at_an_idle_server() {
    let scratch = Scratch::new("check");
    let (_server, address) = server(&scratch, "--model fc --workers 2");
    let output = scratch.run(&format!("check {address} --json"));
    let err = said(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let first = err.lines().next().unwrap();
    assert!(first.starts_with(&format!("checking the path to {address}")), "{err}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["usable"], true, "{found}");
    for way in ["up", "down"] {
        assert_eq!(found[way]["datagram"], 1392, "{found}");
        assert!(found[way]["loss"].as_f64().unwrap() < 0.5, "{found}");
        assert!(found[way]["bits_per_second"].as_u64().unwrap() > 0, "{found}");
    }
    assert!(found["round_trip_ms"]["median"].as_f64().unwrap() > 0.0, "{found}");
    let text = scratch.run(&format!("check {address}"));
    let out = String::from_utf8(text.stdout).unwrap();
    assert!(out.contains("to it       1392 B datagrams") && out.contains("each MB of"), "{out}");
}

#[test]
fn a_check_changes_nothing_in_a_run() {
    let scratch = Scratch::new("check-run");
    let plan = "--model fc --rounds 120 --workers 2 --seed 4";
    let expected = scratch.json(&format!("sim {plan} --json"));
    let (server, address) = server(&scratch, &format!("{plan} --net delay=10ms --name run"));
    let worker = || Process::start(scratch.command(&format!("worker {address}")));
    let workers = [worker(), worker()];
    let events = scratch.join("runs/run/events.jsonl");
    await_line(&events, |line| line.contains("\"round-ended\""));
    let checks =
        [(); 3].map(|()| Process::start(scratch.command(&format!("check {address} --json"))));
    for check in checks {
        let (code, out, err) = check.end();
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("\"usable\":true"), "{out}");
    }
    assert_eq!(server.end().0, Some(0));
    for worker in workers {
        assert_eq!(worker.end().0, Some(0));
    }
    let trained = scratch.json("eval runs/run/final.safetensors --json");
    assert_eq!(trained["digest"], expected["digest"]);
    let joined = std::fs::read_to_string(&events).unwrap();
    assert_eq!(joined.matches("\"worker-joined\"").count(), 2, "a checker is no worker");
}

#[test]
fn a_check_says_that_nobody_is_there() {
    let scratch = Scratch::new("check-silent");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let output = scratch.run(&format!("check {address} --json"));
    let err = said(&output);
    assert_eq!(output.status.code(), Some(4), "{err}");
    let why = format!("nothing came back from {address} after 5 s: is the server running");
    assert!(err.contains(&why), "{err}");
    assert!(err.contains(&format!("is UDP port {} open", address.port())), "{err}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["reachable"], &found["usable"]), (&false.into(), &false.into()));
    let output = scratch.run("check no.such.host.invalid:4433");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
}

#[test]
fn kernels_that_cannot_be_had_are_refused_before_anything_starts() {
    let scratch = Scratch::new("level");
    for line in ["train --name run", "server --name run", "sim --name run"] {
        let output = scratch.command(line).env("MLT_LITE_SIMD", "mmx").output().unwrap();
        let err = said(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {err}");
        assert!(err.contains("scalar, neon, avx2 and avx512"), "{line}: {err}");
        assert!(!scratch.join("runs").exists(), "{line}");
    }
}

#[test]
fn a_worker_that_waits_has_one_clock() {
    let scratch = Scratch::new("clock");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let err = said(&scratch.run(&format!("worker {address} --give-up 3s")));
    let waits = err.lines().find(|line| line.contains("is its UDP port open?) (")).unwrap();
    let numbers = waits.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    assert_eq!(numbers.count(), 1, "{waits}");
}

#[test]
fn a_server_of_another_version_is_recognised() {
    let scratch = Scratch::new("version");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let worker = Process::start(scratch.command(&format!("worker {address} --give-up 20s")));
    let mut hello = [0; 2000];
    let (_, from) = socket.recv_from(&mut hello).unwrap();
    // The same envelope, another version.
    let mut answer = hello[..18].to_vec();
    answer[1] = 99;
    answer.extend_from_slice(&[6, 0]);
    let checksum = crc32fast::hash(&answer);
    answer.extend_from_slice(&checksum.to_le_bytes());
    socket.send_to(&answer, from).unwrap();
    let (code, _, err) = worker.end();
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("version 99"), "{err}");
}
