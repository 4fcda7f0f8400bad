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

/// Lets the values at `place` of a window take the lead; the first place has it for a start, and a NaN always takes it.
#[inline(always)]
pub fn challenge(place: u8, values: &[f32], maxima: &mut [f32], winners: &mut [u8]) {
    if place == 0 {
        maxima.copy_from_slice(values);
        winners.fill(0);
        return;
    }
    for ((maximum, winner), value) in maxima.iter_mut().zip(winners).zip(values) {
        let wins = *value > *maximum || value.is_nan();
        *winner = if wins { place } else { *winner };
        *maximum = if wins { *value } else { *maximum };
    }
}

/// The gradients of a window's maxima as those of the values at `place`.
#[inline(always)]
pub fn award(place: u8, deltas: &[f32], winners: &[u8], target: &mut [f32]) {
    for ((target, delta), winner) in target.iter_mut().zip(deltas).zip(winners) {
        *target = if *winner == place { *delta } else { 0.0 };
    }
}
