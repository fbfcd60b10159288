//! Python's `socket`, typed: every family, type and call, over socket2 and nix.
//!
//! A [`Socket`] is a descriptor and a time limit. As in Python the limit has three kinds: none (calls wait for ever),
//! zero (calls never wait, and say [`Error::WouldBlock`]), and a time after which a call says [`Error::TimedOut`]. It
//! counts for a whole call, however often a signal interrupts it: a signal never makes a call fail, and never makes it
//! wait longer.
//!
//! | Python | here |
//! |---|---|
//! | `AF_INET`, `AF_INET6`, `AF_UNIX` | [`Family`] |
//! | `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_RAW`, `SOCK_SEQPACKET` | [`Kind`] |
//! | an address tuple or a path | [`Address`] |
//! | `recvmsg`'s ancillary data | [`Control`] |
//! | `getsockopt(SOL_SOCKET, SO_RCVBUF)` | [`Socket::getsockopt`]`(`[`option::RcvBuf`]`)` |
//! | `makefile` | [`File`] |
//!
//! Every descriptor is close-on-exec from birth, those that arrive in a message too. No call raises `SIGPIPE`: what sends
//! passes `MSG_NOSIGNAL`, and Rust's runtime ignores the signal for `sendfile`, which has no such flag. Every call takes
//! `&self`: a socket can be shared between threads as Python's can. A call that waits is not woken by dropping the socket
//! elsewhere (it keeps it alive): [`shutdown`](Socket::shutdown) wakes it.
//!
//! The greeting server and client, each in a thread:
//!
//! ```
//! use std::net::Ipv4Addr;
//! use std::thread;
//! use tidemill_host::socket::{Address, Family, Flags, How, Kind, Socket};
//!
//! let server = Socket::new(Family::Inet, Kind::Stream)?;
//! server.bind((Ipv4Addr::LOCALHOST.into(), 0))?;
//! server.listen(1)?;
//! let address = server.getsockname()?;
//!
//! let client = thread::spawn(move || -> Result<Vec<u8>, tidemill_host::socket::Error> {
//!     let client = Socket::new(Family::Inet, Kind::Stream)?;
//!     client.connect(address)?;
//!     client.recv(1024, Flags::empty())
//! });
//! let (connection, peer) = server.accept()?;
//! assert!(matches!(peer, Address::Inet(_)));
//! connection.sendall(b"Welcome to the mill!", Flags::empty())?;
//! connection.shutdown(How::Write)?;
//! assert_eq!(client.join().unwrap()?, b"Welcome to the mill!");
//! # Ok::<(), tidemill_host::socket::Error>(())
//! ```

mod address;
mod convert;
mod embedded;
mod error;
mod file;
mod lookup;
mod message;
mod sys;
mod transfer;
mod wait;

pub use address::{Address, UNIX_MAX};
pub use error::Error;
pub use file::File;
pub use lookup::{
    AddressInfo, Hints, NameFlags, Server, create_connection, create_server, getaddrinfo, getnameinfo,
    has_dualstack_ipv6,
};
pub use message::{Ancillary, Control, Received, cmsg_space};
pub use nix::errno::Errno;
/// The flags of one transfer: `MSG_PEEK`, `MSG_TRUNC`, `MSG_WAITALL`, `MSG_OOB` and others.
pub use nix::sys::socket::MsgFlags as Flags;
/// Which half of a connection: Python's `SHUT_RD`, `SHUT_WR` and `SHUT_RDWR`.
pub use nix::sys::socket::Shutdown as How;
/// Options for [`Socket::getsockopt`] and [`Socket::setsockopt`], each with the type of its value.
pub use nix::sys::socket::sockopt as option;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::socket::{GetSockOpt, SetSockOpt};
use socket2::{Domain, Protocol, Type};
use wait::Patience;
pub(crate) use wait::wait_for_any;

/// Which kind of address a socket has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Family {
    /// IPv4.
    #[doc(alias = "AF_INET")]
    Inet,
    /// IPv6.
    #[doc(alias = "AF_INET6")]
    Inet6,
    /// Within one machine: by path, by abstract name, or unnamed.
    #[doc(alias = "AF_UNIX")]
    Unix,
}

