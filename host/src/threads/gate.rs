//! What a thread waits at until as much has ended as it waits for.

use std::collections::VecDeque;
use std::time::Instant;

use super::sync::{AtomicUsize, Mutex, Ordering, Thread, current, lock, park, park_timeout};

/// Opens when it was told often enough. The thread that made it waits; any thread tells.
#[derive(Debug)]
pub(super) struct Gate {
    left: AtomicUsize,
    at_failure: bool,
    thread: Thread,
}

impl Gate {
    /// Opens at the `count`th end.
    pub(super) fn new(count: usize) -> Self {
        Self { left: AtomicUsize::new(count), at_failure: false, thread: current() }
    }

    /// Opens at the `count`th end, or the first failure.
    pub(super) fn at_failure(count: usize) -> Self {
        Self { at_failure: true, ..Self::new(count) }
    }

    /// One more end is to come. Only while the gate is closed.
    pub(super) fn expect(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells of an end.
    pub(super) fn tell(&self, failed: bool) {
        let next = |left: usize| if failed && self.at_failure { Some(0) } else { left.checked_sub(1) };
        let opened = match self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(before) => before == 1 || (before > 0 && failed && self.at_failure),
            Err(_) => false,
        };
        if opened {
            self.thread.unpark();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Waits until it is open, or `deadline` has come. Whether it is open.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        while !self.is_open() {
            if !sleep(deadline) {
                return self.is_open();
            }
        }
        true
    }
}

/// Who has ended, in the order in which they did.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    ended: VecDeque<usize>,
    thread: Option<Thread>,
}

impl Line {
    pub(super) fn tell(&self, who: usize) {
        let thread = {
            let mut waiting = lock(&self.0);
            waiting.ended.push_back(who);
            waiting.thread.take()
        };
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    pub(super) fn take(&self) -> Option<usize> {
        lock(&self.0).ended.pop_front()
    }

    /// Waits until there is one, or `deadline` has come.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Option<usize> {
        loop {
            {
                let mut waiting = lock(&self.0);
                if let Some(who) = waiting.ended.pop_front() {
                    return Some(who);
                }
                waiting.thread = Some(current());
            }
            if !sleep(deadline) {
                return self.take();
            }
        }
    }
}

/// Sleeps until somebody wakes this thread, perhaps for another reason, or `deadline` has come: then false.
fn sleep(deadline: Option<Instant>) -> bool {
    let Some(deadline) = deadline else {
        park();
        return true;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    park_timeout(left);
    true
}
