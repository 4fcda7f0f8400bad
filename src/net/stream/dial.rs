//! A worker's way to its server over TCP: dials, and dials again when the connection is lost.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smol::Async;

use super::connection::{Connection, Lost, Scratch};
use super::control;
use crate::net::worker::{Line, any};
use crate::net::{Clock, NetError};
use crate::ps::worker::{WorkerCore, WorkerEvent};
use crate::transport::Control;
use crate::units::Instant;

/// How long one attempt may take before the next address has its turn: two of the kernel's own are in it.
const DIAL_TIME: Duration = Duration::from_secs(3);
/// Time between attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Frames that leave before timers, events and interrupts have their turn.
const FRAMES_MAX: usize = 64;
/// How long the last words may take, and the server's own end of the connection.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

type Dialing = Pin<Box<dyn Future<Output = io::Result<Async<TcpStream>>>>>;

enum State {
    /// No connection; when the next attempt begins.
    Idle(Instant),
    /// An attempt, and when it is given up.
    Dialing(Dialing, Instant),
    /// What came of it.
    Dialed(io::Result<Async<TcpStream>>),
    Open(Connection),
}

pub(in crate::net) struct Dial {
    /// The server's addresses; the first is the one in use.
    addresses: Vec<SocketAddr>,
    control: Option<Control>,
    state: State,
    /// Why the last attempt failed.
    failed: Option<String>,
    leaving: Option<Instant>,
    scratch: Scratch,
    buf: Vec<u8>,
}

impl Dial {
    pub(in crate::net) fn new(
        addresses: Vec<SocketAddr>,
        control: Option<&Control>,
    ) -> Result<Self, NetError> {
        // Whether the kernel knows it is better said before a server is looked for.
        control::set(TcpListener::bind(any(addresses[0]))?, control)?;
        Ok(Self {
            addresses,
            control: control.cloned(),
            state: State::Idle(Instant::ZERO),
            failed: None,
            leaving: None,
            scratch: Scratch::default(),
            buf: Vec::new(),
        })
    }

    fn fail(&mut self, now: Instant, why: String) {
        self.failed = Some(why);
        self.addresses.rotate_left(1);
        self.state = State::Idle(now + PAUSE);
    }

    fn lose(&mut self, core: &mut WorkerCore, now: Instant, lost: &Lost) {
        self.state = State::Idle(now + PAUSE);
        core.handle_disconnected(now, &format!("the connection {}", lost.why()));
    }

    fn open(&self, dialed: io::Result<Async<TcpStream>>) -> Result<Connection, String> {
        let io = dialed.map_err(|error| error.to_string())?;
        control::set(&io, self.control.as_ref()).map_err(|error| error.to_string())?;
        Connection::new(io).map_err(|error| error.to_string())
    }

    /// Goes on with looking for the server.
    fn tend(&mut self, core: &mut WorkerCore, now: Instant) {
        match &mut self.state {
            State::Idle(at) if *at <= now => {
                let dialing = Async::<TcpStream>::connect(self.addresses[0]);
                self.state = State::Dialing(Box::pin(dialing), now + DIAL_TIME);
            }
            State::Dialing(_, until) if *until <= now => {
                self.fail(now, "nothing answers".to_owned());
            }
            State::Dialed(_) => {
                let State::Dialed(dialed) = std::mem::replace(&mut self.state, State::Idle(now))
                else {
                    return;
                };
                match self.open(dialed) {
                    Ok(connection) => {
                        self.failed = None;
                        self.state = State::Open(connection);
                        core.set_stalled(false);
                        core.handle_connected(now);
                    }
                    Err(why) => self.fail(now, why),
                }
            }
            State::Idle(_) | State::Dialing(..) | State::Open(_) => {}
        }
    }

    /// Sends what is to be sent, up to a limit; whether there may be more.
    fn send(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, Lost> {
        let State::Open(connection) = &mut self.state else {
            // Said to nobody.
            while core.poll_transmit(clock.now(), &mut self.buf) {}
            return Ok(false);
        };
        connection.flush()?;
        core.set_stalled(connection.is_stalled());
        for _ in 0..FRAMES_MAX {
            if !core.poll_transmit(clock.now(), &mut self.buf) {
                connection.flush()?;
                core.set_stalled(connection.is_stalled());
                return Ok(false);
            }
            connection.send(&self.buf)?;
            core.set_stalled(connection.is_stalled());
        }
        connection.touch();
        Ok(true)
    }
}

impl Line for Dial {
    fn capacity(&self) -> u16 {
        u16::MAX
    }

    fn receive(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError> {
        self.tend(core, clock.now());
        let State::Open(connection) = &mut self.state else { return Ok(false) };
        let received = connection.receive(&mut self.scratch, |frame| {
            let now = clock.now();
            core.handle_datagram(now, now, frame);
            Ok(())
        });
        match received {
            Ok(more) => Ok(more),
            Err(lost) => {
                self.lose(core, clock.now(), &lost);
                Ok(false)
            }
        }
    }

    async fn transmit(&mut self, core: &mut WorkerCore, clock: Clock) -> Result<bool, NetError> {
        match self.send(core, clock) {
            Ok(more) => Ok(more),
            Err(lost) => {
                self.lose(core, clock.now(), &lost);
                Ok(false)
            }
        }
    }

    async fn ready(&mut self) -> Result<(), NetError> {
        match &mut self.state {
            State::Idle(_) => std::future::pending().await,
            State::Dialing(dialing, _) => {
                let dialed = dialing.await;
                self.state = State::Dialed(dialed);
            }
            State::Dialed(_) => {}
            State::Open(connection) => {
                let ready = |connection: &mut Connection, cx: &mut std::task::Context<'_>| {
                    if connection.poll_ready(cx) { Poll::Ready(()) } else { Poll::Pending }
                };
                poll_fn(|cx| ready(connection, cx)).await;
            }
        }
        Ok(())
    }

    fn handle_event(&mut self, _: &mut WorkerCore, now: Instant, event: &WorkerEvent) {
        // A new session has a connection of its own, at the server's next address.
        if matches!((event, &self.state), (WorkerEvent::Searching(_), State::Open(_))) {
            self.state = State::Idle(now + PAUSE);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let leaving = self.leaving.map(|since| since + FAREWELL_TIME);
        let state = match &self.state {
            State::Idle(at) | State::Dialing(_, at) => Some(*at),
            State::Dialed(_) => Some(Instant::ZERO),
            State::Open(_) => None,
        };
        leaving.into_iter().chain(state).min()
    }

    /// Until the server has closed its end: to close ours on something that still comes in would take the last words
    /// back.
    fn has_underway(&mut self, now: Instant) -> bool {
        let State::Open(connection) = &mut self.state else { return false };
        let since = *self.leaving.get_or_insert(now);
        now - since < FAREWELL_TIME && connection.shut().is_ok()
    }

    fn remark(&self) -> Option<&str> {
        self.failed.as_deref()
    }
}
