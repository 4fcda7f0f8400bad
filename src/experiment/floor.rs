//! The least time that a round can take on emulated links, whatever the transport.

use std::time::Duration;

use crate::codec::BLOCK_VALUES;
use crate::link::{NetPlan, NetSpec};
use crate::plan::{Load, Plan};
use crate::ps::policy::PolicyConfig;
use crate::units::Rate;

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

/// The analytic floor of a round: `(1 - tolerance) x bytes / (1 - q) / rate` on the link that is busiest with pushes.
///
/// A push passes its worker's link, then the server's port together with all others. What a link must carry is what
/// is needed behind it over the share that its storm (if `stormy`) lets through, and over what gets through the links
/// that follow: `loss` and `burst` strike before a link's rate, a storm behind it. Nothing else counts: no headers, no
/// way there, no computing; and pulls go the other way at the same time. None if no link has a rate.
pub(super) fn floor(plan: &Plan, stormy: bool) -> Option<Duration> {
    let net: NetPlan = plan.net.parse().ok()?;
    let (PolicyConfig::Static { tolerance } | PolicyConfig::Clr { tolerance, .. }) = plan.policy;
    let bytes = push_bytes(plan)? as f64 * (1.0 - tolerance.as_f64());
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
