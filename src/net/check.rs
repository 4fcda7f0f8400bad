//! The check of a path over a socket.

use std::time::Duration;

use smol::future::FutureExt;

use super::socket::Socket;
use super::worker::{any, resolve};
use super::{Clock, NetError, Stop, entropy};
use crate::ps::check::{CheckEnd, Checker, Stage};
use crate::units::Instant;

/// How long an address of the server is tried before the next one.
const TRY: Duration = Duration::from_secs(1);

/// What came of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// How it ended; none if it was interrupted.
    pub end: Option<CheckEnd>,
    /// How long it took.
    pub time: Duration,
    /// Whether this machine refused to send datagrams of the largest size.
    pub narrow: bool,
}

/// Checks the path to the server at `host`, and tells each stage as it begins.
///
/// # Errors
/// If the name has no address, or the socket fails.
pub fn check(
    host: &str,
    stop: &mut Stop,
    mut tell: impl FnMut(Stage),
) -> Result<Checked, NetError> {
    let mut addresses = resolve(host)?;
    let clock = Clock::start();
    let mut socket = Socket::bind(any(addresses[0]))?;
    let mut checker = Checker::new(entropy()?, clock.now());
    let (mut tried_at, mut stage, mut buf) = (clock.now(), None, Vec::new());
    smol::block_on(async {
        loop {
            let server = addresses[0];
            let more = socket.receive(clock, |_, _, from, datagram| {
                if from == server {
                    // What teaches nothing is weather.
                    let _ = checker.handle_datagram(clock.now(), datagram);
                }
            })?;
            checker.handle_timeout(clock.now());
            while checker.poll_transmit(clock.now(), &mut buf) {
                if !socket.fits(server, &buf) {
                    socket.flush().await?;
                }
                socket.add(server, &buf);
            }
            socket.flush().await?;
            let now = clock.now();
            if let Some(end) = checker.end() {
                let narrow = socket.is_too_narrow();
                return Ok(Checked { end: Some(end.clone()), time: now - Instant::ZERO, narrow });
            }
            let reached = checker.stage().to_string();
            if stage.as_ref() != Some(&reached) {
                tell(checker.stage());
                stage = Some(reached);
            }
            // While nobody answers, every address of the server's name has its turn.
            if checker.stage() == Stage::Greeting && addresses.len() > 1 && now - tried_at >= TRY {
                tried_at = now;
                addresses.rotate_left(1);
                socket = Socket::bind(any(addresses[0]))?;
            }
            let deadline = checker.poll_timeout().unwrap_or(now);
            let deadline = if more { Instant::ZERO } else { deadline };
            let datagram = async { socket.readable().await.map(|()| false) };
            let timeout = async {
                smol::Timer::at(clock.at(deadline)).await;
                Ok(false)
            };
            let stopped = async {
                stop.wait().await;
                Ok(true)
            };
            if stopped.or(timeout).or(datagram).await? {
                return Ok(Checked { end: None, time: now - Instant::ZERO, narrow: false });
            }
        }
    })
}
