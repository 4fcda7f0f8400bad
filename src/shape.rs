//! The shape of one image.

use std::fmt;

/// Channels, rows and columns of one image; its values lie in this order, columns fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Colour planes: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

impl Shape {
    /// Number of values.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_counts_and_prints() {
        let shape = Shape { channels: 3, height: 32, width: 24 };
        assert_eq!((shape.values(), shape.to_string().as_str()), (2304, "3x32x24"));
    }
}
