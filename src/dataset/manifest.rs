//! What is known of a data set before it is read: `data/<set>/dataset.toml`, built into the binary.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::DatasetSpec;
use crate::shape::Shape;

/// Origin, licence, form and files of a data set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What people type.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Where it comes from.
    pub origin: String,
    /// On what terms, and whom to name.
    pub licence: String,
    /// How its files are laid out.
    pub format: Format,
    /// Shape of an image as models see it.
    pub shape: Shape,
    /// Number of classes; labels are below it.
    pub classes: usize,
    /// Number of training images.
    pub train: usize,
    /// Number of test images.
    pub test: usize,
    /// Mean of each channel over the training images, white being 1. Empty if it has to be computed.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, likewise.
    pub std: Vec<f32>,
    /// Its files.
    pub files: Vec<ManifestFile>,
}

/// How the files of a data set are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// MNIST's: images and labels in a file each.
    Idx,
    /// Records of a label and an image.
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// Records of a coarse label, a fine label and an image; the fine one counts.
    #[serde(rename = "cifar-100")]
    Cifar100,
}

/// One file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its name; with `.gz` appended it may be compressed.
    pub name: String,
    /// What it is for.
    pub part: Part,
    /// What is in it.
    pub content: Content,
    /// How many of them.
    pub items: usize,
    /// SHA-256 of the contents, decompressed, in hexadecimal; `None` if nobody has stated it.
    pub sha256: Option<String>,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Training.
    Train,
    /// Testing.
    Test,
    /// Both: we split it.
    All,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// IDX images.
    Images,
    /// IDX labels.
    Labels,
    /// CIFAR records: label and image together.
    Records,
}

impl Format {
    /// Bytes of labels before the image of a record; the last one is the label.
    #[must_use]
    pub const fn label_bytes(self) -> usize {
        match self {
            Self::Idx => 0,
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }
}

impl Manifest {
    /// What is known of `spec`; `None` for a folder of one's own.
    #[must_use]
    pub fn of(spec: &DatasetSpec) -> Option<&'static Self> {
        static ALL: OnceLock<Vec<Manifest>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let read = |text| toml::from_str(text).expect("part of the binary, and read by a test");
            TEXTS.map(read).into()
        });
        let position = DatasetSpec::NAMED.iter().position(|named| named == spec)?;
        all.get(position)
    }
}

/// In the order of [`DatasetSpec::NAMED`].
const TEXTS: [&str; 5] = [
    include_str!("../../data/optdigits/dataset.toml"),
    include_str!("../../data/mnist/dataset.toml"),
    include_str!("../../data/fashion-mnist/dataset.toml"),
    include_str!("../../data/cifar-10/dataset.toml"),
    include_str!("../../data/cifar-100/dataset.toml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_sound() {
        for spec in &DatasetSpec::NAMED {
            let manifest = Manifest::of(spec).unwrap();
            assert_eq!(manifest.name, spec.to_string());
            assert_eq!(manifest.mean.len(), manifest.shape.channels);
            assert_eq!(manifest.std.len(), manifest.shape.channels);
            assert!(manifest.std.iter().all(|std| *std > 0.1));
            let items = |part: Part, content: Content| -> usize {
                let files = manifest
                    .files
                    .iter()
                    .filter(|file| (file.part, file.content) == (part, content));
                files.map(|file| file.items).sum()
            };
            for (part, count) in [(Part::Train, manifest.train), (Part::Test, manifest.test)] {
                let [images, labels, records] =
                    [Content::Images, Content::Labels, Content::Records]
                        .map(|content| items(part, content));
                match (spec, manifest.format) {
                    (DatasetSpec::Optdigits, _) => assert_eq!([images, labels, records], [0; 3]),
                    (_, Format::Idx) => assert_eq!([images, labels, records], [count, count, 0]),
                    _ => assert_eq!([images, labels, records], [0, 0, count]),
                }
            }
            let all = items(Part::All, Content::Images);
            assert!(all == 0 || all == manifest.train + manifest.test);
            for sha256 in manifest.files.iter().filter_map(|file| file.sha256.as_ref()) {
                assert!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
        }
        assert_eq!(Manifest::of(&DatasetSpec::Idx("x".into())), None);
    }
}
