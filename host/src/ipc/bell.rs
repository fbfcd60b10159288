//! Asking to be woken, in shared memory.
//!
//! Who waits says so with [`want`](Bell::want), looks once more for what it waits for, and sleeps if it is not there. Who has it
//! stores it, and then asks [`is_wanted`](Bell::is_wanted). In both calls a fence stands between the store and the look: of the two
//! at least one sees what the other stored, so nobody sleeps over it. The test is `loom_nobody_sleeps_over_what_has_come`.

use crate::threads::sync::{AtomicU64, Ordering, fence};

/// All zero: nobody waits.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct Bell(AtomicU64);

const QUIET: u64 = 0;
const WANTED: u64 = 1;

impl Bell {
    /// Says that it is to be rung. To be followed by a look, whether that is needed.
    pub(super) fn want(&self) {
        self.0.store(WANTED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// It need not be rung any more; it may have been.
    pub(super) fn quiet(&self) {
        self.0.store(QUIET, Ordering::Relaxed);
    }

    /// After something was stored: whether the bell is to be rung for it, by who is told so.
    pub(super) fn is_wanted(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == WANTED && self.0.swap(QUIET, Ordering::Relaxed) == WANTED
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::threads::sync::{Arc, Condvar, Mutex, lock};

    /// What one writes and the other reads; the bell; and the socket, in which a byte waits.
    type Way = (AtomicU64, Bell, Mutex<bool>, Condvar);

    fn writes((written, bell, rung, sleeper): &Way, what: u64) {
        written.store(what, Ordering::Release);
        if bell.is_wanted() {
            *lock(rung) = true;
            sleeper.notify_one();
        }
    }

    /// Waits until all of it has come. Over what is missed it sleeps for ever, and loom says so.
    fn reads((written, bell, rung, sleeper): &Way, all: u64) {
        while written.load(Ordering::Acquire) != all {
            bell.want();
            if written.load(Ordering::Acquire) != all {
                let mut rung = lock(rung);
                while !*rung {
                    rung = sleeper.wait(rung).unwrap();
                }
                *rung = false;
            }
            bell.quiet();
        }
    }

    #[test]
    fn loom_nobody_sleeps_over_what_has_come() {
        loom::model(|| {
            let way: Arc<Way> =
                Arc::new((AtomicU64::new(0), Bell(AtomicU64::new(QUIET)), Mutex::new(false), Condvar::new()));
            let writer = loom::thread::spawn({
                let way = way.clone();
                move || {
                    writes(&way, 1);
                    writes(&way, 2);
                }
            });
            reads(&way, 2);
            writer.join().unwrap();
        });
    }
}
