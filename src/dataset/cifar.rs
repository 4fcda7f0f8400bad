//! The binary version of CIFAR: records of one or two labels and 3,072 bytes, red, green and blue planes.

use std::io::BufRead;

use super::file::Contents;
use super::manifest::Format;
use super::{FileProblem, Split};
use crate::shape::Shape;

/// Appends the `items` records of a file to `split`.
pub fn records(
    mut file: Contents<impl BufRead>,
    items: usize,
    format: Format,
    shape: Shape,
    split: &mut Split,
) -> Result<(), FileProblem> {
    let record = format.label_bytes() + shape.values();
    let bytes = file.take(items as u64 * record as u64)?;
    file.finish()?;
    split.images.reserve(items * shape.values());
    for record in bytes.chunks_exact(record) {
        let (labels, image) = record.split_at(format.label_bytes());
        split.labels.extend(labels.last());
        split.images.extend_from_slice(image);
    }
    Ok(())
}
