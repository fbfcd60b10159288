//! Ctrl-C and SIGTERM, as a flag; and SIGHUP, for who can start anew without an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

/// A flag that the first SIGINT or SIGTERM sets, and calls `then`; the second ends the process at once. To be called
/// before any other thread is there, since threads inherit what they block.
pub(crate) fn flag(then: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    watch(&[Signal::SIGINT, Signal::SIGTERM], then, || ())
}

/// As [`flag`]; a SIGHUP calls `again`.
pub(crate) fn flag_and_hangup(then: impl Fn() + Send + 'static, again: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    watch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP], then, again)
}

fn watch(signals: &[Signal], then: impl Fn() + Send + 'static, again: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let signals: SigSet = signals.iter().copied().collect();
    if signals.thread_block().is_ok() {
        let flag = Arc::clone(&flag);
        std::thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if signal == Signal::SIGHUP {
                    again();
                    continue;
                }
                if flag.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
                then();
            }
        });
    }
    flag
}
