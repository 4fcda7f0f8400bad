//! `mlt-lite eval`: the accuracy of a saved model.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::{self, Exit, Failure};
use crate::dataset::{Augment, Dataset, DatasetSpec, Sampler, Shards};
use crate::model::{Checkpoint, Model, Recipe, digest};
use crate::train::Trainer;

use super::Console;
use super::threads::threads;

/// What an evaluation came to.
#[derive(Debug, Serialize)]
struct Evaluation<'a> {
    checkpoint: &'a Path,
    model: &'a str,
    dataset: String,
    accuracy: f64,
    correct: u32,
    total: u32,
    /// Mean cross-entropy; none where it is no finite number, which JSON cannot say.
    loss: Option<f64>,
    /// Of the parameters.
    digest: String,
}

/// Runs what was typed.
///
/// # Errors
/// If the checkpoint is not one of a model, or the data set is not here.
pub fn eval(typed: &cli::Eval, console: &mut Console<'_>) -> Result<Exit, Failure> {
    console.goes_on("evaluating");
    let path = typed.checkpoint.as_path();
    let metadata = Checkpoint::metadata(path)?;
    let known = |key: &str| {
        let text = metadata.get(key).map(String::as_str);
        text.ok_or_else(|| Failure::new(Exit::Failed, strange(path, key)))
    };
    let recipe = Recipe::parse(known("recipe")?, &format!("of {}", path.display()))?;
    let spec: DatasetSpec = match &typed.dataset {
        Some(dataset) => dataset.parse()?,
        None => known("dataset")?.parse()?,
    };
    let dataset = Arc::new(Dataset::load(&spec, Some(&typed.data_dir))?);
    let (shape, classes) = (dataset.info.shape, dataset.info.classes);
    let threads = threads(typed.threads, 1);
    let model = Model::new(typed.engine, &recipe, shape, classes, threads)?;
    let Checkpoint { parameters, .. } = Checkpoint::load(path, model.layout())?;
    let sampler = Sampler::new(&dataset.train.labels, Shards::Iid, 1, 0)?;
    let mut trainer = Trainer::new(model, dataset, sampler, Augment::None, 0);
    let tally = trainer.tally(&parameters, 0, u32::MAX);
    let total = f64::from(tally.total.max(1));
    let evaluation = Evaluation {
        checkpoint: path,
        model: recipe.name(),
        dataset: spec.to_string(),
        accuracy: f64::from(tally.correct) / total,
        correct: tally.correct,
        total: tally.total,
        loss: Some(tally.loss_sum / total).filter(|loss| loss.is_finite()),
        digest: digest(&parameters),
    };
    match typed.json {
        true => console.result(serde_json::to_string(&evaluation).expect("plain data is JSON")),
        false => console.result(text(&evaluation)),
    }
    Ok(Exit::Done)
}

fn text(evaluation: &Evaluation<'_>) -> String {
    let Evaluation { model, dataset, accuracy, correct, total, loss, .. } = evaluation;
    let loss = loss.unwrap_or(f64::NAN);
    let percent = 100.0 * accuracy;
    format!("{model} on {dataset}: accuracy {percent:.2}% ({correct} of {total}), loss {loss:.4}")
}

fn strange(path: &Path, key: &str) -> String {
    format!(
        "{} does not say its {key}: it is no checkpoint of mlt-lite, or that of a synthetic load",
        path.display()
    )
}
