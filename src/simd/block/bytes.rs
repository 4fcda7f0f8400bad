//! f32 as bytes, and bytes in another order.

const WIDTH: usize = 4;
/// Bits of the least f32 that is not finite; those of NaN are larger.
const INFINITY: u32 = 0x7f80_0000;

const fn magnitude(bits: u32) -> u32 {
    bits & 0x7fff_ffff
}

#[inline(always)]
fn words(bytes: &[u8], values: usize) -> impl Iterator<Item = u32> {
    let (words, rest) = bytes.as_chunks::<WIDTH>();
    assert!(rest.is_empty() && words.len() == values, "bytes of other values");
    words.iter().map(|word| u32::from_le_bytes(*word))
}

#[inline(always)]
pub fn widen(bytes: &[u8], out: &mut [f32]) {
    let words = words(bytes, out.len());
    out.iter_mut().zip(words).for_each(|(value, word)| *value = f32::from_bits(word));
}

#[inline(always)]
pub fn add(bytes: &[u8], sum: &mut [f32]) {
    let words = words(bytes, sum.len());
    sum.iter_mut().zip(words).for_each(|(sum, word)| *sum += f32::from_bits(word));
}

#[inline(always)]
pub fn are_finite(values: &[f32]) -> bool {
    values.iter().map(|value| magnitude(value.to_bits())).fold(0, u32::max) < INFINITY
}

#[inline(always)]
pub fn are_finite_bytes(bytes: &[u8]) -> bool {
    words(bytes, bytes.len() / WIDTH).map(magnitude).fold(0, u32::max) < INFINITY
}

#[inline(always)]
pub fn shuffle(bytes: &[u8], width: usize, out: &mut [u8]) {
    assert_eq!(bytes.len(), out.len(), "no room for all bytes");
    let planes = out.chunks_exact_mut((bytes.len() / width.max(1)).max(1)).zip((0..).step_by(8));
    // Shifted words, and not bytes of arrays: that the compiler turns into few instructions.
    match (width, bytes.as_chunks::<2>(), bytes.as_chunks::<4>()) {
        (2, (words, []), _) => planes.for_each(|(plane, shift)| {
            let shifted = words.iter().map(|word| (u16::from_le_bytes(*word) >> shift) as u8);
            plane.iter_mut().zip(shifted).for_each(|(byte, shifted)| *byte = shifted);
        }),
        (4, _, (words, [])) => planes.for_each(|(plane, shift)| {
            let shifted = words.iter().map(|word| (u32::from_le_bytes(*word) >> shift) as u8);
            plane.iter_mut().zip(shifted).for_each(|(byte, shifted)| *byte = shifted);
        }),
        _ => panic!("{} bytes are no words of {width}", bytes.len()),
    }
}

#[inline(always)]
pub fn unshuffle(bytes: &[u8], width: usize, out: &mut [u8]) {
    assert_eq!(bytes.len(), out.len(), "no room for all bytes");
    let (first, rest) = bytes.split_at(bytes.len() / width.max(1));
    match (width, out.len() % width.max(1)) {
        (2, 0) => {
            let words = out.as_chunks_mut::<2>().0.iter_mut();
            for ((word, a), b) in words.zip(first).zip(rest) {
                *word = (u16::from(*a) | u16::from(*b) << 8).to_le_bytes();
            }
        }
        (4, 0) => {
            let (second, rest) = rest.split_at(first.len());
            let (third, fourth) = rest.split_at(first.len());
            let words = out.as_chunks_mut::<4>().0.iter_mut();
            for ((((word, a), b), c), d) in words.zip(first).zip(second).zip(third).zip(fourth) {
                let [a, b, c, d] = [a, b, c, d].map(|byte| u32::from(*byte));
                *word = (a | b << 8 | c << 16 | d << 24).to_le_bytes();
            }
        }
        _ => panic!("{} bytes are no words of {width}", bytes.len()),
    }
}
