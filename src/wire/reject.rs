//! Bad input from the network: weather. It is counted, and nothing else happens.

/// Why a datagram, or a part of it, was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// Too short for a header, or longer than any datagram of ours.
    Length,
    /// It does not begin as our datagrams do.
    Foreign,
    /// Ours, but of another protocol version.
    Version,
    /// The checksum does not match.
    Checksum,
    /// No such kind of message.
    Kind,
    /// The message is cut short, too long, or holds an impossible value.
    Malformed,
    /// No such session, or the message does not belong to its state.
    Session,
    /// Seen before, or too old to tell.
    Replayed,
    /// A transfer that nobody waits for.
    Transfer,
    /// A block that the layout does not have, or of the wrong size.
    Span,
    /// A `Hello` that does not prove its address.
    Cookie,
    /// A named limit is reached.
    Limit,
}

crate::named!(Reject, "reason to put a datagram aside", {
    Length => "length",
    Foreign => "foreign",
    Version => "version",
    Checksum => "checksum",
    Kind => "kind",
    Malformed => "malformed",
    Session => "session",
    Replayed => "replayed",
    Transfer => "transfer",
    Span => "span",
    Cookie => "cookie",
    Limit => "limit",
});

/// How often each [`Reject`] happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejects([u64; Reject::NAMES.len()]);

impl Rejects {
    /// Counts one.
    pub fn count(&mut self, reject: Reject) {
        self.0[reject as usize] += 1;
    }

    /// Those that happened, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> + '_ {
        let reasons = Reject::NAMES.iter().map(|&(_, reject)| reject);
        reasons.zip(self.0).filter(|&(_, count)| count > 0)
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
