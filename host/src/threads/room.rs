//! How many tasks wait, how many may, and whether any more are taken.
//!
//! Tasks are counted twice: when they are let in, all in one word, and when a worker takes them, each worker for itself.
//! What waits is the difference. So neither side waits for the other's cache line: who submits compares with a limit that
//! is found anew only when it is reached. Whether the pool is shut down is a bit of the same word, so that it is known
//! exactly how many were let in before.

use std::time::Instant;

use super::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, lock};

const CLOSED: u64 = 1 << 63;

#[derive(Debug)]
pub(super) struct Room {
    /// How many were let in ever, and `CLOSED`.
    entered: AtomicU64,
    /// Up to which number they may be let in without looking.
    limit: AtomicU64,
    capacity: u64,
    /// How many threads wait for room.
    waiting: AtomicUsize,
    door: Mutex<()>,
    moved: Condvar,
}

/// Why nobody is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Full,
    Closed,
}

impl Room {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entered: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            capacity: capacity as u64,
            waiting: AtomicUsize::new(0),
            door: Mutex::new(()),
            moved: Condvar::new(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// How many were let in ever.
    pub(super) fn entered(&self) -> u64 {
        self.entered.load(Ordering::SeqCst) & !CLOSED
    }

    /// Whether nobody is let in any more, and all have been taken.
    pub(super) fn is_spent(&self, taken: impl Fn() -> u64) -> bool {
        let entered = self.entered.load(Ordering::SeqCst);
        entered & CLOSED != 0 && entered & !CLOSED == taken()
    }

    /// Lets `count` tasks in. `taken` tells how many were taken ever.
    #[inline]
    pub(super) fn enter(&self, count: u64, taken: impl Fn() -> u64) -> Result<(), Refused> {
        let mut entered = self.entered.load(Ordering::Relaxed);
        loop {
            if entered & CLOSED != 0 {
                return Err(Refused::Closed);
            }
            if entered + count > self.limit.load(Ordering::Relaxed) {
                let limit = taken() + self.capacity;
                if entered + count > limit {
                    // Who was let in meanwhile may have been taken meanwhile: compare what belongs together.
                    let now = self.entered.load(Ordering::SeqCst);
                    if now == entered {
                        return Err(Refused::Full);
                    }
                    entered = now;
                    continue;
                }
                self.limit.fetch_max(limit, Ordering::Relaxed);
            }
            let next =
                self.entered.compare_exchange_weak(entered, entered + count, Ordering::SeqCst, Ordering::Relaxed);
            match next {
                Ok(_) => return Ok(()),
                Err(now) => entered = now,
            }
        }
    }

    /// As [`enter`](Self::enter), but waits for room, until `deadline`.
    pub(super) fn enter_in_time(
        &self,
        count: u64,
        taken: impl Fn() -> u64,
        deadline: Option<Instant>,
    ) -> Result<(), Refused> {
        match self.enter(count, &taken) {
            Err(Refused::Full) if count <= self.capacity => {}
            entered => return entered,
        }
        let mut door = lock(&self.door);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let result = loop {
            match self.enter(count, &taken) {
                Err(Refused::Full) => {}
                entered => break entered,
            }
            door = match deadline {
                None => self.moved.wait(door).unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break Err(Refused::Full);
                    }
                    self.moved.wait_timeout(door, left).unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(door);
        result
    }

    /// After tasks were counted as taken, in the one order of `SeqCst`: tells who waits for room. They have said so
    /// before they looked how many were taken, so that either they have seen it, or this sees them.
    #[inline]
    pub(super) fn taken(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.door));
            self.moved.notify_all();
        }
    }

    /// Nobody is let in any more. Whether that is new.
    pub(super) fn close(&self) -> bool {
        let before = self.entered.fetch_or(CLOSED, Ordering::SeqCst);
        drop(lock(&self.door));
        self.moved.notify_all();
        before & CLOSED == 0
    }
}
