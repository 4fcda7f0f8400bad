//! The kernels for AVX-512, by hand: the compiler keeps the sums of the plain loops in registers or not, by its mood
//! (the same source ran at 20 or at 97 GFLOP/s, depending on the profile).
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::array;

use super::conv::{Convolution, Lanes, Sums, WeightGradient, lanes};

/// A block of output channels: two registers.
type Pair = [__m512; 2];

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &Lanes) -> Pair {
    let (low, high) = values.split_at(16);
    // SAFETY: each half of 32 values is 16 values, as many as a register holds; the load wants no alignment.
    unsafe { [_mm512_loadu_ps(low.as_ptr()), _mm512_loadu_ps(high.as_ptr())] }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut Lanes, pair: Pair) {
    let (low, high) = values.split_at_mut(16);
    // SAFETY: each half of 32 values has room for the 16 of a register; the store wants no alignment.
    unsafe {
        _mm512_storeu_ps(low.as_mut_ptr(), pair[0]);
        _mm512_storeu_ps(high.as_mut_ptr(), pair[1]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply_add(value: f32, factor: Pair, sum: Pair) -> Pair {
    let value = _mm512_set1_ps(value);
    [_mm512_fmadd_ps(value, factor[0], sum[0]), _mm512_fmadd_ps(value, factor[1], sum[1])]
}

/// See [`super::conv::sum`].
#[target_feature(enable = "avx512f")]
pub fn sum<const P: usize>(conv: &Convolution<'_>, input: &[f32], result: &mut Sums) {
    let mut sums = [[_mm512_setzero_ps(); 2]; P];
    let run = conv.run;
    for (&tap, weights) in conv.taps.iter().zip(conv.weights.chunks_exact(run)) {
        let runs: [&[f32]; P] =
            array::from_fn(|p| &input[tap + p * conv.input.strides.col..][..run]);
        for (k, weights) in weights.iter().enumerate() {
            let weights = load(weights);
            for (sum, run) in sums.iter_mut().zip(&runs) {
                *sum = multiply_add(run[k], weights, *sum);
            }
        }
    }
    for (result, sum) in result.iter_mut().zip(sums) {
        store(result, sum);
    }
}

/// See [`super::conv::add_rows`].
#[target_feature(enable = "avx512f")]
pub fn add_rows<const R: usize>(band: &WeightGradient<'_>, at: usize, weights: &mut [Lanes]) {
    let weights: &mut [Lanes; R] = weights.first_chunk_mut().expect("the caller has counted");
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (sum, weights) in sums.iter_mut().zip(weights.iter()) {
        *sum = load(weights);
    }
    for row in 0..band.rows {
        let input = &band.input.values[row * band.input.strides.row + at..];
        let delta = &band.delta.values[row * band.delta.strides.row..];
        for col in 0..band.cols {
            let input: &[f32; R] = input[col * band.input.strides.col..]
                .first_chunk()
                .expect("a pixel has all of its run");
            let delta = load(lanes(&delta[col * band.delta.strides.col..]));
            for (sum, value) in sums.iter_mut().zip(input) {
                *sum = multiply_add(*value, delta, *sum);
            }
        }
    }
    for (weights, sum) in weights.iter_mut().zip(sums) {
        store(weights, sum);
    }
}
