//! Server and worker over a UDP socket.

use std::net::SocketAddr;
use std::time::Duration;

use super::server::Door;
use super::socket::Socket;
use super::weather::Weather;
use super::worker::{Line, any};
use super::{BATCHES_MAX, Clock, Conditions, NetError};
use crate::ids::WorkerId;
use crate::ps::server::ServerCore;
use crate::ps::worker::{Work, WorkerCore, WorkerEvent};
use crate::units::Instant;

/// Batches that leave before it is looked whether something has arrived: a peer may have had enough.
const DRAIN_EVERY: u32 = 4;
/// How long an address of the server is tried before the next one.
const TRY: Duration = Duration::from_secs(1);

impl Door for Socket {
    fn receive(&mut self, core: &mut ServerCore, clock: Clock) -> Result<bool, NetError> {
        Self::receive(self, clock, |now, at, from, datagram| {
            core.handle_datagram(now, at, from, datagram);
        })
    }

    /// What arrives meanwhile is taken in between batches.
    async fn transmit(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<bool, NetError> {
        for batch in 1..=BATCHES_MAX {
            let now = clock.now();
            let mut left = core.poll_transmit(now, buf);
            while let Some(to) = left.take_if(|to| self.fits(*to, buf)) {
                self.add(to, buf);
                left = core.poll_transmit(now, buf);
            }
            self.flush().await?;
            let Some(to) = left else { return Ok(false) };
            self.add(to, buf);
            if batch.is_multiple_of(DRAIN_EVERY) {
                Door::receive(self, core, clock)?;
            }
        }
        self.flush().await?;
        Ok(true)
    }

    async fn ready(&mut self) -> Result<(), NetError> {
        self.readable().await
    }

    async fn finish(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<(), NetError> {
        self.transmit(core, clock, buf).await.map(|_| ())
    }
}

/// A worker's socket, and the network conditions that are emulated before it.
pub(super) struct Datagrams<'a> {
    /// The server's addresses; the first is the one in use.
    addresses: Vec<SocketAddr>,
    server: SocketAddr,
    tried_at: Instant,
    socket: Socket,
    weather: Option<Weather>,
    /// Our first number, which our link goes by.
    number: Option<WorkerId>,
    conditions: &'a dyn Fn(&str) -> Option<Conditions>,
    buf: Vec<u8>,
}

impl<'a> Datagrams<'a> {
    /// To the first of some addresses. `conditions` reads the network conditions to emulate out of a plan.
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        conditions: &'a dyn Fn(&str) -> Option<Conditions>,
    ) -> Result<Self, NetError> {
        let server = addresses[0];
        Ok(Self {
            addresses,
            server,
            tried_at: Instant::ZERO,
            socket: Socket::bind(any(server))?,
            weather: None,
            number: None,
            conditions,
            buf: Vec::new(),
        })
    }

    /// Puts the next datagram that leaves into the buffer, by way of the emulated link if there is one.
    fn next_datagram(&mut self, core: &mut WorkerCore, now: Instant) -> bool {
        let Some(weather) = &mut self.weather else {
            return core.poll_transmit(now, &mut self.buf);
        };
        while core.poll_transmit(now, &mut self.buf) {
            weather.up().send(now, &self.buf);
        }
        weather.up().poll(now, &mut self.buf)
    }

    /// While nobody answers, every address of the server's name has its turn.
    fn try_next_address(&mut self, now: Instant) -> Result<(), NetError> {
        if self.number.is_some() || self.addresses.len() < 2 || now - self.tried_at < TRY {
            return Ok(());
        }
        self.tried_at = now;
        self.addresses.rotate_left(1);
        let server = self.addresses[0];
        if server.is_ipv4() != self.server.is_ipv4() {
            self.socket = Socket::bind(any(server))?;
        }
        self.server = server;
        Ok(())
    }
}

impl Line for Datagrams<'_> {
    fn capacity(&self) -> u16 {
        self.socket.capacity()
    }

    /// By way of the emulated link if there is one.
    fn receive(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError> {
        let Self { socket, weather, server, buf, .. } = self;
        let more = socket.receive(clock, |now, at, from, datagram| match weather {
            _ if from != *server => {}
            Some(weather) => weather.down().send(now, datagram),
            None => core.handle_datagram(now, at, datagram),
        })?;
        if let Some(weather) = weather {
            let now = clock.now();
            while weather.down().poll(now, buf) {
                core.handle_datagram(now, now, buf);
            }
        }
        Ok(more)
    }

    /// What arrives meanwhile is taken in between batches.
    async fn transmit(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError> {
        self.try_next_address(clock.now())?;
        for batch in 1..=BATCHES_MAX {
            let now = clock.now();
            let mut left = self.next_datagram(core, now);
            while left && self.socket.fits(self.server, &self.buf) {
                self.socket.add(self.server, &self.buf);
                left = self.next_datagram(core, now);
            }
            self.socket.flush().await?;
            if !left {
                return Ok(false);
            }
            self.socket.add(self.server, &self.buf);
            if batch.is_multiple_of(DRAIN_EVERY) {
                Line::receive(self, core, clock)?;
            }
        }
        self.socket.flush().await?;
        Ok(true)
    }

    async fn ready(&mut self) -> Result<(), NetError> {
        self.socket.readable().await
    }

    fn handle_event(&mut self, core: &mut WorkerCore, _: Instant, event: &WorkerEvent) {
        match event {
            WorkerEvent::Welcome(worker) => {
                self.number.get_or_insert(*worker);
            }
            WorkerEvent::Job(job) => {
                let number = self.number.map(|WorkerId(n)| u16::try_from(n).unwrap_or(u16::MAX));
                if let (Work::Prepare(plan), Some(worker)) = (&job.work, number) {
                    self.weather = (self.conditions)(plan).and_then(|Conditions { net, seed }| {
                        Weather::new(net.for_worker(worker), seed, worker)
                    });
                    // What came before the plan had a shorter way.
                    if self.weather.is_some() {
                        core.forget_path();
                    }
                }
            }
            WorkerEvent::Searching(_) | WorkerEvent::Ended(_) => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let weather = self.weather.as_ref().and_then(Weather::poll_timeout);
        let tried = Some(self.tried_at + TRY);
        let tried = tried.filter(|_| self.number.is_none() && self.addresses.len() > 1);
        weather.into_iter().chain(tried).min()
    }

    fn has_underway(&mut self, _: Instant) -> bool {
        self.weather.as_mut().is_some_and(|weather| weather.up().in_flight() > 0)
    }

    fn remark(&self) -> Option<&str> {
        let narrow = "this machine sends no datagrams of 1,392 bytes: raise the MTU of the interface to 1,420";
        self.socket.is_too_narrow().then_some(narrow)
    }
}
