//! The Ethernet controller's registers, and core's stack over it.

pub mod lockstep;

use super::mmio::Mmio;
use super::vectors::Irq;
use super::{SysTick, boots};
use crate::lan9118::{self, Buffers, Filter, Lan9118, Registers, WINDOW_MAX};
use core::net::{IpAddr, Ipv4Addr};
use cortex_m::peripheral::NVIC;
use smoltcp::iface::{SocketSet, SocketStorage};
use tidemill_core::net::smoltcp::{Config, Smoltcp, SocketBuffer};
use tidemill_core::random::mix;
use tidemill_core::time::Clock;

pub(super) const IRQ: u16 = 13;

/// Where QEMU's user network expects a guest, and its router.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x15];

/// The board's registers of the controller.
#[derive(Clone, Copy)]
pub struct Lan(());

// SAFETY: the controller is there, and whoever has a `Lan` is who drives it.
#[allow(unsafe_code)]
const REGS: Mmio = unsafe { Mmio::new(0x4020_0000) };

impl Registers for Lan {
    fn read(self, offset: u32) -> u32 {
        REGS.read(offset)
    }

    fn write(self, offset: u32, value: u32) {
        REGS.write(offset, value);
    }
}

/// The stack, with `N` sockets.
pub type Net<const N: usize> = Smoltcp<'static, Lan9118<'static, Lan>, N>;

/// The memory of a stack: `N` sockets that receive into `RX` bytes and send from `TX`.
pub struct NetMemory<const N: usize, const RX: usize, const TX: usize> {
    // An empty socket is not all zeros; in here it would have the buffers, too, take flash.
    table: heapless::Vec<SocketStorage<'static>, N>,
    buffers: [([u8; RX], [u8; TX]); N],
    frames: Buffers,
}

impl<const N: usize, const RX: usize, const TX: usize> NetMemory<N, RX, TX> {
    /// Nothing in it yet.
    pub const EMPTY: Self =
        Self { table: heapless::Vec::new(), buffers: [([0; RX], [0; TX]); N], frames: Buffers::EMPTY };
}

/// Starts the controller and a stack over it.
pub(super) fn start<const N: usize, const RX: usize, const TX: usize>(
    memory: &'static mut NetMemory<N, RX, TX>,
    clock: SysTick,
) -> Result<Net<N>, lan9118::Error> {
    const { assert!(N * RX <= WINDOW_MAX, "more than the controller's FIFO holds could be on its way") };
    let device = Lan9118::new(Lan(()), &mut memory.frames, MAC, &Filter::Own)?;
    let config = Config {
        mac: MAC,
        addrs: &[(IpAddr::V4(ADDRESS), 24)],
        gateways: &[IpAddr::V4(ROUTER)],
        seed: mix(u64::from(boots()) << 32 ^ clock.now().as_ticks()),
        ..Config::default()
    };
    let buffers =
        memory.buffers.each_mut().map(|(rx, tx)| (SocketBuffer::new(&mut rx[..]), SocketBuffer::new(&mut tx[..])));
    memory.table.extend([SocketStorage::EMPTY; N]);
    let mut places = memory.table.iter_mut();
    // There are as many places as sockets; one without a place would be a set that holds none, and tell of it.
    let table = core::array::from_fn(|_| SocketSet::new(places.next().map_or(&mut [][..], core::slice::from_mut)));
    // The addresses above are unicast, one of each.
    Smoltcp::new(device, &config, table, buffers).map_err(|_| lan9118::Error::Stuck)
}

/// Has an interrupt end the sleep when the next frame arrives. Those that are there already do not: look afterwards.
pub(super) fn listen<const N: usize>(net: &Net<N>) {
    net.device().listen();
    // SAFETY: the handler touches nothing but the interrupt controller.
    #[allow(unsafe_code)]
    unsafe {
        NVIC::unmask(Irq(IRQ));
    }
}

/// A frame has arrived: the sleep is over, and the loop will look until it sleeps again.
pub(super) fn arrived() {
    NVIC::mask(Irq(IRQ));
}
