//! What stands in for a block that did not arrive, and what becomes of it at its worker.

/// The filler for missing blocks (DESIGN section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Zero, and the worker forgets it: the sum is divided by all workers.
    Zero,
    /// The mean of what was received, and the worker forgets it: the sum is divided by the contributions.
    Mean,
    /// Zero, and the worker says it again next round: transport-confirmed error feedback.
    Feedback,
    /// The mean of what was received, if that is of half of the workers at least, and the worker says it again: what
    /// stood in its place is then deducted.
    Imputed,
}

impl Missing {
    /// Whether a worker says again what was not used.
    #[must_use]
    pub const fn is_repeated(self) -> bool {
        matches!(self, Self::Feedback | Self::Imputed)
    }
}

crate::named!(Missing, "filler for missing blocks", {
    Zero => "zero",
    Mean => "mean",
    Feedback => "feedback",
    Imputed => "imputed",
});
