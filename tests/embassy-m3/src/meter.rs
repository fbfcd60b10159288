//! Instructions between two looks at a timer, exactly: QEMU is started with `-icount shift=6`, so that each takes 64 ns of
//! virtual time, and the board's timer counts at 25 MHz.

use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m_semihosting::hprintln;

const TIMER: *mut u32 = 0x4000_0000 as *mut u32;
const TICK_NS: u32 = 40;
const INSTRUCTION_NS: u32 = 64;

static BEGAN: AtomicU32 = AtomicU32::new(0);
static ENDED: AtomicU32 = AtomicU32::new(0);
static OVERHEAD: AtomicU32 = AtomicU32::new(0);

pub fn start() {
    // SAFETY: the first CMSDK timer of the board: reload value, then enable, without interrupt.
    unsafe {
        TIMER.add(2).write_volatile(u32::MAX);
        TIMER.add(1).write_volatile(u32::MAX);
        TIMER.write_volatile(1);
    }
    let mut worst = 0;
    for _ in 0..100 {
        begin();
        end();
        worst = worst.max(between());
    }
    OVERHEAD.store(worst, Ordering::Relaxed);
}

#[inline(always)]
fn now() -> u32 {
    // SAFETY: the timer's value register, which counts down.
    unsafe { TIMER.add(1).read_volatile() }
}

/// From here on.
#[inline(always)]
pub fn begin() {
    BEGAN.store(now(), Ordering::SeqCst);
}

/// To here; the last call counts.
#[inline(always)]
pub fn end() {
    ENDED.store(now(), Ordering::SeqCst);
}

fn between() -> u32 {
    let ns = BEGAN.load(Ordering::SeqCst).wrapping_sub(ENDED.load(Ordering::SeqCst)) * TICK_NS;
    (ns + INSTRUCTION_NS / 2) / INSTRUCTION_NS
}

/// A row of the table.
pub struct Row {
    what: &'static str,
    whose: &'static str,
    sum: u32,
    times: u32,
}

impl Row {
    pub fn new(what: &'static str, whose: &'static str) -> Self {
        Self { what, whose, sum: 0, times: 0 }
    }

    /// Counts what was between the last `begin` and the last `end`.
    pub fn add(&mut self) {
        self.sum += between().saturating_sub(OVERHEAD.load(Ordering::Relaxed));
        self.times += 1;
    }

    pub fn print(&self) {
        let tenths = self.sum * 10 / self.times.max(1);
        hprintln!("{} {} {}.{}", self.what, self.whose, tenths / 10, tenths % 10);
    }
}
