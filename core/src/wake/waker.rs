//! A flag as a [`Waker`], so that what was written for `async` can wake a task of ours. The unsafe island of this
//! module.
//!
//! A waker is one pointer and a table of functions. A flag is one word and a number below 32. So the pointer is the
//! word's, and there are 32 tables: a waker needs no memory of its own, and cloning it is copying it.

#![allow(unsafe_code)]

use super::Flag;
use crate::sync::{AtomicU32, Ordering};
use core::task::{RawWaker, RawWakerVTable, Waker};

impl Flag<'static> {
    /// This flag for whoever wakes through [`Waker`]: futures, and other executors. Nothing to free. As
    /// [`set`](Flag::set), it does not by itself end the sleep of a loop on another core or thread.
    ///
    /// From an interrupt: the waker may be woken, cloned and dropped.
    pub fn waker(self) -> Waker {
        let table: &'static RawWakerVTable = &TABLES[(self.bit % 32) as usize];
        // SAFETY: the table's functions take any pointer to an `AtomicU32` that lives for ever, as this one does. They
        // are atomic, so they may be called from any thread; `drop` has nothing to do.
        unsafe { Waker::new(core::ptr::from_ref(self.word).cast(), table) }
    }
}

static TABLES: [RawWakerVTable; 32] = [
    table::<0>(),
    table::<1>(),
    table::<2>(),
    table::<3>(),
    table::<4>(),
    table::<5>(),
    table::<6>(),
    table::<7>(),
    table::<8>(),
    table::<9>(),
    table::<10>(),
    table::<11>(),
    table::<12>(),
    table::<13>(),
    table::<14>(),
    table::<15>(),
    table::<16>(),
    table::<17>(),
    table::<18>(),
    table::<19>(),
    table::<20>(),
    table::<21>(),
    table::<22>(),
    table::<23>(),
    table::<24>(),
    table::<25>(),
    table::<26>(),
    table::<27>(),
    table::<28>(),
    table::<29>(),
    table::<30>(),
    table::<31>(),
];

const fn table<const BIT: usize>() -> RawWakerVTable {
    RawWakerVTable::new(clone::<BIT>, set::<BIT>, set::<BIT>, drop)
}

/// # Safety
/// None needed: the pointer is only passed on, beside the table it came with.
unsafe fn clone<const BIT: usize>(word: *const ()) -> RawWaker {
    RawWaker::new(word, &TABLES[BIT])
}

/// # Safety
/// `word` points to an `AtomicU32` that lives for ever.
unsafe fn set<const BIT: usize>(word: *const ()) {
    // SAFETY: as the caller promises; only `Flag::waker` makes such a pointer, from a `&'static AtomicU32`.
    let word: &'static AtomicU32 = unsafe { &*word.cast() };
    word.fetch_or(1 << BIT, Ordering::Release);
}

/// # Safety
/// None needed: it does nothing.
unsafe fn drop(_: *const ()) {}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::net::Token;
    use crate::wake::WakeFlags;
    use std::thread;
    use std::vec::Vec;

    #[test]
    fn every_flag_has_a_waker_that_sets_it_and_no_other() {
        static FLAGS: WakeFlags<2> = WakeFlags::new();
        for token in 0..64 {
            let flag = FLAGS.flag(Token(token)).unwrap();
            let waker = flag.waker();
            let copy = waker.clone();
            assert!(copy.will_wake(&waker));
            drop(waker);
            copy.wake_by_ref();
            copy.wake();
            let mut woken = Vec::new();
            FLAGS.wake(&mut woken);
            assert_eq!(woken, [token]);
        }
    }

    #[test]
    fn wakers_of_one_word_may_be_used_from_many_threads() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        thread::scope(|scope| {
            for token in 0..32 {
                let waker = FLAGS.flag(Token(token)).unwrap().waker();
                scope.spawn(move || waker.wake());
            }
        });
        let mut woken = Vec::new();
        FLAGS.wake(&mut woken);
        assert_eq!(woken, (0..32).collect::<Vec<_>>());
    }
}
