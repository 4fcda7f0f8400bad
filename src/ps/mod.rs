//! Parameter-server sessions and policies, sans-IO.

pub mod config;
pub mod missing;
pub mod optimizer;
pub mod policy;
