//! One edge-triggered epoll, waited on to the microsecond.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use tidemill_core::net::{Error, Handle};

use super::Waker;
use super::entry::Entry;
use super::error::failure;

/// How many events one wait collects; the others are collected by the next.
const EVENTS: usize = 256;

/// What an event of the waker carries instead of a handle.
const WAKER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Poller {
    epoll: Epoll,
    events: Box<[EpollEvent]>,
}

impl Poller {
    pub(super) fn new(waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(waker, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, WAKER))?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); EVENTS].into() })
    }

    /// Reports of this socket what it is to report, at each change, until it is closed; and now what is so already.
    pub(super) fn add(&self, entry: &mut Entry, handle: Handle) -> Result<(), Error> {
        let key = u64::from(handle.generation()) << 16 | handle.index() as u64;
        let event = EpollEvent::new(entry.events() | EpollFlags::EPOLLET, key);
        self.epoll.add(entry.descriptor(), event).map_err(|errno| failure(&errno.into()))?;
        entry.polled = true;
        Ok(())
    }

    /// Waits as long as `left` says (`None`: for ever) for at least one event; says how many there are. A signal ends
    /// the wait without any.
    pub(super) fn wait(&mut self, left: impl Fn() -> Option<Duration>) -> io::Result<usize> {
        let Some(whole) = left() else { return self.collect(EpollTimeout::NONE) };
        // epoll counts whole milliseconds. They are waited here, and what remains below, so that a deadline is
        // neither overslept by up to one nor awaited by spinning.
        let millis = whole.as_millis().min(i32::MAX as u128) as i32;
        let events = self.collect(EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::ZERO))?;
        if events > 0 || whole.is_zero() {
            return Ok(events);
        }
        let rest = left().unwrap_or_default();
        if rest.is_zero() || millis == i32::MAX {
            return Ok(0);
        }
        match ppoll(&mut [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)], Some(TimeSpec::from(rest)), None) {
            Ok(0) | Err(Errno::EINTR) => Ok(0),
            Ok(_) => self.collect(EpollTimeout::ZERO),
            Err(errno) => Err(errno.into()),
        }
    }

    fn collect(&mut self, timeout: EpollTimeout) -> io::Result<usize> {
        match self.epoll.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => Ok(0),
            events => Ok(events?),
        }
    }

    /// An event of the last wait: whose, and what. `None` is the waker.
    pub(super) fn event(&self, at: usize) -> Option<(Handle, EpollFlags)> {
        let event = self.events[at];
        let key = event.data();
        (key != WAKER).then(|| (Handle::new(key as u16, (key >> 16) as u16), event.events()))
    }
}
