//! How long a call may wait, and waiting.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::Error;

/// How long one call may wait, from its start on, however many system calls it takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// The kernel waits: the descriptor is a blocking one.
    Endless,
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
}

impl Patience {
    /// From `settimeout`'s argument, starting now. A time beyond what the clock can count is endless.
    pub(super) fn of(timeout: Option<Duration>) -> Self {
        match timeout {
            None => Self::Endless,
            Some(Duration::ZERO) => Self::None,
            Some(timeout) => Instant::now().checked_add(timeout).map_or(Self::Endless, Self::Until),
        }
    }

    /// Makes `call`, again after each signal, and again when the socket is ready, as long as there is patience.
    pub(super) fn call<T>(
        self,
        fd: BorrowedFd<'_>,
        ready: PollFlags,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> Result<T, Error> {
        loop {
            match call() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Where the kernel waits, it says this only if it was asked not to: MSG_DONTWAIT, SO_RCVTIMEO.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && matches!(self, Self::Until(_)) => {
                    self.wait(fd, ready)?;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Waits until the socket is ready, or has failed, which the next call on it will tell.
    pub(super) fn wait(self, fd: BorrowedFd<'_>, ready: PollFlags) -> Result<(), Error> {
        let until = match self {
            Self::None => return Err(Error::WouldBlock),
            Self::Endless => None,
            Self::Until(deadline) => Some(deadline),
        };
        if wait_for_any(&mut [PollFd::new(fd, ready)], until)? { Ok(()) } else { Err(Error::TimedOut) }
    }
}

/// Waits until one of them is ready: true; or until that time has come: false. A signal changes nothing.
pub(crate) fn wait_for_any(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<bool, Errno> {
    loop {
        let left = until.map(|until| TimeSpec::from(until.saturating_duration_since(Instant::now())));
        match ppoll(fds, left, None) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
