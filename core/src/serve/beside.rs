//! Several programs on one network.

use core::net::SocketAddr;

use crate::executor::Program;
use crate::net::{Datagrams, Error, Handle, Interest, Stack, Token};
use crate::time::Instant;

/// How many tokens are handed on in one turn; the others are in the next.
const TOKENS: usize = 32;

/// Two, three or four programs, turned one after the other on one network.
///
/// A token says which of a program's sockets is ready, but not whose socket it is: so all hear of all of them. To hear of
/// another's is to be woken for nothing, which every program must bear; to hear of none of one's own would be to sleep for
/// ever.
///
/// ```
/// use core::net::SocketAddr;
/// use tidemill_core::executor::Program;
/// use tidemill_core::net::{Error, NoNetwork};
/// use tidemill_core::serve::{Answering, Beside};
/// use tidemill_core::time::EPOCH;
/// // The echo of RFC 862, and next to it RFC 863, which answers nothing.
/// let echo = Answering::<_, 512>::new(|_: &mut [u8], len, _: SocketAddr| Some(len));
/// let discard = Answering::<_, 512>::new(|_: &mut [u8], _, _: SocketAddr| None);
/// let mut both = Beside((echo, discard));
/// assert_eq!(both.0.0.bind(&mut NoNetwork, "0.0.0.0:7".parse().unwrap()), Err(Error::Full));
/// assert_eq!(both.turn(EPOCH, &mut NoNetwork), None);
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Beside<P>(pub P);

/// For a tuple of so many.
macro_rules! beside {
    ($($program:ident $at:tt),*) => {
        impl<S: Stack + 'static, $($program: for<'a> Program<Heard<'a, S>>),*> Program<S> for Beside<($($program,)*)> {
            fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
                let ready = tokens(net);
                let times = [$(self.0.$at.turn(now, &mut Heard { net, ready: &ready })),*];
                times.into_iter().flatten().min()
            }
        }
    };
}

beside!(A 0, B 1);
beside!(A 0, B 1, C 2);
beside!(A 0, B 1, C 2, D 3);

/// The tokens of this turn.
fn tokens<S: Stack>(net: &mut S) -> heapless::Vec<Token, TOKENS> {
    core::iter::from_fn(|| net.next_ready()).take(TOKENS).collect()
}

/// A stack as one of several programs sees it: with the tokens of all of them. What becomes ready meanwhile is told in the
/// next turn.
#[derive(Debug)]
pub struct Heard<'a, S> {
    net: &'a mut S,
    ready: &'a [Token],
}

impl<S: Stack> Stack for Heard<'_, S> {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, Error> {
        self.net.listen(local, backlog)
    }
    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        self.net.accept(listener)
    }
    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, Error> {
        self.net.connect(remote)
    }
    fn connect_secure(&mut self, remote: SocketAddr, name: &str) -> Result<Handle, Error> {
        self.net.connect_secure(remote, name)
    }
    fn connected(&mut self, socket: Handle) -> nb::Result<(), Error> {
        self.net.connected(socket)
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        self.net.recv(socket, buf)
    }
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.net.send(socket, buf)
    }
    fn send_more(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        self.net.send_more(socket, buf)
    }
    fn cork(&mut self, socket: Handle) {
        self.net.cork(socket);
    }
    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        self.net.shutdown(socket)
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
        let (&token, rest) = self.ready.split_first()?;
        self.ready = rest;
        Some(token)
    }
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        self.net.pick(ready)
    }
}

impl<S: Datagrams> Datagrams for Heard<'_, S> {
    fn bind(&mut self, local: SocketAddr) -> Result<Handle, Error> {
        self.net.bind(local)
    }
    fn recv_from(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<(usize, SocketAddr), Error> {
        self.net.recv_from(socket, buf)
    }
    fn send_to(&mut self, socket: Handle, buf: &[u8], to: SocketAddr) -> nb::Result<(), Error> {
        self.net.send_to(socket, buf, to)
    }
}
