//! The shape of one input image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Channels, height and width of an image; its values lie in that order, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Number of channels: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Shape {
    /// Number of values of an image.
    #[must_use]
    pub const fn values(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Rows and columns of the pixels in reading order.
    pub fn pixels(self) -> impl Iterator<Item = (usize, usize)> + use<> {
        (0..self.height).flat_map(move |row| (0..self.width).map(move |col| (row, col)))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Text that is no shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a shape, such as `1x28x28` (channels x height x width)")]
pub struct ShapeError(String);

/// No side of an image is longer; keeps products of dimensions far from overflow.
const SIDE_MAX: usize = 1 << 16;

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let sides: Vec<usize> = text.split('x').filter_map(|side| side.parse().ok()).collect();
        match sides[..] {
            [channels, height, width]
                if sides.iter().all(|side| (1..=SIDE_MAX).contains(side))
                    && text.split('x').count() == 3 =>
            {
                Ok(Self { channels, height, width })
            }
            _ => Err(ShapeError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_read_and_print() {
        let shape: Shape = "3x32x16".parse().unwrap();
        assert_eq!(shape, Shape { channels: 3, height: 32, width: 16 });
        assert_eq!((shape.to_string().as_str(), shape.values()), ("3x32x16", 1536));
        for text in ["", "28x28", "1x28x28x1", "1x0x28", "1xax28", "1x28x28xa", "1x28x99999999"] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}
