//! Downloads a URL that a host asks for over UART 0, with progress, and answers with length and checksums.
//!
//! `cargo run --release --bin download -- -serial unix:/tmp/uart,server=on,wait=off`
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{Board, Deaf, FLAGS, Net, NetMemory, Uart, UartMemory, boots};
use mps2_an385::download::{CONNECTIONS, Downloads, Store};
use mps2_an385::remote::Remote;
use static_cell::{ConstStaticCell, StaticCell};
use tidemill_core::executor::Program;
use tidemill_core::time::Instant;

/// The windows of all connections together must not be more than the Ethernet controller holds.
static NET: ConstStaticCell<NetMemory<CONNECTIONS, 2190, 512>> = ConstStaticCell::new(NetMemory::EMPTY);
static UART: ConstStaticCell<UartMemory> = ConstStaticCell::new(UartMemory::new());
static BOARD: StaticCell<Board<CONNECTIONS>> = StaticCell::new();
static STORE: StaticCell<Store> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

struct App {
    downloads: Downloads<Uart>,
    told: u32,
}

impl Program<Net<CONNECTIONS>> for App {
    fn turn(&mut self, now: Instant, net: &mut Net<CONNECTIONS>) -> Option<Instant> {
        FLAGS.wake(&mut Deaf);
        let next = self.downloads.turn(now, net);
        if self.told != self.downloads.done() {
            self.told = self.downloads.done();
            #[cfg(feature = "defmt")]
            defmt::info!("{} downloads, stack {=usize}", self.told, mps2_an385::board::stack::used_max());
        }
        next
    }
}

/// What it takes of the stack is free again afterwards.
#[inline(never)]
fn start() -> Option<(&'static mut Board<CONNECTIONS>, &'static mut App)> {
    let (board, uart, memory) = Board::start(NET.take())?.ok()?;
    let store = STORE.init(Store::new(memory.into_bytes()));
    let app = APP
        .init_with(|| App { downloads: Downloads::new(Remote::new(uart.open(UART.take()), boots()), store), told: 0 });
    Some((BOARD.init(board), app))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, app)) = start() else { exit(false) };
    board.run(app, |_| None)
}
