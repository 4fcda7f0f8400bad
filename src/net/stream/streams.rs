//! A server's door for TCP: many connections, one thread.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::task::Poll;
use std::time::Duration;

use smol::Async;
use smol::future::FutureExt;

use super::connection::{Connection, Lost, Scratch};
use super::control;
use super::signpost::Signpost;
use crate::net::server::Door;
use crate::net::{Clock, NetError};
use crate::ps::server::ServerCore;
use crate::transport::Control;
use crate::units::Instant;
use crate::wire::Reject;

/// Connections at one server: those of all the workers it serves, and of some that are still strangers.
const CONNECTIONS_MAX: usize = 1024 + 256;
/// Connections that are accepted before something else has its turn.
const ACCEPTS_MAX: usize = 16;
/// Frames that leave before something else has its turn.
const FRAMES_MAX: usize = 64;
/// How long a connection may go without belonging to a worker.
const STRANGER_TIME: Duration = Duration::from_secs(5);
/// How long the last words to a peer may take, and its own end of the connection.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// How often connections are looked over, and accepting is tried again after it has failed.
const SWEEP: Duration = Duration::from_millis(250);

pub(in crate::net) struct Streams {
    listener: Async<TcpListener>,
    signpost: Option<Signpost>,
    guests: BTreeMap<SocketAddr, Guest>,
    scratch: Scratch,
    accepts: bool,
    swept_at: Instant,
}

/// A connection, and what is thought of it.
struct Guest {
    connection: Connection,
    /// Since when it belongs to no worker.
    stranger: Option<Instant>,
    /// Since when it is only waited for that the last words arrive.
    leaving: Option<Instant>,
}

impl Streams {
    pub(in crate::net) fn bind(
        address: SocketAddr,
        control: Option<&Control>,
    ) -> Result<Self, NetError> {
        let bind = |source| NetError::Bind { address, source };
        let listener = Async::<TcpListener>::bind(address).map_err(bind)?;
        // Connections inherit it.
        control::set(&listener, control)?;
        let signpost = Signpost::bind(listener.get_ref().local_addr()?);
        Ok(Self {
            listener,
            signpost,
            guests: BTreeMap::new(),
            scratch: Scratch::default(),
            accepts: true,
            swept_at: Instant::ZERO,
        })
    }

    pub(in crate::net) fn local_address(&self) -> Result<SocketAddr, NetError> {
        Ok(self.listener.get_ref().local_addr()?)
    }

