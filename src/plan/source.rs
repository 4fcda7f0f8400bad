//! What was typed: keys with their text and where they stand, before anyone asks what they mean.
//!
//! A value is the text that would follow the flag, whether it came from the command line (`--lr 0.1`) or a file
//! (`lr = 0.1`, `lr = "0.1"`). Entries keep the order of the file, which is the order of an experiment's product.

use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::KEYS;
use super::error::PlanError;
use crate::nearest::nearest;

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In a file.
    File {
        /// Its name.
        name: String,
        /// The line, from 1.
        line: usize,
    },
}

/// One key with its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The text of the value.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
}

impl Entry {
    /// What was typed behind a flag.
    #[must_use]
    pub fn flag(key: &str, text: &str) -> Self {
        Self { key: key.to_owned(), text: text.to_owned(), origin: Origin::Flag }
    }
}

fn place(origin: &Origin, key: &str) -> String {
    match origin {
        Origin::Flag => format!("--{key}"),
        Origin::File { name, line } => format!("{name}:{line}"),
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, text, origin } = self;
        let word = !text.is_empty() && !text.contains(char::is_whitespace);
        let text = if word { text.clone() } else { format!("{text:?}") };
        match origin {
            Origin::Flag => write!(f, "--{key} {text}"),
            Origin::File { .. } => write!(f, "{}: {key} = {text}", place(origin, key)),
        }
    }
}

/// One key of an experiment: a value, or a list of values to go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The key.
    pub key: String,
    /// The texts of its values; one where no list was given, never none.
    pub texts: Vec<String>,
    /// Whether it was written as a list.
    pub list: bool,
    /// Where it stands.
    pub origin: Origin,
}

impl Choice {
    /// The entry with the value at `index`.
    ///
    /// # Panics
    /// If there is no such value.
    #[must_use]
    pub fn entry(&self, index: usize) -> Entry {
        Entry {
            key: self.key.clone(),
            text: self.texts[index].clone(),
            origin: self.origin.clone(),
        }
    }
}

/// A TOML file of choices, and what else describes an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The keys at the top, in the order of the file.
    pub choices: Vec<Choice>,
    /// The `[[group]]` tables, in the order of the file.
    pub groups: Vec<Vec<Choice>>,
    /// The `[let]` table.
    pub variables: Vec<Choice>,
    /// The `[[figure]]` tables, in the order of the file.
    pub figures: Vec<Vec<Choice>>,
    /// The `[[paired]]` tables, in the order of the file.
    pub paired: Vec<Vec<Choice>>,
    /// The `[[beside]]` tables, in the order of the file.
    pub beside: Vec<Vec<Choice>>,
}

impl Document {
    /// Reads the file at `path`. Keys are none of its business.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or holds more than scalars, lists of scalars and the tables of an
    /// experiment.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads `text`, which is called `name` in messages.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn parse(name: &str, text: &str) -> Result<Self, PlanError> {
        let reader = Reader { name, text };
        let table = DeTable::parse(text).map_err(|error| reader.syntax(&error))?;
        let mut document = Self::default();
        for (key, value) in in_order(table.get_ref()) {
            match (key.get_ref().as_ref(), value.get_ref()) {
                (GROUP, DeValue::Array(groups)) => {
                    document.groups = reader.tables(GROUP, groups)?;
                }
                (FIGURE, DeValue::Array(figures)) => {
                    document.figures = reader.tables(FIGURE, figures)?;
                }
                (PAIRED, DeValue::Array(paired)) => {
                    document.paired = reader.tables(PAIRED, paired)?;
                }
                (BESIDE, DeValue::Array(beside)) => {
                    document.beside = reader.tables(BESIDE, beside)?;
                }
                (LET, DeValue::Table(variables)) => {
                    document.variables = reader.choices(variables)?
                }
                (_, other) if is_table(other) && !KEYS.contains(&key.get_ref().as_ref()) => {
                    return Err(reader.table(key));
                }
                _ => document.choices.push(reader.choice(key, value)?),
            }
        }
        Ok(document)
    }

    /// The entries of a plan: no lists, no tables.
    ///
    /// # Errors
    /// If there are any.
    pub fn into_entries(self) -> Result<Vec<Entry>, PlanError> {
        let tables = self.groups.into_iter().chain([self.variables]).chain(self.figures);
        let tables = tables.chain(self.paired).chain(self.beside);
        if let Some(first) = tables.flatten().next() {
            return Err(shape(&first.origin, &first.key, "in a table", ONE_RUN));
        }
        let single = |choice: Choice| match choice.list {
            true => Err(shape(&choice.origin, &choice.key, "a list", ONE_RUN)),
            false => Ok(choice.entry(0)),
        };
        self.choices.into_iter().map(single).collect()
    }
}

