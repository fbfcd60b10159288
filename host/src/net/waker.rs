//! Ends a wait from outside: another thread with a result, or a signal handler.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Ends the current or the next [`wait`](super::Net::wait) of the [`Net`](super::Net) it came from. Cheap to clone.
///
/// [`wake`](Self::wake) may be called from any thread, and from a signal handler: it is one `write(2)`.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?)))
    }

    /// Ends the wait. Any number of calls before the next wait count as one.
    pub fn wake(&self) {
        // It fails only when the counter is at its limit: then a wake-up is pending anyway.
        let _ = self.0.write(1);
    }

    /// Takes back what [`wake`](Self::wake) did.
    pub(crate) fn clear(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
