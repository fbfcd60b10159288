//! The host world: the operating system's TCP and UDP sockets behind [`tidemill_core::net::Stack`] and
//! [`Datagrams`](tidemill_core::net::Datagrams), and
//! the loop around them.
//!
//! A [`Net`] holds a fixed number of non-blocking sockets and one edge-triggered epoll. Each socket is registered once,
//! when it is made; what the kernel reports is kept as two flags per socket, *readable* and *writable*, and a flag falls
//! when a call found nothing more to do. So `watch` costs no system call, and a call that could only say "would block"
//! is not made at all.
//!
//! It is the [`World`] that [`run`](tidemill_core::executor::run) needs: between two turns of a program it sleeps, until a
//! watched socket is ready, until the time the program named, or until a [`Waker`] is used from another thread or a
//! signal handler.
//!
//! Nothing here raises `SIGPIPE` in a Rust program (its runtime ignores the signal; [`Stack::send`] also passes
//! `MSG_NOSIGNAL`), and every descriptor is close-on-exec from birth.
//!
//! ```
//! use tidemill_core::net::{Interest, Stack, Token};
//! use tidemill_host::net::Net;
//!
//! let mut net = Net::new(4)?;
//! let listener = net.listen("127.0.0.1:0".parse()?, 16)?;
//! let client = net.connect(net.local_addr(listener)?)?;
//! net.watch(listener, Interest::Read, Token(7))?;
//! net.wait(None)?;
//! assert_eq!(net.next_ready(), Some(Token(7)));
//! let (server, peer) = net.accept(listener).unwrap();
//! assert_eq!(peer, net.local_addr(client)?);
//! assert_eq!(net.send(server, b"tide").unwrap(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod datagrams;
mod entry;
mod error;
mod poller;
pub mod resolve;
mod table;
mod waker;

pub(crate) use error::failure;
pub use waker::Waker;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::time::Duration as StdDuration;

use entry::{Entry, Kind, Phase};
use error::no_descriptor;
use nix::sys::epoll::EpollFlags;
use poller::Poller;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use table::Table;
use tidemill_core::executor::World;
use tidemill_core::net::{Error, Handle, Interest, Stack, TlsError, Token};
use tidemill_core::time::{Clock, Duration, Instant};

use crate::tls::{Identity, Session, Trust};

/// How long a listener rests when the system has no descriptor left. A socket closed here ends the rest sooner.
const STARVED: Duration = Duration::from_millis(50);

/// How long what TLS still holds of a connection that was closed may take to go out.
const LINGER: Duration = Duration::from_secs(30);

/// How much of a file is encrypted at a time.
const FILE_PIECE: usize = 16 << 10;

/// The most sockets one [`Net`] can hold: a handle's slot number has 16 bits.
pub const MAX_SOCKETS: usize = u16::MAX as usize;

/// The host's network: a fixed number of sockets and one readiness loop. See the [module](self).
#[derive(Debug)]
pub struct Net {
    poller: Poller,
    sockets: Table<Entry>,
    waker: Waker,
    start: std::time::Instant,
    /// Until when the listeners that found no room are left alone.
    starved_until: Option<Instant>,
    trust: Option<Trust>,
    /// Closed connections of which TLS still holds something, each with the end of its time. As many as sockets at most.
    lingering: Vec<(Handle, Entry, Instant)>,
}

