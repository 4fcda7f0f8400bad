//! From a plan file with lists to the cells of an experiment.

use std::path::Path;

use super::ExperimentError;
use crate::plan::{Choice, Document, Entry, KEYS, Plan, PlanError, Words, overlay, unknown};

/// What runs the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A server and worker processes over real sockets.
    Real,
    /// The simulation.
    Sim,
}

crate::named!(Mode, "mode", { Real => "real", Sim => "sim" });

/// A matrix of plans.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its name: that of its folder.
    pub name: String,
    /// Its cells, each once, in the order of the file: the first key turns slowest, then the groups one after the
    /// other, then the keys that stand in groups, and seeds fastest.
    pub cells: Vec<Cell>,
}

/// One cell: one plan and one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What runs it.
    pub mode: Mode,
    /// The plan.
    pub plan: Plan,
    /// The plan's digest.
    pub digest: String,
    /// The keys in which the cells of the experiment differ (the seed last), with the values of this one.
    pub labels: Vec<(&'static str, String)>,
}

/// More cells than this are a slip of the pen.
const CELLS_MAX: usize = 10_000;
/// Keys of an experiment that are no keys of a plan.
const OWN_KEYS: [&str; 2] = ["mode", "seeds"];

impl Experiment {
    /// Reads the experiment in the file at `path`; `flags` replace keys in every cell.
    ///
    /// # Errors
    /// If the file cannot be read, or describes no experiment.
    pub fn read(path: &Path, flags: &[Entry], words: &Words<'_>) -> Result<Self, ExperimentError> {
        let document = Document::read(path)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self::new(&stem.unwrap_or_default(), document, flags, words)
    }

    /// The experiment that `document` describes, called `name` unless it says otherwise.
    ///
    /// # Errors
    /// If it describes none.
    pub fn new(
        name: &str,
        document: Document,
        flags: &[Entry],
        words: &Words<'_>,
    ) -> Result<Self, ExperimentError> {
        let Document { mut choices, mut groups } = document;
        known_keys(choices.iter().chain(groups.iter().flatten()))?;
        let name = take(&mut choices, "name")?.map_or_else(|| name.to_owned(), |entry| entry.text);
        let mode = match take(&mut choices, "mode")? {
            Some(entry) => entry.text.parse().map_err(|error: crate::named::UnknownName| {
                PlanError::Refused { entry: entry.to_string(), reason: error.to_string() }
            })?,
            None => Mode::Real,
        };
        let seeds = take(&mut choices, "seeds")?.map(|entry| seed_list(&entry)).transpose()?;
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        let in_groups =
            |key: &str| key == "seed" || groups.iter().flatten().any(|choice| choice.key == key);
        let (inner, outer): (Vec<_>, Vec<_>) =
            choices.into_iter().partition(|choice| in_groups(&choice.key));
        let groups = groups.into_iter().map(|group| merge(inner.clone(), group, seeds.clone()));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        if count(&outer).saturating_mul(groups.iter().map(|group| count(group)).sum()) > CELLS_MAX {
            return Err(ExperimentError::TooMany { name, most: CELLS_MAX });
        }
        let mut cells: Vec<Cell> = Vec::new();
        for row in product(&outer) {
            for rest in groups.iter().flat_map(|group| product(group)) {
                let entries = overlay([row.clone(), rest].concat(), flags.to_vec())?;
                let plan = Plan::from_entries(entries, words)?;
                let plan = if mode == Mode::Sim { plan.simulated()? } else { plan };
                let digest = plan.digest();
                if !cells.iter().any(|cell| cell.digest == digest) {
                    cells.push(Cell { mode, plan, digest, labels: Vec::new() });
                }
            }
        }
        let typed = outer.iter().chain(groups.iter().flatten()).map(|choice| choice.key.as_str());
        label(&mut cells, &typed.collect::<Vec<_>>());
        Ok(Self { name, cells })
    }
}

impl Cell {
    /// File name of the cell.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.mode, &self.digest[..16])
    }

    /// What sets the cell apart: `model=fc net="loss=5%"`.
    #[must_use]
    pub fn label(&self) -> String {
        let quote = |text: &String| match text.is_empty() || text.contains([' ', '=']) {
            true => format!("{text:?}"),
            false => text.clone(),
        };
        let words: Vec<_> =
            self.labels.iter().map(|(key, text)| format!("{key}={}", quote(text))).collect();
        words.join(" ")
    }
}

