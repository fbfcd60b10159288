//! What a child does: it takes its order, runs the function, reports, and ends.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;

use super::registry::Function;
use super::wire::{Incoming, Order, Report, decode, encode};
use super::{Failure, island, server};
use crate::socket::{Flags, How, Socket};

/// How many descriptors the kernel passes at once.
pub(super) const DESCRIPTORS_MAX: usize = 253;

/// Set for a process that is to become a child, or the fork server.
pub(super) const MARKER: &str = "TIDEMILL_PROCESS";

/// What this process is to its parent, if it is a child of [`Process`](super::Process).
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) parent: i32,
    pub(super) parent_name: String,
    /// Its end of the line to its parent, which ends when that does.
    control: Socket,
    pub(super) inherited: Mutex<Vec<OwnedFd>>,
}

/// A child that forks has a copy of its parent's, and gets one of its own.
static IDENTITY: Mutex<Option<&'static Identity>> = Mutex::new(None);

/// `None` in a process that was not started by [`Process`](super::Process).
pub(super) fn identity() -> Option<&'static Identity> {
    *IDENTITY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Identity {
    /// Whether the parent lives.
    pub(super) fn parent_lives(&self) -> bool {
        let now = Flags::MSG_PEEK | Flags::MSG_DONTWAIT;
        self.control.recv(1, now) == Err(crate::socket::Error::WouldBlock)
    }
}

/// What a process that was started by [`Process`](super::Process) is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Child,
    Server,
}

impl Role {
    pub(super) fn marker(self) -> &'static str {
        match self {
            Self::Child => "child",
            Self::Server => "fork-server",
        }
    }
}

/// Before `main`: becomes a child or the fork server, if this process was started to. It never comes to `main` then.
pub(super) fn begin() {
    let Some(marker) = std::env::var_os(MARKER) else { return };
    // What this process starts is not meant.
    #[expect(unsafe_code, reason = "removes a variable of the environment")]
    // SAFETY: before `main` there is one thread.
    unsafe {
        island::remove_variable(MARKER);
    }
    island::close_all_but_standard();
    let Ok(line) = line_on_stdin() else {
        eprintln!("{MARKER} is set, but nobody is there who gives an order");
        exit(1);
    };
    if marker == Role::Server.marker() { server::serve(line) } else { serve(line) }
}

/// The line to the parent comes as standard input: so nothing else is inherited, and no other thread of the parent can
/// pass it on by accident.
fn line_on_stdin() -> Result<Socket, super::Error> {
    let line = Socket::from_descriptor(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(line)
}

/// Runs the order that comes over `control`, and ends the process.
pub(super) fn serve(control: Socket) -> ! {
    // The parent may have gone before it could say anything.
    let Ok((_, descriptors)) = control.recv_fds(1, DESCRIPTORS_MAX) else { exit(1) };
    let mut incoming = Incoming::default();
    let Ok(Some(message)) = incoming.receive(&control) else { exit(1) };
    match decode::<Order>(message) {
        Ok((order, arguments)) => obey(order, arguments, control, descriptors),
        Err(why) => {
            report(&control, &Err(Failure::Encoding(why)));
            exit(1)
        }
    }
}

/// Runs an order, and ends the process, which has one thread so far.
pub(super) fn obey(order: Order, arguments: &[u8], control: Socket, mut descriptors: Vec<OwnedFd>) -> ! {
    for (name, value) in &order.environment {
        #[expect(unsafe_code, reason = "sets variables of the environment")]
        // SAFETY: no other thread has been started in this process.
        unsafe {
            island::set_variable(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    let moved = order.directory.as_ref().map_or(Ok(()), |path| std::env::set_current_dir(OsStr::from_bytes(path)));
    let function = order.function.clone();
    let passed = descriptors.split_off(order.handles.min(descriptors.len()));
    let handles = std::mem::replace(&mut descriptors, passed);
    become_child(order, control, descriptors);
    run(|| {
        moved.map_err(|error| Failure::Failed(format!("its directory: {error}")))?;
        let Some(known) = Function::find(&function) else { return Err(Failure::NotRegistered(function)) };
        match known.call(arguments, handles) {
            Ok(returned) => returned.error.map_or(Ok(returned.bytes), |why| Err(Failure::Failed(why))),
            Err(error) => Err(Failure::Encoding(error.to_string())),
        }
    })
}

/// From here on this process is what its order says.
pub(super) fn become_child(order: Order, control: Socket, descriptors: Vec<OwnedFd>) {
    // What Rust's runtime does before `main`, where this process may not have come yet.
    #[expect(unsafe_code, reason = "sets a signal to be ignored")]
    // SAFETY: to ignore a signal runs no code at all.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let Order { name, daemon, parent, parent_name, .. } = order;
    let identity = Identity { name, daemon, parent, parent_name, control, inherited: Mutex::new(descriptors) };
    // For as long as the process lives.
    let identity: &'static Identity = Box::leak(Box::new(identity));
    *IDENTITY.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    if daemon {
        // Without this thread a daemonic process would outlive its parent, so without it there is none.
        let watch = thread::Builder::new().name("parent".into()).stack_size(64 << 10).spawn(|| {
            let _ = identity.control.recv(1, Flags::empty());
            let _ = kill(Pid::this(), Signal::SIGTERM);
            thread::sleep(Duration::from_secs(5));
            let _ = kill(Pid::this(), Signal::SIGKILL);
        });
        if watch.is_err() {
            exit(1);
        }
    }
}

thread_local! {
    /// Where and with which words this thread panicked last.
    static PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs `function`, reports to the parent, and ends the process.
pub(super) fn run(function: impl FnOnce() -> Report) -> ! {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("no words").to_owned();
        let location = panic.location().map_or_else(String::new, ToString::to_string);
        PANIC.set(Some((message, location)));
        before(panic);
    }));
    let result = catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|_| {
        let (message, location) = PANIC.take().unwrap_or_default();
        Err(Failure::Panicked { message, location })
    });
    if let Err(failure) = &result
        && !matches!(failure, Failure::Panicked { .. })
    {
        eprintln!("{failure}");
    }
    let code = i32::from(result.is_err());
    if let Some(identity) = identity() {
        report(&identity.control, &result);
    }
    let _ = std::io::stdout().flush();
    exit(code)
}

/// Tells the parent. If that is gone, nobody wants to know.
fn report(control: &Socket, report: &Report) {
    let message = match report {
        Ok(bytes) => encode(&Ok::<(), Failure>(()), bytes),
        Err(failure) => encode(&Err::<(), _>(failure), &[]),
    };
    let message =
        message.or_else(|error| encode(&Err::<(), _>(Failure::Encoding(error.to_string())), &[])).unwrap_or_default();
    let _ = control.sendall(&message, Flags::empty());
    let _ = control.shutdown(How::Write);
}
