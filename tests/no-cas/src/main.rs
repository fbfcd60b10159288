//! What core has of atomics, between an interrupt and the loop of a Cortex-M0: wake flags, the queue from an interrupt, a
//! queue between cores and a future's cell. Ends QEMU with 0 if all came as it should.
#![no_std]
#![no_main]

use core::cell::RefCell;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_semihosting::{debug, hprintln};
use critical_section::Mutex;
use static_cell::StaticCell;
use tidemill_core::executor::Executor;
use tidemill_core::frame::Carrier;
use tidemill_core::frame::link::{Config, Endpoint};
use tidemill_core::future::{Cell, State};
use tidemill_core::net::{NoNetwork, Token};
use tidemill_core::pool::Slot;
use tidemill_core::queue::{Consumer, FromInterrupt, Producer, ShutDown};
use tidemill_core::task::{Context, Task};
use tidemill_core::time::EPOCH;
use tidemill_core::wake::WakeFlags;

static FLAGS: WakeFlags<1> = WakeFlags::new();
static QUEUE: StaticCell<FromInterrupt<u32, 8>> = StaticCell::new();
static PRODUCER: Mutex<RefCell<Option<(Producer<'static, u32>, u32)>>> = Mutex::new(RefCell::new(None));
static FUTURE: Cell = Cell::new();

/// As many interrupts as are counted.
const TICKS: u32 = 100;

/// Sums up what the interrupt says.
struct Sum {
    numbers: Consumer<'static, u32>,
    sum: u32,
}

impl Task<NoNetwork> for Sum {
    type Output = u32;
    type Error = ShutDown;

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ShutDown> {
        loop {
            match self.numbers.get(&mut cx.me) {
                Ok(number) => self.sum += number,
                Err(nb::Error::Other(ShutDown)) => return Ok(self.sum),
                Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
            }
        }
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(|cs| {
        let mut producer = PRODUCER.borrow_ref_mut(cs);
        let Some((producer, count)) = producer.as_mut() else { return };
        if *count < TICKS {
            *count += 1;
            assert!(producer.put_nowait(*count).is_ok(), "the loop fell behind");
        } else if FUTURE.start() {
            producer.shutdown();
            assert_eq!(FUTURE.finish(true), Ok(true), "the loop watches");
        }
    });
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let (Some(mut core), Some(flag)) = (cortex_m::Peripherals::take(), FLAGS.flag(Token(0))) else { panic!() };
    let (producer, numbers) = QUEUE.init(FromInterrupt::new()).split(flag);
    critical_section::with(|cs| PRODUCER.borrow(cs).replace(Some((producer, 0))));
    assert!(FUTURE.watch());
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(16_000);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();

    let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
    let Ok(task) = executor.pool.submit(Sum { numbers, sum: 0 }) else { panic!() };
    let sum = loop {
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        if let Ok(sum) = executor.pool.result(task) {
            break sum;
        }
        cortex_m::interrupt::disable();
        if !FLAGS.any() {
            cortex_m::asm::wfi();
        }
        // SAFETY: they were enabled before.
        unsafe { cortex_m::interrupt::enable() };
    };
    assert_eq!(sum, TICKS * (TICKS + 1) / 2);
    assert_eq!(FUTURE.state(), State::Done);
    assert!(executor.counts().polls > TICKS / 2, "it slept, and was woken");
    // And what stands on spin's locks and on checksums links, too.
    let config = Config { reliable: true, reorder: 256, key: Some(b"tide"), ..Config::new(Carrier::Line) };
    const MEMORY: usize = Config::new(Carrier::Line).memory(1) + 256;
    let mut end = Endpoint::<_, 1, 1, _>::reliable(config, [0; MEMORY]);
    assert!(end.as_mut().is_ok_and(|end| !end.link().poll_output(EPOCH).is_empty()));
    hprintln!("{} interrupts, {} polls", TICKS, executor.counts().polls);
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
