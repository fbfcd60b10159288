//! A server: so many connections at once, each a task, on any network.
//!
//! The [`Server`] listens and owns a fixed number of slots. A [`Service`] makes of each connection that comes a task,
//! which is polled until it is over; [`http::serve`](crate::http::serve) is such a service, and [`Sessions`] is one for
//! anything that can be written as a [`Talk`]: [`Echo`] and [`Lines`] are there already. [`Call`] is the other end, and
//! [`Answering`] answers datagrams; several of them share a network [`Beside`] each other. None of them knows which world it is in: they run on the system's sockets, on smoltcp
//! in firmware, and in the simulator, which loses their packets and crashes their hosts.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | all slots are taken | the next connection waits in the stack's backlog, until one is free: nothing is accepted that has no memory |
//! | a peer says nothing and takes nothing | [`Patience::silence`] |
//! | a peer is never done | [`Patience::whole`] |
//! | [`Server::stop`] | nobody is accepted any more; who is being answered is answered, and who says nothing is let go |
//!
//! The greeting server of Python's `socketserver`, and its client:
//!
//! ```
//! use core::net::SocketAddr;
//! use tidemill_core::executor::{Executor, Program};
//! use tidemill_core::net::{Error, Stack};
//! use tidemill_core::pool::Slot;
//! use tidemill_core::serve::{Call, Lines, Patience, Reply, Server, Session, Sessions, Talk, Wire};
//! use tidemill_core::time::Instant;
//!
//! /// "NAME" is answered with "hello NAME".
//! fn greet(name: &[u8], reply: &mut Reply<'_>) -> Result<(), Error> {
//!     reply.push(b"hello ")?;
//!     reply.push(name)?;
//!     reply.push(b"\n")
//! }
//!
//! type Greeter = Lines<fn(&[u8], &mut Reply<'_>) -> Result<(), Error>, 64>;
//! type Make = fn(SocketAddr) -> Greeter;
//!
//! /// Four guests at once, in memory that was there from the start.
//! fn server() -> Server<Session<Greeter>, [Slot<Session<Greeter>>; 4], Sessions<Make>> {
//!     let make: Make = |_| Lines::new(greet);
//!     Server::new(Sessions::new(make, Patience::default()), [const { Slot::EMPTY }; 4])
//! }
//!
//! /// Says its name, and hears the greeting out.
//! struct Guest { said: usize, heard: heapless::Vec<u8, 64> }
//!
//! impl Talk for Guest {
//!     type Error = Error;
//!     fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
//!         let name = b"Ada\n";
//!         while self.said < name.len() {
//!             self.said += wire.send(&name[self.said..])?;
//!         }
//!         while self.heard.last() != Some(&b'\n') {
//!             let mut byte = [0];
//!             if wire.recv(&mut byte)? == 0 || self.heard.push(byte[0]).is_err() {
//!                 return Err(Error::Closed.into());
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn turn<S: Stack>(net: &mut S, now: Instant) -> Result<(), Error> {
//!     let mut server = server();
//!     let address = server.listen(net, "10.0.0.1:4000".parse().unwrap(), 4)?;
//!     server.turn(now, net);
//!     let guest = Guest { said: 0, heard: Default::default() };
//!     let mut guests = Executor::new([const { Slot::EMPTY }; 1]);
//!     let id = guests.pool.submit(Call::new(address, guest, Patience::default())).ok().unwrap();
//!     guests.turn(now, net, &mut ());
//!     while let Ok(guest) = guests.pool.result(id) {
//!         assert_eq!(guest.heard, b"hello Ada\n");
//!     }
//!     Ok(())
//! }
//! # let mut net = tidemill_core::net::NoNetwork;
//! # assert_eq!(turn(&mut net, tidemill_core::time::EPOCH), Err(Error::Full));
//! ```

mod beside;
mod call;
mod collect;
mod datagrams;
mod services;
mod session;

pub use beside::{Beside, Heard};
pub use call::Call;
pub use collect::{Collector, Overlong, Terminator};
pub use datagrams::Answering;
pub use services::{Echo, Lines, Reply};
pub use session::{Patience, Session, Sessions, Talk, Wire};

use core::net::SocketAddr;

use crate::executor::{Executor, Program};
use crate::net::{Error, Handle, Interest, Stack, Token};
use crate::pool::Slot;
use crate::task::Task;
use crate::time::{Duration, EPOCH, Instant};

/// How soon a listener is asked again that could not hand a connection out.
const RETRY: Duration = Duration::from_millis(50);

/// How often places are taken from idle connections when others need them.
const EVICTION: Duration = Duration::from_millis(100);

/// The listener's watcher: no slot of a pool has this number.
const LISTENER: Token = Token(u32::MAX);

/// A connection that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Accepted {
    /// Its socket, which the task is to close.
    pub socket: Handle,
    /// Who it is.
    pub peer: SocketAddr,
    /// When.
    pub now: Instant,
    /// There is no place for it: it has one of the spare slots ([`Server::with_spare`]), and is only to be told so.
    pub refused: bool,
}

/// What is done with connections. Its tasks share it: see [`Shared`].
pub trait Service<S>: Sized {
    /// What a connection is while it lasts. It closes its socket before it ends.
    type Connection: Task<S, Shared<Self>, Output = (), Error = ()>;

    /// Makes a task of a connection.
    fn accept(&mut self, accepted: Accepted, crowd: &mut Crowd) -> Self::Connection;
}

/// What the connections of a server share.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shared<V> {
    /// Whose connections they are.
    pub service: V,
    pub(crate) crowd: Crowd,
}

