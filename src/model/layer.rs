//! The words of a recipe.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};

/// One word of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Layer {
    /// `y = W x + b` over a vector; parameters `NAME.weight` `[out, in]` and `NAME.bias` `[out]`.
    Linear {
        /// Prefix of its parameters.
        name: String,
        /// Length of the result.
        out: Width,
    },
    /// Convolution with a square kernel; parameters `NAME.weight` `[out, in, kernel, kernel]` and `NAME.bias` `[out]`.
    Conv {
        /// Prefix of its parameters.
        name: String,
        /// Channels of the result.
        out: Width,
        /// Side of the kernel.
        kernel: usize,
        /// Distance between the places where the kernel is applied.
        #[serde(default = "one")]
        stride: usize,
        /// What is beyond the edge.
        #[serde(default)]
        padding: Padding,
    },
    /// Layers whose result is added to their input.
    Residual {
        /// Prefix of the names inside.
        name: String,
        /// What is inside; its result has the shape of its input.
        layers: Vec<Self>,
    },
    /// `max(x, 0)`.
    Relu {},
    /// The maximum of each `size` x `size` window, side by side; an incomplete window at the edge is dropped.
    MaxPool {
        /// Side of the window.
        size: usize,
    },
    /// An image as a vector, channel by channel, row by row.
    Flatten {},
}

/// How many channels or values a layer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// A number of them.
    Count(usize),
    /// As many as the data set has classes.
    Classes,
}

/// What a convolution finds beyond the edge of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Nothing: the kernel stays inside.
    #[default]
    Valid,
    /// `kernel / 2` zeros on each side; at stride 1 the result has the size of the input.
    Same,
}

const fn one() -> usize {
    1
}

impl<'de> Deserialize<'de> for Width {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Width;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number above 0 or \"classes\"")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Width, E> {
                match usize::try_from(count) {
                    Ok(count @ 1..) => Ok(Width::Count(count)),
                    _ => Err(E::invalid_value(Unexpected::Signed(count), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Width, E> {
                match text {
                    "classes" => Ok(Width::Classes),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
