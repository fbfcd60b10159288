//! Processes that run registered functions, one task after the other: `multiprocessing.Pool` and
//! `concurrent.futures.ProcessPoolExecutor` in one.
//!
//! | file | what is in it |
//! |---|---|
//! | `builder` | how a pool is to be |
//! | `state` | the tasks that wait, and of each worker the tasks on its wire |
//! | `driver` | the pool's own thread: starts workers, takes answers, buries the dead |
//! | `ticket` | who is told what came of a task |
//! | `page` | memory shared with a worker: who has which task |
//! | `worker` | what a worker does |
//! | `frame` | what pool and workers say to each other |
//! | `map` | a function over many |
//!
//! A task goes to a worker that has nothing to do by whoever submits it. If all have, it waits, and the driver puts it on
//! a wire when a worker has answered: several at once, as many as a worker does in a millisecond, so that it need not
//! wait for the way there and back. What lies on one wire while another worker has nothing to do is taken back.

mod builder;
mod driver;
pub(super) mod frame;
pub(super) mod map;
mod page;
mod state;
pub(super) mod ticket;
pub(super) mod worker;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::pool::Failure as Ended;

use super::{Error, Failure, Function, StartMethod, lock, name_of, server};
use crate::threads::{Exception, Future, SubmitError};
pub use builder::Builder;
pub use map::{Imap, ImapUnordered};
use state::{State, Task};
use ticket::Ticket;
use worker::Initializer;

/// Processes that run registered functions.
///
/// Workers are started when there is work for them, and stay. A worker that dies fails the task that it was in the middle
/// of, with [`Failure::WorkerDied`], and no other; another takes its place. No task is begun twice. Workers are daemonic:
/// they end with this process, and may start none. Dropping the pool [terminates](Self::terminate) it and waits for that,
/// as Python's `with` does: no process, zombie or descriptor is left.
///
/// What [`submit`](Self::submit) returns is the [`Future`] of the pool of threads, so that
/// [`wait`](crate::threads::wait) and [`as_completed`](crate::threads::as_completed) take both. What a task failed with is
/// told by [`Failure::of`] its exception.
///
/// ```
/// use tidemill_host::process::{Failure, ProcessPool};
///
/// fn half(x: u32) -> u32 {
///     if x % 2 == 0 { x / 2 } else { std::process::exit(3) }
/// }
/// tidemill_host::register!(half);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ProcessPool::new(2)?;
/// assert_eq!(pool.map(half, [2, 4, 6])?, [1, 2, 3]);
/// let mut odd = pool.submit(half, 7)?;
/// let died = odd.exception(None)?.unwrap();
/// assert!(matches!(Failure::of(&died), Some(Failure::WorkerDied { exitcode: 3, .. })));
/// assert_eq!(pool.apply(half, 8)?, 4);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "Pool")]
#[doc(alias = "ProcessPoolExecutor")]
pub struct ProcessPool {
    shared: Arc<Shared>,
    driver: Mutex<Option<JoinHandle<()>>>,
    driver_id: ThreadId,
}

struct Plan {
    name: String,
    workers: usize,
    capacity: usize,
    tasks_max: Option<u32>,
    limit: Option<Duration>,
    initializer: Option<Initializer>,
    /// The descriptors among its argument.
    handles: Vec<OwnedFd>,
    method: StartMethod,
    /// What the workers are copies of, by [`StartMethod::Fork`].
    template: Option<Arc<server::Server>>,
}

struct Shared {
    plan: Plan,
    state: Mutex<State>,
    /// Told when tasks have ended.
    room: Condvar,
    /// Has the driver look.
    wake: EventFd,
}

/// Whether a call waits for room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfFull {
    Refuse,
    Wait,
}

