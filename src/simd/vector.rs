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

    /// What lies between `-limit` and `limit`, a number above 0, stays; the rest becomes one of them. A NaN becomes
    /// anything.
    unsafe fn clamp(self, limit: Self) -> Self;

    /// The IEEE binary16 at `from`, little endian.
    unsafe fn load_fp16(from: *const u8) -> Self;

    /// Writes the nearest IEEE binary16 (ties to even) to `to`, little endian.
    unsafe fn store_fp16(self, to: *mut u8);

    /// The signs, the first lane's in the lowest bit; 1 is negative.
    unsafe fn signs(self) -> u32;
}
