//! The unsafe part: forking, and being there before `main`.
#![expect(unsafe_code, reason = "fork, and a function that runs before main")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt as _;

use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::ForkResult;

/// Runs before `main` in every process of a program that uses this module: a child takes its order here.
#[used]
// SAFETY: the section holds pointers to functions that the system's loader calls once, in the main thread, after those of
// all libraries. Rust's std says that it works there on Linux but for a few things (the stack guard, the main thread's
// name), none of which `child::begin` needs; in a process that is no child it looks at one variable and returns.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    super::child::begin();
}

/// To be called by whoever starts a child, so that the linker keeps [`BEFORE_MAIN`].
pub(super) fn is_linked() {
    std::hint::black_box(&BEFORE_MAIN);
}

/// `fork(2)`. `None`: this is the child.
///
/// # Safety
/// Until it execs or exits, the child may do only what a signal handler may, unless this process has one thread alone: a
/// lock that another thread holds (in an allocator, say) stays held in the child.
pub(super) unsafe fn fork() -> io::Result<Option<nix::unistd::Pid>> {
    // SAFETY: as the caller promises.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => Ok(None),
        ForkResult::Parent { child } => Ok(Some(child)),
    }
}

/// Makes a descriptor lead nowhere, and leaves its number to whoever owns it: for a forked child, to let go of what its
/// parent's handles hold in memory that it has a copy of.
pub(super) fn blank(descriptor: RawFd, nowhere: impl AsFd) {
    // SAFETY: dup2 closes what the number stood for and makes it stand for something else; the owner in this process's
    // copy of memory is only ever dropped.
    unsafe { libc::dup2(nowhere.as_fd().as_raw_fd(), descriptor) };
    // SAFETY: sets a flag of the descriptor just made.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Sets a variable of this process's environment.
///
/// # Safety
/// This process has one thread.
pub(super) unsafe fn set_variable(name: &std::ffi::OsStr, value: &std::ffi::OsStr) {
    // SAFETY: as the caller promises.
    unsafe { std::env::set_var(name, value) };
}

/// Takes a variable out of this process's environment.
///
/// # Safety
/// This process has one thread.
pub(super) unsafe fn remove_variable(name: &str) {
    // SAFETY: as the caller promises.
    unsafe { std::env::remove_var(name) };
}

/// Closes what this process inherited beside standard input, output and error: nothing that the program opened is open yet,
/// and what is was open in its parent, and not meant to be.
pub(super) fn close_all_but_standard() {
    // SAFETY: before `main`, nothing in this program owns a descriptor.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

/// Has a program begin with no signal blocked, whatever the thread blocks that starts it, and killed if that thread ends.
pub(super) fn unblocked_and_mortal(command: &mut std::process::Command) {
    let begin = || {
        SigSet::empty().thread_set_mask()?;
        Ok(set_pdeathsig(Signal::SIGKILL)?)
    };
    // SAFETY: between fork and exec it makes two system calls; it allocates nothing (an error is a number), and takes no lock.
    unsafe { command.pre_exec(begin) };
}
