//! `static`: always the same tolerance.

use serde::{Deserialize, Serialize};

use super::{Rule, Terms};
use crate::units::Tolerance;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fixed(Tolerance);

impl Fixed {
    pub(super) const fn new(tolerance: Tolerance) -> Self {
        Self(tolerance)
    }
}

impl Rule for Fixed {
    fn terms(&self) -> Terms {
        Terms::whole(false, self.0)
    }
}
