//! UART 0 (ARM's CMSDK), as `embedded_io`: an interrupt puts what comes into a queue, another takes what goes out from one.
//!
//! The device holds one byte in each direction. A byte that finds the queue full stays in it, with its interrupt off, until
//! the loop has made room: where the other end can wait (QEMU's does), nothing is lost; where it cannot, the device counts an
//! overrun, and frames on a line are made for that.

use super::HZ;
use super::mmio::Mmio;
use super::text::Text;
use super::vectors::Irq;
use super::world::UART;
use core::cell::RefCell;
use core::convert::Infallible;
use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use heapless::spsc;
use tidemill_core::queue::{Consumer, FromInterrupt, Producer};

pub(super) const RX_IRQ: u16 = 0;
pub(super) const TX_IRQ: u16 = 1;

/// Bits per second.
const BAUD: u32 = 115_200;

const DATA: u32 = 0x00;
const STATE: u32 = 0x04;
const CTRL: u32 = 0x08;
const INT: u32 = 0x0C;
const BAUDDIV: u32 = 0x10;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 1 << 1;
const RX_OVERRUN: u32 = 1 << 3;
const ENABLE: u32 = 0b11;
const TX_INTERRUPT: u32 = 1 << 2;
const RX_INTERRUPT: u32 = 1 << 3;
const INT_TX: u32 = 1;
const INT_RX: u32 = 1 << 1;

// SAFETY: the board's UARTs are there.
#[allow(unsafe_code)]
const UARTS: [Mmio; 2] = unsafe { [Mmio::new(0x4000_4000), Mmio::new(0x4000_5000)] };
const REGS: Mmio = UARTS[0];

/// Bytes that either queue holds, and one more.
pub const RING: usize = 1024;

/// The queues' memory.
pub struct UartMemory {
    rx: FromInterrupt<u8, RING>,
    tx: spsc::Queue<u8, RING>,
}

impl UartMemory {
    /// Empty queues.
    #[expect(clippy::new_without_default, reason = "it belongs in a static")]
    pub const fn new() -> Self {
        Self { rx: FromInterrupt::new(), tx: spsc::Queue::new() }
    }
}

/// The interrupts' ends of the queues.
struct Ends {
    rx: Producer<'static, u8>,
    tx: spsc::Consumer<'static, u8>,
    /// A byte is on its way out: an interrupt tells when the next may follow.
    sending: bool,
    /// The loop waits for room.
    wanted: bool,
    overruns: u32,
}

static ENDS: Mutex<RefCell<Option<Ends>>> = Mutex::new(RefCell::new(None));

/// Does something with the interrupts' ends, once the UART has begun.
fn with<R>(act: impl FnOnce(&mut Ends) -> R) -> Option<R> {
    critical_section::with(|cs| ENDS.borrow_ref_mut(cs).as_mut().map(act))
}

/// The loop's end of UART 0.
pub struct Uart {
    rx: Consumer<'static, u8>,
    tx: spsc::Producer<'static, u8>,
}

/// UART 0 before anybody uses it.
pub struct Port(pub(super) ());

impl Port {
    /// Starts it, with its queues there.
    pub fn open(self, memory: &'static mut UartMemory) -> Uart {
        let (to_loop, rx) = memory.rx.split(UART);
        let (tx, from_loop) = memory.tx.split();
        let ends = Ends { rx: to_loop, tx: from_loop, sending: false, wanted: false, overruns: 0 };
        critical_section::with(|cs| ENDS.borrow(cs).replace(Some(ends)));
        enable(REGS, TX_INTERRUPT | RX_INTERRUPT);
        for irq in [RX_IRQ, TX_IRQ] {
            // SAFETY: the handlers share nothing with the loop but what is behind the mutex.
            #[allow(unsafe_code)]
            unsafe {
                NVIC::unmask(Irq(irq));
            }
        }
        Uart { rx, tx }
    }
}

impl Uart {
    /// How many bytes found the device's one place taken.
    pub fn overruns(&self) -> u32 {
        with(|ends| ends.overruns).unwrap_or(0)
    }
}

fn enable(regs: Mmio, interrupts: u32) {
    regs.write(BAUDDIV, HZ / BAUD);
    regs.write(CTRL, ENABLE | interrupts);
}

/// A byte has come.
pub(super) fn received() {
    with(|ends| {
        REGS.write(INT, INT_RX);
        if REGS.read(STATE) & RX_OVERRUN != 0 {
            REGS.write(STATE, RX_OVERRUN);
            ends.overruns = ends.overruns.wrapping_add(1);
        }
        while REGS.read(STATE) & RX_FULL != 0 {
            if ends.rx.full() {
                NVIC::mask(Irq(RX_IRQ));
                return;
            }
            // There is room, and only the loop takes.
            let _ = ends.rx.put_nowait(REGS.read(DATA) as u8);
        }
    });
}

/// A byte has gone.
pub(super) fn sent() {
    with(|ends| {
        REGS.write(INT, INT_TX);
        ends.sending = false;
        send_on(ends);
    });
}

/// Gives the device the next byte, unless it has one.
fn send_on(ends: &mut Ends) {
    if !ends.sending
        && let Some(byte) = ends.tx.dequeue()
    {
        ends.sending = true;
        REGS.write(DATA, byte.into());
        if ends.wanted && ends.tx.len() <= RING / 2 {
            ends.wanted = false;
            UART.set();
        }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Read for Uart {
    /// What is there; never waits, so that it may be nothing.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for place in buf {
            let Ok(byte) = self.rx.get_nowait() else { break };
            *place = byte;
            count += 1;
        }
        if count > 0 {
            // Where the queue was full, the byte that waits asks for its interrupt again.
            // SAFETY: as at the start.
            #[allow(unsafe_code)]
            unsafe {
                NVIC::unmask(Irq(RX_IRQ));
            }
            received();
        }
        Ok(count)
    }
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.rx.empty())
    }
}

impl Write for Uart {
    /// What fits; never waits.
    fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        let count = buf.iter().take_while(|&&byte| self.tx.enqueue(byte).is_ok()).count();
        with(|ends| {
            ends.wanted |= count < buf.len();
            send_on(ends);
        });
        Ok(count)
    }

    /// Nothing to do: what was taken goes out by itself.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        let ready = self.tx.ready();
        if !ready {
            with(|ends| ends.wanted = true);
        }
        Ok(ready)
    }
}

/// Bytes straight to a UART, for who cannot wait for an interrupt. Bounded: where nobody takes a byte, it is dropped.
pub(super) struct Direct(Mmio);

impl Direct {
    /// UART 1.
    #[cfg(feature = "defmt")]
    pub(super) const LOG: Self = Self(UARTS[1]);

    pub(super) fn begin(self) -> Self {
        if self.0.read(CTRL) & ENABLE != ENABLE {
            enable(self.0, 0);
        }
        self
    }

    pub(super) fn put(&self, byte: u8) {
        for _ in 0..100_000 {
            if self.0.read(STATE) & TX_FULL == 0 {
                return self.0.write(DATA, byte.into());
            }
        }
    }
}

/// Text for a person, on UART 0.
pub(super) fn text() -> Text<impl FnMut(&[u8])> {
    let uart = Direct(REGS).begin();
    Text::new(move |bytes| bytes.iter().for_each(|&byte| uart.put(byte)))
}
