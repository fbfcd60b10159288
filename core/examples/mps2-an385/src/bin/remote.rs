//! Remote tasks: a host submits them by name over UART 0, and gets their results as futures.
//!
//! `cargo run --release --bin remote -- -serial unix:/tmp/uart,server=on,wait=off`, and on the host
//! `tidemill_host::remote`.
#![no_std]
#![no_main]

use mps2_an385::board::exit::exit;
use mps2_an385::board::{Board, FLAGS, Net, NetMemory, Timer, TimerMemory, Uart, UartMemory, boots};
use mps2_an385::jobs::{Job, Jobs};
use mps2_an385::remote::Remote;
use static_cell::{ConstStaticCell, StaticCell};
use tidemill_core::executor::Program;
use tidemill_core::net::Token;
use tidemill_core::time::{Clock as _, Duration, Instant};
use tidemill_core::timer::{Missed, Slot, TimerWheel};

/// As many tasks as may run at once, and one that listens to the timer.
const TASKS: usize = 16;

static NET: ConstStaticCell<NetMemory<1, 1024, 512>> = ConstStaticCell::new(NetMemory::EMPTY);
static UART: ConstStaticCell<UartMemory> = ConstStaticCell::new(UartMemory::new());
static TIMER: ConstStaticCell<TimerMemory> = ConstStaticCell::new(TimerMemory::new());
static BOARD: StaticCell<Board<1>> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

struct App {
    remote: Remote<Uart>,
    jobs: Jobs<TASKS>,
    timer: Timer,
    /// A line in the log, now and then.
    wheel: TimerWheel<(), [Slot<()>; 1]>,
}

impl Program<Net<1>> for App {
    fn turn(&mut self, now: Instant, net: &mut Net<1>) -> Option<Instant> {
        FLAGS.wake(&mut self.jobs);
        self.jobs.beats.lost = self.timer.lost();
        let next = self.jobs.turn(now, net, &mut self.remote);
        while self.wheel.expire(now).is_some() {
            #[cfg(feature = "defmt")]
            defmt::info!("{} answered, at most {} at once", self.jobs.answered(), self.jobs.live_max());
        }
        next.into_iter().chain(self.wheel.next_deadline()).min()
    }
}

/// What it takes of the stack is free again afterwards.
#[inline(never)]
fn start() -> Option<(&'static mut Board<1>, &'static mut App)> {
    let (board, uart, _) = Board::start(NET.take())?.ok()?;
    let board = BOARD.init(board);
    // The first task of a pool has its first slot.
    let (timer, beats) = Timer::start(TIMER.take(), FLAGS.flag(Token(0))?, Duration::from_millis(10), board.clock());
    let app = APP.init_with(|| App {
        remote: Remote::new(uart.open(UART.take()), boots()),
        jobs: Jobs::new(),
        timer,
        wheel: TimerWheel::new([const { Slot::EMPTY }; 1]),
    });
    app.jobs.spawn(Job::Listen(beats));
    // There is a slot, and a second is a good period.
    let _ = app.wheel.start_periodic(board.now(), Duration::from_secs(1), Missed::Skip, ());
    #[cfg(feature = "defmt")]
    defmt::info!("boot {}: {} tasks at once", boots(), TASKS);
    Some((board, app))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, app)) = start() else { exit(false) };
    board.run(app, |_| None)
}
