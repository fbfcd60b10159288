//! The SMSC LAN9118 Ethernet controller (and the LAN9220 of real boards) behind smoltcp's `Device`.
//!
//! The chip has two FIFOs of words, one for each direction, each with a FIFO of status words beside it. Frames are copied by the
//! processor, one at a time, through a buffer for each direction; nothing waits here but [`Lan9118::new`], and that has a
//! bound.
//!
//! It is written against [`Registers`], so that it runs over a model of the chip in a test. Section numbers are those of
//! the LAN9118's data sheet (SMSC, revision 1.5).
//!
//! What QEMU's model of it does not do, and what follows:
//! - A frame that finds its FIFO (10,560 bytes: six full frames) full is lost, and nobody is told. So the receive
//!   windows of all sockets together must not be more than [`WINDOW_MAX`].
//! - Fast-forward (`RX_DP_CTRL`) gives no room back. So a damaged frame is read out as a good one is.
//! - The receive interrupt tells of arrivals, not of what is there. So whoever sleeps asks [`Lan9118::has_frame`] first.

mod filter;
mod registers;
#[cfg(test)]
mod tests;

pub use filter::Filter;
pub use registers::Registers;

use registers as reg;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Bytes of TCP windows, over all sockets, that cannot overrun the chip's FIFO.
pub const WINDOW_MAX: usize = 6 * 1460;

/// The longest Ethernet frame, without its checksum.
const FRAME_MAX: usize = 1514;

/// A frame's checksum, which the chip leaves at its end.
const FCS_LEN: usize = 4;

/// Room for the longest frame and its checksum, in whole words.
const BUFFER: usize = (FRAME_MAX + FCS_LEN).next_multiple_of(4);

/// Bytes in the transmit FIFO for the longest frame: its words, and two of commands.
const TX_ROOM: u32 = BUFFER as u32 + 8;

/// How often a bit is looked at that the chip is about to change: many times what the data sheet says.
const PATIENCE: u32 = 1_000_000;

/// Why there is no controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The test register reads wrong: no chip, or the bus is set up wrongly.
    NoChip,
    /// It is another chip: its `ID_REV`.
    Unknown(u32),
    /// The chip did not come back from its reset, or a register of its MAC or PHY does not answer.
    Stuck,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoChip => "no Ethernet controller",
            Self::Unknown(_) => "another Ethernet controller",
            Self::Stuck => "the Ethernet controller does not answer",
        })
    }
}

impl core::error::Error for Error {}

/// What has passed, and what has not. All wrap.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Frames handed to the stack.
    pub received: u32,
    /// Frames that arrived damaged, too long or too short.
    pub receive_errors: u32,
    /// Frames that found the FIFO full, as far as the chip counts them (QEMU's does not).
    pub dropped: u32,
    /// Frames given to the chip.
    pub sent: u32,
    /// Of those, frames that it could not send.
    pub send_errors: u32,
}

/// Room for a frame in each direction.
pub struct Buffers {
    rx: [u8; BUFFER],
    tx: [u8; BUFFER],
}

impl Buffers {
    /// No frame is in them.
    pub const EMPTY: Self = Self { rx: [0; BUFFER], tx: [0; BUFFER] };
}

/// The controller.
pub struct Lan9118<'b, R> {
    regs: R,
    counters: Counters,
    buffers: &'b mut Buffers,
}

impl<'b, R: Registers> Lan9118<'b, R> {
    /// Resets the chip, sets it up for `mac`, and lets frames pass. Interrupts are as [`listen`](Self::listen) leaves them.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(regs: R, buffers: &'b mut Buffers, mac: [u8; 6], filter: &Filter<'_>) -> Result<Self, Error> {
        // A chip that sleeps is woken by any write to this register (3.10).
        regs.write(reg::BYTE_TEST, 0);
        until(|| regs.read(reg::PMT_CTRL) & reg::PMT_READY != 0)?;
        if regs.read(reg::BYTE_TEST) != reg::BYTE_TEST_VALUE {
            return Err(Error::NoChip);
        }
        let id = regs.read(reg::ID_REV);
        if !reg::CHIPS.contains(&(id >> 16)) {
            return Err(Error::Unknown(id));
        }
        regs.write(reg::HW_CFG, reg::HW_SRST);
        until(|| regs.read(reg::HW_CFG) & reg::HW_SRST == 0)?;

