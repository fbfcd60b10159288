//! Registered functions run by the ranks of an MPI job, on this machine and on others: mpi4py's `MPIPoolExecutor`.
//!
//! `mpirun -n 4` starts the same program four times. Each calls [`run`]; there the rank 0 leads, with an [`MpiPool`] to submit
//! to, and the others serve until it is done. Futures, failures and registered functions are those of
//! [`ProcessPool`](super::ProcessPool).
//!
//! ```no_run
//! use tidemill_host::process::mpi;
//!
//! fn double(x: u64) -> u64 {
//!     2 * x
//! }
//! tidemill_host::register!(double);
//!
//! fn main() -> Result<(), mpi::Error> {
//!     let done = mpi::run(|pool| pool.map(double, 0..1000, 10))?;
//!     // In the ranks that served it is `None`.
//!     if let Some(doubled) = done {
//!         println!("{}", doubled.map_or_else(|why| why.to_string(), |all| all.len().to_string()));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! **A rank that dies** takes an MPI job with it: that is what MPI does unless told otherwise (`mpirun
//! --enable-recovery`). Of a rank on the leader's machine the leader learns before: it fails the rank's task with
//! [`Failure::WorkerDied`], says on standard error which rank died in which task, and goes on with the others for as long
//! as it is let. Such a job ends with exit status 1. Of a rank elsewhere only `mpirun` tells.

mod leader;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use ::mpi::environment::Threading;
use ::mpi::topology::Communicator as _;
use nix::sys::signal::{SigSet, Signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_core::pool::Failure as Ended;

use super::pool::frame::{self, MANY};
use super::pool::map::{arguments, results};
use super::pool::ticket::{self, Ticket};
use super::pool::{encode, refused};
use super::{Failure, lock, name_of};
use crate::threads::{Exception, Future, SubmitError};
use leader::{Leader, serve};

/// How many tasks wait or run at most.
const CAPACITY: usize = 1 << 16;

/// Why there is no job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// MPI was initialized before, by whatever else is in this program.
    Initialized,
    /// There is nobody to serve: start it with `mpirun -n 2`, or more.
    Alone,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialized => "MPI has been initialized before",
            Self::Alone => "there is no other rank: start it with mpirun -n 2, or more",
        })
    }
}

impl std::error::Error for Error {}

/// The ranks that serve, as the leader has them: `MPIPoolExecutor`. See the [module](self).
#[doc(alias = "MPIPoolExecutor")]
#[derive(Debug)]
pub struct MpiPool {
    ranks: usize,
    state: Mutex<State>,
    /// Told when there is a task, or room for one.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Task>,
    live: usize,
    count: u64,
    /// The leader's function has returned.
    over: bool,
    broken: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("live", &self.live).finish_non_exhaustive()
    }
}

struct Task {
    number: u64,
    name: &'static str,
    frame: Vec<u8>,
    ticket: Ticket,
}

/// Called by every rank of the job, from a program's main thread. The first calls `lead`, in another thread, and returns what
/// that does; the others serve until then, and return `None`.
///
/// # Errors
/// [`Error`].
pub fn run<T: Send>(lead: impl FnOnce(&MpiPool) -> T + Send) -> Result<Option<T>, Error> {
    // mpirun ends a job by SIGTERM. It is kept off, also from the threads that are started below, until it is known why.
    let termination = SigSet::from_iter([Signal::SIGTERM]);
    let _ = termination.thread_block();
    let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled).ok_or(Error::Initialized)?;
    let world = universe.world();
    if world.size() < 2 {
        let _ = termination.thread_unblock();
        return Err(Error::Alone);
    }
    if world.rank() > 0 {
        let _ = termination.thread_unblock();
        serve(&world);
        return Ok(None);
    }
    let pool = MpiPool { ranks: world.size() as usize - 1, state: Mutex::default(), changed: Condvar::new() };
    let mut leader = Leader::new(&world, &pool);
    let done = thread::scope(|scope| {
        let led = scope.spawn(|| {
            // Also if it panics.
            let _over = Over(&pool);
            lead(&pool)
        });
        leader.drive();
        led.join()
    });
    let _ = termination.thread_unblock();
    match done {
        Ok(done) if leader.lost == 0 => Ok(Some(done)),
        // Those that live could not leave in peace: all would have to say good-bye. Of a panic the hook has told.
        _ => world.abort(1),
    }
}

