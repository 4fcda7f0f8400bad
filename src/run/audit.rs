//! `mlt-lite audit`: whether what a run left behind is what a run may leave behind.

use std::fmt::{self, Display};
use std::path::Path;

use serde::Serialize;

use crate::audit::{Audit, Checked, Violation, audit as audit_run, is_experiment, runs_of};
use crate::cli::{self, Exit, Failure};

use super::Console;

/// The findings in all runs of an experiment.
#[derive(Debug, Serialize)]
struct Audits<'a> {
    folder: &'a Path,
    runs: usize,
    checked: Checked,
    /// The first violation of an experiment's results, then the first run with one.
    result: Option<Violation>,
    first: Option<Audit>,
    violations: u64,
    /// Runs that did not end: they have no result.
    unfinished: usize,
}

/// Runs what was typed.
///
/// # Errors
/// If there is no run, or a file cannot be read.
pub fn audit(typed: &cli::Audit, console: &mut Console<'_>) -> Result<Exit, Failure> {
    console.goes_on("auditing");
    let passed = if is_experiment(&typed.run) {
        let audits = of_experiment(&typed.run)?;
        tell(&audits, typed.json, console);
        audits.violations == 0
    } else {
        let audit = audit_run(&typed.run)?;
        tell(&audit, typed.json, console);
        audit.passed()
    };
    Ok(if passed { Exit::Done } else { Exit::Violated })
}

fn tell(findings: &(impl Display + Serialize), json: bool, console: &mut Console<'_>) {
    match json {
        true => console.result(serde_json::to_string(findings).expect("plain data is JSON")),
        false => console.result(findings),
    }
}

fn of_experiment(folder: &Path) -> Result<Audits<'_>, Failure> {
    let (runs, results) = runs_of(folder)?;
    let mut audits = Audits {
        folder,
        runs: runs.len(),
        checked: Checked::default(),
        violations: results.len() as u64,
        result: results.into_iter().next(),
        first: None,
        unfinished: 0,
    };
    for run in &runs {
        let audit = audit_run(run)?;
        audits.checked += audit.checked;
        audits.violations += audit.violations;
        audits.unfinished += usize::from(!audit.sealed);
        if !audit.passed() {
            audits.first.get_or_insert(audit);
        }
    }
    Ok(audits)
}

impl Display for Audits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, unfinished, violations, .. } = self;
        let verdict = if *violations == 0 { "passed  " } else { "violated" };
        writeln!(f, "{verdict}  {}: {runs} runs", self.folder.display())?;
        if let Some(result) = &self.result {
            writeln!(f, "first     {result}")?;
        }
        if let Some(audit) = &self.first
            && let Some(first) = &audit.first
        {
            writeln!(f, "first     {}: {first}", audit.folder.display())?;
        }
        if *violations > 0 {
            writeln!(f, "all       {violations} violations")?;
        }
        if *unfinished > 0 {
            writeln!(f, "remark    {unfinished} of the runs did not end")?;
        }
        self.checked.fmt(f)
    }
}
