//! Atomics: those of the machine, or loom's, which tries every order in which threads can meet.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering};

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
