//! The gradient over all training images, measured in a simulation beside the rounds: what a policy would have seen
//! without the noise of batches, of workers and of what is missing.

use std::num::NonZeroUsize;

use super::Job;
use super::brief::Brief;
use super::prepare::{Library, prepared};
use super::resumed::Resumed;
use crate::event::{Event, RoundEnded};
use crate::ids::BlockIndex;
use crate::plan::{Load, Plan, Training};
use crate::ps::measure::Measures;
use crate::ps::server::ServerCore;
use crate::ps::worker::Delivery;
use crate::train::{Compute, Refusal};

/// Training images whose gradient is computed at a time.
const TOGETHER: u64 = 512;

/// Measures full gradients.
pub(super) struct Full {
    /// Rounds between measurements.
    every: u32,
    images: u64,
    compute: Box<dyn Compute + Send>,
    delivery: Delivery,
    sum: Vec<f64>,
    measures: Measures,
    /// The round whose parameters were seen last, if any: one that is begun anew has the same.
    seen: Option<u32>,
    /// Whether the window has begun before this run.
    partial: bool,
}

impl Full {
    /// For `job`; none if it does not ask for it.
    ///
    /// # Errors
    /// If its plan cannot be followed here.
    pub(super) fn new(
        job: &Job,
        library: &Library,
        threads: NonZeroUsize,
    ) -> Result<Option<Self>, Refusal> {
        let (every, plan) = (job.full_norm(), job.plan());
        let Load::Training(training) = &plan.load else { return Ok(None) };
        if every == 0 {
            return Ok(None);
        }
        // Each image once, as it is.
        let (shards, augment) = ("iid".to_owned(), "none".to_owned());
        let load = Load::Training(Training { shards, augment, ..training.clone() });
        let brief = Brief { plan: Plan { load, ..plan.clone() }, ..job.brief.clone() };
        let values = job.layout.values();
        Ok(Some(Self {
            every,
            images: job.config.calendar.train_len,
            compute: prepared(&brief, library, threads)?.compute,
            delivery: Delivery { gradient: vec![0.0; values], ..Delivery::default() },
            sum: vec![0.0; values],
            measures: Measures::new(&job.layout, job.config.window)
                .resumed(job.resumed.as_ref().and_then(Resumed::window), &vec![0.0; values]),
            seen: None,
            partial: job.resumed.is_some(),
        }))
    }

    /// Takes note of an event; of a round that has ended, tells what would have been seen.
    pub(super) fn record(
        &mut self,
        job: &Job,
        event: &Event,
        server: &ServerCore,
    ) -> Option<RoundEnded> {
        match event {
            Event::RoundStarted(started) if Some(started.round.0) != self.seen => {
                let first = self.seen.replace(started.round.0).is_none();
                if first || (started.round.0 - 1).is_multiple_of(self.every) {
                    let weight = job.config.batches.share(started.batch);
                    self.measure(job, server.parameters(), weight);
                }
                None
            }
            Event::RoundEnded(ended) => {
                let norm = self.measures.norm();
                let mut ended = RoundEnded { norm, window: Vec::new(), ..ended.clone() };
                self.measures.end_round(&job.layout, &mut ended);
                if !ended.window.is_empty() && std::mem::take(&mut self.partial) {
                    ended.window.clear();
                }
                ended.signal = Some(norm * norm);
                Some(ended)
            }
            _ => None,
        }
    }

    fn measure(&mut self, job: &Job, parameters: &[f32], weight: f64) {
        self.delivery.parameters.clear();
        self.delivery.parameters.extend_from_slice(parameters);
        self.sum.fill(0.0);
        for first in (0..self.images).step_by(TOGETHER as usize) {
            let count = TOGETHER.min(self.images - first);
            self.compute.gradient(&mut self.delivery, 0, first, count as u32);
            let part = count as f64 / self.images as f64;
            for (sum, &value) in self.sum.iter_mut().zip(&self.delivery.gradient) {
                *sum += part * f64::from(value);
            }
        }
        for (value, &sum) in self.delivery.gradient.iter_mut().zip(&self.sum) {
            *value = sum as f32;
        }
        self.measures.begin_round(weight);
        for block in (0..job.layout.blocks()).map(BlockIndex) {
            let gradient = &self.delivery.gradient[job.layout.range(block)];
            self.measures.handle_block(&job.layout, block, gradient, None);
        }
    }
}
