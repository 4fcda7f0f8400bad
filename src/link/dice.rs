//! The dice of a link: each effect has its own, so that changing one condition leaves the others as they fell.

use std::time::Duration;

use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::NetSpec;
use super::condition::Burst;
use crate::rng::{Rng, below, stream, unit};
use crate::units::Probability;

/// All that chance decides about one datagram, whether or not it comes to that.
pub struct Fate {
    /// Lost to `loss`.
    pub lost_random: bool,
    /// Lost to `burst`.
    pub lost_burst: bool,
    /// Lost to `storm`, if it is raging.
    pub lost_storm: bool,
    /// Damaged, and how: the seed of [`damage`].
    pub damage: Option<u64>,
    /// How much later than the delay it comes.
    pub wait: Wait,
    /// The same for its copy, if there is one.
    pub copy: Option<Wait>,
}

/// What a datagram waits beyond the delay of the link.
pub struct Wait {
    /// In order.
    pub jitter: Duration,
    /// Out of order, while others may overtake.
    pub hold: Option<Duration>,
}

/// Rolls the [`Fate`] of one datagram after the other.
pub struct Dice {
    loss: Coin,
    burst: Option<Bursts>,
    storm: Coin,
    corrupt: Coin,
    damage: Rng,
    dup: Coin,
    waits: Waits,
    copy_waits: Waits,
}

impl Dice {
    /// The dice of the link that `name` and `index` tell from all others of the run.
    pub fn new(spec: &NetSpec, seed: u64, name: &str, index: u64) -> Self {
        let rng = |effect: &str| stream(seed, &format!("link/{name}/{effect}"), index);
        Self {
            loss: Coin::new(rng("loss"), spec.loss),
            burst: spec.burst.map(|burst| Bursts::new(rng("burst"), burst)),
            storm: Coin::new(rng("storm"), spec.storm.map(|storm| storm.loss).unwrap_or_default()),
            corrupt: Coin::new(rng("corrupt"), spec.corrupt),
            damage: rng("damage"),
            dup: Coin::new(rng("dup"), spec.dup),
            waits: Waits::new(spec, |effect| rng(effect)),
            copy_waits: Waits::new(spec, |effect| rng(&format!("copy/{effect}"))),
        }
    }

    pub fn roll(&mut self) -> Fate {
        Fate {
            lost_random: self.loss.toss(),
            lost_burst: self.burst.as_mut().is_some_and(Bursts::toss),
            lost_storm: self.storm.toss(),
            damage: self.corrupt.toss().then(|| self.damage.next_u64()),
            wait: self.waits.draw(),
            copy: self.dup.toss().then(|| self.copy_waits.draw()),
        }
    }
}

struct Waits {
    jitter: Rng,
    jitter_nanos: u64,
    reorder: Coin,
    hold: Rng,
    hold_nanos: u64,
}

impl Waits {
    fn new(spec: &NetSpec, rng: impl Fn(&str) -> Rng) -> Self {
        let (share, hold) = spec.reorder.map(|reorder| (reorder.share, reorder.hold)).unzip();
        Self {
            jitter: rng("jitter"),
            jitter_nanos: spec.jitter.as_nanos() as u64,
            reorder: Coin::new(rng("reorder"), share.unwrap_or_default()),
            hold: rng("hold"),
            hold_nanos: hold.unwrap_or_default().as_nanos() as u64,
        }
    }

    fn draw(&mut self) -> Wait {
        let jitter = match self.jitter_nanos {
            0 => 0,
            most => below(&mut self.jitter, most + 1),
        };
        let hold = self.reorder.toss().then(|| {
            let least = self.hold_nanos.div_ceil(2);
            least + below(&mut self.hold, self.hold_nanos - least + 1)
        });
        Wait { jitter: Duration::from_nanos(jitter), hold: hold.map(Duration::from_nanos) }
    }
}

/// Says yes with a probability.
struct Coin {
    rng: Rng,
    yes: f64,
}

impl Coin {
    fn new(rng: Rng, yes: Probability) -> Self {
        Self { rng, yes: yes.as_f64() }
    }

    fn toss(&mut self) -> bool {
        self.yes > 0.0 && unit(&mut self.rng) < self.yes
    }
}

