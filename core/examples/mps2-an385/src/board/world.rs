//! The loop: turn, move frames, and sleep until something is due or an interrupt comes.

use super::network::{self, Net, NetMemory};
use super::uart::Port;
use super::{Psram, SysTick, boots};
use crate::lan9118;
use core::convert::Infallible;
use tidemill_core::executor::{Program, World};
use tidemill_core::net::Token;
use tidemill_core::task::Wake;
use tidemill_core::time::{Clock, Instant};
use tidemill_core::wake::{Flag, WakeFlags};

/// What interrupts set to have something looked at. The flags of tasks are those of their slots.
pub static FLAGS: WakeFlags<1> = WakeFlags::new();

/// UART 0 has something to read, or room again: the last flag, beyond the slots of any pool here.
pub static UART: Flag<'static> = FLAGS.flag(Token(31)).unwrap();

/// Who is woken as a whole, and has no tasks that a flag could name.
pub struct Deaf;

impl Wake for Deaf {
    fn wake(&mut self, _: Token) {}
}

/// The board, with a network of `N` sockets.
pub struct Board<const N: usize> {
    clock: SysTick,
    net: Net<N>,
}

impl<const N: usize> Board<N> {
    /// Starts clock and network, and hands out what else there is. `None` the second time.
    ///
    /// # Errors
    /// There is no network.
    pub fn start<const RX: usize, const TX: usize>(
        memory: &'static mut NetMemory<N, RX, TX>,
    ) -> Option<Result<(Self, Port, Psram), lan9118::Error>> {
        let core = cortex_m::Peripherals::take()?;
        boots::count();
        let clock = SysTick::start(core.SYST);
        // SAFETY: the processor's peripherals are taken once.
        #[allow(unsafe_code)]
        let psram = unsafe { Psram::new() };
        Some(network::start(memory, clock).map(|net| (Self { clock, net }, Port(()), psram)))
    }

    /// The clock.
    pub fn clock(&self) -> SysTick {
        self.clock
    }

    /// Turns the program and sleeps, over and over, until `done` gives something.
    pub fn run<P: Program<Net<N>>, R>(&mut self, program: &mut P, mut done: impl FnMut(&mut P) -> Option<R>) -> R {
        let mut next = Some(self.clock.now());
        loop {
            // Waiting cannot fail here.
            let _ = self.wait(next);
            next = program.turn(self.clock.now(), &mut self.net);
            if let Some(result) = done(program) {
                return result;
            }
        }
    }

    /// Sleeps until `until`, a frame, or another interrupt.
    fn sleep(&self, until: Option<Instant>) {
        network::listen(&self.net);
        // An interrupt that comes from here on is pending, so that the processor does not sleep over it.
        cortex_m::interrupt::disable();
        let due = until.is_some_and(|until| until <= self.clock.now());
        if !due && !FLAGS.any() && !self.net.device().has_frame() {
            cortex_m::asm::wfi();
        }
        // SAFETY: they were enabled, and nothing here relies on their being off.
        #[allow(unsafe_code)]
        unsafe {
            cortex_m::interrupt::enable();
        }
    }
}

impl<const N: usize> Clock for Board<N> {
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<const N: usize> World for Board<N> {
    type Net = Net<N>;
    type Error = Infallible;

    fn net(&mut self) -> &mut Net<N> {
        &mut self.net
    }

    fn wake(&mut self, tasks: &mut impl Wake) {
        FLAGS.wake(tasks);
    }

    fn wait(&mut self, until: Option<Instant>) -> Result<(), Infallible> {
        loop {
            let now = self.clock.now();
            self.net.poll(now);
            if self.net.has_ready() || FLAGS.any() || until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            let stack = self.net.next_deadline(now);
            self.sleep(until.into_iter().chain(stack).min());
        }
    }
}
