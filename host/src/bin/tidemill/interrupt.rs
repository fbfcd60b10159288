//! Ctrl-C and SIGTERM, as a flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

/// A flag that the first SIGINT or SIGTERM sets, and calls `then`; the second ends the process at once. To be called
/// before any other thread is there, since threads inherit what they block.
pub(crate) fn flag(then: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    if signals.thread_block().is_ok() {
        let flag = Arc::clone(&flag);
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
                then();
            }
        });
    }
    flag
}
