//! Data sets: finding, reading and checking their files, and handing out batches in a seeded order.
//!
//! Everything that comes from a file is checked before it is used; what is wrong is said with the file's name, what was
//! expected and what was found. Knows images and labels, not models.

mod augment;
mod cifar;
mod error;
mod file;
mod idx;
mod locate;
mod manifest;
mod optdigits;
mod sampler;
mod shards;
mod spec;
#[cfg(test)]
mod tests;
mod verify;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::augment::Augment;
use self::augment::{Normalise, View};
pub use self::error::{DatasetError, FileProblem};
use self::file::Contents;
pub use self::manifest::{Content, Format, Manifest, ManifestFile, Part};
pub use self::sampler::Sampler;
pub use self::shards::{Shards, ShardsError};
pub use self::spec::{DatasetSpec, UnknownDataset};
pub use self::verify::{FileStatus, Listing, Status, list, verify};
use crate::shape::Shape;

/// What a model and a plan need to know of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Shape of an image.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Number of training images.
    pub train_len: usize,
    /// Number of test images.
    pub test_len: usize,
}

/// Images and their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Bytes of one image after the other, each in the order of its [`Shape`].
    pub images: Vec<u8>,
    /// The class of each image, below [`Info::classes`].
    pub labels: Vec<u8>,
}

/// One of the two parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What is learnt from.
    Train,
    /// What is only judged by.
    Test,
}

/// A data set in memory.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its form.
    pub info: Info,
    /// What is learnt from.
    pub train: Split,
    /// What is only judged by.
    pub test: Split,
    /// Mean of each channel, white being 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
    /// Both of them at work.
    channels: Vec<Normalise>,
}

impl From<&Manifest> for Info {
    fn from(manifest: &Manifest) -> Self {
        let &Manifest { shape, classes, train, test, .. } = manifest;
        Self { shape, classes, train_len: train, test_len: test }
    }
}

/// The form of a data set. Needs no files, unless it is a folder of one's own, of which it reads the headers.
///
/// # Errors
/// If the files of that folder are missing or wrong.
pub fn info(spec: &DatasetSpec, data_dir: Option<&Path>) -> Result<Info, DatasetError> {
    match Manifest::of(spec) {
        Some(manifest) => Ok(manifest.into()),
        None => locate::find(spec, data_dir).map(|(manifest, _)| manifest.as_ref().into()),
    }
}

/// Makes sure that the files of a data set are there; a folder of one's own must also agree with itself.
///
/// # Errors
/// If they are missing or wrong.
pub fn check_files(spec: &DatasetSpec, data_dir: Option<&Path>) -> Result<(), DatasetError> {
    match spec {
        DatasetSpec::Optdigits => Ok(()),
        _ => locate::find(spec, data_dir).map(drop),
    }
}

impl Dataset {
    /// Reads all of a data set: from `data_dir/<set>` or `data_dir` itself, or from `data/<set>` if there is none.
    ///
    /// # Errors
    /// If files are missing, or one of them is not what it should be.
    pub fn load(spec: &DatasetSpec, data_dir: Option<&Path>) -> Result<Self, DatasetError> {
        if *spec == DatasetSpec::Optdigits {
            return Ok(optdigits::load());
        }
        let (manifest, paths) = locate::find(spec, data_dir)?;
        Self::read(&manifest, &paths)
    }

    /// Reads the files of `manifest`, which are at `paths`.
    fn read(manifest: &Manifest, paths: &[PathBuf]) -> Result<Self, DatasetError> {
        let train = Split::read(manifest, paths, Part::Train)?;
        let test = Split::read(manifest, paths, Part::Test)?;
        Ok(Self::new(manifest, train, test))
    }

    fn new(manifest: &Manifest, train: Split, test: Split) -> Self {
        let (mean, std) = match manifest.mean.is_empty() {
            true => moments(&train.images, manifest.shape),
            false => (manifest.mean.clone(), manifest.std.clone()),
        };
        let channels =
            mean.iter().zip(&std).map(|(mean, std)| Normalise::new(*mean, *std)).collect();
        Self { info: manifest.into(), train, test, mean, std, channels }
    }

