//! A training round: pushes in, their average, a step.

use std::time::Duration;

use super::{Phase, ServerCore};
use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::event::{Decided, Event, PushClosed, RoundEnded, RoundStarted};
use crate::flat::{Layout, Part as Carried, Unsaid};
use crate::ids::{BlockIndex, Round, WorkerId};
use crate::mlt::{Close, Deadlines, Inbound, Scheme};
use crate::ps::calendar::Place;
use crate::ps::credit;
use crate::ps::cursor::Slice;
use crate::ps::member::Member;
use crate::ps::missing::Missing;
use crate::ps::policy::{Critical, Policy};
use crate::ps::terms::Terms;
use crate::units::{Instant, Tolerance};
use crate::wire::{Sparse, Task, TransferId, TransferKind};

/// The state of a training round.
#[derive(Debug)]
pub(super) struct Training {
    /// Counts training rounds from 1.
    number: Round,
    started_at: Instant,
    coming: Coming,
    /// In the order of averaging.
    parts: Vec<Part>,
    open: usize,
    /// Whether the new parameters are on their way already.
    pulling: bool,
    /// Whether a parameter is not finite any more.
    diverged: bool,
}

/// What the calendar and the policy say of a round that comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming {
    /// The place behind it.
    place: Place,
    /// Examples of each worker.
    batch: u32,
    /// Learning rate of its step.
    pub(super) lr: f64,
}

#[derive(Debug)]
struct Part {
    worker: WorkerId,
    slice: Slice,
    loss: Option<f64>,
    unsaid: Option<Unsaid>,
    /// Whether its push, or the report before it, has begun to arrive.
    begun: bool,
    /// From the first datagram of its push to the close.
    took: Option<Duration>,
    used: u32,
    gone: bool,
    open: bool,
}

impl Training {
    pub(super) const fn is_closed(&self) -> bool {
        self.open == 0
    }

    /// Place of a worker in the order of averaging, if its push is open.
    pub(super) fn rank(&self, id: WorkerId) -> Option<u16> {
        let rank = self.parts.iter().position(|part| part.worker == id && part.open)?;
        Some(rank as u16)
    }

    /// Takes in the mean training loss of a worker's slice, and how much it had not said before.
    pub(super) fn handle_report(&mut self, id: WorkerId, loss: f64, unsaid: Unsaid) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.worker == id) {
            (part.loss, part.unsaid) = (Some(loss), Some(unsaid));
        }
        self.begin(id);
    }

    /// Takes in that a worker has computed.
    pub(super) fn begin(&mut self, id: WorkerId) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.worker == id) {
            part.begun = true;
        }
    }

    pub(super) const fn number(&self) -> Round {
        self.number
    }

    /// Workers whose push is open.
    pub(super) fn open(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.parts.iter().filter(|part| part.open).map(|part| part.worker)
    }

    /// Of those, the ones that have computed.
    pub(super) fn begun(&self) -> impl Iterator<Item = WorkerId> + '_ {
        let begun = |part: &&Part| part.open && part.begun;
        self.parts.iter().filter(begun).map(|part| part.worker)
    }

    /// Whether a push is open, or something of one was used.
    fn is_useful(&self) -> bool {
        self.parts.iter().any(|part| part.open || part.used > 0)
    }

    fn mean_loss(&self) -> f64 {
        let losses = || self.parts.iter().filter_map(|part| part.loss);
        losses().sum::<f64>() / losses().count() as f64
    }
}

impl ServerCore {
    /// What the next round is like.
    pub(super) fn coming(&self) -> Coming {
        let config = &self.config;
        let batch = config.batches.of(self.policy.has_small_batch());
        let place = config.calendar.after(self.place, batch);
        let lr = config.schedule.lr(self.place, place) * config.batches.lr_factor(batch);
        Coming { place, batch, lr }
    }

