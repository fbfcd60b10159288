//! An HTTP server: how the board is, at `/` for people and at `/metrics` for Prometheus.
//!
//! `cargo run --release --bin serve -- -nic user,model=lan9118,hostfwd=tcp:127.0.0.1:8080-:80`
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{Board, Deaf, FLAGS, Net, NetMemory, boots, stack};
use mps2_an385::pages::{Page, Pages};
use static_cell::{ConstStaticCell, StaticCell};
use tidemill_core::executor::{Program, World as _};
use tidemill_core::http::serve::{Connection, Desk, Files, Limits, Server, server};
use tidemill_core::pool::Slot;
use tidemill_core::time::{EPOCH, Instant};

/// Connections, and sockets: those that are parting and those that wait for a peer need one, too.
const CONNECTIONS: usize = 3;
const SOCKETS: usize = 6;
const BACKLOG: usize = 3;
/// The longest head of a request.
const HEAD_MAX: usize = 640;

static NET: ConstStaticCell<NetMemory<SOCKETS, 1460, 1460>> = ConstStaticCell::new(NetMemory::EMPTY);
static SLOTS: ConstStaticCell<heapless::Vec<Place, CONNECTIONS>> = ConstStaticCell::new(heapless::Vec::new());
/// Where requests are answered, so many at once.
static DESKS: ConstStaticCell<heapless::Vec<Desk<HEAD_MAX>, 2>> = ConstStaticCell::new(heapless::Vec::new());
/// The memory in which an answer is put together.
static SCRATCH: ConstStaticCell<[u8; 1460]> = ConstStaticCell::new([0; 1460]);
static BOARD: StaticCell<Board<SOCKETS>> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

type Place = Slot<Connection<Page>>;
type Desks = &'static mut [Desk<HEAD_MAX>];

struct App {
    server: Server<Pages, &'static mut [Place], &'static mut [u8], Desks, Page, HEAD_MAX>,
    connections_max: usize,
}

impl Program<Net<SOCKETS>> for App {
    fn turn(&mut self, now: Instant, net: &mut Net<SOCKETS>) -> Option<Instant> {
        FLAGS.wake(&mut Deaf);
        let connections = self.server.connections();
        self.connections_max = self.connections_max.max(connections);
        let pages = self.server.service().content();
        let due = pages.turn(now);
        let counters = net.device_mut().counters();
        let facts = &mut pages.facts;
        facts.uptime_us = (now - EPOCH).as_ticks();
        facts.frames = [counters.received, counters.sent, counters.receive_errors, counters.dropped];
        facts.connections = [connections, self.connections_max];
        if core::mem::take(&mut pages.log_due) {
            // What takes a while to find out is found out with the line in the log.
            facts.link_up = net.device().link_up() == Ok(true);
            facts.stack_max = stack::used_max();
            #[cfg(feature = "defmt")]
            defmt::info!(
                "{} requests, link up {}, stack {=usize}",
                pages.answered(),
                pages.facts.link_up,
                pages.facts.stack_max
            );
        }
        let next = self.server.turn(now, net);
        next.into_iter().chain(due).min()
    }
}

/// What it takes of the stack is free again afterwards.
#[inline(never)]
fn start() -> Option<(&'static mut Board<SOCKETS>, &'static mut App)> {
    let (board, ..) = Board::start(NET.take())?.ok()?;
    let board = BOARD.init(board);
    let slots = SLOTS.take();
    while slots.push(Slot::EMPTY).is_ok() {}
    let desks = DESKS.take();
    while desks.push(Desk::EMPTY).is_ok() {}
    let files = Files::new(Pages::new(), &mut SCRATCH.take()[..], &mut desks[..], Limits::default());
    let server = server(files, &mut slots[..]);
    let app = APP.init(App { server, connections_max: 0 });
    app.server.service().content().facts.boots = boots();
    app.server.service().content().facts.link_up = board.net().device().link_up() == Ok(true);
    let listening = app.server.listen(board.net(), ([0, 0, 0, 0], 80).into(), BACKLOG);
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
