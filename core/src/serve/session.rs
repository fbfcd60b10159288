//! What is said on one connection, kept apart from when it is over.

use core::net::SocketAddr;

use super::{Accepted, Crowd, Service, Shared};
use crate::net::{Error, Handle, Interest, Stack};
use crate::task::{Context, Task};
use crate::time::{Duration, Instant};

/// One end of a conversation: a state machine over a [`Wire`].
pub trait Talk {
    /// Why it cannot go on.
    type Error: From<Error>;

    /// Says and hears what can be; `Ok` once all is said, and then the connection is closed. `WouldBlock` comes from the
    /// wire, which notes what was waited for.
    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Self::Error>;
}

/// A connection during one turn of a [`Talk`]. It notes what could not be done, so that nobody has to say what is waited
/// for; and whether anything was, so that nobody has to keep the time.
#[derive(Debug)]
pub struct Wire<'a, S> {
    net: &'a mut S,
    socket: Handle,
    moved: bool,
    blocked: (bool, bool),
}

impl<'a, S: Stack> Wire<'a, S> {
    /// A connection that is up.
    pub fn new(net: &'a mut S, socket: Handle) -> Self {
        Self { net, socket, moved: false, blocked: (false, false) }
    }

    /// As [`Stack::recv`].
    pub fn recv(&mut self, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let result = self.net.recv(self.socket, buf);
        self.blocked.0 = self.note(&result);
        result
    }

    /// As [`Stack::send`].
    pub fn send(&mut self, buf: &[u8]) -> nb::Result<usize, Error> {
        let result = self.net.send(self.socket, buf);
        self.blocked.1 = self.note(&result);
        result
    }

    /// As [`Stack::shutdown`].
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&mut self) -> Result<(), Error> {
        self.net.shutdown(self.socket)
    }

    /// Whether any byte, or an end, came or went.
    pub fn has_moved(&self) -> bool {
        self.moved
    }

    /// What it waits for now.
    pub fn waits_for(&self) -> Interest {
        match self.blocked {
            (true, true) => Interest::Both,
            (false, true) => Interest::Write,
            _ => Interest::Read,
        }
    }

    fn note(&mut self, result: &nb::Result<usize, Error>) -> bool {
        self.moved |= result.is_ok();
        matches!(result, Err(nb::Error::WouldBlock))
    }
}

/// How long a peer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Patience {
    /// From one byte that came or went to the next, and until a connection is up.
    pub silence: Duration,
    /// For all of it.
    pub whole: Duration,
}

impl Default for Patience {
    /// Half a minute of silence; a day in all.
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), whole: Duration::from_secs(86_400) }
    }
}

impl Patience {
    /// When it is over, if now something was said, for a talk that ends at `end` at the latest.
    pub(super) fn until(&self, now: Instant, end: Instant) -> Instant {
        (now + self.silence).min(end)
    }
}

/// A [`Service`] of talks: `make` makes one for each connection, from its peer's address.
#[derive(Debug)]
pub struct Sessions<F> {
    make: F,
    patience: Patience,
}

impl<F> Sessions<F> {
    /// Talks made by `make`, each of which is given so much time.
    pub fn new(make: F, patience: Patience) -> Self {
        Self { make, patience }
    }
}

impl<S: Stack, T: Talk, F: FnMut(SocketAddr) -> T> Service<S> for Sessions<F> {
    type Connection = Session<T>;

    fn accept(&mut self, accepted: Accepted, _: &mut Crowd) -> Session<T> {
        let Accepted { socket, peer, now, .. } = accepted;
        let end = now + self.patience.whole;
        let until = self.patience.until(now, end);
        Session { socket, talk: (self.make)(peer), patience: self.patience, until, end }
    }
}

/// A connection with its talk, as a task.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Session<T> {
    socket: Handle,
    talk: T,
    patience: Patience,
    until: Instant,
    end: Instant,
}

impl<S: Stack, T: Talk, V> Task<S, Shared<V>> for Session<T> {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Shared<V>>) -> nb::Result<(), ()> {
        let mut wire = Wire::new(cx.net, self.socket);
        let result = self.talk.turn(&mut wire);
        let interest = wire.waits_for();
        if wire.has_moved() {
            self.until = self.patience.until(cx.now, self.end);
        }
        let over = match result {
            Ok(()) => true,
            // Nothing is owed to a peer that is waited for.
            Err(nb::Error::WouldBlock) if cx.shared.is_stopping() && interest == Interest::Read => true,
            Err(nb::Error::WouldBlock) if cx.now < self.until => {
                cx.wait_until(self.until);
                if cx.wait_for(self.socket, interest).is_ok() {
                    return Err(nb::Error::WouldBlock);
                }
                false
            }
            Err(_) => false,
        };
        if over {
            cx.net.close(self.socket);
        } else {
            cx.net.abort(self.socket);
        }
        Ok(())
    }
}
