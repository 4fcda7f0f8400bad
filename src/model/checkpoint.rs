//! Parameters in a file: safetensors, which Python reads as it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::flat::Layout;

/// What a run needs to go on, or an evaluation to look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// All parameters in the canonical layout; each is a tensor of its own in the file.
    pub parameters: Vec<f32>,
    /// Other vectors, such as an optimizer's momentum; in the file they are called `extra.NAME`.
    pub extra: BTreeMap<String, Vec<f32>>,
    /// What else is to be known. Saving adds digests of the values, which loading checks: `digest` is that of the
    /// parameters, `digest.NAME` that of an extra vector.
    pub metadata: BTreeMap<String, String>,
}

/// A checkpoint that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused; what was there before is still there.
    #[error("cannot write the checkpoint {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file system refused.
    #[error("cannot read the checkpoint {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no safetensors file, or not a whole one.
    #[error("{path} is not a whole safetensors file: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file is not of this model.
    #[error("{path} is not a checkpoint of this model: tensor `{tensor}` {problem}")]
    Model {
        /// The file.
        path: PathBuf,
        /// Which tensor.
        tensor: String,
        /// What was expected and found.
        problem: String,
    },
    /// The values are not the ones that were saved.
    #[error(
        "{path} has changed since it was saved: metadata `{key}` says {expected}, the values have {found}"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// Which digest.
        key: String,
        /// What was saved.
        expected: String,
        /// What is there.
        found: String,
    },
}

/// Names of extra vectors in the file start with this.
const EXTRA: &str = "extra.";
/// Metadata key of the parameters' digest.
const DIGEST: &str = "digest";
/// The safetensors header's key of metadata.
const METADATA: &str = "__metadata__";
/// Bytes of the header's length, which the file starts with; the header is padded to a multiple of it.
const LENGTH_BYTES: usize = 8;

/// SHA-256 of the values as little-endian f32, in hexadecimal digits: equal digests are equal parameters, to the bit.
#[must_use]
pub fn digest(parameters: &[f32]) -> String {
    let mut hash = Sha256::new();
    parameters.iter().for_each(|value| hash.update(value.to_le_bytes()));
    super::hex(&hash.finalize())
}

impl Checkpoint {
    /// Writes the file at `path`, all of it or nothing: a full disk or a crash leaves what was there before.
    ///
    /// # Errors
    /// If the file system refuses.
    ///
    /// # Panics
    /// If the parameters are not as many as the layout's.
    pub fn save(&self, path: &Path, layout: &Layout) -> Result<(), CheckpointError> {
        assert_eq!(self.parameters.len(), layout.values(), "values of the parameters");
        let bytes = self.to_bytes(layout);
        replace(path, &bytes)
            .map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
    }

    fn to_bytes(&self, layout: &Layout) -> Vec<u8> {
        let tensor = |values: &[f32], shape: &[usize]| {
            Tensor::from_slice(values, shape, &Device::Cpu)
                .expect("as many values as its shape has")
        };
        let parameters = layout.tensors().iter().map(|parameter| {
            let values = &self.parameters[parameter.values.clone()];
            (parameter.name.clone(), tensor(values, &parameter.shape))
        });
        let extra = self
            .extra
            .iter()
            .map(|(name, values)| (format!("{EXTRA}{name}"), tensor(values, &[values.len()])));
        let file = safetensors::serialize(parameters.chain(extra), None)
            .expect("tensors in memory make a file in memory");
        let mut metadata = self.metadata.clone();
        metadata.extend(self.digests());
        with_metadata(&file, &metadata)
    }

    /// The digests of all values, by metadata key.
    fn digests(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let extra = self.extra.iter();
        let extra = extra.map(|(name, values)| (format!("{DIGEST}.{name}"), digest(values)));
        std::iter::once((DIGEST.to_owned(), digest(&self.parameters))).chain(extra)
    }

