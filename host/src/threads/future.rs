//! The future of a task's result.

use std::fmt;
use std::hint::spin_loop;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use tidemill_core::future::State;
use tidemill_core::pool::{CallbackError, Failure};
use tidemill_core::task::{self, Task};

use super::exception::Exception;
use super::gate::Gate;
use super::sizing::cores;
use super::sync::Arc;
use super::task::{Entry, Handle, TaskRef, Watcher, alone};
use super::worker;

/// How long somebody who waits looks again and again. Longer would keep the worker he waits for from a core they share.
const LOOK: Duration = Duration::from_micros(4);

/// How long he looks in all before he sleeps, if he is no worker: after the first few microseconds he lets whoever wants
/// the core have it between two looks. It is what sleeping and being woken costs, so that he never waits, or keeps
/// a core busy, more than twice as long as had he known how long it takes.
const STAY: Duration = Duration::from_micros(50);

/// What came, or will come, of a task: `concurrent.futures.Future`.
///
/// It can be asked, waited for, cancelled, awaited on any executor, and its result taken once, by whoever has it for
/// himself (`&mut`); many may look at it (`&`), from many threads. A task that panics *fails*, with an [`Exception`]; its
/// future tells that as often as it is asked. Dropping a future does not stop its task; nobody keeps what comes of it.
///
/// ```
/// use tidemill_host::threads::{Failure, ThreadPool};
///
/// let pool = ThreadPool::new(2)?;
/// let mut sum = pool.submit(|| (1..=100).sum::<u32>()).unwrap();
/// let mut broken = pool.submit(|| u32::from_str_radix("tide", 10).unwrap()).unwrap();
/// assert_eq!(sum.result(None).unwrap(), 5050);
/// let Err(Failure::Failed(exception)) = broken.result(None) else { panic!("it cannot be parsed") };
/// assert!(exception.to_string().contains("InvalidDigit"));
/// assert!(exception.location().is_some());
/// # Ok::<(), tidemill_host::threads::BuildError>(())
/// ```
#[must_use = "a future that is dropped takes its result with it"]
pub struct Future<T> {
    /// `None`: the result was taken.
    handle: Option<Handle<T>>,
}

impl<T> Future<T> {
    pub(super) fn new(handle: Handle<T>) -> Self {
        Self { handle: Some(handle) }
    }

    /// Of a task whose work is done elsewhere: whoever does it [begins](Entry::start) it, and ends it by having `take` called.
    pub(crate) fn elsewhere(take: impl FnOnce() -> T + Send + 'static, home: usize) -> (Option<Entry>, Self)
    where
        T: Send + 'static,
    {
        // SAFETY: it borrows nothing that does not live for ever.
        #[allow(unsafe_code)]
        let (mut job, handle) = unsafe { alone(take, home) };
        (job.next(), Self::new(handle))
    }

    /// What distinguishes its task from all others; `None`: its result was taken.
    pub(crate) fn id(&self) -> Option<usize> {
        self.task().map(TaskRef::id)
    }

    /// Where in its life the task is; of one whose result was taken, `Done`.
    pub fn state(&self) -> State {
        self.handle.as_ref().map_or(State::Done, |handle| handle.task().state())
    }

    /// Whether the task has ended: done, failed or cancelled.
    pub fn done(&self) -> bool {
        self.state().is_ended()
    }

    /// Whether the task has begun and not ended.
    pub fn running(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.state() == State::Cancelled
    }

    /// Cancels a task that has not begun; true also if it was cancelled before. False: it runs, or has ended. What it
    /// captured is dropped, and its callbacks are called, before this returns.
    pub fn cancel(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| handle.task().cancel())
    }

