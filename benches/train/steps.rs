//! `make bench-train`: how fast a step is, beside what the processor could do.

use std::thread;

use mlt_lite::model::Recipe;
use mlt_lite::net::Clock;
use mlt_lite::report::Table;
use mlt_lite::simd::{Kernels, Level};

use crate::child::Contender;
use crate::columns::numbers;
use crate::{Task, columns, flops, median, say};

/// Turns of a row.
const TURNS: usize = 5;
const TURN_SECONDS: f64 = 0.6;
/// Processes that are timed up to their first step.
const STARTS: usize = 5;
/// Rounds of multiply-adds that are timed at once: some milliseconds.
const PEAK_ROUNDS: u64 = 1_000_000;
const PEAK_TURNS: usize = 10;

struct Row {
    task: Task,
    step_s: f64,
    /// Floating-point operations of a step.
    work: f64,
    peak: f64,
    first_step_s: f64,
    peak_bytes: Option<f64>,
}

pub fn run(tasks: &[Task]) -> Result<(), String> {
    let level = Level::detect().map_err(|error| error.to_string())?;
    let rows = tasks.iter().map(|task| measure(task, level)).collect::<Result<Vec<_>, _>>()?;
    say(&table(level, &rows).to_text());
    Ok(())
}

fn measure(task: &Task, level: Level) -> Result<Row, String> {
    let recipe = Recipe::load(&task.model).map_err(|error| error.to_string())?;
    let mut first_steps = Vec::new();
    for _ in 1..STARTS {
        first_steps.push(Contender::ours(task, level)?.first_step_s());
    }
    let mut contender = Contender::ours(task, level)?;
    first_steps.push(contender.first_step_s());
    contender.turn(TURN_SECONDS)?;
    let (mut steps, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        peaks.push(peak(level, task.threads)?);
        steps.push(contender.turn(TURN_SECONDS)?);
    }
    Ok(Row {
        task: task.clone(),
        step_s: median(steps),
        work: flops::of_step(&recipe) * task.batch as f64,
        peak: median(peaks),
        first_step_s: median(first_steps),
        peak_bytes: contender.peak_bytes(),
    })
}

/// The most floating-point operations in a second that all threads together came to.
fn peak(level: Level, threads: usize) -> Result<f64, String> {
    let kernels = Kernels::of(level).map_err(|error| error.to_string())?;
    let clock = Clock::start();
    let mut best = 0.0f64;
    for _ in 0..PEAK_TURNS {
        let began = clock.now();
        let counts: Vec<u64> = thread::scope(|scope| {
            let spin = || scope.spawn(|| kernels.multiply_adds(PEAK_ROUNDS));
            let spinning: Vec<_> = (0..threads).map(|_| spin()).collect();
            spinning.into_iter().map(|thread| thread.join().expect("it only counts")).collect()
        });
        let seconds = (clock.now() - began).as_secs_f64();
        let total: u64 = counts.into_iter().sum();
        best = best.max(total as f64 / seconds);
    }
    Ok(best)
}

fn table(level: Level, rows: &[Row]) -> Table {
    let rate = |row: &Row| row.work / row.step_s;
    let mut columns = columns::tasks(rows, |row| (&row.task, level));
    columns.extend([
        numbers(rows, "step ms", 3, |row| Some(row.step_s * 1e3)),
        numbers(rows, "images/s", 0, |row| Some(row.task.batch as f64 / row.step_s)),
        numbers(rows, "GFLOP/s", 1, |row| Some(rate(row) / 1e9)),
        numbers(rows, "FMA peak", 1, |row| Some(row.peak / 1e9)),
        numbers(rows, "% of peak", 1, |row| Some(rate(row) / row.peak * 1e2)),
        numbers(rows, "first step ms", 1, |row| Some(row.first_step_s * 1e3)),
        numbers(rows, "peak MB", 1, |row| row.peak_bytes.map(|bytes| bytes / 1e6)),
    ]);
    Table { columns }
}