    /// Reads the file at `path`, which must have the tensors of `layout`, and no others but extra vectors.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or has other names, shapes or types than this model's.
    pub fn load(path: &Path, layout: &Layout) -> Result<Self, CheckpointError> {
        let bytes = fs::read(path)
            .map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, layout, path)
    }

    /// The metadata of the file at `path`, before it is known what model it is of.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn metadata(path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
        let bytes = fs::read(path)
            .map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
        metadata(&bytes, path)
    }

    fn from_bytes(bytes: &[u8], layout: &Layout, path: &Path) -> Result<Self, CheckpointError> {
        let metadata = metadata(bytes, path)?;
        let mut tensors: BTreeMap<String, Tensor> =
            candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
                .map_err(|error| damaged(path, &error))?
                .into_iter()
                .collect();
        let mut parameters = Vec::with_capacity(layout.values());
        for parameter in layout.tensors() {
            let tensor = tensors
                .remove(&parameter.name)
                .ok_or_else(|| model(path, &parameter.name, "is missing".to_owned()))?;
            parameters.extend(values(&tensor, &parameter.name, &parameter.shape, path)?);
        }
        let mut extra = BTreeMap::new();
        for (name, tensor) in tensors {
            let Some(short) = name.strip_prefix(EXTRA) else {
                return Err(model(path, &name, "is not one of its parameters".to_owned()));
            };
            let values = values(&tensor, &name, &[tensor.elem_count()], path)?;
            extra.insert(short.to_owned(), values);
        }
        let checkpoint = Self { parameters, extra, metadata };
        for (key, found) in checkpoint.digests() {
            match checkpoint.metadata.get(&key) {
                Some(expected) if *expected != found => {
                    let (path, expected) = (path.to_owned(), expected.clone());
                    return Err(CheckpointError::Digest { path, key, expected, found });
                }
                _ => {}
            }
        }
        Ok(checkpoint)
    }
}

fn damaged(path: &Path, problem: &impl ToString) -> CheckpointError {
    CheckpointError::Damaged { path: path.to_owned(), problem: problem.to_string() }
}

fn model(path: &Path, tensor: &str, problem: String) -> CheckpointError {
    CheckpointError::Model { path: path.to_owned(), tensor: tensor.to_owned(), problem }
}

/// The values of an f32 tensor of this shape.
fn values(
    tensor: &Tensor,
    name: &str,
    shape: &[usize],
    path: &Path,
) -> Result<Vec<f32>, CheckpointError> {
    let (found_type, found) = (tensor.dtype(), tensor.dims());
    if found_type != DType::F32 {
        return Err(model(path, name, format!("has values of type {found_type:?}, not F32")));
    }
    if found != shape {
        return Err(model(path, name, format!("has shape {found:?}, not {shape:?}")));
    }
    let flat = tensor.flatten_all().and_then(|tensor| tensor.to_vec1());
    flat.map_err(|error| damaged(path, &error))
}

fn metadata(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(path, &error))?;
    Ok(header.metadata().clone().unwrap_or_default().into_iter().collect())
}

/// Puts `metadata` into a safetensors file that has none. The crate would write it in the order of a `HashMap`, and the
/// same run would end in another file each time.
fn with_metadata(file: &[u8], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk().expect("the file starts with a length");
    let length = u64::from_le_bytes(*length) as usize;
    let (tensors, values) = rest.split_at(length);
    let text = serde_json::to_string(metadata).expect("strings are JSON");
    // `{"a": ...}` becomes `{"__metadata__": {...}, "a": ...}`; a layout has one tensor at least.
    let mut header = format!("{{\"{METADATA}\":{text},").into_bytes();
    header.extend_from_slice(&tensors[1..]);
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], &header, values].concat()
}

/// Writes `bytes` beside `path`, makes sure they are on the disk, and only then gives them the name.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    if let Err(error) = write() {
        // It may never have come to be; the first error is the one that matters.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
