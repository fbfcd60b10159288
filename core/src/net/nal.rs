//! [embedded-nal](https://docs.rs/embedded-nal/0.9) 0.9 over any [`Stack`], for drivers written against its TCP traits.
//!
//! A [`Nal`] is a view of a stack: two words, made where it is needed. Its sockets live on between views, so that
//! whoever owns the stack can move bytes in the meantime. embedded-nal has two kinds of error; ours come through whole,
//! and [`kind`](embedded_nal::TcpError::kind) says `PipeClosed` for those after which the connection is no more.
//!
//! ```
//! use core::net::SocketAddr;
//! use embedded_nal::TcpClientStack;
//! use tidemill_core::net::{Error, Stack, nal::{Nal, Socket}};
//!
//! /// A driver that knows nothing of tidemill.
//! fn ping<T: TcpClientStack>(net: &mut T, socket: &mut T::TcpSocket, to: SocketAddr) -> nb::Result<usize, T::Error> {
//!     net.connect(socket, to)?;
//!     net.send(socket, b"ping")
//! }
//!
//! fn turn<S: Stack>(stack: &mut S, socket: &mut Socket, to: SocketAddr) -> nb::Result<usize, Error> {
//!     ping(&mut Nal::new(stack, 1), socket, to)
//! }
//! ```

use super::{Error, Handle, Stack};
use core::net::{Ipv4Addr, SocketAddr};
use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack};

/// A stack seen through embedded-nal's traits. See the [module](self).
pub struct Nal<'a, S> {
    stack: &'a mut S,
    backlog: usize,
}

impl<'a, S: Stack> Nal<'a, S> {
    /// A view of `stack` whose `listen` asks for room for `backlog` connections.
    pub fn new(stack: &'a mut S, backlog: usize) -> Self {
        Self { stack, backlog }
    }
}

/// A socket in embedded-nal's sense: it exists before it is connected or listens.
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Socket(State);

#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    #[default]
    Fresh,
    Bound(u16),
    Connecting(Handle),
    Open(Handle),
}

impl Socket {
    fn open(&self) -> Result<Handle, Error> {
        match self.0 {
            State::Open(handle) => Ok(handle),
            _ => Err(Error::NotConnected),
        }
    }
}

impl TcpError for Error {
    fn kind(&self) -> TcpErrorKind {
        match self {
            Self::Reset | Self::TimedOut | Self::Closed => TcpErrorKind::PipeClosed,
            _ => TcpErrorKind::Other,
        }
    }
}

impl<S: Stack> TcpClientStack for Nal<'_, S> {
    type TcpSocket = Socket;
    type Error = Error;

    /// Takes nothing of the stack yet, so it never fails.
    fn socket(&mut self) -> Result<Socket, Error> {
        Ok(Socket::default())
    }

    /// Call until it is not `WouldBlock`. After a failure the socket is as new; once up, `Ok` again.
    fn connect(&mut self, socket: &mut Socket, remote: SocketAddr) -> nb::Result<(), Error> {
        let handle = match socket.0 {
            State::Fresh => self.stack.connect(remote)?,
            State::Connecting(handle) | State::Open(handle) => handle,
            State::Bound(_) => return Err(Error::NotConnected.into()),
        };
        let outcome = self.stack.connected(handle);
        socket.0 = match outcome {
            Ok(()) => State::Open(handle),
            Err(nb::Error::WouldBlock) => State::Connecting(handle),
            Err(nb::Error::Other(_)) => {
                self.stack.close(handle);
                State::Fresh
            }
        };
        outcome
    }

    fn send(&mut self, socket: &mut Socket, buffer: &[u8]) -> nb::Result<usize, Error> {
        self.stack.send(socket.open()?, buffer)
    }

    /// `Ok(0)` is the end of the stream (or an empty `buffer`).
    fn receive(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> nb::Result<usize, Error> {
        self.stack.recv(socket.open()?, buffer)
    }

    fn close(&mut self, socket: Socket) -> Result<(), Error> {
        if let State::Connecting(handle) | State::Open(handle) = socket.0 {
            self.stack.close(handle);
        }
        Ok(())
    }
}

impl<S: Stack> TcpFullStack for Nal<'_, S> {
    fn bind(&mut self, socket: &mut Socket, local_port: u16) -> Result<(), Error> {
        match socket.0 {
            State::Fresh | State::Bound(_) => socket.0 = State::Bound(local_port),
            State::Connecting(_) | State::Open(_) => return Err(Error::NotConnected),
        }
        Ok(())
    }

    /// Listens at the bound port of every IPv4 address.
    fn listen(&mut self, socket: &mut Socket) -> Result<(), Error> {
        let State::Bound(port) = socket.0 else { return Err(Error::NotConnected) };
        let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        socket.0 = State::Open(self.stack.listen(local, self.backlog)?);
        Ok(())
    }

    fn accept(&mut self, socket: &mut Socket) -> nb::Result<(Socket, SocketAddr), Error> {
        let (handle, peer) = self.stack.accept(socket.open()?)?;
        Ok((Socket(State::Open(handle)), peer))
    }
}
