//! A process that was started, until it has ended.

use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::sys::wait::Id;
use serde::de::DeserializeOwned;

use super::server::exit_of;
use super::wire::{Incoming, Report, decode};
use super::{Error, Exit, Failure, island, pidfd, server};
use crate::socket::{Flags, Socket, wait_for_any};

/// How long the fork server may take to tell how a child ended that has ended.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// A process that has just come into being.
#[derive(Debug)]
pub(super) struct Born {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Over it go the order and the report.
    pub(super) control: Socket,
    /// For a child of the fork server: what brings its exit code.
    pub(super) status: Option<Socket>,
}

impl Born {
    /// Tells it what to do.
    pub(super) fn tell(&self, order: &[u8], descriptors: &[OwnedFd]) -> Result<(), Error> {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let told = self.control.send_fds(b"d", &descriptors).and_then(|_| self.control.sendall(order, Flags::empty()));
        match told {
            // It is gone already: whoever waits for it will learn how.
            Err(crate::socket::Error::Os(nix::errno::Errno::EPIPE | nix::errno::Errno::ECONNRESET)) => Ok(()),
            told => Ok(told?),
        }
    }

    /// From here on it is known, waited for, and let go of by those who fork.
    pub(super) fn known_as(self, name: String, daemon: bool) -> Result<Child, Error> {
        self.control.setblocking(false)?;
        let Self { pid, pidfd, control, status } = self;
        let child = Child(Arc::new(Inner {
            name,
            daemon,
            pid,
            pidfd,
            owner: std::process::id(),
            control,
            status,
            state: Mutex::default(),
        }));
        children().push(child.clone());
        Ok(child)
    }
}

#[derive(Debug)]
struct Inner {
    name: String,
    daemon: bool,
    pid: i32,
    pidfd: OwnedFd,
    owner: u32,
    control: Socket,
    status: Option<Socket>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    report: Incoming,
    exit: Option<Exit>,
}

/// A child process, as anybody in its parent may hold it: `Clone`.
#[derive(Clone, Debug)]
pub struct Child(Arc<Inner>);

/// The children that run or have not been reaped.
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn children() -> MutexGuard<'static, Vec<Child>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The children of this process that run. Those that have ended are reaped.
pub fn active_children() -> Vec<Child> {
    let mut children = children();
    children.retain(Child::is_alive);
    children.clone()
}

/// In a forked child: lets go of the children of its parent.
pub(super) fn let_go() -> std::io::Result<()> {
    let mut lines = Vec::from_iter(server::descriptor());
    for child in children().drain(..) {
        let inner = &child.0;
        lines.extend([inner.control.as_raw_fd(), inner.pidfd.as_raw_fd()]);
        lines.extend(inner.status.as_ref().map(AsRawFd::as_raw_fd));
    }
    blank(&lines)
}

/// In a forked child: makes descriptors of its parent lead nowhere.
pub(super) fn blank(descriptors: &[RawFd]) -> std::io::Result<()> {
    let nowhere = std::fs::File::open("/dev/null")?;
    for &descriptor in descriptors {
        island::blank(descriptor, &nowhere);
    }
    Ok(())
}

