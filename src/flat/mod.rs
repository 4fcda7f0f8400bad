//! All gradients (or parameters) as one vector: how it is cut into blocks, encoded, ordered, and remembered.

mod encoded;
mod layout;
mod order;
mod residual;

pub use crate::codec::BLOCK_VALUES;
pub use encoded::Encoded;
pub use layout::{Layout, LayoutError, Tensor};
pub use order::{Order, rotated, send_order};
pub use residual::Residual;
