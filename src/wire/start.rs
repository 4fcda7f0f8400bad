//! The beginning of a round: what one worker is to do, and what became of its last push.
//!
//! It travels as a reliable transfer of its own, one datagram for a model of up to a few thousand blocks.

use zerocopy::little_endian::{F64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bitmap::Bitmap;
use crate::ids::Round;
use crate::units::Tolerance;

/// What a worker is to do in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Compute the mean gradient over `count` examples from number `first` of the order of shard `slot`, and push it.
    Train {
        /// Which shard.
        slot: u16,
        /// Number of the first example since the start of training.
        first: u64,
        /// Examples, at least 1.
        count: u32,
    },
    /// Evaluate `count` test examples from `first` on, and report the exact counts.
    Evaluate {
        /// First example of the test set.
        first: u32,
        /// Examples, may be 0.
        count: u32,
    },
    /// The run is over.
    Finish,
}

/// A set of blocks or tensors that is most often all or none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sparse {
    /// None.
    None,
    /// All of them.
    All,
    /// These.
    Some(Bitmap),
}

impl Sparse {
    /// The shortest form of `bitmap`.
    #[must_use]
    pub fn of(bitmap: &Bitmap) -> Self {
        match bitmap.ones() {
            0 => Self::None,
            _ if bitmap.is_full() => Self::All,
            _ => Self::Some(bitmap.clone()),
        }
    }

    /// As a bitmap over `all` of them.
    #[must_use]
    pub fn to_bitmap(&self, all: u32) -> Bitmap {
        match self {
            Self::None => Bitmap::zeros(all),
            Self::All => Bitmap::full(all),
            Self::Some(bitmap) => bitmap.clone(),
        }
    }
}

/// Tensors whose blocks are pushed with a codec of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// That codec, as its number on the wire, and its level.
    pub codec: (u8, u16),
    /// Bit i: the tensor at place i of the layout is one of them.
    pub tensors: Bitmap,
}

/// What the server says to one worker at the start of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundStart {
    /// Which round.
    pub round: Round,
    /// The round whose parameters (its pull) the worker must have first.
    pub parameters: Round,
    /// What to do.
    pub task: Task,
    /// Codec of the push, as its number on the wire, and its level.
    pub codec: (u8, u16),
    /// Where the push has another codec.
    pub exception: Option<Exception>,
    /// Whether the model is in a critical learning regime.
    pub critical: bool,
    /// The worker's place among the workers of this round, from 0.
    pub rank: u16,
    /// Workers of this round.
    pub workers: u16,
    /// Tolerance of the push.
    pub tolerance: Tolerance,
    /// Blocks of the push that may be missing: what the tolerance has accumulated to.
    pub allowance: u32,
    /// How lost blocks of the push are sent again, as its number on the wire.
    pub repair: u8,
    /// Datagrams of the push that may be sent before a grant allows more.
    pub window: u32,
    /// Blocks of the push; of an exchange without one, of the model.
    pub blocks: u32,
    /// The push that `used` speaks of; 0 if there was none.
    pub used_round: Round,
    /// Blocks of that push.
    pub used_blocks: u32,
    /// Which of them were used.
    pub used: Sparse,
    /// Blocks that must arrive in this push whatever the tolerance.
    pub urgent: Sparse,
    /// Learning rate of the step that the push goes into, finite and at least 0.
    pub lr: f64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawStart {
    round: U32,
    parameters: U32,
    first: U64,
    count: U32,
    allowance: U32,
    window: U32,
    blocks: U32,
    used_round: U32,
    used_blocks: U32,
    slot: U16,
    rank: U16,
    workers: U16,
    tolerance: U16,
    level: U16,
    task: u8,
    codec: u8,
    critical: u8,
    used: u8,
    urgent: u8,
    repair: u8,
    exception: u8,
    lr: F64,
}

const _: () = assert!(size_of::<RawStart>() == 65);

/// Follows the sets of blocks where there is an exception; then a bit for each tensor.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawException {
    tensors: U32,
    level: U16,
    codec: u8,
}

const _: () = assert!(size_of::<RawException>() == 7);

/// Bytes that are no [`RoundStart`]: the server speaks another dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's start of a round cannot be understood")]
pub struct StartError;

