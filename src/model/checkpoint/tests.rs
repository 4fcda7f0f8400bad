//! Checkpoints survive the disk; other files are refused by name.

use super::*;
use crate::scratch::Scratch;

fn layout() -> Layout {
    Layout::new([("b.weight".to_owned(), vec![2, 3]), ("a.bias".to_owned(), vec![2])]).unwrap()
}

fn checkpoint() -> Checkpoint {
    let text = |text: &str| text.to_owned();
    Checkpoint {
        parameters: (0..8u8).map(|i| f32::from(i) - 3.5).collect(),
        extra: BTreeMap::from([(text("momentum"), vec![0.5; 8])]),
        metadata: ["model", "recipe", "round"]
            .into_iter()
            .map(|key| (text(key), format!("\"{key}\"\n= ü")))
            .collect(),
    }
}

#[test]
fn what_is_saved_is_loaded_and_is_the_same_file_each_time() {
    let folder = Scratch::new("checkpoint-same");
    let (path, saved) = (folder.join("a.safetensors"), checkpoint());
    saved.save(&path, &layout()).unwrap();
    let loaded = Checkpoint::load(&path, &layout()).unwrap();
    assert_eq!((&loaded.parameters, &loaded.extra), (&saved.parameters, &saved.extra));
    assert!(saved.metadata.iter().all(|(key, value)| loaded.metadata.get(key) == Some(value)));
    assert_eq!(loaded.metadata["digest"], digest(&saved.parameters));
    assert_eq!(Checkpoint::metadata(&path).unwrap(), loaded.metadata);
    let first = fs::read(&path).unwrap();
    loaded.save(&path, &layout()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    assert_eq!(fs::read_dir(&*folder).unwrap().count(), 1, "something was left beside it");
    let header = first[8..].split(|byte| *byte == b'}').next().unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(header));
}

#[test]
fn a_digest_is_that_of_the_little_endian_bytes() {
    let expected = super::super::hex(&Sha256::digest([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]));
    assert_eq!(digest(&[1.0, -2.0]), expected);
    assert_ne!(digest(&[0.0]), digest(&[-0.0]));
}

#[test]
fn damaged_files_are_refused_whatever_the_damage() {
    let good = checkpoint().to_bytes(&layout());
    let load = |bytes: &[u8]| Checkpoint::from_bytes(bytes, &layout(), Path::new("x"));
    assert!(load(&good).is_ok());
    for length in 0..good.len() {
        assert!(load(&good[..length]).is_err(), "cut at {length}");
    }
    assert!(load(&[&good[..], &[0]].concat()).is_err());
    let values = good.len() - 16 * size_of::<f32>();
    for at in values..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let error = load(&bytes).unwrap_err();
        assert!(matches!(error, CheckpointError::Digest { .. }), "byte {at}: {error}");
    }
    // Anything may happen to the header, but a panic.
    for at in 0..values {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let _ = load(&bytes);
        }
    }
}

#[test]
fn files_of_other_models_are_refused_by_tensor() {
    let load = |tensors: Vec<(&str, Tensor)>| {
        let bytes = safetensors::serialize(tensors, None).unwrap();
        Checkpoint::from_bytes(&bytes, &layout(), Path::new("x.safetensors"))
            .unwrap_err()
            .to_string()
    };
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let doubles = Tensor::zeros(2, DType::F64, &Device::Cpu).unwrap();
    let refusals = [
        load(vec![("a.bias", zeros(&[2]))]),
        load(vec![("a.bias", zeros(&[2])), ("b.weight", zeros(&[3, 2]))]),
        load(vec![("a.bias", doubles), ("b.weight", zeros(&[2, 3]))]),
        load(vec![("a.bias", zeros(&[2])), ("b.weight", zeros(&[2, 3])), ("c", zeros(&[1]))]),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    x.safetensors is not a checkpoint of this model: tensor `b.weight` is missing
    x.safetensors is not a checkpoint of this model: tensor `b.weight` has shape [3, 2], not [2, 3]
    x.safetensors is not a checkpoint of this model: tensor `a.bias` has values of type F64, not F32
    x.safetensors is not a checkpoint of this model: tensor `c` is not one of its parameters
    ");
}

#[test]
fn a_failed_save_leaves_the_previous_file() {
    let folder = Scratch::new("checkpoint-failed");
    let path = folder.join("a.safetensors");
    checkpoint().save(&path, &layout()).unwrap();
    let before = fs::read(&path).unwrap();
    // A folder where the new file is to be written stands for a disk that refuses.
    fs::create_dir(folder.join("a.safetensors.tmp")).unwrap();
    let error = checkpoint().save(&path, &layout()).unwrap_err();
    assert!(error.to_string().contains("a.safetensors") && error.to_string().contains("write"));
    assert_eq!(fs::read(&path).unwrap(), before);
    let missing = Checkpoint::load(&folder.join("b.safetensors"), &layout()).unwrap_err();
    assert!(matches!(missing, CheckpointError::Read { .. }));
}
