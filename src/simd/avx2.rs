//! The kernels for AVX2: the plain loops of [`super::conv`], compiled for it.

use super::conv::{self, Convolution, Lanes, Sums, WeightGradient};

/// See [`conv::sum`].
#[target_feature(enable = "avx2,fma")]
pub fn sum<const P: usize>(conv: &Convolution<'_>, input: &[f32], result: &mut Sums) {
    conv::sum::<P, true>(conv, input, result);
}

/// See [`conv::add_rows`].
#[target_feature(enable = "avx2,fma")]
pub fn add_rows<const R: usize>(band: &WeightGradient<'_>, at: usize, weights: &mut [Lanes]) {
    conv::add_rows::<R, true>(band, at, weights);
}
