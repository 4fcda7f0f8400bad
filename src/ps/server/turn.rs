//! What comes next, and how a worker is told.

use std::time::Duration;

use super::{Outcome, Phase, ServerCore};
use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::event::Event;
use crate::flat::{rotated, send_order};
use crate::ids::{BlockIndex, Round, WorkerId};
use crate::mlt::{Outbound, Scheme};
use crate::ps::calendar::Place;
use crate::ps::terms::Terms;
use crate::units::{Instant, Tolerance};
use crate::wire::{Bye, ByeCode, RoundStart, Sparse, Task, TransferId, TransferKind};

/// How long the server waits for workers to hear that the run is over.
const FINISH_TIME: Duration = Duration::from_secs(2);

impl ServerCore {
    /// Goes on to whatever is next, if what is under way has ended.
    pub(super) fn advance(&mut self, now: Instant) {
        loop {
            let ended = match &self.phase {
                Phase::Gathering => self.ready().len() >= self.wanted(),
                Phase::Training(training) => training.is_closed(),
                Phase::Evaluating(evaluation) => evaluation.is_complete(),
                Phase::Finishing(until) => *until <= now || self.members.is_empty(),
                Phase::Over => false,
            };
            if !ended {
                return;
            }
            match std::mem::replace(&mut self.phase, Phase::Gathering) {
                Phase::Training(training) => self.end_training(now, training),
                Phase::Evaluating(evaluation) => self.end_evaluation(now, &evaluation),
                Phase::Finishing(_) => self.dismiss(ByeCode::Finished, "the run is over"),
                Phase::Gathering | Phase::Over => {}
            }
            if self.outcome.is_some() {
                return;
            }
            self.begin_next(now);
            if matches!(self.phase, Phase::Gathering) {
                return;
            }
        }
    }

    /// Workers that must be ready for the next round: at first those that were planned, later any.
    pub(super) fn wanted(&self) -> usize {
        if self.round == Round(0) { self.config.calendar.workers.max(1).into() } else { 1 }
    }

    /// Ends the run: it cannot go on.
    pub(super) fn fail(&mut self, why: String) {
        self.dismiss(ByeCode::Stopping, &why);
        self.outcome = Some(Outcome::Failed(why));
    }

    /// Says good-bye to all that are left. A round that is under way is taken back.
    pub(super) fn dismiss(&mut self, code: ByeCode, why: &str) {
        let vectors =
            [&mut self.parameters[..], self.sgd.velocity_mut(), self.measures.window_mut()];
        self.rollback.undo(&self.layout, &mut self.cursor, vectors);
        for member in self.members.values_mut() {
            member.session.close(Bye::new(code, why));
        }
        self.phase = Phase::Over;
    }

    fn begin_next(&mut self, now: Instant) {
        self.progress_at = now;
        if self.ready().is_empty() {
            self.phase = Phase::Gathering;
            return;
        }
        if self.evaluation_follows(self.place) && self.evaluated != Some(self.place.round) {
            self.begin_evaluation(now);
        } else if self.config.calendar.is_over(self.place) {
            self.outcome = Some(Outcome::Finished);
            self.round = self.round.next();
            let workers = self.ready();
            for (rank, &id) in workers.iter().enumerate() {
                self.start(now, id, rank as u16, workers.len() as u16, Task::Finish);
            }
            self.phase = Phase::Finishing(now + FINISH_TIME);
        } else {
            self.begin_training(now);
        }
    }

    /// Whether the test set is evaluated at this place.
    pub(super) const fn evaluation_follows(&self, place: Place) -> bool {
        (self.evaluation_is_due(place) || self.config.calendar.is_over(place))
            && self.config.test_len > 0
    }

    /// Whether it would be if the run were longer.
    pub(super) const fn evaluation_is_due(&self, place: Place) -> bool {
        let every = self.config.eval_every;
        every > 0 && place.ends_epoch() && place.epoch.is_multiple_of(every)
    }

