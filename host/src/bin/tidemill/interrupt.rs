//! Ctrl-C and SIGTERM, as a flag; and SIGHUP, for who can start anew without an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

/// A flag that the first SIGINT or SIGTERM sets, and calls `then`; the second ends the process at once. To be called
/// before any other thread is there, since threads inherit what they block.
pub(crate) fn flag(then: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    watch(&[Signal::SIGINT, Signal::SIGTERM], move |_, flag| set(flag, &then))
}

/// As [`flag`]; a SIGHUP calls `again`.
pub(crate) fn flag_and_hangup(then: impl Fn() + Send + 'static, again: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    watch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP], move |signal, flag| match signal {
        Signal::SIGHUP => again(),
        _ => set(flag, &then),
    })
}

/// As [`flag`]; a SIGHUP does the same, unless it is ignored, and the second signal calls `last` before the end.
pub(crate) fn flag_and_last(last: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let all = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    watch(if is_ignored(Signal::SIGHUP) { &all[..2] } else { &all }, move |_, flag| {
        if flag.swap(true, Ordering::Relaxed) {
            last();
            std::process::exit(1);
        }
    })
}

fn set(flag: &AtomicBool, then: impl Fn()) {
    if flag.swap(true, Ordering::Relaxed) {
        std::process::exit(1);
    }
    then();
}

/// Whether whoever started this process had it ignore a signal, as nohup does: who waits for one would see it all the same.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal as i32 - 1) & 1 == 1)
}

fn watch(signals: &[Signal], heard: impl Fn(Signal, &AtomicBool) + Send + 'static) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let signals: SigSet = signals.iter().copied().collect();
    if signals.thread_block().is_ok() {
        let flag = Arc::clone(&flag);
        std::thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                heard(signal, &flag);
            }
        });
    }
    flag
}
