//! Signals between processes: Python's `Semaphore`, `BoundedSemaphore`, `Event`, `Condition` and `Barrier`.
//!
//! What each is, is one word, changed by one atomic instruction: so a process killed anywhere leaves it whole. A wake-up that it
//! did not come to send is made up for within a tenth of a second.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::futex::{deadline, is_over, rouse, sleep};
use super::region::{Head, Segment};
use super::{Error, Guard, Lock, LockError};

const ALL: u32 = u32::MAX >> 1;

macro_rules! heads {
    ($($name:ident $kind:literal),+) => {$(
        // SAFETY: atomics, in the order and at the places they are written in.
        #[expect(unsafe_code, reason = "promises what the trait says")]
        unsafe impl Head for $name {
            const KIND: u64 = u64::from_le_bytes(*$kind);
        }
    )+};
}

heads!(Permits b"tidesema", Flag b"tideflag", Calls b"tidecond", Round b"tideroun");

#[repr(C)]
#[derive(Debug)]
struct Permits {
    left: AtomicU32,
    bound: AtomicU32,
}

/// Permits that are taken and given back. A permit has no owner: who gives it back need not be who took it, and what a killed
/// process has taken stays taken. Where that must not be, use [`Permits`](super::Permits).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Semaphore {
    permits: Segment<Permits>,
}

impl Semaphore {
    /// So many permits, to which others may be added.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor or memory is left.
    pub fn new(permits: u32) -> Result<Self, Error> {
        Self::of(permits, u32::MAX)
    }

    /// So many permits, and never more.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[doc(alias = "BoundedSemaphore")]
    pub fn bounded(permits: u32) -> Result<Self, Error> {
        Self::of(permits, permits)
    }

    fn of(left: u32, bound: u32) -> Result<Self, Error> {
        let permits = Segment::<Permits>::new(0)?;
        permits.left.store(left, SeqCst);
        permits.bound.store(bound, SeqCst);
        Ok(Self { permits })
    }

    /// How many permits are left, at this moment.
    #[doc(alias = "get_value")]
    pub fn value(&self) -> u32 {
        self.permits.left.load(SeqCst)
    }

    /// Takes a permit; waits for one up to `timeout` or for ever.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let (left, deadline) = (&self.permits.left, deadline(timeout));
        loop {
            if left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return Ok(());
            }
            if is_over(deadline) {
                return Err(Error::TimedOut);
            }
            sleep(left, 0, deadline);
        }
    }

    /// Gives a permit back, or adds one.
    ///
    /// # Errors
    /// [`Error::Released`]: there would be more than may be.
    pub fn release(&self) -> Result<(), Error> {
        let bound = self.permits.bound.load(SeqCst);
        let more = |left: u32| left.checked_add(1).filter(|&left| left <= bound);
        self.permits.left.fetch_update(SeqCst, SeqCst, more).map_err(|_| Error::Released)?;
        rouse(&self.permits.left, 1);
        Ok(())
    }
}

#[repr(C)]
#[derive(Debug)]
struct Flag(AtomicU32);

/// A flag that can be waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    flag: Segment<Flag>,
}

impl Event {
    /// One that is not set.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor or memory is left.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { flag: Segment::new(0)? })
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.flag.0.load(SeqCst) != 0
    }

    /// Sets it, and wakes all who wait.
    pub fn set(&self) {
        self.flag.0.store(1, SeqCst);
        rouse(&self.flag.0, ALL);
    }

    /// It is no longer set.
    pub fn clear(&self) {
        self.flag.0.store(0, SeqCst);
    }

    /// Waits until it is set, up to `timeout` or for ever. Whether it is.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = deadline(timeout);
        while !self.is_set() {
            if is_over(deadline) {
                return false;
            }
            sleep(&self.flag.0, 0, deadline);
        }
        true
    }
}

#[repr(C)]
#[derive(Debug)]
struct Calls(AtomicU32);

/// A [`Lock`], and waiting for a change of what it protects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    lock: Lock,
    calls: Segment<Calls>,
}

impl Condition {
    /// With a lock of its own, or one that others use as well.
    ///
    /// # Errors
    /// [`Error::Os`]: no descriptor or memory is left.
    pub fn new(lock: Option<Lock>) -> Result<Self, Error> {
        let lock = lock.map_or_else(Lock::new, Ok)?;
        Ok(Self { lock, calls: Segment::new(0)? })
    }

    /// Takes the lock: see [`Lock::acquire`].
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn acquire(&self, timeout: Option<Duration>) -> Result<Guard, LockError> {
        self.lock.acquire(timeout)
    }

    /// Lets the lock go, waits until it is notified, up to `timeout` or for ever, and takes the lock again. Whether it was
    /// notified; it may also wake for nothing, as std's `Condvar`: use [`wait_for`](Self::wait_for).
    ///
    /// # Errors
    /// [`LockError::HolderDied`]: the lock is taken, and was left by one who died.
    pub fn wait(&self, guard: Guard, timeout: Option<Duration>) -> Result<(Guard, bool), LockError> {
        let deadline = deadline(timeout);
        let before = self.calls.0.load(SeqCst);
        drop(guard);
        let mut notified = false;
        while !notified && !is_over(deadline) {
            sleep(&self.calls.0, before, deadline);
            notified = self.calls.0.load(SeqCst) != before;
        }
        Ok((self.acquire(None)?, notified))
    }

