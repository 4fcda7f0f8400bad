//! `make bench-codec`: how fast codecs are beside a memory copy of the same values and beside their rivals, and how
//! small they make real gradients. GB/s count bytes of f32.
//!
//! Medians of turns; a codec, the copy and the rival that it is compared with have theirs in alternation, on one core.
//! `cargo bench --bench codec -- NAME` keeps the codecs called so; `-- capture DATA` makes the gradients anew.

mod gradients;
mod rivals;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use mlt_lite::codec::{BLOCK_VALUES, Codec};
use mlt_lite::net::Clock;
use mlt_lite::report::{Cell, Column, Table};
use mlt_lite::simd::BlockKernels;

use gradients::Blocks;

/// Turns that each job has.
const TURNS: usize = 25;
/// Bytes of f32 that a job works on in a turn, at least.
const BYTES: usize = 4 << 20;

/// What is measured of a codec.
const STEPS: [&str; 3] = ["encode", "decode", "add"];

struct Row {
    on: &'static str,
    codec: String,
    step: &'static str,
    gb_per_s: f64,
    of_copy: f64,
    /// Bytes, of those of raw.
    size: Option<f64>,
    rivals: [Option<f64>; 3],
    bar: String,
}

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [first, folder] = words.as_slice()
        && first == "capture"
    {
        return match gradients::capture(Path::new(folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                let _ = writeln!(std::io::stderr(), "{problem}");
                ExitCode::FAILURE
            }
        };
    }
    let python = rivals::python();
    let mut rows = Vec::new();
    for (on, blocks) in [
        ("4 MB", gradients::noise(BYTES)),
        ("fc", gradients::fc()),
        ("resnet8", gradients::resnet8()),
    ] {
        for codec in Codec::ALL {
            // What blocks of factors look like is `raw`.
            if matches!(codec, Codec::PowerSgd(_)) {
                continue;
            }
            if words.is_empty() || words.contains(&codec.to_string()) {
                rows.extend(measure(on, &blocks, codec, &python));
            }
        }
    }
    let _ = std::io::stdout().write_all(table(&rows).to_text().as_bytes());
    ExitCode::SUCCESS
}

fn table(rows: &[Row]) -> Table {
    let column = |name: &str, cell: &dyn Fn(&Row) -> Cell| Column {
        name: name.to_owned(),
        cells: rows.iter().map(cell).collect(),
    };
    let number = |value: Option<f64>, decimals| match value {
        Some(value) => Cell::of(&[value], decimals),
        None => Cell::Empty,
    };
    let level = BlockKernels::detected().level();
    Table {
        columns: vec![
            column(&format!("on ({level})"), &|row| Cell::Text(row.on.to_owned())),
            column("codec", &|row| Cell::Text(row.codec.clone())),
            column("step", &|row| Cell::Text(row.step.to_owned())),
            column("GB/s", &|row| Cell::of(&[row.gb_per_s], 2)),
            column("of copy", &|row| Cell::of(&[row.of_copy], 2)),
            column("of raw B", &|row| number(row.size, 4)),
            column("x crate", &|row| number(row.rivals[0], 2)),
            column("x NumPy", &|row| number(row.rivals[1], 2)),
            column("x PyTorch", &|row| number(row.rivals[2], 2)),
            column("bar", &|row| Cell::Text(row.bar.clone())),
        ],
    }
}

/// Seconds that each of the jobs takes, in the median of turns.
pub fn race(jobs: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let clock = Clock::start();
    let mut samples = vec![Vec::new(); jobs.len()];
    for turn in 0..=TURNS {
        for (job, samples) in jobs.iter_mut().zip(&mut samples) {
            let began = clock.now();
            job();
            // The first turn warms up.
            if turn > 0 {
                samples.push((clock.now() - began).as_secs_f64());
            }
        }
    }
    let median = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    samples.into_iter().map(median).collect()
}

fn measure(on: &'static str, blocks: &Blocks, codec: Codec, python: &rivals::Python) -> Vec<Row> {
    let raw = size_of_val(blocks.values());
    let (seconds, encoded) = times(blocks, codec);
    let has_rival = rivals::has_one(codec);
    let rows = STEPS.into_iter().enumerate().map(|(i, step)| {
        let gb_per_s = (passes(blocks) * raw) as f64 / seconds[1 + i] / 1e9;
        let rival = (has_rival && i < 2).then(|| seconds[4 + i] / seconds[1 + i]);
        let [numpy, torch] = python.rates(on, &codec.to_string(), step);
        let mut row = Row {
            on,
            codec: codec.to_string(),
            step,
            gb_per_s,
            of_copy: seconds[0] / seconds[1 + i],
            size: (i == 0).then_some(encoded as f64 / raw as f64),
            rivals: [rival, numpy.map(|rate| gb_per_s / rate), torch.map(|rate| gb_per_s / rate)],
            bar: String::new(),
        };
        row.bar = bars(&row);
        row
    });
    rows.collect()
}

