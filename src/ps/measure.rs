//! What is measured of a round's averaged gradient: norms, the signal, and what adds up over a window.

use crate::event::RoundEnded;
use crate::flat::Layout;
use crate::ids::BlockIndex;
use crate::ps::policy::{Beat, Every};
use crate::simd::BlockKernels;

/// Sums by block, so that nothing depends on the order in which blocks become known.
#[derive(Debug)]
pub struct Measures {
    /// Of each block, the sum of its squares.
    squares: Vec<f64>,
    /// Of each block, the square of its signal, if it is known.
    signals: Vec<Option<f64>>,
    window: Option<Window>,
}

/// Averaged gradients, added up.
#[derive(Debug)]
struct Window {
    beat: Beat,
    /// What the round under way counts.
    weight: f32,
    sum: Vec<f32>,
}

impl Measures {
    /// Before the first round. What adds up over windows is kept only if they are told how long they are.
    #[must_use]
    pub fn new(layout: &Layout, window: Option<Every>) -> Self {
        let blocks = layout.blocks() as usize;
        let window = window.map(|every| Window {
            beat: Beat::new(every),
            weight: 1.0,
            sum: vec![0.0; layout.values()],
        });
        Self { squares: vec![0.0; blocks], signals: vec![None; blocks], window }
    }

    /// The same before the first round that follows a checkpoint, in the middle of its window.
    ///
    /// # Panics
    /// If the `sum` of that window is of another model.
    #[must_use]
    pub fn resumed(mut self, beat: Option<&Beat>, sum: &[f32]) -> Self {
        if let (Some(window), Some(beat)) = (&mut self.window, beat) {
            window.beat = *beat;
            window.sum.copy_from_slice(sum);
        }
        self
    }

    /// Where the window stands, if there is one.
    #[must_use]
    pub fn beat(&self) -> Option<Beat> {
        self.window.as_ref().map(|window| window.beat)
    }

    /// What has added up in it; empty without one.
    #[must_use]
    pub fn window(&self) -> &[f32] {
        self.window.as_ref().map_or(&[], |window| &window.sum)
    }

    /// The same, to take back what a round has added that never ended.
    pub fn window_mut(&mut self) -> &mut [f32] {
        self.window.as_mut().map_or(&mut [], |window| &mut window.sum)
    }

    /// A round begins. In the sum of a window it counts `weight`, by the examples that it takes: an epoch adds up to
    /// the same in few large rounds and in many small ones.
    pub fn begin_round(&mut self, weight: f64) {
        self.squares.fill(0.0);
        self.signals.fill(None);
        if let Some(window) = &mut self.window {
            window.weight = weight as f32;
        }
    }

    /// Takes in a block of the averaged gradient, once a round.
    pub fn handle_block(
        &mut self,
        layout: &Layout,
        block: BlockIndex,
        gradient: &[f32],
        signal: Option<f64>,
    ) {
        let kernels = BlockKernels::detected();
        self.squares[block.usize()] = kernels.squares(gradient);
        self.signals[block.usize()] = signal;
        if let Some(window) = &mut self.window {
            kernels.add_scaled(gradient, window.weight, &mut window.sum[layout.range(block)]);
        }
    }

    /// L2 norm of the averaged gradient, once all blocks are in.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.squares.iter().sum::<f64>().sqrt()
    }

    /// Completes the record of a round; a window may end with it.
    pub fn end_round(&mut self, layout: &Layout, ended: &mut RoundEnded) {
        ended.norms = norms(layout, |block| self.squares[block]);
        ended.signal = self.signal(layout);
        let Some(window) = &mut self.window else { return };
        if window.beat.handle_round(ended).last {
            let squares = |block| {
                let range = layout.range(BlockIndex(block as u32));
                BlockKernels::detected().squares(&window.sum[range])
            };
            ended.window = norms(layout, squares);
            window.sum.fill(0.0);
        } else if ended.lr_drops {
            // What follows is not to be compared with what was learnt at another rate.
            window.beat.restart(ended);
            window.sum.fill(0.0);
        }
    }

    /// The square of the signal of all tensors. A block without two contributions says nothing, and is taken for like
    /// the others of its tensor; a tensor of which nothing is known counts nothing.
    fn signal(&self, layout: &Layout) -> Option<f64> {
        let tensors = layout.tensors().iter().filter_map(|tensor| {
            let (mut sum, mut values) = (0.0, 0);
            for block in tensor.blocks.clone().map(BlockIndex) {
                if let Some(square) = self.signals[block.usize()] {
                    sum += square;
                    values += layout.range(block).len();
                }
            }
            (values > 0).then(|| sum * (tensor.values.len() as f64 / values as f64))
        });
        tensors.fold(None, |sum, tensor| Some(sum.unwrap_or(0.0) + tensor))
    }
}