impl Net {
    /// Room for `capacity` sockets, listeners included; at most [`MAX_SOCKETS`]. All memory is taken here.
    ///
    /// # Errors
    /// The system gives no epoll or event descriptor.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let waker = Waker::new()?;
        Ok(Self {
            poller: Poller::new(&waker)?,
            sockets: Table::new(capacity.min(MAX_SOCKETS)),
            waker,
            start: std::time::Instant::now(),
            starved_until: None,
            trust: None,
            lingering: Vec::new(),
        })
    }

    /// What ends a [`wait`](Self::wait) from another thread or from a signal handler.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Whom to trust in [`connect_secure`](Stack::connect_secure) from now on. Without it, the system's roots are read at
    /// its first call.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = Some(trust);
    }

    /// As [`listen`](Stack::listen), under TLS. A connection is accepted before it has agreed on keys: that is part of
    /// its first `recv` or `send`, which fail if it cannot.
    ///
    /// # Errors
    /// As `listen`.
    pub fn listen_secure(&mut self, local: SocketAddr, backlog: usize, identity: &Identity) -> Result<Handle, Error> {
        self.open_listener(local, backlog, Some(identity.clone()))
    }

    /// Takes a socket that exists already: one that listens, one that is connected, or one for datagrams. From here on
    /// it never waits, whatever its time limit was. With an `identity`, the connections of one that listens are under TLS,
    /// as those of [`listen_secure`](Self::listen_secure).
    ///
    /// # Errors
    /// [`Error::Full`]; [`Error::Unreachable`]: not of an internet family; [`Error::NotConnected`]: a stream that neither
    /// listens nor is connected, or neither stream nor datagrams. The socket is closed then.
    pub fn adopt(&mut self, socket: crate::socket::Socket, identity: Option<&Identity>) -> Result<Handle, Error> {
        use crate::socket::{Family, Kind as Sort, option};
        if socket.family() == Family::Unix {
            return Err(Error::Unreachable);
        }
        let sort = socket.kind();
        let listens = sort == Sort::Stream && socket.getsockopt(option::AcceptConn) == Ok(true);
        let socket = Socket::from(socket.detach().map_err(|_| Error::Full)?);
        let prepared = socket.set_nonblocking(true).and_then(|()| match sort {
            Sort::Stream => socket.set_tcp_nodelay(true),
            _ => Ok(()),
        });
        prepared.map_err(|error| failure(&error))?;
        if listens {
            return self.admit(Entry::listener(socket.into(), identity.cloned()));
        }
        match sort {
            Sort::Stream if socket.peer_addr().is_ok() => self.admit(Entry::stream(socket.into(), Phase::Up, None)),
            Sort::Datagram => self.admit(Entry::datagrams(socket.into())),
            _ => Err(Error::NotConnected),
        }
    }

    /// Who a listener is from the next connection on, if its connections are under TLS.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::NotConnected`]: it is no such listener.
    pub fn set_identity(&mut self, listener: Handle, new: &Identity) -> Result<(), Error> {
        match &mut self.sockets.get_mut(listener).ok_or(Error::Stale)?.socket {
            Kind::Listener { identity: Some(identity), .. } => identity.clone_from(new),
            _ => return Err(Error::NotConnected),
        }
        Ok(())
    }

    /// How many more sockets there is room for.
    pub fn room(&self) -> usize {
        self.sockets.room()
    }

    /// Sleeps until a watched socket is ready, `until` has come (`None`: for ever), a [`Waker`] was used or a signal
    /// was handled. With tokens waiting in [`Stack::next_ready`], or a time that has passed, it only collects events.
    ///
    /// # Errors
    /// The system refuses to wait, which none of the documented causes leaves possible.
    pub fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let until = match (until, self.starved_until) {
            (Some(until), Some(starved)) => Some(until.min(starved)),
            (until, starved) => until.or(starved),
        };
        let start = self.start;
        let left = || until.map(|until| StdDuration::from_micros(until.as_ticks()).saturating_sub(start.elapsed()));
        let idle = !self.sockets.any_queued();
        let events = self.poller.wait(|| if idle { left() } else { Some(StdDuration::ZERO) })?;
        for at in 0..events {
            let Some((handle, flags)) = self.poller.event(at) else {
                self.waker.clear();
                continue;
            };
            self.note(handle, flags);
        }
        if self.starved_until.is_some_and(|until| self.now() >= until) {
            self.feed();
        }
        Ok(())
    }

    /// Sends up to `len` bytes of `file` from `offset` on, without copying them through this process unless they go under
    /// TLS. `Ok(0)`: the file ends there (or `len` is 0).
    ///
    /// # Errors
    /// As [`Stack::send`].
    pub fn sendfile(&mut self, socket: Handle, file: BorrowedFd<'_>, offset: u64, len: u64) -> nb::Result<u64, Error> {
        let entry = self.sockets.get_mut(socket).ok_or(Error::Stale)?;
        if entry.is_secure() {
            let mut piece = [0; FILE_PIECE];
            let want = usize::try_from(len).map_or(FILE_PIECE, |len| len.min(FILE_PIECE));
            // A file read for nothing when there is no room: so only if there is.
            entry.flush()?;
            let at = i64::try_from(offset).map_err(|_| Error::Os(nix::libc::EINVAL))?;
            let read = nix::sys::uio::pread(file, &mut piece[..want], at);
            let count = read.map_err(|errno| failure(&errno.into()))?;
            return Ok(entry.send(&piece[..count], (count as u64) < len)? as u64);
        }
        // What one call of the kernel takes at most, page aligned.
        let count = usize::try_from(len).unwrap_or(usize::MAX).min(0x7fff_f000);
        entry.write(|stream| {
            let mut at = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
            Ok(nix::sys::sendfile::sendfile64(stream, file, Some(&mut at), count)? as u64)
        })
    }

    /// Takes what the poller told of a socket. Events of a closed one may still be on their way: they are dropped.
    fn note(&mut self, handle: Handle, flags: EpollFlags) {
        let Some(entry) = self.sockets.get_mut(handle) else {
            self.note_lingering(handle, flags);
            return;
        };
        if matches!(entry.socket, Kind::Listener { starved: true, .. }) {
            // It is asked again when its rest is over, whatever has come until then.
            return;
        }
        let broken = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        let ended = broken || flags.contains(EpollFlags::EPOLLRDHUP);
        entry.hung_up |= ended;
        entry.readable |= ended || flags.contains(EpollFlags::EPOLLIN);
        entry.writable |= broken || flags.contains(EpollFlags::EPOLLOUT);
        // What TLS held back goes now: its owner may only be waiting for an answer to it. An error shows in the next call.
        let _ = entry.flush();
        // A peer's FIN wakes a writer too, once: `watch` must not find it ready again, or a full socket would spin.
        let wakes = |(interest, _): &mut (Interest, Token)| {
            ended
                || match interest {
                    Interest::Read => entry.readable,
                    Interest::Write => entry.writable,
                    Interest::Both => true,
                }
        };
        if let Some((_, token)) = entry.watch.take_if(wakes) {
            self.sockets.queue(handle, token);
        }
    }

    /// There may be room for what a closed connection still has to send.
    fn note_lingering(&mut self, handle: Handle, flags: EpollFlags) {
        let Some(at) = self.lingering.iter().position(|(of, ..)| *of == handle) else { return };
        let entry = &mut self.lingering[at].1;
        entry.writable |= flags.intersects(EpollFlags::EPOLLOUT | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if !matches!(entry.flush(), Err(nb::Error::WouldBlock)) {
            self.lingering.swap_remove(at);
        }
    }

    fn open_listener(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        identity: Option<Identity>,
    ) -> Result<Handle, Error> {
        if self.sockets.room() == 0 {
            return Err(Error::Full);
        }
        let open = || {
            let kind = Type::STREAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::for_address(local), kind, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            // Connections inherit it.
            socket.set_tcp_nodelay(true)?;
            socket.bind(&local.into())?;
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX).max(1))?;
            Ok(TcpListener::from(socket))
        };
        let socket = open().map_err(|error| failure(&error))?;
        self.admit(Entry::listener(socket, identity))
    }

    /// Starts a connection; `tls`: one that is secured once it is there.
    fn open_stream(&mut self, remote: SocketAddr, tls: Option<Box<Session>>) -> Result<Handle, Error> {
        if self.sockets.room() == 0 {
            return Err(Error::Full);
        }
        let open = || {
            let kind = Type::STREAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::for_address(remote), kind, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&remote.into()) {
                // An interrupted connect goes on by itself, like one that would block.
                Err(error)
                    if error.raw_os_error() != Some(nix::libc::EINPROGRESS)
                        && error.kind() != io::ErrorKind::Interrupted =>
                {
                    Err(error)
                }
                _ => Ok(TcpStream::from(socket)),
            }
        };
        let stream = open().map_err(|error| failure(&error))?;
        // Registered only now: a socket that has not begun to connect would be reported as hung up.
        self.admit(Entry::stream(stream, Phase::Connecting, tls))
    }

    /// Puts a new socket into the table and under the poller.
    fn admit(&mut self, entry: Entry) -> Result<Handle, Error> {
        let handle = self.sockets.insert(entry).ok_or(Error::Full)?;
        // The entry was inserted in the line before.
        let entry = self.sockets.get_mut(handle).ok_or(Error::Stale)?;
        self.poller.add(entry, handle).inspect_err(|_| drop(self.sockets.remove(handle)))?;
        Ok(handle)
    }

    fn remove(&mut self, handle: Handle) -> Option<Entry> {
        // Closing the descriptor takes it out of the epoll set.
        let entry = self.sockets.remove(handle)?;
        self.feed();
        Some(entry)
    }

    /// Lets the listeners try again that found no room.
    fn feed(&mut self) {
        if self.starved_until.take().is_none() {
            return;
        }
        for index in 0..self.sockets.len() {
            let Some((handle, entry)) = self.sockets.at_mut(index) else { continue };
            if let Kind::Listener { starved, .. } = &mut entry.socket
                && std::mem::take(starved)
            {
                self.note(handle, EpollFlags::EPOLLIN);
            }
        }
    }

    /// A listener that cannot be served now must not be ready, or its watcher would spin.
    fn starve(&mut self, listener: Handle) -> Error {
        if let Some(entry) = self.sockets.get_mut(listener)
            && let Kind::Listener { starved, .. } = &mut entry.socket
        {
            *starved = true;
            entry.readable = false;
        }
        self.starved_until = Some(self.now() + STARVED);
        Error::Full
    }
}

