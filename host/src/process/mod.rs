//! Processes that run a function of this program: Python's `multiprocessing.Process`.
//!
//! A child shares nothing with its parent. What it is to run is a function that the program has
//! [`register!`](crate::register)ed, with arguments that travel as bytes; what the function returns travels back, and so do
//! the words and the place of a panic. Nothing has to be said in `main`: a child takes its order before that.
//!
//! ```
//! use tidemill_host::process::{Exit, Process};
//!
//! fn tides(days: u32) -> Result<u32, String> {
//!     days.checked_mul(2).ok_or_else(|| format!("{days} days have too many tides"))
//! }
//! tidemill_host::register!(tides);
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let process = Process::new(tides, 14).start()?;
//! assert_eq!(process.result()?, Ok(28));
//! let process = Process::new(tides, u32::MAX).start()?;
//! assert_eq!(process.join(), Exit::Code(1));
//! assert_eq!(process.result().unwrap_err().to_string(), "4294967295 days have too many tides");
//! # Ok(())
//! # }
//! ```
//!
//! | Python | here |
//! |---|---|
//! | `Process(target=f, args=...)` | [`Process::new`]`(f, args)`, options, then [`start`](Process::start) gives the [`Running`] one |
//! | a subclass with `run` | a registered function that takes the value: `fn run(task: Task)` |
//! | `exitcode` | [`Child::exit`]: a code or a signal; [`Exit::exitcode`] has Python's number |
//! | `close` | dropping |
//! | calling `start` twice, or any method of a closed process | does not compile |
//!
//! Each child is known by a *pidfd*, so that no signal ever meets a stranger who has its number now. A [daemonic
//! child](Process::daemon) ends with its parent, even if that was killed: its line to it breaks. Children that nobody waited
//! for are reaped when the next is started, so none stays a zombie for long. Descriptors are not inherited but for standard
//! output and error.
//!
//! To fork without a function, as `os.fork` does, see [`fork`]. For many tasks there is [`ProcessPool`]; for many commands,
//! [`commands`]; for many machines, `mpi`, a feature.

mod child;
pub mod commands;
mod error;
mod exit;
mod island;
#[cfg(feature = "mpi")]
pub mod mpi;
mod pidfd;
mod pool;
mod registry;
mod running;
mod server;
mod start;
mod wire;

pub use error::Error;
pub use exit::{Exit, Failure};
pub use pool::{Builder, Imap, ImapUnordered, ProcessPool};
pub use registry::{FUNCTIONS, Function};
pub use running::{Child, Running, active_children};
pub use server::start_fork_server;
pub use start::{StartMethod, UnknownMethod, get_start_method, set_start_method};
pub use wire::MESSAGE_MAX;

pub use crate::threads::cores as cpu_count;

#[doc(hidden)]
pub use linkme;
#[doc(hidden)]
pub use registry::{MaybeError, NeverError, Returned, Value, call, name_of};

use std::ffi::OsString;
use std::io::Write as _;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ipc;
use crate::socket::{Kind, Socket};
use running::Born;
use wire::{Order, Report};

/// A process to be started. See the [module](self).
pub struct Process<R> {
    target: Target,
    name: Option<String>,
    daemon: bool,
    method: Option<StartMethod>,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    directory: Option<Vec<u8>>,
    descriptors: Vec<OwnedFd>,
    template: Option<Arc<server::Server>>,
    returns: PhantomData<fn() -> R>,
}

enum Target {
    Function { name: &'static str, arguments: Result<Vec<u8>, String>, handles: Vec<OwnedFd> },
    Closure(Box<dyn FnOnce() -> Report>),
}

impl<R> std::fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("method", &self.method).finish_non_exhaustive()
    }
}