    /// Waits for the end, and takes the result. A worker of the same pool that waits without `timeout` runs the task in
    /// place if it is pending; in any other case another worker takes its place meanwhile. If no more can (64 wait
    /// already), it runs the task in place also with a `timeout`, which may then be overrun.
    ///
    /// Callbacks that were added before the task ended are called first.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the task panicked, [`Failure::Cancelled`], [`Failure::TimedOut`] after `timeout`: it can be
    /// asked again; [`Failure::Stale`]: the result was taken.
    pub fn result(&mut self, timeout: impl Into<Option<Duration>>) -> Result<T, Failure<Exception>> {
        let Some(handle) = &self.handle else { return Err(Failure::Stale) };
        if !handle.task().is_settled() && !wait_until_settled(handle.task(), deadline(timeout.into())) {
            return Err(Failure::TimedOut);
        }
        self.take()
    }

    /// Takes the result if it is there: core's contract for what may have to wait.
    ///
    /// # Errors
    /// `WouldBlock`, or as [`result`](Self::result).
    pub fn try_result(&mut self) -> nb::Result<T, Failure<Exception>> {
        match &self.handle {
            Some(handle) if !handle.task().is_settled() => Err(nb::Error::WouldBlock),
            _ => self.take().map_err(nb::Error::Other),
        }
    }

    /// Takes the result, which is settled. An exception stays where it is, to be told again.
    fn take(&mut self) -> Result<T, Failure<Exception>> {
        match self.state() {
            State::Done => match self.handle.take().map(Handle::take) {
                Some(Ok(value)) => Ok(value),
                _ => Err(Failure::Stale),
            },
            _ => Err(self.peek_now().err().unwrap_or(Failure::Stale)),
        }
    }

    /// Waits for the end, and looks at the result.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub fn peek(&self, timeout: impl Into<Option<Duration>>) -> Result<&T, Failure<Exception>> {
        if self.wait(timeout) { self.peek_now() } else { Err(Failure::TimedOut) }
    }

    /// What came of it, which has ended.
    fn peek_now(&self) -> Result<&T, Failure<Exception>> {
        let handle = self.handle.as_ref().ok_or(Failure::Stale)?;
        handle.peek().map_err(failure)
    }

    /// Waits for the end; what the task failed with, `None` if it did not.
    ///
    /// # Errors
    /// As [`result`](Self::result), but never [`Failure::Failed`].
    pub fn exception(&self, timeout: impl Into<Option<Duration>>) -> Result<Option<Exception>, Failure<Exception>> {
        match self.peek(timeout) {
            Ok(_) => Ok(None),
            Err(Failure::Failed(exception)) => Ok(Some(exception)),
            Err(failure) => Err(failure),
        }
    }

    /// Waits for the end, or `timeout`. Whether it has ended.
    pub fn wait(&self, timeout: impl Into<Option<Duration>>) -> bool {
        let task = self.handle.as_ref().map(Handle::task);
        task.is_none_or(|task| task.state().is_ended() || wait_until_ended(task, deadline(timeout.into())))
    }

    /// Has `callback` called once when the task ends, after those that were added before, by whoever ends it: a worker, or
    /// who cancels it. At once, by this call, if it has ended. A callback that panics hurts nobody: that is told as any
    /// panic is. The result can be taken when all have been called, so a callback must not wait for that.
    ///
    /// # Errors
    /// [`CallbackError`] hands it back: [`Stale`](CallbackError::Stale) if the result was taken,
    /// [`Full`](CallbackError::Full) if there are 1,024 of them.
    pub fn add_done_callback<C>(&self, callback: C) -> Result<(), CallbackError<C>>
    where
        C: FnOnce(Result<&T, Failure<Exception>>) + Send + 'static,
        T: 'static,
    {
        let Some(handle) = &self.handle else { return Err(CallbackError::Stale(callback)) };
        // What has to be handed back is kept where both can reach it.
        let slot = std::sync::Arc::new(std::sync::Mutex::new(Some(callback)));
        let take =
            |slot: &std::sync::Mutex<Option<C>>| slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let watcher = {
            let slot = slot.clone();
            Watcher::Callback(Box::new(move |task| {
                if let Some(callback) = take(&slot) {
                    call::<T, C>(task, callback);
                }
            }))
        };
        match handle.task().watch(watcher) {
            Err((_, true)) => return take(&slot).map_or(Ok(()), |callback| Err(CallbackError::Full(callback))),
            Err((Watcher::Callback(callback), false)) => {
                // As for those that a worker calls.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback(handle.task())));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn task(&self) -> Option<TaskRef> {
        self.handle.as_ref().map(Handle::task)
    }
}

/// Calls a callback with what came of a task, which has ended.
fn call<T, C: FnOnce(Result<&T, Failure<Exception>>)>(task: TaskRef, callback: C) {
    // SAFETY: the callback was added to a future of this type, and while callbacks are called nobody takes the result:
    // it is not settled, or the future is borrowed by the call.
    #[allow(unsafe_code)]
    let result = unsafe { task.peek::<T>() };
    callback(result.map_err(failure));
}

/// Why there is no value, of a task that has ended.
fn failure(exception: Option<&Exception>) -> Failure<Exception> {
    exception.cloned().map_or(Failure::Cancelled, Failure::Failed)
}

/// When a time-out is over; `None`: never.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(timeout?)
}

