//! The arithmetic that decides how fast training is, once for every kind of processor.
//!
//! A kernel is written once, as a plain loop that the compiler turns into vector instructions (`conv`); `table`
//! instantiates it for each [`Level`] and is the only place in the crate with `unsafe`.

mod aligned;
mod conv;
mod level;
mod table;

pub use aligned::Aligned;
pub use conv::{Convolution, Grid, LANES, Lanes, Start, Strides, WeightGradient};
pub use level::{Level, LevelError, features};
pub use table::Kernels;

#[cfg(test)]
mod tests;
