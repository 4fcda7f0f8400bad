//! The cores over TCP, as an honest rival: large reads and writes, no delay of ours, the kernel's windows and its
//! congestion control.

mod connection;
mod control;
mod dial;
mod signpost;
mod streams;
#[cfg(test)]
mod tests;

pub(super) use dial::Dial;
pub(super) use streams::Streams;