impl<R: DeserializeOwned> Process<R> {
    /// A process that is to run this function, which is registered. Whatever is wrong is told by [`start`](Self::start).
    ///
    /// Arguments may contain what [`ipc`] has: the child goes on with it.
    pub fn new<A: Serialize>(function: impl Fn(A) -> R + Copy, arguments: A) -> Self {
        let (encoded, handles) = ipc::pack(|| postcard::to_allocvec(&arguments));
        ipc::give_away(arguments);
        let arguments = encoded.map_err(|error| error.to_string());
        Self::of(Target::Function { name: name_of(&function), arguments, handles })
    }

    fn of(target: Target) -> Self {
        Self {
            target,
            name: None,
            daemon: false,
            method: None,
            environment: Vec::new(),
            directory: None,
            descriptors: Vec::new(),
            template: None,
            returns: PhantomData,
        }
    }
}

impl<R: Serialize + DeserializeOwned> Process<R> {
    /// A forked process that is to run this closure, which need not be registered.
    pub fn closure(closure: impl FnOnce() -> R + 'static) -> Self {
        let run = || postcard::to_allocvec(&closure()).map_err(|error| Failure::Encoding(error.to_string()));
        Self::of(Target::Closure(Box::new(run))).method(StartMethod::Fork)
    }
}

impl<R> Process<R> {
    /// What it is called; else `Process-1`, and so on, and `Process-1:1` for a child of that.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with its parent: the parent's death terminates it, as does dropping its [`Running`]. It may have no
    /// children.
    #[must_use]
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// How it is started: what Python calls a context. Else as [`get_start_method`] says.
    #[must_use]
    pub fn method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets a variable of its environment, which is otherwise this process's; with [`StartMethod::ForkServer`], as it was
    /// when the server started.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into().into_vec(), value.into().into_vec()));
        self
    }

    /// Where it works: else where this process does, or did when the fork server started.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into().into_os_string().into_vec());
        self
    }

    /// Gives it a descriptor, which it takes with [`inherited`]. At most 253, those of its arguments among them.
    #[must_use]
    pub fn pass(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.descriptors.push(descriptor.into());
        self
    }

    /// It is forked by this server.
    fn forked_by(mut self, template: Option<Arc<server::Server>>) -> Self {
        self.template = template;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(self) -> Result<Running<R>, Error> {
        Ok(Running::new(self.start_child()?))
    }

    fn start_child(self) -> Result<Child, Error> {
        if child::identity().is_some_and(|me| me.daemon) {
            return Err(Error::Daemon);
        }
        active_children();
        let (function, arguments, mut descriptors, closure) = match self.target {
            Target::Closure(closure) => ("", Vec::new(), Vec::new(), Some(closure)),
            Target::Function { name, arguments, handles } => {
                Function::find(name).ok_or(Error::NotRegistered(name))?;
                (name, arguments.map_err(Error::Encoding)?, handles, None)
            }
        };
        let handles = descriptors.len();
        descriptors.extend(self.descriptors);
        let me = current_process();
        let order = Order {
            function: function.into(),
            name: self.name.unwrap_or_else(|| next_name(&me)),
            daemon: self.daemon,
            parent: me.pid,
            parent_name: me.name,
            environment: self.environment,
            directory: self.directory,
            handles,
        };
        let (name, daemon) = (order.name.clone(), order.daemon);
        let method = self.method.unwrap_or_else(get_start_method);
        let mut told = Ok(());
        let born = match (closure, method) {
            (Some(closure), _) => {
                let mut closure = Some(closure);
                let born = by_fork(order, descriptors, |order, control, descriptors| {
                    child::become_child(order, control, descriptors);
                    child::run(|| closure.take().map_or(Ok(Vec::new()), |closure| closure()))
                });
                ipc::give_away(closure);
                born?
            }
            (None, StartMethod::Fork) if self.template.is_none() => {
                by_fork(order, descriptors, |order, control, descriptors| {
                    if running::blank(&ipc::lines()).is_err() {
                        std::process::exit(1);
                    }
                    child::obey(order, &arguments, control, descriptors)
                })?
            }
            (None, method) => {
                let order = wire::encode(&order, &arguments).map_err(|error| Error::Encoding(error.to_string()))?;
                let born = match self.template {
                    Some(template) => template.fork()?,
                    None if method == StartMethod::Spawn => by_spawn()?,
                    None => server::fork()?,
                };
                told = born.tell(&order, &descriptors);
                born
            }
        };
        let child = born.known_as(name, daemon)?;
        if let Err(error) = told {
            // It waits for an order that does not come.
            child.kill()?;
            child.join();
            return Err(error);
        }
        Ok(child)
    }
}

