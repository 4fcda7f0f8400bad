//! The arithmetic that decides how fast training is, once for every kind of processor.
//!
//! A kernel is written as a plain loop that the compiler turns into vector instructions (`conv`), the oracle of all
//! others; `avx512` has it by hand. `table` holds the kernels of each [`Level`]. No other module has `unsafe`.

mod aligned;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod conv;
mod level;
mod peak;
mod table;

pub use aligned::Aligned;
pub use conv::{Convolution, Grid, LANES, Lanes, Start, Strides, WeightGradient};
pub use level::{Level, LevelError, features};
pub use peak::multiply_adds;
pub use table::Kernels;

#[cfg(test)]
mod tests;
