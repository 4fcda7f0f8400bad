//! Data: whole encoded blocks in an envelope.

use std::mem::offset_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::envelope::BODY_MAX;
use super::{Carrier, Reject, TransferId, TransferKind};
use crate::ids::{BlockIndex, Round};

/// What a datagram of data says about its transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHead {
    /// Which transfer.
    pub transfer: TransferId,
    /// Blocks of the whole transfer.
    pub total: u32,
    /// Blocks that may be missing. The server states it for what it sends; of a push it knows it itself.
    pub allowance: u32,
    /// Which datagram of this transfer it is, counted from 1, copies included.
    pub ordinal: u32,
    /// When it left, in microseconds on a clock of the sender's that wraps.
    pub at_us: u32,
    /// Blocks that have never been sent yet, this datagram's not counted; told up to 16,777,215.
    pub unsent: u32,
    /// How often the sender has begun to go through all that was lost, up to 255: stop-and-probe counts its passes.
    pub passes: u8,
}

/// One encoded block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Where it belongs.
    pub index: BlockIndex,
    /// Whether it was sent before.
    pub repair: bool,
    /// Its bytes, at most [`BLOCK_BYTES_MAX`].
    pub bytes: &'a [u8],
}

/// A parsed datagram of data: every block lies inside the transfer and the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// What it says about its transfer.
    pub head: DataHead,
    blocks: &'a [u8],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHead {
    transfer: u8,
    round: U32,
    total: U32,
    allowance: U32,
    ordinal: U32,
    at_us: U32,
    unsent: [u8; 3],
    passes: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawBlock {
    index: U32,
    /// Bits 0 to 14: length in bytes; bit 15: sent before.
    length: U16,
}

const REPAIR: u16 = 1 << 15;
const _: () = assert!(size_of::<RawHead>() == 25 && size_of::<RawBlock>() == 6);

/// Bytes of the largest encoded block that fits a datagram (the kind takes one byte of the body).
pub const BLOCK_BYTES_MAX: usize = BODY_MAX - 1 - size_of::<RawHead>() - size_of::<RawBlock>();

/// Bytes that a block takes beside its encoding.
pub const BLOCK_OVERHEAD: usize = size_of::<RawBlock>();

/// Fills one body with blocks.
pub struct BlocksWriter<'a> {
    body: &'a mut Vec<u8>,
    head: usize,
    end: usize,
}

impl<'a> BlocksWriter<'a> {
    /// Begins at the end of `body`, which holds the datagram up to and including the kind.
    pub(super) fn new(carrier: Carrier, body: &'a mut Vec<u8>, head: DataHead) -> Self {
        let start = body.len();
        let raw = RawHead {
            transfer: head.transfer.kind as u8,
            round: head.transfer.round.0.into(),
            total: head.total.into(),
            allowance: head.allowance.into(),
            ordinal: head.ordinal.into(),
            at_us: head.at_us.into(),
            unsent: few(head.unsent),
            passes: head.passes,
        };
        body.extend_from_slice(raw.as_bytes());
        Self { body, head: start, end: start + carrier.body_max() - 1 }
    }

    /// Appends a block; `false`, and nothing appended, if it does not fit.
    ///
    /// # Panics
    /// If the block is larger than [`BLOCK_BYTES_MAX`]: it would fit no datagram.
    pub fn push(&mut self, block: Block<'_>) -> bool {
        assert!(
            block.bytes.len() <= BLOCK_BYTES_MAX,
            "an encoded block of {} bytes",
            block.bytes.len()
        );
        if self.body.len() + size_of::<RawBlock>() + block.bytes.len() > self.end {
            return false;
        }
        let length = block.bytes.len() as u16 | if block.repair { REPAIR } else { 0 };
        let head = RawBlock { index: block.index.0.into(), length: length.into() };
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(block.bytes);
        true
    }

    /// Sets how many blocks have never been sent, now that it is known which are in this datagram.
    pub fn finish(self, unsent: u32) {
        let at = self.head + offset_of!(RawHead, unsent);
        self.body[at..at + 3].copy_from_slice(&few(unsent));
    }
}

impl<'a> Data<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Reject> {
        let (raw, blocks) = RawHead::ref_from_prefix(body).map_err(|_| Reject::Malformed)?;
        let kind = TransferKind::from_wire(raw.transfer).ok_or(Reject::Malformed)?;
        let head = DataHead {
            transfer: TransferId { kind, round: Round(raw.round.get()) },
            total: raw.total.get(),
            allowance: raw.allowance.get(),
            ordinal: raw.ordinal.get(),
            at_us: raw.at_us.get(),
            unsent: u32::from_le_bytes([raw.unsent[0], raw.unsent[1], raw.unsent[2], 0]),
            passes: raw.passes,
        };
        if head.allowance > head.total || head.unsent > head.total || blocks.is_empty() {
            return Err(Reject::Malformed);
        }
        let mut rest = blocks;
        while !rest.is_empty() {
            let (block, after) = split_block(rest).ok_or(Reject::Malformed)?;
            if block.index.0 >= head.total {
                return Err(Reject::Span);
            }
            rest = after;
        }
        Ok(Self { head, blocks })
    }

    /// The blocks, in the order of the datagram.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let (block, after) = split_block(rest)?;
            rest = after;
            Some(block)
        })
    }
}

/// A number in three bytes; whatever is larger is the largest of them.
fn few(number: u32) -> [u8; 3] {
    let [low, middle, high, _] = number.min((1 << 24) - 1).to_le_bytes();
    [low, middle, high]
}

fn split_block(bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    let (raw, rest) = RawBlock::ref_from_prefix(bytes).ok()?;
    let length = raw.length.get();
    let (bytes, rest) = rest.split_at_checked(usize::from(length & !REPAIR))?;
    let block = Block { index: BlockIndex(raw.index.get()), repair: length & REPAIR != 0, bytes };
    Some((block, rest))
}
