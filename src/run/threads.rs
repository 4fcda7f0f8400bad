//! How many threads compute in a worker: a matter of the machine, never of the run.

use std::num::NonZeroUsize;

use crate::cli::THREADS_MAX;

/// The threads of each of `workers` workers that compute on this machine at the same time: as typed, or else a fair
/// share of the processors that this process may use.
pub(super) fn threads(typed: Option<NonZeroUsize>, workers: u16) -> NonZeroUsize {
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    typed.unwrap_or_else(|| share(processors(), workers))
}

fn share(processors: NonZeroUsize, workers: u16) -> NonZeroUsize {
    let share = processors.get() / usize::from(workers.max(1));
    NonZeroUsize::new(share.min(THREADS_MAX)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_processors_fairly_and_none_goes_without() {
        let share = |processors, workers| share(NonZeroUsize::new(processors).unwrap(), workers);
        let shares = [(8, 1), (8, 3), (2, 2), (2, 3), (1, 1024), (4096, 1), (4, 0)];
        let shares = shares.map(|(processors, workers)| share(processors, workers).get());
        assert_eq!(shares, [8, 2, 1, 1, 1, THREADS_MAX, 4]);
    }

    #[test]
    fn what_is_typed_is_taken() {
        let three = NonZeroUsize::new(3);
        assert_eq!(Some(threads(three, 100)), three);
        assert!(threads(None, 1) >= threads(None, 2));
    }
}