impl ProcessPool {
    /// A pool of so many processes.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(workers: usize) -> Result<Self, Error> {
        Self::builder().workers(workers).build()
    }

    /// A pool to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How many processes at most.
    pub fn workers(&self) -> usize {
        self.shared.plan.workers
    }

    /// The pids of those that there are now.
    pub fn pids(&self) -> Vec<i32> {
        lock(&self.shared.state).workers.iter().map(|worker| worker.child.pid()).collect()
    }

    /// Has a worker call the function. What is wrong with function or argument (it is not registered, it cannot be
    /// encoded) is told by the future.
    ///
    /// # Errors
    /// [`SubmitError`] hands the argument back: the pool is full, closed or broken.
    pub fn submit<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<Future<R>, SubmitError<A>> {
        self.submit_one(name_of(&function), argument, self.shared.plan.limit, IfFull::Refuse, |_| ())
    }

    /// As [`submit`](Self::submit), but waits while the pool is full. In a callback, which the pool's own thread calls, it
    /// does not wait.
    ///
    /// # Errors
    /// [`SubmitError`] hands the argument back: the pool is closed or broken.
    pub fn submit_blocking<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<Future<R>, SubmitError<A>> {
        self.submit_one(name_of(&function), argument, self.shared.plan.limit, IfFull::Wait, |_| ())
    }

    /// As [`submit`](Self::submit), for a task that may take so long and not as long as the pool's others.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_within<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        limit: Duration,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<Future<R>, SubmitError<A>> {
        self.submit_one(name_of(&function), argument, Some(limit), IfFull::Refuse, |_| ())
    }

    /// Has a worker call the function, and waits for the result.
    ///
    /// # Errors
    /// [`Ended::Failed`], also if the pool takes no more work.
    pub fn apply<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<R, Ended<Exception>> {
        self.submit_blocking(function, argument).map_err(refused)?.result(None)
    }

    /// As [`submit`](Self::submit), and has one of these called with what came of it, in the pool's own thread; at once if
    /// the argument cannot be encoded.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn apply_async<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
        callback: impl FnOnce(&R) + Send + 'static,
        error_callback: impl FnOnce(Ended<Exception>) + Send + 'static,
    ) -> Result<Future<R>, SubmitError<A>> {
        self.submit_one(name_of(&function), argument, self.shared.plan.limit, IfFull::Refuse, |future| {
            call_back(future, callback, error_callback);
        })
    }

    /// Kills the worker that is in the middle of this task, which fails with [`Failure::Killed`]; no other does. A task that
    /// has not been begun fails likewise. False: it has ended, or is none of this pool.
    pub fn kill<R>(&self, task: &Future<R>) -> bool {
        let Some(id) = task.id() else { return false };
        let killed = lock(&self.shared.state).kill(id);
        self.shared.wake();
        killed.unwrap_or_else(|task| {
            task.ticket.deliver(Err(Failure::Killed));
            true
        })
    }

    /// Takes no more work. What there is is done; then the workers end.
    pub fn close(&self) {
        lock(&self.shared.state).closed = true;
        self.shared.room.notify_all();
        self.shared.wake();
    }

    /// Kills the workers. What they are in the middle of fails with [`Failure::ShutDown`], what waits is cancelled.
    pub fn terminate(&self) {
        {
            let mut state = lock(&self.shared.state);
            (state.closed, state.terminated) = (true, true);
        }
        self.shared.room.notify_all();
        self.shared.wake();
    }

    /// Waits until all is done and the workers are gone. In a callback it does not wait.
    ///
    /// # Errors
    /// [`Error::Running`]: neither [`close`](Self::close) nor [`terminate`](Self::terminate) was called.
    pub fn join(&self) -> Result<(), Error> {
        if !lock(&self.shared.state).closed {
            return Err(Error::Running);
        }
        if self.is_driver() {
            return Ok(());
        }
        if let Some(thread) = lock(&self.driver).take() {
            // It does not panic: callbacks that do are caught.
            let _ = thread.join();
        }
        Ok(())
    }

    /// The end as an executor has it: takes no more work; `cancel_futures`: what has not been begun is cancelled; `wait`:
    /// returns when all is done and the workers are gone.
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.close();
        if cancel_futures {
            let waiting: Vec<Task> = {
                let mut state = lock(&self.shared.state);
                let waiting: Vec<Task> = state.queue.drain(..).collect();
                state.live -= waiting.len();
                waiting
            };
            for task in waiting {
                match task.ticket {
                    Ticket::Waiting(entry) => drop(entry),
                    begun => begun.deliver(Err(Failure::ShutDown)),
                }
            }
            self.shared.wake();
        }
        if wait {
            let _ = self.join();
        }
    }

    fn submit_one<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
        argument: A,
        limit: Option<Duration>,
        if_full: IfFull,
        begin: impl FnOnce(&Future<R>),
    ) -> Result<Future<R>, SubmitError<A>> {
        if let Err(refused) = self.enter(if_full) {
            return Err(refused.with(|()| argument));
        }
        let (ticket, future) = ticket::future(self.home(), ticket::decode);
        begin(&future);
        if let Some(ticket) = ticket {
            let frame = encode(name, 0, |into| frame::value(into, &argument));
            self.push(name, frame, limit, ticket);
        }
        Ok(future)
    }

    /// What distinguishes this pool's tasks from those of others.
    fn home(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Lets one task in, if there is room for it.
    fn enter(&self, if_full: IfFull) -> Result<(), SubmitError<()>> {
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(why) = &state.broken {
                return Err(SubmitError::Broken((), Failure::Broken(why.clone()).into()));
            }
            if state.closed {
                return Err(SubmitError::ShutDown(()));
            }
            if state.live < self.shared.plan.capacity {
                state.live += 1;
                return Ok(());
            }
            if if_full == IfFull::Refuse || self.is_driver() {
                return Err(SubmitError::Full(()));
            }
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_driver(&self) -> bool {
        self.driver_id == std::thread::current().id()
    }

    /// Takes a task that was let in.
    fn push(&self, name: &'static str, frame: Result<Vec<u8>, Failure>, limit: Option<Duration>, ticket: Ticket) {
        let mut guard = lock(&self.shared.state);
        let state = &mut *guard;
        // What has become of the pool since it was let in.
        let refused =
            if state.terminated { Some(Failure::ShutDown) } else { state.broken.clone().map(Failure::Broken) };
        let (news, refused) = match (frame, refused) {
            (Ok(frame), None) => {
                state.queue.push_back(Task { number: state.count, name, frame, limit, ticket });
                state.count += 1;
                if state.has_idle() {
                    state.pump();
                }
                (state.has_news(self.shared.plan.workers), None)
            }
            (Err(why), _) | (Ok(_), Some(why)) => {
                state.live -= 1;
                (state.closed, Some((ticket, why)))
            }
        };
        drop(guard);
        if news {
            self.shared.wake();
        }
        if let Some((ticket, why)) = refused {
            self.shared.room.notify_all();
            ticket.deliver(Err(why));
        }
    }
}

impl Shared {
    fn wake(&self) {
        // Full means that it is awake.
        let _ = self.wake.write(1);
    }
}

/// A task as it goes over the wire.
pub(super) fn encode(
    name: &'static str,
    many: u32,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), postcard::Error>,
) -> Result<Vec<u8>, Failure> {
    let function = Function::index(name).ok_or_else(|| Failure::NotRegistered(name.into()))?;
    let mut frame = Vec::with_capacity(32);
    frame::write(&mut frame, function | many, body)?;
    Ok(frame)
}

/// Why there is no result of what was not even taken.
pub(super) fn refused<A>(why: SubmitError<A>) -> Ended<Exception> {
    Ended::Failed(match why {
        SubmitError::Broken(_, why) => why,
        _ => Failure::ShutDown.into(),
    })
}

/// Has one of these called at the end.
fn call_back<R: Send + 'static>(
    future: &Future<R>,
    callback: impl FnOnce(&R) + Send + 'static,
    error_callback: impl FnOnce(Ended<Exception>) + Send + 'static,
) {
    // It is the first, so that there is room for it.
    let _ = future.add_done_callback(|result| match result {
        Ok(value) => callback(value),
        Err(why) => error_callback(why),
    });
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.join();
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
