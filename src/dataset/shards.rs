//! How training data is shared out over slots, one for each worker's place in the plan.

use std::fmt;
use std::str::FromStr;

use crate::rng::{shuffle, stream, unit};
use rand_chacha::rand_core::RngCore;

/// Who learns from which samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shards {
    /// All from all of them, in one common order.
    #[default]
    Iid,
    /// Each slot from its own share. Each class is divided in proportions from a symmetric Dirichlet distribution with
    /// this parameter: 100 is even, 1 is uneven, 0.1 leaves most slots with one or two classes.
    Dirichlet(f64),
}

/// Text that is no way to share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardsError {
    /// Not one of the known ways.
    #[error("`{0}` is not a way to share data (known: iid, dirichlet:ALPHA)")]
    Unknown(String),
    /// A parameter out of range.
    #[error("`dirichlet:{0}`: expected a number between 0.001 and 1000, such as `dirichlet:0.1`")]
    Alpha(String),
    /// Not enough to go round.
    #[error(
        "{samples} training samples cannot be shared by {slots} workers: each needs at least one"
    )]
    TooMany {
        /// Samples there are.
        samples: usize,
        /// Slots to fill.
        slots: u16,
    },
}

const DIRICHLET: &str = "dirichlet:";
const ALPHAS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// For each slot the samples it owns, in ascending order: every sample has one owner, every slot at least one sample.
///
/// # Errors
/// If there are fewer samples than slots.
pub(super) fn dirichlet(
    labels: &[u8],
    alpha: f64,
    slots: u16,
    seed: u64,
) -> Result<Vec<Vec<u32>>, ShardsError> {
    if labels.len() < usize::from(slots) {
        return Err(ShardsError::TooMany { samples: labels.len(), slots });
    }
    let mut classes: Vec<Vec<u32>> = vec![vec![]; 1 << u8::BITS];
    for (sample, label) in (0..).zip(labels) {
        classes[usize::from(*label)].push(sample);
    }
    let mut shards = vec![vec![]; slots.into()];
    for (class, members) in (0..).zip(&mut classes) {
        let mut rng = stream(seed, "shards", class);
        shuffle(&mut rng, members);
        let (mut start, mut sum) = (0, 0.0);
        for (shard, share) in shards.iter_mut().zip(proportions(&mut rng, alpha, slots.into())) {
            sum += share;
            let end = ((sum * members.len() as f64).round() as usize).clamp(start, members.len());
            shard.extend_from_slice(&members[start..end]);
            start = end;
        }
        // What rounding left over.
        if let Some(last) = shards.last_mut() {
            last.extend_from_slice(&members[start..]);
        }
    }
    feed_the_empty(&mut shards);
    shards.iter_mut().for_each(|shard| shard.sort_unstable());
    Ok(shards)
}

/// Gives every empty shard one sample of the largest.
fn feed_the_empty(shards: &mut [Vec<u32>]) {
    while let Some(empty) = shards.iter().position(Vec::is_empty) {
        let Some(sample) = shards.iter_mut().max_by_key(|shard| shard.len()).and_then(Vec::pop)
        else {
            return;
        };
        shards[empty].push(sample);
    }
}

/// A draw from the symmetric Dirichlet distribution: gamma variates over their sum, taken in logarithms because for a
/// small `alpha` most of them are too small for an f64.
fn proportions(rng: &mut impl RngCore, alpha: f64, count: usize) -> Vec<f64> {
    let logs: Vec<f64> = (0..count).map(|_| ln_gamma_variate(rng, alpha)).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The logarithm of a draw from Gamma(`alpha`, 1): Marsaglia and Tsang, "A Simple Method for Generating Gamma
/// Variables", ACM TOMS 26 (2000); below 1 by way of `alpha + 1`, as they propose.
fn ln_gamma_variate(rng: &mut impl RngCore, alpha: f64) -> f64 {
    if alpha < 1.0 {
        // 1 - unit lies in (0, 1]: its logarithm is finite.
        return ln_gamma_variate(rng, alpha + 1.0) + (1.0 - unit(rng)).ln() / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - unit(rng)).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

/// A draw from the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl RngCore) -> f64 {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(rng)).cos()
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iid => f.write_str("iid"),
            Self::Dirichlet(alpha) => write!(f, "{DIRICHLET}{alpha}"),
        }
    }
}

