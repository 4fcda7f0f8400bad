//! The protocol core: loss-bounded transfers between two peers, without sockets, clocks or arithmetic on values.
//!
//! A [`Session`] is one peer as the other sees it. It is driven by one contract that never varies:
//! 1. feed it one input with the time: a datagram, a timeout, or a command;
//! 2. drain [`Session::poll_transmit`], then [`Session::poll_event`];
//! 3. read [`Session::poll_timeout`], and wait for that deadline or for the next input.
//!
//! What is inside: an [`Outbound`] decides which block to send next and which lost block to send again, an [`Inbound`]
//! decides when enough has arrived, and the session numbers, paces and acknowledges the datagrams between them.

mod credit;
mod delay;
mod ease;
mod flight;
mod governor;
mod inbound;
mod outbound;
mod pace;
mod rtt;
mod scheme;
mod seen;
mod session;

pub use credit::Credit;
pub use delay::Mean;
pub use flight::BLOCKS_MAX;
pub use governor::Governor;
pub use inbound::{Close, Deadlines, Inbound};
pub use outbound::{BLOB_BLOCK, Outbound};
pub use scheme::{Repair, Scheme};
pub use session::{Admission, Arrival, Feedback, Owner, Role, Session, SessionEvent, Timer};
