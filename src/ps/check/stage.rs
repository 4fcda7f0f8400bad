//! How far a check has come.

use std::fmt;

/// What is being found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whether anybody answers.
    Greeting,
    /// Which datagrams get through.
    Sizes,
    /// How fast they arrive there, by the train of this number.
    RateUp(u8),
    /// How fast they arrive here.
    RateDown(u8),
    /// How many of them are lost, and how long they take.
    Loss,
    /// The server's last count is awaited.
    Count,
}

impl Stage {
    /// The group in which its probes are counted.
    pub(super) const fn group(self) -> u8 {
        match self {
            Self::Greeting | Self::Sizes | Self::Count => 0,
            Self::Loss => 1,
            Self::RateUp(train) => 2 + train,
            // What counts is when they arrive here.
            Self::RateDown(_) => 15,
        }
    }
}

/// In words, for people.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "looking for the server",
            Self::Sizes => "trying which datagrams get through",
            Self::RateUp(_) => "measuring the rate to the server",
            Self::RateDown(_) => "measuring the rate from the server",
            Self::Loss | Self::Count => "counting what is lost",
        })
    }
}
