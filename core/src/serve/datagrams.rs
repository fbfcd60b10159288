//! Datagrams, each answered by one or by none.

use core::net::SocketAddr;

use crate::executor::Program;
use crate::net::{Datagrams, Error, Handle, Interest, Stack, Token};
use crate::time::Instant;

/// How many datagrams are answered in one turn, at most: then others get theirs.
const QUANTUM: usize = 64;

/// The socket's watcher.
const SOCKET: Token = Token(0);

/// Answers datagrams of up to `N` bytes on one socket; longer ones are dropped. `answer` gets the buffer with the datagram's
/// length and its sender, and returns how many bytes of the buffer are the answer; `None` answers nothing. An answer that
/// there is no room to send is lost, as datagrams are.
///
/// ```
/// use tidemill_core::executor::Program;
/// use tidemill_core::net::{Datagrams, NoNetwork, Error};
/// use tidemill_core::serve::Answering;
/// use tidemill_core::time::EPOCH;
/// // The echo of RFC 862.
/// let mut echo = Answering::<_, 512>::new(|_: &mut [u8], len, _from| Some(len));
/// assert_eq!(echo.bind(&mut NoNetwork, "0.0.0.0:7".parse().unwrap()), Err(Error::Full));
/// assert_eq!(echo.turn(EPOCH, &mut NoNetwork), None);
/// ```
#[derive(Debug)]
pub struct Answering<F, const N: usize> {
    answer: F,
    buffer: [u8; N],
    socket: Option<Handle>,
}

impl<F, const N: usize> Answering<F, N>
where
    F: FnMut(&mut [u8], usize, SocketAddr) -> Option<usize>,
{
    /// It answers nowhere yet.
    pub const fn new(answer: F) -> Self {
        Self { answer, buffer: [0; N], socket: None }
    }

    /// Answers at `local`, instead of where it answered before; returns the address.
    ///
    /// # Errors
    /// As [`Datagrams::bind`].
    pub fn bind<S: Datagrams>(&mut self, net: &mut S, local: SocketAddr) -> Result<SocketAddr, Error> {
        let socket = net.bind(local)?;
        self.stop(net);
        self.socket = Some(socket);
        net.local_addr(socket)
    }

    /// Answers nothing any more.
    pub fn stop<S: Stack>(&mut self, net: &mut S) {
        if let Some(socket) = self.socket.take() {
            net.close(socket);
        }
    }
}

impl<S, F, const N: usize> Program<S> for Answering<F, N>
where
    S: Datagrams,
    F: FnMut(&mut [u8], usize, SocketAddr) -> Option<usize>,
{
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let socket = self.socket?;
        for _ in 0..QUANTUM {
            match net.recv_from(socket, &mut self.buffer) {
                Ok((len, from)) if len <= N => {
                    let answer = (self.answer)(&mut self.buffer, len, from);
                    if let Some(bytes) = answer.and_then(|len| self.buffer.get(..len)) {
                        let _ = net.send_to(socket, bytes, from);
                    }
                }
                Err(nb::Error::WouldBlock) => {
                    // It is open, so it can be watched.
                    let _ = net.watch(socket, Interest::Read, SOCKET);
                    return None;
                }
                // Too long; or a trouble with one, which is not one with the next.
                Ok(_) | Err(nb::Error::Other(_)) => {}
            }
        }
        Some(now)
    }
}
