//! The server core over whatever carries the words of its workers.

use std::net::SocketAddr;

use smol::future::FutureExt;

use super::socket::Socket;
use super::stream::Streams;
use super::{Clock, NetError, Stop};
use crate::event::Stamped;
use crate::ps::server::{Outcome, ServerCore};
use crate::transport::Transport;
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

/// Where workers come and go.
pub(super) trait Door {
    /// Hands the core what has arrived, up to a limit; whether there may be more.
    fn receive(&mut self, core: &mut ServerCore, clock: Clock) -> Result<bool, NetError>;

    /// Sends what is to be sent, up to a limit; whether there may be more.
    async fn transmit(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<bool, NetError>;

    /// Waits until something can be received, or sent that could not be before.
    async fn ready(&mut self) -> Result<(), NetError>;

    /// Sends the last words.
    async fn finish(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<(), NetError>;
}

/// A door that workers can already reach.
pub struct Listening {
    carrier: Carrier,
    address: SocketAddr,
}

enum Carrier {
    Datagrams(Box<Socket>),
    Streams(Box<Streams>),
}

enum Wake {
    Ready,
    Timeout,
    Stop,
}

impl Listening {
    /// Listens at `address` for workers that come by `transport`.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn bind(address: SocketAddr, transport: &Transport) -> Result<Self, NetError> {
        if transport.is_tcp() {
            let streams = Streams::bind(address, transport.control())?;
            let address = streams.local_address()?;
            return Ok(Self { carrier: Carrier::Streams(Box::new(streams)), address });
        }
        let socket = Socket::bind(address)?;
        let address = socket.local_address()?;
        Ok(Self { carrier: Carrier::Datagrams(Box::new(socket)), address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams that the receive buffer holds; of streams, the kernel takes care.
    #[must_use]
    pub fn capacity(&self) -> u16 {
        match &self.carrier {
            Carrier::Datagrams(socket) => socket.capacity(),
            Carrier::Streams(_) => u16::MAX,
        }
    }

    /// Serves until the run has ended, one way or another.
    ///
    /// # Errors
    /// If the door fails, or the watch says so.
    pub fn serve<W: Watch>(
        self,
        core: &mut ServerCore,
        clock: Clock,
        stop: &mut Stop,
        watch: &mut W,
    ) -> Result<Outcome, W::Error>
    where
        W::Error: From<NetError>,
    {
        match self.carrier {
            Carrier::Datagrams(door) => Serving { door: *door, core, clock }.serve(stop, watch),
            Carrier::Streams(door) => Serving { door: *door, core, clock }.serve(stop, watch),
        }
    }
}

struct Serving<'a, D> {
    door: D,
    core: &'a mut ServerCore,
    clock: Clock,
}

impl<D: Door> Serving<'_, D> {
    fn serve<W: Watch>(mut self, stop: &mut Stop, watch: &mut W) -> Result<Outcome, W::Error>
    where
        W::Error: From<NetError>,
    {
        smol::block_on(async {
            let mut buf = Vec::new();
            let result = self.run(stop, watch, &mut buf).await;
            if result.is_err() {
                self.core.stop("the server failed");
            }
            let finished = self.door.finish(self.core, self.clock, &mut buf).await;
            // The first error is the one to tell.
            let outcome = result?;
            finished?;
            Ok(outcome)
        })
    }

    async fn run<W: Watch>(
        &mut self,
        stop: &mut Stop,
        watch: &mut W,
        buf: &mut Vec<u8>,
    ) -> Result<Outcome, W::Error>
    where
        W::Error: From<NetError>,
    {
        let Self { door, core, clock } = self;
        loop {
            let more = door.receive(core, *clock)?;
            core.handle_timeout(clock.now());
            let more = door.transmit(core, *clock, buf).await? || more;
            while let Some(stamped) = core.poll_event() {
                watch.see(&stamped, core)?;
            }
            watch.check()?;
            if let Some(outcome) = core.outcome() {
                return Ok(outcome.clone());
            }
            let deadline = core.poll_timeout().map_or(Instant::MAX, |(at, _)| at);
            let deadline = if more { Instant::ZERO } else { deadline.min(clock.now() + CHECK) };
            match wait(door, deadline, *clock, stop).await? {
                Wake::Ready | Wake::Timeout => {}
                Wake::Stop => core.stop("the server was interrupted"),
            }
        }
    }
}

async fn wait(
    door: &mut impl Door,
    deadline: Instant,
    clock: Clock,
    stop: &mut Stop,
) -> Result<Wake, NetError> {
    let ready = async { door.ready().await.map(|()| Wake::Ready) };
    let timeout = async {
        smol::Timer::at(clock.at(deadline)).await;
        Ok(Wake::Timeout)
    };
    let stopped = async {
        stop.wait().await;
        Ok(Wake::Stop)
    };
    // An interrupt goes before all else.
    stopped.or(timeout).or(ready).await
}