/// Loses in runs, as [`Burst`] says.
struct Bursts {
    rng: Rng,
    burst: Burst,
    bad: bool,
}

impl Bursts {
    fn new(rng: Rng, burst: Burst) -> Self {
        Self { rng, burst, bad: false }
    }

    /// Moves the state, and says whether the next datagram is lost.
    fn toss(&mut self) -> bool {
        let [moves, loses] = [(); 2].map(|()| unit(&mut self.rng));
        let turn = if self.bad { self.burst.leave } else { self.burst.enter };
        self.bad ^= moves < turn.as_f64();
        self.bad && loses < self.burst.loss.as_f64()
    }
}

/// The most bits that one corruption flips: few are the hardest for a checksum.
const FLIPS_MAX: u64 = 3;

/// Flips one to three bits of `datagram` or cuts off its end; always changes it, unless it is empty.
pub fn damage(seed: u64, datagram: &mut Vec<u8>) {
    if datagram.is_empty() {
        return;
    }
    let rng = &mut Rng::seed_from_u64(seed);
    if below(rng, 2) == 0 {
        datagram.truncate(below(rng, datagram.len() as u64) as usize);
        return;
    }
    let bits = datagram.len() as u64 * 8;
    let first = below(rng, bits);
    let mut flip = |bit: u64| datagram[bit as usize / 8] ^= 1 << (bit % 8);
    flip(first);
    for _ in 0..below(rng, FLIPS_MAX) {
        // Never the first again, so that something stays changed.
        flip((first + 1 + below(rng, bits - 1)) % bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn runs(losses: impl IntoIterator<Item = bool>) -> Vec<u32> {
        let mut runs = vec![0];
        for lost in losses {
            match runs.last_mut() {
                Some(run) if lost => *run += 1,
                Some(0) => {}
                _ => runs.push(0),
            }
        }
        runs.retain(|run| *run > 0);
        runs
    }

    #[test]
    fn bursts_are_as_long_and_as_frequent_as_asked() {
        for (text, length, share) in [
            ("1%/30%", 1.0 / 0.3, 0.01 / 0.31),
            ("0.1%/10%", 10.0, 0.001 / 0.101),
            ("5%/100%", 1.0, 0.05 / 1.05),
        ] {
            let mut bursts = Bursts::new(stream(1, text, 0), Burst::parse(text).unwrap());
            let tosses = 1_000_000;
            let runs = runs((0..tosses).map(|_| bursts.toss()));
            let lost = f64::from(runs.iter().sum::<u32>());
            let (mean, achieved) = (lost / runs.len() as f64, lost / f64::from(tosses));
            assert!((mean / length - 1.0).abs() < 0.1, "{text}: {mean} long");
            assert!((achieved / share - 1.0).abs() < 0.1, "{text}: {achieved} lost");
        }
        let mut half = Bursts::new(stream(1, "half", 0), Burst::parse("100%/1e-9/50%").unwrap());
        let lost = (0..100_000).filter(|_| half.toss()).count();
        assert!((49_000..51_000).contains(&lost), "{lost}");
    }

    #[test]
    fn coins_are_fair_to_their_probability() {
        for share in ["0", "1%", "50%", "100%"] {
            let share: Probability = share.parse().unwrap();
            let mut coin = Coin::new(stream(1, "coin", 0), share);
            let yes = (0..100_000).filter(|_| coin.toss()).count() as f64 / 1e5;
            assert!((yes - share.as_f64()).abs() < 0.005, "{share:?}: {yes}");
        }
    }

    #[test]
    fn damage_always_shows() {
        let (mut cut, mut flipped) = (0, [0; 4]);
        for seed in 0..20_000 {
            let original = vec![0x5a; seed as usize % 20];
            let mut datagram = original.clone();
            damage(seed, &mut datagram);
            assert!(datagram != original || original.is_empty());
            if datagram.len() < original.len() {
                cut += 1;
            } else {
                let flips: u32 = datagram.iter().map(|byte| (byte ^ 0x5a).count_ones()).sum();
                flipped[flips as usize] += 1;
            }
        }
        assert!(cut > 9000 && flipped[1..].iter().all(|&times| times > 2000), "{cut} {flipped:?}");
    }
}
