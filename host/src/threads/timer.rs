//! Timers: `threading.Timer`, any number of them on one thread.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use tidemill_core::time::{self, EPOCH};
use tidemill_core::timer::{Missed, Slot, StartError, TimerId, TimerWheel};

use super::exception::{Exception, catch};
use super::future::deadline;
use super::pool::ThreadPool;
use crate::log::tell;

/// When the pool is full, a timer that is due is tried again after this.
const AGAIN: Duration = Duration::from_millis(1);

type Wheel = TimerWheel<Arc<Alarm>, Box<[Slot<Arc<Alarm>>]>>;

/// One thread that looks after any number of [`Timer`]s, on core's wheel, and a pool that calls what they call: a slow
/// callback delays nobody. Dropped, it cancels all timers. The thread sleeps until the next one is due.
///
/// ```
/// use std::sync::{Arc, mpsc::channel};
/// use std::time::Duration;
/// use tidemill_host::threads::{ThreadPool, Timers};
///
/// let timers = Timers::new(Arc::new(ThreadPool::new(1)?), 100)?;
/// let (tell, told) = channel();
/// let hello = timers.once(Duration::from_millis(5), move || tell.send("high water").unwrap());
/// hello.start()?;
/// let never = timers.once(Duration::from_secs(60), || unreachable!());
/// never.start()?;
/// never.cancel();
/// assert_eq!(told.recv()?, "high water");
/// assert!(hello.join(None) && never.join(None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Timers {
    mill: Arc<Mill>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the timers share.
struct Mill {
    turning: Mutex<Turning>,
    changed: Condvar,
    began: Instant,
    pool: Arc<ThreadPool>,
}

struct Turning {
    wheel: Wheel,
    /// Until when the thread sleeps, if it does.
    sleeps_until: Option<time::Instant>,
    closed: bool,
}

/// Why a timer was not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TimerError {
    /// It was started before; a timer is started once.
    AlreadyStarted,
    /// As many timers run as may.
    Full,
    /// The period is zero, or one that core's wheel cannot keep exactly: see [`StartError::Period`].
    Period,
    /// Its [`Timers`] is gone.
    ShutDown,
}

impl std::error::Error for TimerError {}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyStarted => "the timer was started before",
            Self::Full => "every timer is in use",
            Self::Period => "the period is zero, too long, or too long to be this exact",
            Self::ShutDown => "the timers were dropped",
        })
    }
}

/// A callback that is called once after an interval, or again and again. Dropped, it goes on; see
/// [`cancel`](Self::cancel). A clone is the same timer.
#[derive(Clone)]
pub struct Timer {
    mill: Arc<Mill>,
    alarm: Arc<Alarm>,
}

struct Alarm<A: ?Sized = dyn Action> {
    interval: Duration,
    periodic: bool,
    state: Mutex<State>,
    ended: Condvar,
    /// Only for who calls it, or, while nobody does, ends it.
    action: Mutex<A>,
}

struct State {
    phase: Phase,
    running: bool,
    /// How many threads wait for the end. Nobody to tell, no system call.
    joining: usize,
    missed: u64,
    exception: Option<Exception>,
}

/// What is called.
trait Action: Send {
    fn call(&mut self);
    /// It is not called any more: drops what it captured.
    fn end(&mut self);
}

struct Once<F>(Option<F>);

