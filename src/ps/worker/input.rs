//! What a worker does with a datagram, and with what the session makes of it.

use super::{Blocks, End, HELLO_FIRST, State, Work, WorkerCore, WorkerEvent, count_holes};
use crate::bitmap::Bitmap;
use crate::ids::Round;
use crate::mlt::{Arrival, SessionEvent};
use crate::units::Instant;
use crate::wire::{
    Bye, ByeCode, Message, Reject, RoundStart, Task, TransferKind, VERSION, Welcome,
};

impl WorkerCore {
    /// Takes in a datagram of the server, which the system received `at` some time before. Bad ones are counted and
    /// change nothing.
    pub fn handle_datagram(&mut self, now: Instant, at: Instant, datagram: &[u8]) {
        if let Err(reject) = self.try_datagram(now, at, datagram) {
            self.rejects.count(reject);
        }
        self.settle();
    }

    fn try_datagram(&mut self, now: Instant, at: Instant, datagram: &[u8]) -> Result<(), Reject> {
        if self.ended {
            return Err(Reject::Session);
        }
        let opened = self.carrier.open(datagram);
        if opened == Err(Reject::Version) && self.worker.is_none() {
            let why = format!(
                "the server speaks version {} of the protocol, this worker version {VERSION}: use one release of \
                 mlt-lite at both ends",
                self.carrier.version(datagram)
            );
            self.end(End::Refused(why));
        }
        let (header, body) = opened?;
        if header.session != self.session.id() {
            return Err(Reject::Session);
        }
        let message = Message::parse(body)?;
        match message {
            Message::Welcome(welcome) => self.handle_welcome(now, welcome),
            Message::Bye(bye) => self.handle_bye(now, &bye),
            _ if self.worker.is_none() => return Err(Reject::Session),
            _ => {
                let mut blocks = Blocks { state: self.state.as_mut() };
                let arrival = Arrival { now, at, number: header.number, bytes: datagram.len() };
                let handled = self.session.handle_message(arrival, message, &mut blocks);
                if handled == Err(Reject::Span) {
                    self.leave(ByeCode::Refused, "the server sent a block that is none");
                }
                handled?;
            }
        }
        self.heard_at = now;
        Ok(())
    }

    fn handle_welcome(&mut self, now: Instant, welcome: Welcome) {
        if self.worker.is_some() {
            return;
        }
        let news = self.cookie != welcome.cookie;
        self.cookie = welcome.cookie;
        self.worker = welcome.worker;
        match welcome.worker {
            Some(worker) => {
                self.hello_wait = HELLO_FIRST;
                self.events.push_back(WorkerEvent::Welcome(worker));
            }
            None if news => self.hello_at = now,
            None => {}
        }
    }

    fn handle_bye(&mut self, now: Instant, bye: &Bye) {
        let text = bye.text.clone();
        match bye.code {
            ByeCode::Finished => self.end(End::Finished),
            ByeCode::Refused | ByeCode::Data => self.end(End::Refused(text)),
            ByeCode::Stopping => self.end(End::Stopped(text)),
            ByeCode::Dropped if self.worker.is_none() => {}
            ByeCode::Dropped if text.is_empty() => {
                self.greet_again(now, "the server does not know us")
            }
            ByeCode::Dropped => self.greet_again(now, &format!("the server dropped us: {text}")),
            ByeCode::Leaving | ByeCode::NonFinite => {}
        }
        if self.ended {
            self.worker = None;
        }
    }

    /// Deals with what the session has to tell.
    pub(super) fn settle(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Blob(id, bytes) if id.kind == TransferKind::Plan => {
                    self.handle_plan(&bytes)
                }
                SessionEvent::Blob(_, bytes) => match RoundStart::from_bytes(&bytes) {
                    Ok(start) => self.handle_start(start),
                    Err(error) => self.leave(ByeCode::Refused, &error.to_string()),
                },
                SessionEvent::Received(id, _) => self.handle_pull(id.round),
                SessionEvent::Delivered(_) | SessionEvent::Bye(_) => {}
            }
        }
        self.deliver();
    }

    fn handle_plan(&mut self, bytes: &[u8]) {
        let Ok(plan) = str::from_utf8(bytes) else {
            return self.leave(ByeCode::Refused, "the server's plan is not text");
        };
        if self.plan.as_deref() == Some(plan) {
            // Back at a server that we were ready for before.
            return self.report_ready();
        }
        self.state = None;
        self.plan = Some(plan.to_owned());
        self.give(Work::Prepare(plan.to_owned()));
    }

    fn handle_pull(&mut self, round: Round) {
        let Some(state) = &mut self.state else { return };
        let Some(pull) = self.session.inbound(TransferKind::Pull) else { return };
        count_holes(&mut state.holes, pull.received());
        state.version = Some(round);
    }

    fn handle_start(&mut self, start: RoundStart) {
        let Some(State { setup, residual, update, encoded, pushed, .. }) = &mut self.state else {
            return;
        };
        let blocks = setup.layout.blocks();
        if start.blocks != blocks {
            let why = format!("the server's model has {} blocks, this one {blocks}", start.blocks);
            return self.leave(ByeCode::Refused, &why);
        }
        if !setup.covers(&start.task) {
            let why = format!("the server wants what is not in its plan: {:?}", start.task);
            return self.leave(ByeCode::Refused, &why);
        }
        self.session.cancel(TransferKind::Push);
        if let Some((round, codec)) = pushed.take() {
            let known = start.used_round == round;
            let used = if known { start.used.to_bitmap(blocks) } else { Bitmap::zeros(blocks) };
            residual.settle(&setup.layout, update, encoded, codec, &used);
        }
        self.start = Some(start);
    }

    /// Hands out what is to be computed as soon as the parameters for it are there.
    fn deliver(&mut self) {
        let (Some(start), Some(state)) = (&self.start, &self.state) else { return };
        if self.ended || self.awaited.is_some() || start.round <= self.delivered {
            return;
        }
        if start.task == Task::Finish {
            self.session.close(Bye::new(ByeCode::Finished, "the run is over"));
            return self.end(End::Finished);
        }
        if state.version != Some(start.parameters) {
            return;
        }
        let mut delivery = std::mem::take(&mut self.spare);
        delivery.round = start.round;
        delivery.task = Some(start.task);
        delivery.parameters.clone_from(&state.replica);
        delivery.gradient.resize(state.replica.len(), 0.0);
        self.delivered = start.round;
        self.give(Work::Compute(delivery));
    }
}
