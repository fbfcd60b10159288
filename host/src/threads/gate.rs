//! What a thread waits at until as much has ended as it waits for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, Thread, current, lock, park, park_timeout};

/// How long who waits at a gate sleeps at first. Falling asleep offers his core to the system for whoever waits for
/// another, and the system does not move a thread that ran within the last half a millisecond. Where two workers have come
/// to share a core, that is just when he falls asleep: he waits for one of the two, who is seen to as the other's turn ends.
/// Offered once only, the core may stay idle for ten milliseconds and more.
const NAPS: [Duration; 3] = [Duration::from_micros(600), Duration::from_micros(1_200), Duration::from_micros(2_400)];

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
        for nap in NAPS {
            if self.is_open() {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline.saturating_duration_since(Instant::now()) < nap) {
                break;
            }
            park_timeout(nap);
        }
        while !self.is_open() {
            if !sleep(deadline) {
                return self.is_open();
            }
        }
        true
    }
}

/// Wakes a worker that sleeps, and stays should the worker's thread be replaced.
#[derive(Debug)]
pub(super) struct Bell {
    sleeper: Mutex<Option<Thread>>,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self { sleeper: Mutex::new(None), rung: AtomicBool::new(false) }
    }

    /// From now on this is the thread that it wakes.
    pub(super) fn attend(&self) {
        *lock(&self.sleeper) = Some(current());
    }

    /// Sleeps until it was rung. Whoever rang it had done before what he wants to be seen.
    pub(super) fn sleep(&self) {
        while !self.rung.swap(false, Ordering::AcqRel) {
            park();
        }
    }

    /// Only after somebody attends. Rung again before he has heard it, it wakes him once.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(sleeper) = &*lock(&self.sleeper)
        {
            sleeper.unpark();
        }
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

/// If a ring were lost, the sleeper of the model would wait for ever, and loom would say so.
#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::threads::sync::{Arc, AtomicU64};
    use loom::thread;

    /// Says in `told` what comes next, and rings.
    fn tell(bell: &Arc<Bell>, told: &Arc<AtomicU64>, what: u64) -> thread::JoinHandle<()> {
        let (bell, told) = (bell.clone(), told.clone());
        thread::spawn(move || {
            told.store(what, Ordering::Relaxed);
            bell.ring();
        })
    }

    #[test]
    fn loom_a_bell_rung_before_or_while_one_falls_asleep_wakes_him_and_he_sees_what_was_done() {
        loom::model(|| {
            let (bell, told) = (Arc::new(Bell::new()), Arc::new(AtomicU64::new(0)));
            bell.attend();
            let ringer = tell(&bell, &told, 1);
            bell.sleep();
            assert_eq!(told.load(Ordering::Relaxed), 1);
            ringer.join().unwrap();
        });
    }

    #[test]
    fn loom_what_is_left_of_one_ring_does_not_end_the_next_sleep() {
        loom::model(|| {
            let (bell, told) = (Arc::new(Bell::new()), Arc::new(AtomicU64::new(0)));
            bell.attend();
            // It may be woken, and asleep again, before the ringer comes to wake it.
            let first = tell(&bell, &told, 1);
            bell.sleep();
            let second = {
                let (bell, told) = (bell.clone(), told.clone());
                thread::spawn(move || {
                    first.join().unwrap();
                    told.store(2, Ordering::Relaxed);
                    bell.ring();
                })
            };
            bell.sleep();
            assert_eq!(told.load(Ordering::Relaxed), 2);
            second.join().unwrap();
        });
    }

    #[test]
    fn loom_two_who_ring_at_once_wake_one_who_sees_both_or_is_woken_again() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(|| {
            let (bell, told) = (Arc::new(Bell::new()), Arc::new(AtomicU64::new(0)));
            bell.attend();
            for _ in 0..2 {
                let (bell, told) = (bell.clone(), told.clone());
                // Not joined: loom's threads wake from any wait when they are unparked, the system's do not.
                thread::spawn(move || {
                    told.fetch_add(1, Ordering::Relaxed);
                    bell.ring();
                });
            }
            while told.load(Ordering::Relaxed) < 2 {
                bell.sleep();
            }
        });
    }

    #[test]
    fn loom_a_thread_that_takes_the_place_of_another_is_woken_in_its_stead() {
        loom::model(|| {
            let bell = Arc::new(Bell::new());
            bell.attend();
            let (ours, attended) = (bell.clone(), Arc::new(Bell::new()));
            attended.attend();
            let told = attended.clone();
            let next = thread::spawn(move || {
                ours.attend();
                told.ring();
                ours.sleep();
            });
            attended.sleep();
            bell.ring();
            next.join().unwrap();
        });
    }
}