    /// Waits until `predicate` holds, which is asked with the lock taken: the lock, and what it said last.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(
        &self,
        mut guard: Guard,
        timeout: Option<Duration>,
        mut predicate: impl FnMut() -> bool,
    ) -> Result<(Guard, bool), LockError> {
        let deadline = deadline(timeout);
        while !predicate() {
            if is_over(deadline) {
                return Ok((guard, false));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
            (guard, _) = self.wait(guard, left)?;
        }
        Ok((guard, true))
    }

    /// Wakes up to `count` of those who wait, and perhaps some more.
    pub fn notify(&self, count: u32) {
        self.calls.0.fetch_add(1, SeqCst);
        rouse(&self.calls.0, count.min(ALL));
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(ALL);
    }
}

#[repr(C)]
#[derive(Debug)]
struct Round {
    /// How many have come, whether it is broken, how often it was reset, and how often it has opened: 16, 1, 15 and 32 bits.
    state: AtomicU64,
    calls: AtomicU32,
    parties: AtomicU32,
}

const COME: u64 = 0xffff;
const BROKEN: u64 = 1 << 16;
const RESET: u64 = 1 << 17;
const OPENED: u64 = 1 << 32;

/// A meeting of so many: each waits until all have come, again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Barrier {
    round: Segment<Round>,
}

impl Barrier {
    /// For so many: 1 to 65,535.
    ///
    /// # Errors
    /// [`Error::Config`]; [`Error::Os`]: no descriptor or memory is left.
    pub fn new(parties: u32) -> Result<Self, Error> {
        if parties == 0 || u64::from(parties) > COME {
            return Err(Error::Config);
        }
        let round = Segment::<Round>::new(0)?;
        round.parties.store(parties, SeqCst);
        Ok(Self { round })
    }

    /// How many have to come.
    pub fn parties(&self) -> u32 {
        self.round.parties.load(SeqCst)
    }

    /// How many have come, at this moment.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> u32 {
        (self.round.state.load(SeqCst) & COME) as u32
    }

    /// Whether somebody did not come in time, or broke it.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.round.state.load(SeqCst) & BROKEN != 0
    }

    /// Waits for the others, up to `timeout` or for ever: which of them it was, from 0 on. Who is late breaks it, for all.
    ///
    /// # Errors
    /// [`Error::BrokenBarrier`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<u32, Error> {
        self.wait_then(timeout, || ())
    }

    /// As [`wait`](Self::wait); the last to come does `action` before anybody goes on.
    ///
    /// # Errors
    /// [`Error::BrokenBarrier`].
    pub fn wait_then(&self, timeout: Option<Duration>, action: impl FnOnce()) -> Result<u32, Error> {
        let (deadline, parties, state) = (deadline(timeout), u64::from(self.parties()), &self.round.state);
        let mut now = state.load(SeqCst);
        let came = loop {
            if now & BROKEN != 0 {
                return Err(Error::BrokenBarrier);
            }
            if now & COME >= parties {
                // They are all there, and about to go: one who comes now is for the next time.
                self.wait_while(now, deadline)?;
                now = state.load(SeqCst);
                continue;
            }
            match state.compare_exchange(now, now + 1, SeqCst, SeqCst) {
                Ok(_) => break now + 1,
                Err(other) => now = other,
            }
        };
        let place = (came & COME) as u32 - 1;
        if came & COME == parties {
            action();
            // Unless it was broken or reset meanwhile.
            let opened = (came & !COME).wrapping_add(OPENED);
            if state.compare_exchange(came, opened, SeqCst, SeqCst).is_err() {
                return Err(Error::BrokenBarrier);
            }
            self.call();
        } else {
            self.wait_while(came, deadline)?;
        }
        Ok(place)
    }

    /// Waits until the round of `came` has opened.
    fn wait_while(&self, came: u64, deadline: Option<std::time::Instant>) -> Result<(), Error> {
        loop {
            let calls = self.round.calls.load(SeqCst);
            let now = self.round.state.load(SeqCst);
            if (now ^ came) & (RESET * 0x7fff) != 0 {
                return Err(Error::BrokenBarrier);
            }
            if now >> 32 != came >> 32 {
                return Ok(());
            }
            if now & BROKEN != 0 {
                return Err(Error::BrokenBarrier);
            }
            if is_over(deadline) {
                // Unless it opens just now.
                if self.round.state.compare_exchange(now, now | BROKEN, SeqCst, SeqCst).is_ok() {
                    self.call();
                }
                continue;
            }
            sleep(&self.round.calls, calls, deadline);
        }
    }

    fn call(&self) {
        self.round.calls.fetch_add(1, SeqCst);
        rouse(&self.round.calls, ALL);
    }

    /// Breaks it: whoever waits, or comes, gets [`Error::BrokenBarrier`].
    pub fn abort(&self) {
        self.round.state.fetch_or(BROKEN, SeqCst);
        self.call();
    }

    /// As new. Whoever waits gets [`Error::BrokenBarrier`].
    pub fn reset(&self) {
        let reset = |state: u64| {
            let resets = (state & (RESET * 0x7fff)).wrapping_add(RESET) & (RESET * 0x7fff);
            Some(state & !(OPENED - 1) | resets)
        };
        let _ = self.round.state.fetch_update(SeqCst, SeqCst, reset);
        self.call();
    }
}
