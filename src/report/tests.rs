//! A made-up run: two workers, of whom one leaves in round 2, four rounds, clr, two evaluations.

use std::time::Duration;

use super::*;
use crate::codec::Codec;
use crate::event::*;
use crate::flat::Layout;
use crate::ids::{Round, WorkerId};
use crate::plan::{Plan, RecipeFacts, Words};
use crate::ps::calendar::{Calendar, Length};
use crate::ps::server::Totals;
use crate::scratch::Scratch;
use crate::transport::Transport;
use crate::units::Tolerance;
use crate::wire::{Reject, Rejects};

/// Eight rounds, two to the epoch.
const CALENDAR: Calendar = Calendar { train_len: 128, workers: 2, length: Length::Epochs(4) };
const MS: u64 = 1_000_000;

fn push(round: u32, worker: u32, forgiven: u32, late: u32) -> Event {
    Event::PushClosed(PushClosed {
        round: Round(round),
        worker: WorkerId(worker),
        owed: 26,
        received: 26 - forgiven - late,
        repaired: worker - 1,
        forgiven,
        late,
        gone: 0,
        sent: 27,
        datagrams: 26,
        passes: 1,
        bytes: 33_800,
        allowance: 5200 - 5200 * u64::from(forgiven.min(1)),
        residual: (worker == 1).then_some(0.125),
        clipped: (worker == 1).then_some(if round == 3 { 0.5 } else { 0.0 }),
        wait_ns: 2 * MS,
        push_ns: MS + 234_567,
    })
}

fn cost(codec: Codec, encode_ms: f64) -> CodecCost {
    let bytes = if codec == Codec::Raw { 31_400 } else { 15_700 };
    CodecCost {
        codec,
        encode_ms,
        decode_ms: 0.0625,
        bytes,
        raw_bytes: 31_400,
        raw_encode_ms: 0.0625,
        raw_decode_ms: 0.03125,
    }
}

fn pull(round: u32, worker: u32) -> Event {
    let (round, worker) = (Round(round), WorkerId(worker));
    Event::PullClosed(PullClosed {
        round,
        worker,
        owed: 26,
        received: 26,
        sent: 26,
        bytes: 34_000,
        pull_ns: 3 * MS,
    })
}

fn start(round: u32, workers: &[u32], critical: bool) -> Event {
    let workers = workers.iter().copied().map(WorkerId).collect();
    let tolerance = Tolerance::from_parts(if critical { 0 } else { 200 }).unwrap();
    Event::RoundStarted(RoundStarted {
        round: Round(round),
        workers,
        tolerance,
        losable: 26,
        critical,
        batch: 32,
        lr: 0.05,
    })
}

fn end(round: u32) -> Event {
    Event::RoundEnded(RoundEnded {
        round: Round(round),
        epoch: f64::from(round) / 2.0,
        loss: 2.0 / f64::from(round),
        norm: 1.5 / f64::from(round),
        signal: (round > 1).then_some(0.5),
        lr_drops: false,
        batch: 32,
        norms: vec![0.1, 1.4 / f64::from(round)],
        window: if round == 2 { vec![0.2, 2.1] } else { Vec::new() },
        round_ns: 4 * MS,
    })
}

fn evaluated(round: u32, correct: u64) -> Event {
    let (round, epoch) = (Round(round), f64::from(round) / 2.0);
    Event::Evaluated(Evaluated { round, epoch, correct, total: 359, loss: 0.25 })
}

fn waiting(round: u32, workers: &[u32], why: &str, waited_ns: u64) -> Event {
    let workers = workers.iter().copied().map(WorkerId).collect();
    Event::Waiting(Waiting { round: Round(round), workers, why: why.to_owned(), waited_ns })
}

