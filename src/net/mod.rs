//! The cores over real sockets: smol, UDP or TCP, the machine's clock.

mod check;
mod clock;
mod datagrams;
mod error;
mod server;
mod socket;
mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod weather;
mod worker;

pub use check::{Checked, check};
pub use clock::{Clock, wall_clock};
pub use error::NetError;
pub use server::{Listening, Watch};
pub use socket::Features;
pub use stop::{Interrupt, Stop};
pub use worker::{Conditions, Note, work};

/// Batches that leave before timers, events and interrupts have their turn.
const BATCHES_MAX: u32 = 64;

/// A number that strangers cannot guess.
///
/// # Errors
/// If the operating system has none.
pub fn entropy() -> Result<u64, NetError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| NetError::Entropy(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}
