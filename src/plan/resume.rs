//! Plans that go on from a run that has left a checkpoint.

use std::path::Path;

use super::error::PlanError;
use super::source::{Document, Entry};

/// The key that names the folder of that run.
pub(crate) const RESUME: &str = "resume";

/// The folder of the run that a plan goes on from, if it does.
#[must_use]
pub fn resumed(entries: &[Entry]) -> Option<&Path> {
    let entry = entries.iter().find(|entry| entry.key == RESUME)?;
    Some(Path::new(entry.text.trim())).filter(|run| !run.as_os_str().is_empty())
}

/// The entries of the plan in the folder of a run.
///
/// # Errors
/// If there is none, or it cannot be understood.
pub fn of_run(folder: &Path) -> Result<Vec<Entry>, PlanError> {
    Document::read(&folder.join("plan.toml"))?.into_entries()
}