impl FromStr for Shards {
    type Err = ShardsError;

    fn from_str(text: &str) -> Result<Self, ShardsError> {
        match text.strip_prefix(DIRICHLET) {
            Some(alpha) => {
                let number = alpha.parse().ok().filter(|number| ALPHAS.contains(number));
                number.map(Self::Dirichlet).ok_or_else(|| ShardsError::Alpha(alpha.to_owned()))
            }
            None if text == "iid" => Ok(Self::Iid),
            None => Err(ShardsError::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_variates_have_the_right_moments() {
        for alpha in [0.1, 0.5, 1.0, 2.5, 20.0] {
            let mut rng = stream(1, "gamma", 0);
            let draws = 100_000;
            let values: Vec<f64> =
                (0..draws).map(|_| ln_gamma_variate(&mut rng, alpha).exp()).collect();
            let mean = values.iter().sum::<f64>() / f64::from(draws);
            let variance =
                values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(draws);
            assert!((mean / alpha - 1.0).abs() < 0.05, "alpha {alpha}: mean {mean}");
            assert!((variance / alpha - 1.0).abs() < 0.1, "alpha {alpha}: variance {variance}");
        }
    }

    #[test]
    fn every_sample_has_one_owner_and_no_slot_is_empty() {
        for seed in 0..300 {
            let mut rng = stream(seed, "test", 0);
            let labels: Vec<u8> = (0..200 + seed).map(|_| (rng.next_u32() % 10) as u8).collect();
            for (alpha, slots) in [(0.001, 200), (0.1, 3), (1.0, 7), (1000.0, 1), (0.01, 64)] {
                let shards = dirichlet(&labels, alpha, slots, seed).unwrap();
                assert!(
                    shards.len() == usize::from(slots)
                        && shards.iter().all(|shard| !shard.is_empty())
                );
                let mut all = shards.concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..labels.len() as u32), "seed {seed} alpha {alpha}");
            }
        }
        let refusal = dirichlet(&[0; 3], 1.0, 4, 1).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "3 training samples cannot be shared by 4 workers: each needs at least one"
        );
    }

    #[test]
    fn alpha_is_evenness() {
        let labels: Vec<u8> = (0..10_000).map(|i| (i % 10) as u8).collect();
        // How many of ten classes a slot of four has a fair share of (at least half of a quarter), on average.
        let classes = |alpha: f64| {
            let mut fair = 0;
            for seed in 0..20 {
                for shard in dirichlet(&labels, alpha, 4, seed).unwrap() {
                    let of_class = |class| {
                        shard.iter().filter(|sample| labels[**sample as usize] == class).count()
                    };
                    fair += (0..10).filter(|class| of_class(*class) >= 125).count();
                }
            }
            f64::from(fair as u32) / 80.0
        };
        let [even, uneven, skewed] = [100.0, 1.0, 0.1].map(classes);
        assert!(
            even == 10.0 && (5.0..8.0).contains(&uneven) && skewed < 4.5,
            "{even} {uneven} {skewed}"
        );
    }

    #[test]
    fn names_come_back() {
        for text in ["iid", "dirichlet:0.1", "dirichlet:1000"] {
            assert_eq!(text.parse::<Shards>().unwrap().to_string(), text);
        }
        let refusal = |text: &str| format!("{}\n", text.parse::<Shards>().unwrap_err());
        insta::assert_snapshot!(["skewed", "dirichlet", "dirichlet:0", "dirichlet:nan"].map(refusal).concat(), @r"
        `skewed` is not a way to share data (known: iid, dirichlet:ALPHA)
        `dirichlet` is not a way to share data (known: iid, dirichlet:ALPHA)
        `dirichlet:0`: expected a number between 0.001 and 1000, such as `dirichlet:0.1`
        `dirichlet:nan`: expected a number between 0.001 and 1000, such as `dirichlet:0.1`
        ");
    }
}
