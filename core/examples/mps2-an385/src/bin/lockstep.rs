//! The board in a simulated world: downloads the URL that it is given until it is there. Not by hand, but by
//! `tests/tests/firmware_in_the_loop.rs`.
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{NetMemory, lockstep};
use mps2_an385::mirror::{CONNECTIONS, Mirror, RX, TX};
use static_cell::ConstStaticCell;
use tidemill_core::net::lockstep::Frames;

static NET: ConstStaticCell<NetMemory<CONNECTIONS, RX, TX>> = ConstStaticCell::new(NetMemory::EMPTY);
static FRAMES: ConstStaticCell<Frames> = ConstStaticCell::new(Frames::EMPTY);

#[cortex_m_rt::entry]
fn main() -> ! {
    let end = lockstep::run(NET.take(), FRAMES.take(), |boot, memory| Mirror::new(&boot.argument, boot.seed, memory));
    exit(matches!(end, Some(Ok(()))))
}
