//! A set of block positions, one bit each.

use std::fmt;

use crate::ids::BlockIndex;

/// Which of `len` blocks are in; the unused bits of the last byte are always 0.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    len: u32,
    ones: u32,
}

impl Bitmap {
    /// No block of `len`.
    #[must_use]
    pub fn zeros(len: u32) -> Self {
        Self { bytes: vec![0; len.div_ceil(8) as usize], len, ones: 0 }
    }

    /// All of `len` blocks.
    #[must_use]
    pub fn full(len: u32) -> Self {
        let mut bitmap = Self { bytes: vec![0xff; len.div_ceil(8) as usize], len, ones: len };
        if !len.is_multiple_of(8) {
            bitmap.bytes[len as usize / 8] = (1 << (len % 8)) - 1;
        }
        bitmap
    }

    /// The bitmap that [`as_bytes`](Self::as_bytes) gave; `None` if the length is wrong or an unused bit is set.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], len: u32) -> Option<Self> {
        let stray =
            !len.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (len % 8) != 0);
        if bytes.len() != len.div_ceil(8) as usize || stray {
            return None;
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), len, ones })
    }

    /// Bit `i` is bit `i % 8` (least significant first) of byte `i / 8`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many blocks there are, in or not.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it speaks of no blocks at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many blocks are in.
    #[must_use]
    pub const fn ones(&self) -> u32 {
        self.ones
    }

    /// Whether every block is in.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.ones == self.len
    }

    /// Whether `block` is in; blocks beyond the end are not.
    #[must_use]
    pub fn contains(&self, block: BlockIndex) -> bool {
        block.0 < self.len && self.bytes[block.usize() / 8] >> (block.0 % 8) & 1 == 1
    }

    /// Puts `block` in; `false` if it was in before.
    ///
    /// # Panics
    /// If `block` lies beyond the end: whoever parses a block index checks it first.
    pub fn insert(&mut self, block: BlockIndex) -> bool {
        assert!(block.0 < self.len, "block {block} of {}", self.len);
        let (byte, bit) = (&mut self.bytes[block.usize() / 8], 1 << (block.0 % 8));
        let new = *byte & bit == 0;
        *byte |= bit;
        self.ones += u32::from(new);
        new
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.ones = 0;
    }

    /// Puts in all that are in `other`.
    ///
    /// # Panics
    /// If the two speak of different numbers of blocks.
    pub fn union(&mut self, other: &Self) {
        assert_eq!(self.len, other.len);
        for (byte, more) in self.bytes.iter_mut().zip(&other.bytes) {
            self.ones += (more & !*byte).count_ones();
            *byte |= more;
        }
    }

    /// How many blocks are in both.
    ///
    /// # Panics
    /// If the two speak of different numbers of blocks.
    #[must_use]
    pub fn common(&self, other: &Self) -> u32 {
        assert_eq!(self.len, other.len);
        self.bytes.iter().zip(&other.bytes).map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// The blocks that are in, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = BlockIndex> + '_ {
        (0..self.len).map(BlockIndex).filter(|&block| self.contains(block))
    }
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ones, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_bitmap_survives_its_bytes() {
        for len in 0..=10u32 {
            for pattern in 0..1u32 << len {
                let mut bitmap = Bitmap::zeros(len);
                for i in (0..len).filter(|i| pattern >> i & 1 == 1) {
                    assert!(bitmap.insert(BlockIndex(i)));
                    assert!(!bitmap.insert(BlockIndex(i)));
                }
                assert_eq!(bitmap.ones(), pattern.count_ones());
                assert_eq!(bitmap.is_full(), pattern.count_ones() == len);
                assert_eq!(Bitmap::from_bytes(bitmap.as_bytes(), len), Some(bitmap.clone()));
                assert_eq!(bitmap.common(&Bitmap::full(len)), bitmap.ones());
                let back = bitmap.iter().fold(0, |sum, block| sum | 1 << block.0);
                assert_eq!(back, pattern);
                let (mut both, other) = (bitmap.clone(), pattern.wrapping_mul(37) % (1 << len));
                let other_bytes = &other.to_le_bytes()[..len.div_ceil(8) as usize];
                both.union(&Bitmap::from_bytes(other_bytes, len).unwrap());
                let either = (pattern | other).to_le_bytes();
                assert_eq!(both, Bitmap::from_bytes(&either[..other_bytes.len()], len).unwrap());
            }
            let full = Bitmap::full(len);
            assert!(full.is_full() && full.iter().count() == len as usize);
            assert!(!full.contains(BlockIndex(len)));
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(Bitmap::from_bytes(&[0], 9), None);
        assert_eq!(Bitmap::from_bytes(&[0, 0b10], 9), None);
        assert_eq!(Bitmap::from_bytes(&[0xff], 0), None);
        assert!(Bitmap::from_bytes(&[0, 0b1], 9).is_some());
    }
}
