//! One worker as the server knows it.

use std::net::SocketAddr;

use super::ledger::Ledger;
use crate::bitmap::Bitmap;
use crate::event::PullClosed;
use crate::ids::{BlockIndex, Round, WorkerId};
use crate::mlt::{Mean, Session};
use crate::units::Instant;
use crate::wire::TransferKind;

/// A block of a pull may be missing so many rounds in a row, less one: then it is urgent.
const HOLE_ROUNDS: u8 = 3;
/// A block of a push that went unused so many rounds in a row is urgent.
const AGE_URGENT: u8 = 3;

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is told the plan and loads its data.
    Preparing,
    /// It takes part from the next round on.
    Ready,
}

/// A worker and what is remembered of it from round to round.
#[derive(Debug)]
pub struct Member {
    pub id: WorkerId,
    pub session: Session,
    pub address: SocketAddr,
    pub stage: Stage,
    /// When it was given what it does now.
    pub task_at: Instant,
    /// The examples of the test set that it evaluates now: first and count.
    pub evaluates: Option<(u32, u32)>,
    pub ledger: Ledger,
    /// Which blocks of its last push were used, and of which round that was.
    pub used: Bitmap,
    pub used_round: Round,
    /// Of each block of a push, rounds in a row in which it went unused.
    ages: Vec<u8>,
    /// Of each block, pulls in a row that are not known to have brought it.
    holes: Vec<u8>,
    /// How long datagrams queued on the way from it, and to it.
    pub queued_up: Mean,
    pub queued_down: Mean,
    /// The parameters it was sent last.
    pub pulled: Option<Round>,
    /// The pull that is under way: rounds trained when it began, and when that was.
    pub pull_open: Option<(Round, Instant)>,
}

impl Member {
    pub fn new(
        id: WorkerId,
        session: Session,
        address: SocketAddr,
        blocks: u32,
        now: Instant,
    ) -> Self {
        Self {
            id,
            session,
            address,
            stage: Stage::Preparing,
            task_at: now,
            evaluates: None,
            ledger: Ledger::default(),
            used: Bitmap::zeros(blocks),
            used_round: Round(0),
            ages: Vec::new(),
            holes: vec![0; blocks as usize],
            queued_up: Mean::default(),
            queued_down: Mean::default(),
            pulled: None,
            pull_open: None,
        }
    }

    /// Takes in that the blocks of pushes are others from now on.
    pub fn forget_ages(&mut self) {
        self.ages.clear();
    }

    /// Takes in which blocks of the push of `round` were used. A push of which nothing was used says nothing about an
    /// earlier one: the worker may have had no chance.
    pub fn handle_used(&mut self, round: Round, used: &Bitmap) {
        if used.ones() > 0 {
            self.used.clone_from(used);
            self.used_round = round;
        }
        self.ages.resize(used.len() as usize, 0);
        count_rounds(&mut self.ages, |block| used.contains(block));
    }

    /// Takes stock of the pull that was under way, if there was one.
    pub fn close_pull(&mut self, now: Instant) -> Option<PullClosed> {
        let (round, began) = self.pull_open.take()?;
        let pull = self.session.outbound(TransferKind::Pull)?;
        count_rounds(&mut self.holes, |block| pull.has_arrived(block));
        Some(PullClosed {
            round,
            worker: self.id,
            owed: pull.total(),
            received: pull.arrived(),
            sent: pull.datagrams(),
            bytes: pull.bytes(),
            pull_ns: (now - began).as_nanos() as u64,
        })
    }

    /// Of each block, pulls in a row that are not known to have brought it.
    pub fn holes(&self) -> &[u8] {
        &self.holes
    }

    /// Blocks of the next push, which has so many, that must be used.
    pub fn urgent_to_push(&mut self, blocks: u32) -> Bitmap {
        self.ages.resize(blocks as usize, 0);
        at_least(&self.ages, AGE_URGENT)
    }

    /// Blocks of the next pull that must arrive.
    pub fn urgent_to_pull(&self) -> Bitmap {
        urgent_to_pull(&self.holes)
    }
}

fn count_rounds(ages: &mut [u8], fresh: impl Fn(BlockIndex) -> bool) {
    for (block, age) in (0..).map(BlockIndex).zip(ages) {
        *age = if fresh(block) { 0 } else { age.saturating_add(1) };
    }
}

/// Blocks that must arrive with the next pull, after so many pulls in a row without them.
pub fn urgent_to_pull(holes: &[u8]) -> Bitmap {
    at_least(holes, HOLE_ROUNDS - 1)
}

/// The blocks of at least this age.
fn at_least(ages: &[u8], age: u8) -> Bitmap {
    let mut bitmap = Bitmap::zeros(ages.len() as u32);
    for (block, _) in (0..).map(BlockIndex).zip(ages).filter(|&(_, &has)| has >= age) {
        bitmap.insert(block);
    }
    bitmap
}
