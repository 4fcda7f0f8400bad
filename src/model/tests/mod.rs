//! What only shows when all parts of a model work together.

mod training;
