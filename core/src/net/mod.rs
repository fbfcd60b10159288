//! The network, as a small `nb` trait whose every outcome is distinct.
//!
//! [`Stack`] is what a world supplies: smoltcp in firmware and simulation, OS sockets on a host. embedded-nal leaves
//! open what end of stream, a reset or a refused connection look like; this trait pins them down, and one conformance
//! test (`tests/tests/net_conformance.rs`) runs against each implementation:
//!
//! | event | outcome |
//! |---|---|
//! | nothing to read yet, no room to write, no connection waiting | `WouldBlock` |
//! | the peer has sent its FIN and all was read | `recv` is `Ok(0)`, once and for ever |
//! | the peer reset the connection | [`Error::Reset`] |
//! | nobody listens there | [`Error::Refused`] |
//! | nobody answers | [`Error::TimedOut`] |
//! | own half shut down, then `send` | [`Error::Closed`] |
//! | a handle used after `close` | [`Error::Stale`], never somebody else's socket |
//! | no socket left | [`Error::Full`] |
//! | a peer under TLS that cannot prove who it is, or was cut off | [`Error::Tls`] |
//! | zero-length `recv` or `send` | `Ok(0)`, and nothing changes |
//!
//! [`Datagrams`] is the same for UDP, on the same handles and the same readiness:
//!
//! | event | outcome |
//! |---|---|
//! | no datagram has come, no room for one to send | `WouldBlock` |
//! | a datagram is longer than the buffer | it is cut, and its whole length told |
//! | an empty datagram | is one, of length 0 |
//! | it is longer than the network, or the stack, carries | [`Error::TooLong`] |
//! | it is lost, or nobody receives it | nobody is told |
//!
//! Readiness is the other half. `nb` alone has no way to say *when* to come back; a task that got `WouldBlock` calls
//! [`Stack::watch`] with a token, and the token comes out of [`Stack::next_ready`] when it is worth trying again.

use core::net::SocketAddr;

pub mod class;
#[cfg(feature = "smoltcp")]
pub mod lockstep;
pub mod nal;
mod none;
pub mod port;
#[cfg(feature = "smoltcp")]
pub mod smoltcp;

pub use none::{NoNetwork, NoSockets, Pick};

/// Names a socket of one stack: a slot and the generation of its occupant. `Copy`, and stale once the socket is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handle {
    index: u16,
    generation: u16,
}

impl Handle {
    /// For implementors of [`Stack`]: the handle of slot `index` in its `generation`.
    pub const fn new(index: u16, generation: u16) -> Self {
        Self { index, generation }
    }

    /// The slot, dense from 0: fit to index a table with.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// How many occupants the slot had before this one (wrapping).
    pub const fn generation(self) -> u16 {
        self.generation
    }
}

/// What a watcher wants to hear of. End of stream and failure make a socket ready for both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Interest {
    /// `recv` or, on a listener, `accept` would not block.
    Read,
    /// `send` or, while connecting, `connected` would not block.
    Write,
    /// Whichever comes first.
    Both,
}

/// Names a watcher; the stack hands it back as it came. Executors use the task's slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Token(pub u32);

/// Why a connection that had to be secure is not. Nothing was sent over it, or nothing more is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TlsError {
    /// This world, or this stack, has no TLS.
    Unsupported,
    /// No authority that is trusted here vouches for the peer.
    UnknownIssuer,
    /// The peer's certificate is for another name.
    WrongName,
    /// The certificate is over, or not valid yet.
    Expired,
    /// The certificate is malformed, revoked, or not meant for this.
    Certificate,
    /// The peer does not speak TLS: it may be a port for plain connections.
    NotTls,
    /// The peer refused, by an alert.
    Alert,
    /// The connection ended without the peer's word that it should: something may be missing.
    Truncated,
    /// Anything else that is not as TLS has it.
    Protocol,
}

impl core::fmt::Display for TlsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "no TLS here",
            Self::UnknownIssuer => "certificate of an unknown issuer",
            Self::WrongName => "certificate is for another name",
            Self::Expired => "certificate expired or not valid yet",
            Self::Certificate => "bad certificate",
            Self::NotTls => "peer does not speak TLS",
            Self::Alert => "peer refused the TLS connection",
            Self::Truncated => "TLS connection cut off",
            Self::Protocol => "TLS protocol violated",
        })
    }
}

impl core::error::Error for TlsError {}

