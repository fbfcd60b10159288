//! Waiting for many futures: for the first, the first that failed, all, or one after the other as they end.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use tidemill_core::future::State;
pub use tidemill_core::pool::{ReturnWhen, Unfinished};

use super::future::{Future, deadline, look};
use super::gate::{Gate, Line};
use super::sync::Arc;
use super::task::{TaskRef, Watcher};
use super::worker;

/// A future of whatever type, to be waited for.
pub trait AnyFuture: sealed::Sealed {
    /// Where in its life the task is.
    fn state(&self) -> State;
}

/// A task, in a public signature that nobody can call.
#[derive(Clone, Copy)]
pub struct Known(TaskRef);

mod sealed {
    use super::Known;
    pub trait Sealed {
        /// `None`: its result was taken.
        #[doc(hidden)]
        fn known(&self) -> Option<Known>;
    }
}

impl<T> sealed::Sealed for Future<T> {
    fn known(&self) -> Option<Known> {
        self.task().map(Known)
    }
}

impl<T> AnyFuture for Future<T> {
    fn state(&self) -> State {
        self.state()
    }
}

/// What had ended when [`wait`] returned. A future that was named twice counts once.
#[derive(Debug)]
pub struct Waited<'a, F: ?Sized> {
    /// Have ended.
    pub done: Vec<&'a F>,
    /// Live.
    pub not_done: Vec<&'a F>,
}

/// Waits until that is so which `when` says, or for `timeout`: `concurrent.futures.wait`. O(n).
///
/// A worker of the same pool that waits for all of them, without a time-out, runs those that are pending in place.
///
/// ```
/// use tidemill_host::threads::{AnyFuture, ReturnWhen, ThreadPool, wait};
///
/// let pool = ThreadPool::new(2)?;
/// let (number, text) = (pool.submit(|| 7).unwrap(), pool.submit(|| "seven").unwrap());
/// // They need not be of one type.
/// let both: [&dyn AnyFuture; 2] = [&number, &text];
/// let waited = wait(both, None, ReturnWhen::AllCompleted);
/// assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
/// # Ok::<(), tidemill_host::threads::BuildError>(())
/// ```
pub fn wait<'a, F: AnyFuture + ?Sized>(
    futures: impl IntoIterator<Item = &'a F>,
    timeout: impl Into<Option<Duration>>,
    when: ReturnWhen,
) -> Waited<'a, F> {
    let deadline = deadline(timeout.into());
    let mut seen = HashSet::new();
    let futures = futures.into_iter().filter(|future| future.known().is_none_or(|Known(task)| seen.insert(task.id())));
    let futures: Vec<&F> = futures.collect();
    if when == ReturnWhen::AllCompleted && deadline.is_none() {
        for Known(task) in futures.iter().filter_map(|future| future.known()) {
            worker::help(task);
        }
    }
    let ended = |future: &&&F| future.state().is_ended();
    let enough = || match when {
        ReturnWhen::FirstCompleted => futures.iter().any(|future| ended(&future)),
        ReturnWhen::FirstException => futures.iter().any(|future| future.state() == State::Failed),
        ReturnWhen::AllCompleted => false,
    };
    if !enough() && !futures.iter().all(|future| ended(&future)) {
        let gate = Arc::new(match when {
            ReturnWhen::FirstCompleted => Gate::new(1),
            ReturnWhen::FirstException => Gate::at_failure(futures.len()),
            ReturnWhen::AllCompleted => Gate::new(futures.len()),
        });
        let mut watched = Vec::with_capacity(futures.len());
        for future in &futures {
            match future.known().map(|Known(task)| (task, task.watch(Watcher::Ended(gate.clone())))) {
                Some((task, Ok(()))) => watched.push(task),
                _ => gate.tell(future.state() == State::Failed),
            }
        }
        if !look(|| gate.is_open(), deadline) {
            worker::blocked(|| gate.wait(deadline));
        }
        for task in watched.into_iter().filter(|task| !task.state().is_ended()) {
            task.unwatch(|watcher| matches!(watcher, Watcher::Ended(other) if Arc::ptr_eq(other, &gate)));
        }
    }
    let (done, not_done) = futures.iter().partition(|future| future.state().is_ended());
    Waited { done, not_done }
}

/// Futures in the order in which they end, each once, those first that have ended: `concurrent.futures.as_completed`. They
/// may be given away, lent, or shared; each is handed on as soon as it has been yielded, and dropped with its result
/// by whoever takes it. O(n) once, then O(1) for each. After `timeout`, counted from this call, one error, then no more.
///
/// ```
/// use tidemill_host::threads::{ThreadPool, as_completed};
///
/// let pool = ThreadPool::new(2)?;
/// let futures: Vec<_> = (1..=10).map(|n| pool.submit(move || n * n).unwrap()).collect();
/// let mut sum = 0;
/// for future in as_completed(futures, None) {
///     sum += future.unwrap().result(None).unwrap();
/// }
/// assert_eq!(sum, 385);
/// # Ok::<(), tidemill_host::threads::BuildError>(())
/// ```
pub fn as_completed<T, F: Borrow<Future<T>>>(
    futures: impl IntoIterator<Item = F>,
    timeout: impl Into<Option<Duration>>,
) -> AsCompleted<T, F> {
    let deadline = deadline(timeout.into());
    let line = Arc::new(Line::default());
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for future in futures {
        let task = future.borrow().task();
        if task.is_some_and(|task| !seen.insert(task.id())) {
            continue;
        }
        let place = all.len();
        if task.is_none_or(|task| task.watch(Watcher::InLine(line.clone(), place)).is_err()) {
            line.tell(place);
        }
        all.push(Some(future));
    }
    let of = all.len();
    AsCompleted { futures: all, line, left: of, of, deadline, future: std::marker::PhantomData }
}

/// See [`as_completed`].
#[derive(Debug)]
pub struct AsCompleted<T, F: Borrow<Future<T>>> {
    futures: Vec<Option<F>>,
    line: Arc<Line>,
    left: usize,
    of: usize,
    deadline: Option<Instant>,
    future: std::marker::PhantomData<fn() -> Future<T>>,
}

impl<T, F: Borrow<Future<T>>> AsCompleted<T, F> {
    /// Those that were not yielded.
    pub fn into_rest(mut self) -> impl Iterator<Item = F> {
        self.leave();
        std::mem::take(&mut self.futures).into_iter().flatten()
    }

    fn leave(&self) {
        for task in self.futures.iter().flatten().filter_map(|future| future.borrow().task()) {
            task.unwatch(|watcher| matches!(watcher, Watcher::InLine(line, _) if Arc::ptr_eq(line, &self.line)));
        }
    }
}

impl<T, F: Borrow<Future<T>>> Iterator for AsCompleted<T, F> {
    type Item = Result<F, Unfinished>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let ended = self.line.take().or_else(|| worker::blocked(|| self.line.wait(self.deadline)));
        let Some(place) = ended else {
            let unfinished = Unfinished { left: self.left, of: self.of };
            self.left = 0;
            return Some(Err(unfinished));
        };
        self.left -= 1;
        self.futures.get_mut(place)?.take().map(Ok)
    }
}

impl<T, F: Borrow<Future<T>>> Drop for AsCompleted<T, F> {
    fn drop(&mut self) {
        self.leave();
    }
}