/// What the tables of an experiment are called.
const GROUP: &str = "group";
/// What the table of its variables is called.
const LET: &str = "let";
/// What the tables of its figures are called.
const FIGURE: &str = "figure";
/// What the tables of its comparisons are called.
const PAIRED: &str = "paired";
/// What the tables with figures of others are called.
const BESIDE: &str = "beside";
const ONE_RUN: &str = "one value (lists and tables belong into a plan for `mlt-lite experiment`)";
const SCALAR: &str = "a text, a number, true or false";
const SCALARS: &str = "a list of at least one text, number, true or false";

fn shape(origin: &Origin, key: &str, found: &'static str, expected: &'static str) -> PlanError {
    PlanError::Shape { place: place(origin, key), key: key.to_owned(), found, expected }
}

/// The pairs of a table in the order of the file.
fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

/// Whether a value was written as `[table]` or `[[table]]`.
fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => {
            items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_)))
        }
        _ => false,
    }
}

/// Turns parsed TOML into choices; knows the text for line numbers.
struct Reader<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn syntax(&self, error: &toml::de::Error) -> PlanError {
        let message = error.to_string().trim_end().to_owned();
        PlanError::Syntax { name: self.name.to_owned(), message }
    }

    fn origin(&self, at: usize) -> Origin {
        let line = 1 + self.text[..at].matches('\n').count();
        Origin::File { name: self.name.to_owned(), line }
    }

    /// The error for a table that means nothing.
    fn table(&self, key: &Spanned<std::borrow::Cow<'_, str>>) -> PlanError {
        let (origin, key) = (self.origin(key.span().start), key.get_ref());
        let tables = ["[[group]]", "[let]", "[[figure]]", "[[paired]]", "[[beside]]"];
        let words = tables.map(|table| table.trim_matches(['[', ']']));
        let near = nearest(key, words).and_then(|near| words.iter().position(|word| *word == near));
        let hint = match near {
            Some(at) => format!(": did you mean `{}`?", tables[at]),
            None => format!("; an experiment has `{}`", tables.join("`, `")),
        };
        PlanError::UnknownTable { place: place(&origin, key), table: key.to_string(), hint }
    }

    /// An array of tables.
    fn tables<'a, 'i: 'a>(
        &self,
        name: &str,
        tables: impl IntoIterator<Item = &'a Spanned<DeValue<'i>>>,
    ) -> Result<Vec<Vec<Choice>>, PlanError> {
        let table = |item: &Spanned<DeValue<'i>>| match item.get_ref() {
            DeValue::Table(table) => self.choices(table),
            _ => Err(shape(&self.origin(item.span().start), name, "not a table", "tables")),
        };
        tables.into_iter().map(table).collect()
    }

    fn choices(&self, table: &DeTable<'_>) -> Result<Vec<Choice>, PlanError> {
        in_order(table).into_iter().map(|(key, value)| self.choice(key, value)).collect()
    }

    fn choice(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Choice, PlanError> {
        let origin = self.origin(key.span().start);
        let key = key.get_ref().to_string();
        let (texts, list) = match value.get_ref() {
            DeValue::Array(items) if !items.is_empty() => {
                (items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>(), true)
            }
            one => (scalar(one).map(|text| vec![text]), false),
        };
        let found = value.get_ref().type_str();
        let expected = if list || found == "array" { SCALARS } else { SCALAR };
        let texts = texts.ok_or_else(|| shape(&origin, &key, article(found), expected))?;
        Ok(Choice { key, texts, list, origin })
    }
}

fn article(found: &str) -> &'static str {
    match found {
        "array" => "an empty or nested list",
        "table" => "a table",
        _ => "no plain value",
    }
}

/// The text that would follow a flag.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        _ => None,
    }
}

/// Lays `flags` over the entries of a file: a flag replaces its key, and of `epochs` and `rounds` also the other.
///
/// # Errors
/// If a key of the file is unknown.
pub fn overlay(file: Vec<Entry>, flags: Vec<Entry>) -> Result<Vec<Entry>, PlanError> {
    let has = |key: &str| flags.iter().any(|flag| flag.key == key);
    let replaced = |key: &str| match key {
        "epochs" | "rounds" => has("epochs") || has("rounds"),
        key => has(key),
    };
    known(&file)?;
    let kept = file.into_iter().filter(|entry| !replaced(&entry.key));
    Ok(kept.chain(flags.iter().cloned()).collect())
}

/// Refuses unknown keys.
pub(super) fn known(entries: &[Entry]) -> Result<(), PlanError> {
    match entries.iter().find(|entry| !KEYS.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => Err(unknown(&entry.key, &entry.origin, KEYS)),
    }
}

/// The error for a key that is none of `known`.
pub(crate) fn unknown(key: &str, origin: &Origin, known: &[&str]) -> PlanError {
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!(": did you mean `{near}`?"),
        None => format!("; the keys are {}", known.join(", ")),
    };
    PlanError::UnknownKey { place: place(origin, key), key: key.to_owned(), hint }
}
