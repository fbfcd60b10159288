//! An HTTP/1.1 server for files, as a [`Program`](crate::executor::Program) that any world can turn.
//!
//! [`Files`] is a [`Service`] of [`serve::Server`]: it decodes the requests of its connections with
//! [`super::server`], and asks a [`Content`] for the bytes: a folder on a host, seeded bytes in a simulator, flash in
//! firmware. What is done to a connection is the same everywhere, and so can be tested with lost packets and stalled
//! peers in a simulated network.
//!
//! A connection that waits is small. What a request needs (its head, the head of its answer) lies on a [`Desk`], of which
//! there may be far fewer than connections.
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
//! | is one of many that have begun a head and go no further | 503, if it is the oldest and others need its desk |
//! | comes when all places, or all desks, are taken | 503 with `Retry-After`; if even the spare places are taken, it waits in the backlog until the first of those has had a tenth of a second to read its 503 |
//!
//! Pipelined requests are answered in order. A request whose body has not arrived with its head is answered and the
//! connection closed, for no request that this server fulfils needs one.
//!
//! ```
//! use tidemill_core::executor::Program;
//! use tidemill_core::http::serve::{Content, Desk, Files, Limits, Opened, Refusal, Served, Slots, server};
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
//!         Ok(Opened { file: page, len: 4, etag: Default::default(), modified: None, content_type: "text/plain", encoding: None })
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
//! // Four connections, of which two may be answered at once.
//! let slots: Slots<&'static [u8], 4> = [const { Slot::EMPTY }; 4];
//! let files = Files::new(Page, [0; 2048], [const { Desk::<1024>::EMPTY }; 2], Limits::default());
//! let mut server = server(files, slots);
//! assert!(server.listen(&mut NoNetwork, "0.0.0.0:80".parse().unwrap(), 8).is_err());
//! assert_eq!(server.turn(EPOCH, &mut NoNetwork), None);
//! ```

mod connection;
mod desks;

use core::net::SocketAddr;
use core::num::NonZeroU64;

pub use connection::Connection;
pub use desks::Desk;

use super::server::Head;
use crate::net::{Error, Handle, Stack};
use crate::pool::Slot;
use crate::serve::{self, Accepted, Crowd, Service};
use crate::time::{Duration, Instant};
use desks::Desks;

/// The longest entity tag, quotes included, in bytes.
pub const MAX_ETAG: usize = 72;

/// Slots for `N` connections, over files of type `F`.
pub type Slots<F, const N: usize> = [Slot<Connection<F>>; N];

/// A server of files: `B` holds the slots of its connections; the others see [`Files`].
pub type Server<C, B, W, D, F, const HEAD: usize> = serve::Server<Connection<F>, B, Files<C, W, D, HEAD>>;

/// What is served.
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

    /// Header lines that every answer gets, each with its CR LF, well formed; none by default. At most half a kilobyte.
    fn headers(&self) -> &[u8] {
        &[]
    }

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
    /// The content coding its bytes are in; that is told with `Vary`.
    pub encoding: Option<&'static str>,
}

/// Why there is no file to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// Answer with this status, such as 404.
    Status(u16),
    /// Whoever asks has not said who it is, or not rightly: answer 401, and ask for a name and a password.
    Unauthorized,
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

/// A [`Content`] as a service. `W` is where small answers are put together: a file that fits there with its head goes out
/// in one call; it has at least one byte, better a few thousand. `D` holds the desks of those who are answered, whose
/// heads may have `HEAD` bytes.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Files<C, W, D, const HEAD: usize> {
    content: C,
    /// Nothing in it outlives a poll.
    scratch: W,
    desks: Desks<D, HEAD>,
    limits: Limits,
}

impl<C, W, D: AsMut<[Desk<HEAD>]>, const HEAD: usize> Files<C, W, D, HEAD> {
    /// To be served by [`server`].
    pub fn new(content: C, scratch: W, desks: D, limits: Limits) -> Self {
        Self { content, scratch, desks: Desks::new(desks), limits }
    }

    /// What is served.
    pub fn content(&mut self) -> &mut C {
        &mut self.content
    }
}

impl<S, C, W, D, const HEAD: usize> Service<S> for Files<C, W, D, HEAD>
where
    S: Stack,
    C: Content<S>,
    W: AsMut<[u8]>,
    D: AsMut<[Desk<HEAD>]>,
{
    type Connection = Connection<C::File>;

    fn accept(&mut self, accepted: Accepted, crowd: &mut Crowd) -> Connection<C::File> {
        Connection::new(accepted, &self.limits, crowd)
    }
}

/// A server that listens nowhere yet. A sixteenth of the slots, at least one of two or more, is spare: a connection in one of
/// these is answered with 503. O(N).
pub fn server<C, B, W, D, F, const HEAD: usize>(files: Files<C, W, D, HEAD>, slots: B) -> Server<C, B, W, D, F, HEAD>
where
    B: AsRef<[Slot<Connection<F>>]> + AsMut<[Slot<Connection<F>>]>,
{
    let all = slots.as_ref().len();
    serve::Server::with_spare(files, slots, all - places(all))
}

/// How many of `slots` connections are served at once; the rest is told that there is no place.
pub const fn places(slots: usize) -> usize {
    if slots < 2 { slots } else { slots - slots.div_ceil(16) }
}

#[cfg(test)]
mod tests;