impl Child {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.0.pid
    }

    /// Whether it ends with its parent.
    pub fn daemon(&self) -> bool {
        self.0.daemon
    }

    /// Whether it runs. If not, it is reaped.
    pub fn is_alive(&self) -> bool {
        self.exit().is_none()
    }

    /// How it ended; `None`: it runs.
    #[doc(alias = "exitcode")]
    pub fn exit(&self) -> Option<Exit> {
        self.join_by(Some(Instant::now()))
    }

    /// Waits for its end. In a process that is not its parent, at once [`Exit::Unknown`].
    pub fn join(&self) -> Exit {
        self.join_by(None).unwrap_or(Exit::Unknown)
    }

    /// Waits for its end, up to that long; `None`: it still runs.
    #[doc(alias = "join")]
    pub fn join_timeout(&self, timeout: Duration) -> Option<Exit> {
        self.join_by(Instant::now().checked_add(timeout))
    }

    fn join_by(&self, deadline: Option<Instant>) -> Option<Exit> {
        if self.0.owner != std::process::id() {
            return Some(Exit::Unknown);
        }
        loop {
            // What it reports is taken while it runs: it may be more than the line holds.
            let (exit, reading) = self.look();
            if exit.is_some() {
                return exit;
            }
            let [pidfd, control] = [self.0.pidfd.as_fd(), self.0.control.as_fd()];
            let mut fds = [pidfd, control].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match wait_for_any(&mut fds[..=usize::from(reading)], deadline) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => return Some(Exit::Unknown),
            }
        }
    }

    /// Takes what there is of its report, and how it ended if it has; whether there may be more of the report.
    fn look(&self) -> (Option<Exit>, bool) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.exit.is_some() {
            return (state.exit, false);
        }
        let ended = wait_for_any(&mut [PollFd::new(self.0.pidfd.as_fd(), PollFlags::POLLIN)], Some(Instant::now()));
        let reading = state.report.receive(&self.0.control) == Err(crate::socket::Error::WouldBlock);
        if ended == Ok(true) {
            state.exit = self.0.reap();
        }
        (state.exit, reading)
    }

    /// Has it end: `SIGTERM`. Harmless after its end.
    ///
    /// # Errors
    /// [`Error::NotMine`].
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal(Signal::SIGTERM)
    }

    /// Ends it: `SIGKILL`. Harmless after its end.
    ///
    /// # Errors
    /// [`Error::NotMine`].
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::SIGKILL)
    }

    /// Sends it a signal. Harmless after its end.
    ///
    /// # Errors
    /// [`Error::NotMine`]; [`Error::Os`] with `EPERM`: it has become somebody else.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        if self.0.owner != std::process::id() {
            return Err(Error::NotMine);
        }
        pidfd::send(&self.0.pidfd, signal)
    }

    /// A descriptor that becomes readable at its end, to be waited on among others.
    pub fn sentinel(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }

    /// It has ended, or its owner sees to it: its descriptors are closed with the last handle.
    pub(super) fn forget(&self) {
        children().retain(|other| !Arc::ptr_eq(&self.0, &other.0));
    }

    /// What its function returned, as bytes; waits for its end.
    fn report(&self) -> Report {
        let exit = self.join();
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.report.receive(&self.0.control) {
            Ok(Some(message)) => {
                let (head, body) = decode::<Result<(), Failure>>(message).map_err(Failure::Encoding)?;
                head.map(|()| body.into())
            }
            _ => Err(Failure::Died { exitcode: exit.exitcode() }),
        }
    }
}

impl Inner {
    fn reap(&self) -> Option<Exit> {
        let Some(status) = &self.status else { return exit_of(Id::PIDFd(self.pidfd.as_fd())) };
        // Only the server may wait for it, and tells.
        let told = status.settimeout(Some(STATUS_WAIT)).and_then(|()| status.recv(4, Flags::empty()));
        let code = told.ok().and_then(|bytes| bytes.first_chunk().copied());
        Some(code.map_or(Exit::Unknown, |code| Exit::from_exitcode(i32::from_ne_bytes(code))))
    }
}

/// A process that was started, whose function returns an `R`. Everything else about it is [`Child`]'s, which it can be
/// used as. Dropping it ends a daemonic process; any other goes on.
#[derive(Debug)]
pub struct Running<R> {
    child: Child,
    returns: PhantomData<fn() -> R>,
}

impl<R> Running<R> {
    pub(super) fn new(child: Child) -> Self {
        Self { child, returns: PhantomData }
    }
}

impl<R: DeserializeOwned> Running<R> {
    /// Waits for its end; what its function returned.
    ///
    /// # Errors
    /// [`Failure`], again and again the same.
    pub fn result(&self) -> Result<R, Failure> {
        postcard::from_bytes(&self.child.report()?).map_err(|error| Failure::Encoding(error.to_string()))
    }
}

impl<R> Deref for Running<R> {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl<R> Drop for Running<R> {
    fn drop(&mut self) {
        if self.child.daemon() && self.child.0.owner == std::process::id() && self.child.is_alive() {
            let _ = self.child.terminate();
            if self.child.join_timeout(Duration::from_secs(5)).is_none() {
                let _ = self.child.kill();
                self.child.join();
            }
        }
    }
}
