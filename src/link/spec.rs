//! What a link does to datagrams, as people write it: `loss=5% delay=2ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::NetError;
use super::condition::{Burst, Partition, Reorder, Storm, delay, percent, probability};
use crate::units::{ByteSize, Probability, Rate, format_duration, scaled};

/// The conditions of one link, the same in both directions; by default it is perfect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetSpec {
    /// `loss=5%`: each datagram is lost on its own.
    pub loss: Probability,
    /// `burst=0.01/0.3`: losses come in runs.
    pub burst: Option<Burst>,
    /// `rate=100mbit`: datagrams leave one after the other, headers included.
    pub rate: Option<Rate>,
    /// `delay=2ms`: one way.
    pub delay: Duration,
    /// `jitter=0.5ms`: up to this much more delay, uniformly.
    pub jitter: Duration,
    /// `queue=64KiB`: what may wait for `rate`; what does not fit is lost. 256 KiB if not given.
    pub queue: Option<ByteSize>,
    /// `reorder=1%` or `reorder=1%/5ms`: held back, so that later ones overtake.
    pub reorder: Option<Reorder>,
    /// `dup=0.5%`: delivered twice.
    pub dup: Probability,
    /// `corrupt=0.1%`: bits flipped, or the end cut off.
    pub corrupt: Probability,
    /// `partition=2s..4s`: nothing that is sent gets through.
    pub partition: Option<Partition>,
    /// `storm=11/80%`: one round in which so much more is lost. In simulations only: others do not know the round.
    pub storm: Option<Storm>,
    /// `seed=7`: where the chance comes from; the run's seed if not given.
    pub seed: Option<u64>,
}

/// What stands for a condition that is not there.
const OFF: &str = "off";

const RATES: [(u64, &str); 3] = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit")];
const SIZES: [(u64, &str); 3] = [(1 << 20, "MiB"), (1 << 10, "KiB"), (1_000, "k")];

impl NetSpec {
    /// Every key there is, in the order in which they are printed.
    pub const KEYS: [&'static str; 12] = [
        "loss",
        "burst",
        "rate",
        "delay",
        "jitter",
        "queue",
        "reorder",
        "dup",
        "corrupt",
        "partition",
        "storm",
        "seed",
    ];

    /// Whether every datagram gets through at once, in order and unharmed.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        *self == Self { seed: self.seed, ..Self::default() }
    }

    /// Replaces the conditions named in `text`; returns their keys.
    pub(super) fn apply(&mut self, text: &str) -> Result<Vec<&'static str>, NetError> {
        let mut named = vec![];
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            let (key, value) =
                word.split_once('=').ok_or_else(|| NetError::NoValue(word.to_owned()))?;
            let known = Self::KEYS.into_iter().find(|known| *known == key);
            let key = known.ok_or_else(|| NetError::UnknownKey(key.to_owned()))?;
            if named.contains(&key) {
                return Err(NetError::Twice(key));
            }
            if self.set(key, value).is_none() {
                let (value, expected) = (value.to_owned(), expected(key));
                return Err(NetError::Value { key, value, expected });
            }
            named.push(key);
        }
        Ok(named)
    }

    /// `None` if `key` cannot have `value`.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "loss" => self.loss = probability(value)?,
            "burst" => self.burst = optional(value, Burst::parse)?,
            "rate" => self.rate = optional(value, |text| text.parse().ok())?,
            "delay" => self.delay = delay(value)?,
            "jitter" => self.jitter = delay(value)?,
            "queue" => self.queue = optional(value, |text| text.parse().ok())?,
            "reorder" => self.reorder = optional(value, Reorder::parse)?,
            "dup" => self.dup = probability(value)?,
            "corrupt" => self.corrupt = probability(value)?,
            "partition" => self.partition = optional(value, Partition::parse)?,
            "storm" => self.storm = optional(value, Storm::parse)?,
            "seed" => self.seed = optional(value, |text| text.parse().ok())?,
            _ => unreachable!("`{key}` is not in KEYS"),
        }
        Some(())
    }

    /// The value of `key` as it is written.
    fn text(&self, key: &str) -> String {
        let optional = match key {
            "loss" => Some(percent(self.loss)),
            "burst" => self.burst.map(|burst| burst.to_string()),
            "rate" => self.rate.map(|rate| scaled(rate.bits_per_second(), &RATES, "bit")),
            "delay" => Some(format_duration(self.delay)),
            "jitter" => Some(format_duration(self.jitter)),
            "queue" => self.queue.map(|queue| scaled(queue.0, &SIZES, "")),
            "reorder" => self.reorder.map(|reorder| reorder.to_string()),
            "dup" => Some(percent(self.dup)),
            "corrupt" => Some(percent(self.corrupt)),
            "partition" => self.partition.map(|partition| partition.to_string()),
            "storm" => self.storm.map(|storm| storm.to_string()),
            "seed" => self.seed.map(|seed| seed.to_string()),
            _ => unreachable!("`{key}` is not in KEYS"),
        };
        optional.unwrap_or_else(|| OFF.to_owned())
    }

    /// Writes what must be applied to `base` to get `self`.
    pub(super) fn difference(&self, base: &Self) -> String {
        let differing = Self::KEYS.iter().map(|key| (key, self.text(key)));
        let words = differing.filter(|(key, text)| *text != base.text(key));
        words.map(|(key, text)| format!("{key}={text}")).collect::<Vec<_>>().join(" ")
    }
}

