//! Where the files of a data set are.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::file::Contents;
use super::manifest::{Content, Format, Manifest, ManifestFile, Part};
use super::{DatasetError, DatasetSpec, FileProblem, idx};

/// Where data sets are looked for unless told otherwise.
const DATA_DIR: &str = "data";

/// The files of a folder of one's own.
const IDX_FILES: [(&str, Part, Content); 4] = [
    ("train-images-idx3-ubyte", Part::Train, Content::Images),
    ("train-labels-idx1-ubyte", Part::Train, Content::Labels),
    ("t10k-images-idx3-ubyte", Part::Test, Content::Images),
    ("t10k-labels-idx1-ubyte", Part::Test, Content::Labels),
];

/// The folders in which `spec` may be, the likeliest first.
pub fn folders(spec: &DatasetSpec, data_dir: Option<&Path>) -> Vec<PathBuf> {
    match (spec, data_dir) {
        (DatasetSpec::Idx(folder), Some(dir)) if folder.is_relative() => {
            vec![dir.join(folder), folder.clone()]
        }
        (DatasetSpec::Idx(folder), _) => vec![folder.clone()],
        (named, Some(dir)) => vec![dir.join(named.to_string()), dir.to_owned()],
        (named, None) => vec![Path::new(DATA_DIR).join(named.to_string())],
    }
}

/// The names of the files that make up `spec`.
pub fn file_names(spec: &DatasetSpec) -> Vec<&str> {
    match Manifest::of(spec) {
        Some(manifest) => manifest.files.iter().map(|file| file.name.as_str()).collect(),
        None => IDX_FILES.map(|(name, ..)| name).to_vec(),
    }
}

/// The file called `name`, or its compressed form, in `folder`.
pub fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let candidates = [folder.join(name), folder.join(format!("{name}.gz"))];
    candidates.into_iter().find(|path| path.is_file())
}

/// What is to be read for `spec`, and the files in the order of the manifest, all from one folder.
pub fn find(
    spec: &DatasetSpec,
    data_dir: Option<&Path>,
) -> Result<(Cow<'static, Manifest>, Vec<PathBuf>), DatasetError> {
    let paths = paths(spec, data_dir)?;
    let manifest = match Manifest::of(spec) {
        Some(manifest) => Cow::Borrowed(manifest),
        None => Cow::Owned(survey(spec, &paths)?),
    };
    Ok((manifest, paths))
}

fn paths(spec: &DatasetSpec, data_dir: Option<&Path>) -> Result<Vec<PathBuf>, DatasetError> {
    let (names, looked) = (file_names(spec), folders(spec, data_dir));
    let mut missing = names.clone();
    for folder in &looked {
        let found: Vec<_> = names.iter().map(|name| file(folder, name)).collect();
        let absent = names.iter().zip(&found).filter(|(_, path)| path.is_none());
        let absent: Vec<_> = absent.map(|(name, _)| *name).collect();
        if absent.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        if absent.len() < missing.len() {
            missing = absent;
        }
    }
    let remedy = match Manifest::of(spec) {
        Some(manifest) => {
            format!("get it from {} and name its folder with --data-dir", manifest.origin)
        }
        None => {
            "the folder needs four files in the format of MNIST and called like them".to_owned()
        }
    };
    let missing = missing.into_iter().map(ToOwned::to_owned).collect();
    Err(DatasetError::Missing { set: spec.to_string(), missing, looked, remedy })
}

/// The manifest of a folder of one's own, from the headers of its files and its training labels.
fn survey(spec: &DatasetSpec, paths: &[PathBuf]) -> Result<Manifest, DatasetError> {
    let [train_images, train_labels, test_images, test_labels] = paths else {
        unreachable!("as many paths as IDX_FILES");
    };
    let images = |path: &Path| {
        let header = Contents::open(path).and_then(|mut file| idx::images_header(&mut file));
        header.map_err(|problem| problem.at(path))
    };
    let paired = |images: &Path, items: usize, labels: &Path| {
        let found = Contents::open(labels).and_then(|mut file| idx::labels_header(&mut file));
        match found.map_err(|problem| problem.at(labels))? {
            found if found == items => Ok(()),
            found => {
                let images = images.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(FileProblem::Unpaired { images, expected: items, found }.at(labels))
            }
        }
    };
    let (train, shape) = images(train_images)?;
    let (test, test_shape) = images(test_images)?;
    if test_shape != shape {
        return Err(FileProblem::Shape { expected: shape, found: test_shape }.at(test_images));
    }
    paired(train_images, train, train_labels)?;
    paired(test_images, test, test_labels)?;
    let labels = Contents::open(train_labels).and_then(|file| idx::labels(file, train));
    let labels = labels.map_err(|problem| problem.at(train_labels))?;
    let name = spec.to_string();
    let file = |(name, part, content): (&str, Part, Content)| {
        let items = if part == Part::Train { train } else { test };
        ManifestFile { name: name.to_owned(), part, content, items, sha256: None }
    };
    Ok(Manifest {
        title: "a folder of IDX files".to_owned(),
        origin: name.clone(),
        licence: "not known".to_owned(),
        name,
        format: Format::Idx,
        shape,
        classes: labels.iter().max().map_or(0, |most| usize::from(*most) + 1),
        train,
        test,
        mean: vec![],
        std: vec![],
        files: IDX_FILES.map(file).to_vec(),
    })
}
