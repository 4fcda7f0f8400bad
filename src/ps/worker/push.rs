//! What a worker says when it has computed.

use rand_chacha::rand_core::RngCore;

use super::{Delivery, State, WorkerCore};
use crate::bitmap::Bitmap;
use crate::flat::{Layout, Tensor, Unsaid, send_order};
use crate::mlt::{Outbound, Repair};
use crate::rng;
use crate::wire::{ByeCode, Report, Task, TransferId, TransferKind};

impl WorkerCore {
    /// Pushes a gradient. One that is not finite is refused: the worker leaves.
    pub(super) fn trained(&mut self, delivery: Delivery, loss: f64) {
        let current = self.is_current(&delivery);
        let Some(State {
            setup,
            residual,
            update,
            directions,
            encoded,
            codecs,
            wanted,
            pushed,
            ..
        }) = &mut self.state
        else {
            return;
        };
        let Delivery { mut gradient, parameters, round, .. } = delivery;
        if !loss.is_finite() {
            return self.leave(ByeCode::NonFinite, "the loss is not finite: lower --lr");
        }
        let mut unsaid = Unsaid::default();
        if setup.feedback {
            unsaid = residual.bound(&gradient);
            residual.add_to(&mut gradient);
        }
        if let Some(name) = not_finite(&setup.layout, &gradient) {
            let why = format!("the gradient of `{name}` is not finite: lower --lr");
            return self.leave(ByeCode::NonFinite, &why);
        }
        std::mem::swap(update, &mut gradient);
        self.spare = Delivery { parameters, gradient, ..Delivery::default() };
        let Some(start) = current.then_some(self.start.as_ref()).flatten() else {
            // The round went on without us: nothing of this was said, all of it will be.
            if setup.feedback {
                let none = Bitmap::zeros(setup.layout.blocks());
                residual.settle(&setup.layout, update, encoded, codecs, &none);
            }
            return;
        };
        if !wanted.is_laid_out_like(codecs) {
            residual.forget_ages();
        }
        codecs.clone_from(wanted);
        let layout = codecs.layout(&setup.layout);
        let push = directions.put(&setup.layout, codecs, update);
        let turn = u64::from(round.0) << 16 | u64::from(start.rank);
        let dice = rng::stream(setup.seed, "rounding", turn).next_u64();
        encoded.fill(layout, codecs, push, dice);
        if setup.feedback {
            *pushed = Some(round);
        }
        let urgent = start.urgent.to_bitmap(start.blocks);
        let whose = (setup.seed, start.rank);
        let blocks = setup.order.blocks(layout, push, round, whose);
        let order = send_order(blocks, &urgent, residual.ages(start.blocks));
        let transfer = TransferId { kind: TransferKind::Push, round };
        let push = Outbound::blocks(transfer, order, start.allowance, Some(urgent));
        let Some(repair) = Repair::from_wire(start.repair) else {
            let why =
                format!("the server wants repair {}, which this worker has not", start.repair);
            return self.leave(ByeCode::Refused, &why);
        };
        let push = push.limited(start.window).repaired(repair);
        let Unsaid { norm: residual, clipped } = unsaid;
        self.report(round, Report::Trained { loss, residual, clipped });
        self.session.send(push);
    }

    /// Reports counts.
    pub(super) fn evaluated(&mut self, delivery: Delivery, correct: u32, loss_sum: f64) {
        let current = self.is_current(&delivery);
        if let (true, Some(Task::Evaluate { first, count })) = (current, delivery.task) {
            self.report(delivery.round, Report::Evaluated { first, count, correct, loss_sum });
        }
        self.spare = delivery;
    }

    /// Whether the server still waits for this: the round may have gone on without us.
    fn is_current(&self, delivery: &Delivery) -> bool {
        self.start.as_ref().is_some_and(|start| start.round == delivery.round)
    }
}

/// The first tensor with a value that is not finite.
fn not_finite<'a>(layout: &'a Layout, values: &[f32]) -> Option<&'a str> {
    let bad = |tensor: &&Tensor| values[tensor.values.clone()].iter().any(|x| !x.is_finite());
    layout.tensors().iter().find(bad).map(|tensor| tensor.name.as_str())
}
