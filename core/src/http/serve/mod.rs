//! An HTTP/1.1 server for files, as a [`Program`] that any world can turn.
//!
//! The [`Server`] listens, holds a fixed number of connections in a task pool, decodes their requests with
//! [`super::server`], and asks a [`Content`] for the bytes: a folder on a host, seeded bytes in a simulator, flash in
//! firmware. What is done to a connection is the same everywhere, and so can be tested with lost packets and stalled
//! peers in a simulated network.
//!
//! Nobody can hold it up for ever, or for more than one connection's worth of memory:
//!
//! | a peer that | meets |
//! |---|---|
//! | connects and says nothing | [`Limits::first_byte`] |
//! | sends its head byte by byte | [`Limits::head`], answered by 408 |
//! | keeps its connection after an answer | [`Limits::idle`], or sooner if others need the place |
//! | does not read its answer | [`Limits::stall`], counted from the last byte it took |
//! | sends what cannot be understood | an answer with a clear status, then the end: see [`super::server::Error`] |
//! | goes on sending after that | [`Limits::linger`]: what it sends is dropped, so that it can still read the answer |
//! | comes when all places are taken | 503 with `Retry-After`; if even the spare places are taken, it waits in the backlog |
//!
//! Pipelined requests are answered in order. A request whose body has not arrived with its head is answered and the
//! connection closed, for no request that this server fulfils needs one.
//!
//! ```
//! use tidemill_core::executor::Program;
//! use tidemill_core::http::serve::{Content, Limits, Opened, Refusal, Served, Server, Slots};
//! use tidemill_core::http::server::Head;
//! use tidemill_core::net::{self, Handle, NoNetwork, Stack};
//! use tidemill_core::pool::Slot;
//! use tidemill_core::time::{EPOCH, Instant};
//!
//! /// One page, whatever is asked for.
//! struct Page;
//! impl<S: Stack> Content<S> for Page {
//!     type File = &'static [u8];
//!     fn open(&mut self, _: &Head<'_>) -> Result<Opened<Self::File>, Refusal> {
//!         let page = b"tide";
//!         Ok(Opened { file: page, len: 4, etag: Default::default(), modified: None, content_type: "text/plain" })
//!     }
//!     fn read(&mut self, page: &mut Self::File, offset: u64, buf: &mut [u8]) -> Result<usize, net::Error> {
//!         let rest = &page[offset as usize..];
//!         let count = rest.len().min(buf.len());
//!         buf[..count].copy_from_slice(&rest[..count]);
//!         Ok(count)
//!     }
//!     fn transmit(
//!         &mut self, page: &mut Self::File, net: &mut S, socket: Handle, offset: u64, len: u64,
//!     ) -> nb::Result<u64, net::Error> {
//!         Ok(net.send(socket, &page[offset as usize..][..len as usize])? as u64)
//!     }
//!     fn unix_time(&self, _: Instant) -> Option<u64> {
//!         None
//!     }
//!     fn served(&mut self, _: &Served<'_>) {}
//! }
//!
//! let slots: Slots<&'static [u8], 1024, 4> = [const { Slot::EMPTY }; 4];
//! let mut server = Server::new(Page, slots, [0; 2048], Limits::default());
//! assert!(server.listen(&mut NoNetwork, "0.0.0.0:80".parse().unwrap(), 8).is_err());
//! assert_eq!(server.turn(EPOCH, &mut NoNetwork), None);
//! ```

mod connection;

use core::net::SocketAddr;
use core::num::NonZeroU64;

pub use connection::Connection;

use super::server::Head;
use crate::executor::{Executor, Program};
use crate::net::{Error, Handle, Interest, Stack, Token};
use crate::pool::Slot;
use crate::time::{Duration, EPOCH, Instant};

/// The longest entity tag, quotes included, in bytes.
pub const MAX_ETAG: usize = 72;

/// How soon a listener is asked again that could not hand a connection out.
const RETRY: Duration = Duration::from_millis(50);

/// How often places are taken from idle connections when others need them.
const EVICTION: Duration = Duration::from_millis(100);

/// The listener's watcher: no slot of a pool has this number.
const LISTENER: Token = Token(u32::MAX);

/// Slots for `N` connections whose heads may have `HEAD` bytes, over files of type `F`.
pub type Slots<F, const HEAD: usize, const N: usize> = [Slot<Connection<F, HEAD>>; N];

/// What a [`Server`] serves.
pub trait Content<S: Stack> {
    /// A file that is open for one response; dropped when that ends.
    type File;

    /// Opens what is asked for by a GET or HEAD.
    ///
    /// # Errors
    /// [`Refusal`], which is answered.
    fn open(&mut self, head: &Head<'_>) -> Result<Opened<Self::File>, Refusal>;

    /// Copies the file's bytes from `offset` on into `buf`: all that fit, unless the file ends before.
    ///
    /// # Errors
    /// Any error ends the connection.
    fn read(&mut self, file: &mut Self::File, offset: u64, buf: &mut [u8]) -> Result<usize, Error>;

    /// Sends up to `len` bytes of the file from `offset` on; `len` is not 0. `Ok(0)`: the file ends there.
    ///
    /// # Errors
    /// As [`Stack::send`]; any error ends the connection.
    fn transmit(
        &mut self,
        file: &mut Self::File,
        net: &mut S,
        socket: Handle,
        offset: u64,
        len: u64,
    ) -> nb::Result<u64, Error>;

    /// What stands in `Date`: seconds since 1970, if there is such a clock.
    fn unix_time(&self, now: Instant) -> Option<u64>;

    /// A request was answered, or given up half-way: for the access log.
    fn served(&mut self, served: &Served<'_>);
}

/// A file that was found.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Opened<F> {
    /// The file.
    pub file: F,
    /// Its size in bytes.
    pub len: u64,
    /// Its entity tag as it goes on the wire, quotes included; empty: none.
    pub etag: heapless::String<MAX_ETAG>,
    /// When it last changed, in seconds since 1970.
    pub modified: Option<u64>,
    /// What `Content-Type` says of it.
    pub content_type: &'static str,
}

/// Why there is no file to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// Answer with this status, such as 404.
    Status(u16),
    /// It is a folder, and its path lacks the final slash: answer 301 to the path with it.
    Folder,
}