impl RoundStart {
    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (task, slot, first, count) = match self.task {
            Task::Train { slot, first, count } => (0, slot, first, count),
            Task::Evaluate { first, count } => (1, 0, u64::from(first), count),
            Task::Finish => (2, 0, 0, 0),
        };
        let raw = RawStart {
            round: self.round.0.into(),
            parameters: self.parameters.0.into(),
            first: first.into(),
            count: count.into(),
            allowance: self.allowance.into(),
            window: self.window.into(),
            blocks: self.blocks.into(),
            used_round: self.used_round.0.into(),
            used_blocks: self.used_blocks.into(),
            slot: slot.into(),
            rank: self.rank.into(),
            workers: self.workers.into(),
            tolerance: self.tolerance.parts().into(),
            level: self.codec.1.into(),
            task,
            codec: self.codec.0,
            critical: u8::from(self.critical),
            used: form(&self.used),
            urgent: form(&self.urgent),
            repair: self.repair,
            exception: u8::from(self.exception.is_some()),
            lr: self.lr.into(),
        };
        let mut bytes = raw.as_bytes().to_vec();
        for set in [&self.used, &self.urgent] {
            if let Sparse::Some(bitmap) = set {
                bytes.extend_from_slice(bitmap.as_bytes());
            }
        }
        if let Some(Exception { codec: (codec, level), tensors }) = &self.exception {
            let (level, codec) = ((*level).into(), *codec);
            let raw = RawException { tensors: tensors.len().into(), level, codec };
            bytes.extend_from_slice(raw.as_bytes());
            bytes.extend_from_slice(tensors.as_bytes());
        }
        bytes
    }

    /// From the bytes of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// If they are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StartError> {
        let (raw, sets) = RawStart::ref_from_prefix(bytes).map_err(|_| StartError)?;
        let (blocks, used_blocks) = (raw.blocks.get(), raw.used_blocks.get());
        let (used, sets) = parse_set(raw.used, used_blocks, sets)?;
        let (urgent, rest) = parse_set(raw.urgent, blocks, sets)?;
        let exception = parse_exception(raw.exception, rest)?;
        let start = Self {
            round: Round(raw.round.get()),
            parameters: Round(raw.parameters.get()),
            task: raw.task()?,
            codec: (raw.codec, raw.level.get()),
            exception,
            critical: raw.critical == 1,
            rank: raw.rank.get(),
            workers: raw.workers.get(),
            tolerance: Tolerance::from_parts(raw.tolerance.get()).ok_or(StartError)?,
            allowance: raw.allowance.get(),
            window: raw.window.get(),
            repair: raw.repair,
            blocks,
            used_round: Round(raw.used_round.get()),
            used_blocks,
            used,
            urgent,
            lr: raw.lr.get(),
        };
        let sound = start.lr.is_finite()
            && start.lr >= 0.0
            && start.allowance <= start.blocks
            && start.rank < start.workers
            && raw.critical <= 1;
        if sound { Ok(start) } else { Err(StartError) }
    }
}

impl RawStart {
    fn task(&self) -> Result<Task, StartError> {
        let (first, count) = (self.first.get(), self.count.get());
        match self.task {
            0 if count > 0 => Ok(Task::Train { slot: self.slot.get(), first, count }),
            1 => {
                let first = u32::try_from(first).map_err(|_| StartError)?;
                first.checked_add(count).ok_or(StartError)?;
                Ok(Task::Evaluate { first, count })
            }
            2 => Ok(Task::Finish),
            _ => Err(StartError),
        }
    }
}

const fn form(set: &Sparse) -> u8 {
    match set {
        Sparse::None => 0,
        Sparse::All => 1,
        Sparse::Some(_) => 2,
    }
}

fn parse_set(form: u8, blocks: u32, bytes: &[u8]) -> Result<(Sparse, &[u8]), StartError> {
    match form {
        0 => Ok((Sparse::None, bytes)),
        1 => Ok((Sparse::All, bytes)),
        2 => {
            let split = bytes.split_at_checked(blocks.div_ceil(8) as usize);
            let (bitmap, rest) = split.ok_or(StartError)?;
            Ok((Sparse::Some(Bitmap::from_bytes(bitmap, blocks).ok_or(StartError)?), rest))
        }
        _ => Err(StartError),
    }
}

