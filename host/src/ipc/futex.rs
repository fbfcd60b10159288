//! Sleeping until a word in shared memory changes.
//!
//! Whoever would wake a sleeper may be killed just before. So nobody sleeps for longer than [`SLICE`] without looking again: a
//! death costs that much time, and nothing else.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::thread::futex::{Flags, wait, wake};

/// The longest sleep, in which a wake-up that was lost with its sender is made up for.
pub(super) const SLICE: Duration = Duration::from_millis(100);

/// Sleeps while `word` is `value`, for at most a [`SLICE`] and not beyond the deadline. It may also wake up for nothing. False:
/// it slept for all that time.
pub(super) fn sleep(word: &AtomicU32, value: u32, deadline: Option<Instant>) -> bool {
    let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()).min(SLICE));
    let Ok(time) = left.try_into() else { return true };
    wait(word, Flags::empty(), value, Some(&time)) != Err(rustix::io::Errno::TIMEDOUT)
}

/// Wakes up to `count` of those who sleep on `word`: how many.
pub(super) fn rouse(word: &AtomicU32, count: u32) -> usize {
    wake(word, Flags::empty(), count).unwrap_or(0)
}

/// Whether that time has come.
pub(super) fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// The end of a time limit that begins now. A time beyond what the clock can count is none.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
