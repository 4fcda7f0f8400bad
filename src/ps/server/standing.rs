//! Where a run stands between two rounds: what a checkpoint holds beside the values, so that the run can go on as if
//! nothing had been. What is said in sessions (residuals, allowances, what was imputed) begins anew.

use serde::{Deserialize, Serialize};

use super::ServerCore;
use super::training::critical_blocks;
use crate::ps::calendar::Place;
use crate::ps::cursor::Cursor;
use crate::ps::measure::Measures;
use crate::ps::policy::{Beat, Policy};

/// Where a run stands between two rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Behind the last round that ended.
    pub place: Place,
    /// The round after which the test set was evaluated last.
    pub evaluated: Option<u32>,
    /// Which examples were handed out.
    pub cursor: Cursor,
    /// The policy with all that it has decided.
    pub policy: Policy,
    /// Where the window stands over which gradients are added up, if they are.
    pub window: Option<Beat>,
}

/// Values that belong to a [`Standing`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// The optimizer's velocity; empty without momentum.
    pub velocity: &'a [f32],
    /// The sum of the gradients of the window; empty without one.
    pub window: &'a [f32],
}

impl ServerCore {
    /// Where the run stands, before it has begun and after it has ended.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            place: self.place,
            evaluated: self.evaluated,
            cursor: self.cursor.clone(),
            policy: self.policy.clone(),
            window: self.measures.beat(),
        }
    }

    /// The values that belong to it.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        Values { velocity: self.sgd.velocity(), window: self.measures.window() }
    }

    /// The same server before its first round, but at this place of a run.
    ///
    /// # Panics
    /// If the values are of another model.
    #[must_use]
    pub fn standing_at(mut self, standing: Standing, values: Values<'_>) -> Self {
        self.critical = critical_blocks(&standing.policy, &self.layout);
        self.sgd.resume(values.velocity);
        self.measures = Measures::new(&self.layout, self.config.window)
            .resumed(standing.window.as_ref(), values.window);
        self.place = standing.place;
        self.evaluated = standing.evaluated;
        self.cursor = standing.cursor;
        self.policy = standing.policy;
        self
    }
}