/// Takes a lock. What a panic left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn by_spawn() -> Result<Born, Error> {
    let (control, its) = Socket::socketpair(Kind::Stream)?;
    let pid = server::this_program(child::Role::Child, its)?.spawn()?.id() as i32;
    Ok(Born { pid, pidfd: pidfd::open(pid)?, control, status: None })
}

fn by_fork(
    order: Order,
    descriptors: Vec<OwnedFd>,
    run: impl FnOnce(Order, Socket, Vec<OwnedFd>) -> i32,
) -> Result<Born, Error> {
    let (control, its) = Socket::socketpair(Kind::Stream)?;
    let Some((pid, pidfd)) = fork_alone()? else {
        drop(control);
        std::process::exit(run(order, its, descriptors))
    };
    Ok(Born { pid, pidfd, control, status: None })
}

/// Forks this process, which has no other threads. `None`: this is the child, which has let go of its parent's children.
fn fork_alone() -> Result<Option<(i32, OwnedFd)>, Error> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads > 1 {
        return Err(Error::Threads { threads });
    }
    // What is written but not flushed would be written twice.
    std::io::stdout().flush()?;
    #[expect(unsafe_code, reason = "forks")]
    // SAFETY: this process has one thread.
    let Some(pid) = (unsafe { island::fork() })? else {
        if running::let_go().is_err() {
            std::process::exit(1);
        }
        return Ok(None);
    };
    Ok(Some((pid.as_raw(), pidfd::open(pid.as_raw())?)))
}

/// `os.fork`: a copy of this process, which goes on from here in both. `None`: this is the child; `Some`: its pid.
///
/// The child has to be waited for, as with `os.waitpid` (`nix::sys::wait`), or it stays a zombie. It has no part in the
/// handles of its parent's children.
///
/// # Safety
/// Of all threads only the calling one exists in the child. If there were others, a lock that one of them held stays held
/// for ever: until it execs or exits, the child may then do only what is safe in a signal handler.
///
/// # Errors
/// The system has no room for another process.
#[expect(unsafe_code, reason = "hands the duty on to its caller")]
pub unsafe fn fork() -> std::io::Result<Option<i32>> {
    // SAFETY: as the caller promises.
    Ok(unsafe { island::fork() }?.map(nix::unistd::Pid::as_raw))
}

/// What this process is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Current {
    /// What it is called; `MainProcess` if it was not started by [`Process`].
    pub name: String,
    /// Its number.
    pub pid: i32,
    /// Whether it ends with its parent.
    pub daemon: bool,
}

/// What this process is.
pub fn current_process() -> Current {
    let (name, daemon) = child::identity().map_or(("MainProcess", false), |me| (me.name.as_str(), me.daemon));
    Current { name: name.into(), pid: std::process::id() as i32, daemon }
}

/// The process that started this one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Parent {
    /// What it is called.
    pub name: String,
    /// Its number.
    pub pid: i32,
}

impl Parent {
    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        child::identity().is_some_and(child::Identity::parent_lives)
    }
}

/// Who started this process; `None` if it was not started by [`Process`].
pub fn parent_process() -> Option<Parent> {
    child::identity().map(|me| Parent { name: me.parent_name.clone(), pid: me.parent })
}

/// The descriptors that this process was [passed](Process::pass), in order; the first time it asks.
pub fn inherited() -> Vec<OwnedFd> {
    child::identity().map(|me| std::mem::take(&mut *lock(&me.inherited))).unwrap_or_default()
}

fn next_name(me: &Current) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
    if child::identity().is_some() { format!("{}:{number}", me.name) } else { format!("Process-{number}") }
}
