//! One socket: what is known of its readiness and of its end, and the calls that keep that knowledge.
//!
//! A readiness flag rises when the poller says so and falls when a call found nothing more to do. For a stream a short
//! read or write means that too, and saves the call that would only say so; unless the peer has hung up, because then
//! no further event would come.

use std::io::{self, Read as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use tidemill_core::net::{Error, Interest, Token};

use super::error::failure;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) socket: Kind,
    /// What the next call would not block for, as far as is known.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has sent its FIN, or the connection is broken: a short read does not mean that nothing is left.
    pub(super) hung_up: bool,
    pub(super) watch: Option<(Interest, Token)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `starved`: there was no room for the connection that waits.
    Listener {
        socket: TcpListener,
        starved: bool,
    },
    /// `ended`: all was read; `shut`: our half is; `fault`: what broke it, kept because the kernel tells it only once.
    Stream {
        socket: TcpStream,
        phase: Phase,
        ended: bool,
        shut: bool,
        fault: Option<Error>,
    },
    Datagrams(UdpSocket),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Connecting,
    Up,
    Failed(Error),
}

impl Entry {
    pub(super) fn stream(socket: TcpStream, phase: Phase) -> Self {
        // A connection just accepted often carries its first request already, and has room to write: worth a try
        // before the poller has said so.
        let up = phase == Phase::Up;
        let socket = Kind::Stream { socket, phase, ended: false, shut: false, fault: None };
        Self { socket, readable: up, writable: up, hung_up: false, watch: None }
    }

    pub(super) fn datagrams(socket: UdpSocket) -> Self {
        Self { socket: Kind::Datagrams(socket), readable: true, writable: true, hung_up: false, watch: None }
    }

    /// The socket, if it is one of UDP.
    pub(super) fn as_datagrams(&self) -> Result<&UdpSocket, Error> {
        match &self.socket {
            Kind::Datagrams(socket) => Ok(socket),
            _ => Err(Error::NotConnected),
        }
    }

    pub(super) fn ready_for(&self, interest: Interest) -> bool {
        match interest {
            Interest::Read => self.readable,
            Interest::Write => self.writable,
            Interest::Both => self.readable || self.writable,
        }
    }

    pub(super) fn connected(&mut self) -> nb::Result<(), Error> {
        let Kind::Stream { socket, phase, .. } = &mut self.socket else { return Err(Error::NotConnected.into()) };
        if *phase == Phase::Connecting {
            if !self.writable {
                return Err(nb::Error::WouldBlock);
            }
            *phase = match socket.take_error() {
                Ok(None) => Phase::Up,
                Ok(Some(error)) | Err(error) => Phase::Failed(failure(&error)),
            };
        }
        match *phase {
            Phase::Failed(error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The stream, once its connection is up.
    pub(super) fn up(&mut self) -> Result<(), Error> {
        self.connected().map_err(|error| match error {
            nb::Error::WouldBlock => Error::NotConnected,
            nb::Error::Other(error) => error,
        })
    }

    pub(super) fn recv(&mut self, buf: &mut [u8]) -> nb::Result<usize, Error> {
        self.up()?;
        let Kind::Stream { socket, ended, fault, .. } = &mut self.socket else {
            return Err(Error::NotConnected.into());
        };
        if *ended || buf.is_empty() {
            return Ok(0);
        }
        if !self.readable {
            return Err(nb::Error::WouldBlock);
        }
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
        self.up()?;
        let Kind::Stream { socket, shut, fault, .. } = &mut self.socket else { return Err(Error::NotConnected) };
        if std::mem::replace(shut, true) {
            return Ok(());
        }
        // Of a connection that is gone the kernel says "not connected"; `recv` has the reason.
        socket.shutdown(Shutdown::Write).map_err(|error| fault.unwrap_or_else(|| failure(&error)))
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
        if !self.writable {
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

/// Repeats a call that a signal interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
