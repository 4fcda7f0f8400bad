//! Loss-tolerant distributed training: a parameter server, its workers, and the UDP transport between them.
//!
//! Layers are folders and imports only point down; `docs/ARCHITECTURE.md` has the map, `tests/tidy.rs` holds it.

pub mod bitmap;
pub mod flat;
pub mod ids;
pub mod model;
pub mod rng;
pub mod shape;
pub mod simd;
pub mod units;