        regs.write(reg::HW_CFG, reg::HW_MBO | reg::HW_TX_5K);
        regs.write(reg::INT_EN, 0);
        regs.write(reg::INT_STS, u32::MAX);
        // Push-pull, active high: QEMU's line is active until this is written.
        regs.write(reg::IRQ_CFG, reg::IRQ_EN | reg::IRQ_POL | reg::IRQ_TYPE);
        // An interrupt when more than 0 frames are there.
        regs.write(reg::FIFO_INT, 0);
        regs.write(reg::RX_CFG, 0);
        regs.write(reg::TX_CFG, reg::TX_ON);

        let driver = Self { regs, counters: Counters::default(), buffers };
        let [a, b, c, d, e, f] = mac;
        driver.write_mac(reg::MAC_ADDRL, u32::from_le_bytes([a, b, c, d]))?;
        driver.write_mac(reg::MAC_ADDRH, u32::from_le_bytes([e, f, 0, 0]))?;
        driver.write_phy(reg::PHY_CONTROL, reg::PHY_NEGOTIATE)?;
        driver.set_filter(filter)?;
        Ok(driver)
    }

    /// Which frames to others than this MAC are taken in. The chip must be there: any time.
    ///
    /// # Errors
    /// [`Error::Stuck`].
    pub fn set_filter(&self, filter: &Filter<'_>) -> Result<(), Error> {
        let [low, high] = filter.hash();
        self.write_mac(reg::MAC_HASHL, low)?;
        self.write_mac(reg::MAC_HASHH, high)?;
        // Written whole: after a reset every frame passes.
        self.write_mac(reg::MAC_CR, reg::MAC_FDPX | reg::MAC_TXEN | reg::MAC_RXEN | filter.bits())
    }

    /// Whether there is a link to the other end of the cable.
    ///
    /// # Errors
    /// [`Error::Stuck`].
    pub fn link_up(&self) -> Result<bool, Error> {
        // A link that was lost meanwhile is told once: the second look is at now.
        self.read_phy(reg::PHY_STATUS)?;
        Ok(self.read_phy(reg::PHY_STATUS)? & reg::PHY_LINK != 0)
    }

    /// What has passed.
    pub fn counters(&mut self) -> Counters {
        // Reading takes them off the chip's counter.
        self.counters.dropped = self.counters.dropped.wrapping_add(self.regs.read(reg::RX_DROP));
        self.counters
    }

    /// Whether a frame waits to be received.
    pub fn has_frame(&self) -> bool {
        frames(self.regs) > 0
    }

    /// Asks for an interrupt when a frame arrives. Frames that are there already ask for none: see
    /// [`has_frame`](Self::has_frame), afterwards.
    pub fn listen(&self) {
        self.regs.write(reg::INT_STS, reg::INT_RSFL);
        self.regs.write(reg::INT_EN, reg::INT_RSFL);
    }

    fn mac(&self, command: u32) -> Result<(), Error> {
        until(|| self.regs.read(reg::MAC_CSR_CMD) & reg::CSR_BUSY == 0)?;
        self.regs.write(reg::MAC_CSR_CMD, reg::CSR_BUSY | command);
        until(|| self.regs.read(reg::MAC_CSR_CMD) & reg::CSR_BUSY == 0)
    }

    fn write_mac(&self, register: u32, value: u32) -> Result<(), Error> {
        self.regs.write(reg::MAC_CSR_DATA, value);
        self.mac(register)
    }

    fn read_mac(&self, register: u32) -> Result<u32, Error> {
        self.mac(reg::CSR_READ | register)?;
        Ok(self.regs.read(reg::MAC_CSR_DATA))
    }

    fn phy(&self, access: u32) -> Result<(), Error> {
        self.write_mac(reg::MAC_MII_ACC, reg::MII_PHY | access | reg::MII_BUSY)?;
        for _ in 0..PATIENCE {
            if self.read_mac(reg::MAC_MII_ACC)? & reg::MII_BUSY == 0 {
                return Ok(());
            }
        }
        Err(Error::Stuck)
    }

    fn read_phy(&self, register: u32) -> Result<u32, Error> {
        self.phy(register << 6)?;
        self.read_mac(reg::MAC_MII_DATA)
    }

    fn write_phy(&self, register: u32, value: u32) -> Result<(), Error> {
        self.write_mac(reg::MAC_MII_DATA, value)?;
        self.phy(register << 6 | reg::MII_WRITE)
    }

    /// Takes the next good frame into the buffer; its length.
    fn take(&mut self) -> Option<usize> {
        while frames(self.regs) > 0 {
            let status = self.regs.read(reg::RX_STATUS);
            let len = (status >> 16 & 0x3FFF) as usize;
            let words = len.div_ceil(4);
            let (places, _) = self.buffers.rx.as_chunks_mut();
            // Every byte that comes passes here: nothing but the register and the place.
            for place in places.iter_mut().take(words) {
                *place = self.regs.read(reg::RX_DATA).to_le_bytes();
            }
            // What is longer than a frame can be is damaged, and only taken out.
            for _ in places.len()..words {
                self.regs.read(reg::RX_DATA);
            }
            if status & reg::RX_ERROR == 0 && (FCS_LEN..=FRAME_MAX + FCS_LEN).contains(&len) {
                self.counters.received = self.counters.received.wrapping_add(1);
                return Some(len - FCS_LEN);
            }
            self.counters.receive_errors = self.counters.receive_errors.wrapping_add(1);
        }
        None
    }

    /// Whether a frame can be sent. Takes off what the chip says of those before: it stops when nobody does.
    fn can_send(&mut self) -> bool {
        let state = self.regs.read(reg::TX_FIFO_INF);
        for _ in 0..state >> 16 & 0xFF {
            if self.regs.read(reg::TX_STATUS) & reg::TX_ERROR != 0 {
                self.counters.send_errors = self.counters.send_errors.wrapping_add(1);
            }
        }
        state & 0xFFFF >= TX_ROOM
    }
}

