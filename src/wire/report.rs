//! What a worker has to say besides its gradient, as a reliable transfer.

use zerocopy::little_endian::{F64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A worker's report on what it was given to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// It has the plan and its data: what they look like from here.
    Ready {
        /// Digest of the layout of its model.
        layout: [u8; 32],
        /// Examples of its training set.
        train_len: u64,
        /// Examples of its test set.
        test_len: u32,
    },
    /// What came of its slice.
    Trained {
        /// Mean training loss over the examples.
        loss: f64,
        /// L2 norm of what was unsaid before this push, and is said with it: that of the residual.
        residual: f64,
        /// What was given up of it, because it was beyond all bounds.
        clipped: f64,
    },
    /// Exact counts over a range of the test set.
    Evaluated {
        /// First example of the range.
        first: u32,
        /// Examples of the range.
        count: u32,
        /// Those that were classified correctly.
        correct: u32,
        /// Sum of the cross-entropy over the range.
        loss_sum: f64,
    },
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawReady {
    layout: [u8; 32],
    train_len: U64,
    test_len: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEvaluated {
    first: U32,
    count: U32,
    correct: U32,
    loss_sum: F64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawTrained {
    loss: F64,
    residual: F64,
    clipped: F64,
}

const READY: u8 = 0;
const TRAINED: u8 = 1;
const EVALUATED: u8 = 2;

impl Report {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, body) = match *self {
            Self::Ready { layout, train_len, test_len } => {
                let raw =
                    RawReady { layout, train_len: train_len.into(), test_len: test_len.into() };
                (READY, raw.as_bytes().to_vec())
            }
            Self::Trained { loss, residual, clipped } => {
                let [loss, residual, clipped] = [loss, residual, clipped].map(F64::from);
                (TRAINED, RawTrained { loss, residual, clipped }.as_bytes().to_vec())
            }
            Self::Evaluated { first, count, correct, loss_sum } => {
                let raw = RawEvaluated {
                    first: first.into(),
                    count: count.into(),
                    correct: correct.into(),
                    loss_sum: loss_sum.into(),
                };
                (EVALUATED, raw.as_bytes().to_vec())
            }
        };
        [&[kind], body.as_slice()].concat()
    }

    /// From the bytes of [`to_bytes`](Self::to_bytes); `None` if they are anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, body) = bytes.split_first()?;
        match kind {
            READY => {
                let raw = RawReady::ref_from_bytes(body).ok()?;
                Some(Self::Ready {
                    layout: raw.layout,
                    train_len: raw.train_len.get(),
                    test_len: raw.test_len.get(),
                })
            }
            TRAINED => {
                let raw = RawTrained::ref_from_bytes(body).ok()?;
                Some(Self::Trained {
                    loss: raw.loss.get(),
                    residual: raw.residual.get(),
                    clipped: raw.clipped.get(),
                })
            }
            EVALUATED => {
                let raw = RawEvaluated::ref_from_bytes(body).ok()?;
                Some(Self::Evaluated {
                    first: raw.first.get(),
                    count: raw.count.get(),
                    correct: raw.correct.get(),
                    loss_sum: raw.loss_sum.get(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let reports = [
            Report::Ready { layout: [7; 32], train_len: 1 << 40, test_len: 360 },
            Report::Trained { loss: 2.5, residual: 0.75, clipped: 0.0 },
            Report::Evaluated { first: 120, count: 120, correct: 110, loss_sum: 31.5 },
        ];
        for report in reports {
            let bytes = report.to_bytes();
            assert_eq!(Report::from_bytes(&bytes), Some(report));
            for len in 0..bytes.len() {
                assert_eq!(Report::from_bytes(&bytes[..len]), None);
            }
            assert_eq!(Report::from_bytes(&[bytes.as_slice(), &[0]].concat()), None);
        }
        assert_eq!(Report::from_bytes(&[9, 0, 0]), None);
    }
}
