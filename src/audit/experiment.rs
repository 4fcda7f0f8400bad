//! The folder of an experiment: the runs of its cells, and the results that its table was made of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::findings::{Place, Violation};
use super::{AuditError, SUMMARY, text};

/// What differs between a result and its run without meaning anything: where the run lies, and what seals it.
const LOCAL: [&str; 2] = ["folder", "files"];

/// Folders inside `folder`, by name.
pub(super) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.is_dir()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether `folder` is that of an experiment.
#[must_use]
pub fn is_experiment(folder: &Path) -> bool {
    folder.join("cells").is_dir() && folder.join("runs").is_dir()
}

/// The run folders of the experiment in `folder`, and what is wrong with its results: each must be that of a run that
/// is here.
///
/// # Errors
/// If a result cannot be read.
pub fn runs_of(folder: &Path) -> Result<(Vec<PathBuf>, Vec<Violation>), AuditError> {
    let cells = folder.join("cells");
    let entries = fs::read_dir(&cells).map_err(AuditError::read(&cells))?;
    let results: BTreeSet<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    let mut violations = Vec::new();
    for result in results {
        let key = result.file_stem().unwrap_or_default();
        let run = folder.join("runs").join(key).join(SUMMARY);
        let read = |path: &Path| -> Result<Option<Value>, AuditError> {
            if !path.exists() {
                return Ok(None);
            }
            Ok(serde_json::from_str(&text(path)?).ok())
        };
        let result_value = read(&result)?.map(|mut value| value["summary"].take());
        let (expected, found) = (bare(read(&run)?), bare(result_value));
        if expected.is_none() || expected != found {
            let words = |value: &Option<Value>| match value {
                Some(value) => value.to_string(),
                None => "none that can be read".to_owned(),
            };
            violations.push(Violation {
                place: Place::file(&format!("cells/{}.json", key.display())),
                expected: first_difference(&expected, &found)
                    .map_or_else(|| words(&expected), |(a, _)| a),
                found: first_difference(&expected, &found)
                    .map_or_else(|| words(&found), |(_, b)| b),
                meaning: format!("the result is not that of runs/{}", key.display()),
            });
        }
    }
    Ok((folders(&folder.join("runs")), violations))
}

/// A summary without what holds for one place only.
fn bare(value: Option<Value>) -> Option<Value> {
    let mut value = value?;
    let object = value.as_object_mut()?;
    for key in LOCAL {
        object.remove(key);
    }
    Some(value)
}

/// The first key that two summaries disagree about, as each of them has it.
fn first_difference(one: &Option<Value>, other: &Option<Value>) -> Option<(String, String)> {
    let (one, other) = (one.as_ref()?.as_object()?, other.as_ref()?.as_object()?);
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let key = keys.into_iter().find(|key| one.get(*key) != other.get(*key))?;
    let words = |value: Option<&Value>| format!("{key} {}", value.unwrap_or(&Value::Null));
    Some((words(one.get(key)), words(other.get(key))))
}
