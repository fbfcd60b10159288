//! The fork server: a process of one thread that was started early, and forks children for its parent.
//!
//! A large parent forks slowly (its page tables are copied), one with threads not safely at all, and to start a program
//! takes a millisecond. The fork server is the same program, stopped before `main`, small and alone: it forks in a tenth
//! of that. Each child comes with two sockets of its own, passed through here: one to the parent, over which it gets its
//! order and sends its report, and one over which the server tells the parent the child's pid and later its exit code,
//! since only it may wait for the child.
//!
//! It ends with its parent. When it dies before, its children live on, and the next start begins a new one.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio, exit};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::child::{self, MARKER, Role};
use super::running::Born;
use super::{Error, Exit, island, pidfd, running};
use crate::socket::{Flags, Kind, Socket};

pub(super) struct Server {
    line: Socket,
    process: Body,
    /// Whose it is: a forked child has a copy of this, but no server.
    owner: u32,
}

enum Body {
    /// This program, from its beginning.
    Started(Child),
    /// A copy of this process.
    Copied(OwnedFd),
}

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

/// The descriptor that a forked child has to let go of.
pub(super) fn descriptor() -> Option<RawFd> {
    let server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.as_ref().map(|server| server.line.as_raw_fd())
}

/// Has a child forked, which waits for its order. Starts the server if there is none, or not any more.
pub(super) fn fork() -> Result<Born, Error> {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 0;
    loop {
        tries += 1;
        if server.as_ref().is_none_or(|server| server.owner != std::process::id()) {
            *server = Some(Server::start()?);
        }
        let asked = server.as_ref().map(Server::fork);
        match asked {
            Some(Ok(born)) => return Ok(born),
            // It is gone.
            Some(Err(Error::Os(error)))
                if tries < 3 && matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                *server = None;
            }
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
}

/// Starts the server now, while the process is small, instead of with the first child.
///
/// # Errors
/// [`Error::Os`].
pub fn start_fork_server() -> Result<(), Error> {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if server.as_ref().is_none_or(|server| server.owner != std::process::id()) {
        *server = Some(Server::start()?);
    }
    Ok(())
}

/// This very program, even if its file has been replaced since, to be a child or the server.
pub(super) fn this_program(role: Role, line: Socket) -> Result<Command, Error> {
    island::is_linked();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command.env(MARKER, role.marker()).stdin(Stdio::from(line.detach()?));
    Ok(command)
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            match &mut self.process {
                Body::Started(process) => {
                    let _ = process.kill();
                    let _ = process.wait();
                }
                Body::Copied(pidfd) => {
                    let _ = pidfd::send(&*pidfd, Signal::SIGKILL);
                    let _ = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED);
                }
            }
        }
    }
}

impl Server {
    fn start() -> Result<Self, Error> {
        let (line, its) = Socket::socketpair(Kind::SeqPacket)?;
        let process = this_program(Role::Server, its)?.spawn()?;
        Ok(Self { line, process: Body::Started(process), owner: std::process::id() })
    }

    /// A server that is a copy of this process as it is now, and so are those it forks.
    ///
    /// # Errors
    /// [`Error::Threads`], [`Error::Os`].
    pub(super) fn copy() -> Result<Self, Error> {
        let (line, its) = Socket::socketpair(Kind::SeqPacket)?;
        let Some((_, pidfd)) = super::fork_alone()? else {
            drop(line);
            if running::blank(&crate::ipc::lines()).is_err() {
                exit(1);
            }
            serve(its)
        };
        Ok(Self { line, process: Body::Copied(pidfd), owner: std::process::id() })
    }

    /// Has a child forked, which waits for its order.
    pub(super) fn fork(&self) -> Result<Born, Error> {
        let (control, its_control) = Socket::socketpair(Kind::Stream)?;
        let (status, its_status) = Socket::socketpair(Kind::SeqPacket)?;
        self.line.send_fds(b"f", &[its_control.as_fd(), its_status.as_fd()])?;
        drop((its_control, its_status));
        // The pid, and with it a pidfd: by the time the number is read here, it might be somebody else's.
        let (answer, mut pidfd) = status.recv_fds(4, 1)?;
        match (answer.first_chunk().map(|&pid| i32::from_ne_bytes(pid)), pidfd.pop()) {
            (Some(pid), Some(pidfd)) => Ok(Born { pid, pidfd, control, status: Some(status) }),
            (Some(errno), None) => Err(Errno::from_raw(errno).into()),
            (None, _) => Err(Error::Os(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

/// The server's life: until its parent's end.
pub(super) fn serve(line: Socket) -> ! {
    // An interrupt from the keyboard is for the parent, which decides.
    on_interrupt(SigHandler::SigIgn);
    match serve_until_child(line) {
        Some(control) => {
            // Here the line, and what the server knows of other children, is gone from this process.
            on_interrupt(SigHandler::SigDfl);
            child::serve(control)
        }
        None => exit(0),
    }
}

fn on_interrupt(handler: SigHandler) {
    #[expect(unsafe_code, reason = "sets a signal to be ignored, or back")]
    // SAFETY: neither runs any code.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGINT, handler) };
}

struct Kept {
    pid: Pid,
    pidfd: OwnedFd,
    status: Socket,
}

/// Forks whatever is asked for. Returns twice: `Some` in each child, `None` in the server, when its parent has gone.
fn serve_until_child(line: Socket) -> Option<Socket> {
    let mut children: Vec<Kept> = Vec::new();
    loop {
        let mut fds: Vec<_> =
            children.iter().map(|child| PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(line.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        drop(fds);
        let asked = ready.last() == Some(&true);
        let mut ended = ready.into_iter();
        children.retain(|child| if ended.next() == Some(true) { child.tell_end() } else { true });
        if !asked {
            continue;
        }
        let Ok((request, mut fds)) = line.recv_fds(1, 2) else { return None };
        let (Some(status), Some(control)) = (fds.pop(), fds.pop()) else {
            if request.is_empty() {
                return None;
            }
            continue;
        };
        let (Ok(status), Ok(control)) = (Socket::from_descriptor(status), Socket::from_descriptor(control)) else {
            continue;
        };
        #[expect(unsafe_code, reason = "forks")]
        // SAFETY: this process has one thread.
        let forked = unsafe { island::fork() };
        match forked {
            Ok(None) => return Some(control),
            Ok(Some(pid)) => {
                if let Ok(pidfd) = pidfd::open(pid.as_raw())
                    && status.send_fds(&pid.as_raw().to_ne_bytes(), &[pidfd.as_fd()]).is_ok()
                {
                    children.push(Kept { pid, pidfd, status });
                }
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(Errno::EAGAIN as i32);
                let _ = status.send(&errno.to_ne_bytes(), Flags::empty());
            }
        }
    }
}

impl Kept {
    /// Tells the parent how the child ended; false: there is no more to tell.
    fn tell_end(&self) -> bool {
        match exit_of(Id::Pid(self.pid)) {
            Some(exit) => {
                let _ = self.status.send(&exit.exitcode().to_ne_bytes(), Flags::empty());
                false
            }
            None => true,
        }
    }
}

/// How an own child ended, which is reaped by that. `None`: it runs.
pub(super) fn exit_of(id: Id<'_>) -> Option<Exit> {
    match waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal)),
        Ok(_) | Err(Errno::EINTR) => None,
        // Reaped by somebody else.
        Err(_) => Some(Exit::Unknown),
    }
}
