//! What is encoded: noise, and gradients of one worker of three in its 100th round on MNIST.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use mlt_lite::codec::BLOCK_VALUES;
use mlt_lite::dataset::{Augment, Dataset, DatasetSpec, Sampler, Shards};
use mlt_lite::ids::BlockIndex;
use mlt_lite::model::{Engine, Model, Recipe};
use mlt_lite::ps::optimizer::{Sgd, SgdConfig};
use mlt_lite::ps::worker::Delivery;
use mlt_lite::train::{Compute, Trainer};

/// Values in blocks.
pub struct Blocks {
    values: Vec<f32>,
    ends: Vec<usize>,
}

impl Blocks {
    /// All values, one block after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Where the values of each block are.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| start..*end)
    }

    /// The values of each block.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.ranges().map(|range| &self.values[range])
    }

    /// Blocks of a file: the number of values (16 bits), and the values, little endian.
    fn parse(mut bytes: &[u8]) -> Self {
        let mut blocks = Self { values: Vec::new(), ends: Vec::new() };
        while let Some((&len, rest)) = bytes.split_first_chunk() {
            let (block, rest) = rest.split_at(4 * usize::from(u16::from_le_bytes(len)));
            let (words, _) = block.as_chunks();
            blocks.values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
            blocks.ends.push(blocks.values.len());
            bytes = rest;
        }
        blocks
    }
}

/// So many bytes of smooth noise.
pub fn noise(bytes: usize) -> Blocks {
    let values: Vec<f32> = (0..bytes / 4).map(|i| ((i * 37) as f32).sin() * 0.01).collect();
    let ends = (BLOCK_VALUES..).step_by(BLOCK_VALUES).take_while(|end| *end < values.len());
    let ends = ends.chain([values.len()]).collect();
    Blocks { values, ends }
}

/// The whole gradient of `fc`.
pub fn fc() -> Blocks {
    Blocks::parse(include_bytes!("fc.f32"))
}

/// Every seventh block of the gradient of `resnet8`.
pub fn resnet8() -> Blocks {
    Blocks::parse(include_bytes!("resnet8.f32"))
}

const WORKERS: u16 = 3;
const ROUNDS: u64 = 100;

/// Trains as three workers do without loss, and keeps a gradient of the last round.
pub fn capture(data: &Path) -> Result<(), String> {
    let say = |error: &dyn std::error::Error| error.to_string();
    for (name, every) in [("fc", 1), ("resnet8", 7)] {
        let recipe = Recipe::builtin(name).ok_or("it is built in")?;
        let spec: DatasetSpec = "mnist".parse().map_err(|error| format!("{error}"))?;
        let dataset = Dataset::load(&spec, Some(data)).map_err(|error| say(&error))?;
        let dataset = Arc::new(dataset);
        let (shape, classes) = (dataset.info.shape, dataset.info.classes);
        let model = Model::new(Engine::Native, &recipe, shape, classes, NonZeroUsize::MIN);
        let model = model.map_err(|error| say(&error))?;
        let layout = model.layout().clone();
        let parameters = model.init(1);
        let defaults = recipe.defaults();
        let momentum = defaults.momentum as f32;
        let config = SgdConfig { momentum, nesterov: false, weight_decay: 0.0 };
        let mut sgd = Sgd::new(config, parameters.len());
        let sampler = Sampler::new(&dataset.train.labels, Shards::Iid, 1, 1);
        let mut trainer = Trainer::new(
            model,
            Arc::clone(&dataset),
            sampler.map_err(|error| say(&error))?,
            Augment::None,
            1,
        );
        let gradient = vec![0.0; parameters.len()];
        let mut delivery = Delivery { parameters, gradient, ..Delivery::default() };
        for round in 0..ROUNDS {
            let mut mean = vec![0.0; delivery.parameters.len()];
            for worker in 0..u64::from(WORKERS) {
                let first = (round * u64::from(WORKERS) + worker) * u64::from(defaults.batch);
                trainer.gradient(&mut delivery, 0, first, defaults.batch);
                let parts = mean.iter_mut().zip(&delivery.gradient);
                parts.for_each(|(mean, part)| *mean += part / f32::from(WORKERS));
            }
            sgd.step(&mut delivery.parameters, 0, &mean, defaults.lr);
        }
        let mut bytes = Vec::new();
        for block in (0..layout.blocks()).step_by(every).map(BlockIndex) {
            let values = &delivery.gradient[layout.range(block)];
            bytes.extend((values.len() as u16).to_le_bytes());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        let path = format!("{}/benches/codec/{name}.f32", env!("CARGO_MANIFEST_DIR"));
        fs::write(path, bytes).map_err(|error| say(&error))?;
    }
    Ok(())
}
