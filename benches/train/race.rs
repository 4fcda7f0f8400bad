//! `make bench-torch`: our steps and PyTorch's in turns, so that what the machine does meanwhile falls on all of them.

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::Command;

use mlt_lite::report::Table;
use mlt_lite::simd::Level;

use crate::child::Contender;
use crate::columns::{numbers, words};
use crate::{Task, columns, median, say};

/// Where the table is left as well, seen from the root of the repository.
const RESULT: &str = "target/race.csv";
/// Steps whose losses are compared, their images, and how much they may differ, relative to PyTorch's.
const LOSS_STEPS: usize = 40;
const LOSS_BATCH: usize = 64;
const LOSS_DIFFERENCE_MAX: f64 = 1e-3;
/// What PyTorch's best setting has beside its own options: freed memory is kept, that of the largest activations
/// (22 MB) included. Older versions of glibc ignore a threshold above 32 MiB.
const MALLOC: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "1099511627776")];
/// The three of a bout, in the order of their turns.
const OURS: usize = 0;
const BEST: usize = 1;
const DEFAULT: usize = 2;

/// How long contenders train.
struct Pace {
    turns: usize,
    turn_s: f64,
}

impl Pace {
    /// Steps of `fc` are over so fast that short turns have thousands of them.
    fn of(task: &Task, quick: bool) -> Self {
        let turn_s = if task.model == "fc" { 0.5 } else { 1.5 };
        if quick { Self { turns: 3, turn_s: turn_s / 2.0 } } else { Self { turns: 5, turn_s } }
    }
}

/// A row: what the three came to.
struct Bout {
    task: Task,
    level: Level,
    outcomes: [Outcome; 3],
}

impl Bout {
    /// Our rate over that of another contender.
    fn factor(&self, over: usize) -> f64 {
        self.outcomes[over].step_s / self.outcomes[OURS].step_s
    }
}

struct Outcome {
    step_s: f64,
    first_step_s: f64,
    peak_bytes: Option<f64>,
}

/// The factor over PyTorch's best that a row should reach.
fn bar(task: &Task, level: Level) -> Option<f64> {
    match (task.model.as_str(), task.batch, task.threads, level) {
        ("resnet8", 64, _, Level::Avx2) => Some(1.9),
        ("resnet8", 64, 1, Level::Avx512) => Some(2.1),
        ("resnet8", 64, 2, Level::Avx512) => Some(2.3),
        ("resnet8", 8 | 256, _, Level::Avx512) => Some(2.0),
        ("fc", 64, ..) => Some(7.0),
        ("fc", 256, ..) => Some(4.0),
        _ => None,
    }
}

/// Races every task at the level of this processor, and `resnet8` at AVX2 too.
pub fn run(python: &str, quick: bool, tasks: &[Task]) -> Result<(), String> {
    let level = Level::detect().map_err(|error| error.to_string())?;
    let mut bouts: Vec<(&Task, Level)> = tasks.iter().map(|task| (task, level)).collect();
    if level > Level::Avx2 {
        let is_limited = |task: &&Task| task.model == "resnet8" && task.batch == 64;
        bouts.extend(tasks.iter().filter(is_limited).map(|task| (task, Level::Avx2)));
    }
    train_alike(python, &bouts)?;
    let bouts = bouts
        .into_iter()
        .map(|(task, level)| bout(python, task, level, &Pace::of(task, quick)))
        .collect::<Result<Vec<_>, _>>()?;
    let table = table(&bouts);
    let result = Path::new(env!("CARGO_MANIFEST_DIR")).join(RESULT);
    fs::write(&result, table.to_csv()).map_err(|error| format!("{RESULT}: {error}"))?;
    say(&format!("\n{}\nleft as {RESULT}\n", table.to_text()));
    Ok(())
}

fn torch(python: &str, setting: &str, task: &Task, level: Level) -> Result<Contender, String> {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/torch/contender.py")).arg(setting);
    let limits = match level {
        Level::Avx512 | Level::Neon => None,
        Level::Avx2 => Some(("AVX2", "avx2")),
        Level::Scalar => Some(("SSE41", "default")),
    };
    if let Some((one_dnn, aten)) = limits {
        command.env("ONEDNN_MAX_CPU_ISA", one_dnn).env("ATEN_CPU_CAPABILITY", aten);
    }
    if setting == "best" {
        command.envs(MALLOC);
    }
    Contender::start(&format!("PyTorch ({setting})"), command, task)
}