impl<V> Shared<V> {
    /// Whether the server is to end: who can end its connection without a loss does.
    pub fn is_stopping(&self) -> bool {
        self.crowd.stopping
    }
}

/// The connections taken together: how many could be spared, and how many are to go.
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Crowd {
    /// How many wait for a request.
    pub(crate) idle: usize,
    /// How many were refused, have been told so, and only listen.
    pub(crate) leaving: usize,
    evict: usize,
    pub(crate) stopping: bool,
}

impl Crowd {
    /// Whether a connection that could be spared is to go now.
    pub(crate) fn must_go(&mut self) -> bool {
        let must = self.evict > 0;
        self.evict -= usize::from(must);
        must
    }
}

/// A server. `B` holds the slots of its connections, which are tasks of type `T`; `V` is what it serves.
#[derive(Debug)]
pub struct Server<T, B, V> {
    executor: Executor<T, B>,
    shared: Shared<V>,
    listener: Option<Handle>,
    /// How many connections are served at once.
    places: usize,
    /// No slot was free when the listener was last asked.
    full: bool,
    retry_at: Instant,
    evict_at: Instant,
}

impl<T, B, V> Server<T, B, V>
where
    B: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>,
{
    /// A server that listens nowhere yet, of as many connections as there are slots. O(N).
    pub fn new(service: V, slots: B) -> Self {
        Self::with_spare(service, slots, 0)
    }

    /// As [`new`](Self::new), with so many of the slots kept for those who come when all others are taken, so that they
    /// can be told. O(N).
    pub fn with_spare(service: V, slots: B, spare: usize) -> Self {
        let places = slots.as_ref().len().saturating_sub(spare);
        Self {
            executor: Executor::new(slots),
            shared: Shared { service, crowd: Crowd::default() },
            listener: None,
            places,
            full: false,
            retry_at: EPOCH,
            evict_at: EPOCH,
        }
    }

    /// Listens at `local`, instead of where it listened before; returns the address.
    ///
    /// # Errors
    /// As [`Stack::listen`].
    pub fn listen<S: Stack>(&mut self, net: &mut S, local: SocketAddr, backlog: usize) -> Result<SocketAddr, Error> {
        let listener = net.listen(local, backlog)?;
        self.listen_on(net, listener);
        net.local_addr(listener)
    }

    /// Takes its connections from a socket that listens already, instead of where it listened before.
    pub fn listen_on<S: Stack>(&mut self, net: &mut S, listener: Handle) {
        if let Some(previous) = self.listener.replace(listener) {
            net.close(previous);
        }
    }

    /// Takes no more connections, lets answers that have begun go out, and closes the rest. It has ended when
    /// [`connections`](Self::connections) is 0. Who is in the backlog is cut off: see [`accept_all`](Self::accept_all).
    pub fn stop<S: Stack>(&mut self, net: &mut S) {
        if let Some(listener) = self.listener.take() {
            net.close(listener);
        }
        self.shared.crowd.stopping = true;
        self.executor.wake_all();
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.executor.pool.live()
    }

    /// How many connections are served at once.
    pub fn places(&self) -> usize {
        self.places
    }

    /// What it serves.
    pub fn service(&mut self) -> &mut V {
        &mut self.shared.service
    }

    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.shared.crowd.idle
    }

    /// Takes the connections that wait, as far as there are slots. Returns when to ask again, if not when the listener
    /// is ready. A turn does this by itself; before [`stop`](Self::stop) it takes those who were promised a connection.
    pub fn accept_all<S>(&mut self, now: Instant, net: &mut S) -> Option<Instant>
    where
        S: Stack,
        V: Service<S, Connection = T>,
    {
        let listener = self.listener?;
        self.full = false;
        if now < self.retry_at {
            return Some(self.retry_at);
        }
        loop {
            if !self.executor.pool.has_room() {
                self.full = true;
                return self.evict(now);
            }
            match net.accept(listener) {
                Ok((socket, peer)) => {
                    let over = self.executor.pool.live() >= self.places;
                    if over {
                        self.evict(now);
                    }
                    let refused = over && self.shared.crowd.idle == 0;
                    let connection =
                        self.shared.service.accept(Accepted { socket, peer, now, refused }, &mut self.shared.crowd);
                    match self.executor.pool.spawn(connection) {
                        Ok(_) => {}
                        Err(_) => net.abort(socket),
                    }
                }
                Err(nb::Error::WouldBlock) if net.watch(listener, Interest::Read, LISTENER).is_ok() => return None,
                Err(_) => {
                    self.retry_at = now + RETRY;
                    return Some(self.retry_at);
                }
            }
        }
    }

    /// Asks some of those that could be spared to give their places up; returns when it may be done again.
    fn evict(&mut self, now: Instant) -> Option<Instant> {
        if self.shared.crowd.idle + self.shared.crowd.leaving == 0 {
            return None;
        }
        if now >= self.evict_at {
            self.evict_at = now + EVICTION;
            self.shared.crowd.evict = 1 + self.places / 16;
            self.executor.wake_all();
        }
        Some(self.evict_at)
    }
}

impl<S, T, B, V> Program<S> for Server<T, B, V>
where
    S: Stack,
    V: Service<S, Connection = T>,
    T: Task<S, Shared<V>, Output = (), Error = ()>,
    B: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>,
{
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        let ask = self.accept_all(now, net);
        let next = self.executor.turn(now, net, &mut self.shared);
        self.shared.crowd.evict = 0;
        if self.full && self.executor.pool.has_room() {
            return Some(now);
        }
        match (ask, next) {
            (Some(ask), Some(next)) => Some(ask.min(next)),
            (ask, next) => ask.or(next),
        }
    }
}

#[cfg(test)]
mod tests;
