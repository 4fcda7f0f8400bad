//! The course of a run: who takes part, which round it is, what is still open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::EVENTS;
use super::allowance::Allowance;
use super::decisions::Decisions;
use super::findings::{Checked, Findings, Place};
use super::plan::Plan;
use super::pushes::{self, Terms};
use super::record::{
    Evaluated, Event, Line, Membership, Opening, Pull, Push, RoundEnded, RoundStarted,
};
use super::rows::Row;
use super::schedule::Clock;

/// A row is not kept back longer for its pull than until so many rounds later have ended.
const ROUNDS_OPEN: u32 = 2;

/// Sums over all events.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) checked: Checked,
    pub(super) repaired: u64,
    pub(super) sent: u64,
    pub(super) arrived: u64,
    pub(super) pull_owed: u64,
    pub(super) pull_sent: u64,
    pub(super) round_ns_max: u64,
    pub(super) evals: Vec<(u64, Evaluated)>,
}

/// The state of the run after the lines so far.
#[derive(Debug)]
pub(super) struct Course<'a> {
    plan: &'a Plan,
    pub(super) opening: Option<Opening>,
    at: u64,
    live: BTreeSet<u32>,
    /// Of each worker that ever took part; none of one that has left.
    allowances: BTreeMap<u32, Option<Allowance>>,
    /// Workers that must leave before the round ends: part of their push is gone with them.
    leaving: BTreeSet<u32>,
    decisions: Decisions,
    open: Option<OpenRound>,
    /// The round that ended last.
    pub(super) last: u32,
    clock: Clock,
    /// The round with which the run was over, as the plan has it.
    over_with: Option<u32>,
    /// Blocks of every push.
    blocks: Option<u32>,
    rows: VecDeque<Row>,
    /// Whether there are no more events.
    over: bool,
    pub(super) totals: Totals,
}

#[derive(Debug)]
struct OpenRound {
    line: u64,
    started: RoundStarted,
    /// Examples of each worker, as they should be.
    batch: u64,
    pushes: BTreeMap<u32, Push>,
    pulls: Vec<Pull>,
}

impl OpenRound {
    fn place(&self) -> Place {
        Place::file(EVENTS).line(self.line).round(self.started.round)
    }
}

