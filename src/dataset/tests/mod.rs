//! Data sets from crafted files, and the real ones.

mod hostile;

use std::fs;
use std::io::Write as _;

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::scratch::Scratch;

/// A folder of files of one's own.
struct Folder(Scratch);

impl Folder {
    fn new() -> Self {
        Self(Scratch::new("dataset"))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    fn spec(&self) -> DatasetSpec {
        DatasetSpec::Idx(self.0.to_path_buf())
    }

    fn redact(&self, text: impl ToString) -> String {
        text.to_string().replace(&self.0.display().to_string(), "DIR")
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = (0x0800 | dimensions.len() as u32).to_be_bytes().to_vec();
    file.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    file.extend_from_slice(bytes);
    file
}

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Five training and two test images of 2x3.
fn tiny() -> [(&'static str, Vec<u8>); 4] {
    let pixels: Vec<u8> = (0..42).map(|i| i * 6).collect();
    [
        (TRAIN_IMAGES, idx(&[5, 2, 3], &pixels[..30])),
        (TRAIN_LABELS, idx(&[5], &[0, 1, 2, 1, 0])),
        (TEST_IMAGES, idx(&[2, 2, 3], &pixels[30..])),
        (TEST_LABELS, idx(&[2], &[2, 0])),
    ]
}

fn tiny_folder() -> Folder {
    let folder = Folder::new();
    tiny().iter().for_each(|(name, bytes)| folder.write(name, bytes));
    folder
}

#[test]
fn a_folder_of_ones_own_loads_plain_or_gzipped() {
    let folder = tiny_folder();
    let data = Dataset::load(&folder.spec(), None).unwrap();
    let shape = Shape { channels: 1, height: 2, width: 3 };
    assert_eq!(data.info, Info { shape, classes: 3, train_len: 5, test_len: 2 });
    assert_eq!(info(&folder.spec(), None).unwrap(), data.info);
    assert_eq!(data.train.labels, [0, 1, 2, 1, 0]);
    assert_eq!(data.test.images[..3], [180, 186, 192]);
    // 0, 6 .. 174: the mean is 87, the deviation that of 0 .. 29 times 6.
    assert!((data.mean[0] * 255.0 - 87.0).abs() < 1e-3);
    assert!((data.std[0] * 255.0 - 6.0 * (899.0f32 / 12.0).sqrt()).abs() < 1e-3);

    for (name, bytes) in tiny() {
        folder.remove(name);
        folder.write(&format!("{name}.gz"), &gzip(&bytes));
    }
    let zipped = Dataset::load(&folder.spec(), None).unwrap();
    assert_eq!((zipped.train, zipped.test), (data.train, data.test));
    let statuses = verify(&folder.spec(), None);
    assert!(statuses.iter().all(|file| matches!(file.status, Status::NoReference { .. })));
    let (name, whole) = &tiny()[0];
    folder.write(name, &whole[..whole.len() - 1]);
    let broken: Vec<_> = verify(&folder.spec(), None)
        .into_iter()
        .filter(|file| matches!(&file.status, Status::Unreadable { reason } if reason.contains("bytes")))
        .collect();
    assert!(broken.len() == 1 && broken[0].file == *name, "{broken:?}");
    folder.write(name, whole);
    let relative = DatasetSpec::Idx(folder.0.file_name().unwrap().into());
    assert!(Dataset::load(&relative, Some(&std::env::temp_dir())).is_ok());
}

#[test]
fn gather_normalises_and_augments() {
    let data = Dataset::load(&tiny_folder().spec(), None).unwrap();
    let (mut images, mut labels) = (vec![9.0], vec![9]);
    data.gather(Which::Train, [4, 1], &mut images, &mut labels);
    assert_eq!((images.len(), labels.as_slice()), (12, &[0, 1][..]));
    let expected = |byte: f32| (byte / 255.0 - data.mean[0]) / data.std[0];
    assert!(
        (images[0] - expected(144.0)).abs() < 1e-6 && (images[11] - expected(66.0)).abs() < 1e-6
    );
    data.gather(Which::Test, [1], &mut images, &mut labels);
    assert_eq!((images.len(), labels.as_slice()), (6, &[0][..]));

    let (mut all, mut one) = (vec![], vec![]);
    data.gather_augmented(
        Augment::CropFlip,
        7,
        (0..50).map(|i| (i % 5, i as u64)),
        &mut all,
        &mut labels,
    );
    for i in 0..50 {
        data.gather_augmented(Augment::CropFlip, 7, [(i % 5, i as u64)], &mut one, &mut labels);
        assert_eq!(one, all[i * 6..][..6], "a sample depends on its batch");
    }
    data.gather(Which::Train, [3, 2], &mut all, &mut labels);
    data.gather_augmented(Augment::None, 7, [(3, 5), (2, 6)], &mut one, &mut labels);
    assert_eq!(one, all);
}

/// CIFAR with two training files of two images and one test file of one, 1x2 pixels of three colours.
fn tiny_cifar(format: Format) -> Manifest {
    let spec = if format == Format::Cifar10 { DatasetSpec::Cifar10 } else { DatasetSpec::Cifar100 };
    let mut manifest = Manifest::of(&spec).unwrap().clone();
    manifest.shape = Shape { channels: 3, height: 1, width: 2 };
    let files = [("a", Part::Train, 2), ("b", Part::Train, 2), ("c", Part::Test, 1)];
    let file = |(name, part, items): (&str, Part, usize)| ManifestFile {
        name: name.to_owned(),
        part,
        content: Content::Records,
        items,
        sha256: None,
    };
    manifest.files = files.map(file).to_vec();
    (manifest.train, manifest.test) = (4, 1);
    manifest
}

#[test]
fn cifar_records_load_and_wrong_ones_are_refused() {
    let folder = Folder::new();
    let paths = ["a", "b", "c"].map(|name| folder.0.join(name));
    let ten = tiny_cifar(Format::Cifar10);
    let record =
        |label: u8, first: u8| -> Vec<u8> { [label].into_iter().chain(first..first + 6).collect() };
    folder.write("a", &[record(3, 10), record(9, 20)].concat());
    folder.write("b", &gzip(&[record(0, 30), record(1, 40)].concat()));
    folder.write("c", &record(2, 50));
    let data = Dataset::read(&ten, &paths).unwrap();
    assert_eq!(
        (data.train.labels.as_slice(), data.test.labels.as_slice()),
        (&[3, 9, 0, 1][..], &[2][..])
    );
    assert_eq!(
        (data.train.images.len(), &data.train.images[12..14], &data.test.images[..]),
        (24, &[30, 31][..], &[50, 51, 52, 53, 54, 55][..])
    );
    let (mut images, mut labels) = (vec![], vec![]);
    data.gather(Which::Test, [0], &mut images, &mut labels);
    assert!((images[5] - (55.0 / 255.0 - 0.4465) / 0.2616).abs() < 1e-6, "blue has its own mean");

    let hundred = tiny_cifar(Format::Cifar100);
    let error = Dataset::read(&hundred, &paths).unwrap_err();
    let mut table = vec![folder.redact(error)];
    let two_labels = |coarse: u8, fine: u8| [vec![coarse], record(fine, 7)].concat();
    folder.write("a", &[two_labels(19, 99), two_labels(0, 20)].concat());
    folder.write("b", &[two_labels(200, 0), two_labels(1, 1)].concat());
    folder.write("c", &two_labels(2, 42));
    let data = Dataset::read(&hundred, &paths).unwrap();
    assert_eq!((data.train.labels, data.test.labels), (vec![99, 20, 0, 1], vec![42]));
    table.push(folder.redact(Dataset::read(&ten, &paths).unwrap_err()));
    folder.write("b", &[two_labels(0, 0), two_labels(1, 100)].concat());
    table.push(folder.redact(Dataset::read(&hundred, &paths).unwrap_err()));
    folder.write("a", &[]);
    table.push(folder.redact(Dataset::read(&hundred, &paths).unwrap_err()));
    insta::assert_snapshot!(table.join("\n"), @r"
        DIR/a: truncated: expected 16 bytes, found 14; get it again
        DIR/a: expected 14 bytes, found more: not this data set, or damaged
        DIR/b: expected labels below 100, found 100 at item 1
        DIR/a: truncated: expected 16 bytes, found 0; get it again
        ");
}

#[test]
fn optdigits_is_part_of_the_binary() {
    let statuses = verify(&DatasetSpec::Optdigits, None);
    assert!(
        statuses.len() == 2
            && statuses.iter().all(|file| file.status == Status::Ok && file.path.is_none())
    );
    let data = Dataset::load(&DatasetSpec::Optdigits, Some(Path::new("no/such/folder"))).unwrap();
    assert_eq!(data.info, info(&DatasetSpec::Optdigits, None).unwrap());
    constants_are_right(&data);
    let listed = list(None);
    assert_eq!(listed.len(), DatasetSpec::NAMED.len());
    assert!(listed[0].embedded && listed[0].folder.is_none());
}

fn constants_are_right(data: &Dataset) {
    let (mean, std) = moments(&data.train.images, data.info.shape);
    for (stated, found) in data.mean.iter().chain(&data.std).zip(mean.iter().chain(&std)) {
        assert!((stated - found).abs() < 1e-4, "{stated} is stated, {found} is right");
    }
}

#[test]
fn mnist_loads_and_verifies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.join("mnist").is_dir() {
        eprintln!("skipped: no MNIST in {}", folder.display());
        return;
    }
    let data = Dataset::load(&DatasetSpec::Mnist, Some(&folder)).unwrap();
    assert_eq!(data.info, info(&DatasetSpec::Mnist, None).unwrap());
    assert_eq!(data.train.labels[..5], [5, 0, 4, 1, 9]);
    constants_are_right(&data);
    assert_eq!(
        Dataset::load(&DatasetSpec::Mnist, Some(&folder.join("mnist"))).unwrap().test,
        data.test
    );
    let statuses = verify(&DatasetSpec::Mnist, Some(&folder));
    assert!(
        statuses.len() == 4 && statuses.iter().all(|file| file.status == Status::Ok),
        "{statuses:?}"
    );
    // The names are the same: only hashes tell one from the other, and nobody has stated Fashion-MNIST's.
    let other = verify(&DatasetSpec::FashionMnist, Some(&folder.join("mnist")));
    assert!(other.iter().all(|file| matches!(file.status, Status::NoReference { .. })));
    let listed = list(Some(&folder));
    assert_eq!(listed[1].folder, Some(folder.join("mnist")));
}
