//! `mlt-lite experiment`: a matrix of runs, each in a child process of this program.

use crate::cli::{self, Exit, Failure};
use crate::experiment::{Child, Experiment, Hands, Mode, lock};
use crate::net::{Clock, Stop};
use crate::plan::Entry;

use super::{Console, Job, WORDS, program};

/// Runs what was typed.
///
/// # Errors
/// If a plan is bad, data is missing, or a file cannot be written.
pub fn experiment(typed: &cli::Experiment, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let flags = typed.data_dir.iter().map(|folder| Entry::flag("data-dir", folder));
    let experiment = Experiment::read(&typed.plan, &flags.collect::<Vec<_>>(), &WORDS)?;
    // Better now than in the middle of the night.
    console.goes_on("checking the plans of all cells");
    for cell in &experiment.cells {
        let job = Job::new(cell.plan.clone())?;
        job.check_data()?;
        if cell.mode == Mode::Real {
            job.check_real()?;
        }
    }
    // The cells speak for themselves.
    console.goes_on("");
    let folder = typed.runs.join(&experiment.name);
    let (lock, stop) = (lock(&folder)?, Stop::listen()?);
    let mut child = Child::new(program()?, folder.clone(), typed.threads, lock, stop);
    let clock = Clock::start();
    let now = || clock.now();
    let mut say = |line: &str| console.say(line);
    let mut hands = Hands { run: &mut |cell| child.run(cell), say: &mut say, now: &now };
    let findings = experiment.run(&folder, &mut hands)?;
    let mut text = findings.table.to_text();
    for (title, table) in &findings.paired {
        text += &format!("\n{title}\n{}", table.to_text());
    }
    if typed.json {
        console.say(text.trim_end());
        console.result(findings.to_json());
    } else {
        console.result(text);
    }
    console.say(format!("{} are in {}", findings.files.join(", "), folder.display()));
    if findings.interrupted {
        let (finished, all) = (findings.finished(), findings.cells.len());
        let resume = typed.line();
        console.say(format!(
            "interrupted: {finished} of {all} cells are finished; go on with: {resume}"
        ));
        return Ok(Exit::Interrupted);
    }
    Ok(if findings.failed == 0 { Exit::Done } else { Exit::Failed })
}
