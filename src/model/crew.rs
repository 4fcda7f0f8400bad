//! Threads that compute together.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::RecipeError;
use super::tape::Tape;

/// Threads, each with a tape of its own, that share out pieces of work.
#[derive(Debug)]
pub struct Crew {
    threads: NonZeroUsize,
    tapes: Vec<Tape>,
    /// None for one thread, which is the caller's.
    pool: Option<Arc<ThreadPool>>,
}

/// Multiplications below which company costs more than it helps.
const ALONE: usize = 1 << 22;
/// Multiplications that can be done while a value comes from memory and goes back, about.
pub const PER_VALUE: usize = 16;

impl Crew {
    /// So many threads.
    pub fn new(threads: NonZeroUsize, tape: impl Fn() -> Tape) -> Result<Self, RecipeError> {
        let pool = match threads.get() {
            1 => None,
            many => {
                let pool = ThreadPoolBuilder::new().num_threads(many).build();
                Some(Arc::new(pool.map_err(|error| RecipeError::Threads {
                    threads,
                    problem: error.to_string(),
                })?))
            }
        };
        Ok(Self { threads, tapes: (0..threads.get()).map(|_| tape()).collect(), pool })
    }

    /// How many threads there are.
    pub const fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// The threads, if they are of use for so many multiplications. What is to be shared out is done inside of the
    /// pool: it takes the system a while to wake a thread, so that happens once a step.
    pub fn company(&self, work: usize) -> Option<Arc<ThreadPool>> {
        self.pool.clone().filter(|_| work > ALONE)
    }

    /// Does every piece of `pieces`, of about `work` multiplications all together; inside of the pool, everybody takes
    /// part. A piece must not depend on another, nor on what a tape holds. After a panic in one the crew is of no more
    /// use.
    pub fn share_out<P: Send>(
        &mut self,
        work: usize,
        pieces: impl Iterator<Item = P> + Send,
        perform: impl Fn(P, &mut Tape) + Sync,
    ) {
        match &self.pool {
            Some(pool) if work > ALONE && pool.current_thread_index().is_some() => {
                let pieces = Mutex::new(pieces);
                let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
                self.tapes.par_iter_mut().with_max_len(1).for_each(|tape| {
                    while let Some(piece) = next() {
                        perform(piece, tape);
                    }
                });
            }
            _ => pieces.for_each(|piece| perform(piece, &mut self.tapes[0])),
        }
    }
}
