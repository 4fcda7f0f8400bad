//! Whether the files are those that the manifest means, and which data sets are here.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::file::{BYTES_MAX, Contents};
use super::manifest::Manifest;
use super::{Dataset, DatasetError, DatasetSpec, FileProblem, locate, optdigits};

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// Its name in the manifest.
    pub file: String,
    /// Where it is; `None` if it is missing or part of the binary.
    pub path: Option<PathBuf>,
    /// What it is.
    #[serde(flatten)]
    pub status: Status,
}

/// What a file is. Hashes are SHA-256 of the decompressed contents, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The one that is meant.
    Ok,
    /// Nowhere.
    Missing,
    /// Another one.
    Mismatch {
        /// The hash of the one that is meant.
        expected: String,
        /// Its hash.
        found: String,
    },
    /// There, but nobody has stated what its hash should be.
    NoReference {
        /// Its hash.
        found: String,
    },
    /// There, but it cannot be read, decompressed or understood.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// A data set that has a name, and whether it is here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listing {
    /// What is known of it.
    #[serde(flatten)]
    pub manifest: &'static Manifest,
    /// Part of the binary: needs no files.
    pub embedded: bool,
    /// The folder that has all its files.
    pub folder: Option<PathBuf>,
}

/// Compares the files of `spec` with the hashes that are known, each wherever it is found first.
#[must_use]
pub fn verify(spec: &DatasetSpec, data_dir: Option<&Path>) -> Vec<FileStatus> {
    let manifest = Manifest::of(spec);
    let reference = |i: usize| manifest.and_then(|manifest| manifest.files[i].sha256.as_deref());
    let folders = locate::folders(spec, data_dir);
    let names = locate::file_names(spec).into_iter().enumerate();
    let mut statuses: Vec<_> = names
        .map(|(i, name)| {
            if *spec == DatasetSpec::Optdigits {
                let status = compare(Contents::new(optdigits::EMBEDDED[i]), reference(i));
                return FileStatus { file: name.to_owned(), path: None, status };
            }
            let path = folders.iter().find_map(|folder| locate::file(folder, name));
            let status = path
                .as_ref()
                .map_or(Status::Missing, |path| compare(Contents::open(path), reference(i)));
            FileStatus { file: name.to_owned(), path, status }
        })
        .collect();
    if statuses.iter().all(|file| matches!(file.status, Status::NoReference { .. })) {
        read(spec, data_dir, &mut statuses);
    }
    statuses
}

/// Without hashes, reading them shows whether the files are whole and go together; the first that is not is marked.
fn read(spec: &DatasetSpec, data_dir: Option<&Path>, statuses: &mut [FileStatus]) {
    let Err(DatasetError::File { path, problem }) = Dataset::load(spec, data_dir) else { return };
    if let Some(file) = statuses.iter_mut().find(|file| file.path.as_ref() == Some(&path)) {
        file.status = Status::Unreadable { reason: problem.to_string() };
    }
}

/// The data sets that have a name, and where they are.
#[must_use]
pub fn list(data_dir: Option<&Path>) -> Vec<Listing> {
    let listing = |spec: &DatasetSpec| {
        let embedded = *spec == DatasetSpec::Optdigits;
        let names = locate::file_names(spec);
        let complete =
            |folder: &PathBuf| names.iter().all(|name| locate::file(folder, name).is_some());
        let folder = locate::folders(spec, data_dir).into_iter().find(complete);
        Some(Listing {
            manifest: Manifest::of(spec)?,
            embedded,
            folder: folder.filter(|_| !embedded),
        })
    };
    DatasetSpec::NAMED.iter().filter_map(listing).collect()
}

fn compare(
    contents: Result<Contents<impl BufRead>, FileProblem>,
    expected: Option<&str>,
) -> Status {
    match (contents.and_then(sha256), expected) {
        (Err(problem), _) => Status::Unreadable { reason: problem.to_string() },
        (Ok(found), None) => Status::NoReference { found },
        (Ok(found), Some(expected)) if found == expected => Status::Ok,
        (Ok(found), Some(expected)) => Status::Mismatch { expected: expected.to_owned(), found },
    }
}

/// Reads at most as much as is ever read of a file, so that a gzip bomb costs bounded time.
fn sha256(contents: Contents<impl BufRead>) -> Result<String, FileProblem> {
    let mut hash = Sha256::new();
    let mut contents = contents.take(BYTES_MAX);
    let mut buf = vec![0; 1 << 16];
    loop {
        match contents.read(&mut buf)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(&buf[..count]),
        }
    }
}