/// What the rest of a start says.
fn parse_exception(form: u8, bytes: &[u8]) -> Result<Option<Exception>, StartError> {
    match form {
        0 if bytes.is_empty() => Ok(None),
        1 => {
            let (raw, bits) = RawException::ref_from_prefix(bytes).map_err(|_| StartError)?;
            let tensors = Bitmap::from_bytes(bits, raw.tensors.get()).ok_or(StartError)?;
            Ok(Some(Exception { codec: (raw.codec, raw.level.get()), tensors }))
        }
        _ => Err(StartError),
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::RngCore;

    use super::*;
    use crate::ids::BlockIndex;
    use crate::rng;
    use crate::wire::message::tests::hex;

    fn start(task: Task) -> RoundStart {
        let mut used = Bitmap::full(13);
        used = Bitmap::from_bytes(&[used.as_bytes()[0] & 0xfe, used.as_bytes()[1]], 13).unwrap();
        let mut urgent = Bitmap::zeros(13);
        urgent.insert(BlockIndex(12));
        RoundStart {
            round: Round(4),
            parameters: Round(3),
            task,
            codec: (5, 100),
            exception: None,
            critical: true,
            rank: 1,
            workers: 3,
            tolerance: Tolerance::from_parts(200).unwrap(),
            allowance: 2,
            window: 9,
            repair: 1,
            blocks: 13,
            used_round: Round(3),
            used_blocks: 13,
            used: Sparse::of(&used),
            urgent: Sparse::of(&urgent),
            lr: 0.05,
        }
    }

    fn exception() -> Exception {
        Exception { codec: (6, 500), tensors: Bitmap::from_bytes(&[0x42, 1], 9).unwrap() }
    }

    #[test]
    fn layout_is_pinned() {
        let bytes = start(Task::Train { slot: 0, first: 256, count: 64 }).to_bytes();
        let rows: Vec<String> = bytes.chunks(16).map(hex).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        04 00 00 00 03 00 00 00 00 01 00 00 00 00 00 00
        40 00 00 00 02 00 00 00 09 00 00 00 0d 00 00 00
        03 00 00 00 0d 00 00 00 00 00 01 00 03 00 c8 00
        64 00 00 05 01 02 02 01 00 9a 99 99 99 99 99 a9
        3f fe 1f 00 10
        ");
    }

    #[test]
    fn layout_of_an_exception_is_pinned() {
        let start = RoundStart { exception: Some(exception()), ..start(Task::Finish) };
        let rows: Vec<String> = start.to_bytes().chunks(16).map(hex).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        04 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 02 00 00 00 09 00 00 00 0d 00 00 00
        03 00 00 00 0d 00 00 00 00 00 01 00 03 00 c8 00
        64 00 02 05 01 02 02 01 01 9a 99 99 99 99 99 a9
        3f fe 1f 00 10 09 00 00 00 f4 01 06 42 01
        ");
    }

    #[test]
    fn what_is_written_is_read() {
        for task in [
            Task::Train { slot: 2, first: u64::MAX, count: 1 },
            Task::Evaluate { first: 7, count: 0 },
            Task::Finish,
        ] {
            for used in [Sparse::None, Sparse::All, start(task).used] {
                for exception in [None, Some(exception())] {
                    let start = RoundStart { used: used.clone(), exception, ..start(task) };
                    assert_eq!(RoundStart::from_bytes(&start.to_bytes()), Ok(start));
                }
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = RoundStart { exception: Some(exception()), ..start(Task::Finish) }.to_bytes();
        for len in 0..good.len() {
            assert_eq!(RoundStart::from_bytes(&good[..len]), Err(StartError));
        }
        for seed in 0..20_000 {
            let mut rng = rng::stream(seed, "fuzz", 0);
            let mut bytes = good.clone();
            let at = rng::below(&mut rng, bytes.len() as u64) as usize;
            bytes[at] = rng.next_u32() as u8;
            if let Ok(start) = RoundStart::from_bytes(&bytes) {
                assert_eq!(start.urgent.to_bitmap(start.blocks).len(), start.blocks, "seed {seed}");
                assert!(start.lr.is_finite() && start.lr >= 0.0, "seed {seed}");
            }
        }
        let huge = [&good[..good.len() - 9], &u32::MAX.to_le_bytes(), &good[good.len() - 5..]];
        assert_eq!(RoundStart::from_bytes(&huge.concat()), Err(StartError));
        let more = [&start(Task::Finish).to_bytes()[..], &[0]].concat();
        assert_eq!(RoundStart::from_bytes(&more), Err(StartError));
    }
}
