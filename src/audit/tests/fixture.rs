//! A made-up run, as a server would leave it: 14 rounds of 20 blocks, `clr` at tolerance 10 %, checked every other
//! round; worker 2 leaves in round 6, worker 3 comes for round 8, and worker 1 is late in round 11.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::event::*;
use crate::flat::Layout;
use crate::ids::{Round, WorkerId};
use crate::plan::{Plan, RecipeFacts, Words};
use crate::ps::policy::{Change, Every, Policy, PolicyConfig};
use crate::ps::server::Totals;
use crate::report::{Closing, Progress, Report, RunFolder, Start, Style};
use crate::scratch::Scratch;
use crate::units::{Instant, Tolerance};
use crate::wire::Rejects;

pub(super) const ROUNDS: u32 = 14;
const OWED: u32 = 20;
const BLOCK: u64 = 10_000;
const MS: u64 = 1_000_000;

/// What was missing of a push.
#[derive(Clone, Copy, Default)]
struct Missing {
    forgiven: u32,
    late: u32,
    gone: u32,
}

fn missing(round: u32, worker: u32, tolerance: Tolerance) -> Missing {
    match (round, worker) {
        (6, 2) => Missing { gone: 5, ..Missing::default() },
        (11, 1) => Missing { late: 6, ..Missing::default() },
        _ if tolerance == Tolerance::ZERO => Missing::default(),
        _ => Missing { forgiven: 1 + (round + worker) % 2, ..Missing::default() },
    }
}

/// The events of a run in the making.
#[derive(Default)]
struct Run {
    events: Vec<Stamped>,
    saved: BTreeMap<u32, u64>,
}

impl Run {
    fn tell(&mut self, event: Event) {
        let at = Instant::from_nanos(self.events.len() as u64 * MS);
        self.events.push(Stamped { at, event });
    }

    fn join(&mut self, worker: u32, live: u16) {
        let address = ([127, 0, 0, 1], 5000 + worker as u16).into();
        self.tell(Event::WorkerJoined(WorkerJoined { worker: WorkerId(worker), address, live }));
        self.saved.insert(worker, 0);
    }

    fn push(&mut self, round: u32, worker: u32, tolerance: Tolerance) {
        let Missing { forgiven, late, gone } = missing(round, worker, tolerance);
        let income = u64::from(tolerance.parts()) * u64::from(OWED);
        let saved = self.saved.get_mut(&worker).unwrap();
        if income > 0 {
            *saved = (*saved + income).min(2 * income);
        }
        *saved -= u64::from(forgiven) * BLOCK;
        let allowance = *saved;
        self.tell(Event::PushClosed(PushClosed {
            round: Round(round),
            worker: WorkerId(worker),
            owed: OWED,
            received: OWED - forgiven - late - gone,
            repaired: 3,
            passes: 1,
            forgiven,
            late,
            gone,
            sent: 30,
            datagrams: 25,
            bytes: 30_000,
            allowance,
            wait_ns: 2 * MS,
            residual: Some(0.25),
            clipped: Some(0.0),
            push_ns: if late > 0 { 250 * MS } else { MS + 234_567 },
        }));
    }

    fn pull(&mut self, round: u32, worker: u32) {
        let (round, worker) = (Round(round), WorkerId(worker));
        let (owed, bytes) = (OWED, 28_000);
        let pull =
            PullClosed { round, worker, owed, received: owed, sent: 21, bytes, pull_ns: 3 * MS };
        self.tell(Event::PullClosed(pull));
    }
}

fn norm(round: u32) -> f64 {
    if round < 7 { 8.0 - 0.25 * f64::from(round) } else { 3.0 - 0.05 * f64::from(round) }
}

fn events(tolerance: Tolerance) -> Vec<Stamped> {
    let mut run = Run::default();
    let change = Change { tolerance, every: Every::Rounds(2), eta: 0.5 };
    let mut policy = Policy::new(&PolicyConfig::Clr(change), &[2]);
    let mut live = vec![1, 2];
    run.join(1, 1);
    run.join(2, 2);
    for round in 1..=ROUNDS {
        if round == 8 {
            live.push(3);
            run.join(3, 2);
        }
        let workers = live.clone();
        let tolerance = policy.tolerance();
        run.tell(Event::RoundStarted(RoundStarted {
            round: Round(round),
            workers: workers.iter().copied().map(WorkerId).collect(),
            tolerance,
            losable: OWED,
            critical: policy.is_critical(),
            batch: 1,
            lr: 0.1,
        }));
        for &worker in &workers {
            run.push(round, worker, tolerance);
            if (round, worker) == (6, 2) {
                live.retain(|&worker| worker != 2);
                let reason = "it was silent".to_owned();
                run.tell(Event::WorkerLeft(WorkerLeft { worker: WorkerId(2), reason, live: 1 }));
            }
        }
        let ended = RoundEnded {
            round: Round(round),
            epoch: f64::from(round) / f64::from(ROUNDS),
            loss: if round == 2 { f64::NAN } else { 1.0 / f64::from(round) },
            norm: norm(round),
            signal: None,
            lr_drops: false,
            batch: 1,
            norms: vec![norm(round)],
            window: Vec::new(),
            round_ns: 4 * MS + u64::from(round),
        };
        let decided = policy.handle_round(&ended);
        run.tell(Event::RoundEnded(ended));
        if let Some(decided) = decided {
            run.tell(Event::Decided(decided));
        }
        for &worker in &live {
            run.pull(round, worker);
        }
        if round % 7 == 0 {
            let (round, epoch) = (Round(round), f64::from(round) / f64::from(ROUNDS));
            let correct = 40 * u64::from(round.0);
            let evaluated = Evaluated { round, epoch, correct, total: 600, loss: 0.25 };
            run.tell(Event::Evaluated(evaluated));
        }
    }
    run.events
}

/// Leaves the run in `scratch` and returns its folder; unsealed if it was `killed`.
pub(super) fn leave(scratch: &Scratch, killed: bool) -> PathBuf {
    let facts = RecipeFacts { digest: String::new(), lr: 0.1, momentum: 0.0, batch: 1 };
    let recipe = |_: &str| Ok(facts.clone());
    let words = Words { recipe: &recipe, check: &|_, _| Ok(()), file: &|_| Err(String::new()) };
    let text =
        "bytes = '20k'\nrounds = 14\ntolerance = '10%'\npolicy = 'clr'\nclr-freq = 2\nname = 'run'";
    let plan = Plan::parse("plan.toml", text, &words).unwrap();
    let calendar = plan.calendar(28).unwrap();
    let (base, rounds) = (Duration::ZERO, ROUNDS);
    let start = Start { command: "train", base, rounds, examples: 28, ..Start::default() };
    let layout = Layout::new([("a".into(), vec![80, 80])]).unwrap();
    let folder = RunFolder::create(scratch, &plan, &layout, start).unwrap();
    let path = folder.path().to_owned();
    let mut report = Report::new(folder, Progress::new(Style::Plain, calendar, false));
    for stamped in events(Tolerance::from_parts(1000).unwrap()) {
        report.record(&stamped, stamped.at).unwrap();
    }
    if !killed {
        let closing = Closing {
            digest: Some("0123".to_owned()),
            transport: &plan.transport,
            totals: &Totals { bytes_up: 900_000, bytes_down: 800_000 },
            rejects: &Rejects::default(),
            traffic: None,
            images: None,
            codecs: Vec::new(),
            failure: None,
        };
        report.finish(closing).unwrap();
    }
    path
}
