//! A device that hands out what arrived before a grant, and counts what is sent after it.

use super::control::Control;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;

/// The longest Ethernet frame, without its checksum.
const FRAME_MAX: usize = 1514;

/// How many frames may go before one grant: as many as every controller's memory holds.
pub const FRAMES_MAX: usize = 6;

/// Memory for the frames before one grant.
pub struct Frames {
    bytes: [[u8; FRAME_MAX]; FRAMES_MAX],
    lens: [usize; FRAMES_MAX],
}

impl Frames {
    /// Nothing in it.
    pub const EMPTY: Self = Self { bytes: [[0; FRAME_MAX]; FRAMES_MAX], lens: [0; FRAMES_MAX] };
}

/// A device in lock step. See the [module](super).
pub struct Lockstep<'m, D> {
    device: D,
    frames: &'m mut Frames,
    /// The first that is held, and how many are.
    first: usize,
    held: usize,
    sent: u16,
}

impl<'m, D: Device> Lockstep<'m, D> {
    /// Over this device, with that memory.
    pub fn new(device: D, frames: &'m mut Frames) -> Self {
        Self { device, frames, first: 0, held: 0, sent: 0 }
    }

    /// The device.
    pub(super) fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Takes what has arrived, until it is told something; `None`: nothing more has.
    pub(super) fn told(&mut self) -> Option<Control> {
        loop {
            let (frame, _) = self.device.receive(Instant::ZERO)?;
            let place = (self.first + self.held) % FRAMES_MAX;
            let control = frame.consume(|bytes| {
                let control = Control::read(bytes);
                // More than was agreed, or longer than a frame is: as on a wire, it is lost.
                if control.is_none()
                    && self.held < FRAMES_MAX
                    && let Some(frame) = self.frames.bytes[place].get_mut(..bytes.len())
                {
                    frame.copy_from_slice(bytes);
                    self.frames.lens[place] = bytes.len();
                    self.held += 1;
                }
                control
            });
            if control.is_some() {
                return control;
            }
        }
    }

    /// How many frames are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Tells something; false if the device takes no frame.
    pub(super) fn tell(&mut self, control: &Control) -> bool {
        tell(&mut self.device, control)
    }

    /// How many frames were sent since it was asked.
    pub(super) fn take_sent(&mut self) -> u16 {
        core::mem::take(&mut self.sent)
    }
}

/// Tells something through a device; false if it takes no frame.
pub(super) fn tell<D: Device>(device: &mut D, control: &Control) -> bool {
    // To all: the other end is a wire.
    let frame = control.frame([0xFF; 6]);
    let Some(room) = device.transmit(Instant::ZERO) else { return false };
    room.consume(frame.len(), |bytes| bytes.copy_from_slice(&frame));
    true
}

impl<D: Device> Device for Lockstep<'_, D> {
    type RxToken<'a>
        = Held<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Counted<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Held<'_>, Counted<'_, D::TxToken<'_>>)> {
        if self.held == 0 {
            return None;
        }
        let room = self.device.transmit(now)?;
        let frame = self.frames.bytes[self.first].get(..self.frames.lens[self.first])?;
        self.first = (self.first + 1) % FRAMES_MAX;
        self.held -= 1;
        Some((Held(frame), Counted { room, sent: &mut self.sent }))
    }

    fn transmit(&mut self, now: Instant) -> Option<Counted<'_, D::TxToken<'_>>> {
        Some(Counted { room: self.device.transmit(now)?, sent: &mut self.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

/// A frame that arrived before a grant.
pub struct Held<'a>(&'a [u8]);

impl RxToken for Held<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame, which is counted.
pub struct Counted<'a, T> {
    room: T,
    sent: &'a mut u16,
}

impl<T: TxToken> TxToken for Counted<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        *self.sent = self.sent.wrapping_add(1);
        self.room.consume(len, f)
    }
}
