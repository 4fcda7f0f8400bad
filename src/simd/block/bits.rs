//! A bit for each value.
#![allow(unsafe_code)]

use super::steps::SUMS;
use crate::simd::plain::Plain;
use crate::simd::vector::Vector;

/// Bits that are put together in a register of the ordinary kind.
const WORD: usize = 32;

#[inline(always)]
pub fn mean_magnitude(values: &[f32]) -> f32 {
    // Divided before they are added: the sum of large values is no larger than they are.
    let share = 1.0 / values.len().max(1) as f32;
    let mut sums = [0.0; SUMS];
    let (chunks, rest) = values.as_chunks::<SUMS>();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value.abs() * share);
    }
    sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += value.abs() * share);
    sums.iter().sum::<f32>().min(f32::MAX)
}

/// # Safety
/// The processor has the level of `V`.
#[inline(always)]
pub unsafe fn pack_signs<V: Vector>(values: &[f32], out: &mut [u8]) {
    assert_eq!(out.len(), values.len().div_ceil(8), "bits of other values");
    let (words, last) = values.as_chunks::<WORD>();
    // SAFETY: registers are loaded from arrays that whole numbers of them fill; the caller vouches for the level.
    unsafe {
        for (word, out) in words.iter().zip(out.chunks_mut(WORD / 8)) {
            out.copy_from_slice(&signs::<V>(word).to_le_bytes());
        }
        let mut padded = [0.0; WORD];
        padded[..last.len()].copy_from_slice(last);
        let rest = &mut out[words.len() * WORD / 8..];
        rest.copy_from_slice(&signs::<Plain<1>>(&padded).to_le_bytes()[..rest.len()]);
    }
}

#[inline(always)]
unsafe fn signs<V: Vector>(values: &[f32; WORD]) -> u32 {
    let registers = (0..WORD).step_by(V::LANES);
    // SAFETY: as above.
    registers.fold(0, |bits, at| bits | unsafe { V::load(values.as_ptr().add(at)).signs() } << at)
}

/// Calls `each` with every value and its number, negative where the bit is set.
#[inline(always)]
fn signed(bytes: &[u8], magnitude: f32, values: &mut [f32], each: impl Fn(&mut f32, f32)) {
    assert_eq!(bytes.len(), values.len().div_ceil(8), "bits of other values");
    let number = |byte: u8, bit: usize| {
        f32::from_bits(magnitude.to_bits() | (u32::from(byte) >> bit & 1) << 31)
    };
    let (whole, rest) = values.as_chunks_mut::<8>();
    for (eight, byte) in whole.iter_mut().zip(bytes) {
        eight.iter_mut().enumerate().for_each(|(bit, value)| each(value, number(*byte, bit)));
    }
    let byte = bytes.last().copied().unwrap_or(0);
    rest.iter_mut().enumerate().for_each(|(bit, value)| each(value, number(byte, bit)));
}

#[inline(always)]
pub fn unpack_signs(bytes: &[u8], magnitude: f32, out: &mut [f32]) {
    signed(bytes, magnitude, out, |value, number| *value = number);
}

#[inline(always)]
pub fn add_signs(bytes: &[u8], magnitude: f32, sum: &mut [f32]) {
    signed(bytes, magnitude, sum, |sum, number| *sum += number);
}

#[inline(always)]
pub fn mark_changes(values: &[i16], out: &mut [u8]) {
    assert_eq!(out.len(), values.len().div_ceil(8), "bits of other values");
    out.fill(0);
    for (byte, at) in out.iter_mut().zip((0..values.len()).step_by(8)) {
        // The first value differs from what was before it: nothing.
        let before = if at == 0 { !values[0] } else { values[at - 1] };
        let eight = &values[at..values.len().min(at + 8)];
        let befores = std::iter::once(&before).chain(eight);
        let changes = eight.iter().zip(befores).map(|(value, before)| u8::from(value != before));
        *byte = changes.enumerate().fold(0, |byte, (bit, change)| byte | change << bit);
    }
}
