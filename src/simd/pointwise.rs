//! What is done to every value by itself, as plain loops that the compiler turns into vector instructions.

/// Sets `deltas` to 0 where `values` are not positive: the way back through a ReLU. A NaN lets its gradient through.
#[inline(always)]
pub fn gate(deltas: &mut [f32], values: &[f32]) {
    for (delta, value) in deltas.iter_mut().zip(values) {
        *delta = if *value <= 0.0 { 0.0 } else { *delta };
    }
}

/// Adds `source` to `target`.
#[inline(always)]
pub fn add(target: &mut [f32], source: &[f32]) {
    target.iter_mut().zip(source).for_each(|(target, source)| *target += source);
}
