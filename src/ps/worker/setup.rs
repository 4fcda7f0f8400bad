//! What a worker brings to a run.

use std::sync::Arc;

use crate::flat::{Layout, Order};
use crate::wire::Task;

/// What a worker knows once it has the plan and its data.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The model's layout.
    pub layout: Arc<Layout>,
    /// What computes, for people, such as `resnet8, avx512, 2 threads`.
    pub engine: String,
    /// Whether what was not used is said again.
    pub feedback: bool,
    /// In which order blocks are pushed.
    pub order: Order,
    /// The run's seed.
    pub seed: u64,
    /// Shards that the training data is dealt into.
    pub slots: u16,
    /// Training examples of one round at most.
    pub batch: u32,
    /// Examples of the training set.
    pub train_len: u64,
    /// Examples of the test set.
    pub test_len: u32,
}

impl Setup {
    /// Whether a task is one of the plan's: only such tasks reach whoever computes.
    #[must_use]
    pub fn covers(&self, task: &Task) -> bool {
        match *task {
            Task::Train { slot, first, count } => {
                slot < self.slots
                    && count <= self.batch
                    && first.checked_add(count.into()).is_some()
            }
            Task::Evaluate { first, count } => {
                first.checked_add(count).is_some_and(|end| end <= self.test_len)
            }
            Task::Finish => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_beyond_the_plan_are_not_covered() {
        let layout = Layout::new([("a".to_owned(), vec![1])]).unwrap();
        let setup = Setup {
            layout: Arc::new(layout),
            engine: String::new(),
            feedback: true,
            order: Order::Rotated,
            seed: 1,
            slots: 3,
            batch: 32,
            train_len: 100,
            test_len: 7,
        };
        let train = |slot, first, count| setup.covers(&Task::Train { slot, first, count });
        assert!(train(2, u64::MAX - 32, 32) && train(0, 0, 1));
        assert!(!train(3, 0, 32) && !train(0, 0, 33) && !train(0, u64::MAX - 31, 32));
        let evaluate = |first, count| setup.covers(&Task::Evaluate { first, count });
        assert!(evaluate(0, 7) && evaluate(7, 0) && setup.covers(&Task::Finish));
        assert!(!evaluate(0, 8) && !evaluate(7, 1) && !evaluate(u32::MAX, u32::MAX));
    }
}
