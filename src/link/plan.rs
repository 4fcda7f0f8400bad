//! The links of a whole run: `loss=1% delay=2ms; 2:loss=90%; server:rate=1gbit`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{NetError, NetSpec};

/// The conditions of every worker's link. As text: clauses separated by `;`, those without a prefix for all workers,
/// those that begin with a worker's number and `:` replacing what they name for that worker. A clause that begins with
/// `server:` describes one more link, the server's own port, which what all workers send or are sent has to pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetPlan {
    /// What holds for all others.
    pub all: NetSpec,
    /// What holds, all in all, for single workers (counted from 1).
    pub per_worker: BTreeMap<u16, NetSpec>,
    /// The server's port, both ways.
    pub server: NetSpec,
}

/// Whose link a clause describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    All,
    Worker(u16),
    Server,
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
        self.specs().all(NetSpec::is_clear)
    }

    /// What only a simulation can emulate, if there is any: each worker has its own end of the network in its hands,
    /// and nothing else.
    #[must_use]
    pub fn simulated_only(&self) -> Option<&'static str> {
        let storm = self.specs().any(|spec| spec.storm.is_some());
        let server = self.server != NetSpec::default();
        if server { Some("server:") } else { storm.then_some("storm") }
    }

    fn specs(&self) -> impl Iterator<Item = &NetSpec> {
        [&self.all, &self.server].into_iter().chain(self.per_worker.values())
    }
}

/// A clause without its prefix, and what that says.
fn prefix(clause: &str) -> Result<(Whose, &str), NetError> {
    let first = clause.split(['=', ' ', ',']).next().unwrap_or_default();
    match first.split_once(':') {
        None => Ok((Whose::All, clause)),
        Some((SERVER, _)) => Ok((Whose::Server, &clause[SERVER.len() + 1..])),
        Some((worker, _)) => {
            let number = worker.trim().parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| NetError::Worker(worker.to_owned()))?;
            Ok((Whose::Worker(number), &clause[worker.len() + 1..]))
        }
    }
}

/// What clauses of the server's port begin with.
const SERVER: &str = "server";

impl FromStr for NetPlan {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let clauses = text.split(';').map(|clause| prefix(clause.trim()));
        let clauses = clauses.collect::<Result<Vec<_>, _>>()?;
        let clauses_of = |whose| {
            let own = clauses.iter().filter(move |clause| clause.0 == whose);
            own.map(|clause| clause.1).collect::<Vec<_>>().join(" ")
        };
        let mut all = NetSpec::default();
        all.apply(&clauses_of(Whose::All))?;
        let mut server = NetSpec::default();
        server.apply(&clauses_of(Whose::Server))?;
        if server.queue.is_some() && server.rate.is_none() {
            return Err(NetError::QueueWithoutRate);
        }
        let mut per_worker: BTreeMap<u16, NetSpec> = BTreeMap::new();
        for &(whose, _) in &clauses {
            let Whose::Worker(worker) = whose else { continue };
            let mut spec = all.clone();
            let named = spec.apply(&clauses_of(whose))?;
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
        Ok(Self { all, per_worker, server })
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
        if self.server != NetSpec::default() {
            write!(f, "{separator}{SERVER}:{}", self.server)?;
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
    fn what_only_a_simulation_has_is_known() {
        let only = |text: &str| plan(text).unwrap().simulated_only();
        assert_eq!(only("loss=1%; 2:delay=1ms"), None);
        assert_eq!(only("2:storm=3/80%"), Some("storm"));
        assert_eq!(only("server:rate=1gbit"), Some("server:"));
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
            "server:rate=1gbit queue=64KiB",
            "server:delay=1ms; 2:loss=1%; loss=5% storm=11/80%",
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
            "rate=1mbit; server:queue=1k",
            "servers:rate=1mbit",
            "server:rate=1mbit; server:rate=2mbit",
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
