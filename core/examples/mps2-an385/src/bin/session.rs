//! A client session over HTTP, with cookies and redirects, asked for by a host over UART 0.
//!
//! `cargo run --release --bin session -- -serial unix:/tmp/uart,server=on,wait=off`
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{Board, Deaf, FLAGS, Net, NetMemory, Uart, UartMemory, boots};
use mps2_an385::remote::Remote;
use mps2_an385::session::Session;
use static_cell::{ConstStaticCell, StaticCell};
use tidemill_core::executor::Program;
use tidemill_core::time::Instant;

/// One connection at a time, and one that is parting.
const SOCKETS: usize = 2;

static NET: ConstStaticCell<NetMemory<SOCKETS, 2048, 768>> = ConstStaticCell::new(NetMemory::EMPTY);
static UART: ConstStaticCell<UartMemory> = ConstStaticCell::new(UartMemory::new());
static BOARD: StaticCell<Board<SOCKETS>> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

struct App(Session<Uart>);

impl Program<Net<SOCKETS>> for App {
    fn turn(&mut self, now: Instant, net: &mut Net<SOCKETS>) -> Option<Instant> {
        FLAGS.wake(&mut Deaf);
        self.0.turn(now, net)
    }
}

/// What it takes of the stack is free again afterwards.
#[inline(never)]
fn start() -> Option<(&'static mut Board<SOCKETS>, &'static mut App)> {
    let (board, uart, _) = Board::start(NET.take())?.ok()?;
    let app = APP.init_with(|| App(Session::new(Remote::new(uart.open(UART.take()), boots()))));
    #[cfg(feature = "defmt")]
    defmt::info!("boot {}", boots());
    Some((BOARD.init(board), app))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, app)) = start() else { exit(false) };
    board.run(app, |_| None)
}
