//! The meter: instructions between two looks at a timer, exactly.
//!
//! QEMU is started with `-icount shift=6`: each instruction takes 64 ns of virtual time. The board's timer counts at
//! 25 MHz, 40 ns, so a difference of its readings, rounded, is a number of instructions and nothing else. What reading
//! it costs is measured at the start, and taken off.

use core::hint::black_box;
use core::sync::atomic::{Ordering, compiler_fence};
use cortex_m_semihosting::hprintln;
use heapless::Vec;

const TIMER: *mut u32 = 0x4000_0000 as *mut u32;
const TICK_NS: u32 = 40;
const INSTRUCTION_NS: u32 = 64;

/// All that was counted.
pub struct Meter {
    overhead: u32,
    rows: Vec<Row, 300>,
}

struct Row {
    what: &'static str,
    whose: &'static str,
    entries: usize,
    count: Count,
}

/// Instructions of one kind of operation.
#[derive(Clone, Copy, Default)]
pub struct Count {
    overhead: u32,
    times: u32,
    sum: u64,
    worst: u32,
}

impl Meter {
    pub fn new() -> Self {
        // SAFETY: the first CMSDK timer of the board: reload value, then enable, without interrupt.
        unsafe {
            TIMER.add(2).write_volatile(u32::MAX);
            TIMER.add(1).write_volatile(u32::MAX);
            TIMER.write_volatile(1);
        }
        let mut empty = Count::default();
        for i in 0..100_u32 {
            empty.of(i, |i| i);
        }
        Self { overhead: empty.worst, rows: Vec::new() }
    }

    pub fn count(&self) -> Count {
        Count { overhead: self.overhead, ..Count::default() }
    }

    pub fn add(&mut self, what: &'static str, whose: &'static str, entries: usize, count: Count) {
        let _ = self.rows.push(Row { what, whose, entries, count });
    }

    pub fn print(&self) {
        for Row { what, whose, entries, count } in &self.rows {
            let tenths = count.sum * 10 / u64::from(count.times.max(1));
            hprintln!("{} {} {} {}.{} {}", what, whose, entries, tenths / 10, tenths % 10, count.worst);
        }
    }
}

impl Count {
    /// Runs and counts it. What it needs goes through `input`, or the compiler may compute it while it is counted.
    pub fn of<I, R>(&mut self, input: I, operation: impl FnOnce(I) -> R) -> R {
        let result = timed(input, operation);
        // SAFETY: one context, and nobody holds a reference.
        let ns = unsafe { BEFORE.wrapping_sub(AFTER) } * TICK_NS;
        self.add(((ns + INSTRUCTION_NS / 2) / INSTRUCTION_NS).saturating_sub(self.overhead));
        result
    }

    /// Of one of `times` that were counted together, without what `rest` says is spent anyway.
    pub fn each(&self, rest: &Self, times: u32) -> Self {
        let rest_sum = rest.sum * u64::from(self.times) / u64::from(rest.times);
        Self {
            times: self.times * times,
            sum: self.sum - rest_sum,
            worst: (self.worst - rest.worst).div_ceil(times),
            ..*self
        }
    }

    /// Of one of these and then one of the others.
    pub fn then(&self, other: &Self) -> Self {
        let [times, others] = [self.times, other.times].map(|times| u64::from(times.max(1)));
        Self {
            times: 1_000,
            sum: self.sum * 1_000 / times + other.sum * 1_000 / others,
            worst: self.worst + other.worst,
            ..*self
        }
    }

    #[inline(never)]
    fn add(&mut self, instructions: u32) {
        self.times += 1;
        self.sum += u64::from(instructions);
        self.worst = self.worst.max(instructions);
    }
}

/// What the timer said before the last operation, and after it.
static mut BEFORE: u32 = 0;
static mut AFTER: u32 = 0;

/// Each operation is compiled into a function of its own, this one, and nothing that is not the operation's is kept in a
/// register meanwhile: else the compiler's choice of what to save would be counted with it.
#[inline(never)]
fn timed<I, R>(input: I, operation: impl FnOnce(I) -> R) -> R {
    let input = black_box(input);
    // SAFETY: one context, and nobody holds a reference.
    unsafe { (&raw mut BEFORE).write_volatile(now()) };
    compiler_fence(Ordering::SeqCst);
    let result = operation(input);
    black_box(&result);
    compiler_fence(Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { (&raw mut AFTER).write_volatile(now()) };
    result
}

/// Counts down.
#[inline(always)]
fn now() -> u32 {
    // SAFETY: the timer's value register.
    unsafe { TIMER.add(1).read_volatile() }
}
