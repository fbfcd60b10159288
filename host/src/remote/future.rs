//! The future of a task that runs elsewhere.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tidemill_core::future::State;
use tidemill_core::pool::Failure;

use super::{Error, Shared};

/// What becomes of a task.
#[derive(Debug)]
pub(super) struct Promise {
    inner: Mutex<Inner>,
    ended: Condvar,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// `None` before the end, and when it was taken.
    outcome: Option<Result<Vec<u8>, Error>>,
    waker: Option<Waker>,
    aborting: bool,
}

impl Default for Promise {
    fn default() -> Self {
        let inner = Inner { state: State::Pending, outcome: None, waker: None, aborting: false };
        Self { inner: Mutex::new(inner), ended: Condvar::new() }
    }
}

impl Promise {
    /// Whoever holds it only moves values in and out.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It goes to the other end. False: it was cancelled before.
    pub(super) fn start(&self) -> bool {
        let mut inner = self.lock();
        inner.state.start().map(|state| inner.state = state).is_some()
    }

    /// Whether somebody wants it to be aborted.
    pub(super) fn is_aborting(&self) -> bool {
        self.lock().aborting
    }

    /// Whether it is cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.lock().state == State::Cancelled
    }

    /// It has an outcome, unless it has ended before.
    pub(super) fn settle(&self, outcome: Result<Vec<u8>, Error>) {
        let state = if outcome.is_ok() { State::Done } else { State::Failed };
        self.end(state, Some(outcome));
    }

    /// It ends without.
    pub(super) fn cancel(&self) {
        self.end(State::Cancelled, None);
    }

    fn end(&self, state: State, outcome: Option<Result<Vec<u8>, Error>>) {
        let mut inner = self.lock();
        if inner.state.is_ended() {
            return;
        }
        (inner.state, inner.outcome) = (state, outcome);
        let waker = inner.waker.take();
        drop(inner);
        self.tell(waker);
    }

    /// Tells whoever waits.
    fn tell(&self, waker: Option<Waker>) {
        self.ended.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What came, or will come, of a task that runs at the other end: `concurrent.futures.Future`.
///
/// It can be asked, waited for, cancelled, aborted and awaited. Dropping it does not stop its task.
#[derive(Debug)]
#[must_use = "a future that is dropped takes its result with it"]
pub struct Future {
    promise: Arc<Promise>,
    shared: Arc<Shared>,
}

impl Future {
    pub(super) fn new(promise: Arc<Promise>, shared: Arc<Shared>) -> Self {
        Self { promise, shared }
    }

    /// Where in its life it is: pending until it is sent, then running.
    pub fn state(&self) -> State {
        self.promise.lock().state
    }

    /// Whether it has ended: done, failed or cancelled.
    pub fn done(&self) -> bool {
        self.state().is_ended()
    }

    /// Whether it was sent and has not ended.
    pub fn running(&self) -> bool {
        self.state() == State::Running
    }

    /// Whether it was cancelled or aborted.
    pub fn cancelled(&self) -> bool {
        self.state() == State::Cancelled
    }

    /// Cancels a task that has not been sent; true also if it was cancelled before. False: it runs, or has ended.
    pub fn cancel(&self) -> bool {
        let mut inner = self.promise.lock();
        let Some(state) = inner.state.cancel() else { return false };
        inner.state = state;
        let waker = inner.waker.take();
        drop(inner);
        self.promise.tell(waker);
        self.shared.waker.wake();
        true
    }

    /// Ends a task that may run already: the other end is told to stop it, and its answer is not waited for. False: it has
    /// ended.
    pub fn abort(&self) -> bool {
        let mut inner = self.promise.lock();
        if inner.state.is_ended() {
            return false;
        }
        inner.aborting = true;
        drop(inner);
        self.shared.lock().aborting = true;
        self.shared.waker.wake();
        true
    }

    /// Waits for the end, and takes the result.
    ///
    /// # Errors
    /// [`Failure::Failed`], [`Failure::Cancelled`], [`Failure::TimedOut`] after `timeout`: it can be asked again;
    /// [`Failure::Stale`]: the result was taken.
    pub fn result(&mut self, timeout: impl Into<Option<Duration>>) -> Result<Vec<u8>, Failure<Error>> {
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inner = self.promise.lock();
        while !inner.state.is_ended() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let ended = &self.promise.ended;
            inner = match left {
                Some(Duration::ZERO) => return Err(Failure::TimedOut),
                Some(left) => ended.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
                None => ended.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
        take(&mut inner)
    }

    /// Takes the result if it is there.
    ///
    /// # Errors
    /// `WouldBlock`, or as [`result`](Self::result).
    pub fn try_result(&mut self) -> nb::Result<Vec<u8>, Failure<Error>> {
        let mut inner = self.promise.lock();
        if inner.state.is_ended() { take(&mut inner).map_err(nb::Error::Other) } else { Err(nb::Error::WouldBlock) }
    }
}

/// The outcome of a task that has ended. A failure stays, to be told again.
fn take(inner: &mut Inner) -> Result<Vec<u8>, Failure<Error>> {
    match &mut inner.outcome {
        _ if inner.state == State::Cancelled => Err(Failure::Cancelled),
        Some(Err(error)) => Err(Failure::Failed(error.clone())),
        Some(Ok(value)) => {
            let value = core::mem::take(value);
            inner.outcome = None;
            Ok(value)
        }
        None => Err(Failure::Stale),
    }
}

impl std::future::Future for Future {
    type Output = Result<Vec<u8>, Failure<Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.promise.lock();
        if inner.state.is_ended() {
            return Poll::Ready(take(&mut inner));
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
