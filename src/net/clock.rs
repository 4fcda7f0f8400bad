//! The one place that asks what time it is.

use std::time::{Duration, Instant as StdInstant, SystemTime};

use crate::units::Instant;

/// Monotonic time since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: StdInstant,
}

impl Clock {
    /// A clock that stands at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> Self {
        Self { start: StdInstant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// The same point on the operating system's clock.
    pub(super) fn at(&self, instant: Instant) -> StdInstant {
        self.start + (instant - Instant::ZERO)
    }
}

/// The time of day since 1970, for people.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
pub fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
