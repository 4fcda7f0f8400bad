//! From a plan file with lists to the cells of an experiment.

use std::collections::HashSet;
use std::path::Path;

use super::beside::Beside;
use super::figure::Figure;
use super::paired::Paired;
use super::{ExperimentError, variables};
use crate::plan::{
    Choice, Document, Entry, KEYS, Plan, PlanError, RESUME, Words, folder_name, overlay, preset,
    unknown, unknown_plan,
};

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
    /// Its cells, each once, in the order of the file: variables turn slowest, then keys, then the groups one after the
    /// other, then the keys that stand in groups, and seeds fastest.
    pub cells: Vec<Cell>,
    /// What is drawn of them.
    pub figures: Vec<Figure>,
    /// What is compared, pair by pair.
    pub paired: Vec<Paired>,
    /// What is printed beside it.
    pub beside: Vec<Beside>,
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
    /// The variables of the experiment, with the values of this cell; where some of its cells follow a plan inside the
    /// binary, its name, too.
    pub variables: Vec<(String, String)>,
    /// The variables and keys in which the cells of the experiment differ (the seed last), with the values of this one.
    /// Keys that are made of variables are not among them.
    pub labels: Vec<(String, String)>,
    /// For each comparison, the digest of the cell that this one is compared with; none if that is itself.
    pub baselines: Vec<Option<String>>,
}

/// More cells than this are a slip of the pen.
const CELLS_MAX: usize = 10_000;
/// The key that names a plan inside the binary, over which the other keys are laid.
pub(super) const PLAN: &str = "plan";
/// Keys of an experiment that are no keys of a plan.
const OWN_KEYS: [&str; 3] = ["mode", "seeds", PLAN];

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
        let Document { mut choices, mut groups, variables, figures, paired, beside } = document;
        known_keys(choices.iter().chain(groups.iter().flatten()))?;
        variables::check(&variables, choices.iter().chain(groups.iter().flatten()))?;
        let figures = Figure::all(&figures, &variables)?;
        let paired = Paired::all(&paired, &variables)?;
        let beside = Beside::all(&beside)?;
        let typed = take(&mut choices, "name")?.as_ref().map(folder_name).transpose()?;
        let name = typed.unwrap_or_else(|| name.to_owned());
        let mode = take(&mut choices, "mode")?.map_or(Ok(Mode::Real), |entry| mode(&entry))?;
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
        let has_plans = outer.iter().chain(groups.iter().flatten()).any(|one| one.key == PLAN);
        let outer_count = count(&variables).saturating_mul(count(&outer));
        if outer_count.saturating_mul(groups.iter().map(|group| count(group)).sum()) > CELLS_MAX {
            return Err(ExperimentError::TooMany { name, most: CELLS_MAX });
        }
        let mut cells: Vec<Cell> = Vec::new();
        let mut digests = HashSet::new();
        for (values, row) in pairs(&product(&variables), &product(&outer)) {
            for rest in groups.iter().flat_map(|group| product(group)) {
                let entries = [row.clone(), rest].concat();
                // The plan of these entries but for some.
                let plan = |but: &[Entry]| {
                    let is_variable = |entry: &&Entry| values.iter().any(|v| v.key == entry.key);
                    let (other, keys): (Vec<_>, Vec<_>) = but.iter().partition(is_variable);
                    let values = values.iter().map(|value| {
                        *other.iter().find(|other| other.key == value.key).unwrap_or(&value)
                    });
                    let values: Vec<Entry> = values.cloned().collect();
                    let entries = variables::fill(entries.clone(), &values)?;
                    let (name, entries) = over_preset(entries, keys.into_iter().cloned())?;
                    let plan = Plan::from_entries(overlay(entries, flags.to_vec())?, words)?;
                    let plan = if mode == Mode::Sim { plan.simulated()? } else { plan };
                    Ok::<_, PlanError>((name, plan))
                };
                let (name, own) = plan(&[])?;
                let digest = own.digest();
                if digests.insert(digest.clone()) {
                    let baseline = |paired: &Paired| {
                        let baseline = plan(&paired.baseline)?.1.digest();
                        Ok((baseline != digest).then_some(baseline))
                    };
                    let baselines =
                        paired.iter().map(baseline).collect::<Result<_, PlanError>>()?;
                    let plan = own;
                    let values = values.iter().map(|value| (value.key.clone(), value.text.clone()));
                    let named = has_plans.then(|| (PLAN.to_owned(), name));
                    let (variables, labels) = (values.chain(named).collect(), Vec::new());
                    cells.push(Cell { mode, plan, digest, variables, labels, baselines });
                }
            }
        }
        known_baselines(&paired, &mut cells, &digests)?;
        let made = |choice: &&Choice| choice.texts.iter().any(|text| text.contains('{'));
        let typed = outer.iter().chain(groups.iter().flatten()).filter(|choice| !made(choice));
        let typed: Vec<&str> = typed.map(|choice| choice.key.as_str()).collect();
        label(&mut cells, &typed);
        Ok(Self { name, cells, figures, paired, beside })
    }
}

