//! Parameter-server sessions and policies, sans-IO: the same contract as [`crate::mlt`], many peers.

mod average;
pub mod config;
mod cookie;
mod cursor;
mod ledger;
mod member;
pub mod missing;
pub mod optimizer;
pub mod policy;
mod pushtime;
pub mod server;
pub mod worker;