/// How many frames wait.
fn frames<R: Registers>(regs: R) -> u32 {
    regs.read(reg::RX_FIFO_INF) >> 16 & 0xFF
}

fn until(mut done: impl FnMut() -> bool) -> Result<(), Error> {
    if (0..PATIENCE).any(|_| done()) { Ok(()) } else { Err(Error::Stuck) }
}

/// A frame that was received.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<T, F: FnOnce(&[u8]) -> T>(self, f: F) -> T {
        f(self.0)
    }
}

/// Room for a frame to be sent.
pub struct Room<'a, R> {
    regs: R,
    buffer: &'a mut [u8; BUFFER],
    sent: &'a mut u32,
}

impl<R: Registers> TxToken for Room<'_, R> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, len: usize, f: F) -> T {
        // smoltcp keeps to the device's capabilities.
        let len = len.min(FRAME_MAX);
        let result = f(&mut self.buffer[..len]);
        let len32 = len as u32;
        self.regs.write(reg::TX_DATA, reg::TX_FIRST | reg::TX_LAST | len32);
        self.regs.write(reg::TX_DATA, (*self.sent & 0xFFFF) << 16 | len32);
        let (words, _) = self.buffer.as_chunks();
        for word in &words[..len.div_ceil(4)] {
            self.regs.write(reg::TX_DATA, u32::from_le_bytes(*word));
        }
        *self.sent = self.sent.wrapping_add(1);
        result
    }
}

impl<R: Registers> Device for Lan9118<'_, R> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Room<'a, R>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Room<'_, R>)> {
        // What is received may have to be answered.
        if !self.can_send() {
            return None;
        }
        let len = self.take()?;
        let Self { regs, counters, buffers: Buffers { rx, tx } } = self;
        Some((Received(rx.get(..len)?), Room { regs: *regs, buffer: tx, sent: &mut counters.sent }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_, R>> {
        if !self.can_send() {
            return None;
        }
        Some(Room { regs: self.regs, buffer: &mut self.buffers.tx, sent: &mut self.counters.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = FRAME_MAX;
        caps
    }
}
