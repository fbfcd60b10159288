//! No network: for tasks that need none.

use super::{Datagrams, Error, Handle, Interest, Stack, Token};
use core::net::SocketAddr;

/// A stack without sockets, for programs and tests that need none.
#[derive(Clone, Copy, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoNetwork;

impl Stack for NoNetwork {
    fn listen(&mut self, _: SocketAddr, _: usize) -> Result<Handle, Error> {
        Err(Error::Full)
    }
    fn accept(&mut self, _: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        Err(Error::Stale.into())
    }
    fn connect(&mut self, _: SocketAddr) -> Result<Handle, Error> {
        Err(Error::Unreachable)
    }
    fn connected(&mut self, _: Handle) -> nb::Result<(), Error> {
        Err(Error::Stale.into())
    }
    fn recv(&mut self, _: Handle, _: &mut [u8]) -> nb::Result<usize, Error> {
        Err(Error::Stale.into())
    }
    fn send(&mut self, _: Handle, _: &[u8]) -> nb::Result<usize, Error> {
        Err(Error::Stale.into())
    }
    fn shutdown(&mut self, _: Handle) -> Result<(), Error> {
        Err(Error::Stale)
    }
    fn close(&mut self, _: Handle) {}
    fn abort(&mut self, _: Handle) {}
    fn local_addr(&self, _: Handle) -> Result<SocketAddr, Error> {
        Err(Error::Stale)
    }
    fn watch(&mut self, _: Handle, _: Interest, _: Token) -> Result<(), Error> {
        Err(Error::Stale)
    }
    fn next_ready(&mut self) -> Option<Token> {
        None
    }
}

impl Datagrams for NoNetwork {
    fn bind(&mut self, _: SocketAddr) -> Result<Handle, Error> {
        Err(Error::Full)
    }
    fn recv_from(&mut self, _: Handle, _: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error> {
        Err(Error::Stale.into())
    }
    fn send_to(&mut self, _: Handle, _: &[u8], _: SocketAddr) -> nb::Result<(), Error> {
        Err(Error::Stale.into())
    }
}

/// Who says which of the ready tasks an executor polls next: see [`Stack::pick`]. Every stack can.
pub trait Pick {
    /// As [`Stack::pick`].
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32;
}

impl<S: Stack> Pick for &mut S {
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        (**self).pick(ready)
    }
}

/// No sockets either, but somebody to say in which order tasks are polled.
///
/// A stack's readiness belongs to one executor. A second one on the same host gets this around the stack: so a simulator
/// looks for the order that breaks its tasks, too, which [`NoNetwork`] would hide from it.
///
/// ```
/// use tidemill_core::net::{Error, NoNetwork, NoSockets, Stack};
/// let mut stack = NoNetwork;
/// let mut none = NoSockets(&mut stack);
/// assert_eq!(none.connect("10.0.0.1:80".parse().unwrap()), Err(Error::Unreachable));
/// assert_eq!(none.pick(|| 3), 0);
/// ```
#[derive(Debug)]
pub struct NoSockets<P>(pub P);

impl<P: Pick> Stack for NoSockets<P> {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error> {
        NoNetwork.listen(local, backlog)
    }
    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        NoNetwork.accept(listener)
    }
    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error> {
        NoNetwork.connect(remote)
    }
    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error> {
        NoNetwork.connected(socket)
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        NoNetwork.recv(socket, buf)
    }
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        NoNetwork.send(socket, buf)
    }
    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        NoNetwork.shutdown(socket)
    }
    fn close(&mut self, _: Handle) {}
    fn abort(&mut self, _: Handle) {}
    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, Error> {
        NoNetwork.local_addr(socket)
    }
    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        NoNetwork.watch(socket, interest, token)
    }
    fn next_ready(&mut self) -> Option<Token> {
        None
    }
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        self.0.pick(ready)
    }
}
