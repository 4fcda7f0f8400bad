//! All gradients (or parameters) as one vector: how it is cut into blocks, encoded, ordered, and remembered.

mod codecs;
mod directions;
mod encoded;
mod factored;
mod layout;
mod order;
mod residual;
mod slots;

pub use crate::codec::BLOCK_VALUES;
pub use codecs::Codecs;
pub use directions::Directions;
pub use encoded::Encoded;
pub use factored::{Matrix, Part};
pub use layout::{Layout, LayoutError, Tensor};
pub use order::{Order, rotated, send_order};
pub use residual::{RESIDUAL_MAX, Residual, Unsaid, follow};
pub use slots::Slots;
