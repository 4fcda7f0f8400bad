//! The values of largest magnitude.

/// Values that are looked at together: most of them have none that is large.
const CHUNK: usize = 32;

/// Bits that order like magnitudes.
const fn magnitude(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

#[inline(always)]
fn count(values: &[f32], least: u32) -> usize {
    values.iter().map(|value| u32::from(magnitude(*value) >= least)).sum::<u32>() as usize
}

#[inline(always)]
pub fn largest(values: &[f32], places: &mut [u16]) {
    let wanted = places.len();
    assert!(wanted <= values.len() && values.len() <= usize::from(u16::MAX), "too many places");
    if wanted == 0 {
        return;
    }
    // Bit by bit, the largest threshold that enough values reach: that of the last one wanted, or just above the next.
    let (mut least, mut reached) = (0, values.len());
    for bit in (0..31).rev() {
        if reached == wanted {
            break;
        }
        let higher = least | 1 << bit;
        let count = count(values, higher);
        if count >= wanted {
            (least, reached) = (higher, count);
        }
    }
    let mut equals = if reached == wanted { wanted } else { wanted - count(values, least + 1) };
    let mut places = places.iter_mut();
    for (chunk, first) in values.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        if chunk.iter().map(|value| magnitude(*value)).fold(0, u32::max) < least {
            continue;
        }
        for (value, at) in chunk.iter().zip(first..) {
            let taken = match magnitude(*value).cmp(&least) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => {
                    equals > 0 && {
                        equals -= 1;
                        true
                    }
                }
            };
            if taken && let Some(place) = places.next() {
                *place = at;
            }
        }
    }
}
