//! Wake flags: how an interrupt, another core or another thread gets a task polled.
//!
//! There is a bit for each task of a pool. Setting one is a single atomic operation on a `static`, without a lock, and
//! says only "look again"; what there is to see is elsewhere, in a queue or a register. Whoever turns the executor lets
//! the flags wake their tasks before each turn:
//!
//! ```
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::{NoNetwork, Token};
//! use tidemill_core::pool::Slot;
//! use tidemill_core::task::{Context, Task};
//! use tidemill_core::time::EPOCH;
//! use tidemill_core::wake::{Flag, WakeFlags};
//! use core::sync::atomic::{AtomicU32, Ordering};
//!
//! static FLAGS: WakeFlags<1> = WakeFlags::new();
//! static BUTTON: Flag<'static> = FLAGS.flag(Token(0)).unwrap();
//! static PRESSES: AtomicU32 = AtomicU32::new(0);
//!
//! fn interrupt() {
//!     PRESSES.fetch_add(1, Ordering::Release);
//!     BUTTON.set();
//! }
//!
//! /// Done after three presses.
//! struct Button;
//! impl Task<NoNetwork> for Button {
//!     type Output = u32;
//!     type Error = ();
//!     fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ()> {
//!         match PRESSES.load(Ordering::Acquire) {
//!             presses @ 3.. => Ok(presses),
//!             _ => {
//!                 cx.wait_for_wake();
//!                 Err(nb::Error::WouldBlock)
//!             }
//!         }
//!     }
//! }
//!
//! let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
//! let id = executor.pool.submit(Button).unwrap();
//! assert_eq!(id.token(), Token(0));
//! while executor.pool.result(id).is_err() {
//!     FLAGS.wake(&mut executor);
//!     executor.turn(EPOCH, &mut NoNetwork, &mut ());
//!     // Here one sleeps, unless FLAGS.any().
//!     interrupt();
//! }
//! assert_eq!(executor.counts().polls, 4);
//! ```
//!
//! # Going to sleep
//! A flag that is set after [`wake`](WakeFlags::wake) looked and before the processor sleeps must not be slept over. On
//! a microcontroller: mask interrupts, ask [`any`](WakeFlags::any), and only if there is none wait for an interrupt
//! (`WFI` returns on a pending one though it is masked), then unmask. A flag rings no bell: who sets one from another core
//! or thread then interrupts the sleeper as well (an interrupt between cores; on a host, its poller's waker).

mod waker;

use crate::net::Token;
use crate::sync::{AtomicU32, Ordering};
use crate::task::Wake;

/// One bit for each of `32 * W` tasks: four bytes for 32. Usually in a `static`.
///
/// From an interrupt: [`flag`](Self::flag) and [`any`](Self::any) may be called. [`wake`](Self::wake) belongs to whoever
/// turns the executor.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WakeFlags<const W: usize> {
    words: [AtomicU32; W],
}

impl<const W: usize> Default for WakeFlags<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const W: usize> WakeFlags<W> {
    crate::sync::const_new! {
        /// None is set.
        pub fn new() -> Self {
            Self { words: crate::sync::zeros!(W) }
        }
    }

