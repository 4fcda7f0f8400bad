//! What a worker wanted to say and has not got across: transport-confirmed error feedback (DESIGN section 5).

use super::{Codecs, Encoded, Layout};
use crate::bitmap::Bitmap;
use crate::codec::BLOCK_VALUES;
use crate::ids::BlockIndex;

/// The residual `e` and, between a push and the word about it, the update `u = g + e` that was pushed.
///
/// With plain SGD the sum of all that was used, and what is still in here, is the sum of all gradients: nothing is lost
/// for good, however much the network loses (Karimireddy et al., ICML'19; here loss is one more compression).
#[derive(Clone, Debug)]
pub struct Residual {
    values: Vec<f32>,
    ages: Vec<u8>,
}

impl Residual {
    /// Nothing unsaid yet.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self { values: vec![0.0; layout.values()], ages: vec![0; layout.blocks() as usize] }
    }

    /// Adds what is unsaid to `gradient`: it becomes the update to push.
    pub fn add_to(&self, gradient: &mut [f32]) {
        for (value, unsaid) in gradient.iter_mut().zip(&self.values) {
            *value += unsaid;
        }
    }

    /// Takes in which blocks of a pushed `update` were used; of those only the rounding of their codecs stays unsaid.
    ///
    /// # Panics
    /// If the arguments do not belong to one layout.
    pub fn settle(
        &mut self,
        layout: &Layout,
        update: &[f32],
        encoded: &Encoded,
        codecs: &Codecs,
        used: &Bitmap,
    ) {
        let mut said = [0.0; BLOCK_VALUES];
        for block in (0..layout.blocks()).map(BlockIndex) {
            let range = layout.range(block);
            let (unsaid, age) = (&mut self.values[range.clone()], &mut self.ages[block.usize()]);
            unsaid.copy_from_slice(&update[range]);
            if !used.contains(block) {
                *age = age.saturating_add(1);
                continue;
            }
            *age = 0;
            let said = &mut said[..unsaid.len()];
            let codec = codecs.of(block);
            codec.decode(encoded.block(block), said).expect("we encoded this block ourselves");
            for (unsaid, said) in unsaid.iter_mut().zip(said) {
                *unsaid -= *said;
            }
        }
    }

    /// Of each block, the rounds in a row in which it went unused.
    #[must_use]
    pub fn ages(&self) -> &[u8] {
        &self.ages
    }

    /// Forgets everything: the server that was told is gone.
    pub fn clear(&mut self) {
        self.values.fill(0.0);
        self.ages.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::rng;

    /// Over many rounds of any loss and rounding: used + unsaid = everything.
    #[test]
    fn what_was_used_and_what_is_unsaid_is_everything() {
        let layout = Layout::new([("a".into(), vec![7, 100]), ("b".into(), vec![9])]).unwrap();
        for (seed, codec) in (1..).zip(Codec::ALL) {
            let mut rng = rng::stream(seed, "residual", 0);
            let codecs = Codecs::uniform(&layout, codec);
            let (mut residual, mut encoded) = (Residual::new(&layout), Encoded::default());
            let (mut all, mut used_sum) = (vec![0f64; 709], vec![0f64; 709]);
            for _ in 0..50 {
                let mut update: Vec<f32> =
                    (0..709).map(|_| rng::unit(&mut rng) as f32 - 0.5).collect();
                all.iter_mut().zip(&update).for_each(|(sum, &x)| *sum += f64::from(x));
                residual.add_to(&mut update);
                encoded.fill(&layout, &codecs, &update);
                let mut used = Bitmap::zeros(layout.blocks());
                for block in (0..layout.blocks()).map(BlockIndex) {
                    if rng::unit(&mut rng) < 0.6 {
                        used.insert(block);
                        let range = layout.range(block);
                        let mut said = vec![0.0; range.len()];
                        codecs.of(block).decode(encoded.block(block), &mut said).unwrap();
                        for (sum, said) in used_sum[range].iter_mut().zip(said) {
                            *sum += f64::from(said);
                        }
                    }
                }
                residual.settle(&layout, &update, &encoded, &codecs, &used);
                let mut unsaid = vec![0.0; 709];
                residual.add_to(&mut unsaid);
                for i in 0..709 {
                    let sum = used_sum[i] + f64::from(unsaid[i]);
                    assert!((sum - all[i]).abs() < 1e-4, "{codec}: {sum} for {}", all[i]);
                }
            }
        }
    }

    #[test]
    fn ages_count_unused_rounds() {
        let layout = Layout::new([("a".into(), vec![640])]).unwrap();
        let (mut residual, mut encoded) = (Residual::new(&layout), Encoded::default());
        let (update, raw) = (vec![1.0; 640], Codecs::uniform(&layout, Codec::Raw));
        encoded.fill(&layout, &raw, &update);
        let mut used = Bitmap::zeros(2);
        used.insert(BlockIndex(1));
        for age in 1..=3 {
            residual.settle(&layout, &update, &encoded, &raw, &used);
            assert_eq!(residual.ages(), [age, 0]);
        }
        residual.settle(&layout, &update, &encoded, &raw, &Bitmap::full(2));
        let mut zero = vec![0.0; 640];
        residual.add_to(&mut zero);
        assert_eq!((residual.ages(), zero), (&[0, 0][..], vec![0.0; 640]));
    }
}
