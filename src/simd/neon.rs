//! Registers of NEON.
#![allow(unsafe_code)]

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddvq_f32, vaddvq_u32, vbicq_u32, vcltq_f32, vdupq_n_f32, vfmaq_f32,
    vld1_u16, vld1q_f32, vld1q_s32, vmaxq_f32, vminq_f32, vmulq_f32, vnegq_f32,
    vreinterpretq_f32_u32, vreinterpretq_u32_f32, vshlq_u32, vshrq_n_u32, vst1_u16, vst1q_f32,
    vsubq_f32,
};
use std::arch::asm;

use super::vector::Vector;

// SAFETY: every function is a few instructions of NEON, which the caller vouches for, as it does for pointers; loads
// and stores want no alignment beyond that of an f32.
#[allow(clippy::undocumented_unsafe_blocks)]
unsafe impl Vector for float32x4_t {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { vfmaq_f32(term, self, factor) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { vsubq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { vmulq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        unsafe {
            let negative = vcltq_f32(self, vdupq_n_f32(0.0));
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(self), negative))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { vaddvq_f32(self) }
    }

    #[inline(always)]
    unsafe fn clamp(self, limit: Self) -> Self {
        unsafe { vmaxq_f32(vminq_f32(self, limit), vnegq_f32(limit)) }
    }

    // The two conversions are part of NEON, but the compiler has no stable names for them.
    #[inline(always)]
    unsafe fn load_fp16(from: *const u8) -> Self {
        let wide: Self;
        unsafe {
            let halves = vld1_u16(from.cast());
            asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags));
        }
        wide
    }

    #[inline(always)]
    unsafe fn store_fp16(self, to: *mut u8) {
        let halves;
        unsafe {
            asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) halves, in(vreg) self,
                options(pure, nomem, nostack, preserves_flags));
            vst1_u16(to.cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn signs(self) -> u32 {
        unsafe {
            let lanes = vld1q_s32([0, 1, 2, 3].as_ptr());
            vaddvq_u32(vshlq_u32(vshrq_n_u32::<31>(vreinterpretq_u32_f32(self)), lanes))
        }
    }
}
