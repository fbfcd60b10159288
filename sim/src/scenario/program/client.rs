//! A client that comes back: it connects, talks, and when the connection breaks it tries again after a pause.

use core::net::SocketAddr;

use tidemill_core::executor::Program;
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::random::draw;
use tidemill_core::serve::{Talk, Wire};
use tidemill_core::time::{Duration, EPOCH, Instant};

use super::End;

/// How long nothing may come, or a connection take to come up, until it counts as broken.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pauses are this long on average.
const PAUSE: Duration = Duration::from_millis(400);

/// Why a talk cannot go on.
pub(in crate::scenario) enum Trouble {
    /// The connection broke, or the peer closed it before all was said: another one may do better.
    Broken,
    /// What came is not what should: there is a bug.
    Wrong(String),
}

impl From<Error> for Trouble {
    fn from(_: Error) -> Self {
        Self::Broken
    }
}

/// What is said over one connection after another, until all is said.
pub(in crate::scenario) trait Again: Talk<Error = Trouble> {
    /// There is a new connection: what was half said on the last one is void.
    fn begin(&mut self);
}

/// Talks to a server until all is said.
pub(in crate::scenario) struct Client<T> {
    server: SocketAddr,
    talk: T,
    seed: u64,
    end: End,
    socket: Option<Handle>,
    up: bool,
    /// When it gives this connection up.
    until: Instant,
    /// When it connects again.
    again: Instant,
    tries: u64,
}

impl<T: Again> Client<T> {
    /// It begins at `now`.
    pub(in crate::scenario) fn new(server: SocketAddr, talk: T, seed: u64, now: Instant, end: End) -> Self {
        Self { server, talk, seed, end, socket: None, up: false, until: EPOCH, again: now, tries: 0 }
    }

    /// Says what can be; what it waits for if that was not all.
    fn talk<S: Stack>(&mut self, now: Instant, net: &mut S, socket: Handle) -> Result<Option<Interest>, Trouble> {
        if !self.up {
            match net.connected(socket) {
                Ok(()) => {}
                Err(nb::Error::WouldBlock) => return Ok(Some(Interest::Write)),
                Err(nb::Error::Other(error)) => return Err(error.into()),
            }
            self.up = true;
            self.until = now + PATIENCE;
            self.talk.begin();
        }
        let mut wire = Wire::new(net, socket);
        let result = self.talk.turn(&mut wire);
        if wire.has_moved() {
            self.until = now + PATIENCE;
        }
        match result {
            Ok(()) => Ok(None),
            Err(nb::Error::WouldBlock) => Ok(Some(wire.waits_for())),
            Err(nb::Error::Other(trouble)) => Err(trouble),
        }
    }

    fn leave<S: Stack>(&mut self, now: Instant, net: &mut S) {
        if let Some(socket) = self.socket.take() {
            net.abort(socket);
        }
        self.up = false;
        self.tries += 1;
        // Half to one and a half times as long, so that clients who failed together do not come back together.
        let jitter = draw(self.seed, &[self.tries]) % PAUSE.as_ticks();
        self.again = now + Duration::from_ticks(PAUSE.as_ticks() / 2 + jitter);
    }
}

impl<T: Again, S: Stack> Program<S> for Client<T> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        if self.end.has_come() {
            return None;
        }
        let socket = match self.socket {
            Some(socket) => socket,
            None if now < self.again => return Some(self.again),
            None => {
                let Ok(socket) = net.connect(self.server) else {
                    self.leave(now, net);
                    return Some(self.again);
                };
                self.until = now + PATIENCE;
                *self.socket.insert(socket)
            }
        };
        match self.talk(now, net, socket) {
            Ok(None) => {
                net.close(socket);
                self.end.come(Ok(()));
                None
            }
            Ok(Some(interest)) if now < self.until => {
                // It is open: it was connected just now, or has not yet failed.
                let _ = net.watch(socket, interest, Token(0));
                Some(self.until)
            }
            Err(Trouble::Wrong(what)) => {
                net.abort(socket);
                self.end.come(Err(what));
                None
            }
            Ok(Some(_)) | Err(Trouble::Broken) => {
                self.leave(now, net);
                Some(self.again)
            }
        }
    }
}
