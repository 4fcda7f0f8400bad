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
}

crate::named!(Missing, "filler for missing blocks", {
    Zero => "zero",
    Mean => "mean",
    Feedback => "feedback",
});
