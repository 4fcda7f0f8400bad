//! Who else does the same: the crates `half` and `lz4_flex` alone, and NumPy and PyTorch if this machine's Python has
//! them.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use mlt_lite::codec::{BLOCK_VALUES, Codec, Inner};

use crate::gradients::Blocks;

/// A job of a rival's.
type Job = Box<dyn FnMut()>;

/// Whether a crate does what the codec does.
pub fn has_one(codec: Codec) -> bool {
    matches!(codec, Codec::Fp16 | Codec::Bf16 | Codec::Lz4(Inner::Raw))
}

/// What the rival of a codec has to do to encode and to decode: halves as one slice, LZ4 on the same shuffled blocks.
pub fn jobs(blocks: &Blocks, codec: Codec) -> (Job, Job) {
    let values = blocks.values().to_vec();
    let (mut decoded, len) = (vec![0f32; values.len()], values.len());
    match codec {
        Codec::Fp16 => {
            let mut halves = vec![f16::ZERO; len];
            halves.convert_from_f32_slice(&values);
            let given = halves.clone();
            (
                Box::new(move || halves.convert_from_f32_slice(std::hint::black_box(&values))),
                Box::new(move || std::hint::black_box(&given).convert_to_f32_slice(&mut decoded)),
            )
        }
        Codec::Bf16 => {
            let mut halves = vec![bf16::ZERO; len];
            halves.convert_from_f32_slice(&values);
            let given = halves.clone();
            (
                Box::new(move || halves.convert_from_f32_slice(std::hint::black_box(&values))),
                Box::new(move || std::hint::black_box(&given).convert_to_f32_slice(&mut decoded)),
            )
        }
        Codec::Lz4(Inner::Raw) => {
            let shuffled: Vec<Vec<u8>> = blocks.iter().map(shuffle).collect();
            let mut out = vec![0; get_maximum_output_size(4 * BLOCK_VALUES)];
            let pack = |block: &Vec<u8>| {
                let mut out = vec![0; get_maximum_output_size(block.len())];
                let len = compress_into(block, &mut out).expect("room");
                (out[..len].to_vec(), block.len())
            };
            let packed: Vec<(Vec<u8>, usize)> = shuffled.iter().map(pack).collect();
            let mut back = vec![0; 4 * BLOCK_VALUES];
            (
                Box::new(move || {
                    for block in &shuffled {
                        compress_into(std::hint::black_box(block), &mut out).expect("room");
                    }
                }),
                Box::new(move || {
                    for (block, len) in &packed {
                        let block = std::hint::black_box(block);
                        decompress_into(block, &mut back[..*len]).expect("our own bytes");
                    }
                }),
            )
        }
        _ => (Box::new(|| ()), Box::new(|| ())),
    }
}

fn shuffle(block: &[f32]) -> Vec<u8> {
    (0..4).flat_map(|place| block.iter().map(move |value| value.to_le_bytes()[place])).collect()
}

/// GB/s of NumPy and PyTorch.
pub struct Python(BTreeMap<String, f64>);

impl Python {
    /// What they do in a step of a codec.
    pub fn rates(&self, on: &str, codec: &str, step: &str) -> [Option<f64>; 2] {
        let rate = |rival| self.0.get(&format!("{rival} {codec} {step}")).copied();
        if on == "4 MB" { ["numpy", "torch"].map(rate) } else { [None, None] }
    }
}

/// Asks the Python of this machine (or of `PYTHON`); whoever cannot be imported has no rates.
pub fn python() -> Python {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/codec/rivals.py");
    let output = Command::new(python).arg(script).stderr(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let rate = |line: &str| {
        let (name, rate) = line.rsplit_once(' ')?;
        Some((name.to_owned(), rate.parse().ok()?))
    };
    Python(said.unwrap_or_default().lines().filter_map(rate).collect())
}
