//! Threads that compute together.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::tape::Tape;

/// Threads, each with a tape of its own, that share out pieces of work.
#[derive(Debug)]
pub struct Crew {
    tapes: Vec<Tape>,
    /// None for one thread, which is the caller's.
    pool: Option<ThreadPool>,
}

/// Multiplications below which company costs more than it helps.
const ALONE: usize = 1 << 22;

impl Crew {
    /// As many threads; where the system has not got them, fewer.
    pub fn new(threads: NonZeroUsize, tape: impl Fn() -> Tape) -> Self {
        let pool = match threads.get() {
            1 => None,
            threads => ThreadPoolBuilder::new().num_threads(threads).build().ok(),
        };
        let threads = pool.as_ref().map_or(1, ThreadPool::current_num_threads);
        Self { tapes: (0..threads).map(|_| tape()).collect(), pool }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.tapes.len()
    }

    /// Does every piece of `pieces`, of about `work` multiplications all together. A piece must not depend on another,
    /// nor on what a tape holds.
    pub fn share_out<P: Send>(
        &mut self,
        work: usize,
        pieces: impl Iterator<Item = P> + Send,
        perform: impl Fn(P, &mut Tape) + Sync,
    ) {
        match &self.pool {
            Some(pool) if work > ALONE => {
                let pieces = Mutex::new(pieces);
                let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
                pool.install(|| {
                    self.tapes.par_iter_mut().with_max_len(1).for_each(|tape| {
                        while let Some(piece) = next() {
                            perform(piece, tape);
                        }
                    });
                });
            }
            _ => pieces.for_each(|piece| perform(piece, &mut self.tapes[0])),
        }
    }
}
