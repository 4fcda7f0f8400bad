//! Where the activations between two layers lie, and their gradients.

use std::ops::Range;

use crate::shape::Shape;
use crate::simd::{LANES, Strides};

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

impl Plane {
    /// `height` x `width` pixels of `depth` values, with `border` zero pixels on each side.
    fn bordered(shape: Shape, depth: usize, border: usize) -> Self {
        let row = (shape.width + 2 * border) * depth;
        Self {
            size: (shape.height + 2 * border) * row,
            offset: border * (row + depth),
            strides: Strides { row, col: depth },
        }
    }

    /// Where the first pixel of a row of image `image` starts.
    pub const fn row(&self, image: usize, row: usize) -> usize {
        image * self.size + self.offset + row * self.strides.row
    }

    /// Where the pixels of image `image` start, in reading order.
    pub fn pixels(&self, shape: Shape, image: usize) -> impl Iterator<Item = usize> + use<> {
        let plane = *self;
        (0..shape.height).flat_map(move |row| {
            let start = plane.row(image, row);
            (0..shape.width).map(move |col| start + col * plane.strides.col)
        })
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
    /// Channels and pixels; a vector has 1 x 1 pixels.
    pub shape: Shape,
    /// Values of a pixel in memory: the channels, then zeros up to a whole number of blocks.
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
    pub fn input(shape: Shape, border: usize) -> Self {
        Self::new(shape, shape.channels, border)
    }

    /// A layer's result.
    pub fn result(shape: Shape, border: usize) -> Self {
        Self::new(shape, shape.channels.next_multiple_of(LANES), border)
    }

    fn new(shape: Shape, depth: usize, border: usize) -> Self {
        let delta = Plane::bordered(shape, depth, 0);
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
    pub fn spread_delta(&mut self, window: Window, input: Shape) {
        let row = (input.width + window.kernel - 1) * self.depth;
        let border = window.kernel - 1 - window.padding;
        self.delta_raw = Strides { row, col: self.depth };
        self.delta = Plane {
            size: (input.height + window.kernel - 1) * row,
            offset: border * (row + self.depth),
            strides: Strides { row: window.stride * row, col: window.stride * self.depth },
        };
    }

    /// The place of image `image`'s gradient.
    pub const fn delta_image(&self, image: usize) -> usize {
        if self.delta_each { image } else { 0 }
    }

    /// Pairs the pixels of value and gradient of `images`: where each pixel starts in the one and in the other.
    pub fn value_and_delta(
        &self,
        images: Range<usize>,
    ) -> impl Iterator<Item = (usize, usize)> + '_ {
        images.flat_map(|image| {
            let deltas = self.delta.pixels(self.shape, self.delta_image(image));
            self.value.pixels(self.shape, image).zip(deltas)
        })
    }
}
