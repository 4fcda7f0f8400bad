//! Messages that begin and end a session.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Reject;
use super::envelope::BODY_MAX;
use crate::ids::WorkerId;

/// Worker to server: I am here. Padded to the largest datagram, so that a path that cannot carry one is found at once,
/// and so that no answer is larger than the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the server's [`Welcome`] gave, 0 at first: proves that the worker receives at the address it sends from.
    pub cookie: u64,
}

/// Server to worker: the answer to a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// To be sent back in the next [`Hello`].
    pub cookie: u64,
    /// The worker's number; `None` as long as the server keeps no state for it.
    pub worker: Option<WorkerId>,
}

/// Either side: this session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bye {
    /// Why, for the program.
    pub code: ByeCode,
    /// Why, for people; at most 255 bytes.
    pub text: String,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ByeCode {
    /// The run is over.
    Finished = 0,
    /// The worker leaves; training goes on.
    Leaving = 1,
    /// The worker has not got the data set, or another one than the plan says.
    Data = 2,
    /// The two sides cannot work together (plan, model, limits).
    Refused = 3,
    /// The worker's gradient is not finite.
    NonFinite = 4,
    /// The server stops before the run is over.
    Stopping = 5,
    /// The server dropped the worker.
    Dropped = 6,
}

impl ByeCode {
    const ALL: [Self; 7] = [
        Self::Finished,
        Self::Leaving,
        Self::Data,
        Self::Refused,
        Self::NonFinite,
        Self::Stopping,
        Self::Dropped,
    ];
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawWelcome {
    cookie: U64,
    worker: U32,
}

const _: () = assert!(size_of::<RawWelcome>() == 12);

impl Hello {
    pub(super) fn write(self, body: &mut Vec<u8>) {
        let end = body.len() + BODY_MAX - 1;
        body.extend_from_slice(&self.cookie.to_le_bytes());
        body.resize(end, 0);
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        if body.len() != BODY_MAX - 1 {
            return Err(Reject::Malformed);
        }
        let (cookie, _) = U64::ref_from_prefix(body).map_err(|_| Reject::Malformed)?;
        Ok(Self { cookie: cookie.get() })
    }
}

impl Welcome {
    pub(super) fn write(self, body: &mut Vec<u8>) {
        let raw = RawWelcome {
            cookie: self.cookie.into(),
            worker: self.worker.map_or(0, |id| id.0).into(),
        };
        body.extend_from_slice(raw.as_bytes());
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        let raw = RawWelcome::ref_from_bytes(body).map_err(|_| Reject::Malformed)?;
        Ok(Self {
            cookie: raw.cookie.get(),
            worker: Some(WorkerId(raw.worker.get())).filter(|id| id.0 != 0),
        })
    }
}

impl Bye {
    /// A farewell; text beyond 255 bytes is cut at a character's end.
    #[must_use]
    pub fn new(code: ByeCode, text: &str) -> Self {
        let end = (0..=text.len().min(255)).rev().find(|&end| text.is_char_boundary(end));
        Self { code, text: text[..end.unwrap_or(0)].to_owned() }
    }

    pub(super) fn write(&self, body: &mut Vec<u8>) {
        body.push(self.code as u8);
        body.extend_from_slice(self.text.as_bytes());
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Reject> {
        let (&code, text) = body.split_first().ok_or(Reject::Malformed)?;
        let code = *ByeCode::ALL.get(usize::from(code)).ok_or(Reject::Malformed)?;
        let text = str::from_utf8(text).map_err(|_| Reject::Malformed)?;
        if text.len() > 255 {
            return Err(Reject::Malformed);
        }
        // Shown on somebody's terminal: nothing in it may steer that.
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Ok(Self { code, text })
    }
}
