//! [embedded-nal](https://docs.rs/embedded-nal/0.9) 0.9 over any [`Stack`], for drivers written against its traits: those
//! of UDP where the stack has [`Datagrams`], too.
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

use super::{Datagrams, Error, Handle, Stack};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use embedded_nal::{TcpClientStack, TcpError, TcpErrorKind, TcpFullStack, UdpClientStack, UdpFullStack};

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

/// A TCP socket in embedded-nal's sense: it exists before it is connected or listens.
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
    /// The stack's socket, once there is one: to [`watch`](Stack::watch) it, for embedded-nal has no such call.
    pub fn handle(&self) -> Option<Handle> {
        match self.0 {
            State::Connecting(handle) | State::Open(handle) => Some(handle),
            State::Fresh | State::Bound(_) => None,
        }
    }

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

/// A UDP socket in embedded-nal's sense: it exists before it has a port.
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UdpSocket {
    handle: Option<Handle>,
    /// Where `send` sends to.
    peer: Option<SocketAddr>,
    /// Nobody but the peer is heard.
    connected: bool,
}

impl UdpSocket {
    /// The stack's socket, once there is one: to [`watch`](Stack::watch) it.
    pub fn handle(&self) -> Option<Handle> {
        self.handle
    }

    fn open(&self) -> Result<Handle, Error> {
        self.handle.ok_or(Error::NotConnected)
    }
}

impl<S: Datagrams> UdpClientStack for Nal<'_, S> {
    type UdpSocket = UdpSocket;
    type Error = Error;

    /// Takes nothing of the stack yet, so it never fails.
    fn socket(&mut self) -> Result<UdpSocket, Error> {
        Ok(UdpSocket::default())
    }

    /// From now on only `remote` is heard, at the port that was bound, or one that the stack chooses. May be called
    /// again with another.
    fn connect(&mut self, socket: &mut UdpSocket, remote: SocketAddr) -> Result<(), Error> {
        if socket.handle.is_none() {
            let any = match remote.ip() {
                IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            };
            socket.handle = Some(self.stack.bind(SocketAddr::new(any, 0))?);
        }
        (socket.peer, socket.connected) = (Some(remote), true);
        Ok(())
    }

    fn send(&mut self, socket: &mut UdpSocket, buffer: &[u8]) -> nb::Result<(), Error> {
        let peer = socket.peer.ok_or(Error::NotConnected)?;
        self.stack.send_to(socket.open()?, buffer, peer)
    }

    /// A datagram that `buffer` has no room for is lost, and told as [`Error::TooLong`].
    fn receive(&mut self, socket: &mut UdpSocket, buffer: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error> {
        let handle = socket.open()?;
        loop {
            let (len, from) = self.stack.recv_from(handle, buffer)?;
            let is_peer = socket.peer.is_some_and(|peer| (peer.ip(), peer.port()) == (from.ip(), from.port()));
            if socket.connected && !is_peer {
                continue;
            }
            return if len <= buffer.len() { Ok((len, from)) } else { Err(Error::TooLong.into()) };
        }
    }

    fn close(&mut self, socket: UdpSocket) -> Result<(), Error> {
        if let Some(handle) = socket.handle {
            self.stack.close(handle);
        }
        Ok(())
    }
}

impl<S: Datagrams> UdpFullStack for Nal<'_, S> {
    /// Receives at this port of every IPv4 address. Once only.
    fn bind(&mut self, socket: &mut UdpSocket, local_port: u16) -> Result<(), Error> {
        if socket.handle.is_some() {
            return Err(Error::NotConnected);
        }
        socket.handle = Some(self.stack.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, local_port)))?);
        Ok(())
    }

    /// Sends to `remote`; to where `send` sends from now on, too, unless it is connected.
    fn send_to(&mut self, socket: &mut UdpSocket, remote: SocketAddr, buffer: &[u8]) -> nb::Result<(), Error> {
        if !socket.connected {
            socket.peer = Some(remote);
        }
        self.stack.send_to(socket.open()?, buffer, remote)
    }
}