/// What a socket carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A stream of bytes: TCP.
    #[doc(alias = "SOCK_STREAM")]
    Stream,
    /// Datagrams: UDP.
    #[doc(alias = "SOCK_DGRAM")]
    Datagram,
    /// Packets of a protocol, with its headers. Needs a privilege.
    #[doc(alias = "SOCK_RAW")]
    Raw,
    /// A connection that keeps the boundaries of messages. Unix addresses only.
    #[doc(alias = "SOCK_SEQPACKET")]
    SeqPacket,
}

impl Family {
    const fn domain(self) -> Domain {
        match self {
            Self::Inet => Domain::IPV4,
            Self::Inet6 => Domain::IPV6,
            Self::Unix => Domain::UNIX,
        }
    }

    fn from_domain(domain: Domain) -> Result<Self, Error> {
        [Self::Inet, Self::Inet6, Self::Unix].into_iter().find(|family| family.domain() == domain).ok_or(Error::Family)
    }
}

impl Kind {
    const fn as_type(self) -> Type {
        match self {
            Self::Stream => Type::STREAM,
            Self::Datagram => Type::DGRAM,
            Self::Raw => Type::RAW,
            Self::SeqPacket => Type::SEQPACKET,
        }
    }

    fn from_type(kind: Type) -> Result<Self, Error> {
        let all = [Self::Stream, Self::Datagram, Self::Raw, Self::SeqPacket];
        all.into_iter().find(|known| known.as_type() == kind).ok_or(Error::Kind)
    }
}

/// No time limit, among the nanoseconds of one.
const ENDLESS: u64 = u64::MAX;

#[derive(Debug)]
struct Inner {
    socket: socket2::Socket,
    family: Family,
    kind: Kind,
    /// Nanoseconds; 0: never wait.
    timeout: AtomicU64,
}

/// A socket. It is closed when it and every [`File`] made of it are gone. See the [module](self).
#[derive(Debug)]
pub struct Socket(Arc<Inner>);

impl Socket {
    /// A socket that waits for ever, of the protocol that is usual for its family and kind.
    ///
    /// # Errors
    /// [`Error::Os`]: there is no such combination (`EPROTONOSUPPORT`, `ESOCKTNOSUPPORT`), no privilege (`EPERM`), or no
    /// descriptor left (`EMFILE`).
    #[doc(alias = "socket.socket")]
    pub fn new(family: Family, kind: Kind) -> Result<Self, Error> {
        Self::with_protocol(family, kind, 0)
    }

    /// As [`new`](Self::new), with the number of a protocol: 1 for ICMP, 58 for ICMPv6; 0 is the usual one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[doc(alias = "proto")]
    pub fn with_protocol(family: Family, kind: Kind, protocol: i32) -> Result<Self, Error> {
        let protocol = (protocol != 0).then(|| Protocol::from(protocol));
        let socket = socket2::Socket::new(family.domain(), kind.as_type(), protocol)?;
        Ok(Self::adopt(socket, family, kind, None))
    }

