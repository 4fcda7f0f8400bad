//! Names for things that are numbers: a round cannot be mistaken for a block.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// One synchronous exchange between the server and all live workers; counts from 1 and never goes back.
    Round(u32)
);
id!(
    /// A worker's membership in a run, given by the server at the first `Hello`, counts from 1, never used again.
    WorkerId(u32)
);
id!(
    /// Position of a block in the canonical layout, counts from 0.
    BlockIndex(u32)
);
id!(
    /// One connection of one worker; drawn at random by the worker, survives a change of its address.
    SessionId(u64)
);
id!(
    /// Number of a datagram within one direction of a session; every transmission has a new one.
    PacketNumber(u64)
);

impl Round {
    /// The round after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl BlockIndex {
    /// The position as a slice index.
    #[must_use]
    pub const fn usize(self) -> usize {
        self.0 as usize
    }
}
