//! The server core over a socket.

use std::net::SocketAddr;

use smol::future::FutureExt;

use super::socket::Socket;
use super::{BATCHES_MAX, Clock, NetError, Stop};
use crate::event::Stamped;
use crate::ps::server::{Outcome, ServerCore};
use crate::units::Instant;

/// Sees what happens at a server; an error stops the run.
pub trait Watch {
    /// Why the run cannot go on.
    type Error;

    /// Something happened.
    ///
    /// # Errors
    /// If the run cannot go on without this having been noted.
    fn see(&mut self, stamped: &Stamped, core: &ServerCore) -> Result<(), Self::Error>;

    /// Asked at least every second: whether something outside has ended the run.
    ///
    /// # Errors
    /// If it has.
    fn check(&mut self) -> Result<(), Self::Error>;
}

/// How often a [`Watch`] is asked.
const CHECK: std::time::Duration = std::time::Duration::from_millis(250);

/// A socket that workers can already reach.
pub struct Listening {
    socket: Socket,
    address: SocketAddr,
}

enum Wake {
    Datagram,
    Timeout,
    Stop,
}

impl Listening {
    /// Listens at `address`.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn bind(address: SocketAddr) -> Result<Self, NetError> {
        let socket = Socket::bind(address)?;
        let address = socket.local_address()?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams that the receive buffer holds.
    #[must_use]
    pub fn capacity(&self) -> u16 {
        self.socket.capacity()
    }

    /// Serves until the run has ended, one way or another.
    ///
    /// # Errors
    /// If the socket fails, or the watch says so.
    pub fn serve<W: Watch>(
        mut self,
        core: &mut ServerCore,
        clock: Clock,
        stop: &mut Stop,
        watch: &mut W,
    ) -> Result<Outcome, W::Error>
    where
        W::Error: From<NetError>,
    {
        smol::block_on(async {
            let mut buf = Vec::new();
            let result = self.run(core, clock, stop, watch, &mut buf).await;
            if result.is_err() {
                core.stop("the server failed");
                // The first error is the one to tell.
                let _ = self.transmit(core, clock, &mut buf).await;
            }
            result
        })
    }

    async fn run<W: Watch>(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        stop: &mut Stop,
        watch: &mut W,
        buf: &mut Vec<u8>,
    ) -> Result<Outcome, W::Error>
    where
        W::Error: From<NetError>,
    {
        loop {
            let more = self.receive(core, clock)?;
            core.handle_timeout(clock.now());
            let more = self.transmit(core, clock, buf).await? || more;
            while let Some(stamped) = core.poll_event() {
                watch.see(&stamped, core)?;
            }
            watch.check()?;
            if let Some(outcome) = core.outcome() {
                let outcome = outcome.clone();
                self.transmit(core, clock, buf).await?;
                return Ok(outcome);
            }
            let deadline = core.poll_timeout().map_or(Instant::MAX, |(at, _)| at);
            let deadline = if more { Instant::ZERO } else { deadline.min(clock.now() + CHECK) };
            match self.wait(deadline, clock, stop).await? {
                Wake::Datagram | Wake::Timeout => {}
                Wake::Stop => core.stop("the server was interrupted"),
            }
        }
    }

    fn receive(&mut self, core: &mut ServerCore, clock: Clock) -> Result<bool, NetError> {
        self.socket.receive(clock, |at, from, datagram| {
            core.handle_datagram(clock.now(), at, from, datagram);
        })
    }

    /// Sends what is to be sent, up to a limit; whether there may be more. What arrives meanwhile is taken in between
    /// batches.
    async fn transmit(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<bool, NetError> {
        for _ in 0..BATCHES_MAX {
            let mut left = core.poll_transmit(clock.now(), buf);
            while let Some(to) = left.take_if(|to| self.socket.fits(*to, buf)) {
                self.socket.add(to, buf);
                left = core.poll_transmit(clock.now(), buf);
            }
            self.socket.flush().await?;
            let Some(to) = left else { return Ok(false) };
            self.socket.add(to, buf);
            self.receive(core, clock)?;
        }
        self.socket.flush().await?;
        Ok(true)
    }

    async fn wait(
        &self,
        deadline: Instant,
        clock: Clock,
        stop: &mut Stop,
    ) -> Result<Wake, NetError> {
        let datagram = async { self.socket.readable().await.map(|()| Wake::Datagram) };
        let timeout = async {
            smol::Timer::at(clock.at(deadline)).await;
            Ok(Wake::Timeout)
        };
        let stopped = async {
            stop.wait().await;
            Ok(Wake::Stop)
        };
        // An interrupt goes before all else.
        stopped.or(timeout).or(datagram).await
    }
}
