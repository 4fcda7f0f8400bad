//! A register of f32, whatever its width: kernels are written once over it.
#![allow(unsafe_code)]

/// A register of f32 and what kernels do with it.
///
/// # Safety
/// Every function may only be called where the processor has the instructions of the level that the type belongs to,
/// and is only fast where the compiler knows so: inside a function with that `target_feature`. Pointers must be valid
/// for [`LANES`](Self::LANES) values and want no alignment.
pub unsafe trait Vector: Copy {
    /// Values of a register.
    const LANES: usize;

    /// The same value in every lane.
    unsafe fn splat(value: f32) -> Self;

    /// The values at `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes the values to `to`.
    unsafe fn store(self, to: *mut f32);

    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;

    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;

    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;

    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;

    /// 0 where negative; a NaN stays one.
    unsafe fn relu(self) -> Self;

    /// The sum of the lanes.
    unsafe fn sum(self) -> f32;
}
