//! `concurrent.futures` and `threading`, bounded: a pool of threads, the futures of what it does, and what goes with
//! them.
//!
//! [`ThreadPool::submit`] takes a closure, or hands it back when as many wait as may, and returns the [`Future`] of its
//! result: it can be asked, waited for, cancelled, awaited on any executor, and followed by callbacks. A task that panics
//! fails with an [`Exception`] that says where. [`wait`] and [`as_completed`] wait for many; [`ThreadPool::map`] runs a
//! function over an iterator, [`ThreadPool::map_slice`] over a slice, [`ThreadPool::scope`] tasks that borrow. Beside the pool: [`Local`], a value for each
//! thread; [`Timers`] and [`Scheduler`] for what is to happen later; [`Queue`] between threads that wait.
//!
//! ```
//! use std::time::Duration;
//! use tidemill_host::threads::{Failure, ThreadPool, as_completed};
//!
//! let pool = ThreadPool::builder().name("mill").workers(2).capacity(100).build()?;
//! let futures: Vec<_> = (1..=3).map(|n| pool.submit(move || 12 / (n - 2)).unwrap()).collect();
//! let mut words = Vec::new();
//! for future in as_completed(futures, Duration::from_secs(60)) {
//!     words.push(match future.unwrap().result(None) {
//!         Ok(number) => number.to_string(),
//!         Err(Failure::Failed(exception)) => exception.message().to_owned(),
//!         Err(other) => other.to_string(),
//!     });
//! }
//! words.sort();
//! assert_eq!(words, ["-12", "12", "attempt to divide by zero"]);
//! # Ok::<(), tidemill_host::threads::BuildError>(())
//! ```
//!
//! **Order.** What is submitted from outside is begun in that order, but that a worker takes up to 32 small tasks at
//! once, and others take from it what it has not begun. What a task submits goes to its own worker's queue. From one
//! thread to another everything that was done before `submit` is seen by the task, and everything that it did by who
//! knows that it has ended.
//!
//! **Waiting inside a task.** A task may wait for others. If what it waits for is pending in the same pool, and there is no
//! time-out, its worker runs that in place, and nothing else: so helping never leads to a deadlock that was not there.
//! In any other case the worker gives up its place while it waits, and another takes it, up to 64 threads more than
//! workers. So a pool of one whose task waits for its own child does not hang, as Python's does; tasks that wait for each
//! other in a circle do.
//!
//! **Rest.** A worker without work looks for it for some microseconds, then sleeps: a pool at rest makes no system calls. A
//! new task wakes at most one worker, and none while one looks. Nobody who waits spins for more than microseconds; who is no
//! worker then looks for some tens of them more, with the core given away between two looks, before he sleeps.
//!
//! | file | what is in it |
//! |---|---|
//! | `task` | a task in one allocation; all that is unsafe about it |
//! | `gate` | what threads wait at |
//! | `room` | how many tasks may wait, and whether any more are taken |
//! | `sleep` | who looks for work, who sleeps, who is woken |
//! | `worker` | what a thread does |
//! | `shared` | what the threads and handles of a pool share |

mod error;
mod exception;
mod future;
mod gate;
mod local;
mod map;
mod pool;
mod queue;
mod room;
mod sched;
mod scope;
mod shared;
mod sizing;
mod sleep;
mod slice;
mod snapshot;
pub(crate) mod sync;
mod task;
mod timer;
mod wait;
mod worker;

pub use error::{BuildError, SubmitError};
pub use exception::{Exception, Location};
pub(crate) use exception::{catch, install_hook};
pub use future::Future;
pub use local::Local;
pub use map::{Map, MapOptions};
pub use pool::{Builder, ThreadPool, WORKERS_MAX};
pub use queue::Queue;
pub use sched::{Clock, NotQueued, Scheduler, SystemClock};
pub use scope::Scope;
pub use sizing::{cores, optimal_threads};
pub use snapshot::{Snapshot, WorkerSnapshot};
pub(crate) use task::{Entry, Started};
pub use tidemill_core::future::State;
pub use tidemill_core::pool::{CallbackError, Failure};
pub use timer::{Timer, TimerError, Timers};
pub use wait::{AnyFuture, AsCompleted, ReturnWhen, Unfinished, Waited, as_completed, wait};