/// Whether who waits runs the task in place. What has begun cannot be left at `deadline`, so with one only if else nobody
/// might come to run it.
fn helps(deadline: Option<Instant>) -> bool {
    deadline.is_none() || worker::is_last()
}

/// Waits until a task has ended, or `deadline`; whether it has.
pub(super) fn wait_until_ended(task: TaskRef, deadline: Option<Instant>) -> bool {
    if (helps(deadline) && worker::help(task)) || look(|| task.state().is_ended(), deadline) {
        return true;
    }
    let gate = Arc::new(Gate::new(1));
    if task.watch(Watcher::Ended(gate.clone())).is_err() {
        return true;
    }
    let ended = worker::blocked(|| gate.wait(deadline));
    if !ended {
        task.unwatch(|watcher| matches!(watcher, Watcher::Ended(other) if Arc::ptr_eq(other, &gate)));
    }
    ended || task.state().is_ended()
}

/// Waits until the result of a task may be taken, or `deadline`; whether it may.
fn wait_until_settled(task: TaskRef, deadline: Option<Instant>) -> bool {
    if helps(deadline) {
        worker::help(task);
    }
    if look(|| task.is_settled(), deadline) {
        return true;
    }
    let gate = Arc::new(Gate::new(1));
    if task.watch(Watcher::Settled(gate.clone())).is_err() {
        return true;
    }
    let settled = worker::blocked(|| gate.wait(deadline));
    if !settled {
        task.unwatch(|watcher| matches!(watcher, Watcher::Settled(other) if Arc::ptr_eq(other, &gate)));
    }
    settled || task.is_settled()
}

/// Looks for a moment whether it has come.
pub(super) fn look(come: impl Fn() -> bool, deadline: Option<Instant>) -> bool {
    if come() {
        return true;
    }
    if cores() == 1 {
        return false;
    }
    let began = Instant::now();
    loop {
        for _ in 0..16 {
            if come() {
                return true;
            }
            spin_loop();
        }
        let now = Instant::now();
        let looked = now - began;
        if looked > STAY || looked > LOOK && worker::is_one() || deadline.is_some_and(|deadline| now >= deadline) {
            return come();
        }
        if looked > LOOK {
            yield_now();
        }
    }
}

/// Awaits the end, and takes the result.
impl<T> std::future::Future for Future<T> {
    type Output = Result<T, Failure<Exception>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(handle) = &self.handle
            && !handle.task().is_settled()
            && handle.task().watch(Watcher::Waker(cx.waker().clone())).is_ok()
        {
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }
}

impl<T> Unpin for Future<T> {}

/// A task of core's, for its executors: polled each tick until there is a result.
impl<S, X, T> Task<S, X> for Future<T> {
    type Output = T;
    type Error = Failure<Exception>;

    fn poll(&mut self, _: &mut task::Context<'_, S, X>) -> nb::Result<T, Failure<Exception>> {
        self.try_result()
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Future({:?})", self.state())
    }
}
