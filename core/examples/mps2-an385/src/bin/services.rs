//! Services side by side: echoes and greetings over TCP and UDP, our own and those of drivers over embedded-nal.
//!
//! `cargo run --release --bin services -- -nic user,model=lan9118,hostfwd=tcp:127.0.0.1:4000-:4000`, and then
//! `nc 127.0.0.1 4000`.
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{Board, Deaf, FLAGS, Net, NetMemory, boots, stack};
use mps2_an385::services::{Services, listen, services};
use smoltcp::iface::{SocketSet, SocketStorage};
use static_cell::{ConstStaticCell, StaticCell};
use tidemill_core::executor::{Program, World as _};
use tidemill_core::net::smoltcp::{PacketBuffer, PacketMetadata};
use tidemill_core::time::Instant;

/// Five connections, and two for each of the three listeners to wait for a peer with.
const SOCKETS: usize = 11;
/// How many datagrams may wait, in either direction, and their bytes.
const PACKETS: usize = 4;
const BYTES: usize = 1024;

/// What a socket for datagrams takes.
struct Packets {
    place: [SocketStorage<'static>; 1],
    heads: [[PacketMetadata; PACKETS]; 2],
    bytes: [[u8; BYTES]; 2],
}

impl Packets {
    const EMPTY: Self =
        Self { place: [SocketStorage::EMPTY], heads: [[PacketMetadata::EMPTY; PACKETS]; 2], bytes: [[0; BYTES]; 2] };
}

static NET: ConstStaticCell<NetMemory<SOCKETS, 768, 768>> = ConstStaticCell::new(NetMemory::EMPTY);
static PACKET_SOCKETS: StaticCell<[Packets; 2]> = StaticCell::new();
static BOARD: StaticCell<Board<SOCKETS>> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

struct App {
    services: Services,
    turns: u32,
}

impl Program<Net<SOCKETS>> for App {
    fn turn(&mut self, now: Instant, net: &mut Net<SOCKETS>) -> Option<Instant> {
        FLAGS.wake(&mut Deaf);
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_power_of_two() {
            #[cfg(feature = "defmt")]
            defmt::info!("{} turns, stack {=usize}", self.turns, stack::used_max());
        }
        self.services.turn(now, net)
    }
}

/// What it takes of the stack is free again afterwards.
#[inline(never)]
fn start() -> Option<(&'static mut Board<SOCKETS>, &'static mut App)> {
    let (board, ..) = Board::start(NET.take())?.ok()?;
    let board = BOARD.init(board);
    for Packets { place, heads: [in_heads, out_heads], bytes: [in_bytes, out_bytes] } in
        PACKET_SOCKETS.init_with(|| [const { Packets::EMPTY }; 2])
    {
        let receive = PacketBuffer::new(&mut in_heads[..], &mut in_bytes[..]);
        let send = PacketBuffer::new(&mut out_heads[..], &mut out_bytes[..]);
        board.net().add_datagram_socket(SocketSet::new(&mut place[..]), receive, send).ok()?;
    }
    let app = APP.init_with(|| App { services: services(), turns: 0 });
    let listening = listen(&mut app.services, board.net());
    #[cfg(feature = "defmt")]
    defmt::info!("boot {}: listens: {}", boots(), listening.is_ok());
    listening.ok()?;
    Some((board, app))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, app)) = start() else { exit(false) };
    board.run(app, |_| None)
}