    /// A socket of a descriptor that exists; what it is, is asked of the kernel. It waits unless its descriptor is a
    /// non-blocking one.
    ///
    /// # Errors
    /// [`Error::Os`] with `ENOTSOCK`; [`Error::Family`] or [`Error::Kind`] if there is no name for what it is.
    #[doc(alias = "fromfd")]
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, Error> {
        let socket = socket2::Socket::from(descriptor);
        let family = Family::from_domain(socket.domain()?)?;
        let kind = Kind::from_type(socket.r#type()?)?;
        let timeout = if socket.nonblocking()? { Some(Duration::ZERO) } else { None };
        socket.set_cloexec(true)?;
        Ok(Self::adopt(socket, family, kind, timeout))
    }

    /// Two that are connected with each other, unnamed.
    ///
    /// # Errors
    /// [`Error::Os`]: [`Kind::Raw`] cannot be paired; no descriptor is left.
    pub fn socketpair(kind: Kind) -> Result<(Self, Self), Error> {
        let (a, b) = socket2::Socket::pair(Domain::UNIX, kind.as_type(), None)?;
        Ok((Self::adopt(a, Family::Unix, kind, None), Self::adopt(b, Family::Unix, kind, None)))
    }

    fn adopt(socket: socket2::Socket, family: Family, kind: Kind, timeout: Option<Duration>) -> Self {
        Self(Arc::new(Inner { socket, family, kind, timeout: AtomicU64::new(nanos(timeout)) }))
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.0.family
    }

    /// What it carries.
    #[doc(alias = "type")]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The number of its protocol.
    ///
    /// # Errors
    /// [`Error::Os`].
    #[doc(alias = "proto")]
    pub fn protocol(&self) -> Result<i32, Error> {
        Ok(self.raw().protocol()?.map_or(0, i32::from))
    }

    /// A second descriptor of the same socket, with the same time limit.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor is left.
    #[doc(alias = "dup")]
    pub fn try_clone(&self) -> Result<Self, Error> {
        Ok(Self::adopt(self.raw().try_clone()?, self.family(), self.kind(), self.gettimeout()))
    }

    /// Closes it, unless a [`File`] of it lives: then with that. Dropping does the same.
    pub fn close(self) {}

    /// Gives up the socket without closing its descriptor. While a [`File`] of it lives, that keeps the descriptor, and
    /// what comes back is a second one of the same socket.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor is left for a second one.
    pub fn detach(self) -> Result<OwnedFd, Error> {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Ok(inner.socket.into()),
            Err(shared) => Ok(shared.socket.try_clone()?.into()),
        }
    }

