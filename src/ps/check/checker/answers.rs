//! What a checker learns from answers.

use std::time::Duration;

use super::{CheckEnd, Checker, FULL, Sent, TIME_MAX, TRAIN_GAP, TRAIN_SILENCE};
use crate::ps::check::Stage;
use crate::ps::check::findings::{loss, median, rate};
use crate::units::Instant;
use crate::wire::{Bye, ByeCode, Carrier, ECHO_COPIES_MAX, Echo, Message, Reject, Taken, VERSION};

impl Checker {
    /// Takes in a datagram of the server.
    ///
    /// # Errors
    /// If there is nothing to be learned from it.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Reject> {
        if self.end.is_some() {
            return Err(Reject::Session);
        }
        let opened = Carrier::Datagrams.open(datagram);
        if opened == Err(Reject::Version) && self.stage == Stage::Greeting {
            let why = format!(
                "the server speaks version {} of the protocol, this program version {VERSION}: use one release of \
                 mlt-lite at both ends",
                Carrier::Datagrams.version(datagram)
            );
            self.end = Some(CheckEnd::Refused(why));
        }
        let (header, body) = opened?;
        if header.session != self.session {
            return Err(Reject::Session);
        }
        match Message::parse(body)? {
            Message::Echo(echo) => self.handle_echo(now, &echo),
            Message::Bye(Bye { code: ByeCode::Refused, text }) => {
                self.end = Some(CheckEnd::Refused(text));
                Ok(())
            }
            _ => Err(Reject::Session),
        }
    }

    fn handle_echo(&mut self, now: Instant, echo: &Echo) -> Result<(), Reject> {
        let index = echo.number.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let sent = *index.and_then(|index| self.sent.get(index)).ok_or(Reject::Malformed)?;
        if echo.copy >= ECHO_COPIES_MAX || !self.answers.insert((echo.number.0, echo.copy)) {
            return Err(Reject::Replayed);
        }
        self.findings.up.datagram = self.findings.up.datagram.max(sent.size);
        self.findings.down.datagram = self.findings.down.datagram.max(echo.size);
        match echo.taken {
            Taken::Busy => self.end = Some(CheckEnd::Busy),
            Taken::Unproven => {
                self.cookie = echo.cookie;
                if self.stage == Stage::Greeting {
                    self.enter(now, Stage::Sizes);
                }
            }
            Taken::Counted => self.handle_counted(now, sent, echo),
        }
        Ok(())
    }

    fn handle_counted(&mut self, now: Instant, sent: Sent, echo: &Echo) {
        match sent.stage {
            Stage::Loss => {
                self.arrived += 1;
                self.round_trips.push(now - sent.at);
            }
            stage if stage != self.stage => {}
            Stage::Greeting => {}
            Stage::Sizes => {
                if self.findings.up.datagram == FULL && self.findings.down.datagram == FULL {
                    self.due_at = now;
                }
            }
            Stage::RateUp(train) => {
                let span = Duration::from_nanos(echo.span_ns);
                let received = echo.received.min(self.train.into());
                self.rates_up.extend(rate(received, self.findings.up.datagram, span));
                self.next_train_up(now, train);
            }
            Stage::RateDown(_) => {
                if self.arrivals.count == 0 {
                    self.arrivals.first_at = now;
                }
                self.arrivals.last_at = now;
                self.arrivals.count += 1;
                let complete = self.arrivals.count == u32::from(self.train);
                self.due_at = now + if complete { TRAIN_GAP } else { TRAIN_SILENCE };
            }
            Stage::Count => {
                let planned = self.findings.probes;
                self.findings.up.loss = loss(planned, echo.received);
                self.findings.down.loss = loss(echo.echoes.min(planned), self.arrived);
                self.finish();
            }
        }
    }

    pub(super) fn finish(&mut self) {
        self.findings.shortest = self.round_trips.iter().min().copied();
        self.findings.median = median(&mut self.round_trips);
        self.end = Some(if self.stage == Stage::Greeting {
            CheckEnd::Silent(TIME_MAX)
        } else {
            CheckEnd::Found(self.findings)
        });
    }
}
