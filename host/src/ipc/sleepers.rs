//! Who sleeps until a queue has an item, or room, and who is woken.
//!
//! To wake a sleeper costs more than to put an item. So one of those who find nothing *searches*, looks again for a bounded while,
//! and nobody is woken as long as somebody does; who waited, and then found something, wakes the next if there is more. Sleepers draw a
//! ticket; who finds nobody asleep notes the last ticket, and tries no more until another is drawn. Who searches and is killed
//! leaves `searching` set: a sleeper that wakes by itself clears it. Where items are of different lengths and the ring is full, a
//! putter whose item would fit may wait that tenth of a second behind one whose item does not.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Instant;

use super::futex::{rouse, sleep};

/// How often a searcher looks.
const LOOKS: u32 = 300;

/// Those who wait for one thing. All zero: nobody.
#[repr(C)]
pub(super) struct Sleepers {
    /// Changes with each wake-up: what they sleep on.
    calls: AtomicU32,
    drawn: AtomicU32,
    answered: AtomicU32,
    searching: AtomicU32,
}

impl Sleepers {
    /// To be called after what they wait for was stored.
    pub(super) fn wake_one(&self) {
        fence(Ordering::SeqCst);
        let drawn = self.drawn.load(Ordering::Relaxed);
        if drawn != self.answered.load(Ordering::Relaxed) && self.searching.load(Ordering::Relaxed) == 0 {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if rouse(&self.calls, 1) == 0 {
                self.answered.store(drawn, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn wake_all(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        rouse(&self.calls, u32::MAX >> 1);
    }

    /// Waits until it is `there`, or for a while: the caller has to try, and come again.
    pub(super) fn wait(&self, deadline: Option<Instant>, there: impl Fn() -> bool) {
        if self.searching.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            let found = (0..LOOKS).any(|_| {
                spin_loop();
                there()
            });
            self.searching.store(0, Ordering::SeqCst);
            if found {
                return;
            }
        }
        self.drawn.fetch_add(1, Ordering::SeqCst);
        let calls = self.calls.load(Ordering::SeqCst);
        if !there() && !sleep(&self.calls, calls, deadline) {
            self.searching.store(0, Ordering::SeqCst);
        }
    }
}