    /// How long a call may wait: `None` for ever, zero not at all.
    pub fn gettimeout(&self) -> Option<Duration> {
        match self.0.timeout.load(Ordering::Relaxed) {
            ENDLESS => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Sets how long a call may wait, from the next call on: see [`gettimeout`](Self::gettimeout).
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn settimeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.raw().set_nonblocking(timeout.is_some())?;
        self.0.timeout.store(nanos(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// `true` is a time limit of none, `false` of zero.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn setblocking(&self, blocking: bool) -> Result<(), Error> {
        self.settimeout(if blocking { None } else { Some(Duration::ZERO) })
    }

    /// Whether calls may wait.
    pub fn getblocking(&self) -> bool {
        self.0.timeout.load(Ordering::Relaxed) != 0
    }

    /// Takes an address. Port 0, or [`Address::Unnamed`], lets the kernel choose: see [`getsockname`](Self::getsockname).
    ///
    /// # Errors
    /// [`Error::Family`], [`Error::PathLength`], [`Error::PathNul`]; [`Error::Os`]: in use (`EADDRINUSE`), not allowed
    /// (`EACCES`), not of this machine (`EADDRNOTAVAIL`).
    pub fn bind(&self, address: impl Into<Address>) -> Result<(), Error> {
        Ok(self.raw().bind(&self.checked(&address.into())?)?)
    }

    /// Lets others connect, with room for `backlog` that were not accepted yet. The kernel has a bound of its own
    /// (`net.core.somaxconn`, 4,096), and takes that for more.
    ///
    /// # Errors
    /// [`Error::Os`] with `EOPNOTSUPP` where nothing connects; `EADDRINUSE`.
    pub fn listen(&self, backlog: u32) -> Result<(), Error> {
        Ok(self.raw().listen(i32::try_from(backlog).unwrap_or(i32::MAX))?)
    }

    /// Takes a connection, and its peer's address. It waits for ever by default, whatever the listener does.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::TimedOut`], [`Error::Os`]: no descriptor is left, it does not listen (`EINVAL`).
    pub fn accept(&self) -> Result<(Self, Address), Error> {
        let (socket, peer) = self.call(PollFlags::POLLIN, socket2::Socket::accept)?;
        let peer = Address::from_kernel(&peer).unwrap_or(Address::Unnamed);
        Ok((Self::adopt(socket, self.family(), self.kind(), None), peer))
    }

    /// Connects, or for datagrams takes a peer. A socket that never waits gets [`Error::Os`] with `EINPROGRESS`: it is
    /// writable once it is up or has failed, and [`option::SocketError`] tells which.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Family`], [`Error::PathLength`], [`Error::PathNul`]; [`Error::Os`]: refused
    /// (`ECONNREFUSED`), unreachable, already connected (`EISCONN`), no such path (`ENOENT`).
    pub fn connect(&self, address: impl Into<Address>) -> Result<(), Error> {
        let address = self.checked(&address.into())?;
        let patience = self.patience();
        let error = match self.raw().connect(&address) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw) {
            // Connecting goes on after a signal, and must not be asked for again.
            Some(Errno::EINTR) => {}
            Some(Errno::EINPROGRESS) if !matches!(patience, Patience::None) => {}
            // The backlog of a Unix listener is full, and nothing tells when it is not.
            Some(Errno::EAGAIN) if matches!(patience, Patience::Until(_)) => {
                return self.connect_in_turn(&address, patience);
            }
            _ => return Err(error.into()),
        }
        patience.wait(self.as_fd(), PollFlags::POLLOUT)?;
        match self.raw().take_error()? {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }

    /// Tries a full Unix listener again and again, ever more seldom.
    fn connect_in_turn(&self, address: &socket2::SockAddr, patience: Patience) -> Result<(), Error> {
        let Patience::Until(deadline) = patience else { return Err(Error::WouldBlock) };
        let mut pause = Duration::from_micros(100);
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Err(Error::TimedOut);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
            match self.raw().connect(address).map_err(Error::from) {
                Err(Error::WouldBlock) => {}
                result => return result,
            }
        }
    }

    /// As [`connect`](Self::connect), but says how it went by a number: 0, or an `errno` (`EAGAIN` for a time limit that
    /// is over, as in Python).
    pub fn connect_ex(&self, address: impl Into<Address>) -> i32 {
        self.connect(address).map_or_else(|error| error.number(), |()| 0)
    }

    /// Ends a half of the connection, or both. What was sent still goes out; the other half goes on. A call that waits in
    /// another thread returns.
    ///
    /// # Errors
    /// [`Error::Os`] with `ENOTCONN`.
    pub fn shutdown(&self, how: How) -> Result<(), Error> {
        Ok(nix::sys::socket::shutdown(self.as_raw_fd(), how)?)
    }

    /// Its own address.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn getsockname(&self) -> Result<Address, Error> {
        Address::from_kernel(&self.raw().local_addr()?).ok_or(Error::Family)
    }

    /// The address of its peer.
    ///
    /// # Errors
    /// [`Error::Os`] with `ENOTCONN`.
    pub fn getpeername(&self) -> Result<Address, Error> {
        Address::from_kernel(&self.raw().peer_addr()?).ok_or(Error::Family)
    }

    /// The value of an [`option`].
    ///
    /// # Errors
    /// [`Error::Os`] with `ENOPROTOOPT` or `EOPNOTSUPP`: not for this socket.
    pub fn getsockopt<O: GetSockOpt>(&self, option: O) -> Result<O::Val, Error> {
        Ok(nix::sys::socket::getsockopt(self, option)?)
    }

    /// Sets an [`option`].
    ///
    /// # Errors
    /// [`Error::Os`], as [`getsockopt`](Self::getsockopt); `EINVAL`: not this value.
    pub fn setsockopt<O: SetSockOpt>(&self, option: O, value: &O::Val) -> Result<(), Error> {
        Ok(nix::sys::socket::setsockopt(self, option, value)?)
    }

    fn raw(&self) -> &socket2::Socket {
        &self.0.socket
    }

    fn patience(&self) -> Patience {
        Patience::of(self.gettimeout())
    }

    fn checked(&self, address: &Address) -> Result<socket2::SockAddr, Error> {
        if address.family() == self.family() { address.for_kernel() } else { Err(Error::Family) }
    }

    /// Makes a call on the socket, and waits until it is `ready` as often and as long as its time limit allows.
    fn call<T>(&self, ready: PollFlags, call: impl Fn(&socket2::Socket) -> io::Result<T>) -> Result<T, Error> {
        self.patience().call(self.as_fd(), ready, || call(self.raw()))
    }
}

fn nanos(timeout: Option<Duration>) -> u64 {
    timeout.map_or(ENDLESS, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(ENDLESS))
}

/// `fileno`.
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw().as_fd()
    }
}

/// `fileno`.
impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.raw().as_raw_fd()
    }
}