    fn accept(&mut self, core: &mut ServerCore, now: Instant) {
        if !std::mem::take(&mut self.accepts) {
            return;
        }
        for _ in 0..ACCEPTS_MAX {
            match self.listener.get_ref().accept() {
                Ok(_) if self.guests.len() >= CONNECTIONS_MAX => core.handle_reject(Reject::Limit),
                Ok((stream, from)) => {
                    if let Ok(connection) = connection(stream) {
                        // An address comes back only when the connection that had it is gone, noticed or not.
                        self.lose(core, now, from, &Lost::Ended);
                        let guest = Guest { connection, stranger: Some(now), leaving: None };
                        self.guests.insert(from, guest);
                    }
                }
                // It is gone already, or we have no more descriptors: the next sweep tries again.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        self.accepts = true;
    }

    fn lose(&mut self, core: &mut ServerCore, now: Instant, address: SocketAddr, lost: &Lost) {
        if self.guests.remove(&address).is_some() {
            core.handle_disconnected(now, address, &format!("its connection {}", lost.why()));
        }
    }

    /// Ends the connections of those who never became workers, or are none any more.
    fn sweep(&mut self, core: &mut ServerCore, now: Instant) {
        if now - self.swept_at < SWEEP {
            return;
        }
        (self.swept_at, self.accepts) = (now, true);
        self.guests.retain(|&address, guest| {
            if core.has_member(address) {
                guest.stranger = None;
                return true;
            }
            let since = *guest.stranger.get_or_insert(now);
            let stays = now - since < STRANGER_TIME;
            if !stays {
                core.handle_reject(Reject::Session);
            }
            stays && guest.leaving.is_none_or(|since| now - since < FAREWELL_TIME)
        });
    }

    fn receive_from(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        address: SocketAddr,
    ) -> Result<bool, Lost> {
        let Some(guest) = self.guests.get_mut(&address) else { return Ok(false) };
        if guest.leaving.is_some() {
            guest.connection.shut()?;
            guest.connection.discard(&mut self.scratch)?;
            return Ok(false);
        }
        let taken = guest.connection.receive(&mut self.scratch, |frame| {
            let now = clock.now();
            core.handle_frame(now, now, address, frame).or_else(|reject| match reject {
                // Things that happen to a worker that means well, and is answered if there is an answer.
                Reject::Session | Reject::Cookie | Reject::Transfer | Reject::Replayed => Ok(()),
                reject => Err(reject),
            })
        });
        if let Err(Lost::Foreign(reject)) = taken {
            core.handle_reject(reject);
        }
        if let Err(lost @ (Lost::Foreign(_) | Lost::Refused(_))) = &taken {
            // Nothing that follows can be trusted. If there is an answer on its way, it is the last one.
            guest.leaving = Some(clock.now());
            core.handle_disconnected(
                clock.now(),
                address,
                &format!("its connection {}", lost.why()),
            );
            return Ok(true);
        }
        taken
    }
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    Connection::new(Async::new(stream)?)
}

impl Door for Streams {
    fn receive(&mut self, core: &mut ServerCore, clock: Clock) -> Result<bool, NetError> {
        self.accept(core, clock.now());
        if let Some(signpost) = &mut self.signpost {
            signpost.answer();
        }
        let mut more = false;
        let mut next = self.guests.keys().next().copied();
        while let Some(address) = next {
            match self.receive_from(core, clock, address) {
                Ok(may) => more |= may,
                Err(lost) => self.lose(core, clock.now(), address, &lost),
            }
            let after = (std::ops::Bound::Excluded(address), std::ops::Bound::Unbounded);
            next = self.guests.range(after).next().map(|(&address, _)| address);
        }
        if more {
            // Who sends without end must not keep the others from being heard: nobody waits for readiness meanwhile.
            self.guests.values_mut().for_each(|guest| guest.connection.touch());
        }
        self.sweep(core, clock.now());
        Ok(more)
    }

    async fn transmit(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<bool, NetError> {
        let mut broken = Vec::new();
        for (&address, guest) in &mut self.guests {
            if guest.connection.is_stalled() {
                match guest.connection.flush() {
                    Ok(()) if guest.connection.is_stalled() => {}
                    Ok(()) => core.set_stalled(address, false),
                    Err(lost) => broken.push((address, lost)),
                }
            }
        }
        let mut more = true;
        for _ in 0..FRAMES_MAX {
            let Some(to) = core.poll_transmit(clock.now(), buf) else {
                more = false;
                break;
            };
            let Some(guest) = self.guests.get_mut(&to) else { continue };
            match guest.connection.send(buf) {
                Ok(()) if guest.connection.is_stalled() => core.set_stalled(to, true),
                Ok(()) => {}
                Err(lost) => {
                    core.set_stalled(to, true);
                    broken.push((to, lost));
                }
            }
        }
        for (&address, guest) in &mut self.guests {
            if !guest.connection.is_stalled() {
                match guest.connection.flush() {
                    Ok(()) if guest.connection.is_stalled() => core.set_stalled(address, true),
                    Ok(()) => {}
                    Err(lost) => broken.push((address, lost)),
                }
            }
            if more {
                guest.connection.touch();
            }
        }
        for (address, lost) in broken {
            self.lose(core, clock.now(), address, &lost);
        }
        Ok(more)
    }

    async fn ready(&mut self) -> Result<(), NetError> {
        poll_fn(|cx| {
            self.accepts |= self.listener.poll_readable(cx).is_ready();
            let mut ready = self.accepts;
            if let Some(signpost) = &mut self.signpost {
                ready |= signpost.poll_ready(cx);
            }
            for guest in self.guests.values_mut() {
                ready |= guest.connection.poll_ready(cx);
            }
            if ready { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Waits a little until the workers have heard it: to close a connection on which something comes in would take
    /// the last words back.
    async fn finish(
        &mut self,
        core: &mut ServerCore,
        clock: Clock,
        buf: &mut Vec<u8>,
    ) -> Result<(), NetError> {
        while self.transmit(core, clock, buf).await? {}
        let began = clock.now();
        self.guests.values_mut().for_each(|guest| guest.leaving = Some(began));
        while clock.now() - began < FAREWELL_TIME {
            self.receive(core, clock)?;
            if self.guests.is_empty() {
                break;
            }
            let timeout = async {
                smol::Timer::at(clock.at(began + FAREWELL_TIME)).await;
                Ok(())
            };
            timeout.or(self.ready()).await?;
        }
        Ok(())
    }
}
