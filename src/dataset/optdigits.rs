//! The data set that is part of the binary: 8x8 digits of 17 grey levels, brought to the shape of MNIST.

use super::file::Contents;
use super::manifest::Manifest;
use super::{Dataset, DatasetSpec, Split, idx};
use crate::rng::{shuffle, stream};
use crate::shape::Shape;

const IMAGES: &[u8] = include_bytes!("../../data/optdigits/optdigits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../../data/optdigits/optdigits-labels-idx1-ubyte.gz");

const SMALL: Shape = Shape { channels: 1, height: 8, width: 8 };
/// The brightest value of the 8x8 images.
const WHITE: u32 = 16;
/// Every value becomes a patch of 3x3.
const SCALE: usize = 3;
/// 24x24 in the middle of 28x28, as MNIST's digits are 20x20 in the middle.
const BORDER: usize = 2;

/// Where the 80/20 split comes from: the same for everyone, for ever, whatever the seed of a run.
const SPLIT_SEED: u64 = 20;
/// One image in this many is for testing, in every class.
const TEST_SHARE: usize = 5;

/// The files as they are embedded, in the order of the manifest.
pub const EMBEDDED: [&[u8]; 2] = [IMAGES, LABELS];

pub fn load() -> Dataset {
    let manifest = Manifest::of(&DatasetSpec::Optdigits).expect("optdigits has a manifest");
    let items = manifest.train + manifest.test;
    let images = Contents::new(IMAGES).and_then(|file| idx::images(file, items, SMALL));
    let labels = Contents::new(LABELS).and_then(|file| idx::labels(file, items));
    let (images, labels) =
        images.ok().zip(labels.ok()).expect("part of the binary, and read by a test");
    let is_test = split(&labels, manifest.classes);
    let (mut train, mut test) = (Split::default(), Split::default());
    for ((image, label), is_test) in images.chunks(SMALL.values()).zip(labels).zip(is_test) {
        let part = if is_test { &mut test } else { &mut train };
        enlarge(image, &mut part.images);
        part.labels.push(label);
    }
    Dataset::new(manifest, train, test)
}

/// Which images are for testing: a fifth of every class, at random.
fn split(labels: &[u8], classes: usize) -> Vec<bool> {
    let mut is_test = vec![false; labels.len()];
    for class in 0..classes {
        let mut members: Vec<usize> =
            (0..labels.len()).filter(|&i| usize::from(labels[i]) == class).collect();
        shuffle(&mut stream(SPLIT_SEED, "optdigits/split", class as u64), &mut members);
        let tested = (members.len() + TEST_SHARE / 2) / TEST_SHARE;
        for &member in &members[..tested] {
            is_test[member] = true;
        }
    }
    is_test
}

/// Appends `image` in 28x28. Bilinear, because MNIST's strokes have soft edges too, and models meant for it would see
/// a nearest-neighbour image as a staircase. In whole numbers: the same bytes everywhere.
fn enlarge(image: &[u8], out: &mut Vec<u8>) {
    let side = SMALL.width * SCALE + 2 * BORDER;
    let inside = BORDER..side - BORDER;
    for row in 0..side {
        for column in 0..side {
            let value = if inside.contains(&row) && inside.contains(&column) {
                between(image, row - BORDER, column - BORDER)
            } else {
                0
            };
            out.push(value);
        }
    }
}

/// The image at `(row, column)` of 24x24, 255 being white; dark outside.
fn between(image: &[u8], row: usize, column: usize) -> u8 {
    let mut ninths = 0;
    for (y, y_thirds) in neighbours(row) {
        for (x, x_thirds) in neighbours(column) {
            if y < SMALL.height && x < SMALL.width {
                ninths += u32::from(image[y * SMALL.width + x]) * y_thirds * x_thirds;
            }
        }
    }
    let scale = WHITE * (SCALE * SCALE) as u32;
    ((ninths * 255 + scale / 2) / scale) as u8
}

/// The two small pixels that `position` lies between, with their weights in thirds: the middle of each patch of three
/// is one pixel alone. Wraps below 0, which is outside.
fn neighbours(position: usize) -> [(usize, u32); 2] {
    let pixel = position / SCALE;
    match position % SCALE {
        0 => [(pixel, 2), (pixel.wrapping_sub(1), 1)],
        1 => [(pixel, 3), (pixel, 0)],
        _ => [(pixel, 2), (pixel + 1, 1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_is_enlarged_smoothly() {
        let mut image = [0; 64];
        (image[0], image[9], image[63]) = (16, 8, 16);
        let mut large = vec![];
        enlarge(&image, &mut large);
        assert_eq!(large.len(), 784);
        let corner: Vec<_> = (2..9).map(|row| large[row * 28 + 2..][..7].to_vec()).collect();
        assert_eq!(corner[0], [113, 170, 113, 57, 0, 0, 0]);
        assert_eq!(corner[1], [170, 255, 170, 85, 0, 0, 0]);
        assert_eq!(corner[4], [0, 0, 43, 85, 128, 85, 43]);
        assert_eq!(large[26 * 28 - 3], 113);
        let border =
            (0..784).filter(|i| !(2..26).contains(&(i / 28)) || !(2..26).contains(&(i % 28)));
        assert!(border.into_iter().all(|i| large[i] == 0));
        let mut white = vec![];
        enlarge(&[16; 64], &mut white);
        assert_eq!(white[14 * 28 + 14], 255);
    }

    #[test]
    fn the_split_is_stratified_and_fixed() {
        let data = load();
        assert_eq!(
            (data.info.train_len, data.info.test_len),
            (data.train.labels.len(), data.test.labels.len())
        );
        assert_eq!(data.train.images.len(), data.info.train_len * 784);
        let count =
            |labels: &[u8], class: u8| labels.iter().filter(|label| **label == class).count();
        let mut table = String::new();
        for class in 0..10 {
            let (train, test) = (count(&data.train.labels, class), count(&data.test.labels, class));
            let all = (train + test) as f64;
            assert!((test as f64 - all / 5.0).abs() <= 1.0);
            table += &format!("{class}: {train}+{test}  ");
        }
        insta::assert_snapshot!(table.trim_end().replace("  5:", "\n5:"), @r"
        0: 142+36  1: 146+36  2: 142+35  3: 146+37  4: 145+36
        5: 146+36  6: 145+36  7: 143+36  8: 139+35  9: 144+36
        ");
        let digest = |split: &Split| crc32fast::hash(&split.images);
        let digests = format!("{:08x} {:08x}", digest(&data.train), digest(&data.test));
        insta::assert_snapshot!(digests, @"8532c203 c8661016");
    }
}