    /// Tolerance and codecs of the next pushes. Before the learning rate steps down, and before the last checkpoint,
    /// everything unsaid is said.
    pub(super) fn push_terms(&self) -> (Tolerance, Terms) {
        let config = &self.config;
        let coming = self.coming();
        if config.flushes && (config.schedule.drops_at(coming.place) || self.is_last_step(coming)) {
            return (Tolerance::ZERO, Terms::uniform(Codec::Raw));
        }
        let terms = Terms::new(config.codec, config.critical_codec, self.critical_tensors());
        (self.policy.tolerance(), terms)
    }

    /// Whether nothing after this round makes a step: a cosine ends with a round at rate 0.
    fn is_last_step(&self, Coming { place, batch, lr }: Coming) -> bool {
        let config = &self.config;
        let ends_in_nothing = || {
            let next = config.calendar.after(place, batch);
            config.calendar.is_over(next) && config.schedule.lr(place, next) == 0.0
        };
        lr > 0.0 && (config.calendar.is_over(place) || ends_in_nothing())
    }

    /// The tensors that are in a critical regime.
    fn critical_tensors(&self) -> Sparse {
        match self.policy.terms().critical {
            Critical::Nothing => Sparse::None,
            Critical::Everything => Sparse::All,
            Critical::Tensors(critical) => {
                let mut tensors = Bitmap::zeros(critical.len() as u32);
                let places = (0..).map(BlockIndex).zip(critical);
                for (place, _) in places.filter(|&(_, critical)| critical) {
                    tensors.insert(place);
                }
                Sparse::Some(tensors)
            }
        }
    }

    /// When pushes of this tolerance are closed.
    pub(super) fn push_deadlines(&self, tolerance: Tolerance) -> Deadlines {
        if tolerance == Tolerance::ZERO {
            return Deadlines::default();
        }
        let deadlines = self.push_time.deadlines(self.config.scheme);
        // Critical tensors must arrive: only the membership timeout ends a round without them.
        let waits = self.critical.ones() > 0;
        Deadlines { hard: deadlines.hard.filter(|_| !waits), ..deadlines }
    }

    pub(super) fn begin_training(&mut self, now: Instant) {
        self.round = self.round.next();
        let coming = self.coming();
        let number = Round(coming.place.round);
        let workers = self.ready();
        let count = workers.len() as u16;
        let (tolerance, terms) = self.push_terms();
        let codecs = terms.codecs(&self.layout);
        if !codecs.is_laid_out_like(self.average.codecs()) {
            self.members.values_mut().for_each(Member::forget_ages);
        }
        self.average.reset(&self.layout, codecs, count);
        let Coming { batch, lr, .. } = coming;
        if self.config.missing == Missing::Imputed {
            self.average.impute(&workers, lr);
        }
        let (critical, critical_blocks) = (self.policy.is_critical(), self.critical_of_push());
        self.tell(
            now,
            Event::RoundStarted(RoundStarted {
                round: number,
                workers: workers.clone(),
                tolerance,
                losable: critical_blocks.len() - critical_blocks.ones(),
                critical,
                batch,
                lr,
            }),
        );
        self.rollback.begin(&self.cursor);
        let slices = self.cursor.deal(workers.len(), batch);
        let deadlines = self.push_deadlines(tolerance);
        let credit = credit(self.capacity, count);
        let push = TransferId { kind: TransferKind::Push, round: self.round };
        let mut parts = Vec::with_capacity(workers.len());
        for (rank, (&worker, &slice)) in (0..).zip(workers.iter().zip(&slices)) {
            let task = Task::Train { slot: slice.slot, first: slice.first, count: slice.count };
            let (allowance, urgent) = self.start(now, worker, rank, count, task);
            let window = self.unscheduled(rank, count);
            if let Some(member) = self.members.get_mut(&worker) {
                member.session.set_credit(credit);
                let inbound = Inbound::new(push, urgent.len(), allowance, Some(urgent), deadlines);
                let inbound = inbound.limited(window).closing(self.config.scheme);
                member.session.expect(inbound);
            }
            parts.push(Part {
                worker,
                slice,
                loss: None,
                unsaid: None,
                begun: false,
                took: None,
                used: 0,
                gone: false,
                open: true,
            });
        }
        let open = parts.len();
        self.measures.begin_round(self.config.batches.share(batch));
        self.phase = Phase::Training(Training {
            number,
            started_at: now,
            coming,
            parts,
            open,
            pulling: false,
            diverged: false,
        });
    }

