//! Ctrl-C and SIGTERM, as a flag; and SIGHUP, for who can start anew without an end, or has others to end with itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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

/// As [`flag`], for who has others to end: what a terminal sends when it is closed (unless `nohup` has it ignored) or is told to
/// quit counts, too, and another ends the process only `patience` after the first, and calls `last` before.
pub(crate) fn flag_for_all(patience: Duration, last: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let mut signals = vec![Signal::SIGINT, Signal::SIGTERM];
    signals.extend([Signal::SIGHUP, Signal::SIGQUIT].into_iter().filter(|&signal| !is_ignored(signal)));
    let mut first = None;
    watch(&signals, move |_, flag| {
        flag.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() >= patience {
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

fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal as i32 - 1) != 0)
}

fn watch(signals: &[Signal], mut heard: impl FnMut(Signal, &AtomicBool) + Send + 'static) -> Arc<AtomicBool> {
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
