//! The plans inside the binary: what others have published, by name.

use std::path::Path;

use super::error::PlanError;
use super::source::{Document, Entry};
use crate::nearest::nearest;

/// Names and texts.
const PRESETS: [(&str, &str); 5] = [
    ("accordion-powersgd-2-1", include_str!("../../plans/accordion-powersgd-2-1.toml")),
    ("accordion-powersgd-4-1", include_str!("../../plans/accordion-powersgd-4-1.toml")),
    ("accordion-topk-10", include_str!("../../plans/accordion-topk-10.toml")),
    ("accordion-topk-25", include_str!("../../plans/accordion-topk-25.toml")),
    ("accordion-batch-4096", include_str!("../../plans/accordion-batch-4096.toml")),
];

/// The names of the plans inside the binary.
pub fn presets() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The entries of the plan of that name inside the binary, or in the file of that path.
///
/// # Errors
/// If there is neither, or the file holds no plan.
pub fn named(name_or_path: &str) -> Result<Vec<Entry>, PlanError> {
    let path = Path::new(name_or_path);
    if let Some(entries) = preset(name_or_path) {
        return entries;
    }
    // A word that is no path, and no file either, is a name that nobody knows.
    let is_path = path.components().count() > 1 || path.extension().is_some();
    if !is_path && !path.exists() {
        return Err(unknown(name_or_path));
    }
    Document::read(path)?.into_entries()
}

/// The entries of the plan of that name inside the binary.
pub(crate) fn preset(name: &str) -> Option<Result<Vec<Entry>, PlanError>> {
    let (name, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    Some(Document::parse(name, text).and_then(Document::into_entries))
}

/// The complaint that there is no plan called `name`.
pub(crate) fn unknown(name: &str) -> PlanError {
    let hint = match nearest(name, presets()) {
        Some(near) => format!(": did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = presets().collect();
            format!("; inside are {}, others are files", names.join(", "))
        }
    };
    PlanError::UnknownPlan { name: name.to_owned(), hint }
}
