//! The arithmetic that decides how fast training is, once for every kind of processor.
//!
//! Kernels (`product`, `dot`, `winograd`) are written once over a register (`vector`); `table` compiles them,
//! and the plain loops of `pointwise` and `pool`, for each [`Level`] and holds the results as [`Kernels`]. `block` does
//! the same for codecs. A level without special instructions (`plain`) is there on every processor. No other module has
//! `unsafe`.

mod aligned;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod dot;
mod level;
#[cfg(target_arch = "aarch64")]
mod neon;
mod peak;
mod plain;
mod pointwise;
mod pool;
mod product;
mod table;
mod vector;
mod winograd;

pub use aligned::Aligned;
pub use block::BlockKernels;
pub use dot::Dot;
pub use level::{Level, LevelError, features};
pub use pool::PoolRow;
pub use product::{Factor, Product, Skip, Start};
pub use table::Kernels;
pub use winograd::{Finish, PLACES, Spread, Strides, TileRow};

/// Channels come in blocks of so many: two registers of AVX-512, four of AVX2, eight of NEON. Packed weights mean the
/// same at every level.
pub const BLOCK: usize = 32;

#[cfg(test)]
mod tests;
