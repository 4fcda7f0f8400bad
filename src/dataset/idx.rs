//! The IDX format of MNIST: a magic number that says the type and the number of dimensions, the dimensions, the bytes.

use std::io::BufRead;

use super::FileProblem;
use super::file::{BYTES_MAX, Contents};
use crate::shape::Shape;

/// Unsigned bytes in one dimension.
const MAGIC_LABELS: u32 = 0x0801;
/// Unsigned bytes in three dimensions.
const MAGIC_IMAGES: u32 = 0x0803;

/// Images with longer sides are refused.
const SIDE_MAX: usize = 4096;

/// Reads the header of a file of images: how many, and their shape. Both are within limits.
pub fn images_header(file: &mut Contents<impl BufRead>) -> Result<(usize, Shape), FileProblem> {
    magic(file, "images", MAGIC_IMAGES)?;
    let [items, height, width] = [number(file)?, number(file)?, number(file)?];
    let sides = 1..=SIDE_MAX;
    let bytes = (items as u64).saturating_mul(height as u64 * width as u64);
    if !sides.contains(&height) || !sides.contains(&width) || !(1..=BYTES_MAX).contains(&bytes) {
        return Err(FileProblem::Size { limit: BYTES_MAX, items, height, width });
    }
    Ok((items, Shape { channels: 1, height, width }))
}

/// Reads the header of a file of labels: how many.
pub fn labels_header(file: &mut Contents<impl BufRead>) -> Result<usize, FileProblem> {
    magic(file, "labels", MAGIC_LABELS)?;
    number(file)
}

/// Reads a file of `items` images of `shape`.
pub fn images(
    mut file: Contents<impl BufRead>,
    items: usize,
    shape: Shape,
) -> Result<Vec<u8>, FileProblem> {
    let (found_items, found_shape) = images_header(&mut file)?;
    if found_shape != shape {
        return Err(FileProblem::Shape { expected: shape, found: found_shape });
    }
    if found_items != items {
        return Err(FileProblem::Count { what: "images", expected: items, found: found_items });
    }
    let bytes = file.take(items as u64 * shape.values() as u64)?;
    file.finish()?;
    Ok(bytes)
}

/// Reads a file of `items` labels.
pub fn labels(mut file: Contents<impl BufRead>, items: usize) -> Result<Vec<u8>, FileProblem> {
    let found = labels_header(&mut file)?;
    if found != items {
        return Err(FileProblem::Count { what: "labels", expected: items, found });
    }
    let bytes = file.take(items as u64)?;
    file.finish()?;
    Ok(bytes)
}

fn magic(
    file: &mut Contents<impl BufRead>,
    what: &'static str,
    expected: u32,
) -> Result<(), FileProblem> {
    let found = number(file)? as u32;
    if found == expected { Ok(()) } else { Err(FileProblem::Magic { what, expected, found }) }
}

/// Four bytes, big endian.
fn number(file: &mut Contents<impl BufRead>) -> Result<usize, FileProblem> {
    let bytes = file.take(4)?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
