//! Images as they are, or shifted and mirrored at random.

use crate::rng::{below, stream};
use crate::shape::Shape;

/// What is done to training images. A function of the seed and the global sample index alone: it does not matter
/// which worker computes a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Augment {
    /// Nothing.
    #[default]
    None,
    /// Padded with 4 black pixels on every side, then a piece of the old size is cut out.
    Crop,
    /// The same, and half of them mirrored left to right.
    CropFlip,
}

/// Pixels of padding on every side.
const PADDING: u64 = 4;

crate::named!(Augment, "augmentation", { None => "none", Crop => "crop", CropFlip => "crop+flip" });

impl Augment {
    /// How sample `global` of the run with `seed` is seen.
    pub(super) fn view(self, seed: u64, global: u64) -> View {
        if self == Self::None {
            return View::PLAIN;
        }
        let mut rng = stream(seed, "augment", global);
        let [down, right] =
            [(); 2].map(|()| below(&mut rng, 2 * PADDING + 1) as isize - PADDING as isize);
        View { down, right, mirrored: self == Self::CropFlip && below(&mut rng, 2) == 0 }
    }
}

/// One way of looking at an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    down: isize,
    right: isize,
    mirrored: bool,
}

impl View {
    pub const PLAIN: Self = Self { down: 0, right: 0, mirrored: false };

    /// Writes the view of `image` to `out`, normalised channel by channel.
    pub fn write(self, image: &[u8], shape: Shape, channels: &[Normalise], out: &mut [f32]) {
        let plane_len = shape.height * shape.width;
        let planes = image.chunks_exact(plane_len).zip(out.chunks_exact_mut(plane_len));
        for ((plane, out), normalise) in planes.zip(channels) {
            if self == Self::PLAIN {
                plane.iter().zip(out).for_each(|(&byte, out)| *out = normalise.apply(byte));
                continue;
            }
            for (row, out) in out.chunks_exact_mut(shape.width).enumerate() {
                let row = row.checked_add_signed(self.down).filter(|row| *row < shape.height);
                let row = row.map(|row| &plane[row * shape.width..][..shape.width]);
                for (column, out) in out.iter_mut().enumerate() {
                    let column = if self.mirrored { shape.width - 1 - column } else { column };
                    let column = column.checked_add_signed(self.right);
                    let byte = column.and_then(|column| row?.get(column));
                    *out = normalise.apply(byte.copied().unwrap_or_default());
                }
            }
        }
    }
}

/// Makes a byte of one channel a value of mean 0 and deviation 1: `(byte / 255 - mean) / std` in one multiplication and
/// one subtraction, which the compiler can do for many bytes at a time.
#[derive(Clone, Copy, Debug)]
pub struct Normalise {
    scale: f32,
    offset: f32,
}

impl Normalise {
    pub fn new(mean: f32, std: f32) -> Self {
        Self { scale: 1.0 / (255.0 * std), offset: mean / std }
    }

    fn apply(self, byte: u8) -> f32 {
        f32::from(byte) * self.scale - self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { channels: 2, height: 2, width: 3 };

    fn seen(down: isize, right: isize, mirrored: bool) -> Vec<f32> {
        let identity = Normalise { scale: 1.0, offset: 0.0 };
        let image = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];
        let mut out = vec![9.0; SHAPE.values()];
        View { down, right, mirrored }.write(&image, SHAPE, &[identity; 2], &mut out);
        out
    }

    #[test]
    fn views_shift_and_mirror_with_black_borders() {
        assert_eq!(seen(0, 0, false)[..6], [1., 2., 3., 4., 5., 6.]);
        assert_eq!(seen(0, 0, true), [3., 2., 1., 6., 5., 4., 13., 12., 11., 16., 15., 14.]);
        assert_eq!(seen(1, 0, false)[..6], [4., 5., 6., 0., 0., 0.]);
        assert_eq!(seen(-1, 1, false)[6..], [0., 0., 0., 12., 13., 0.]);
        assert_eq!(seen(0, -2, true)[..6], [1., 0., 0., 4., 0., 0.]);
        assert_eq!(seen(4, -4, true), [0.0; 12]);
    }

    #[test]
    fn views_depend_on_seed_and_sample_only_and_use_every_shift() {
        let mut shifts = [[0; 9]; 9];
        let mut mirrored = 0;
        for global in 0..8100 {
            let view = Augment::CropFlip.view(7, global);
            assert_eq!(view, Augment::CropFlip.view(7, global));
            assert_eq!(View { mirrored: false, ..view }, Augment::Crop.view(7, global));
            shifts[(view.down + 4) as usize][(view.right + 4) as usize] += 1;
            mirrored += u32::from(view.mirrored);
        }
        assert!(shifts.iter().flatten().all(|times| (50..160).contains(times)), "{shifts:?}");
        assert!((3900..4200).contains(&mirrored), "{mirrored}");
        assert_eq!(Augment::None.view(7, 1), View::PLAIN);
        assert_ne!(Augment::Crop.view(7, 1), Augment::Crop.view(8, 1));
    }
}
