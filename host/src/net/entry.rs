//! One socket: what is known of its readiness and of its end, and the calls that keep that knowledge.
//!
//! A readiness flag rises when the poller says so and falls when a call found nothing more to do. For a stream a short
//! read or write means that too, and saves the call that would only say so; unless the peer has hung up, because then
//! no further event would come.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::libc;
use nix::sys::epoll::EpollFlags;
use socket2::SockRef;
use tidemill_core::net::{Error, Interest, Token};

use super::error::failure;
use crate::tls::{Identity, Session};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) socket: Kind,
    /// What the next call would not block for, as far as is known.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has sent its FIN, or the connection is broken: a short read does not mean that nothing is left.
    pub(super) hung_up: bool,
    /// Whether the poller knows it.
    pub(super) polled: bool,
    pub(super) watch: Option<(Interest, Token)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `starved`: there was no room for the connection that waits; `identity`: its connections are under TLS.
    Listener {
        socket: TcpListener,
        starved: bool,
        identity: Option<Identity>,
    },
    /// `ended`: all was read; `shut`: our half is; `fault`: what broke it, kept because the kernel tells it only once.
    /// `tls`: what is sent and received goes through it.
    Stream {
        socket: TcpStream,
        phase: Phase,
        ended: bool,
        shut: bool,
        fault: Option<Error>,
        tls: Option<Box<Session>>,
    },
    Datagrams(UdpSocket),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Connecting,
    /// Connected, and agreeing on keys.
    Handshaking,
    Up,
    Failed(Error),
}

impl Entry {
    fn new(socket: Kind) -> Self {
        Self { socket, readable: false, writable: false, hung_up: false, polled: false, watch: None }
    }

    pub(super) fn listener(socket: TcpListener, identity: Option<Identity>) -> Self {
        Self { readable: true, ..Self::new(Kind::Listener { socket, starved: false, identity }) }
    }

    pub(super) fn stream(socket: TcpStream, phase: Phase, tls: Option<Box<Session>>) -> Self {
        // A connection just accepted often carries its first request already, and has room to write: worth a try
        // before the poller has said so.
        let up = phase != Phase::Connecting;
        let socket = Kind::Stream { socket, phase, ended: false, shut: false, fault: None, tls };
        Self { readable: up, writable: up, ..Self::new(socket) }
    }