    /// One of the two parts.
    #[must_use]
    pub const fn split(&self, which: Which) -> &Split {
        match which {
            Which::Train => &self.train,
            Which::Test => &self.test,
        }
    }

    /// Replaces the contents of `images` (normalised, image after image, channel after channel) and `labels` by those
    /// at `indices`.
    ///
    /// # Panics
    /// If an index lies beyond the end.
    pub fn gather(
        &self,
        which: Which,
        indices: impl IntoIterator<Item = usize>,
        images: &mut Vec<f32>,
        labels: &mut Vec<u8>,
    ) {
        let views = indices.into_iter().map(|index| (index, View::PLAIN));
        self.gather_views(which, views, images, labels);
    }

    /// The same for training images given by `(index, global sample index)`, augmented.
    ///
    /// # Panics
    /// If an index lies beyond the end.
    pub fn gather_augmented(
        &self,
        augment: Augment,
        seed: u64,
        samples: impl IntoIterator<Item = (usize, u64)>,
        images: &mut Vec<f32>,
        labels: &mut Vec<u8>,
    ) {
        let views = samples.into_iter().map(|(index, global)| (index, augment.view(seed, global)));
        self.gather_views(Which::Train, views, images, labels);
    }

    fn gather_views(
        &self,
        which: Which,
        views: impl Iterator<Item = (usize, View)>,
        images: &mut Vec<f32>,
        labels: &mut Vec<u8>,
    ) {
        let (split, shape) = (self.split(which), self.info.shape);
        labels.clear();
        let mut written = 0;
        for (index, view) in views {
            let out = written..written + shape.values();
            if images.len() < out.end {
                images.resize(out.end, 0.0);
            }
            written = out.end;
            let image = &split.images[index * shape.values()..][..shape.values()];
            view.write(image, shape, &self.channels, &mut images[out]);
            labels.push(split.labels[index]);
        }
        images.truncate(written);
    }
}

impl Split {
    fn read(manifest: &Manifest, paths: &[PathBuf], part: Part) -> Result<Self, DatasetError> {
        let mut split = Self::default();
        for (file, path) in manifest.files.iter().zip(paths).filter(|(file, _)| file.part == part) {
            let first = split.labels.len();
            split.read_file(manifest, file, path).map_err(|problem| problem.at(path))?;
            let labels = &split.labels[first..];
            if let Some(item) =
                labels.iter().position(|label| usize::from(*label) >= manifest.classes)
            {
                let (classes, label) = (manifest.classes, labels[item]);
                return Err(FileProblem::Label { classes, label, item }.at(path));
            }
        }
        Ok(split)
    }

    fn read_file(
        &mut self,
        manifest: &Manifest,
        file: &ManifestFile,
        path: &Path,
    ) -> Result<(), FileProblem> {
        let contents = Contents::open(path)?;
        match file.content {
            Content::Images => self.images = idx::images(contents, file.items, manifest.shape)?,
            Content::Labels => self.labels = idx::labels(contents, file.items)?,
            Content::Records => {
                cifar::records(contents, file.items, manifest.format, manifest.shape, self)?
            }
        }
        Ok(())
    }
}

/// Mean and standard deviation of each channel, white being 1. The deviation of a channel without contrast is 1, so
/// that it can be divided by.
fn moments(images: &[u8], shape: Shape) -> (Vec<f32>, Vec<f32>) {
    let plane = shape.height * shape.width;
    let of_channel = |channel: usize| {
        let planes = images.chunks_exact(plane).skip(channel).step_by(shape.channels);
        let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
        for byte in planes.flatten().map(|byte| u64::from(*byte)) {
            (count, sum, squares) = (count + 1, sum + byte, squares + byte * byte);
        }
        let mean = sum as f64 / count.max(1) as f64;
        let variance = squares as f64 / count.max(1) as f64 - mean * mean;
        let std = if variance > 0.0 { variance.sqrt() / 255.0 } else { 1.0 };
        ((mean / 255.0) as f32, std as f32)
    };
    (0..shape.channels).map(of_channel).unzip()
}
