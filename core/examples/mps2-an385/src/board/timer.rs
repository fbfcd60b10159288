//! Timer 0 (ARM's CMSDK): a periodic interrupt that puts the time at which it came into a queue, for a task.

use super::HZ;
use super::clock::SysTick;
use super::mmio::Mmio;
use super::vectors::Irq;
use core::cell::RefCell;
use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use tidemill_core::queue::{Consumer, FromInterrupt, Producer};
use tidemill_core::time::{Clock, Duration, Instant};
use tidemill_core::wake::Flag;

pub(super) const IRQ: u16 = 8;

const CTRL: u32 = 0x00;
const VALUE: u32 = 0x04;
const RELOAD: u32 = 0x08;
const INT: u32 = 0x0C;
const ENABLE: u32 = 1;
const INTERRUPT: u32 = 1 << 3;

// SAFETY: the board's first timer is there.
#[allow(unsafe_code)]
const REGS: Mmio = unsafe { Mmio::new(0x4000_0000) };

/// The queue's memory.
pub type TimerMemory = FromInterrupt<Instant, 8>;

/// When the interrupts came.
pub type Beats = Consumer<'static, Instant>;

/// The interrupt's end, its clock, and how many beats found the queue full.
struct End {
    beats: Producer<'static, Instant>,
    clock: SysTick,
    lost: u32,
}

static END: Mutex<RefCell<Option<End>>> = Mutex::new(RefCell::new(None));

/// The timer, which beats from its start on.
pub struct Timer(());

impl Timer {
    /// Beats each `period`, at most 171 s, for the task of this flag.
    pub fn start(
        memory: &'static mut TimerMemory,
        task: Flag<'static>,
        period: Duration,
        clock: SysTick,
    ) -> (Self, Beats) {
        let (beats, consumer) = memory.split(task);
        critical_section::with(|cs| END.borrow(cs).replace(Some(End { beats, clock, lost: 0 })));
        let clocks = period.as_ticks().saturating_mul(u64::from(HZ / 1_000_000));
        let reload = u32::try_from(clocks).unwrap_or(u32::MAX).max(1) - 1;
        REGS.write(CTRL, 0);
        REGS.write(RELOAD, reload);
        REGS.write(VALUE, reload);
        REGS.write(CTRL, ENABLE | INTERRUPT);
        // SAFETY: the handler shares nothing with the loop but what is behind the mutex.
        #[allow(unsafe_code)]
        unsafe {
            NVIC::unmask(Irq(IRQ));
        }
        (Self(()), consumer)
    }

    /// How many beats nobody will hear of.
    pub fn lost(&self) -> u32 {
        critical_section::with(|cs| END.borrow_ref(cs).as_ref().map_or(0, |end| end.lost))
    }
}

/// The time has come.
pub(super) fn beat() {
    REGS.write(INT, 1);
    critical_section::with(|cs| {
        if let Some(end) = END.borrow_ref_mut(cs).as_mut() {
            let lost = end.beats.put_nowait(end.clock.now()).is_err();
            end.lost = end.lost.wrapping_add(u32::from(lost));
        }
    });
}
