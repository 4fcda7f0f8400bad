//! Recipes that make no model.

use std::num::NonZeroUsize;

use super::recipe::Recipe;
use crate::flat::LayoutError;
use crate::simd::LevelError;

/// A recipe that makes no model.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Neither a builtin name nor a path.
    #[error(
        "there is no model `{name}`: known are {}; a file of your own is given by its path, which ends in .toml",
        Recipe::names().join(" and ")
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read the model file {origin}: {problem}")]
    Read {
        /// The file.
        origin: String,
        /// Why.
        problem: std::io::Error,
    },
    /// The text is not TOML, or has a wrong word or key.
    #[error("model {origin}: {message}")]
    Syntax {
        /// Where the text is from.
        origin: String,
        /// Line, column and what is wrong.
        message: String,
    },
    /// A layer that cannot be where it is.
    #[error("model {origin}, layer {layer}: {problem}")]
    Layer {
        /// Where the recipe is from.
        origin: String,
        /// Which layer: its position and kind, through all residuals around it.
        layer: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The layers do not make a model.
    #[error("model {origin}: {problem}")]
    Whole {
        /// Where the recipe is from.
        origin: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The parameters cannot be laid out.
    #[error("model {origin}: {problem}")]
    Layout {
        /// Where the recipe is from.
        origin: String,
        /// Why.
        problem: LayoutError,
    },
    /// The operating system refuses.
    #[error("cannot start {threads} threads to compute: {problem}; ask for fewer with --threads")]
    Threads {
        /// How many were asked for.
        threads: NonZeroUsize,
        /// Why.
        problem: String,
    },
    /// The kernels that were asked for cannot be had.
    #[error(transparent)]
    Simd(#[from] LevelError),
}
