//! The server's optimizer: stochastic gradient descent and the learning rate's course.

use super::calendar::Place;

/// Stochastic gradient descent with momentum (PyTorch's form: `v = m v + g + w x`, `x -= lr v`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Momentum `m` in `[0, 1)`.
    pub momentum: f32,
    /// Nesterov's variant: the step looks one momentum ahead.
    pub nesterov: bool,
    /// Weight decay `w`, at least 0, added to the gradient.
    pub weight_decay: f32,
}

/// The learning rate as a function of the place in the run.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// The rate that all others are multiples of.
    pub lr: f64,
    /// Its course.
    pub kind: ScheduleKind,
}

/// How the learning rate goes.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleKind {
    /// Always the same.
    Constant,
    /// Multiplied by `gamma` after each of these epochs.
    MultiStep {
        /// Epochs, ascending, each at least 1.
        milestones: Vec<u32>,
        /// The factor.
        gamma: f64,
    },
    /// Linear from 0 over `warmup` epochs, then half a cosine down to 0 after `epochs`.
    Cosine {
        /// Epochs of linear warm-up.
        warmup: u32,
        /// Epochs of the whole course.
        epochs: f64,
    },
}

impl ScheduleConfig {
    /// Learning rate of the round between two places.
    #[must_use]
    pub fn lr(&self, from: Place, to: Place) -> f64 {
        match &self.kind {
            ScheduleKind::Constant => self.lr,
            ScheduleKind::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&epoch| epoch <= from.epoch).count();
                self.lr * gamma.powi(passed as i32)
            }
            ScheduleKind::Cosine { warmup, .. } if to.epochs() <= f64::from(*warmup) => {
                self.lr * to.epochs() / f64::from(*warmup)
            }
            ScheduleKind::Cosine { warmup, epochs } => {
                let warmup = f64::from(*warmup);
                let done = (to.epochs() - warmup) / (epochs - warmup);
                self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }

    /// Whether the rate steps down at the place where a round ends: what is unsaid must be said at the rate it was
    /// meant for.
    #[must_use]
    pub fn drops_at(&self, place: Place) -> bool {
        let ScheduleKind::MultiStep { milestones, .. } = &self.kind else { return false };
        place.ends_epoch() && milestones.contains(&place.epoch)
    }
}

/// The optimizer with its state.
#[derive(Clone, Debug)]
pub struct Sgd {
    config: SgdConfig,
    velocity: Vec<f32>,
}

impl Sgd {
    /// An optimizer of `values` parameters at rest.
    #[must_use]
    pub fn new(config: SgdConfig, values: usize) -> Self {
        let velocity = if config.momentum == 0.0 { Vec::new() } else { vec![0.0; values] };
        Self { config, velocity }
    }

    /// The velocity; empty without momentum.
    #[must_use]
    pub fn velocity(&self) -> &[f32] {
        &self.velocity
    }

    /// The velocity, to be put back.
    pub fn velocity_mut(&mut self) -> &mut [f32] {
        &mut self.velocity
    }

    /// Goes on with the `velocity` of a checkpoint, if both have one.
    ///
    /// # Panics
    /// If it is of another model.
    pub fn resume(&mut self, velocity: &[f32]) {
        if !velocity.is_empty() && !self.velocity.is_empty() {
            self.velocity.copy_from_slice(velocity);
        }
    }

    /// Takes one step of the parameters from `first` on, as many as there are values of their gradient: nothing in a
    /// step looks beyond one parameter. As in PyTorch, the first step's velocity is its gradient.
    pub fn step(&mut self, parameters: &mut [f32], first: usize, gradient: &[f32], lr: f64) {
        let range = first..first + gradient.len();
        let parameters = &mut parameters[range.clone()];
        let (lr, SgdConfig { momentum, nesterov, weight_decay }) = (lr as f32, self.config);
        if self.velocity.is_empty() {
            for (x, &g) in parameters.iter_mut().zip(gradient) {
                *x -= lr * (g + weight_decay * *x);
            }
            return;
        }
        for ((x, &g), v) in parameters.iter_mut().zip(gradient).zip(&mut self.velocity[range]) {
            let g = g + weight_decay * *x;
            *v = momentum * *v + g;
            *x -= lr * if nesterov { g + momentum * *v } else { *v };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ps::calendar::{Calendar, Length};

    #[test]
    fn steps_are_those_of_pytorch() {
        // torch.optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.01), x = 1, gradients 0.5 and -0.25.
        let step = |nesterov| {
            let config = SgdConfig { momentum: 0.9, nesterov, weight_decay: 0.01 };
            let (mut sgd, mut x) = (Sgd::new(config, 1), [1.0]);
            sgd.step(&mut x, 0, &[0.5], 0.1);
            sgd.step(&mut x, 0, &[-0.25], 0.1);
            x[0]
        };
        assert!((step(false) - 0.927_151).abs() < 1e-6, "{}", step(false));
        assert!((step(true) - 0.907_574_1).abs() < 1e-6, "{}", step(true));
        let config = SgdConfig { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let mut x = [1.0, 2.0];
        Sgd::new(config, 2).step(&mut x, 0, &[1.0, -1.0], 0.5);
        assert_eq!(x, [0.5, 2.5]);
    }

    #[test]
    fn the_rate_takes_its_course() {
        // Epochs of two rounds.
        let calendar = Calendar { train_len: 20, workers: 1, length: Length::Rounds(99) };
        let mut places = vec![Place::default()];
        for round in 0..99 {
            places.push(calendar.after(places[round], 10));
        }
        let lr = |kind: &ScheduleKind, rounds: &[usize]| -> Vec<f64> {
            let schedule = ScheduleConfig { lr: 1.0, kind: kind.clone() };
            let of = |&round: &usize| schedule.lr(places[round - 1], places[round]);
            rounds.iter().map(|round| (of(round) * 1e4).round() / 1e4).collect()
        };
        assert_eq!(lr(&ScheduleKind::Constant, &[1, 99]), [1.0, 1.0]);
        let steps = ScheduleKind::MultiStep { milestones: vec![5, 10], gamma: 0.1 };
        assert_eq!(lr(&steps, &[10, 11, 20, 21]), [1.0, 0.1, 0.1, 0.01]);
        let cosine = ScheduleKind::Cosine { warmup: 2, epochs: 7.0 };
        assert_eq!(lr(&cosine, &[1, 4, 9, 14, 99]), [0.25, 1.0, 0.5, 0.0, 0.0]);
        let schedule = ScheduleConfig { lr: 1.0, kind: steps };
        let drops = |round: &usize| schedule.drops_at(places[*round]);
        assert_eq!((0..40).filter(drops).collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn a_cosine_ends_at_nothing_whatever_its_rounds() {
        // A rate of almost nothing would blow up what is unsaid.
        for (train_len, rounds) in [(7u64, 3), (10, 17), (1438, 700), (1000, 1001)] {
            let calendar = Calendar { train_len, workers: 3, length: Length::Rounds(rounds) };
            let epochs = f64::from(rounds) / calendar.rounds_per_epoch(2) as f64;
            let kind = ScheduleKind::Cosine { warmup: 0, epochs };
            let mut places = vec![Place::default()];
            for _ in 0..rounds {
                places.push(calendar.after(places[places.len() - 1], 2));
            }
            let lr = ScheduleConfig { lr: 1.0, kind }.lr(places[0], places[rounds as usize]);
            assert_eq!(lr, 0.0, "{rounds} rounds of {train_len}");
        }
    }
}
