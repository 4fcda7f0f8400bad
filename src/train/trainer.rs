//! The load itself: a model on a data set.

use std::sync::Arc;

use super::Compute;
use crate::dataset::{Augment, Dataset, Sampler, Which};
use crate::model::{Model, Tally};
use crate::ps::worker::Delivery;

/// Test images that are in memory as f32 at a time: 1.6 MB of MNIST's.
const EVALUATED_TOGETHER: u32 = 512;
/// Where the shard stands in the number by which a sample's augmentation is drawn; no shard has so many samples.
const SLOT_SHIFT: u32 = 48;

/// Computes gradients and evaluates. Its buffers grow with the first step and are used again by every other.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    dataset: Arc<Dataset>,
    sampler: Sampler,
    augment: Augment,
    seed: u64,
    images: Vec<f32>,
    labels: Vec<u8>,
}

impl Trainer {
    /// A trainer that sees the training images in the order of `sampler`, varied by `augment` as `seed` has it.
    #[must_use]
    pub const fn new(
        model: Model,
        dataset: Arc<Dataset>,
        sampler: Sampler,
        augment: Augment,
        seed: u64,
    ) -> Self {
        Self { model, dataset, sampler, augment, seed, images: Vec::new(), labels: Vec::new() }
    }

    /// Evaluates `count` test images from `first`, as many as there are.
    pub fn tally(&mut self, parameters: &[f32], first: u32, count: u32) -> Tally {
        let test_len = self.dataset.test.labels.len() as u32;
        let end = first.saturating_add(count).min(test_len);
        let mut sum = Tally::default();
        for first in (first..end).step_by(EVALUATED_TOGETHER as usize) {
            let chunk = first as usize..end.min(first + EVALUATED_TOGETHER) as usize;
            self.dataset.gather(Which::Test, chunk, &mut self.images, &mut self.labels);
            let Tally { correct, total, loss_sum } =
                self.model.evaluate(parameters, &self.images, &self.labels);
            sum.correct += correct;
            sum.total += total;
            sum.loss_sum += loss_sum;
        }
        sum
    }
}

impl Compute for Trainer {
    fn gradient(&mut self, delivery: &mut Delivery, slot: u16, first: u64, count: u32) -> f64 {
        let sampler = &mut self.sampler;
        let shard = u64::from(slot) << SLOT_SHIFT;
        let samples = (first..first + u64::from(count))
            .map(|number| (sampler.sample(slot, number), shard | number));
        let (images, labels) = (&mut self.images, &mut self.labels);
        self.dataset.gather_augmented(self.augment, self.seed, samples, images, labels);
        let Delivery { parameters, gradient, .. } = delivery;
        self.model.gradient(parameters, images, labels, gradient)
    }

    fn evaluate(&mut self, parameters: &[f32], first: u32, count: u32) -> (u32, f64) {
        let Tally { correct, loss_sum, .. } = self.tally(parameters, first, count);
        (correct, loss_sum)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::dataset::{DatasetSpec, Shards};
    use crate::model::{Engine, Recipe};

    fn trainer(model: &str, shards: Shards, augment: Augment) -> Trainer {
        let dataset = Dataset::load(&DatasetSpec::Optdigits, None).unwrap();
        let recipe = Recipe::builtin(model).unwrap();
        let (shape, classes) = (dataset.info.shape, dataset.info.classes);
        let model = Model::new(Engine::Native, &recipe, shape, classes, NonZeroUsize::MIN).unwrap();
        let sampler = Sampler::new(&dataset.train.labels, shards, 3, 7).unwrap();
        Trainer::new(model, Arc::new(dataset), sampler, augment, 7)
    }

    fn delivery(trainer: &Trainer) -> Delivery {
        let parameters = trainer.model.init(7);
        let gradient = vec![f32::NAN; parameters.len()];
        Delivery { parameters, gradient, ..Delivery::default() }
    }

    fn gradient(trainer: &mut Trainer, slot: u16, first: u64, count: u32) -> (Vec<f32>, f64) {
        let mut delivery = delivery(trainer);
        let loss = trainer.gradient(&mut delivery, slot, first, count);
        (delivery.gradient, loss)
    }

    #[test]
    fn three_slices_are_one_big_slice() {
        for model in ["fc", "resnet8"] {
            let mut trainer = trainer(model, Shards::Iid, Augment::CropFlip);
            // Across the end of the first epoch, which has 1,438 samples.
            let (whole, loss) = gradient(&mut trainer, 0, 1420, 36);
            let parts = [1420, 1432, 1444].map(|first| gradient(&mut trainer, 0, first, 12));
            let scale = whole.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            for (i, &value) in whole.iter().enumerate() {
                let mean = parts.iter().map(|(part, _)| part[i]).sum::<f32>() / 3.0;
                assert!((mean - value).abs() <= 1e-5 * scale, "{model} {i}: {mean} {value}");
            }
            let mean = parts.iter().map(|(_, loss)| loss).sum::<f64>() / 3.0;
            assert!((mean - loss).abs() < 1e-6, "{model}: {mean} {loss}");
        }
    }

    #[test]
    fn a_slice_is_the_same_whoever_computes_it_and_whenever() {
        for shards in [Shards::Iid, Shards::Dirichlet(0.5)] {
            let mut first = trainer("fc", shards, Augment::Crop);
            let mut other = trainer("fc", shards, Augment::Crop);
            let expected = gradient(&mut first, 2, 40, 20);
            for slot in [1, 0] {
                gradient(&mut other, slot, 5000, 9);
                other.tally(&delivery(&first).parameters, 0, 100);
            }
            assert_eq!(gradient(&mut other, 2, 40, 20), expected, "{shards}");
        }
    }

    #[test]
    fn ranges_of_the_test_set_add_up() {
        let mut trainer = trainer("fc", Shards::Iid, Augment::None);
        let parameters = trainer.model.init(1);
        let whole = trainer.tally(&parameters, 0, 359);
        assert_eq!(whole.total, 359);
        let parts = [(0, 100), (100, 1), (101, 258)];
        let parts = parts.map(|(first, count)| trainer.evaluate(&parameters, first, count));
        assert_eq!(parts.iter().map(|part| part.0).sum::<u32>(), whole.correct);
        assert!((parts.iter().map(|part| part.1).sum::<f64>() - whole.loss_sum).abs() < 1e-9);
        assert_eq!(trainer.tally(&parameters, 300, 100).total, 59, "as many as there are");
        assert_eq!(trainer.tally(&parameters, 400, 100).total, 0);
    }

    #[test]
    fn nothing_is_allocated_after_the_first_step() {
        let mut trainer = trainer("fc", Shards::Iid, Augment::None);
        let mut delivery = delivery(&trainer);
        trainer.gradient(&mut delivery, 0, 0, 32);
        trainer.evaluate(&delivery.parameters, 0, 359);
        let rooms = |trainer: &Trainer| (trainer.images.as_ptr(), trainer.labels.as_ptr());
        let before = rooms(&trainer);
        for step in 1..100 {
            trainer.gradient(&mut delivery, 0, 32 * step, 32);
            trainer.evaluate(&delivery.parameters, 0, 359);
        }
        assert_eq!(rooms(&trainer), before);
    }
}
