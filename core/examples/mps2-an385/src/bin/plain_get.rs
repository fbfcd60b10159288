//! The least that downloads: one GET, as a task in a pool, its length and checksum said through semihosting.
//!
//! `cargo run --release --bin plain_get --no-default-features -- -append http://10.0.2.2:8000/file`
#![no_std]
#![no_main]

use cortex_m_semihosting::hio;
use mps2_an385::board::exit::{command_line, exit};
use mps2_an385::board::text::Text;
use mps2_an385::board::{Board, Net, NetMemory, stack};
use mps2_an385::get::{Error, Get, PATIENCE, Receive};
use static_cell::ConstStaticCell;
use tidemill_core::executor::Executor;
use tidemill_core::frame::crc;
use tidemill_core::http::client::Head;
use tidemill_core::pool::{Failure, Slot};
use tidemill_core::time::Clock as _;

static NET: ConstStaticCell<NetMemory<1, 6144, 640>> = ConstStaticCell::new(NetMemory::EMPTY);

/// Counts, and sums up.
#[derive(Default)]
struct Sum {
    len: u32,
    crc: u32,
}

impl Receive for &mut Sum {
    fn head(&mut self, _: &Head<'_>) {}

    fn body(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u32;
        self.crc = crc::small(self.crc, bytes);
    }
}

type Task<'s> = Get<&'s mut Sum>;

fn get(board: &mut Board<1>, url: &str, sum: &mut Sum) -> Result<u16, Failure<Error>> {
    let get = Get::new(url, b"", board.now() + PATIENCE, sum).map_err(Failure::Failed)?;
    let mut executor = Executor::<Task<'_>, [_; 1], u16, Error>::new([Slot::default()]);
    let id = executor.pool.submit(get).map_err(|_| Failure::Cancelled)?;
    // Neither a pool with a slot nor the board can fail here.
    let _ = executor.run::<_, ()>(board, &mut ());
    executor.pool.result(id).map_err(|error| match error {
        nb::Error::Other(failure) => failure,
        nb::Error::WouldBlock => Failure::Stale,
    })
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut line = [0; 256];
    let (Some(url), Some(Ok((mut board, ..)))) = (command_line(&mut line), Board::start(NET.take())) else {
        exit(false)
    };
    let mut sum = Sum::default();
    let began = board.now();
    let result = get(&mut board, url, &mut sum);
    let us = (board.now() - began).as_ticks();
    if let Ok(mut out) = hio::hstdout() {
        // Whoever does not listen misses it.
        let mut text = Text::new(|bytes| out.write_all(bytes).unwrap_or(()));
        text.number((*result.as_ref().unwrap_or(&0)).into()).text(" ").number(sum.len).text(" ").hex(sum.crc);
        text.text(" ").number(us as u32).text(" us, stack ").number(stack::used_max() as u32).text("\n");
    }
    exit(result == Ok(200))
}

/// The type of the stack, so that its size can be seen.
pub type Stack = Net<1>;
