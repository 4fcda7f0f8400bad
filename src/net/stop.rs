//! Ctrl-C, and other polite requests to end.

use std::convert::Infallible;

use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

use super::NetError;

/// Waits for an interrupt or a termination.
pub struct Stop {
    signals: Signals,
}

impl Stop {
    /// From now on an interrupt does not end the process by itself.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn listen() -> Result<Self, NetError> {
        Ok(Self { signals: Signals::new([Signal::Int, Signal::Term])? })
    }

    /// Waits for the first request.
    pub(super) async fn wait(&mut self) {
        if self.signals.next().await.is_none() {
            std::future::pending::<Infallible>().await;
        }
    }
}
