//! Emulated network conditions at the edge of a worker: what it sends and what it receives passes a link each.

use crate::link::{Link, NetSpec};
use crate::units::Instant;

pub(super) struct Weather {
    up: Link,
    down: Link,
}

impl Weather {
    /// `None` if there is nothing to emulate.
    pub(super) fn new(spec: &NetSpec, seed: u64, worker: u16) -> Option<Self> {
        let link = |name| Link::new(spec, seed, name, worker.into());
        (!spec.is_clear()).then(|| Self { up: link("up"), down: link("down") })
    }

    pub(super) const fn up(&mut self) -> &mut Link {
        &mut self.up
    }

    pub(super) const fn down(&mut self) -> &mut Link {
        &mut self.down
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.up.poll_timeout().into_iter().chain(self.down.poll_timeout()).min()
    }
}
