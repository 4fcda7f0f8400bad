//! Seeded randomness: one seed, many independent streams.
//!
//! Every use of chance names its stream, so that adding one use never shifts the numbers of another.

use rand_chacha::{ChaCha8Rng, rand_core::RngCore, rand_core::SeedableRng};
use sha2::{Digest, Sha256};

/// The generator of one stream.
pub type Rng = ChaCha8Rng;

/// The generator of stream `name`, number `index`, of the run seeded with `seed`.
#[must_use]
pub fn stream(seed: u64, name: &str, index: u64) -> Rng {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(index.to_le_bytes())
        .chain_update(name.as_bytes())
        .finalize();
    Rng::from_seed(digest.into())
}

/// A uniform number in `[0, 1)` with 53 bits of chance.
pub fn unit(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A uniform whole number below `bound` (Lemire's multiplication; the bias is below `bound / 2^64`).
///
/// # Panics
/// If `bound` is 0.
pub fn below(rng: &mut impl RngCore, bound: u64) -> u64 {
    assert!(bound > 0, "no number lies below 0");
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// Puts `items` into a uniformly random order (Fisher and Yates).
pub fn shuffle<T>(rng: &mut impl RngCore, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, name, index| stream(seed, name, index).next_u64();
        assert_eq!(draw(7, "init", 0), draw(7, "init", 0));
        let all = [draw(7, "init", 0), draw(8, "init", 0), draw(7, "order", 0), draw(7, "init", 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a));
        }
    }

    #[test]
    fn unit_and_below_stay_in_range_and_shuffle_keeps_all() {
        let mut rng = stream(1, "test", 0);
        let mut sum = 0.0;
        for _ in 0..10_000 {
            let x = unit(&mut rng);
            assert!((0.0..1.0).contains(&x));
            sum += x;
            assert!(below(&mut rng, 7) < 7);
        }
        assert!((sum / 10_000.0 - 0.5).abs() < 0.02);
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut rng, &mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
