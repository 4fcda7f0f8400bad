//! Parameter-server sessions and policies, sans-IO: the same contract as [`crate::mlt`], many peers.

mod average;
pub mod config;
mod cursor;
mod ledger;
pub mod missing;
pub mod optimizer;
pub mod policy;
mod pushtime;
