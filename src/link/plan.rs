//! The links of a whole run: `loss=1% delay=2ms; 2:loss=90%`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{NetError, NetSpec};

/// The conditions of every worker's link. As text: clauses separated by `;`, those without a prefix for all workers,
/// those that begin with a worker's number and `:` replacing what they name for that worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetPlan {
    /// What holds for all others.
    pub all: NetSpec,
    /// What holds, all in all, for single workers (counted from 1).
    pub per_worker: BTreeMap<u16, NetSpec>,
}

impl NetPlan {
    /// The conditions of worker `worker`, counted from 1.
    #[must_use]
    pub fn for_worker(&self, worker: u16) -> &NetSpec {
        self.per_worker.get(&worker).unwrap_or(&self.all)
    }

    /// Whether all links are perfect.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.all.is_clear() && self.per_worker.values().all(NetSpec::is_clear)
    }
}

/// A clause without its worker's prefix, and the worker.
fn prefix(clause: &str) -> Result<(Option<u16>, &str), NetError> {
    let first = clause.split(['=', ' ', ',']).next().unwrap_or_default();
    match first.split_once(':') {
        None => Ok((None, clause)),
        Some((worker, _)) => {
            let number = worker.trim().parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| NetError::Worker(worker.to_owned()))?;
            Ok((Some(number), &clause[worker.len() + 1..]))
        }
    }
}

impl FromStr for NetPlan {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let clauses = text.split(';').map(|clause| prefix(clause.trim()));
        let clauses = clauses.collect::<Result<Vec<_>, _>>()?;
        let clauses_of = |worker| {
            let own = clauses.iter().filter(move |clause| clause.0 == worker);
            own.map(|clause| clause.1).collect::<Vec<_>>().join(" ")
        };
        let mut all = NetSpec::default();
        all.apply(&clauses_of(None))?;
        let mut per_worker: BTreeMap<u16, NetSpec> = BTreeMap::new();
        for worker in clauses.iter().filter_map(|clause| clause.0) {
            let mut spec = all.clone();
            let named = spec.apply(&clauses_of(Some(worker)))?;
            if named.contains(&"queue") && spec.queue.is_some() && spec.rate.is_none() {
                return Err(NetError::QueueWithoutRate);
            }
            per_worker.insert(worker, spec);
        }
        let queue_used = |spec: &NetSpec| spec.queue == all.queue && spec.rate.is_some();
        if all.queue.is_some() && !queue_used(&all) && !per_worker.values().any(queue_used) {
            return Err(NetError::QueueWithoutRate);
        }
        per_worker.retain(|_, spec| *spec != all);
        Ok(Self { all, per_worker })
    }
}

impl fmt::Display for NetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        let mut separator = if self.all == NetSpec::default() { "" } else { "; " };
        for (worker, spec) in &self.per_worker {
            write!(f, "{separator}{worker}:{}", spec.difference(&self.all))?;
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<NetPlan, NetError> {
        text.parse()
    }

    #[test]
    fn workers_override_only_what_they_name() {
        let plan = plan(" 2:loss=90%; loss=1% delay=2ms;3: partition=2s..4s;; 2:delay=0s ,dup=1%")
            .unwrap();
        assert_eq!(plan.for_worker(1).to_string(), "loss=1% delay=2ms");
        assert_eq!(plan.for_worker(2).to_string(), "loss=90% dup=1%");
        assert_eq!(plan.for_worker(3).to_string(), "loss=1% delay=2ms partition=2s..4s");
        assert_eq!(
            plan.to_string(),
            "loss=1% delay=2ms; 2:loss=90% delay=0s dup=1%; 3:partition=2s..4s"
        );
    }

    #[test]
    fn canonical_text_reads_back() {
        for text in [
            "",
            ";",
            "seed=7",
            "2:loss=5%",
            "seed=1;2:loss=5%;9:rate=off",
            "rate=1mbit queue=1500; 2:rate=off",
            "loss=5%; 2:loss=5%",
            "queue=10k; 2:rate=1gbit",
            "burst=1%/2%; 65535:burst=off seed=3",
            "rate=1mbit; 2:rate=off; 1:queue=1MiB",
        ] {
            let read = plan(text).unwrap();
            assert_eq!(plan(&read.to_string()), Ok(read.clone()), "{text} became {read}");
            assert_eq!(read.is_clear(), matches!(text, "" | ";" | "seed=7"), "{text}");
        }
    }

    #[test]
    fn refusals() {
        let texts = [
            "0:loss=1%",
            "x:loss=1%",
            "70000:loss=1%",
            ":loss=1%",
            "2:",
            "loss=1%;loss=2%",
            "2:loss=1%; 2:loss=2%",
            "2:los=1%",
            "queue=1k",
            "2:queue=1k",
            "queue=1k; 2:rate=1mbit queue=2k",
            "rate=1mbit;2:rate=off queue=1k",
        ];
        let refusal = |text: &str| {
            plan(text).map_or_else(
                |error| format!("{text}: {error}\n"),
                |plan| format!("{text}: fine: {plan}\n"),
            )
        };
        insta::assert_snapshot!(texts.map(refusal).concat());
    }
}
