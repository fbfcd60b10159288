//! Actions at their time: `sched.scheduler`, on the system's clock or any other, for any number of threads.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{self, Duration};

use tidemill_core::sched::{self, EventId, Full, Slot};
use tidemill_core::time::{EPOCH, Instant};

/// Where a [`Scheduler`] reads the time, and how it waits: Python's `timefunc` and `delayfunc`.
pub trait Clock: Send + Sync {
    /// The time now; never goes back.
    fn now(&self) -> Instant;

    /// Waits so long, or less, if [`interrupt`](Self::interrupt) is called meanwhile. Also called with zero after each
    /// action, to let others run.
    fn sleep(&self, delay: Duration);

    /// What is due next has changed: who sleeps is to look again. Without this, he does when he has slept.
    fn interrupt(&self) {}
}

impl<C: Clock> Clock for Arc<C> {
    fn now(&self) -> Instant {
        C::now(self)
    }

    fn sleep(&self, delay: Duration) {
        C::sleep(self, delay);
    }

    fn interrupt(&self) {
        C::interrupt(self);
    }
}

/// The system's clock, from when it was made.
#[derive(Debug)]
pub struct SystemClock {
    began: time::Instant,
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { began: time::Instant::now(), interrupted: Mutex::new(false), changed: Condvar::new() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        EPOCH + tidemill_core::time::Duration::from_ticks(self.began.elapsed().as_micros() as u64)
    }

    fn sleep(&self, delay: Duration) {
        if delay.is_zero() {
            std::thread::yield_now();
            return;
        }
        let interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self.changed.wait_timeout_while(interrupted, delay, |interrupted| !*interrupted);
        *slept.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    fn interrupt(&self) {
        *self.interrupted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

type Action = Box<dyn FnOnce() + Send>;
type Events = sched::Scheduler<Action, Box<[Slot<Action>]>>;

/// Actions in order of time, then priority, then entry. Any thread may enter and cancel, also while another runs them, and
/// it is heard in time. O(log n) each.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use tidemill_host::threads::Scheduler;
///
/// let scheduler = Scheduler::new(10);
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// for (delay, priority, word) in [(2, 1, "later"), (1, 2, "second"), (1, 1, "first")] {
///     let seen = seen.clone();
///     scheduler.enter_abs(tidemill_core::time::Instant::from_ticks(delay), priority, move || {
///         seen.lock().unwrap().push(word);
///     }).unwrap();
/// }
/// assert_eq!(scheduler.run(true), None);
/// assert_eq!(*seen.lock().unwrap(), ["first", "second", "later"]);
/// ```
#[doc(alias = "scheduler")]
pub struct Scheduler<C = SystemClock> {
    events: Mutex<Events>,
    clock: C,
}

/// An event that was not queued any more: it was run, or cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotQueued;

impl std::error::Error for NotQueued {}

impl fmt::Display for NotQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event is not queued")
    }
}

impl Scheduler {
    /// Room for `capacity` events; the time begins now.
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, SystemClock::default())
    }
}

impl<C: Clock> Scheduler<C> {
    /// Room for `capacity` events, on a clock of one's own.
    pub fn with_clock(capacity: usize, clock: C) -> Self {
        let slots: Box<[_]> = (0..capacity).map(|_| Slot::EMPTY).collect();
        Self { events: Mutex::new(sched::Scheduler::new(slots)), clock }
    }

    /// The clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    fn events(&self) -> std::sync::MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an action `delay` after now. Lower priorities run first.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(
        &self,
        delay: Duration,
        priority: i32,
        action: impl FnOnce() + Send + 'static,
    ) -> Result<EventId, Full<Box<dyn FnOnce() + Send>>> {
        let ticks = u64::try_from(delay.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        let time = self.clock.now().as_ticks().saturating_add(ticks);
        self.enter_abs(Instant::from_ticks(time), priority, action)
    }

    /// Enters an action at a time of the clock; one that has passed runs at once.
    ///
    /// # Errors
    /// [`Full`].
    #[doc(alias = "enterabs")]
    pub fn enter_abs(
        &self,
        time: Instant,
        priority: i32,
        action: impl FnOnce() + Send + 'static,
    ) -> Result<EventId, Full<Box<dyn FnOnce() + Send>>> {
        let mut events = self.events();
        let next = events.next_deadline();
        let id = events.enter_abs(time, priority, Box::new(action))?;
        drop(events);
        if next.is_none_or(|next| time < next) {
            self.clock.interrupt();
        }
        Ok(id)
    }

    /// Takes out exactly this event, though others compare equal.
    ///
    /// # Errors
    /// [`NotQueued`].
    pub fn cancel(&self, id: EventId) -> Result<(), NotQueued> {
        let mut events = self.events();
        let action = events.cancel(id).ok_or(NotQueued)?;
        let empty = events.is_empty();
        drop(events);
        drop(action);
        if empty {
            self.clock.interrupt();
        }
        Ok(())
    }

    /// Whether no event is queued.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.events().is_empty()
    }

    /// Time and priority of what is queued, in the order in which it would run; a copy. O(n²).
    pub fn queue(&self) -> Vec<(Instant, i32)> {
        self.events().queue().map(|event| (event.time, event.priority)).collect()
    }

    /// Runs all events, each at its time, until none is left; or, not `blocking`, those that are due. How long until the
    /// next one; `None`: there is none.
    ///
    /// # Panics
    /// If an action does. It is gone, the others are still queued, and this may be called again.
    pub fn run(&self, blocking: bool) -> Option<Duration> {
        loop {
            let mut events = self.events();
            let now = self.clock.now();
            if let Some(event) = events.next_due(now) {
                drop(events);
                (event.action)();
                self.clock.sleep(Duration::ZERO);
                continue;
            }
            let next = events.next_deadline()?;
            drop(events);
            let left = Duration::from_micros(next.as_ticks().saturating_sub(now.as_ticks()));
            if !blocking {
                return Some(left);
            }
            self.clock.sleep(left);
        }
    }
}

impl<C> fmt::Debug for Scheduler<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}