/// Events, one millisecond after the other, with a second more before each round.
fn run() -> Vec<Stamped> {
    let joined = |worker: u32| {
        let address = ([127, 0, 0, 1], 5000 + worker as u16).into();
        Event::WorkerJoined(WorkerJoined { worker: WorkerId(worker), address, live: worker as u16 })
    };
    let decided = Event::Decided(Decided {
        round: Round(3),
        epoch: 1.0,
        norm: 0.75,
        previous: Some(1.5),
        ratio: Some(0.25),
        critical: false,
        tensors: Vec::new(),
        old: Tolerance::ZERO,
        new: Tolerance::from_parts(200).unwrap(),
        reason: "the norm changed by 0.25, less than 0.5".to_owned(),
    });
    let left = WorkerLeft { worker: WorkerId(2), reason: "silent for 5 s".to_owned(), live: 1 };
    let mut now = Instant::ZERO;
    let events = [
        waiting(0, &[], "2 workers to join", 1500 * MS),
        joined(1),
        joined(2),
        start(1, &[1, 2], true),
        push(1, 2, 0, 0),
        push(1, 1, 0, 0),
        end(1),
        pull(1, 1),
        pull(1, 2),
        start(2, &[1, 2], true),
        push(2, 1, 0, 0),
        waiting(2, &[2], "network", 38 * MS),
        push(2, 2, 0, 20),
        Event::WorkerLeft(left),
        end(2),
        pull(2, 1),
        evaluated(2, 300),
        decided,
        start(3, &[1], false),
        push(3, 1, 1, 0),
        end(3),
        start(4, &[1], false),
        pull(3, 1),
        push(4, 1, 0, 0),
        end(4),
        evaluated(4, 344),
    ];
    let stamp = |event: Event| {
        let pause = if matches!(event, Event::RoundStarted(_)) { 1000 * MS } else { MS };
        now += Duration::from_nanos(pause);
        Stamped { at: now, event }
    };
    events.into_iter().map(stamp).collect()
}

fn layout() -> Layout {
    let tensors = [("linear.weight", vec![10, 784]), ("linear.bias", vec![10])];
    Layout::new(tensors.map(|(name, shape)| (name.to_owned(), shape))).unwrap()
}

fn plan(text: &str) -> Plan {
    let recipe =
        |_: &str| Ok(RecipeFacts { digest: String::new(), lr: 0.05, momentum: 0.9, batch: 64 });
    let words =
        Words { recipe: &recipe, file: &|path| Err(path.to_owned()), check: &|_, _| Ok(()) };
    Plan::parse("plan.toml", text, &words).unwrap()
}

fn progress(style: Style) -> String {
    let (mut tally, mut progress) = (Tally::default(), Progress::new(style, CALENDAR, true));
    let mut shown = String::new();
    for stamped in run() {
        tally.record(&stamped);
        shown += &progress.record(&stamped.event, &tally, stamped.at);
    }
    shown + progress.finish()
}

#[test]
fn progress_in_a_pipe_is_lines() {
    insta::assert_snapshot!(progress(Style::Plain));
}

#[test]
fn progress_on_a_terminal_is_one_line() {
    let shown = progress(Style::Terminal { width: 72 });
    for line in shown.split(['\r', '\n']) {
        assert!(line.trim_start_matches("\x1b[K").chars().count() < 72, "{line}");
    }
    insta::assert_snapshot!(shown.replace('\r', "<CR>").replace("\x1b[K", "<EL>"));
}

#[test]
fn a_run_folder_holds_the_run() {
    let scratch = Scratch::new("folder");
    let base = Duration::from_millis(1_700_000_000_000);
    let start = Start { command: "train", base, rounds: 8, examples: 256, ..Start::default() };
    let plan = plan("policy = 'clr'\ntolerance = '2%'");
    let folder = RunFolder::create(&scratch, &plan, &layout(), start).unwrap();
    let mut report = Report::new(folder, Progress::new(Style::Plain, CALENDAR, true));
    for stamped in run() {
        report.record(&stamped, stamped.at).unwrap();
    }
    let mut rejects = Rejects::default();
    rejects.count(Reject::Checksum);
    let totals = Totals { bytes_up: 300_000, bytes_down: 310_000 };
    let closing = Closing {
        digest: Some("abc".to_owned()),
        transport: &Transport::Bounded,
        totals: &totals,
        rejects: &rejects,
        traffic: None,
        images: Some((600, 0)),
        codecs: vec![
            cost(Codec::Raw, 0.0625),
            cost(Codec::Fp16, 0.125),
            cost(Codec::Sign1, 9.0),
            // Nothing is saved, and nothing is lost.
            CodecCost { bytes: 31_400, decode_ms: 0.03125, ..cost(Codec::Rle, 0.065) },
        ],
        failure: None,
    };
    let (mut summary, _) = report.finish(closing).unwrap();
    summary.folder = "runs/fc-optdigits-1-1".to_owned();
    insta::assert_snapshot!("summary-text", summary.to_string());
    insta::assert_snapshot!("summary-json", summary.to_json());
    let files =
        ["plan.toml", "events.jsonl", "rounds.csv", "norms.csv", "evals.csv", "summary.json"];
    for file in files {
        let text = std::fs::read_to_string(scratch.join("fc-optdigits-1-1").join(file)).unwrap();
        insta::assert_snapshot!(file, text);
        let times = RoundRows::round_ns(&text);
        let expected = (file == "rounds.csv").then(|| vec![4 * MS; 4]);
        assert_eq!(times, expected, "{file}");
    }
}