fn optional<T>(value: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if value == OFF { Some(None) } else { parse(value).map(Some) }
}

fn expected(key: &str) -> &'static str {
    match key {
        "loss" | "dup" | "corrupt" => "a probability, such as `5%` or `0.05`",
        "burst" => {
            "ENTER/LEAVE or ENTER/LEAVE/LOSS in probabilities, LEAVE not 0, such as `0.01/0.3`, or `off`"
        }
        "rate" => "a rate, such as `100mbit` or `1gbit`, or `off`",
        "delay" | "jitter" => "a duration of at most 60 s, such as `250us` or `2ms`",
        "queue" => "a size, such as `64KiB`, or `off`",
        "reorder" => {
            "a probability, and after a `/` for how long, such as `1%` or `1%/5ms`, or `off`"
        }
        "partition" => "START..END with START before END, such as `2s..4s`, or `off`",
        "storm" => "ROUND/LOSS with a round from 1 on, such as `11/80%`, or `off`",
        _ => "a whole number of at most 64 bits, such as `7`, or `off`",
    }
}

impl fmt::Display for NetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.difference(&Self::default()))
    }
}

impl FromStr for NetSpec {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let mut spec = Self::default();
        spec.apply(text)?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "loss=5% burst=0.01/0.3 rate=100mbit delay=2ms jitter=0.5ms queue=64KiB reorder=1% dup=0.5% \
                        corrupt=0.1% partition=2s..4s storm=11/80% seed=7";

    #[test]
    fn everything_reads_and_prints_canonically() {
        let spec: NetSpec = FULL.parse().unwrap();
        insta::assert_snapshot!(spec.to_string().replace(" queue", "\nqueue"), @r"
        loss=5% burst=1%/30% rate=100mbit delay=2ms jitter=500us
        queue=64KiB reorder=1% dup=0.5% corrupt=0.1% partition=2s..4s storm=11/80% seed=7
        ");
        assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
        assert_eq!(FULL.replace(' ', ", ").parse(), Ok(spec.clone()));
        assert!(!spec.is_clear());
        let off = "loss=0 burst=off rate=off delay=0s jitter=0ns queue=off reorder=off dup=0% corrupt=0 \
                   partition=off storm=off seed=3";
        let off: NetSpec = off.parse().unwrap();
        assert!(off.is_clear() && "".parse::<NetSpec>().unwrap().is_clear());
        assert_eq!(off.to_string(), "seed=3");
        let back: NetSpec = spec.difference(&off).parse().unwrap();
        assert_eq!(back, spec);
    }

    #[test]
    fn refusals() {
        let texts = [
            "los=5%",
            "bandwidth=1gbit",
            "loss=1% 2:loss=5%",
            "loss",
            "loss=1% loss=2%",
            "loss=101%",
            "loss=off",
            "burst=1%",
            "burst=1%/0",
            "rate=0mbit",
            "rate=fast",
            "delay=2",
            "delay=61s",
            "jitter=-1ms",
            "queue=big",
            "reorder=2",
            "reorder=1%/0s",
            "dup=x",
            "corrupt=-1%",
            "partition=4s..2s",
            "storm=0/80%",
            "seed=-1",
            "LOSS=1%",
        ];
        let refusal = |text: &str| format!("{}\n", text.parse::<NetSpec>().unwrap_err());
        insta::assert_snapshot!(texts.map(refusal).concat());
    }
}