impl Cell {
    /// File name of the cell.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.mode, &self.digest[..16])
    }

    /// The value of a variable, or of a key of the plan as it would be typed.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<String> {
        let variable = self.variables.iter().find(|(name, _)| name == key);
        let of_plan = || self.plan.texts().into_iter().find(|(name, _)| *name == key);
        variable.map(|(_, text)| text.clone()).or_else(|| of_plan().map(|(_, text)| text))
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

/// Lays `keys` over `entries`, and those over the plan that they name; returns its name as well, which may be empty.
fn over_preset(
    entries: Vec<Entry>,
    keys: impl Iterator<Item = Entry>,
) -> Result<(String, Vec<Entry>), PlanError> {
    let is_name = |entry: &Entry| entry.key == PLAN;
    let (own, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_name);
    let (other, keys): (Vec<_>, Vec<_>) = keys.partition(is_name);
    let name = other.into_iter().chain(own).next().map_or_else(String::new, |entry| entry.text);
    let preset = match name.as_str() {
        "" => Vec::new(),
        name => preset(name).unwrap_or_else(|| Err(unknown_plan(name)))?,
    };
    Ok((name, overlay(overlay(preset, entries)?, keys)?))
}

fn mode(entry: &Entry) -> Result<Mode, PlanError> {
    entry.text.parse().map_err(|error: crate::named::UnknownName| PlanError::Refused {
        entry: entry.to_string(),
        reason: error.to_string(),
    })
}

/// Keeps those baselines that are cells themselves.
fn known_baselines(
    paired: &[Paired],
    cells: &mut [Cell],
    digests: &HashSet<String>,
) -> Result<(), ExperimentError> {
    for (place, paired) in paired.iter().enumerate() {
        for cell in &mut *cells {
            cell.baselines[place].take_if(|digest| !digests.contains(digest));
        }
        if cells.iter().all(|cell| cell.baselines[place].is_none()) {
            return Err(paired.without_baseline().into());
        }
    }
    Ok(())
}

/// Refuses keys that mean nothing in an experiment.
fn known_keys<'a>(choices: impl Iterator<Item = &'a Choice>) -> Result<(), PlanError> {
    let known: Vec<&str> = KEYS.iter().copied().chain(OWN_KEYS).collect();
    for choice in choices {
        if !known.contains(&choice.key.as_str()) {
            return Err(unknown(&choice.key, &choice.origin, &known));
        }
        if choice.key == RESUME {
            let (entry, reason) = (choice.entry(0).to_string(), "cells begin at the beginning");
            return Err(PlanError::Refused { entry, reason: reason.to_owned() });
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

/// Every one of `slow` with every one of `fast`.
fn pairs<'a, T>(slow: &'a [T], fast: &'a [T]) -> impl Iterator<Item = (&'a T, &'a T)> {
    slow.iter().flat_map(|one| fast.iter().map(move |other| (one, other)))
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

/// Gives each cell its labels: variables, and `typed` keys, in which not all cells agree, the seed last.
fn label(cells: &mut [Cell], typed: &[&str]) {
    let Some(first) = cells.first() else { return };
    let variables = first.variables.iter().map(|(name, _)| name.clone());
    let keys = KEYS.iter().filter(|key| typed.contains(key)).map(|key| (*key).to_owned());
    let mut columns: Vec<(String, Vec<String>)> = variables
        .chain(keys)
        .map(|key| {
            let texts = cells.iter().map(|cell| cell.value(&key).unwrap_or_default()).collect();
            (key, texts)
        })
        .collect();
    columns.retain(|(_, texts)| texts.iter().any(|text| *text != texts[0]));
    columns.sort_by_key(|(key, _)| key == "seed");
    for (row, cell) in cells.iter_mut().enumerate() {
        let labels = columns.iter().map(|(key, texts)| (key.clone(), texts[row].clone()));
        cell.labels = labels.collect();
    }
}