#[test]
fn what_goes_on_can_be_told_at_any_time() {
    let (mut tally, mut progress) = (Tally::default(), Progress::new(Style::Plain, CALENDAR, true));
    let mut said = Vec::new();
    for stamped in run() {
        tally.record(&stamped);
        let _ = progress.record(&stamped.event, &tally, stamped.at);
        said.push(progress.goes_on(&tally, stamped.at));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_synthetic_load_has_no_epochs_and_no_loss() {
    let (mut tally, mut progress) =
        (Tally::default(), Progress::new(Style::Plain, CALENDAR, false));
    for event in [start(1, &[1], false), push(1, 1, 0, 0), end(1)] {
        tally.record(&Stamped { at: Instant::ZERO, event: event.clone() });
        let said = progress.record(&event, &tally, Instant::ZERO);
        assert!(!said.contains("epoch") && !said.contains("loss"), "{said}");
    }
    assert_eq!(tally.rounds, 1);
}

#[test]
fn a_lost_model_is_told_once_and_in_the_end() {
    let (mut tally, mut progress) = (Tally::default(), Progress::new(Style::Plain, CALENDAR, true));
    let mut said = String::new();
    for (round, loss) in [(1, 2.3), (2, f64::NAN), (3, 1e31), (4, f64::INFINITY)] {
        let Event::RoundEnded(ended) = end(round) else { unreachable!() };
        let event = Event::RoundEnded(RoundEnded { loss, ..ended });
        tally.record(&Stamped { at: Instant::ZERO, event: event.clone() });
        said += &progress.record(&event, &tally, Instant::ZERO);
    }
    let warning = "warning: training has diverged (the loss is 1.000e31 in round 3): lower the learning rate (--lr)";
    assert!(said.contains(warning) && said.matches("warning").count() == 1, "{said}");
    let (totals, rejects) = (Totals::default(), Rejects::default());
    let why = Some("it is broken");
    let closing = Closing {
        digest: None,
        transport: &Transport::Reliable,
        totals: &totals,
        rejects: &rejects,
        traffic: None,
        images: None,
        codecs: Vec::new(),
        failure: why,
    };
    let text = Summary::new(&tally, "", String::new(), closing).to_string();
    assert!(text.contains("transport reliable (nothing may be missing"), "{text}");
    assert!(
        text.contains("diverged  in round 3") && text.contains("failed    it is broken"),
        "{text}"
    );
}

#[test]
fn nothing_is_overwritten() {
    let scratch = Scratch::new("taken");
    let create = |text: &str| RunFolder::create(&scratch, &plan(text), &layout(), Start::default());
    let path = |text: &str| create(text).unwrap().path().file_name().unwrap().to_owned();
    assert_eq!(path("seed = 7"), "fc-optdigits-7-1");
    assert_eq!(path("seed = 7"), "fc-optdigits-7-2");
    assert_eq!(path("name = 'mine'"), "mine");
    let error = create("name = 'mine'").unwrap_err();
    assert!(matches!(error, ReportError::Taken(_)), "{error}");
}

#[test]
fn a_full_disk_stops_the_run() {
    // Linux has a device that is always full.
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: no /dev/full here");
        return;
    }
    let scratch = Scratch::new("full");
    let mut folder = RunFolder::create(&scratch, &plan(""), &layout(), Start::default()).unwrap();
    folder.fill_disk();
    let said = run().iter().find_map(|stamped| folder.record(stamped).err()).unwrap().to_string();
    assert!(said.contains("events.jsonl"), "{said}");
}

#[test]
fn a_pull_that_never_closes_holds_no_rows_back() {
    let mut rows = RoundRows::default();
    let mut written = String::new();
    for round in 1..=5 {
        for event in [start(round, &[1], false), push(round, 1, 0, 0), end(round)] {
            written += &rows.record(&event);
        }
    }
    assert_eq!(written.lines().count(), 3);
    for event in [start(6, &[1, 2], false), push(6, 1, 0, 0)] {
        written += &rows.record(&event);
    }
    written += &rows.finish();
    assert_eq!(written.lines().count(), 5, "a round that was cut off has no row");
}

#[test]
fn a_round_that_is_begun_anew_has_the_rows_of_its_last_time() {
    let mut rows = RoundRows::default();
    let mut written = String::new();
    let events = [
        start(1, &[1, 2], false),
        push(1, 1, 0, 26),
        push(1, 2, 0, 26),
        start(1, &[2], false),
        push(1, 2, 1, 0),
        end(1),
        pull(1, 2),
    ];
    for event in events {
        written += &rows.record(&event);
    }
    written += &rows.finish();
    let found: Vec<&str> = written.lines().map(|row| &row[..16]).collect();
    assert_eq!(found, ["1,2,26,25,1,1,0,"]);
}
