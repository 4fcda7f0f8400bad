//! The command line: parse, dispatch, and the one place that prints errors and decides the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use mlt_lite::cli::{self, Command, Exit, Failure, Parsed};
use mlt_lite::experiment::{Child, Experiment, Hands};
use mlt_lite::plan::{Entry, RecipeDefaults, Words};
use mlt_lite::units::Instant;

fn main() -> ExitCode {
    let exit = run().unwrap_or_else(|failure| {
        say(&format!("mlt-lite: {failure}"));
        failure.exit
    });
    exit.into()
}

fn run() -> Result<Exit, Failure> {
    let arguments = cli::arguments(std::env::args_os().skip(1))?;
    match cli::parse(&arguments)? {
        Parsed::Help(text) => {
            print(&text);
            Ok(Exit::Done)
        }
        Parsed::Run(command) => dispatch(*command),
    }
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Experiment(typed) => experiment(&typed),
        _ => Err(Failure::new(Exit::Failed, "this command is not part of this build")),
    }
}

fn experiment(typed: &cli::Experiment) -> Result<Exit, Failure> {
    let flags = typed.data_dir.iter().map(|folder| Entry::flag("data-dir", folder));
    let experiment = Experiment::read(&typed.plan, &flags.collect::<Vec<_>>(), &WORDS)?;
    let program = std::env::current_exe()
        .or_else(|error| std::env::args_os().next().map(Into::into).ok_or(error))
        .map_err(|error| Failure::new(Exit::Failed, error))?;
    let child = Child { program, folder: typed.runs.join(&experiment.name) };
    let mut hands = Hands { run: &mut |cell| child.run(cell), say: &mut say, now: &now };
    let findings = experiment.run(&child.folder, &mut hands)?;
    if typed.json {
        say(findings.table.to_text().trim_end());
        print(&findings.to_json());
    } else {
        print(&findings.table.to_text());
    }
    say(&format!("table.txt, table.csv and table.md are in {}", child.folder.display()));
    Ok(if findings.failed() == 0 { Exit::Done } else { Exit::Failed })
}

/// The words of a plan, until the modules that own them are wired in.
const WORDS: Words<'static> = Words { recipe: &recipe, check: &|_, _| Ok(()) };

fn recipe(name: &str) -> Result<RecipeDefaults, String> {
    match name {
        "fc" | "resnet8" => Ok(RecipeDefaults { lr: 0.05, momentum: 0.9, batch: 64 }),
        _ => Err(format!("no model is called `{name}`")),
    }
}

/// Time since the first call.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock is read at the edge, and this is the edge"
)]
fn now() -> Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    Instant::ZERO + START.get_or_init(std::time::Instant::now).elapsed()
}

/// Writes `text` to standard output. Nobody is left to be told if that is closed.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

/// Writes a line to standard error.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