/// The norm of each tensor, given the sum of squares of each block.
fn norms(layout: &Layout, square: impl Fn(usize) -> f64) -> Vec<f64> {
    let norm = |blocks: std::ops::Range<u32>| {
        blocks.map(|block| square(block as usize)).sum::<f64>().sqrt()
    };
    layout.tensors().iter().map(|tensor| norm(tensor.blocks.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Round;

    const NONE: [f64; 0] = [];

    fn layout() -> Layout {
        Layout::new([("a".into(), vec![640]), ("b".into(), vec![3])]).unwrap()
    }

    fn round(measures: &mut Measures, number: u32, values: f32, drops: bool) -> RoundEnded {
        weighed(measures, 1.0, number, values, drops)
    }

    fn weighed(
        measures: &mut Measures,
        weight: f64,
        number: u32,
        values: f32,
        drops: bool,
    ) -> RoundEnded {
        let layout = layout();
        measures.begin_round(weight);
        for block in (0..layout.blocks()).map(BlockIndex) {
            let gradient = vec![values; layout.range(block).len()];
            measures.handle_block(&layout, block, &gradient, None);
        }
        let mut ended =
            RoundEnded { round: Round(number), lr_drops: drops, ..RoundEnded::default() };
        measures.end_round(&layout, &mut ended);
        ended
    }

    #[test]
    fn windows_add_up_with_their_signs() {
        let mut measures = Measures::new(&layout(), Some(Every::Rounds(2)));
        let (one, root) = (640f64.sqrt(), 3f64.sqrt());
        assert_eq!(round(&mut measures, 1, 1.0, false).window, NONE);
        let ended = round(&mut measures, 2, -1.0, false);
        assert_eq!((ended.norms, ended.window), (vec![one, root], vec![0.0, 0.0]));
        // A step of the learning rate cuts the window off; the next one is whole.
        assert_eq!(round(&mut measures, 3, 5.0, true).window, NONE);
        assert_eq!(round(&mut measures, 4, 1.0, false).window, NONE);
        assert_eq!(round(&mut measures, 5, 2.0, true).window, [3.0 * one, 3.0 * root]);
        assert_eq!(round(&mut measures, 6, 2.0, false).window, NONE);
        assert_eq!(round(&mut measures, 7, 2.0, false).window, [4.0 * one, 4.0 * root]);
    }

    #[test]
    fn rounds_count_as_much_as_they_take_examples() {
        let mut measures = Measures::new(&layout(), Some(Every::Rounds(3)));
        let mut windows = Vec::new();
        for (number, (weight, values)) in
            (1..).zip([(1.0, 2.0), (1.0, 4.0), (1.0, 1.0), (1.0, 3.0), (0.5, 2.0), (0.25, 12.0)])
        {
            windows.extend(weighed(&mut measures, weight, number, values, false).window);
        }
        let squares: Vec<f64> = windows.iter().map(|norm| (norm * norm).round()).collect();
        assert_eq!(squares, [49.0 * 640.0, 49.0 * 3.0, 49.0 * 640.0, 49.0 * 3.0]);
    }

    #[test]
    fn a_missing_block_is_like_the_others_of_its_tensor() {
        let layout = layout();
        let mut measures = Measures::new(&layout, None);
        let signal = |measures: &Measures| measures.signal(&layout);
        assert_eq!(signal(&measures), None);
        measures.handle_block(&layout, BlockIndex(1), &[0.0; 320], Some(-2.0));
        assert_eq!(signal(&measures), Some(-4.0));
        measures.handle_block(&layout, BlockIndex(0), &[0.0; 320], Some(7.0));
        measures.handle_block(&layout, BlockIndex(2), &[0.0; 3], Some(1.0));
        assert_eq!(signal(&measures), Some(6.0));
        measures.begin_round(1.0);
        assert_eq!(signal(&measures), None);
    }
}
