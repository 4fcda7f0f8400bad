//! All gradients (or parameters) as one vector, and how it is cut into blocks.

mod layout;

pub use layout::{BLOCK_VALUES, Layout, LayoutError, Tensor};
