//! The client's end: connect, talk, done.

use core::net::SocketAddr;

use super::{Patience, Talk, Wire};
use crate::net::{Error, Handle, Interest, Stack};
use crate::task::{Context, Task};
use crate::time::{EPOCH, Instant};

/// A call, as a task: it connects and talks, and yields the talk with all it has learned. One connection, one try; who
/// wants another makes another.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Call<T> {
    server: SocketAddr,
    /// Taken when it is over.
    talk: Option<T>,
    patience: Patience,
    socket: Option<Handle>,
    up: bool,
    until: Instant,
    end: Instant,
}

impl<T: Talk> Call<T> {
    /// To this server; it connects when it is first polled.
    pub fn new(server: SocketAddr, talk: T, patience: Patience) -> Self {
        Self { server, talk: Some(talk), patience, socket: None, up: false, until: EPOCH, end: EPOCH }
    }

    fn turn<S: Stack, X>(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<(), T::Error> {
        let socket = if let Some(socket) = self.socket {
            socket
        } else {
            self.end = cx.now + self.patience.whole;
            self.until = self.patience.until(cx.now, self.end);
            *self.socket.insert(cx.net.connect(self.server).map_err(T::Error::from)?)
        };
        let waits_for = if self.up { None } else { self.connected(cx, socket)? };
        let waits_for = match (waits_for, &mut self.talk) {
            (None, Some(talk)) => {
                let mut wire = Wire::new(cx.net, socket);
                let result = talk.turn(&mut wire);
                if wire.has_moved() {
                    self.until = self.patience.until(cx.now, self.end);
                }
                match result {
                    Err(nb::Error::WouldBlock) => wire.waits_for(),
                    result => return result,
                }
            }
            (waits_for, _) => waits_for.unwrap_or(Interest::Write),
        };
        if cx.now >= self.until {
            return Err(nb::Error::Other(Error::TimedOut.into()));
        }
        cx.wait_until(self.until);
        cx.wait_for(socket, waits_for).map_err(T::Error::from)?;
        Err(nb::Error::WouldBlock)
    }

    /// What is waited for until the connection is up; `None`: it is.
    fn connected<S: Stack, X>(
        &mut self,
        cx: &mut Context<'_, S, X>,
        socket: Handle,
    ) -> Result<Option<Interest>, T::Error> {
        match cx.net.connected(socket) {
            Ok(()) => {
                self.up = true;
                self.until = self.patience.until(cx.now, self.end);
                Ok(None)
            }
            Err(nb::Error::WouldBlock) => Ok(Some(Interest::Write)),
            Err(nb::Error::Other(error)) => Err(error.into()),
        }
    }
}

impl<S: Stack, T: Talk, X> Task<S, X> for Call<T> {
    type Output = T;
    type Error = T::Error;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<T, T::Error> {
        let result = self.turn(cx);
        if matches!(result, Err(nb::Error::WouldBlock)) {
            return Err(nb::Error::WouldBlock);
        }
        if let Some(socket) = self.socket.take() {
            if result.is_ok() {
                cx.net.close(socket);
            } else {
                cx.net.abort(socket);
            }
        }
        result?;
        // A task is not polled again once it has ended.
        self.talk.take().ok_or(nb::Error::Other(Error::Stale.into()))
    }
}
