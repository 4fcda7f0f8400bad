//! What drives the tolerance, decided again from the recorded norms (DESIGN section 7).

use super::EVENTS;
use super::findings::{Findings, Place};
use super::plan::{Plan, Policy};
use super::record::{Decided, Resumed, RoundStarted};

/// Numbers that went through decimal text are equal if they differ by less than this part of themselves.
const EXACT: f64 = 1e-12;
/// A ratio this close to its threshold may have been rounded to either side.
const EDGE: f64 = 1e-9;

/// What was decided so far.
#[derive(Debug)]
pub(super) struct Decisions {
    critical: bool,
    /// In ten-thousandths; none if only the policy knows.
    tolerance: Option<u64>,
    /// Norm of the last check.
    previous: Option<f64>,
    /// Batch of the last check; none if nobody knows.
    batch: Option<u64>,
    /// Whether a batch that grows once has grown; none if it is on the edge.
    grown: Option<bool>,
    /// The check that is due.
    due: Option<Due>,
    pub(super) count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    round: u32,
    norm: f64,
    /// What it is compared with.
    previous: Option<f64>,
    /// None if it is on the edge.
    critical: Option<bool>,
    /// Whether nobody knows if there is something to compare it with.
    unknown: bool,
}

/// A tolerance in ten-thousandths, in words.
fn percent(parts: u64) -> String {
    format!("tolerance {}%", parts as f64 / 100.0)
}

/// Whether two numbers are the same but for what decimal text may have done to them.
pub(super) fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= EXACT * a.abs().max(b.abs())
}

impl Decisions {
    pub(super) fn new(plan: &Plan) -> Self {
        let (critical, tolerance) = match plan.policy {
            Policy::Static => (false, Some(plan.base)),
            Policy::Clr { .. } => (true, Some(0)),
            Policy::Accordion { .. } | Policy::Other => (false, None),
        };
        let (previous, due) = (None, None);
        Self { critical, tolerance, previous, batch: Some(0), grown: Some(false), due, count: 0 }
    }

    /// The run goes on from here.
    pub(super) fn go_on(&mut self, plan: &Plan, resumed: &Resumed, findings: &mut Findings) {
        (self.critical, self.tolerance) = (resumed.critical, Some(resumed.tolerance));
        self.previous = resumed.norm;
        // Where there are two batches, nobody here knows which was the last.
        let [one, other] = plan.batches;
        (self.batch, self.grown) = ((one == other).then_some(one), None);
        let expected = match plan.policy {
            Policy::Static => plan.base,
            Policy::Clr { .. } if resumed.critical => 0,
            Policy::Clr { .. } => plan.base,
            Policy::Accordion { .. } | Policy::Other => return,
        };
        let meaning = "the run does not go on with a tolerance of its plan";
        let place = || Place::file(EVENTS).line(1);
        findings.equal(place, percent(expected), percent(resumed.tolerance), meaning);
    }

    /// Takes in the norm of a round that has ended.
    pub(super) fn handle_norm(&mut self, plan: &Plan, round: u32, norm: f64, batch: u64) {
        let Policy::Clr { freq, eta } = plan.policy else { return };
        if !round.saturating_sub(1).is_multiple_of(freq) {
            return;
        }
        // Norms of different batches are not compared: it stays as it was.
        let unknown = self.previous.is_some() && self.batch.is_none();
        let other = self.previous.is_some() && !unknown && self.batch != Some(batch);
        let previous = self.previous.filter(|_| !other && !unknown);
        let critical = match previous {
            None if unknown => None,
            None if other => Some(self.critical),
            None => Some(true),
            Some(0.0) => Some(norm != 0.0),
            Some(previous) => {
                let ratio = (norm - previous).abs() / previous;
                ((ratio - eta).abs() > EDGE * eta).then_some(ratio >= eta)
            }
        };
        self.batch = Some(batch);
        let round = round.saturating_add(1);
        self.due = Some(Due { round, norm, previous, critical, unknown });
    }

    /// Takes in a decision.
    pub(super) fn handle(
        &mut self,
        plan: &Plan,
        line: u64,
        decided: &Decided,
        findings: &mut Findings,
    ) {
        self.count += 1;
        let place = || Place::file(EVENTS).line(line).round(decided.round);
        if let Some(old) = self.tolerance {
            let meaning = "the tolerance that is replaced is not the one that was decided before";
            let found = percent(decided.old);
            findings.equal(place, percent(old), found, meaning);
        }
        match (plan.policy, self.due.take()) {
            (Policy::Accordion { eta }, _) => self.look_for_calm(eta, decided),
            (Policy::Other, _) => {}
            (_, Some(due)) => self.check(plan, due, decided, place, findings),
            (_, None) => {
                let meaning = "the policy of the plan does not decide anything here";
                findings.note(place(), "no decision", "one", meaning);
            }
        }
        (self.critical, self.tolerance) = (decided.critical, Some(decided.new));
        self.previous = Some(decided.norm);
    }