    /// Takes stock of a push that is closed; `gone` if the worker left in the middle of it.
    pub(super) fn close_push(&mut self, now: Instant, id: WorkerId, close: Close, gone: bool) {
        let Phase::Training(training) = &mut self.phase else { return };
        let Some(rank) = training.rank(id) else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        let part = &mut training.parts[usize::from(rank)];
        self.average.close(&self.layout, rank);
        let received = self.average.received(rank);
        let owed = received.len();
        let missing = owed - received.ones();
        let forgiven = if close == Close::Enough && !gone { missing } else { 0 };
        member.ledger.spend(forgiven);
        member.handle_used(self.round, received);
        let inbound = member.session.inbound(TransferKind::Push);
        let first_at = inbound.and_then(Inbound::first_at);
        let push_time = first_at.map_or(Duration::ZERO, |first| now - first);
        // Nobody knows how long a push that was cut off would have taken: at least so long. Without it, deadlines that
        // have become too short would stay so.
        let cut_off = close == Close::Late && self.config.scheme == Scheme::Bounded;
        let took = if cut_off { push_time * 2 } else { push_time };
        part.took = first_at.filter(|_| !gone).map(|_| took);
        (part.used, part.gone, part.open) = (received.ones(), gone, false);
        let unsaid = part.unsaid;
        training.open -= 1;
        let event = PushClosed {
            round: training.number,
            worker: id,
            owed,
            received: received.ones(),
            repaired: inbound.map_or(0, Inbound::repaired),
            forgiven,
            late: if close == Close::Late && !gone { missing } else { 0 },
            gone: if gone { missing } else { 0 },
            sent: inbound.map_or(0, |push| push.credit().ordinal()),
            datagrams: inbound.map_or(0, |push| push.credit().datagrams()),
            passes: 1 + inbound.map_or(0, |push| push.passes().into()),
            bytes: inbound.map_or(0, Inbound::bytes),
            allowance: member.ledger.left(),
            residual: unsaid.map(|unsaid| unsaid.norm),
            clipped: unsaid.map(|unsaid| unsaid.clipped),
            wait_ns: (first_at.unwrap_or(now) - training.started_at).as_nanos() as u64,
            push_ns: push_time.as_nanos() as u64,
        };
        self.progress_at = now;
        self.tell(now, Event::PushClosed(event));
        self.step_blocks(now);
        self.credit_due = true;
    }

    /// Takes the optimizer's step in each block whose average is known, and lets it go to the workers at once if pulls
    /// are streamed.
    pub(super) fn step_blocks(&mut self, now: Instant) {
        let Phase::Training(Training { coming, .. }) = &self.phase else { return };
        let coming = *coming;
        // What is evaluated are the parameters that a checkpoint would hold.
        let exact = self.evaluation_follows(coming.place);
        let pull_codec = if exact { Codec::Raw } else { self.config.pull_codec };
        while let Phase::Training(training) = &mut self.phase
            && training.is_useful()
            && let Some(block) = self.average.poll_complete()
        {
            let first = self.layout.range(block).start;
            let vectors = [&self.parameters[..], self.sgd.velocity(), self.measures.window()];
            self.rollback.save(&self.layout, block, vectors);
            let signal = self.average.signal(&self.layout, block);
            let gradient = self.average.mean(&self.layout, block, self.config.missing);
            self.measures.handle_block(&self.layout, block, gradient, signal);
            self.sgd.step(&mut self.parameters, first, gradient, coming.lr);
            let stepped = &self.parameters[self.layout.range(block)];
            training.diverged |= stepped.iter().any(|x| !x.is_finite());
            if training.diverged {
                // Nobody is to learn from these.
                continue;
            }
            self.pull.replace(pull_codec, block, stepped);
            if self.config.streamed {
                self.release(now, block);
            }
        }
    }

