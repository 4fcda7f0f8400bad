//! What a worker does with its processor; it does not know who carries the results.

mod synthetic;
mod trainer;

pub use self::synthetic::Synthetic;
pub use self::trainer::Trainer;
use crate::ps::worker::{Answer, Computed, Delivery, Job, Setup, Work};
use crate::wire::{ByeCode, Task};

/// The seam between training and network: jobs come from it, answers go to it.
pub trait Exchange {
    /// The next job; `None` when there are no more.
    fn next(&mut self) -> Option<Job>;

    /// Gives an answer to the last job.
    fn answer(&mut self, answer: Answer);
}

/// What can compute gradients and evaluate.
pub trait Compute {
    /// Fills `delivery.gradient` with the mean gradient over `count` examples from `first` of shard `slot`; returns
    /// their mean loss.
    fn gradient(&mut self, delivery: &mut Delivery, slot: u16, first: u64, count: u32) -> f64;

    /// Evaluates `count` test examples from `first`; returns how many are right, and the sum of the cross-entropy.
    fn evaluate(&mut self, parameters: &[f32], first: u32, count: u32) -> (u32, f64);
}

/// Why a plan cannot be followed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the server.
    pub code: ByeCode,
    /// For people: why, and what to do.
    pub why: String,
}

/// A plan that can be followed.
pub struct Prepared {
    /// What the server is told.
    pub setup: Setup,
    /// What computes.
    pub compute: Box<dyn Compute + Send>,
}

/// Understands a plan and loads its data.
pub type Prepare = Box<dyn FnMut(&str) -> Result<Prepared, Refusal> + Send>;

/// A worker's processor.
pub struct Processor {
    prepare: Prepare,
    compute: Option<Box<dyn Compute + Send>>,
}

impl Processor {
    /// A processor that has no plan yet.
    #[must_use]
    pub fn new(prepare: Prepare) -> Self {
        Self { prepare, compute: None }
    }

    /// Does a job.
    pub fn perform(&mut self, job: Job) -> Answer {
        let result = match job.work {
            Work::Prepare(plan) => match (self.prepare)(&plan) {
                Ok(prepared) => {
                    self.compute = Some(prepared.compute);
                    Computed::Ready(prepared.setup)
                }
                Err(Refusal { code, why }) => Computed::Refused(code, why),
            },
            Work::Compute(delivery) => self.compute(delivery),
        };
        Answer { ticket: job.ticket, result }
    }

    fn compute(&mut self, mut delivery: Delivery) -> Computed {
        let compute = self.compute.as_mut().expect("nothing is computed before a plan");
        match delivery.task {
            Some(Task::Evaluate { first, count }) => {
                let (correct, loss_sum) = compute.evaluate(&delivery.parameters, first, count);
                Computed::Evaluated(delivery, correct, loss_sum)
            }
            Some(Task::Train { slot, first, count }) => {
                let loss = compute.gradient(&mut delivery, slot, first, count);
                Computed::Trained(delivery, loss)
            }
            Some(Task::Finish) | None => unreachable!("a delivery is something to compute"),
        }
    }
}

/// Trains until there is nothing left to do.
pub fn run(processor: &mut Processor, exchange: &mut impl Exchange) {
    while let Some(job) = exchange.next() {
        let answer = processor.perform(job);
        exchange.answer(answer);
    }
}