    fn check(
        &self,
        plan: &Plan,
        due: Due,
        decided: &Decided,
        place: impl Fn() -> Place,
        findings: &mut Findings,
    ) {
        let meaning = "a decision holds from the round after its norm";
        findings.equal(&place, due.round, decided.round, meaning);
        if !close(due.norm, decided.norm) {
            let meaning = "it was not decided by the norm of its round";
            findings.note(place(), format!("norm {}", due.norm), decided.norm, meaning);
        }
        let differ = decided.previous.is_some() != due.previous.is_some()
            || decided.previous.zip(due.previous).is_some_and(|(a, b)| !close(a, b));
        if differ && !due.unknown {
            let words =
                |norm: Option<f64>| norm.map_or_else(|| "none".to_owned(), |norm| norm.to_string());
            let expected = format!("previous norm {}", words(due.previous));
            let meaning = "it was not compared with the norm of the last check";
            findings.note(place(), expected, words(decided.previous), meaning);
        }
        let critical = due.critical.unwrap_or(decided.critical);
        let meaning = "the policy of the plan decides otherwise on these norms";
        findings.equal(&place, regime(critical), regime(decided.critical), meaning);
        let new = if decided.critical { 0 } else { plan.base };
        let meaning = "that is not the tolerance of this regime in the plan";
        findings.equal(&place, percent(new), percent(decided.new), meaning);
    }

    /// Whether the batch grows with a decision on the norm of all tensors.
    fn look_for_calm(&mut self, eta: f64, decided: &Decided) {
        let (Some(previous), Some(false)) = (decided.previous, self.grown) else { return };
        let change = (decided.norm - previous).abs() / previous;
        let on_edge = (change - eta).abs() <= EDGE * eta;
        self.grown = (!on_edge).then_some(change < eta || decided.norm == previous);
    }

    /// A round begins: its batch must be that of its regime. Returns what it should be.
    pub(super) fn check_batch(
        &mut self,
        plan: &Plan,
        started: &RoundStarted,
        line: u64,
        findings: &mut Findings,
    ) -> u64 {
        let [others, critical] = plan.batches;
        let small = match plan.policy {
            Policy::Static => false,
            Policy::Accordion { .. } => {
                let grown = *self.grown.get_or_insert(started.batch == others);
                !grown
            }
            Policy::Clr { .. } | Policy::Other => started.critical,
        };
        let expected = if small { critical } else { others };
        let place = || Place::file(EVENTS).line(line).round(started.round);
        let words = |batch: u64| format!("batch {batch}");
        let meaning = "the batch is not that of the regime in the plan";
        findings.equal(place, words(expected), words(started.batch), meaning);
        expected
    }

    /// A round begins: it must be as decided; `flush` if all that is unsaid must be said in it.
    pub(super) fn check_round(
        &mut self,
        started: &RoundStarted,
        line: u64,
        flush: bool,
        findings: &mut Findings,
    ) {
        let place = || Place::file(EVENTS).line(line).round(started.round);
        if let Some(due) = self.due.take() {
            let expected = format!("the decision on norm {}", due.norm);
            let meaning = "the policy of the plan decides here";
            findings.note(place(), expected, "the next round", meaning);
            self.previous = Some(due.norm);
        }
        let meaning = "the regime is not the one that was decided";
        if self.tolerance.is_some() {
            findings.equal(place, regime(self.critical), regime(started.critical), meaning);
        }
        let meaning = if flush {
            "all that is unsaid must be said before the learning rate steps down and in the last round"
        } else {
            "the tolerance is not the one that was decided"
        };
        let tolerance = if flush { Some(0) } else { self.tolerance };
        if let Some(tolerance) = tolerance {
            findings.equal(place, percent(tolerance), percent(started.tolerance), meaning);
        } else {
            (self.critical, self.tolerance) = (started.critical, Some(started.tolerance));
        }
    }
}

const fn regime(critical: bool) -> &'static str {
    if critical { "a critical regime" } else { "no critical regime" }
}
