//! What a check has found.

use std::time::Duration;

use crate::units::Rate;

/// Rates from here on are not told apart: a train passes in less time than hosts take to look.
const RATE_MAX: u64 = 1_000_000_000;

/// One direction of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// Bytes of the largest datagram that got through, UDP payload.
    pub datagram: u16,
    /// Share of datagrams that were lost, if that could be counted.
    pub loss: Option<f64>,
    /// At which datagrams arrive that leave back to back; at [`Way::fast`] it may be any more. None if too few arrived.
    pub rate: Option<Rate>,
}

impl Way {
    /// Whether its rate is more than a check can measure.
    #[must_use]
    pub fn fast(&self) -> bool {
        self.rate.is_some_and(|rate| rate.bits_per_second() >= RATE_MAX)
    }
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// To the server.
    pub up: Way,
    /// From the server.
    pub down: Way,
    /// Datagrams in each direction that loss was counted over.
    pub probes: u32,
    /// The shortest round trip, time at the server included.
    pub shortest: Option<Duration>,
    /// The median round trip.
    pub median: Option<Duration>,
}

/// The share of `sent` that is not among the `arrived`; none if nothing was sent.
pub(super) fn loss(sent: u32, arrived: u32) -> Option<f64> {
    (sent > 0).then(|| f64::from(sent.saturating_sub(arrived)) / f64::from(sent))
}

/// The rate of a train of which `received` datagrams of `bytes` arrived in `span`.
pub(super) fn rate(received: u32, bytes: u16, span: Duration) -> Option<Rate> {
    let behind_the_first = u64::from(received).checked_sub(1).filter(|&count| count > 0)?;
    let bits = (8 * behind_the_first * u64::from(bytes)) as f64;
    let rate = bits / span.as_secs_f64().max(1e-9);
    Rate::from_bits_per_second((rate as u64).clamp(1, RATE_MAX))
}

/// The middle of `values`, the lower one if there are two.
pub(super) fn median<T: Ord + Copy>(values: &mut [T]) -> Option<T> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}
