//! How a transfer deals with loss: this project's way, and those that it is compared with. All of them share the
//! datagrams, windows, grants and rounds; only when lost blocks are sent again, and when a transfer is closed, differs.

/// How lossy transfers are repaired and closed. At tolerance 0 every scheme delivers everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Ours: only the deficit is repaired, while sending goes on; what comes for free is waited for.
    #[default]
    Bounded,
    /// Stop-and-probe, as MLT (NSDI'24) and DBLP (2026) describe it: all blocks are sent once, the receiver is asked,
    /// and unless enough has arrived all that is missing is sent in another pass, which costs a round trip.
    /// Left out: their rate control, priorities in switches, and the side channel over TCP.
    Passes,
    /// LTP's early close (arXiv 2305.04279): everything lost is repaired, but the transfer is closed as soon as the
    /// usual time is over and a fraction has arrived, and at a deadline whatever has. Left out: its congestion control.
    EarlyClose,
    /// OptiReduce's bounded time (NSDI'25, its unreliable bounded transport): nothing is repaired, and a transfer ends
    /// when the sender has sent everything or its time is over. Left out: the all-reduce and the Hadamard transform.
    Timeout,
}

/// When a sender sends lost blocks again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Repair {
    /// As soon as more are lost than may be missing, as many as that.
    #[default]
    Deficit = 0,
    /// All of them, once everything was sent and its fate is known, if more are lost than may be missing.
    Passes = 1,
    /// All of them at once.
    All = 2,
    /// Never.
    None = 3,
}

impl Repair {
    /// The way with this number on the wire.
    #[must_use]
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Deficit),
            1 => Some(Self::Passes),
            2 => Some(Self::All),
            3 => Some(Self::None),
            _ => None,
        }
    }
}

impl Scheme {
    /// How a push is repaired; `timed` if it has a deadline.
    #[must_use]
    pub const fn repair(self, timed: bool) -> Repair {
        match self {
            Self::Bounded => Repair::Deficit,
            Self::Passes => Repair::Passes,
            Self::EarlyClose => Repair::All,
            // Without a history there is no time to keep to.
            Self::Timeout if timed => Repair::None,
            Self::Timeout => Repair::All,
        }
    }

    /// How a pull is repaired: it must be complete.
    #[must_use]
    pub const fn repair_pull(self) -> Repair {
        match self {
            Self::Passes => Repair::Passes,
            _ => Repair::Deficit,
        }
    }
}
