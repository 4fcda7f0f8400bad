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
    match width {
        2 => shuffled::<2>(bytes, out),
        4 => shuffled::<4>(bytes, out),
        _ => panic!("words of {width} bytes"),
    }
}

#[inline(always)]
fn shuffled<const W: usize>(bytes: &[u8], out: &mut [u8]) {
    let (words, rest) = bytes.as_chunks::<W>();
    assert!(rest.is_empty(), "a word is cut");
    for (place, plane) in out.chunks_exact_mut(words.len().max(1)).enumerate() {
        plane.iter_mut().zip(words).for_each(|(byte, word)| *byte = word[place]);
    }
}

#[inline(always)]
pub fn unshuffle(bytes: &[u8], width: usize, out: &mut [u8]) {
    assert_eq!(bytes.len(), out.len(), "no room for all bytes");
    match width {
        2 => unshuffled::<2>(bytes, out),
        4 => unshuffled::<4>(bytes, out),
        _ => panic!("words of {width} bytes"),
    }
}

#[inline(always)]
fn unshuffled<const W: usize>(bytes: &[u8], out: &mut [u8]) {
    let (words, rest) = out.as_chunks_mut::<W>();
    assert!(rest.is_empty(), "a word is cut");
    let count = words.len();
    let planes: [&[u8]; W] = std::array::from_fn(|place| &bytes[place * count..][..count]);
    for (i, word) in words.iter_mut().enumerate() {
        *word = planes.map(|plane| plane[i]);
    }
}
