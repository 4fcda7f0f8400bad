//! The canonical layout: tensors sorted by name, row-major, each starting a new block.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::codec::BLOCK_VALUES;
use crate::ids::BlockIndex;

/// One parameter tensor and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name, unique in the layout.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Where its values lie in the flat vector.
    pub values: Range<usize>,
    /// Which blocks carry them.
    pub blocks: Range<u32>,
}

/// The tensors of a model as one vector of f32, and its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    values: usize,
    starts: Vec<usize>,
}

/// Tensors that make no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is nothing to lay out.
    #[error("a model without parameters")]
    Empty,
    /// Two tensors share a name.
    #[error("two parameters are called `{0}`")]
    Twice(String),
    /// A tensor has a dimension of 0 or more values than can be counted.
    #[error("parameter `{0}` has the impossible shape {1:?}")]
    Shape(String, Vec<usize>),
}

/// More values than this are refused: block indices and byte counts stay far from their limits.
const VALUES_MAX: usize = 1 << 34;

impl Layout {
    /// Lays out tensors given as `(name, shape)` in any order.
    ///
    /// # Errors
    /// If there are none, two share a name, or a shape has no or too many values.
    pub fn new(
        tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
    ) -> Result<Self, LayoutError> {
        let mut named: Vec<_> = tensors.into_iter().collect();
        named.sort();
        if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LayoutError::Twice(pair[0].0.clone()));
        }
        let mut layout = Self { tensors: Vec::new(), values: 0, starts: Vec::new() };
        for (name, shape) in named {
            let count = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
            match count {
                Some(count @ 1..) if layout.values + count <= VALUES_MAX => {
                    layout.push(name, shape, count)
                }
                _ => return Err(LayoutError::Shape(name, shape)),
            }
        }
        if layout.tensors.is_empty() { Err(LayoutError::Empty) } else { Ok(layout) }
    }

    /// Lays out tensors in the order given; they have values, and are not looked up by name.
    pub(super) fn in_order(tensors: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let mut layout = Self { tensors: Vec::new(), values: 0, starts: Vec::new() };
        for (name, shape) in tensors {
            let count = shape.iter().product();
            layout.push(name, shape, count);
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>, count: usize) {
        let values = self.values..self.values + count;
        let first = self.starts.len() as u32;
        self.starts.extend(values.clone().step_by(BLOCK_VALUES));
        self.values = values.end;
        self.tensors.push(Tensor { name, shape, values, blocks: first..self.starts.len() as u32 });
    }

    /// The tensors, sorted by name.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor called `name`.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        let found = self.tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name));
        found.ok().map(|i| &self.tensors[i])
    }

    /// Number of values of the flat vector.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.values
    }

    /// Number of blocks.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.starts.len() as u32
    }

    /// Where the values of `block` lie in the flat vector; at most [`BLOCK_VALUES`] of them, never none.
    ///
    /// # Panics
    /// If there is no such block: whoever parses a block index checks it first.
    #[must_use]
    pub fn range(&self, block: BlockIndex) -> Range<usize> {
        let start = self.starts[block.usize()];
        let next = self.starts.get(block.usize() + 1).copied().unwrap_or(self.values);
        start..next
    }

    /// The tensor that `block` is a part of.
    ///
    /// # Panics
    /// If there is no such block.
    #[must_use]
    pub fn tensor_of(&self, block: BlockIndex) -> &Tensor {
        assert!(block.0 < self.blocks(), "block {block} of {}", self.blocks());
        let after = self.tensors.partition_point(|tensor| tensor.blocks.end <= block.0);
        &self.tensors[after]
    }

    /// SHA-256 over names and shapes: equal digests mean that flat vectors can be exchanged.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for tensor in &self.tensors {
            hash.update(tensor.name.as_bytes());
            for dim in &tensor.shape {
                hash.update([b' ']);
                hash.update(dim.to_string());
            }
            hash.update([b'\n']);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(tensors: &[(&str, &[usize])]) -> Result<Layout, LayoutError> {
        Layout::new(tensors.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())))
    }

    #[test]
    fn fc_has_26_blocks_sorted_by_name() {
        let fc = layout(&[("linear.weight", &[10, 784]), ("linear.bias", &[10])]).unwrap();
        assert_eq!((fc.values(), fc.blocks()), (7850, 26));
        assert_eq!(fc.tensors()[0].name, "linear.bias");
        assert_eq!(fc.range(BlockIndex(0)), 0..10);
        assert_eq!(fc.range(BlockIndex(1)), 10..330);
        assert_eq!(fc.range(BlockIndex(25)), 7690..7850);
        assert_eq!(fc.tensor("linear.weight").unwrap().blocks, 1..26);
        assert_eq!(fc.tensor("absent"), None);
    }

    #[test]
    fn blocks_tile_the_values_and_never_span_tensors() {
        let mixed =
            layout(&[("b", &[320]), ("a", &[641]), ("d", &[1]), ("c", &[2, 3, 5])]).unwrap();
        let mut end = 0;
        for block in (0..mixed.blocks()).map(BlockIndex) {
            let range = mixed.range(block);
            assert_eq!(range.start, end);
            assert!((1..=BLOCK_VALUES).contains(&range.len()));
            let tensor = mixed.tensor_of(block);
            assert!(tensor.blocks.contains(&block.0) && range.end <= tensor.values.end);
            end = range.end;
        }
        assert_eq!(end, mixed.values());
    }

    #[test]
    fn digest_tells_layouts_apart() {
        let digest = |tensors| layout(tensors).unwrap().digest();
        assert_eq!(digest(&[("a", &[2, 3]), ("b", &[1])]), digest(&[("b", &[1]), ("a", &[2, 3])]));
        assert_ne!(digest(&[("a", &[2, 3])]), digest(&[("a", &[3, 2])]));
        assert_ne!(digest(&[("a", &[2, 3])]), digest(&[("a", &[23])]));
    }

    #[test]
    fn impossible_tensors_are_refused() {
        assert_eq!(layout(&[]), Err(LayoutError::Empty));
        assert_eq!(layout(&[("a", &[1]), ("a", &[2])]), Err(LayoutError::Twice("a".into())));
        assert!(matches!(layout(&[("a", &[3, 0])]), Err(LayoutError::Shape(..))));
        assert!(matches!(layout(&[("a", &[usize::MAX, 3])]), Err(LayoutError::Shape(..))));
    }
}
