//! The board as a host of a simulated world: its time comes over its Ethernet, and its own timers are left alone.

use super::super::psram::Psram;
use super::super::vectors::Irq;
use super::{IRQ, Lan, NetMemory};
use crate::lan9118::{Error, Filter, Lan9118, WINDOW_MAX};
use cortex_m::peripheral::NVIC;
use smoltcp::iface::{SocketSet, SocketStorage};
use tidemill_core::executor::Program;
use tidemill_core::net::lockstep::{self, Boot, Frames, Lockstep, Tells};
use tidemill_core::net::smoltcp::{Config, Smoltcp, SocketBuffer};

/// The stack, with `N` sockets.
pub type Net<const N: usize> = Smoltcp<'static, Lockstep<'static, Lan9118<'static, Lan>>, N>;

/// Before it is told who it is.
const NOBODY: [u8; 6] = [0x02, 0, 0, 0, 0, 0];

/// Waits until it is told who it is, has `make` make the program for that and for the slow memory, and runs it whenever it is
/// granted the time. `None` the second time.
///
/// # Errors
/// There is no network.
pub fn run<P: Program<Net<N>> + Tells, const N: usize, const RX: usize, const TX: usize>(
    memory: &'static mut NetMemory<N, RX, TX>,
    frames: &'static mut Frames,
    make: impl FnOnce(&Boot, &'static mut [u8]) -> P,
) -> Option<Result<(), Error>> {
    cortex_m::Peripherals::take()?;
    // Nothing interrupts: an interrupt that is pending ends a sleep all the same.
    cortex_m::interrupt::disable();
    // SAFETY: no handler will run.
    #[allow(unsafe_code)]
    unsafe {
        NVIC::unmask(Irq(IRQ));
    }
    // SAFETY: the processor's peripherals are taken once.
    #[allow(unsafe_code)]
    let psram = unsafe { Psram::new() };
    Some(serve(memory, frames, |boot| make(boot, psram.into_bytes())))
}

fn serve<P: Program<Net<N>> + Tells, const N: usize, const RX: usize, const TX: usize>(
    memory: &'static mut NetMemory<N, RX, TX>,
    frames: &'static mut Frames,
    make: impl FnOnce(&Boot) -> P,
) -> Result<(), Error> {
    const { assert!(N * RX <= WINDOW_MAX, "more than the controller's FIFO holds could be on its way") };
    let NetMemory { table, buffers, frames: passing } = memory;
    let mut lan = Lan9118::new(Lan(()), passing, NOBODY, &Filter::Own)?;
    let Some(boot) = lockstep::hello(&mut lan, idle) else { return Ok(()) };
    let lan = Lan9118::new(Lan(()), passing, boot.mac, &Filter::Own)?;
    // Every address is a neighbour's: who reaches whom is for the world's links to say.
    let addrs = [(boot.address.into(), 0)];
    let config = Config { mac: boot.mac, addrs: &addrs, seed: boot.seed, ..Config::default() };
    table.extend([SocketStorage::EMPTY; N]);
    let mut places = table.iter_mut();
    let sets = core::array::from_fn(|_| SocketSet::new(places.next().map_or(&mut [][..], core::slice::from_mut)));
    let buffers = buffers.each_mut().map(|(rx, tx)| (SocketBuffer::new(&mut rx[..]), SocketBuffer::new(&mut tx[..])));
    let mut net = Smoltcp::new(Lockstep::new(lan, frames), &config, sets, buffers).map_err(|_| Error::Stuck)?;
    lockstep::run(&mut net, &mut make(&boot), idle);
    Ok(())
}

/// Sleeps until a frame arrives.
fn idle(lan: &mut Lan9118<'_, Lan>) -> bool {
    lan.listen();
    NVIC::unpend(Irq(IRQ));
    // One that has arrived before asks for no interrupt.
    if !lan.has_frame() {
        cortex_m::asm::wfi();
    }
    true
}
