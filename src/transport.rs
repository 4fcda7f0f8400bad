//! What carries pushes and pulls, and what may be lost on the way: ours, and the baselines that it is compared with.

use std::fmt;
use std::str::FromStr;

/// How pushes and pulls travel. All run in the same engine, round by round, and leave the same files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Over UDP: a push is complete when all but a tolerated part has arrived.
    #[default]
    Bounded,
    /// The same at tolerance 0, whatever the plan tolerates elsewhere.
    Reliable,
    /// As MLT and DBLP have it: all is sent, the receiver is asked, what is missing is sent in another pass.
    Passes,
    /// As LTP has it: everything is repaired until the usual time is over and a fraction has arrived, or a deadline.
    EarlyClose,
    /// As OptiReduce has it: nothing is repaired, and the time is bounded.
    Timeout,
    /// Over TCP, as the kernel has it. Nothing is tolerated, for nothing is ever missing.
    Tcp {
        /// Whether each block of the new parameters leaves as soon as its average is known. Otherwise as people write
        /// it: push, barrier, pull.
        streamed: bool,
        /// The kernel's congestion control; none: the one that the machine uses by itself.
        control: Option<Control>,
    },
}

/// The name of a congestion control, as the kernel knows it: `cubic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control(String);

/// Longest name of a congestion control that Linux takes.
const CONTROL_CHARS_MAX: usize = 15;
/// The transports without their congestion control.
const NAMES: [&str; 7] =
    ["bounded", "reliable", "passes", "early-close", "timeout", "tcp", "tcp-streamed"];

/// Text that names no transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTransport {
    /// No such word.
    #[error(
        "unknown transport `{0}`: choose one of bounded, reliable, passes, early-close, timeout, tcp, tcp-streamed; \
         behind the last two may stand a congestion control, such as tcp:cubic"
    )]
    Name(String),
    /// Only TCP leaves congestion control to the kernel.
    #[error(
        "`{0}` has a congestion control of its own: only tcp and tcp-streamed take one, such as tcp:cubic"
    )]
    Own(String),
    /// Something that is no name.
    #[error("`{0}` is no name of a congestion control, such as reno, cubic or bbr")]
    Control(String),
}

impl Transport {
    /// The largest part that may be missing is 0 whatever the plan says.
    #[must_use]
    pub const fn is_reliable(&self) -> bool {
        matches!(self, Self::Reliable | Self::Tcp { .. })
    }

    /// Whether the kernel's TCP carries it.
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    /// Whether a block of the new parameters leaves while pushes still arrive.
    #[must_use]
    pub const fn is_streamed(&self) -> bool {
        !matches!(self, Self::Tcp { streamed: false, .. })
    }

    /// The congestion control that the kernel is asked for.
    #[must_use]
    pub fn control(&self) -> Option<&Control> {
        if let Self::Tcp { control, .. } = self { control.as_ref() } else { None }
    }

    /// What a worker has to be told before it can reach its server: the rest is in the plan.
    #[must_use]
    pub fn at_worker(&self) -> Self {
        match self {
            Self::Tcp { control, .. } => Self::Tcp { streamed: false, control: control.clone() },
            _ => Self::Bounded,
        }
    }

    /// What it says of a plan's tolerance, for people; nothing if that holds.
    #[must_use]
    pub const fn remark(&self) -> &'static str {
        match self {
            Self::Bounded => "",
            Self::Passes => {
                "all is sent, asked after, and what is missing sent in passes (MLT, DBLP)"
            }
            Self::EarlyClose => "closed early once enough has arrived, and at a deadline (LTP)",
            Self::Timeout => "nothing is repaired once there is a time to keep (OptiReduce)",
            Self::Reliable => "nothing may be missing, whatever the tolerance",
            Self::Tcp { streamed: false, .. } => {
                "push, barrier, pull; nothing is ever missing, whatever the tolerance"
            }
            Self::Tcp { streamed: true, .. } => {
                "pulls are streamed; nothing is ever missing, whatever the tolerance"
            }
        }
    }
}

impl Control {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bounded => "bounded",
            Self::Reliable => "reliable",
            Self::Passes => "passes",
            Self::EarlyClose => "early-close",
            Self::Timeout => "timeout",
            Self::Tcp { streamed: false, .. } => "tcp",
            Self::Tcp { streamed: true, .. } => "tcp-streamed",
        })?;
        self.control().map_or(Ok(()), |control| write!(f, ":{}", control.name()))
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, control) = match text.split_once(':') {
            Some((name, control)) => (name, Some(control)),
            None => (text, None),
        };
        if !NAMES.contains(&name) {
            return Err(UnknownTransport::Name(text.to_owned()));
        }
        let control = control.map(|name| {
            let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            let good = (1..=CONTROL_CHARS_MAX).contains(&name.len()) && name.chars().all(letter);
            good.then(|| Control(name.to_owned()))
                .ok_or_else(|| UnknownTransport::Control(name.to_owned()))
        });
        let control = control.transpose()?;
        match (name, control) {
            ("tcp", control) => Ok(Self::Tcp { streamed: false, control }),
            ("tcp-streamed", control) => Ok(Self::Tcp { streamed: true, control }),
            (own, Some(_)) => Err(UnknownTransport::Own(own.to_owned())),
            ("reliable", None) => Ok(Self::Reliable),
            ("passes", None) => Ok(Self::Passes),
            ("early-close", None) => Ok(Self::EarlyClose),
            ("timeout", None) => Ok(Self::Timeout),
            (_, None) => Ok(Self::Bounded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        for text in NAMES.into_iter().chain(["tcp:cubic", "tcp-streamed:bbr"]) {
            let transport: Transport = text.parse().unwrap();
            assert_eq!(transport.to_string(), text);
            assert_eq!(transport.is_tcp(), text.starts_with("tcp"));
            assert_eq!(transport.is_reliable(), transport.is_tcp() || text == "reliable");
            assert_eq!(
                transport.is_streamed(),
                !text.starts_with("tcp") || text.contains("streamed")
            );
            assert_eq!(transport.at_worker().control(), transport.control());
        }
        assert_eq!(Transport::default(), "bounded".parse().unwrap());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "udp",
            "tcp:",
            "tcp:a b",
            "tcp:0123456789abcdef",
            "Tcp",
            "bounded:cubic",
            "tcp:x:y",
        ] {
            let error = text.parse::<Transport>().unwrap_err().to_string();
            assert!(error.contains("cubic"), "{text}: {error}");
        }
    }
}
