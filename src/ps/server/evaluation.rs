//! An evaluation: every example of the test set counted once, whoever counts it.

use std::collections::BTreeMap;

use super::{Phase, ServerCore};
use crate::event::{Evaluated, Event};
use crate::ids::{Round, WorkerId};
use crate::units::Instant;
use crate::wire::{Reject, Task};

/// The state of an evaluation.
#[derive(Debug)]
pub(super) struct Evaluation {
    /// Ranges of the test set that nobody works on: first example and count.
    pending: Vec<(u32, u32)>,
    counted: u32,
    correct: u64,
    /// Sums of the cross-entropy by first example: added up in one order, whoever was first.
    losses: BTreeMap<u32, f64>,
    test_len: u32,
}

impl Evaluation {
    /// All of `test_len` examples in `parts` ranges that differ by one at most.
    fn new(test_len: u32, parts: u32) -> Self {
        let bound = |part: u32| (u64::from(test_len) * u64::from(part) / u64::from(parts)) as u32;
        let range = |part| (bound(part), bound(part + 1) - bound(part));
        let pending = (0..parts).rev().map(range).filter(|&(_, count)| count > 0).collect();
        Self { pending, counted: 0, correct: 0, losses: BTreeMap::new(), test_len }
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.counted == self.test_len
    }
}

impl ServerCore {
    pub(super) fn begin_evaluation(&mut self, now: Instant) {
        let parts = self.ready().len() as u32;
        for member in self.members.values_mut() {
            member.evaluates = None;
        }
        self.phase = Phase::Evaluating(Evaluation::new(self.config.test_len, parts));
        self.deal_ranges(now);
    }

    /// Gives pending ranges to workers that have nothing to do.
    pub(super) fn deal_ranges(&mut self, now: Instant) {
        let workers = self.ready();
        for (rank, &id) in workers.iter().enumerate() {
            let Phase::Evaluating(evaluation) = &mut self.phase else { return };
            let Some(member) =
                self.members.get_mut(&id).filter(|member| member.evaluates.is_none())
            else {
                continue;
            };
            let Some((first, count)) = evaluation.pending.pop() else { return };
            member.evaluates = Some((first, count));
            self.round = self.round.next();
            self.start(now, id, rank as u16, workers.len() as u16, Task::Evaluate { first, count });
        }
    }

    pub(super) fn handle_counts(
        &mut self,
        now: Instant,
        id: WorkerId,
        range: (u32, u32),
        correct: u32,
        loss_sum: f64,
    ) -> Result<(), Reject> {
        let Phase::Evaluating(evaluation) = &mut self.phase else { return Err(Reject::Transfer) };
        let member = self.members.get_mut(&id).ok_or(Reject::Session)?;
        if member.evaluates != Some(range) || correct > range.1 {
            return Err(Reject::Malformed);
        }
        member.evaluates = None;
        evaluation.counted += range.1;
        evaluation.correct += u64::from(correct);
        evaluation.losses.insert(range.0, loss_sum);
        self.progress_at = now;
        self.deal_ranges(now);
        Ok(())
    }

    pub(super) fn end_evaluation(&mut self, now: Instant, evaluation: &Evaluation) {
        self.evaluated = Some(self.place.round);
        let evaluated = Evaluated {
            round: Round(self.place.round),
            epoch: self.epoch(),
            correct: evaluation.correct,
            total: evaluation.test_len.into(),
            loss: evaluation.losses.values().sum::<f64>() / f64::from(evaluation.test_len),
        };
        let accuracy = evaluated.accuracy();
        self.tell(now, Event::Evaluated(evaluated));
        // A run in two parts decides as one: what is evaluated because the first part ends is no news to the policy.
        if self.evaluation_is_due(self.place) {
            let decided = self.policy.handle_accuracy(accuracy);
            self.handle_decision(now, decided);
        }
    }

    /// Takes back the range of a worker that left.
    pub(super) fn return_range(&mut self, now: Instant, range: Option<(u32, u32)>) {
        let Phase::Evaluating(evaluation) = &mut self.phase else { return };
        evaluation.pending.extend(range);
        if self.ready().is_empty() {
            self.phase = Phase::Gathering;
        } else {
            self.deal_ranges(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_the_test_set() {
        for test_len in [1, 2, 7, 360, 10_000] {
            for parts in 1..9 {
                let evaluation = Evaluation::new(test_len, parts);
                let mut end = 0;
                for &(first, count) in evaluation.pending.iter().rev() {
                    assert!(first == end && count >= 1 && count <= test_len.div_ceil(parts));
                    end = first + count;
                }
                assert_eq!(end, test_len);
            }
        }
    }
}
