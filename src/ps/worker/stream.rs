//! A worker over a stream: its driver tells when there is a connection, and when it takes no more.

use super::WorkerCore;
use crate::units::Instant;
use crate::wire::Carrier;

impl WorkerCore {
    /// The same worker over another carrier, before it has said anything.
    #[must_use]
    pub fn over(self, carrier: Carrier) -> Self {
        Self { carrier, session: self.session.over(carrier), ..self }
    }

    /// Takes in that there is a connection to greet over.
    pub const fn handle_connected(&mut self, now: Instant) {
        self.hello_at = now;
    }

    /// Takes in that the connection is gone, and with it the session.
    pub fn handle_disconnected(&mut self, now: Instant, why: &str) {
        if self.ended {
            // Nothing that is still unsaid will be heard.
            self.worker = None;
        } else if self.worker.is_some() {
            self.greet_again(now, why);
        } else {
            // A cookie is good for one address.
            self.cookie = 0;
        }
    }

    /// Takes in whether the connection takes no more for now.
    pub const fn set_stalled(&mut self, stalled: bool) {
        self.session.set_stalled(stalled);
    }

    /// Advice for those whose server does not answer.
    pub(super) const fn unanswered(&self) -> &'static str {
        match self.carrier {
            Carrier::Datagrams => "looking for the server, no answer (is its UDP port open?)",
            Carrier::Stream => {
                "looking for the server, no answer (is its TCP port open, and was it started with --transport tcp?)"
            }
        }
    }
}