impl World for Net {
    type Net = Self;
    type Error = io::Error;

    fn net(&mut self) -> &mut Self {
        self
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        Net::wait(self, until)
    }
}

impl Clock for Net {
    /// Time since this `Net` was made, by the monotonic clock.
    fn now(&self) -> Instant {
        Instant::from_ticks(self.start.elapsed().as_micros() as u64)
    }
}

impl Stack for Net {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error> {
        self.open_listener(local, backlog, None)
    }

    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        let room = self.sockets.room() > 0;
        let entry = self.sockets.get_mut(listener).ok_or(Error::Stale)?;
        let Kind::Listener { socket, starved, identity } = &entry.socket else {
            return Err(Error::NotConnected.into());
        };
        if *starved {
            return Err(Error::Full.into());
        }
        if !entry.readable {
            return Err(nb::Error::WouldBlock);
        }
        if !room {
            return Err(self.starve(listener).into());
        }
        let accepted = loop {
            // One call for the connection, its address, and the flags of its descriptor.
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::acceptfrom_with(socket, flags).map_err(io::Error::from) {
                // The connection was gone before it could be taken: look at the next.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                accepted => break accepted,
            }
        };
        let identity = identity.clone();
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                entry.readable = false;
                return Err(nb::Error::WouldBlock);
            }
            Err(error) if no_descriptor(&error) => return Err(self.starve(listener).into()),
            Err(error) => return Err(failure(&error).into()),
        };
        let stream = TcpStream::from(stream);
        // It is of the internet, as its listener is.
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(Error::Reset)?;
        let (phase, tls) = match identity {
            Some(identity) => (Phase::Handshaking, Some(Box::new(Session::server(&identity)?))),
            None => (Phase::Up, None),
        };
        // The poller learns of it when it is first waited for: one that is answered at once and closed never is.
        let handle = self.sockets.insert(Entry::stream(stream, phase, tls)).ok_or(Error::Full)?;
        Ok((handle, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }

    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error> {
        self.open_stream(remote, None)
    }

    fn connect_secure(&mut self, remote: SocketAddr, name: &str) -> Result<Handle, Error> {
        let trust = match self.trust.take() {
            Some(trust) => trust,
            // Without a single root, nobody is known.
            None => Trust::system().map_err(|_| Error::Tls(TlsError::UnknownIssuer))?,
        };
        let session = Session::client(self.trust.insert(trust), name)?;
        self.open_stream(remote, Some(Box::new(session)))
    }

    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error> {
        self.sockets.get_mut(socket).ok_or(Error::Stale)?.connected()
    }

    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        self.sockets.get_mut(socket).ok_or(Error::Stale)?.recv(buf)
    }

    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.sockets.get_mut(socket).ok_or(Error::Stale)?.send(buf, false)
    }

    fn send_more(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.sockets.get_mut(socket).ok_or(Error::Stale)?.send(buf, true)
    }

    fn cork(&mut self, socket: Handle) {
        if let Some(Entry { socket: Kind::Stream { socket, .. }, .. }) = self.sockets.get(socket) {
            // It only saves a packet.
            let _ = SockRef::from(socket).set_tcp_cork(true);
        }
    }

    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        self.sockets.get_mut(socket).ok_or(Error::Stale)?.shutdown()
    }

    fn close(&mut self, socket: Handle) {
        let now = self.now();
        let Some(mut entry) = self.remove(socket) else { return };
        if matches!(entry.say_goodbye(), Err(nb::Error::WouldBlock)) {
            self.lingering.retain(|(.., until)| now < *until);
            if self.lingering.len() == self.sockets.len() {
                self.lingering.remove(0);
            }
            if entry.polled || self.poller.add(&mut entry, socket).is_ok() {
                self.lingering.push((socket, entry, now + LINGER));
            }
        }
    }

    fn abort(&mut self, socket: Handle) {
        if let Some(Entry { socket: Kind::Stream { socket, .. }, .. }) = self.remove(socket) {
            // Closed with no time to linger, a socket sends a reset; if the kernel refuses that, it is still closed.
            let _ = SockRef::from(&socket).set_linger(Some(StdDuration::ZERO));
        }
    }

    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, Error> {
        match &self.sockets.get(socket).ok_or(Error::Stale)?.socket {
            Kind::Listener { socket, .. } => socket.local_addr(),
            Kind::Stream { socket, .. } => socket.local_addr(),
            Kind::Datagrams(socket) => socket.local_addr(),
        }
        .map_err(|error| failure(&error))
    }

    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        let entry = self.sockets.get_mut(socket).ok_or(Error::Stale)?;
        entry.watch = None;
        if entry.ready_for(interest) {
            self.sockets.queue(socket, token);
        } else {
            if !entry.polled {
                // What has come meanwhile is reported, too.
                self.poller.add(entry, socket)?;
            }
            entry.watch = Some((interest, token));
            self.sockets.unqueue(socket);
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Token> {
        self.sockets.pop()
    }
}

#[cfg(test)]
pub(crate) mod tests;