    /// Lets a block of the new parameters go to the workers of the round.
    fn release(&mut self, now: Instant, block: BlockIndex) {
        let Phase::Training(training) = &mut self.phase else { return };
        let (number, place) = (training.number, training.coming.place);
        let exact = self.evaluation_follows(place);
        if self.config.calendar.is_over(place) && !exact {
            return;
        }
        let Phase::Training(training) = &mut self.phase else { return };
        if !std::mem::replace(&mut training.pulling, true) {
            let workers: Vec<_> = training.parts.iter().map(|part| part.worker).collect();
            for worker in workers {
                self.open_pull(now, worker, (self.round, number), exact, true);
            }
        }
        let Phase::Training(training) = &self.phase else { return };
        for part in &training.parts {
            if let Some(member) = self.members.get_mut(&part.worker) {
                member.session.release(TransferKind::Pull, block);
            }
        }
    }

    pub(super) fn end_training(&mut self, now: Instant, training: Training) {
        for part in &training.parts {
            if part.gone && part.used == 0 {
                self.cursor.take_back(part.slice);
            }
        }
        if !training.is_useful() {
            return;
        }
        let mut took: Vec<_> = training.parts.iter().filter_map(|part| part.took).collect();
        self.push_time.handle_round(&mut took);
        let norm = self.measures.norm();
        if !norm.is_finite() || training.diverged {
            let round = training.number;
            let why = format!("training diverged in round {round}: lower the learning rate (--lr)");
            return self.fail(why);
        }
        self.rollback.forget();
        if self.config.missing == Missing::Imputed {
            self.average.remember(&self.layout);
        }
        self.version = self.round;
        self.place = training.coming.place;
        let mut ended = RoundEnded {
            round: training.number,
            epoch: self.epoch(),
            loss: training.mean_loss(),
            norm,
            signal: None,
            lr_drops: self.config.schedule.drops_at(self.place),
            batch: training.coming.batch,
            norms: Vec::new(),
            window: Vec::new(),
            round_ns: (now - training.started_at).as_nanos() as u64,
        };
        self.measures.end_round(&self.layout, &mut ended);
        let decided = self.policy.handle_round(&ended);
        self.tell(now, Event::RoundEnded(ended));
        self.handle_decision(now, decided);
    }

    /// Puts into effect what the policy has decided, if it has.
    pub(super) fn handle_decision(&mut self, now: Instant, decided: Option<Decided>) {
        let Some(decided) = decided else { return };
        self.critical = critical_blocks(&self.policy, &self.layout);
        self.tell(now, Event::Decided(decided));
    }

    /// The blocks of the round's pushes that carry critical tensors, where some are and some are not.
    pub(super) fn critical_of_push(&self) -> Bitmap {
        let codecs = self.average.codecs();
        let mut critical = Bitmap::zeros(codecs.layout(&self.layout).blocks());
        for block in (0..critical.len()).map(BlockIndex) {
            let of = match codecs.part(block) {
                Carried::Block(of) => of,
                Carried::Factor(matrix) => BlockIndex(codecs.matrices()[matrix].model_blocks.start),
            };
            if self.critical.contains(of) {
                critical.insert(block);
            }
        }
        critical
    }
}

/// The blocks of critical tensors, where some are and some are not. What is critical as a whole needs no blocks: it has
/// a tolerance of its own.
pub(super) fn critical_blocks(policy: &Policy, layout: &Layout) -> Bitmap {
    let mut blocks = Bitmap::zeros(layout.blocks());
    let Critical::Tensors(critical) = policy.terms().critical else { return blocks };
    let tensors = layout.tensors().iter().zip(critical).filter(|&(_, critical)| critical);
    for block in tensors.flat_map(|(tensor, _)| tensor.blocks.clone()) {
        blocks.insert(BlockIndex(block));
    }
    blocks
}
