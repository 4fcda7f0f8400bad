//! Runs a cell as a child process of this program: nothing of one run can leak into the next.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::matrix::{Cell, Mode};
use super::{CellError, Summary};

/// Exit code of a run that the user interrupted.
const INTERRUPTED: i32 = 130;
/// `SIGINT` and `SIGTERM`: a run that had no time to say so.
const SIGNALS: [i32; 2] = [2, 15];

/// A program that runs cells.
#[derive(Clone, Debug)]
pub struct Child {
    /// The program.
    pub program: PathBuf,
    /// The experiment's folder.
    pub folder: PathBuf,
    /// Threads that compute in each worker, if that is not left to the run.
    pub threads: Option<NonZeroUsize>,
}

impl Child {
    /// Runs `cell` to its end; its progress goes where ours goes.
    ///
    /// # Errors
    /// If it fails or is interrupted.
    pub fn run(&self, cell: &Cell) -> Result<Summary, CellError> {
        let plan = self.folder.join("cells").join(format!("{}.toml", cell.key()));
        let runs = self.folder.join("runs");
        fs::write(&plan, cell.plan.to_toml()).map_err(failed(&plan))?;
        remove_leftovers(&runs.join(cell.key()))?;
        let command = match cell.mode {
            Mode::Real => "train",
            Mode::Sim => "sim",
        };
        let output = Command::new(&self.program)
            .args([command, "--json", "--name", &cell.key(), "--plan"])
            .arg(&plan)
            .arg("--runs")
            .arg(&runs)
            .args(self.threads.iter().flat_map(|threads| ["--threads".into(), threads.to_string()]))
            // Not `null`, which opens a device: an empty chroot has none.
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .output()
            .map_err(failed(&self.program))?;
        result(output.status, &String::from_utf8_lossy(&output.stdout))
    }
}

/// What the child's end and its last line of output say.
fn result(status: ExitStatus, stdout: &str) -> Result<Summary, CellError> {
    let signalled = status.signal().is_some_and(|signal| SIGNALS.contains(&signal));
    if signalled || status.code() == Some(INTERRUPTED) {
        return Err(CellError::Interrupted);
    }
    if !status.success() {
        return Err(CellError::Failed(status.to_string()));
    }
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| {
        CellError::Failed(format!("the run ended well but its last line is no summary: {error}"))
    })
}

/// Removes the folder that an unfinished run of the same cell left behind.
fn remove_leftovers(folder: &Path) -> Result<(), CellError> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).map_err(failed(folder)),
        false => Ok(()),
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> CellError {
    let path = path.display().to_string();
    move |error| CellError::Failed(format!("{path}: {error}"))
}