/// One request and what became of it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Served<'a> {
    /// Who asked.
    pub peer: SocketAddr,
    /// What was asked; empty if that could not be understood, or was not read.
    pub head: Head<'a>,
    /// The status that was answered.
    pub status: u16,
    /// How many bytes of the body were sent.
    pub sent: u64,
    /// Whether all of the response was sent.
    pub complete: bool,
    /// When the request's first byte arrived.
    pub began: Instant,
    /// When this was known.
    pub ended: Instant,
}

/// How long a peer may take, and how much it may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From an answer to the next request.
    pub idle: Duration,
    /// From one byte that the peer took to the next.
    pub stall: Duration,
    /// From the last byte of the last answer to the peer's end of stream.
    pub linger: Duration,
    /// Bytes of bodies per second and connection; `None`: no limit.
    pub rate: Option<NonZeroU64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            rate: None,
        }
    }
}

/// What the connections share.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shared<C, W> {
    content: C,
    /// Where an answer that fits is put together. Nothing in it outlives a poll.
    scratch: W,
    limits: Limits,
    /// How many connections wait for a request.
    idle: usize,
    /// How many of them are to give their place up.
    evict: usize,
    stopping: bool,
}

/// Serves a [`Content`] on one listener. `B` holds the connections' slots, `W` is where small answers are put together:
/// a file that fits there with its head goes out in one call. A sixteenth of the slots, at least one of two or more,
/// is spare: a connection in one of these is answered with 503.
pub struct Server<C, B, W, F, const HEAD: usize> {
    executor: Executor<Connection<F, HEAD>, B>,
    shared: Shared<C, W>,
    listener: Option<Handle>,
    /// How many connections are served at once.
    places: usize,
    /// No slot was free when the listener was last asked.
    full: bool,
    retry_at: Instant,
    evict_at: Instant,
}

/// How many of `slots` connections are served at once; the rest is told that there is no place.
pub const fn places(slots: usize) -> usize {
    if slots < 2 { slots } else { slots - slots.div_ceil(16) }
}

impl<C, B, W, F, const HEAD: usize> Server<C, B, W, F, HEAD>
where
    B: AsRef<[Slot<Connection<F, HEAD>>]> + AsMut<[Slot<Connection<F, HEAD>>]>,
{
    /// A server that listens nowhere yet. O(N).
    pub fn new(content: C, slots: B, scratch: W, limits: Limits) -> Self {
        let places = places(slots.as_ref().len());
        Self {
            executor: Executor::new(slots),
            shared: Shared { content, scratch, limits, idle: 0, evict: 0, stopping: false },
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
        if let Some(previous) = self.listener.replace(listener) {
            net.close(previous);
        }
        net.local_addr(listener)
    }

    /// Takes no more connections, lets answers that have begun go out, and closes the rest. It has ended when
    /// [`connections`](Self::connections) is 0.
    pub fn stop<S: Stack>(&mut self, net: &mut S) {
        if let Some(listener) = self.listener.take() {
            net.close(listener);
        }
        self.shared.stopping = true;
        self.executor.wake_all();
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.executor.pool.live()
    }

    /// What is served.
    pub fn content(&mut self) -> &mut C {
        &mut self.shared.content
    }
}

impl<C, B, W, F, const HEAD: usize> Server<C, B, W, F, HEAD>
where
    B: AsRef<[Slot<Connection<F, HEAD>>]> + AsMut<[Slot<Connection<F, HEAD>>]>,
{
    /// Takes the connections that wait. Returns when to ask again, if not when the listener is ready.
    fn accept<S: Stack>(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
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
                    let refused = over && self.shared.idle == 0;
                    let connection = Connection::new(socket, peer, now, refused, &self.shared.limits);
                    match self.executor.pool.spawn(connection) {
                        Ok(_) => self.shared.idle += usize::from(!refused),
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

    /// Asks some of the idle connections to give their places up; returns when it may be done again.
    fn evict(&mut self, now: Instant) -> Option<Instant> {
        if self.shared.idle == 0 {
            return None;
        }
        if now >= self.evict_at {
            self.evict_at = now + EVICTION;
            self.shared.evict = 1 + self.places / 16;
            self.executor.wake_all();
        }
        Some(self.evict_at)
    }
}

impl<S, C, B, W, const HEAD: usize> Program<S> for Server<C, B, W, C::File, HEAD>
where
    S: Stack,
    C: Content<S>,
    W: AsMut<[u8]>,
    B: AsRef<[Slot<Connection<C::File, HEAD>>]> + AsMut<[Slot<Connection<C::File, HEAD>>]>,
{
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        let ask = self.accept(now, net);
        let next = self.executor.turn(now, net, &mut self.shared);
        self.shared.evict = 0;
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
