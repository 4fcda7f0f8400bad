//! The least time that a round can take on emulated links, whatever the transport, and the fewest datagrams.

use std::time::Duration;

use crate::codec::Codec;
use crate::flat::BLOCK_VALUES;
use crate::link::{NetPlan, NetSpec};
use crate::plan::{Load, Plan};
use crate::units::Rate;
use crate::wire::{BLOCK_BYTES_MAX, BLOCK_OVERHEAD};

/// Bits in a byte.
const BITS: f64 = 8.0;

/// Bytes of one push as its codec writes it; none of a model, whose size the plan does not say, nor of a codec that
/// compresses one block more than another.
pub(super) fn push_bytes(plan: &Plan) -> Option<u64> {
    match plan.load {
        Load::Synthetic { bytes, .. } => {
            let values = bytes as usize / size_of::<f32>();
            let rest = plan.codec.fixed_len(values % BLOCK_VALUES)?;
            let block = plan.codec.fixed_len(BLOCK_VALUES)?;
            Some((values / BLOCK_VALUES * block + rest) as u64)
        }
        Load::Training(_) => None,
    }
}

/// The fewest datagrams that carry all blocks of a synthetic load once, and how many blocks those are. A block goes as
/// a whole; all are full but the last one, which rides with others where it fits. None of a codec that compresses.
pub(super) fn datagrams(plan: &Plan, codec: Codec) -> Option<(u64, u64)> {
    let Load::Synthetic { bytes, .. } = plan.load else { return None };
    let values = (bytes as usize / size_of::<f32>()).max(1);
    let (full, rest) = (values / BLOCK_VALUES, values % BLOCK_VALUES);
    let size = |values| codec.fixed_len(values).map(|bytes| bytes + BLOCK_OVERHEAD);
    let (space, block) = (BLOCK_BYTES_MAX + BLOCK_OVERHEAD, size(BLOCK_VALUES)?);
    let each = space / block;
    let beside = full > 0 && size(rest)? <= space - each * block;
    let apart = usize::from(rest > 0 && !beside);
    let blocks = full + usize::from(rest > 0);
    Some(((full + apart).div_ceil(each) as u64, blocks as u64))
}

/// The part of a push that may be missing in the long run.
pub(super) fn tolerated(plan: &Plan) -> f64 {
    if plan.transport.is_reliable() { 0.0 } else { plan.policy.most().as_f64() }
}

/// The analytic floor of a round: `(1 - allowed) x bytes / (1 - q) / rate` on the link that is busiest with pushes.
///
/// A push passes its worker's link, then the server's port together with all others. What a link must carry is what
/// is needed behind it over the share that its storm (if `stormy`) lets through, and over what gets through the links
/// that follow: `loss` and `burst` strike before a link's rate, a storm behind it. Nothing else counts: no headers, no
/// way there, no computing; and pulls go the other way at the same time. None if no link has a rate.
pub(super) fn floor(plan: &Plan, allowed: f64, stormy: bool) -> Option<Duration> {
    let net: NetPlan = plan.net.parse().ok()?;
    let bytes = push_bytes(plan)? as f64 * (1.0 - allowed);
    let workers = 1..=plan.workers;
    let own = workers.map(|worker| {
        let spec = net.for_worker(worker);
        spec.rate.map_or(0.0, |rate| {
            let through =
                calm(spec, stormy) * (1.0 - lost(&net.server)) * calm(&net.server, stormy);
            seconds(bytes / through, rate)
        })
    });
    let shared = net.server.rate.map_or(0.0, |rate| {
        seconds(f64::from(plan.workers) * bytes / calm(&net.server, stormy), rate)
    });
    let longest = own.fold(shared, f64::max);
    (longest > 0.0).then(|| Duration::try_from_secs_f64(longest).ok())?
}

/// The round in which a storm rages on some link, if there is one.
pub(super) fn storm_round(plan: &Plan) -> Option<usize> {
    let net: NetPlan = plan.net.parse().ok()?;
    let specs = [&net.server, &net.all].into_iter().chain(net.per_worker.values());
    specs.filter_map(|spec| spec.storm).map(|storm| storm.round.0 as usize).next()
}

/// The share that a link's storm lets through.
fn calm(spec: &NetSpec, stormy: bool) -> f64 {
    let storm = spec.storm.filter(|_| stormy);
    1.0 - storm.map_or(0.0, |storm| storm.loss.as_f64())
}

/// The share that is lost to `loss` and, in the long run, to `burst`.
fn lost(spec: &NetSpec) -> f64 {
    let bad = spec.burst.map_or(0.0, |burst| {
        let (enter, leave) = (burst.enter.as_f64(), burst.leave.as_f64());
        enter / (enter + leave) * burst.loss.as_f64()
    });
    1.0 - (1.0 - spec.loss.as_f64()) * (1.0 - bad)
}

fn seconds(bytes: f64, rate: Rate) -> f64 {
    bytes * BITS / rate.bits_per_second() as f64
}