impl<'a> Course<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            opening: None,
            at: 0,
            live: BTreeSet::new(),
            allowances: BTreeMap::new(),
            leaving: BTreeSet::new(),
            decisions: Decisions::new(plan),
            open: None,
            last: 0,
            clock: Clock::new(0),
            over_with: None,
            blocks: None,
            rows: VecDeque::new(),
            over: false,
            totals: Totals::default(),
        }
    }

    pub(super) fn handle(&mut self, line: u64, recorded: Line, findings: &mut Findings) {
        let place = Place::file(EVENTS).line(line);
        if recorded.at < self.at {
            let expected = format!("a time of at least {} ns", self.at);
            findings.note(place, expected, recorded.at, "events are not in the order of time");
        }
        self.at = recorded.at;
        findings.go_on_to(self.last.saturating_add(1));
        match recorded.event {
            Event::Run(opening) => self.begin(line, opening, findings),
            Event::WorkerJoined(joined) => self.join(line, &joined, findings),
            Event::WorkerLeft(left) => self.leave(line, &left, findings),
            Event::RoundStarted(started) => self.start(line, started, findings),
            Event::PushClosed(push) => self.push(line, push, findings),
            Event::PullClosed(pull) => self.pull(pull),
            Event::RoundEnded(ended) => self.end(line, &ended, findings),
            Event::Decided(decided) => self.decisions.handle(self.plan, line, &decided, findings),
            Event::Evaluated(evaluated) => self.totals.evals.push((line, evaluated)),
            Event::Other => {}
        }
    }

    fn begin(&mut self, line: u64, opening: Opening, findings: &mut Findings) {
        let place = || Place::file(EVENTS).line(line);
        let plan = |digest: &str| format!("plan {digest}");
        let meaning = "these are the events of another plan, or the plan was changed";
        findings.equal(place, plan(&self.plan.digest), plan(&opening.plan), meaning);
        self.clock = Clock::new(opening.examples);
        if let Some(resumed) = &opening.resumed {
            self.last = resumed.round;
            self.clock = self.clock.at(resumed.epochs, resumed.examples);
            self.decisions.go_on(self.plan, resumed, findings);
            findings.remark(format!(
                "the run goes on after round {} of another one, which has a folder of its own, from parameters {}",
                resumed.round, resumed.digest
            ));
        }
        let rounds = |count: u64| format!("{count} rounds");
        let meaning = "the plan has another length than the run";
        let expected = rounds(self.plan.rounds(opening.examples));
        findings.equal(place, expected, rounds(opening.rounds.into()), meaning);
        if self.opening.replace(opening).is_some() || line != 1 {
            let found = "it in the middle";
            findings.note(place(), "`run` on line 1 only", found, "two records were joined");
        }
    }

    fn join(&mut self, line: u64, joined: &Membership, findings: &mut Findings) {
        let place = || Place::file(EVENTS).line(line).worker(joined.worker);
        if self.allowances.insert(joined.worker, Some(Allowance::default())).is_some() {
            let meaning = "a number is given to one worker and never again";
            findings.note(
                place(),
                "a worker with a new number",
                "one that was there before",
                meaning,
            );
        } else {
            self.totals.checked.workers += 1;
        }
        self.live.insert(joined.worker);
        self.check_live(joined, place, findings);
    }

    fn leave(&mut self, line: u64, left: &Membership, findings: &mut Findings) {
        let place = || Place::file(EVENTS).line(line).worker(left.worker);
        self.live.remove(&left.worker);
        self.leaving.remove(&left.worker);
        if let Some(allowance) = self.allowances.get_mut(&left.worker) {
            *allowance = None;
        }
        if let Some(open) = &self.open
            && open.started.workers.contains(&left.worker)
            && !open.pushes.contains_key(&left.worker)
        {
            let place = place().round(open.started.round);
            let meaning = "what a worker that leaves has not sent must be accounted for";
            findings.note(place, "its push closed", "none", meaning);
        }
        self.check_live(left, place, findings);
    }

    fn check_live(
        &self,
        said: &Membership,
        place: impl FnOnce() -> Place,
        findings: &mut Findings,
    ) {
        let expected = format!("{} workers that take part", self.live.len());
        let found = format!("{} workers that take part", said.live);
        findings.equal(place, expected, found, "somebody joined or left unseen");
    }

    fn start(&mut self, line: u64, started: RoundStarted, findings: &mut Findings) {
        if self.plan.factors {
            // Another rank cuts a push into other blocks.
            self.blocks = None;
        }
        let round = started.round;
        let place = || Place::file(EVENTS).line(line).round(round);
        if let Some(open) = self.open.take() {
            // Nothing was used, so nothing was learnt: the same round begins anew.
            self.check_closed(&open, findings);
            let used: u64 = open.pushes.values().map(|push| u64::from(push.received)).sum();
            if used > 0 {
                let expected = format!("the end of round {}", open.started.round);
                let found = format!("the start of round {round}");
                findings.note(place(), expected, found, "a round of which blocks were used ends");
                self.last = open.started.round;
            }
        }
        let expected = format!("round {}", self.last.saturating_add(1));
        let meaning = "rounds are missing, doubled or not in order";
        findings.equal(place, expected, format!("round {round}"), meaning);
        let live: Vec<u32> = self.live.iter().copied().collect();
        let meaning = "everyone who has joined and not left takes part, and nobody else";
        let words = |workers: &[u32]| format!("workers {workers:?}");
        findings.equal(place, words(&live), words(&started.workers), meaning);
        let batch = self.decisions.check_batch(self.plan, &started, line, findings);
        let flush = self.check_lr(&started, batch, line, findings);
        self.decisions.check_round(&started, line, flush, findings);
        self.open =
            Some(OpenRound { line, started, batch, pushes: BTreeMap::new(), pulls: Vec::new() });
    }

    /// Whether a round has the learning rate of the plan; tells whether it must say all that is unsaid.
    fn check_lr(
        &self,
        started: &RoundStarted,
        batch: u64,
        line: u64,
        findings: &mut Findings,
    ) -> bool {
        let Some(Opening { examples, .. }) = self.opening else { return false };
        let lr = self.plan.lr(&self.clock, batch, examples);
        // Two ways of counting round differently, and most where a cosine has come down to nothing.
        if (lr - started.lr).abs() > 1e-9 * self.plan.lr {
            let place = Place::file(EVENTS).line(line).round(started.round);
            let expected = format!("learning rate {lr}");
            findings.note(place, expected, started.lr, "it is not the learning rate of the plan");
        }
        self.plan.flushes(&self.clock, batch, started.round, examples)
    }

    fn push(&mut self, line: u64, push: Push, findings: &mut Findings) {
        let place = || Place::file(EVENTS).line(line).round(push.round).worker(push.worker);
        let Some(open) = self.open.as_mut().filter(|open| open.started.round == push.round) else {
            let meaning = "a push is closed while its round is under way";
            findings.note(place(), "a push of the round under way", "another", meaning);
            return;
        };
        if !open.started.workers.contains(&push.worker) {
            let expected = format!("a push of one of {:?}", open.started.workers);
            let meaning = "this worker took no part in the round";
            findings.note(place(), expected, push.worker, meaning);
            return;
        }
        if open.pushes.contains_key(&push.worker) {
            let meaning = "each worker pushes once in a round";
            findings.note(place(), "one push closed", "another one", meaning);
            return;
        }
        let owed = *self.blocks.get_or_insert(push.owed);
        let meaning = "every push has the blocks of the whole model, or of its factors";
        let words = |owed| format!("{owed} blocks owed");
        findings.equal(place, words(owed), words(push.owed), meaning);
        let RoundStarted { tolerance, losable, critical, .. } = open.started;
        let terms = Terms { tolerance, losable, critical, before: self.totals.checked.rounds };
        let allowance = self.allowances.entry(push.worker).or_default();
        let allowance = allowance.get_or_insert_default();
        pushes::check(&push, line, terms, self.plan, allowance, findings);
        if push.gone > 0 {
            self.leaving.insert(push.worker);
        }
        let Totals { checked, repaired, sent, arrived, .. } = &mut self.totals;
        checked.pushes += 1;
        for (sum, more) in [
            (&mut checked.owed, push.owed),
            (&mut checked.received, push.received),
            (&mut checked.forgiven, push.forgiven),
            (&mut checked.late, push.late),
            (&mut checked.gone, push.gone),
            (repaired, push.repaired),
            (sent, push.sent),
            (arrived, push.datagrams),
        ] {
            *sum += u64::from(more);
        }
        open.pushes.insert(push.worker, push);
    }

    fn pull(&mut self, pull: Pull) {
        self.totals.pull_owed += u64::from(pull.owed);
        self.totals.pull_sent += u64::from(pull.sent);
        if let Some(open) = self.open.as_mut().filter(|open| open.started.round == pull.round) {
            open.pulls.push(pull);
            return;
        }
        let row = self.rows.iter_mut().rev().find(|row| row.is_of(pull.round, pull.worker));
        if let Some(row) = row {
            row.pulls.push(pull);
        }
    }

    fn check_closed(&mut self, open: &OpenRound, findings: &mut Findings) {
        let meaning = "each worker of a round has one push in it, closed before the round ends";
        for worker in &open.started.workers {
            if !open.pushes.contains_key(worker) {
                let place = open.place().worker(*worker);
                findings.note(place, "its push closed", "none", meaning);
            }
        }
        for worker in std::mem::take(&mut self.leaving) {
            let place = open.place().worker(worker);
            let meaning = "blocks are gone only with a worker that leaves";
            findings.note(place, "a worker that leaves", "one that stays", meaning);
        }
    }

    fn end(&mut self, line: u64, ended: &RoundEnded, findings: &mut Findings) {
        let place = || Place::file(EVENTS).line(line).round(ended.round);
        let Some(open) = self.open.take() else {
            let meaning = "rounds are missing, doubled or not in order";
            findings.note(place(), "the start of a round", "the end of one", meaning);
            return;
        };
        let meaning = "a round ends before the next one begins";
        let expected = format!("the end of round {}", open.started.round);
        findings.equal(place, expected, format!("the end of round {}", ended.round), meaning);
        let meaning = "the batch is not that with which the round started";
        let words = |batch: u64| format!("batch {batch}");
        findings.equal(place, words(open.started.batch), words(ended.batch), meaning);
        self.check_closed(&open, findings);
        if open.pushes.values().all(|push| push.received == 0) {
            let meaning = "of a round that ends something was used";
            findings.note(place(), "blocks that were received", "none", meaning);
        }
        self.last = open.started.round;
        let checked = &mut self.totals.checked;
        checked.rounds += 1;
        checked.critical += u64::from(open.started.critical);
        checked.exact += u64::from(open.started.tolerance == 0);
        self.totals.round_ns_max = self.totals.round_ns_max.max(ended.round_ns);
        self.decisions.handle_norm(self.plan, open.started.round, ended.norm, open.batch);
        self.clock.count(self.plan.taken(open.batch));
        if self.over_with.is_none() && self.plan.is_over(self.last, self.clock.epochs) {
            self.over_with = Some(self.last);
        }
        self.rows.extend(Row::of(&open.started, open.pushes, &open.pulls, ended));
    }

    /// The rows of `rounds.csv` of which everything is known by now.
    pub(super) fn take_rows(&mut self) -> Vec<Row> {
        let settled = if self.over { u32::MAX } else { self.last.saturating_sub(ROUNDS_OPEN) };
        let count = self.rows.iter().take_while(|row| row.round <= settled).count();
        self.rows.drain(..count).collect()
    }

    /// What the rounds of the run are, and what they should be: all that the plan has, and no more.
    pub(super) fn rounds(&self) -> (String, String) {
        let words = |rounds: u32| format!("{rounds} rounds");
        let expected = self.over_with.map_or_else(|| "more rounds".to_owned(), words);
        (expected, words(self.last))
    }

    /// The events are over.
    pub(super) fn finish(&mut self, sealed: bool, findings: &mut Findings) {
        self.totals.checked.decisions = self.decisions.count;
        if self.opening.is_none() {
            let meaning = "nothing says which plan these events belong to";
            findings.note(Place::file(EVENTS).line(1), "`run`", "another event", meaning);
        }
        if !sealed {
            findings.remark(format!(
                "the run has not ended, or was killed: nothing seals its files, which end in round {}",
                self.last
            ));
        }
        self.over = true;
        for row in &mut self.rows {
            row.settled = sealed;
        }
    }
}