impl<F: FnOnce() + Send> Action for Once<F> {
    fn call(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

struct Every<F>(Option<F>);

impl<F: FnMut() + Send> Action for Every<F> {
    fn call(&mut self) {
        if let Some(f) = &mut self.0 {
            f();
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Started(TimerId),
    /// One that is called once, and is being called or about to.
    Due,
    Ended,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timers {
    /// Room for `capacity` timers that run, called by `pool`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(pool: Arc<ThreadPool>, capacity: usize) -> io::Result<Self> {
        let slots = (0..capacity).map(|_| Slot::EMPTY).collect();
        let turning = Turning { wheel: TimerWheel::new(slots), sleeps_until: None, closed: false };
        let mill =
            Arc::new(Mill { turning: Mutex::new(turning), changed: Condvar::new(), began: Instant::now(), pool });
        let turned = mill.clone();
        let thread = Builder::new().name("tidemill-timers".into()).spawn(move || turned.turn())?;
        Ok(Self { mill, thread: Some(thread) })
    }

    /// A timer that calls `f` once, `interval` after it is started.
    #[doc(alias = "Timer")]
    pub fn once(&self, interval: Duration, f: impl FnOnce() + Send + 'static) -> Timer {
        self.timer(interval, false, Once(Some(f)))
    }

    /// A timer that calls `f` each `period` after it is started, until it is cancelled. It does not drift. While `f` runs
    /// it is not called again; what was missed is counted.
    pub fn periodic(&self, period: Duration, f: impl FnMut() + Send + 'static) -> Timer {
        self.timer(period, true, Every(Some(f)))
    }

    fn timer(&self, interval: Duration, periodic: bool, action: impl Action + 'static) -> Timer {
        let state = State { phase: Phase::New, running: false, joining: 0, missed: 0, exception: None };
        let (state, action) = (Mutex::new(state), Mutex::new(action));
        let alarm = Arc::new(Alarm { interval, periodic, state, ended: Condvar::new(), action });
        Timer { mill: self.mill.clone(), alarm }
    }

    /// How many timers run.
    pub fn len(&self) -> usize {
        lock(&self.mill.turning).wheel.len()
    }

    /// Whether no timer runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        lock(&self.mill.turning).closed = true;
        self.mill.changed.notify_all();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It does not panic: what it calls does so elsewhere.
            let _ = thread.join();
        }
    }
}

impl Timer {
    /// Starts it.
    ///
    /// # Errors
    /// [`TimerError`].
    pub fn start(&self) -> Result<(), TimerError> {
        let mut state = lock(&self.alarm.state);
        if state.phase != Phase::New {
            return Err(TimerError::AlreadyStarted);
        }
        state.phase = Phase::Started(self.mill.start(&self.alarm, self.alarm.interval)?);
        Ok(())
    }

    /// Stops it: it is not called any more, but for a call that has begun. Harmless after the end.
    pub fn cancel(&self) {
        let mut state = lock(&self.alarm.state);
        let phase = mem::replace(&mut state.phase, Phase::Ended);
        if let Phase::Started(id) = phase {
            let alarm = lock(&self.mill.turning).wheel.cancel(id);
            drop(alarm);
        }
        let (running, joined) = (state.running, state.joining > 0);
        drop(state);
        if !running {
            lock(&self.alarm.action).end();
        }
        if joined {
            self.alarm.ended.notify_all();
        }
    }

    /// Waits until it has been called for the last time: one that is called once, until that; any, until it is cancelled.
    /// One that was not started is waited for, too. Whether that came in time.
    pub fn join(&self, timeout: impl Into<Option<Duration>>) -> bool {
        let deadline = deadline(timeout.into());
        let mut state = lock(&self.alarm.state);
        while state.phase != Phase::Ended || state.running {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            state.joining += 1;
            state = match left {
                None => self.alarm.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.alarm.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.joining -= 1;
        }
        true
    }

    /// Whether it is started and will be called.
    pub fn is_alive(&self) -> bool {
        matches!(lock(&self.alarm.state).phase, Phase::Started(_) | Phase::Due)
    }

    /// How many periods have passed in which it was not called: because it was still running, or nobody looked.
    pub fn missed(&self) -> u64 {
        lock(&self.alarm.state).missed
    }

    /// What its last call panicked with, if it did. A periodic one goes on.
    pub fn exception(&self) -> Option<Exception> {
        lock(&self.alarm.state).exception.clone()
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("interval", &self.alarm.interval).finish_non_exhaustive()
    }
}

impl Mill {
    /// The time `after` from now, in ticks, not a tick too early.
    fn at(&self, after: Duration) -> time::Instant {
        let ticks = (self.began.elapsed() + after).as_nanos().div_ceil(1_000);
        time::Instant::from_ticks(u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    fn now(&self) -> time::Instant {
        EPOCH + time::Duration::from_ticks(self.began.elapsed().as_micros() as u64)
    }

    fn start(&self, alarm: &Arc<Alarm>, after: Duration) -> Result<TimerId, TimerError> {
        let deadline = self.at(after);
        let mut turning = lock(&self.turning);
        if turning.closed {
            return Err(TimerError::ShutDown);
        }
        let started = if alarm.periodic {
            let period = time::Duration::from_ticks(u64::try_from(alarm.interval.as_micros()).unwrap_or(u64::MAX));
            turning.wheel.start_periodic(deadline, period, Missed::Skip, alarm.clone())
        } else {
            turning.wheel.start(deadline, alarm.clone())
        };
        let id = started.map_err(|why| match why {
            StartError::Period(_) => TimerError::Period,
            _ => TimerError::Full,
        })?;
        if turning.sleeps_until.is_some_and(|until| deadline < until) {
            turning.sleeps_until = None;
            self.changed.notify_all();
        }
        Ok(id)
    }

    /// What the thread does.
    fn turn(self: &Arc<Self>) {
        let mut turning = lock(&self.turning);
        while !turning.closed {
            if let Some(expired) = turning.wheel.expire(self.now()) {
                drop(turning);
                self.ring(&expired.value, expired.missed);
                turning = lock(&self.turning);
                continue;
            }
            let until = turning.wheel.next_deadline();
            // For ever is a time, too, to those who compare.
            turning.sleeps_until = Some(until.unwrap_or(time::Instant::from_ticks(u64::MAX)));
            turning = match until {
                None => self.changed.wait(turning).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = Duration::from_micros(until.as_ticks()).saturating_sub(self.began.elapsed());
                    self.changed.wait_timeout(turning, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            turning.sleeps_until = None;
        }
        // All that runs is cancelled: the far end of time is after every deadline.
        let mut left = Vec::new();
        while let Some(expired) = turning.wheel.expire(time::Instant::from_ticks(u64::MAX)) {
            turning.wheel.cancel(expired.id);
            left.push(expired.value);
        }
        drop(turning);
        for alarm in left {
            alarm.end();
        }
    }

    /// A timer is due: the pool is to call it.
    fn ring(self: &Arc<Self>, alarm: &Arc<Alarm>, missed: u64) {
        let mut state = lock(&alarm.state);
        state.missed += missed;
        if !matches!(state.phase, Phase::Started(_) | Phase::Due) {
            return;
        }
        if state.running {
            state.missed += 1;
            return;
        }
        if !alarm.periodic {
            state.phase = Phase::Due;
        }
        state.running = true;
        drop(state);
        // Should the pool drop it, it ends.
        let call = Call(alarm.clone());
        match self.pool.submit(move || call.run()) {
            Ok(future) => drop(future),
            Err(super::SubmitError::Full(_)) => {
                tell!(Debug, "a timer is due, and the pool is full");
                self.ring_later(alarm);
            }
            Err(_) => alarm.end(),
        }
    }

    /// The pool was full. The action will be back in its place when the call is dropped, which was not taken.
    fn ring_later(&self, alarm: &Arc<Alarm>) {
        let mut state = lock(&alarm.state);
        if alarm.periodic {
            state.missed += 1;
            return;
        }
        if state.phase == Phase::Due {
            if let Ok(id) = self.start(alarm, AGAIN) {
                state.phase = Phase::Started(id);
                return;
            }
            drop(state);
            alarm.end();
        }
    }
}

impl Alarm {
    fn end(&self) {
        lock(&self.state).phase = Phase::Ended;
        self.ended.notify_all();
    }
}

/// A call of a timer's action, which is over, or was never begun, when this is dropped.
struct Call(Arc<Alarm>);

impl Call {
    fn run(self) {
        let alarm = &self.0;
        if lock(&alarm.state).phase == Phase::Ended {
            return;
        }
        let exception = catch(|| lock(&alarm.action).call()).err();
        let mut state = lock(&alarm.state);
        state.exception = exception;
        if !alarm.periodic {
            state.phase = Phase::Ended;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let alarm = &self.0;
        let over = {
            let mut state = lock(&alarm.state);
            if state.phase == Phase::Due {
                // The pool has cancelled it.
                state.phase = Phase::Ended;
            }
            // Of one that has ended nobody else does anything any more: cancelling it again is harmless.
            state.running = state.phase == Phase::Ended;
            state.running
        };
        if over {
            // What it captured is dropped before anybody who waits for the end goes on.
            let dropped = catch_unwind(AssertUnwindSafe(|| lock(&alarm.action).end()));
            let mut state = lock(&alarm.state);
            state.running = false;
            if state.joining > 0 {
                alarm.ended.notify_all();
            }
            drop(state);
            dropped.unwrap_or_else(|payload| resume_unwind(payload));
        }
    }
}