struct Over<'a>(&'a MpiPool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).over = true;
        self.0.changed.notify_all();
    }
}

impl MpiPool {
    /// How many ranks serve.
    pub fn workers(&self) -> usize {
        self.ranks
    }

    /// Has a rank call the function. What is wrong with function or argument is told by the future.
    ///
    /// # Errors
    /// [`SubmitError`] hands the argument back: 65,536 tasks wait or run, or no rank lives.
    pub fn submit<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        argument: A,
    ) -> Result<Future<R>, SubmitError<A>> {
        let name = name_of(&function);
        let frame = encode(name, 0, |into| frame::value(into, &argument));
        let (ticket, future) = ticket::future(self.home(), ticket::decode);
        self.push(name, frame, ticket, false).map_err(|why| why.with(|()| argument))?;
        Ok(future)
    }

    /// Calls the function for all items, `chunksize` of them in a task, and waits for all results, in order. An unbalanced
    /// load is balanced by that: a rank gets its next chunk when it is through with one.
    ///
    /// # Errors
    /// The first failure, in the order of the items.
    ///
    /// # Panics
    /// If `chunksize` is zero.
    pub fn map<A: Serialize, R: DeserializeOwned + Send + 'static>(
        &self,
        function: impl Fn(A) -> R + Copy,
        items: impl IntoIterator<Item = A>,
        chunksize: usize,
    ) -> Result<Vec<R>, Ended<Exception>> {
        assert!(chunksize > 0, "a chunk has at least one item");
        let name = name_of(&function);
        let mut items = items.into_iter();
        let mut futures = Vec::new();
        loop {
            let chunk: Vec<A> = items.by_ref().take(chunksize).collect();
            if chunk.is_empty() {
                break;
            }
            let frame = encode(name, MANY, |into| arguments(into, &chunk));
            let (ticket, future) = ticket::future(self.home(), |bytes| Ok(results::<R>(bytes)));
            self.push(name, frame, ticket, true).map_err(refused)?;
            futures.push(future);
        }
        let mut all = Vec::new();
        for future in &mut futures {
            for result in future.result(None)? {
                all.push(result.map_err(|why| Ended::Failed(why.into()))?);
            }
        }
        Ok(all)
    }

    fn home(&self) -> usize {
        (&raw const *self).addr()
    }

    fn push(
        &self,
        name: &'static str,
        frame: Result<Vec<u8>, Failure>,
        ticket: Option<Ticket>,
        waits: bool,
    ) -> Result<(), SubmitError<()>> {
        let Some(ticket) = ticket else { return Ok(()) };
        let frame = match frame {
            Ok(frame) => frame,
            Err(why) => {
                ticket.deliver(Err(why));
                return Ok(());
            }
        };
        let mut state = lock(&self.state);
        while state.live >= CAPACITY && waits && !state.broken {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.broken {
            return Err(SubmitError::Broken((), no_rank().into()));
        }
        if state.live >= CAPACITY {
            return Err(SubmitError::Full(()));
        }
        let number = state.count;
        state.queue.push_back(Task { number, name, frame, ticket });
        state.live += 1;
        state.count += 1;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// The next task, begun.
    fn next(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            let mut task = state.queue.pop_front()?;
            if let Some(begun) = task.ticket.begin() {
                task.ticket = begun;
                return Some(task);
            }
            state.live -= 1;
        }
    }

    fn settle(&self, ticket: Ticket, reply: ticket::Reply<'_>) {
        lock(&self.state).live -= 1;
        self.changed.notify_all();
        ticket.deliver(reply);
    }

    fn break_down(&self) {
        let tasks: Vec<Task> = {
            let mut state = lock(&self.state);
            state.broken = true;
            state.queue.drain(..).collect()
        };
        for task in tasks {
            self.settle(task.ticket, Err(no_rank()));
        }
    }
}

fn no_rank() -> Failure {
    Failure::Broken("no rank lives that could serve".into())
}
