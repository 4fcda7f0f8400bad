//! `mlt-lite data`: which data sets are here, and whether their files are the right ones.

use serde_json::json;

use crate::cli::{self, DataCommand, Exit, Failure};
use crate::dataset::{self, DatasetSpec, FileStatus, Listing, Status};
use crate::report::{Column, Table};

use super::Console;

/// Runs what was typed.
///
/// # Errors
/// If a name is none of a data set.
pub fn data(typed: &cli::Data, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &typed.command {
        DataCommand::List(typed) => Ok(list(typed, console)),
        DataCommand::Verify(typed) => verify(typed, console),
    }
}

fn list(typed: &cli::DataList, console: &mut Console<'_>) -> Exit {
    let listings = dataset::list(Some(&typed.data_dir));
    if typed.json {
        console.result(json!({ "datasets": listings }));
        return Exit::Done;
    }
    let column =
        |name, word: &dyn Fn(&Listing) -> String| Column::words(name, listings.iter().map(word));
    let columns = vec![
        column("data set", &|set| set.manifest.name.clone()),
        column("images", &|set| set.manifest.shape.to_string()),
        column("classes", &|set| set.manifest.classes.to_string()),
        column("train", &|set| set.manifest.train.to_string()),
        column("test", &|set| set.manifest.test.to_string()),
        column("where", &place),
    ];
    console.result(Table { columns }.to_text());
    Exit::Done
}

fn place(set: &Listing) -> String {
    match &set.folder {
        _ if set.embedded => "part of the program".to_owned(),
        Some(folder) => folder.display().to_string(),
        None => format!("not here; get it from {}", set.manifest.origin),
    }
}

fn verify(typed: &cli::DataVerify, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let data_dir = Some(typed.data_dir.as_path());
    let named = typed.datasets.iter().map(|name| name.parse());
    let named: Vec<DatasetSpec> = named.collect::<Result<_, _>>()?;
    console.goes_on("reading the files");
    let found = |spec: &DatasetSpec| (spec.to_string(), dataset::verify(spec, data_dir));
    let mut sets: Vec<_> = match named[..] {
        [] => DatasetSpec::NAMED.iter().map(found).collect(),
        [..] => named.iter().map(found).collect(),
    };
    if named.is_empty() {
        sets.retain(|(_, files)| files.iter().any(|file| file.status != Status::Missing));
    }
    let files = || sets.iter().flat_map(|(set, files)| files.iter().map(move |file| (set, file)));
    let broken = files().filter(|(_, file)| is_broken(&file.status)).count();
    if typed.json {
        let sets = sets.iter().map(|(set, files)| json!({ "dataset": set, "files": files }));
        console.result(json!({ "datasets": sets.collect::<Vec<_>>(), "broken": broken }));
    } else {
        let columns = vec![
            Column::words("data set", files().map(|(set, _)| set.clone())),
            Column::words("file", files().map(|(_, file)| name(file))),
            Column::words("status", files().map(|(_, file)| words(&file.status))),
        ];
        console.result(Table { columns }.to_text());
    }
    if broken == 0 {
        return Ok(Exit::Done);
    }
    console
        .say(format!("{broken} of {} files are missing or wrong: get them again", files().count()));
    Ok(Exit::Data)
}

fn name(file: &FileStatus) -> String {
    file.path.as_ref().map_or_else(|| file.file.clone(), |path| path.display().to_string())
}

const fn is_broken(status: &Status) -> bool {
    match status {
        Status::Ok | Status::NoReference { .. } => false,
        Status::Missing | Status::Mismatch { .. } | Status::Unreadable { .. } => true,
    }
}

fn words(status: &Status) -> String {
    match status {
        Status::Ok => "ok".to_owned(),
        Status::Missing => "missing".to_owned(),
        Status::Mismatch { expected, found } => {
            format!("another file: SHA-256 should be {expected}, is {found}")
        }
        Status::NoReference { found } => {
            format!("there; SHA-256 is {found}, nobody has said what it should be")
        }
        Status::Unreadable { reason } => reason.clone(),
    }
}
