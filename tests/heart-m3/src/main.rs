//! Counts instructions: of each operation of the heart, and of the same in its peers.
//!
//! `tests/heart` runs this image in QEMU, where an instruction takes 64 ns of virtual time, and prints what it says as a
//! table. A line is `what whose entries mean worst`, in instructions, mean in tenths.
#![no_std]
#![no_main]

mod arena;
mod draw;
mod frame;
mod meter;
mod pool;
mod queue;
mod sched;
mod timer;

use cortex_m_semihosting::debug;
use meter::Meter;

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut meter = Meter::new();
    pool::measure(&mut meter);
    timer::measure(&mut meter);
    sched::measure(&mut meter);
    queue::measure(&mut meter);
    frame::measure(&mut meter);
    meter.print();
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m_semihosting::hprintln!("{}", info);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}
