//! Files that are missing, wrong, or made to hurt.

use rand_chacha::rand_core::RngCore;

use super::*;
use crate::rng::{below, stream};

/// What loading says after one file of a good folder was replaced.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tiny_folder();
    folder.write(name, bytes);
    let error = Dataset::load(&folder.spec(), None).expect_err("a wrong file was taken");
    folder.redact(error)
}

#[test]
fn wrong_idx_files_are_refused() {
    let [(_, images), (_, labels), ..] = tiny();
    let zipped = gzip(&images);
    let mut damaged = zipped.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("empty", TRAIN_IMAGES, vec![]),
        ("half a header", TRAIN_IMAGES, images[..7].to_vec()),
        ("labels for images", TRAIN_IMAGES, labels.clone()),
        ("images for labels", TEST_LABELS, images.clone()),
        ("floats", TRAIN_IMAGES, [&[0, 0, 0x0d, 3], &images[4..]].concat()),
        ("text", TRAIN_LABELS, b"<!DOCTYPE html>".to_vec()),
        ("truncated images", TRAIN_IMAGES, images[..images.len() - 1].to_vec()),
        ("truncated labels", TRAIN_LABELS, labels[..labels.len() - 2].to_vec()),
        ("trailing bytes", TRAIN_IMAGES, [&images[..], &[0]].concat()),
        ("no images", TRAIN_IMAGES, idx(&[0, 2, 3], &[])),
        ("no pixels", TRAIN_IMAGES, idx(&[5, 0, 3], &[])),
        ("a huge promise", TRAIN_IMAGES, idx(&[u32::MAX, 4096, 4096], &[1, 2, 3])),
        ("overflow", TRAIN_IMAGES, idx(&[u32::MAX, u32::MAX, u32::MAX], &[])),
        ("a large promise", TRAIN_IMAGES, idx(&[127, 4096, 4096], &[1, 2, 3])),
        ("other shape", TEST_IMAGES, idx(&[2, 3, 2], &[0; 12])),
        ("fewer labels", TRAIN_LABELS, idx(&[4], &[0; 4])),
        ("more labels", TEST_LABELS, idx(&[3], &[0; 3])),
        ("a class that is not taught", TEST_LABELS, idx(&[2], &[0, 3])),
        ("truncated gzip", TRAIN_IMAGES, zipped[..zipped.len() / 2].to_vec()),
        ("wrong checksum", TRAIN_IMAGES, damaged),
        ("not gzip after all", TRAIN_IMAGES, vec![0x1f, 0x8b, 0xff, 0xff]),
    ];
    let table: Vec<_> = cases
        .iter()
        .map(|(what, name, bytes)| format!("{what}: {}", refusal(name, bytes)))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn missing_files_are_named_with_everywhere_that_was_looked() {
    let folder = tiny_folder();
    folder.remove(TRAIN_LABELS);
    folder.remove(TEST_IMAGES);
    let mut table = vec![folder.redact(Dataset::load(&folder.spec(), None).unwrap_err())];
    // One of the four is in the folder itself; the folder `mnist` has none.
    let empty = Folder::new();
    empty.write(TEST_IMAGES, &[]);
    table.push(empty.redact(Dataset::load(&DatasetSpec::Mnist, Some(&empty.0)).unwrap_err()));
    table.push(empty.redact(Dataset::load(&DatasetSpec::Cifar100, Some(&empty.0)).unwrap_err()));
    let nowhere = DatasetSpec::Idx("no/such/folder".into());
    table.push(Dataset::load(&nowhere, None).unwrap_err().to_string());
    table.push(empty.redact(info(&nowhere, Some(&empty.0)).unwrap_err()));
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(info(&DatasetSpec::Cifar100, None).unwrap().classes, 100, "known without files");
    let statuses = verify(&DatasetSpec::Cifar10, Some(&empty.0));
    assert!(statuses.len() == 6 && statuses.iter().all(|file| file.status == Status::Missing));
}

#[test]
fn random_and_mutated_files_never_panic() {
    let folder = tiny_folder();
    let spec = folder.spec();
    for seed in 0..1500 {
        let mut rng = stream(seed, "fuzz", 0);
        let files = tiny();
        let (name, original) = &files[below(&mut rng, 4) as usize];
        let mut bytes = if below(&mut rng, 2) == 0 { gzip(original) } else { original.clone() };
        match below(&mut rng, 4) {
            0 => bytes.truncate(below(&mut rng, bytes.len() as u64) as usize),
            1 => bytes = (0..below(&mut rng, 64)).map(|_| rng.next_u32() as u8).collect(),
            _ => {
                for _ in 0..=below(&mut rng, 3) {
                    let position = below(&mut rng, bytes.len() as u64) as usize;
                    bytes[position] = rng.next_u32() as u8;
                }
            }
        }
        folder.write(name, &bytes);
        if let Ok(data) = Dataset::load(&spec, None) {
            let info = data.info;
            for (split, len) in [(&data.train, info.train_len), (&data.test, info.test_len)] {
                assert_eq!(
                    (split.labels.len(), split.images.len()),
                    (len, len * info.shape.values()),
                    "seed {seed}"
                );
                assert!(
                    split.labels.iter().all(|label| usize::from(*label) < info.classes),
                    "seed {seed}"
                );
            }
        }
        let _ = verify(&spec, None);
        folder.write(name, original);
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    // 64 MiB of zeros behind a header that promises five images.
    let mut bomb = idx(&[5, 2, 3], &[]);
    bomb.resize(64 << 20, 0);
    let refusal = refusal(TRAIN_IMAGES, &gzip(&bomb));
    assert_eq!(
        refusal,
        format!("DIR/{TRAIN_IMAGES}: expected 46 bytes, found more: not this data set, or damaged")
    );
}