/// Whether the race is over the same work: both sides' losses, from the same parameters on the same images.
fn train_alike(python: &str, bouts: &[(&Task, Level)]) -> Result<(), String> {
    let mut seen: Vec<(&str, Level)> = Vec::new();
    for (task, level) in bouts {
        if seen.contains(&(task.model.as_str(), *level)) {
            continue;
        }
        seen.push((task.model.as_str(), *level));
        let task = &Task { batch: LOSS_BATCH, ..(*task).clone() };
        let ours = Contender::ours(task, *level)?.losses(LOSS_STEPS)?;
        let theirs = torch(python, "default", task, *level)?.losses(LOSS_STEPS)?;
        let relative = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours / theirs - 1.0).abs());
        // In this order a NaN is the largest, and no agreement.
        let largest = relative.max_by(f64::total_cmp).expect("there are steps");
        let found = format!(
            "{}, {level}: the losses of {LOSS_STEPS} steps of {LOSS_BATCH} images went from {:.4} to {:.4} \
             and differ from PyTorch's by {largest:.1e} (relative; at most {LOSS_DIFFERENCE_MAX:.0e})\n",
            task.model,
            ours[0],
            ours[LOSS_STEPS - 1],
        );
        if largest.total_cmp(&LOSS_DIFFERENCE_MAX).is_gt() {
            return Err(found);
        }
        say(&found);
    }
    Ok(())
}

fn bout(python: &str, task: &Task, level: Level, pace: &Pace) -> Result<Bout, String> {
    let mut contenders = [
        Contender::ours(task, level)?,
        torch(python, "best", task, level)?,
        torch(python, "default", task, level)?,
    ];
    let mut samples: [Vec<f64>; 3] = Default::default();
    for contender in &mut contenders {
        contender.turn(pace.turn_s / 2.0)?;
    }
    for _ in 0..pace.turns {
        for (contender, samples) in contenders.iter_mut().zip(&mut samples) {
            samples.push(contender.turn(pace.turn_s)?);
        }
    }
    let mut samples = samples.into_iter();
    let outcomes = contenders.map(|contender| Outcome {
        step_s: median(samples.next().expect("one list for each")),
        first_step_s: contender.first_step_s(),
        peak_bytes: contender.peak_bytes(),
    });
    let bout = Bout { task: task.clone(), level, outcomes };
    let Task { model, batch, threads } = task;
    let factor = bout.factor(BEST);
    // Progress; the table is what remains.
    let _ = writeln!(
        stderr(),
        "{model}, {level}, batch {batch}, threads {threads}: {factor:.2} x best"
    );
    Ok(bout)
}

fn table(bouts: &[Bout]) -> Table {
    let step_ms = |who: usize| move |bout: &Bout| Some(bout.outcomes[who].step_s * 1e3);
    let first_ms = |who: usize| move |bout: &Bout| Some(bout.outcomes[who].first_step_s * 1e3);
    let peak_mb =
        |who: usize| move |bout: &Bout| bout.outcomes[who].peak_bytes.map(|bytes| bytes / 1e6);
    let bar = |bout: &Bout| bar(&bout.task, bout.level);
    let verdict = |bout: &Bout| match bar(bout) {
        Some(bar) if bout.factor(BEST) >= bar => "reached".to_owned(),
        Some(_) => "missed".to_owned(),
        None => String::new(),
    };
    let mut columns = columns::tasks(bouts, |bout| (&bout.task, bout.level));
    columns.extend([
        numbers(bouts, "ours ms", 3, step_ms(OURS)),
        numbers(bouts, "best ms", 3, step_ms(BEST)),
        numbers(bouts, "default ms", 3, step_ms(DEFAULT)),
        numbers(bouts, "x best", 2, |bout| Some(bout.factor(BEST))),
        numbers(bouts, "bar", 1, bar),
        words(bouts, "verdict", verdict),
        numbers(bouts, "x default", 2, |bout| Some(bout.factor(DEFAULT))),
        numbers(bouts, "first step ms", 0, first_ms(OURS)),
        numbers(bouts, "best first ms", 0, first_ms(BEST)),
        numbers(bouts, "peak MB", 0, peak_mb(OURS)),
        numbers(bouts, "best peak MB", 0, peak_mb(BEST)),
    ]);
    Table { columns }
}
