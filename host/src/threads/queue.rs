//! Queues between threads that wait: core's, whose wakers wake threads.

use std::fmt;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nb::block;
use tidemill_core::queue::{GetError, Order, PutError, Shared, ShutDown, TooManyDone};

use super::future::deadline;

/// How many threads can wait to get, as many to put and to join, before more of them look again every 200 µs.
const WAITERS: usize = 64;

/// A queue of fixed capacity for any number of threads: `queue.Queue`, `LifoQueue` or `PriorityQueue`, by the order it is
/// made with.
///
/// ```
/// use tidemill_host::threads::Queue;
/// use tidemill_core::queue::Fifo;
///
/// let queue = Queue::new(Fifo::<_, 2>::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| (0..100).for_each(|number| queue.put(number, None).unwrap()));
///     assert!((0..100).all(|number| queue.get(None) == Ok(number)));
/// });
/// ```
pub struct Queue<O: Order>(Box<Shared<O, WAITERS>>);

/// A thread that waits.
struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static SLEEPER: Arc<Sleeper> = Arc::new(Sleeper { thread: thread::current(), woken: AtomicBool::new(false) });
}

impl<O: Order> Queue<O> {
    /// An empty queue.
    pub fn new(items: O) -> Self {
        Self(Box::new(Shared::new(items)))
    }

    /// Tries until it is done, or `deadline`; sleeps in between.
    fn wait<T, E>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&Waker) -> nb::Result<T, E>,
    ) -> Result<Option<T>, E> {
        let sleeper = SLEEPER.with(Clone::clone);
        let waker = Waker::from(sleeper.clone());
        let mut at_once = 0;
        loop {
            sleeper.woken.store(false, Ordering::Relaxed);
            match attempt(&waker) {
                Ok(done) => return Ok(Some(done)),
                Err(nb::Error::Other(error)) => return Err(error),
                Err(nb::Error::WouldBlock) => {}
            }
            // Woken at once: somebody is at the queue, or there are too many who wait.
            at_once = if sleeper.woken.load(Ordering::Acquire) { at_once + 1 } else { 0 };
            if !(1..96).contains(&at_once) && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                never(retry(|| self.0.leave(&waker)));
                return Ok(None);
            }
            match at_once {
                0 => {}
                1..64 => spin_loop(),
                64..96 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(200)),
            }
            while !sleeper.woken.load(Ordering::Acquire) {
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    None => thread::park(),
                    Some(Duration::ZERO) => break,
                    Some(left) => thread::park_timeout(left),
                }
            }
        }
    }

    /// Puts an item, waiting while the queue is full; `None`: for ever.
    ///
    /// # Errors
    /// [`PutError`] hands the item back: [`Full`](PutError::Full) after `timeout`, or [`ShutDown`](PutError::ShutDown).
    pub fn put(&self, item: O::Item, timeout: impl Into<Option<Duration>>) -> Result<(), PutError<O::Item>> {
        let mut item = Some(item);
        let outcome = self.wait(deadline(timeout.into()), |waker| self.0.put(&mut item, waker));
        match (outcome, item) {
            (Ok(None), Some(item)) => Err(PutError::Full(item)),
            (Err(ShutDown), Some(item)) => Err(PutError::ShutDown(item)),
            _ => Ok(()),
        }
    }

    /// Takes the next item, waiting while there is none; `None`: for ever.
    ///
    /// # Errors
    /// [`GetError::Empty`] after `timeout`, [`GetError::ShutDown`].
    pub fn get(&self, timeout: impl Into<Option<Duration>>) -> Result<O::Item, GetError> {
        match self.wait(deadline(timeout.into()), |waker| self.0.get(waker)) {
            Ok(Some(item)) => Ok(item),
            Ok(None) => Err(GetError::Empty),
            Err(ShutDown) => Err(GetError::ShutDown),
        }
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    /// [`PutError`] hands the item back.
    pub fn put_nowait(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        self.put(item, Duration::ZERO)
    }

    /// Takes the next item if there is one.
    ///
    /// # Errors
    /// [`GetError`].
    pub fn get_nowait(&self) -> Result<O::Item, GetError> {
        self.get(Duration::ZERO)
    }

    /// An item that was got has been dealt with.
    ///
    /// # Errors
    /// [`TooManyDone`]: more often than there were items put.
    pub fn task_done(&self) -> Result<(), TooManyDone> {
        retry(|| self.0.task_done())
    }

    /// Waits until all that was put has been dealt with, or for `timeout`. Whether it has.
    pub fn join(&self, timeout: impl Into<Option<Duration>>) -> bool {
        matches!(self.wait(deadline(timeout.into()), |waker| self.0.join(waker)), Ok(Some(())))
    }

    /// Takes nothing any more; what is there can still be got. `immediate`: what is there is dropped, and counts as done.
    pub fn shutdown(&self, immediate: bool) {
        never(retry(|| self.0.shutdown(false)));
        while immediate && let Ok(item) = self.get_nowait() {
            let _ = self.task_done();
            drop(item);
        }
    }

    /// How many items there are now; soon there may be more or fewer.
    pub fn qsize(&self) -> usize {
        never(retry(|| self.0.qsize()))
    }

    /// Whether there are none now.
    pub fn empty(&self) -> bool {
        never(retry(|| self.0.empty()))
    }

    /// Whether there is no room now.
    pub fn full(&self) -> bool {
        never(retry(|| self.0.full()))
    }
}

/// Until nobody else is at the queue, which takes him one operation.
fn retry<T, E>(mut attempt: impl FnMut() -> nb::Result<T, E>) -> Result<T, E> {
    block!({
        let outcome = attempt();
        if matches!(outcome, Err(nb::Error::WouldBlock)) {
            thread::yield_now();
        }
        outcome
    })
}

fn never<T>(result: Result<T, std::convert::Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

impl<O: Order> fmt::Debug for Queue<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("qsize", &self.qsize()).finish_non_exhaustive()
    }
}
