//! defmt's logger, on UART 1: each line a frame, which `defmt-decoder` finds again.
#![allow(unsafe_code)]

use super::SysTick;
use super::uart::Direct;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use critical_section::RestoreState;
use tidemill_core::time::Clock;

#[defmt::global_logger]
struct Logger;

/// What belongs to whoever writes a line, from `acquire` to `release`.
struct Line {
    encoder: UnsafeCell<defmt::Encoder>,
    restore: UnsafeCell<RestoreState>,
}

// SAFETY: only used between `acquire` and `release`, with interrupts off, on one core.
unsafe impl Sync for Line {}

static LINE: Line =
    Line { encoder: UnsafeCell::new(defmt::Encoder::new()), restore: UnsafeCell::new(RestoreState::invalid()) };
static TAKEN: AtomicBool = AtomicBool::new(false);

fn put(bytes: &[u8]) {
    let uart = Direct::LOG.begin();
    bytes.iter().for_each(|&byte| uart.put(byte));
}

// SAFETY: interrupts are off from `acquire` to `release`, so that a line is whole and nobody else is in here.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: released below, in the same context.
        let restore = unsafe { critical_section::acquire() };
        // Formatting that logs: the line within a line would be no line.
        assert!(!TAKEN.swap(true, Ordering::Relaxed), "a line within a line");
        // SAFETY: we have it.
        unsafe {
            *LINE.restore.get() = restore;
            (*LINE.encoder.get()).start_frame(put);
        }
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: acquired above.
        unsafe {
            (*LINE.encoder.get()).end_frame(put);
            TAKEN.store(false, Ordering::Relaxed);
            critical_section::release(*LINE.restore.get());
        }
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: acquired above.
        unsafe { (*LINE.encoder.get()).write(bytes, put) }
    }
}

defmt::timestamp!("{=u64:us}", SysTick::running().now().as_ticks());
