//! Registers for every processor: arrays that the compiler may or may not put into vector registers.
#![allow(unsafe_code)]

use std::array;

use half::f16;

use super::vector::Vector;

/// `N` values.
#[derive(Clone, Copy, Debug)]
pub struct Plain<const N: usize>([f32; N]);

/// Where fused multiply-add is part of the target itself; elsewhere it would be a slow call.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

impl<const N: usize> Plain<N> {
    #[inline(always)]
    fn zip(self, other: Self, with: impl Fn(f32, f32) -> f32) -> Self {
        Self(array::from_fn(|lane| with(self.0[lane], other.0[lane])))
    }
}

// SAFETY: needs no special instructions; the only unsafe steps are a load and a store of an array, which the caller
// vouches for.
unsafe impl<const N: usize> Vector for Plain<N> {
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for N values; an array of f32 is aligned like one.
        Self(unsafe { *from.cast() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self.0 }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        let fused = |a: f32, b: f32, c: f32| if FUSED { a.mul_add(b, c) } else { a * b + c };
        Self(array::from_fn(|lane| fused(self.0[lane], factor.0[lane], term.0[lane])))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // Not `max`: a NaN must come through.
        Self(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        self.zip(limit, |x, limit| x.clamp(-limit, limit))
    }

    // In software, whatever the processor has: this is what instructions are compared with.
    #[inline(always)]
    unsafe fn load_fp16(from: *const u8) -> Self {
        // SAFETY: the caller vouches for N values; an array of bytes wants no alignment.
        let halves = unsafe { *from.cast::<[[u8; 2]; N]>() };
        Self(halves.map(|half| f16::from_le_bytes(half).to_f32_const()))
    }

    #[inline(always)]
    unsafe fn store_fp16(self, to: *mut u8) {
        let halves = self.0.map(|x| f16::from_f32_const(x).to_le_bytes());
        // SAFETY: as above.
        unsafe { *to.cast() = halves }
    }

    #[inline(always)]
    unsafe fn signs(self) -> u32 {
        let bits = self.0.iter().enumerate();
        bits.fold(0, |signs, (lane, x)| signs | x.to_bits() >> 31 << lane)
    }
}
