//! A training step allocates nothing: everything it needs is there after the first one.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlt_lite::dataset::{Augment, Dataset, DatasetSpec, Sampler, Shards};
use mlt_lite::model::{Engine, Model, Recipe};
use mlt_lite::ps::worker::Delivery;
use mlt_lite::train::{Compute, Trainer};

/// The system's allocator, and how often it was asked.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator; counting touches no memory of others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Steps that are watched.
const STEPS: u64 = 24;

/// How often memory is asked for in [`STEPS`] steps and evaluations.
fn allocations(model: &str, threads: usize) -> usize {
    let dataset = Arc::new(Dataset::load(&DatasetSpec::Optdigits, None).expect("it is built in"));
    let recipe = Recipe::builtin(model).expect("it is built in");
    let (shape, classes) = (dataset.info.shape, dataset.info.classes);
    let threads = NonZeroUsize::new(threads).expect("above 0");
    let model = Model::new(Engine::Native, &recipe, shape, classes, threads).expect("it fits");
    let parameters = model.init(7);
    let gradient = vec![0.0; parameters.len()];
    let mut delivery = Delivery { parameters, gradient, ..Delivery::default() };
    let sampler = Sampler::new(&dataset.train.labels, Shards::Iid, 1, 7).expect("one worker");
    let mut trainer = Trainer::new(model, dataset, sampler, Augment::CropFlip, 7);
    let mut step = |i: u64| {
        trainer.gradient(&mut delivery, 0, 16 * i, 16);
        trainer.evaluate(&delivery.parameters, 0, 64);
    };
    (0..4).for_each(&mut step);
    let before = ASKED.load(Ordering::Relaxed);
    (4..4 + STEPS).for_each(&mut step);
    ASKED.load(Ordering::Relaxed) - before
}

/// One test, for the count is of the whole process.
#[test]
fn a_step_allocates_nothing() {
    for model in ["fc", "resnet8"] {
        assert_eq!(allocations(model, 1), 0, "{model}, 1 thread");
        // The queue through which a pool of threads takes its work grows by a block every 63 calls.
        let most = (2 * STEPS as usize).div_ceil(63) + 1;
        let asked = allocations(model, 2);
        assert!(asked <= most, "{model}, 2 threads: {asked} times in {STEPS} steps");
    }
}
