//! A stack with something wrong in it.

use core::net::SocketAddr;

use tidemill_core::executor::Program;
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::time::Instant;

/// What is wrong. Each of these does what the stack does, unless it is changed.
pub(crate) trait Bug: 'static {
    fn begin(&mut self) {}
    fn send<S: Stack>(&mut self, net: &mut S, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        net.send(socket, buf)
    }
    fn shutdown<S: Stack>(&mut self, net: &mut S, socket: Handle) -> Result<(), Error> {
        net.shutdown(socket)
    }
    fn next_ready<S: Stack>(&mut self, net: &mut S) -> Option<Token> {
        net.next_ready()
    }
}

/// Nothing is.
pub(crate) struct Sound;

impl Bug for Sound {}

/// The stack, through the bug.
pub(crate) struct Through<'a, S, B> {
    net: &'a mut S,
    bug: &'a mut B,
}

impl<S: Stack, B: Bug> Stack for Through<'_, S, B> {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error> {
        self.net.listen(local, backlog)
    }
    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        self.net.accept(listener)
    }
    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error> {
        self.net.connect(remote)
    }
    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error> {
        self.net.connected(socket)
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        self.net.recv(socket, buf)
    }
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.bug.send(self.net, socket, buf)
    }
    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        self.bug.shutdown(self.net, socket)
    }
    fn close(&mut self, socket: Handle) {
        self.net.close(socket);
    }
    fn abort(&mut self, socket: Handle) {
        self.net.abort(socket);
    }
    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, Error> {
        self.net.local_addr(socket)
    }
    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        self.net.watch(socket, interest, token)
    }
    fn next_ready(&mut self) -> Option<Token> {
        self.bug.next_ready(self.net)
    }
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        self.net.pick(ready)
    }
}

/// A program on such a stack.
pub(crate) struct Mutant<P, B> {
    pub(crate) program: P,
    pub(crate) bug: B,
}

impl<S: Stack, B: Bug, P: for<'a> Program<Through<'a, S, B>>> Program<S> for Mutant<P, B> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.bug.begin();
        self.program.turn(now, &mut Through { net, bug: &mut self.bug })
    }
}
