//! Why a data set cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::shape::Shape;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Files are not where they could be.
    #[error(
        "data set {set}: {missing} not found (plain or with .gz); looked in {looked}; {remedy}",
        missing = missing.join(", "),
        looked = list(looked)
    )]
    Missing {
        /// The data set.
        set: String,
        /// What is missing in the folder that has most of it.
        missing: Vec<String>,
        /// Every folder that was searched.
        looked: Vec<PathBuf>,
        /// What to do.
        remedy: String,
    },
    /// A file is there and not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
}

fn list(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    folders.join(", ")
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read, or not be decompressed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not an IDX file of the right kind.
    #[error("expected an IDX file of {what} (magic {expected:08x}), found magic {found:08x}")]
    Magic {
        /// What should be in it.
        what: &'static str,
        /// Its first four bytes as they should be.
        expected: u32,
        /// As they are.
        found: u32,
    },
    /// Images of another size.
    #[error("expected images of {expected}, found {found}")]
    Shape {
        /// The size they should have.
        expected: Shape,
        /// The size they have.
        found: Shape,
    },
    /// Another number of images or labels.
    #[error("expected {expected} {what}, found {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// As many labels as images are needed.
    #[error(
        "{found} labels, but {images} has {expected} images: the two files do not belong together"
    )]
    Unpaired {
        /// Name of the file with the images.
        images: String,
        /// How many images it has.
        expected: usize,
        /// How many labels there are.
        found: usize,
    },
    /// A header that promises nothing, or more than we are willing to hold.
    #[error(
        "expected 1 to {limit} bytes of images of at most 4096x4096, \
         found a header that promises {items} of {height}x{width}"
    )]
    Size {
        /// The most bytes that are read.
        limit: u64,
        /// Images.
        items: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// It ends too early.
    #[error("truncated: expected {expected} bytes, found {found}; get it again")]
    Truncated {
        /// Its length, decompressed.
        expected: u64,
        /// Where it ends.
        found: u64,
    },
    /// It goes on after its end.
    #[error("expected {expected} bytes, found more: not this data set, or damaged")]
    Trailing {
        /// Its length, decompressed.
        expected: u64,
    },
    /// A label that no class has.
    #[error("expected labels below {classes}, found {label} at item {item}")]
    Label {
        /// Number of classes.
        classes: usize,
        /// The label.
        label: u8,
        /// Which item has it, from 0.
        item: usize,
    },
}

impl FileProblem {
    /// The problem, with the name of the file.
    pub(super) fn at(self, path: &Path) -> DatasetError {
        DatasetError::File { path: path.to_owned(), problem: self }
    }
}
