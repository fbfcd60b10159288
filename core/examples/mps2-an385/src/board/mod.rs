//! The board: MPS2 with the AN385 image, a Cortex-M3 at 25 MHz.
//!
//! | file | its one job |
//! |---|---|
//! | `clock` | time, from SysTick |
//! | `uart` | UART 0, as `embedded_io` between two queues that its interrupts fill and empty |
//! | `timer` | a periodic interrupt that tells a task when it came |
//! | `network` | the Ethernet controller's registers, and core's stack over it |
//! | `network/lockstep` | the board as a host of a simulated world, whose time is that world's |
//! | `world` | the loop: turn, poll, sleep until something is due or an interrupt comes |
//! | `vectors` | which interrupt goes where |
//! | `psram` | 16 MiB of slow memory, where a download goes |
//! | `fault` | panics and faults, told on UART 0 |
//! | `text` | words and numbers, for a person |
//! | `logger` | defmt, on UART 1 |
//! | `stack` | how much of the stack was used |
//! | `boots` | how often the board has started since it has power |
//! | `exit` | the end, where QEMU runs it |
//!
//! All `unsafe` code of the firmware is in these files, at registers and at statics that have one owner.

mod boots;
mod clock;
pub mod exit;
mod fault;
#[cfg(feature = "defmt")]
mod logger;
mod mmio;
mod network;
mod psram;
pub mod stack;
pub mod text;
mod timer;
mod uart;
mod vectors;
mod world;

pub use boots::boots;
pub use clock::SysTick;
pub use network::{Lan, Net, NetMemory, lockstep};
pub use psram::Psram;
pub use timer::{Beats, Timer, TimerMemory};
pub use uart::{Port, RING, Uart, UartMemory};
pub use world::{Board, Deaf, FLAGS, UART};

/// The processor's clock, in Hz: what it has, and the peripherals run with.
pub const HZ: u32 = 25_000_000;