/// How often a job goes over the blocks in a turn.
fn passes(blocks: &Blocks) -> usize {
    BYTES.div_ceil(size_of_val(blocks.values()))
}

/// Seconds for a copy, for each of the [`STEPS`], and for what the rival does in the first two of them; and how many
/// bytes all blocks are encoded.
fn times(blocks: &Blocks, codec: Codec) -> (Vec<f64>, usize) {
    let values = blocks.values();
    let mut encoded = vec![0; size_of_val(values) + 4 * BLOCK_VALUES];
    let mut ends = Vec::new();
    let mut end = 0;
    for block in blocks.iter() {
        end += codec.encode(block, &mut encoded[end..]);
        ends.push(end);
    }
    let bytes = encoded[..end].to_vec();
    let each = |visit: &mut dyn FnMut(std::ops::Range<usize>, &[u8])| {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        for ((range, start), end) in blocks.ranges().zip(starts).zip(&ends) {
            visit(range, std::hint::black_box(&bytes[start..*end]));
        }
    };
    let repeat = |job: &mut dyn FnMut()| (0..passes(blocks)).for_each(|_| job());
    let (mut copy, mut decoded) = (vec![0f32; values.len()], vec![0f32; values.len()]);
    let mut sum = decoded.clone();
    let (mut rival_encode, mut rival_decode) = rivals::jobs(blocks, codec);
    let seconds = race(&mut [
        Box::new(|| repeat(&mut || copy.copy_from_slice(std::hint::black_box(values)))),
        Box::new(|| {
            repeat(&mut || {
                let mut end = 0;
                for block in std::hint::black_box(blocks).iter() {
                    end += codec.encode(block, &mut encoded[end..]);
                }
            });
        }),
        Box::new(|| {
            repeat(&mut || {
                each(&mut |range, bytes| {
                    codec.decode(bytes, &mut decoded[range]).expect("our own bytes");
                });
            });
        }),
        Box::new(|| {
            repeat(&mut || {
                each(&mut |range, bytes| {
                    codec.decode_add(bytes, &mut sum[range]).expect("our own bytes");
                });
            });
        }),
        Box::new(|| repeat(&mut rival_encode)),
        Box::new(|| repeat(&mut rival_decode)),
    ]);
    (seconds, end)
}

/// What a row has to reach, and whether it does.
fn bars(row: &Row) -> String {
    let (mut bars, at_4_mb) = (Vec::new(), row.on == "4 MB");
    let mut bar = |what: String, holds: bool| {
        bars.push(format!("{what} {}", if holds { "holds" } else { "MISSED" }));
    };
    let mut least =
        |what: &str, least: f64, found: f64| bar(format!("{what} >= {least}"), found >= least);
    match (row.codec.as_str(), row.step) {
        ("fp16" | "bf16", step) if at_4_mb => {
            least("copy", 0.6, row.of_copy);
            if step != "add" {
                let rivals = row.rivals.iter().flatten().fold(f64::MAX, |a, b| a.min(*b));
                least("rivals", 1.0, rivals);
            }
        }
        ("uint8", "encode") if at_4_mb => least("copy", 0.35, row.of_copy),
        ("uint8", "decode") if at_4_mb => least("copy", 0.6, row.of_copy),
        ("rle", "encode") if row.on == "fc" => least("GB/s", 1.0, row.gb_per_s),
        ("topk:0.01", "encode") => least("GB/s", 1.0, row.gb_per_s),
        ("lz4", "encode" | "decode") => least("rival", 0.9, row.rivals[0].unwrap_or_default()),
        _ => {}
    }
    let most = match (row.codec.as_str(), row.on) {
        ("fp16", _) => Some(0.5),
        ("uint8", "fc" | "resnet8") => Some(0.26),
        ("rle", "fc") => Some(0.7),
        ("rle", _) => Some(1.01),
        ("topk:0.01", _) => Some(0.022),
        _ => None,
    };
    if let (Some(most), Some(size)) = (most, row.size) {
        bar(format!("size <= {most}"), size <= most);
    }
    bars.join(", ")
}