/// Refuses keys that mean nothing in an experiment.
fn known_keys<'a>(choices: impl Iterator<Item = &'a Choice>) -> Result<(), PlanError> {
    let known: Vec<&str> = KEYS.iter().copied().chain(OWN_KEYS).collect();
    for choice in choices {
        if !known.contains(&choice.key.as_str()) {
            return Err(unknown(&choice.key, &choice.origin, &known));
        }
    }
    Ok(())
}

/// Removes the entry of `key`, which may not be a list.
fn take(choices: &mut Vec<Choice>, key: &str) -> Result<Option<Entry>, PlanError> {
    let Some(at) = choices.iter().position(|choice| choice.key == key) else { return Ok(None) };
    let choice = choices.remove(at);
    if choice.list {
        let entry = choice.entry(0).to_string();
        return Err(PlanError::Value { entry, expected: "one value for all cells".to_owned() });
    }
    Ok(Some(choice.entry(0)))
}

/// `seeds = 3` as `seed = [1, 2, 3]`.
fn seed_list(entry: &Entry) -> Result<Choice, PlanError> {
    let count = entry.text.parse().ok().filter(|count| (1..=1000).contains(count));
    let count: u32 = count.ok_or_else(|| PlanError::Value {
        entry: entry.to_string(),
        expected: "a whole number from 1 to 1000".to_owned(),
    })?;
    let texts = (1..=count).map(|seed| seed.to_string()).collect();
    Ok(Choice { key: "seed".to_owned(), texts, list: true, origin: entry.origin.clone() })
}

/// Lays a group over the keys at the top; seeds come last, for they turn fastest.
fn merge(
    mut top: Vec<Choice>,
    group: Vec<Choice>,
    seeds: Option<Choice>,
) -> Result<Vec<Choice>, PlanError> {
    for choice in group.into_iter().chain(seeds) {
        match top.iter_mut().find(|known| known.key == choice.key) {
            Some(known) if choice.key == "seed" && choice.list && known.list => {
                return Err(PlanError::Conflict {
                    one: known.entry(0).to_string(),
                    other: choice.entry(0).to_string(),
                    advice: "give either `seeds = COUNT` or `seed = [..]`",
                });
            }
            Some(known) => *known = choice,
            None => top.push(choice),
        }
    }
    top.sort_by_key(|choice| choice.key == "seed");
    Ok(top)
}

/// Number of combinations.
fn count(choices: &[Choice]) -> usize {
    choices.iter().fold(1, |count, choice| count.saturating_mul(choice.texts.len()))
}

/// All combinations, the last choice turning fastest.
fn product(choices: &[Choice]) -> Vec<Vec<Entry>> {
    let mut rows = vec![Vec::new()];
    for choice in choices {
        let extended = |row: Vec<Entry>| {
            (0..choice.texts.len()).map(move |index| {
                let mut row = row.clone();
                row.push(choice.entry(index));
                row
            })
        };
        rows = rows.into_iter().flat_map(extended).collect();
    }
    rows
}

/// Gives each cell its labels: those of the `typed` keys in which not all cells agree, the seed last.
fn label(cells: &mut [Cell], typed: &[&str]) {
    let texts: Vec<_> = cells.iter().map(|cell| cell.plan.texts()).collect();
    let value = |row: usize, key: &str| {
        texts[row].iter().find(|(known, _)| *known == key).map_or("", |(_, text)| text.as_str())
    };
    let differs = |key: &str| (1..texts.len()).any(|row| value(row, key) != value(0, key));
    let mut keys: Vec<&'static str> =
        KEYS.iter().copied().filter(|key| typed.contains(key)).collect();
    keys.retain(|key| differs(key));
    keys.sort_by_key(|&key| key == "seed");
    for (row, cell) in cells.iter_mut().enumerate() {
        cell.labels = keys.iter().map(|&key| (key, value(row, key).to_owned())).collect();
    }
}