    /// Tells a worker what to do, and sends it the parameters it needs for that. Returns the blocks that may be missing
    /// of its push, and those that may not.
    pub(super) fn start(
        &mut self,
        now: Instant,
        id: WorkerId,
        rank: u16,
        workers: u16,
        task: Task,
    ) -> (u32, Bitmap) {
        let (round, parameters) = (self.round, self.version);
        let (tolerance, mut terms) = self.push_terms();
        let lr = self.coming().lr;
        let train = matches!(task, Task::Train { .. });
        let mut blocks = self.average.codecs().layout(&self.layout).blocks();
        if !train {
            (terms, blocks) = (Terms::uniform(Codec::Raw), self.layout.blocks());
        }
        if task != Task::Finish {
            self.send_pull(now, id, !train);
        }
        let timed = self.push_deadlines(tolerance).hard.is_some();
        let window = if train { self.unscheduled(rank, workers) } else { 0 };
        let critical = self.critical_of_push();
        let losable = critical.len() - critical.ones();
        let Some(member) = self.members.get_mut(&id) else { return (0, Bitmap::zeros(blocks)) };
        let allowance = match self.config.scheme {
            _ if !train => 0,
            Scheme::Bounded => member.ledger.open(tolerance, losable),
            _ => member.ledger.open_anew(tolerance, losable),
        };
        let mut urgent = Bitmap::zeros(blocks);
        // What a scheme never repairs cannot be urgent.
        if train && self.config.scheme == Scheme::Bounded {
            if self.config.missing.is_repeated() {
                urgent = member.urgent_to_push(blocks);
            }
            for matrix in self.average.codecs().matrices() {
                matrix.short_blocks().for_each(|block| _ = urgent.insert(BlockIndex(block)));
            }
        }
        if train && tolerance != Tolerance::ZERO {
            urgent.union(&critical);
        }
        let (codec, exception) = terms.to_wire();
        let start = RoundStart {
            round,
            parameters,
            task,
            codec,
            exception,
            critical: self.policy.is_critical(),
            rank,
            workers,
            tolerance,
            allowance,
            window,
            repair: self.config.scheme.repair(timed) as u8,
            blocks,
            used_round: member.used_round,
            used_blocks: member.used.len(),
            used: Sparse::of(&member.used),
            urgent: Sparse::of(&urgent),
            lr,
        };
        let transfer = TransferId { kind: TransferKind::Start, round };
        member.session.send(Outbound::blob(transfer, start.to_bytes()));
        member.task_at = now;
        (allowance, urgent)
    }

    /// Sends the parameters as they are, unless the worker was sent them already. If they are to be `exact`, as for an
    /// evaluation, none of them may be missing.
    fn send_pull(&mut self, now: Instant, id: WorkerId, exact: bool) {
        let version = self.version;
        if self.members.get(&id).is_some_and(|member| member.pulled != Some(version)) {
            self.open_pull(now, id, (version, Round(self.place.round)), exact, false);
        }
    }

    /// Begins to send a worker the parameters of a version, which are those after a training round: all of them, or, if
    /// `streamed`, each block when it is released.
    pub(super) fn open_pull(
        &mut self,
        now: Instant,
        id: WorkerId,
        (version, trained): (Round, Round),
        exact: bool,
        streamed: bool,
    ) {
        self.close_pull(now, id);
        let critical = self.policy.is_critical();
        let losable = self.layout.blocks() - self.critical.ones();
        let Some(member) = self.members.get_mut(&id) else { return };
        let blocks = self.layout.blocks();
        let exact = exact || member.pulled.is_none();
        // Nothing is missing in a critical regime, in either direction.
        let exact = exact || critical;
        let tolerance = if exact { Tolerance::ZERO } else { self.config.pull_tolerance };
        let allowance =
            u64::from(tolerance.parts()) * u64::from(losable) / u64::from(Tolerance::WHOLE);
        let allowance = allowance as u32;
        let mut urgent = member.urgent_to_pull();
        if allowance > 0 {
            urgent.union(&self.critical);
        }
        let transfer = TransferId { kind: TransferKind::Pull, round: version };
        let pull = if streamed {
            Outbound::streamed(transfer, blocks, allowance, Some(urgent))
        } else {
            let order = send_order(rotated(version, blocks), &urgent, member.holes());
            Outbound::blocks(transfer, order, allowance, Some(urgent))
        };
        member.session.send(pull.repaired(self.config.scheme.repair_pull()));
        member.pulled = Some(version);
        member.pull_open = Some((trained, now));
    }

    /// Takes stock of the last pull when it has ended, or before the next one takes its place.
    pub(super) fn close_pull(&mut self, now: Instant, id: WorkerId) {
        let Some(closed) = self.members.get_mut(&id).and_then(|member| member.close_pull(now))
        else {
            return;
        };
        self.tell(now, Event::PullClosed(closed));
    }
}