    pub(super) fn datagrams(socket: UdpSocket) -> Self {
        Self { readable: true, writable: true, ..Self::new(Kind::Datagrams(socket)) }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Listener { socket, .. } => socket.as_fd(),
            Kind::Stream { socket, .. } => socket.as_fd(),
            Kind::Datagrams(socket) => socket.as_fd(),
        }
    }

    /// What the poller is to report of it.
    pub(super) fn events(&self) -> EpollFlags {
        match &self.socket {
            Kind::Listener { .. } => EpollFlags::EPOLLIN,
            Kind::Stream { .. } => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP,
            Kind::Datagrams(_) => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        }
    }

    /// The socket, if it is one of UDP.
    pub(super) fn as_datagrams(&self) -> Result<&UdpSocket, Error> {
        match &self.socket {
            Kind::Datagrams(socket) => Ok(socket),
            _ => Err(Error::NotConnected),
        }
    }

    pub(super) fn ready_for(&mut self, interest: Interest) -> bool {
        let (mut read, mut write) = (self.readable, self.writable);
        if let Kind::Stream { phase, tls: Some(tls), .. } = &mut self.socket {
            match phase {
                // Whichever way the handshake has to go, both wait for it.
                Phase::Handshaking => {
                    read |= write && tls.wants_write();
                    write = read;
                }
                _ => read |= tls.has_plaintext(),
            }
        }
        match interest {
            Interest::Read => read,
            Interest::Write => write,
            Interest::Both => read || write,
        }
    }

    /// Lets what TLS holds back go out, as far as there is room.
    pub(super) fn flush(&mut self) -> nb::Result<(), Error> {
        match self.secured() {
            Some((tls, mut raw)) => tls.flush(&mut raw),
            None => Ok(()),
        }
    }

    /// Says under TLS that nothing more is sent.
    pub(super) fn say_goodbye(&mut self) -> nb::Result<(), Error> {
        match self.secured() {
            Some((tls, mut raw)) if !tls.is_handshaking() => tls.close(&mut raw),
            _ => Ok(()),
        }
    }

    /// The TLS of a stream and what carries it.
    fn secured(&mut self) -> Option<(&mut Session, Raw<'_>)> {
        let Kind::Stream { socket, tls: Some(tls), .. } = &mut self.socket else { return None };
        let (readable, writable) = (&mut self.readable, &mut self.writable);
        Some((tls, Raw { socket, readable, writable, hung_up: self.hung_up, polled: self.polled, more: false }))
    }

    pub(super) fn connected(&mut self) -> nb::Result<(), Error> {
        let Kind::Stream { socket, phase, tls, .. } = &mut self.socket else { return Err(Error::NotConnected.into()) };
        if *phase == Phase::Connecting {
            if !self.writable {
                return Err(nb::Error::WouldBlock);
            }
            *phase = match socket.take_error() {
                Ok(None) if tls.is_some() => Phase::Handshaking,
                Ok(None) => Phase::Up,
                Ok(Some(error)) | Err(error) => Phase::Failed(failure(&error)),
            };
        }
        if *phase == Phase::Handshaking {
            let outcome = self.secured().map_or(Ok(()), |(tls, mut raw)| tls.handshake(&mut raw));
            let reached = match outcome {
                Ok(()) => Phase::Up,
                Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
                Err(nb::Error::Other(error)) => Phase::Failed(error),
            };
            self.set_phase(reached);
        }
        match self.phase() {
            Some(Phase::Failed(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn phase(&self) -> Option<Phase> {
        match &self.socket {
            Kind::Stream { phase, .. } => Some(*phase),
            _ => None,
        }
    }

    fn set_phase(&mut self, reached: Phase) {
        if let Kind::Stream { phase, .. } = &mut self.socket {
            *phase = reached;
        }
    }

    /// The stream, once its connection is up. The handshake of one that was accepted is part of receiving and sending.
    pub(super) fn up(&mut self) -> nb::Result<(), Error> {
        self.connected().map_err(|error| match error {
            nb::Error::WouldBlock if self.phase() != Some(Phase::Handshaking) => Error::NotConnected.into(),
            error => error,
        })
    }

    pub(super) fn recv(&mut self, buf: &mut [u8]) -> nb::Result<usize, Error> {
        self.up()?;
        let Kind::Stream { ended, .. } = &self.socket else { return Err(Error::NotConnected.into()) };
        if *ended || buf.is_empty() {
            return Ok(0);
        }
        if let Some((tls, mut raw)) = self.secured() {
            return tls.recv(&mut raw, buf);
        }
        if !self.readable && self.polled {
            return Err(nb::Error::WouldBlock);
        }
        let Kind::Stream { socket, ended, fault, .. } = &mut self.socket else {
            return Err(Error::NotConnected.into());
        };
        match retry(|| (&*socket).read(buf)) {
            Ok(0) => match *fault {
                // The kernel tells an error once; told to `send`, it reads as an end of stream, which it is not.
                Some(error) if error != Error::Closed => Err(error.into()),
                _ => {
                    *ended = true;
                    Ok(0)
                }
            },
            Ok(count) => {
                self.readable = count == buf.len() || self.hung_up;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Err(nb::Error::WouldBlock)
            }
            Err(error) => Err(nb::Error::Other(*fault.insert(failure(&error)))),
        }
    }

    pub(super) fn shutdown(&mut self) -> Result<(), Error> {
        match self.up() {
            Ok(()) => {}
            Err(nb::Error::WouldBlock) => return Err(Error::NotConnected),
            Err(nb::Error::Other(error)) => return Err(error),
        }
        let Kind::Stream { socket, shut, fault, tls, .. } = &mut self.socket else { return Err(Error::NotConnected) };
        if std::mem::replace(shut, true) {
            return Ok(());
        }
        if tls.is_some() {
            // The word of TLS is the end of our half. The socket stays open for what the protocol itself has to say.
            return match self.say_goodbye() {
                Err(nb::Error::Other(error)) => Err(error),
                _ => Ok(()),
            };
        }
        // Of a connection that is gone the kernel says "not connected"; `recv` has the reason.
        socket.shutdown(Shutdown::Write).map_err(|error| fault.unwrap_or_else(|| failure(&error)))
    }

    /// Sends bytes, through TLS where there is one; `more`: the kernel may hold them back for what follows at once.
    pub(super) fn send(&mut self, buf: &[u8], more: bool) -> nb::Result<usize, Error> {
        self.up()?;
        match &self.socket {
            _ if buf.is_empty() => return Ok(0),
            Kind::Stream { shut: true, tls: Some(_), .. } => return Err(Error::Closed.into()),
            _ => {}
        }
        if let Some((tls, mut raw)) = self.secured() {
            raw.more = more;
            return tls.send(&mut raw, buf);
        }
        let count = self.write(|stream| SockRef::from(stream).send_with_flags(buf, flags(more)))?;
        self.writable = count == buf.len();
        Ok(count)
    }

    /// Whether the kernel cannot send files over it by itself.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.socket, Kind::Stream { tls: Some(_), .. })
    }

    /// Runs a call that writes to the stream.
    pub(super) fn write<T>(&mut self, mut call: impl FnMut(&TcpStream) -> io::Result<T>) -> nb::Result<T, Error> {
        self.up()?;
        let Kind::Stream { socket, shut, fault, .. } = &mut self.socket else { return Err(Error::NotConnected.into()) };
        if let Some(error) = *fault {
            return Err(error.into());
        }
        if *shut {
            return Err(Error::Closed.into());
        }
        if !self.writable && self.polled {
            return Err(nb::Error::WouldBlock);
        }
        retry(|| call(socket)).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.writable = false;
                return nb::Error::WouldBlock;
            }
            nb::Error::Other(*fault.insert(failure(&error)))
        })
    }
}

/// The socket beneath TLS, which keeps the flags.
struct Raw<'e> {
    socket: &'e TcpStream,
    readable: &'e mut bool,
    writable: &'e mut bool,
    hung_up: bool,
    polled: bool,
    /// What is written may be held back for what follows at once.
    more: bool,
}

impl Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !*self.readable && self.polled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = retry(|| (&*self.socket).read(buf));
        match &read {
            Ok(count) => *self.readable = *count == buf.len() || self.hung_up,
            Err(error) => *self.readable = error.kind() != io::ErrorKind::WouldBlock,
        }
        read
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    /// TLS has its records in several pieces.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if !*self.writable && self.polled {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = retry(|| SockRef::from(self.socket).send_vectored_with_flags(pieces, flags(self.more)));
        match &written {
            Ok(count) => *self.writable = *count == pieces.iter().map(|piece| piece.len()).sum::<usize>(),
            Err(error) => *self.writable = error.kind() != io::ErrorKind::WouldBlock,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn flags(more: bool) -> i32 {
    libc::MSG_NOSIGNAL | if more { libc::MSG_MORE } else { 0 }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
