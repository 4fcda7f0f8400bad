//! Max-pooling of a row of windows, as plain loops that the compiler turns into vector instructions.

use super::BLOCK;
use super::winograd::Strides;

/// Windows of `size` x `size` pixels side by side.
#[derive(Clone, Copy, Debug)]
pub struct PoolRow {
    /// Side of a window.
    pub size: usize,
    /// How many windows.
    pub windows: usize,
    /// Values of a pixel that are looked at.
    pub depth: usize,
    /// Where the pixels under the windows lie.
    pub pixels: Strides,
    /// From the result of a window to that of the next.
    pub result: usize,
}

impl PoolRow {
    /// Where window `i` and its result start.
    const fn window(&self, i: usize) -> (usize, usize) {
        (i * self.size * self.pixels.col, i * self.result)
    }

    /// Where a place of a window is, from its first pixel.
    const fn place(&self, place: usize) -> usize {
        place / self.size * self.pixels.row + place % self.size * self.pixels.col
    }
}

/// Finds the maximum of every window and which place it is from: of equal values the first, and a NaN before all.
#[inline(always)]
pub fn pool(at: &PoolRow, values: &[f32], maxima: &mut [f32], winners: &mut [u8]) {
    for i in 0..at.windows {
        let (from, to) = at.window(i);
        let (values, maxima, winners) = (&values[from..], &mut maxima[to..], &mut winners[to..]);
        let whole = at.depth / BLOCK * BLOCK;
        for c in (0..whole).step_by(BLOCK) {
            fight::<BLOCK>(at, &values[c..], &mut maxima[c..], &mut winners[c..]);
        }
        for c in whole..at.depth {
            fight::<1>(at, &values[c..], &mut maxima[c..], &mut winners[c..]);
        }
    }
}

/// The maxima of `N` channels of a window.
#[inline(always)]
fn fight<const N: usize>(at: &PoolRow, values: &[f32], maxima: &mut [f32], winners: &mut [u8]) {
    let channels = |place: usize| -> &[f32; N] {
        values[at.place(place)..].first_chunk().expect("a pixel has all of its channels")
    };
    let (mut highest, mut place_of) = (*channels(0), [0; N]);
    for place in 1..at.size * at.size {
        for ((value, highest), place_of) in
            channels(place).iter().zip(&mut highest).zip(&mut place_of)
        {
            let wins = *value > *highest || value.is_nan();
            *place_of = if wins { place as u8 } else { *place_of };
            *highest = if wins { *value } else { *highest };
        }
    }
    maxima[..N].copy_from_slice(&highest);
    winners[..N].copy_from_slice(&place_of);
}

/// Gives the gradient of every maximum to the value that won, 0 to the others of its window.
#[inline(always)]
pub fn award(at: &PoolRow, deltas: &[f32], winners: &[u8], targets: &mut [f32]) {
    for i in 0..at.windows {
        let (to, from) = at.window(i);
        for c in (0..at.depth).step_by(BLOCK) {
            let deltas: &[f32; BLOCK] = deltas[from + c..].first_chunk().expect("whole blocks");
            let winners: &[u8; BLOCK] = winners[from + c..].first_chunk().expect("whole blocks");
            for place in 0..at.size * at.size {
                let targets = &mut targets[to + c + at.place(place)..][..BLOCK];
                for ((target, delta), winner) in targets.iter_mut().zip(deltas).zip(winners) {
                    // All bits or none: a branch here is one that no processor foresees.
                    let mask = u32::from(*winner == place as u8).wrapping_neg();
                    *target = f32::from_bits(delta.to_bits() & mask);
                }
            }
        }
    }
}
