//! A process as a descriptor: it names one process for ever, however often its number is used again.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags};

use super::Error;

/// Of a child that has not been reaped, or of any other process at one's own risk.
pub(super) fn open(pid: i32) -> Result<OwnedFd, Error> {
    let pid = Pid::from_raw(pid).ok_or(nix::errno::Errno::ESRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal; to a process that has ended, nothing.
pub(super) fn send(pidfd: impl AsFd, signal: Signal) -> Result<(), Error> {
    let number = rustix::process::Signal::from_named_raw(signal as i32).ok_or(nix::errno::Errno::EINVAL)?;
    match rustix::process::pidfd_send_signal(pidfd.as_fd(), number) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}
