//! `raw`: f32 as they are.

const WIDTH: usize = size_of::<f32>();

pub const fn encoded_len(values: usize) -> usize {
    values * WIDTH
}

pub fn encode(values: &[f32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded_len(values.len()), 0);
    let (words, _) = out[start..].as_chunks_mut();
    for (word, value) in words.iter_mut().zip(values) {
        *word = value.to_le_bytes();
    }
}

pub fn decode(bytes: &[u8], out: &mut [f32]) {
    let (words, _) = bytes.as_chunks();
    for (value, word) in out.iter_mut().zip(words) {
        *value = f32::from_le_bytes(*word);
    }
}
