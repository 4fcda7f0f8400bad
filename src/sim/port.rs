//! The server's own port: one link in each direction that all workers share.

use crate::ids::Round;
use crate::link::{Link, NetSpec};
use crate::units::Instant;

/// Two links whose datagrams are owned by workers, by number.
pub(super) struct Port {
    pub(super) up: Link,
    pub(super) down: Link,
}

impl Port {
    pub(super) fn new(spec: &NetSpec, seed: u64) -> Self {
        let link = |name| Link::new(spec, seed, name, 0);
        Self { up: link("server/up"), down: link("server/down") }
    }

    pub(super) fn enter(&mut self, round: Round) {
        self.up.enter(round);
        self.down.enter(round);
    }

    pub(super) const fn links(&self) -> [&Link; 2] {
        [&self.up, &self.down]
    }

    /// When something comes out next.
    pub(super) fn next(&self) -> Instant {
        let links = self.links().into_iter();
        links.filter_map(Link::poll_timeout).min().unwrap_or(Instant::MAX)
    }
}
