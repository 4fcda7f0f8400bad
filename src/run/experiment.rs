//! `mlt-lite experiment`: a matrix of runs, each in a child process of this program.

use crate::cli::{self, Exit, Failure};
use crate::experiment::{Child, Experiment, Hands};
use crate::plan::Entry;

use super::{Console, WORDS, program};

/// Runs what was typed.
///
/// # Errors
/// If the plan is bad, a file cannot be written, or the user interrupts a cell.
pub fn experiment(typed: &cli::Experiment, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let flags = typed.data_dir.iter().map(|folder| Entry::flag("data-dir", folder));
    let experiment = Experiment::read(&typed.plan, &flags.collect::<Vec<_>>(), &WORDS)?;
    let child = Child {
        program: program()?,
        folder: typed.runs.join(&experiment.name),
        threads: typed.threads,
    };
    let now = console.now;
    let mut say = |line: &str| console.say(line);
    let mut hands = Hands { run: &mut |cell| child.run(cell), say: &mut say, now };
    let findings = experiment.run(&child.folder, &mut hands)?;
    if typed.json {
        console.say(findings.table.to_text().trim_end());
        console.result(findings.to_json());
    } else {
        console.result(findings.table.to_text());
    }
    console.say(format!("table.txt, table.csv and table.md are in {}", child.folder.display()));
    Ok(if findings.failed() == 0 { Exit::Done } else { Exit::Failed })
}
