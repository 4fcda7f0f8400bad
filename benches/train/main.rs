//! `make bench-train`: training steps beside the peak of the processor. `make bench-torch`: the same steps in a race
//! with PyTorch, in turns.
//!
//! Every row is measured in a process of its own, a [`contender`], that obeys its parent.

mod child;
mod columns;
mod contender;
mod flops;
#[path = "../torch/formula.rs"]
mod formula;
mod race;
mod steps;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use argh::FromArgs;

use workload::THREADS;

/// Time training steps.
#[derive(FromArgs)]
struct Typed {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Steps(Steps),
    Race(Race),
    Contender(Contender),
}

/// Step times, their share of the peak, memory, and the time to the first step.
#[derive(FromArgs)]
#[argh(subcommand, name = "steps")]
struct Steps {
    /// recipes, by name or path (fc resnet8)
    #[argh(positional)]
    models: Vec<String>,

    /// images of a step; repeat it for several (8 64 256)
    #[argh(option)]
    batch: Vec<usize>,

    /// threads; repeat it for several
    #[argh(option)]
    threads: Vec<usize>,
}

/// Our steps and PyTorch's in turns, and whether both train alike.
#[derive(FromArgs)]
#[argh(subcommand, name = "race")]
struct Race {
    /// the Python that has PyTorch
    #[argh(option)]
    python: String,

    /// short turns, batch 64 only
    #[argh(switch)]
    quick: bool,

    /// models that both sides have (fc resnet8)
    #[argh(positional)]
    models: Vec<String>,

    /// images of a step; repeat it for several (8 64 256)
    #[argh(option)]
    batch: Vec<usize>,

    /// threads; repeat it for several
    #[argh(option)]
    threads: Vec<usize>,
}

/// Our side of a row, for the other two commands: obeys its standard input.
#[derive(FromArgs)]
#[argh(subcommand, name = "contender")]
struct Contender {
    #[argh(positional)]
    model: String,

    #[argh(positional)]
    batch: usize,

    #[argh(positional)]
    threads: usize,
}

/// What a row is of.
#[derive(Clone, Debug)]
struct Task {
    /// Name or path of a recipe.
    model: String,
    /// Images of a step.
    batch: usize,
    threads: usize,
}

/// Every model with every batch and number of threads; an empty list stands for `batches` and the like.
fn tasks(models: &[String], batches: &[usize], threads: &[usize]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for model in models {
        for &batch in batches {
            let task = |&threads| Task { model: model.clone(), batch, threads };
            tasks.extend(threads.iter().map(task));
        }
    }
    tasks
}

fn or<T: Clone>(chosen: Vec<T>, default: &[T]) -> Vec<T> {
    if chosen.is_empty() { default.to_vec() } else { chosen }
}

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own; without a command it asks for all there is to measure alone.
    let mut words: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.is_empty() {
        words.push("steps".to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match Typed::from_args(&["train"], &words) {
        Ok(typed) => run(typed.command),
        Err(early) => early.status.map_err(|()| early.output.clone()).map(|()| say(&early.output)),
    };
    let Err(problem) = done else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "{}", problem.trim_end());
    ExitCode::FAILURE
}

fn run(command: Command) -> Result<(), String> {
    let models = ["fc", "resnet8"].map(str::to_owned);
    match command {
        Command::Steps(Steps { models: chosen, batch, threads }) => {
            let batches = or(batch, &[8, 64, 256]);
            steps::run(&tasks(&or(chosen, &models), &batches, &or(threads, THREADS)))
        }
        Command::Race(Race { python, quick, models: chosen, batch, threads }) => {
            let batches = or(batch, if quick { &[64] } else { &[8, 64, 256] });
            let tasks = tasks(&or(chosen, &models), &batches, &or(threads, THREADS));
            race::run(&python, quick, &tasks)
        }
        Command::Contender(Contender { model, batch, threads }) => {
            contender::obey(&Task { model, batch, threads })
        }
    }
}

fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The middle sample, the upper one of two.
fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
