//! Where the activations between two layers lie, and their gradients.

use crate::shape::Shape;
use crate::simd::{BLOCK, Strides};

/// Images in memory, one after the other: channel `c` of pixel `(row, col)` of image `i` lies at
/// `i * size + offset + row * strides.row + col * strides.col + c`. What lies around the pixels is always 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane {
    /// Values of an image with everything around it.
    pub size: usize,
    /// Where the first pixel is.
    pub offset: usize,
    /// From pixel to pixel.
    pub strides: Strides,
}

/// Zero pixels around an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Border {
    /// Above and to the left.
    pub before: usize,
    /// Below and to the right.
    pub after: usize,
}

impl Border {
    /// What holds both.
    pub fn or(self, other: Self) -> Self {
        Self { before: self.before.max(other.before), after: self.after.max(other.after) }
    }
}

impl Plane {
    /// `height` x `width` pixels of `depth` values.
    const fn bordered(shape: Shape, depth: usize, border: Border) -> Self {
        let around = border.before + border.after;
        let row = (shape.width + around) * depth;
        Self {
            size: (shape.height + around) * row,
            offset: border.before * (row + depth),
            strides: Strides { row, col: depth },
        }
    }

    /// Where a pixel of an image starts.
    pub const fn pixel(&self, image: usize, row: usize, col: usize) -> usize {
        image * self.size + self.offset + row * self.strides.row + col * self.strides.col
    }
}

/// The kernel of a convolution on its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side of the kernel.
    pub kernel: usize,
    /// Pixels from one application to the next.
    pub stride: usize,
    /// Zeros on each side of the input.
    pub padding: usize,
}

/// The result of one layer (or the input of the first) for all images of a chunk.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Channels, and the pixels that are of any consequence for the logits; a vector has 1 x 1 pixels.
    pub shape: Shape,
    /// Values of a pixel in memory: the channels, and what fills the last block: of no consequence for any channel.
    pub depth: usize,
    /// The values, with the border that the widest convolution over them reads.
    pub value: Plane,
    /// The gradient of the loss, as the convolution that made the values wants to read it.
    pub delta: Plane,
    /// Strides of all that lies in `delta`, the zeros between pixels included.
    pub delta_raw: Strides,
    /// Whether there is a gradient for each image of the chunk, or one that images take turns with.
    pub delta_each: bool,
}

impl Slot {
    /// The network's input: its pixels are not padded, for no kernel writes them.
    pub const fn input(shape: Shape, border: Border) -> Self {
        Self::new(shape, shape.channels, border)
    }

    /// A layer's result.
    pub const fn result(shape: Shape, border: Border) -> Self {
        Self::new(shape, shape.channels.next_multiple_of(BLOCK), border)
    }

    const fn new(shape: Shape, depth: usize, border: Border) -> Self {
        let delta = Plane::bordered(shape, depth, Border { before: 0, after: 0 });
        Self {
            shape,
            depth,
            value: Plane::bordered(shape, depth, border),
            delta,
            delta_raw: delta.strides,
            delta_each: false,
        }
    }

    /// Lays the gradient out for the convolution `window` over an `input` that made this slot: the gradient of its
    /// input is a convolution at stride 1 over this one, with `stride - 1` zeros between pixels and a border around.
    pub const fn dilate_delta(&mut self, window: Window, input: Shape) {
        let row = (input.width + window.kernel - 1) * self.depth;
        let border = window.kernel - 1 - window.padding;
        self.delta_raw = Strides { row, col: self.depth };
        self.delta = Plane {
            size: (input.height + window.kernel - 1) * row,
            offset: border * (row + self.depth),
            strides: Strides { row: window.stride * row, col: window.stride * self.depth },
        };
    }

    /// Lays the gradient out for tiles of 2x2 pixels: odd sides get a pixel more.
    pub const fn tile_delta(&mut self) {
        self.delta = Plane::bordered(self.shape, self.depth, Border { before: 0, after: 1 });
        self.delta_raw = self.delta.strides;
    }

    /// Whether images lie in memory as a data set has them.
    pub const fn is_canonical(&self) -> bool {
        self.value.size == self.shape.values()
            && (self.shape.channels == 1 || self.shape.height * self.shape.width == 1)
    }

    /// The place of image `image`'s gradient.
    pub const fn delta_image(&self, image: usize) -> usize {
        if self.delta_each { image } else { 0 }
    }

    /// Where a pixel of an image's gradient starts.
    pub const fn delta_pixel(&self, image: usize, row: usize, col: usize) -> usize {
        self.delta.pixel(self.delta_image(image), row, col)
    }
}

/// The stretches of an image of `shape` that have no gap in any of the `planes`: their length, and the row and column
/// at which each starts.
pub fn stretches(
    shape: Shape,
    depth: usize,
    planes: [&Plane; 2],
) -> (usize, impl Iterator<Item = (usize, usize)> + use<>) {
    let dense = planes.iter().all(|plane| plane.strides.col == depth);
    let Shape { height, width, .. } = shape;
    let step = if dense { width } else { 1 };
    let starts =
        (0..height).flat_map(move |row| (0..width).step_by(step).map(move |col| (row, col)));
    (step * depth, starts)
}
