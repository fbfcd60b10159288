//! Time, from SysTick: an interrupt each millisecond, and the counter between two.
//!
//! The tick never stops, though the loop could do with one at each deadline: QEMU's user network sleeps up to a second
//! unless something wakes QEMU.

use super::HZ;
use core::cell::Cell;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use critical_section::Mutex;
use tidemill_core::time::{Clock, Duration, EPOCH, Instant};

/// Processor clocks from tick to tick, and in a microsecond.
const RELOAD: u32 = HZ / 1_000;
const PER_US: u32 = HZ / 1_000_000;

static MILLISECONDS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// The board's clock. There is one, and whoever wants it has it.
#[derive(Clone, Copy)]
pub struct SysTick(());

impl SysTick {
    /// Starts it.
    pub(super) fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(RELOAD - 1);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        Self(())
    }

    /// The clock as a log sees it: before its start it stands at 0.
    #[cfg(feature = "defmt")]
    pub(super) const fn running() -> Self {
        Self(())
    }
}

impl Clock for SysTick {
    fn now(&self) -> Instant {
        critical_section::with(|cs| {
            let mut left = SYST::get_current();
            let mut ms = MILLISECONDS.borrow(cs).get();
            if SCB::is_pendst_pending() {
                // A tick that has not been counted: before or after the counter was read.
                left = SYST::get_current();
                ms += 1;
            }
            EPOCH
                + Duration::from_millis(ms)
                + Duration::from_micros(u64::from((RELOAD - 1).saturating_sub(left) / PER_US))
        })
    }
}

/// A millisecond is over.
#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(|cs| {
        let ms = MILLISECONDS.borrow(cs);
        ms.set(ms.get() + 1);
    });
}
