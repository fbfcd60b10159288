//! Counts instructions from a cause to the task that waits for it, and of a frame and a URL, here and with what firmware on
//! embassy takes.
//!
//! `tests/embassy` runs this image in QEMU, where an instruction takes 64 ns of virtual time, and prints what it says as a
//! table. A line is `what whose mean`. Ten tasks live in either executor, all waiting; rows of one kind start and stop the
//! count at the same places:
//!
//! | row | from | to |
//! |---|---|---|
//! | `wake.to.poll` | the call that wakes a task | the first instruction of its poll |
//! | `expiry.to.poll` | the timer's interrupt becomes pending | the poll of the task whose deadline it is |
//! | `interrupt.to.poll` | an interrupt becomes pending, whose handler wakes a task | the poll of that task |
//! | `….and.back` | the same | the loop would sleep again, its next alarm set |
#![no_std]
#![no_main]

mod meter;
mod ours;
mod theirs;
mod wire;

use core::sync::atomic::{AtomicU8, Ordering};
use cortex_m::peripheral::NVIC;
use cortex_m_semihosting::debug;

/// How many tasks live.
pub const TASKS: usize = 10;
/// How often each row is counted.
pub const TIMES: u32 = 1_000;
/// From one deadline to the next.
pub const PERIOD_US: u64 = 1_000;

/// An interrupt that no device here uses.
#[derive(Clone, Copy)]
struct Line;

// SAFETY: the controller has so many lines.
unsafe impl cortex_m::interrupt::InterruptNumber for Line {
    fn number(self) -> u16 {
        20
    }
}

/// What the interrupt's handler does.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Handler {
    OursWakes,
    OursAlarm,
    TheirsWakes,
    TheirsAlarm,
}

static HANDLER: AtomicU8 = AtomicU8::new(0);

/// What the interrupt does from here on.
pub fn handle(handler: Handler) {
    HANDLER.store(handler as u8, Ordering::SeqCst);
}

/// Has the interrupt happen: now, before this returns.
#[inline(always)]
pub fn interrupt() {
    NVIC::pend(Line);
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

#[cortex_m_rt::exception]
// SAFETY: what it calls may be called from an interrupt.
unsafe fn DefaultHandler(_: i16) {
    match HANDLER.load(Ordering::Relaxed) {
        0 => ours::wakes(),
        // Whoever sleeps is awake: it looks at the clock.
        1 => {}
        2 => theirs::wakes(),
        _ => theirs::alarm(),
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    meter::start();
    // SAFETY: the handler shares with the loop what is made to be shared.
    unsafe { NVIC::unmask(Line) };
    ours::measure();
    theirs::measure();
    wire::measure();
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m_semihosting::hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
