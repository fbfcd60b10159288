//! Atomics: those of the machine, or loom's, which tries every order in which threads can meet.
//!
//! A machine that can only load and store in one step, as an ARMv6-M or a RISC-V without the A extension, gets those of
//! `portable-atomic`: loads and stores stay what they are there, and everything else is done as the *firmware* chose by
//! that crate's feature, in a critical section or with interrupts off. No library can know which of them is right.

#[cfg(all(not(loom), target_has_atomic = "32"))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(all(not(loom), not(target_has_atomic = "32")))]
pub(crate) use portable_atomic::{AtomicU8, AtomicU32, Ordering};

/// A constructor that is `const`, but under loom, whose atomics must be made at run time.
macro_rules! const_new {
    ($(#[$meta:meta])* pub fn new() -> $type:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(loom))]
        pub const fn new() -> $type $body

        $(#[$meta])*
        #[cfg(loom)]
        pub fn new() -> $type $body
    };
}
pub(crate) use const_new;

/// An array of words that are zero.
macro_rules! zeros {
    ($count:expr) => {{
        #[cfg(not(loom))]
        let zeros = [const { $crate::sync::AtomicU32::new(0) }; $count];
        #[cfg(loom)]
        let zeros: [_; $count] = core::array::from_fn(|_| $crate::sync::AtomicU32::new(0));
        zeros
    }};
}
pub(crate) use zeros;
