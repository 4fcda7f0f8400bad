//! Policies: from what is known about the model to the tolerance of the next rounds (DESIGN section 7).

use crate::units::Tolerance;

/// Which policy, with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyConfig {
    /// Always the same tolerance.
    Static {
        /// That tolerance.
        tolerance: Tolerance,
    },
    /// Tolerance 0 while the norm of the averaged gradient changes quickly.
    Clr {
        /// Tolerance outside critical regimes.
        tolerance: Tolerance,
        /// Rounds between checks (`clr_freq`), at least 1.
        freq: u32,
        /// Relative change of the norm that means critical (`clr_eta`).
        eta: f64,
    },
}
