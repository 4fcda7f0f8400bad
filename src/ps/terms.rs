//! The codecs of a round's pushes, as the server decides them and as its workers hear of them.

use crate::bitmap::Bitmap;
use crate::codec::Codec;
use crate::flat::{Codecs, Layout};
use crate::wire::{Exception, RoundStart, Sparse};

/// One codec, or two where only some tensors are in a critical regime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    codec: Codec,
    /// Tensors that have another codec, and that one.
    exception: Option<(Codec, Bitmap)>,
}

impl Terms {
    /// The same codec for all tensors.
    pub const fn uniform(codec: Codec) -> Self {
        Self { codec, exception: None }
    }

    /// `critical` for the tensors that are in a critical regime, and `codec` for the others.
    pub fn new(codec: Codec, critical: Codec, tensors: Sparse) -> Self {
        match tensors {
            Sparse::All => Self::uniform(critical),
            Sparse::Some(tensors) if critical != codec => {
                Self { codec, exception: Some((critical, tensors)) }
            }
            Sparse::Some(_) | Sparse::None => Self::uniform(codec),
        }
    }

    /// What that means for the tensors of `layout`.
    pub fn codecs(&self, layout: &Layout) -> Codecs {
        match &self.exception {
            Some((other, tensors)) => Codecs::mixed(layout, self.codec, *other, tensors),
            None => Codecs::uniform(layout, self.codec),
        }
    }

    /// As the start of a round says it.
    pub fn to_wire(&self) -> ((u8, u16), Option<Exception>) {
        let exception = self
            .exception
            .as_ref()
            .map(|(codec, tensors)| Exception { codec: codec.to_wire(), tensors: tensors.clone() });
        (self.codec.to_wire(), exception)
    }

    /// What the start of a round says to a worker with this `layout`.
    ///
    /// # Errors
    /// Why it cannot be followed.
    pub fn from_wire(layout: &Layout, start: &RoundStart) -> Result<Self, String> {
        let known = |(number, level)| {
            Codec::from_wire(number, level).ok_or_else(|| {
                format!(
                    "the server wants codec {number} at level {level}, which this worker has not"
                )
            })
        };
        let codec = known(start.codec)?;
        let Some(Exception { codec: other, tensors }) = &start.exception else {
            return Ok(Self::uniform(codec));
        };
        let (named, all) = (tensors.len(), layout.tensors().len());
        if named as usize != all {
            return Err(format!("the server's model has {named} tensors, this one {all}"));
        }
        Ok(Self { codec, exception: Some((known(*other)?, tensors.clone())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BlockIndex, Round};
    use crate::units::Tolerance;
    use crate::wire::Task;

    fn layout() -> Layout {
        let tensors: [(&str, &[usize]); 4] =
            [("a", &[20, 20]), ("b", &[20]), ("c", &[2, 2]), ("d", &[5])];
        Layout::new(tensors.map(|(name, shape)| (name.to_owned(), shape.to_vec()))).unwrap()
    }

    fn start(terms: &Terms) -> RoundStart {
        let (codec, exception) = terms.to_wire();
        let start = RoundStart {
            round: Round(1),
            parameters: Round(0),
            task: Task::Finish,
            codec,
            exception,
            critical: true,
            rank: 0,
            workers: 1,
            tolerance: Tolerance::ZERO,
            allowance: 0,
            window: 0,
            repair: 0,
            blocks: 5,
            used_round: Round(0),
            used_blocks: 0,
            used: Sparse::None,
            urgent: Sparse::None,
            lr: 0.1,
        };
        RoundStart::from_bytes(&start.to_bytes()).unwrap()
    }

    fn topk(text: &str) -> Codec {
        text.parse().unwrap()
    }

    #[test]
    fn both_ends_mean_the_same() {
        let layout = layout();
        for codec in Codec::ALL {
            for critical in Codec::ALL {
                for bits in 0..16 {
                    let tensors = Bitmap::from_bytes(&[bits], 4).unwrap();
                    let terms = Terms::new(codec, critical, Sparse::of(&tensors));
                    let heard = Terms::from_wire(&layout, &start(&terms)).unwrap();
                    assert_eq!(heard, terms);
                    let codecs = heard.codecs(&layout);
                    for (block, tensor) in [0, 0, 1, 2, 3].into_iter().enumerate() {
                        let chosen = if bits >> tensor & 1 == 1 { critical } else { codec };
                        let chosen = if tensor % 2 == 1 { chosen.for_vectors() } else { chosen };
                        assert_eq!(codecs.of(BlockIndex(block as u32)), chosen);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_said_of_tensors_that_are_all_the_same() {
        let some = Sparse::of(&Bitmap::from_bytes(&[1], 4).unwrap());
        let (low, high) = (topk("topk:0.01"), topk("topk:0.1"));
        let said = |critical, tensors| Terms::new(low, critical, tensors).to_wire();
        assert_eq!(said(high, Sparse::All), (high.to_wire(), None));
        assert_eq!(said(high, Sparse::None), (low.to_wire(), None));
        assert_eq!(said(low, some.clone()), (low.to_wire(), None));
        assert!(said(high, some).1.is_some());
    }

    #[test]
    fn biases_are_left_alone_by_topk() {
        let vectors = |text| topk(text).for_vectors().to_string();
        assert_eq!(vectors("topk:0.01"), "raw");
        assert_eq!(vectors("topk:0.01+fp16"), "fp16");
        assert_eq!(vectors("sign1"), "sign1");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let layout = layout();
        let refused = |codec, other, tensors| {
            let mut start = start(&Terms::uniform(Codec::Raw));
            let tensors = Bitmap::full(tensors);
            (start.codec, start.exception) = (codec, Some(Exception { codec: other, tensors }));
            Terms::from_wire(&layout, &start).unwrap_err()
        };
        assert_eq!(
            refused((0, 1), (1, 0), 4),
            "the server wants codec 0 at level 1, which this worker has not"
        );
        assert_eq!(
            refused((0, 0), (99, 0), 4),
            "the server wants codec 99 at level 0, which this worker has not"
        );
        assert_eq!(
            refused((0, 0), (5, 0), 4),
            "the server wants codec 5 at level 0, which this worker has not"
        );
        assert_eq!(refused((0, 0), (1, 0), 3), "the server's model has 3 tensors, this one 4");
    }
}