    /// The flag of the task with this token; `None`: there are not as many.
    pub const fn flag(&self, Token(token): Token) -> Option<Flag<'_>> {
        let word = (token / 32) as usize;
        if word < W { Some(Flag { word: &self.words[word], bit: token % 32 }) } else { None }
    }

    /// Whether any is set: then there is no time to sleep. O(W).
    pub fn any(&self) -> bool {
        self.words.iter().any(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Takes all that are set, and wakes their tasks. What is set while it does so is taken now or next time, but never
    /// lost. O(W), and as much as the tasks it wakes.
    pub fn wake(&self, tasks: &mut impl Wake) {
        for (word, first) in self.words.iter().zip((0..).step_by(32)) {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::Acquire);
            while bits != 0 {
                tasks.wake(Token(first + bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
    }
}

/// The wake flag of one task. `Copy`: it goes to wherever something happens for that task.
///
/// From an interrupt: yes; one atomic operation, without a lock.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flag<'a> {
    word: &'a AtomicU32,
    bit: u32,
}

impl Flag<'_> {
    /// Has the task polled. What was written before is seen by that poll.
    pub fn set(self) {
        self.word.fetch_or(1 << self.bit, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    impl Wake for Vec<u32> {
        fn wake(&mut self, Token(token): Token) {
            self.push(token);
        }
    }

    #[test]
    fn there_are_as_many_flags_as_bits() {
        let flags = WakeFlags::<2>::new();
        assert!(flags.flag(Token(63)).is_some());
        assert!(flags.flag(Token(64)).is_none());
        assert!(WakeFlags::<0>::new().flag(Token(0)).is_none());
    }

    proptest! {
        #[test]
        fn flags_agree_with_a_set(ops in proptest::collection::vec(proptest::option::of(0..96u32), 0..200)) {
            let flags = WakeFlags::<3>::new();
            let mut model = BTreeSet::new();
            for op in ops {
                if let Some(token) = op {
                    flags.flag(Token(token)).unwrap().set();
                    model.insert(token);
                } else {
                    let mut woken = Vec::new();
                    flags.wake(&mut woken);
                    prop_assert_eq!(woken, core::mem::take(&mut model).into_iter().collect::<Vec<_>>());
                }
                prop_assert_eq!(flags.any(), !model.is_empty());
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::{Arc, Notify};
    use loom::thread;
    use std::vec::Vec;

    impl Wake for Vec<u32> {
        fn wake(&mut self, Token(token): Token) {
            self.push(token);
        }
    }

    /// As the module's documentation says: let the flags wake, ask whether any is set, and only then sleep. `bell` is the
    /// interrupt that ends the sleep; whoever sets a flag rings it afterwards.
    #[test]
    fn loom_no_flag_is_slept_over() {
        loom::model(|| {
            let flags = Arc::new(WakeFlags::<1>::new());
            let bell = Arc::new(Notify::new());
            let data = Arc::new(AtomicU32::new(0));
            let setter = {
                let (flags, bell, data) = (flags.clone(), bell.clone(), data.clone());
                thread::spawn(move || {
                    for token in [4, 3] {
                        data.fetch_add(1, Ordering::Relaxed);
                        flags.flag(Token(token)).unwrap().set();
                        bell.notify();
                    }
                })
            };
            let mut woken = Vec::new();
            while woken.len() < 2 {
                flags.wake(&mut woken);
                assert!(data.load(Ordering::Relaxed) as usize >= woken.len(), "woken before there was anything to see");
                if woken.len() < 2 && !flags.any() {
                    bell.wait();
                }
            }
            setter.join().unwrap();
            assert!(!flags.any());
        });
    }

    /// A flag that is set again while its task is being woken wakes it again: what the second setting announces is seen.
    #[test]
    fn loom_the_last_setting_is_followed_by_a_poll_that_sees_it() {
        loom::model(|| {
            let flags = Arc::new(WakeFlags::<1>::new());
            let data = Arc::new(AtomicU32::new(0));
            let setter = {
                let (flags, data) = (flags.clone(), data.clone());
                thread::spawn(move || {
                    for value in [1, 2] {
                        data.store(value, Ordering::Relaxed);
                        flags.flag(Token(0)).unwrap().set();
                    }
                })
            };
            let mut seen = 0;
            let mut turn = || {
                let mut woken = Vec::new();
                flags.wake(&mut woken);
                if !woken.is_empty() {
                    seen = data.load(Ordering::Relaxed);
                }
            };
            turn();
            turn();
            setter.join().unwrap();
            turn();
            assert_eq!(seen, 2);
        });
    }

    #[test]
    fn loom_what_is_set_is_woken_or_still_there_to_keep_the_loop_awake() {
        loom::model(|| {
            let flags = Arc::new(WakeFlags::<1>::new());
            let data = Arc::new(AtomicU32::new(0));
            let setters: [_; 2] = core::array::from_fn(|token| {
                let (flags, data) = (flags.clone(), data.clone());
                thread::spawn(move || {
                    data.fetch_add(1, Ordering::Relaxed);
                    flags.flag(Token(token as u32)).unwrap().set();
                })
            });
            let mut woken = Vec::new();
            flags.wake(&mut woken);
            assert!(data.load(Ordering::Relaxed) >= woken.len() as u32, "woken before there was anything to see");
            for setter in setters {
                setter.join().unwrap();
            }
            assert_eq!(flags.any(), woken.len() < 2);
            flags.wake(&mut woken);
            woken.sort_unstable();
            assert_eq!(woken, [0, 1]);
            assert!(!flags.any());
        });
    }
}
