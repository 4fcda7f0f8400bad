//! A server over streams: its driver tells what becomes of connections.

use std::net::SocketAddr;

use super::ServerCore;
use crate::ids::WorkerId;
use crate::units::Instant;
use crate::wire::Reject;

impl ServerCore {
    fn member_at(&self, address: SocketAddr) -> Option<WorkerId> {
        self.members.values().find(|member| member.address == address).map(|member| member.id)
    }

    /// Whether a worker speaks from `address`.
    #[must_use]
    pub fn has_member(&self, address: SocketAddr) -> bool {
        self.member_at(address).is_some()
    }

    /// Takes in that the connection with `address` is gone, and with it the worker.
    pub fn handle_disconnected(&mut self, now: Instant, address: SocketAddr, why: &str) {
        if let Some(id) = self.member_at(address) {
            self.remove(now, id, why);
            self.advance(now);
        }
    }

    /// Takes in whether the connection with `address` takes no more for now.
    pub fn set_stalled(&mut self, address: SocketAddr, stalled: bool) {
        if let Some(member) = self.member_at(address).and_then(|id| self.members.get_mut(&id)) {
            member.session.set_stalled(stalled);
        }
    }

    /// Counts what the driver has put aside.
    pub fn handle_reject(&mut self, reject: Reject) {
        self.rejects.count(reject);
    }
}