/// Why a network call failed. Each variant names what the caller can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens at the address: try another, or later.
    Refused,
    /// The peer, or something between, cut the connection: what was in flight may be lost.
    Reset,
    /// The stack gave up waiting for the peer.
    TimedOut,
    /// No route to the address.
    Unreachable,
    /// The handle's socket has been closed: a mistake of the caller.
    Stale,
    /// Every socket is taken: close one first.
    Full,
    /// Another socket listens at this address.
    AddressInUse,
    /// The system does not allow it.
    Denied,
    /// The call does not fit the socket's state: data on a listener, or before the connection is up.
    NotConnected,
    /// `send` after `shutdown`, or to a peer that has gone.
    Closed,
    /// The datagram is longer than can be sent: send a shorter one.
    TooLong,
    /// The connection had to be secure, and is not.
    Tls(TlsError),
    /// Any other failure of the system below, by its own number.
    Os(i32),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset by peer",
            Self::TimedOut => "connection timed out",
            Self::Unreachable => "network unreachable",
            Self::Stale => "stale socket handle",
            Self::Full => "no socket left",
            Self::AddressInUse => "address already in use",
            Self::Denied => "permission denied",
            Self::NotConnected => "not connected",
            Self::Closed => "connection closed",
            Self::TooLong => "datagram too long",
            Self::Tls(error) => return error.fmt(f),
            Self::Os(code) => return write!(f, "system error {code}"),
        })
    }
}

impl core::error::Error for Error {}

/// TCP as a world supplies it. Nothing here blocks, allocates or reads a clock.
pub trait Stack {
    /// Listens at `local` (port 0: the stack chooses) with room for `backlog` connections not yet accepted.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::Denied`], [`Error::Full`].
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error>;

    /// Takes a connection that is up, and its peer's address.
    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error>;

    /// Starts connecting; [`Stack::connected`] tells the outcome.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unreachable`]; a refusal may come here or from `connected`.
    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error>;

    /// As [`connect`](Self::connect), under TLS, to a server that proves to be `name`: a host's name, or an address as text.
    /// Bytes are sent and received in the clear here, and nobody between can read or change them. A stack without TLS, such
    /// as the simulator's, refuses.
    ///
    /// # Errors
    /// [`TlsError::Unsupported`], and as `connect`; what is wrong with the peer comes from [`connected`](Self::connected).
    fn connect_secure(&mut self, remote: SocketAddr, name: &str) -> Result<Handle, Error> {
        let _ = (remote, name);
        Err(Error::Tls(TlsError::Unsupported))
    }

    /// Whether the connection is up: `WouldBlock` while it is under way. The outcome stays until `close`.
    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error>;

    /// Reads what is there, at least one byte. `Ok(0)` is end of stream (or an empty `buf`).
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error>;

    /// Writes what fits, at least one byte unless `buf` is empty.
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error>;

    /// As [`send`](Self::send), when more, or the end, follows at once: the stack may hold it back until then, to send both
    /// together.
    fn send_more(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.send(socket, buf)
    }

    /// The end follows at once upon what is sent from now on: the stack may hold the last of it back for
    /// [`shutdown`](Self::shutdown) or [`close`](Self::close), to send both together. A stale handle is ignored.
    fn cork(&mut self, socket: Handle) {
        let _ = socket;
    }

    /// Ends our half once what was sent has gone out; the other half can still be read.
    fn shutdown(&mut self, socket: Handle) -> Result<(), Error>;

    /// Gives the socket up: what was sent still goes out, then FIN. The handle is stale from here on.
    /// Data of the peer not yet read is lost, and it may be told by a reset. A stale handle is ignored.
    fn close(&mut self, socket: Handle);

    /// Gives the socket up at once with a reset; nothing more goes out. A stale handle is ignored.
    fn abort(&mut self, socket: Handle);

    /// The address of this end.
    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, Error>;

    /// Hands out `token` once, through [`Stack::next_ready`], as soon as `socket` is (or already is) ready for
    /// `interest`. One watcher per socket: a later call replaces an earlier one. A wake-up may be spurious, never lost.
    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error>;

    /// The next token whose socket became ready. O(1).
    fn next_ready(&mut self) -> Option<Token>;

    /// Which of the ready tasks an executor polls next, counted from the one that has been ready longest; `ready` says
    /// how many there are to choose from. 0 everywhere but in a simulator, which looks for the order that breaks things.
    #[inline]
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32
    where
        Self: Sized,
    {
        let _ = ready;
        0
    }
}

/// UDP as a world supplies it. `watch`, `local_addr` and `close` are those of [`Stack`]; what was sent before `close` still
/// goes out. Of the calls for connections, each is [`Error::NotConnected`] on such a socket, and those here on any other.
pub trait Datagrams: Stack {
    /// A socket that receives at `local` and sends from there (port 0: the stack chooses).
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::Denied`], [`Error::Full`], [`Error::Unreachable`].
    fn bind(&mut self, local: SocketAddr) -> Result<Handle, Error>;

    /// Takes the next datagram: its length, and who sent it. What `buf` has no room for is lost; that the length is larger
    /// than `buf` tells it.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::NotConnected`].
    fn recv_from(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error>;

    /// Sends all of `buf` as one datagram.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Unreachable`], [`Error::Stale`], [`Error::NotConnected`].
    fn send_to(&mut self, socket: Handle, buf: &[u8], to: SocketAddr) -> nb::Result<(), Error>;
}
