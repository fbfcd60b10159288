//! How a link is to be, and how much memory that takes.

use super::Error;
use super::hello::HELLO_MAX;
use crate::frame::crc::{self, Checksum};
use crate::frame::{Carrier, OVERHEAD, PAYLOAD_MAX};
use crate::time::Duration;

/// How one end of a link is to be.
#[derive(Clone, Copy)]
pub struct Config<'k> {
    /// What the frames travel on.
    pub carrier: Carrier,
    /// Confirm and repeat frames, for lines that lose some. Both ends must want it, and be made by
    /// [`Endpoint::reliable`](super::Endpoint::reliable).
    pub reliable: bool,
    /// How checksums are computed.
    pub checksum: Checksum,
    /// The longest payload of a frame that we take, in bytes: 16 or more. Longer messages come in parts.
    pub payload_max: usize,
    /// Bytes that each channel holds until they are read: 64 or more. No message can be longer.
    pub window: usize,
    /// Bytes that wait to be written and, if the link is reliable, to be confirmed: enough for a frame.
    pub transmit: usize,
    /// Bytes of frames that arrived before one that has to be repeated. Only for a reliable link.
    pub reorder: usize,
    /// Names this life of this end: another one each time. Not to be foreseen where there is a `key`.
    pub nonce: [u8; 16],
    /// Both ends must have the same, and prove it, before anything else is read. Needs the feature `auth`.
    pub key: Option<&'k [u8]>,
    /// A peer that is silent for this long is asked for a sign of life; after three times this long it is given up.
    pub keep_alive: Option<Duration>,
    /// How long to wait for an answer before the first repetition, on a line.
    pub retry: Duration,
}

impl Config<'_> {
    /// For a carrier: frames of 256 bytes, 1 KiB of each buffer, nothing confirmed, no key, no signs of life.
    pub const fn new(carrier: Carrier) -> Self {
        Self {
            carrier,
            reliable: false,
            checksum: crc::software,
            payload_max: 256,
            window: 1024,
            transmit: 1024,
            reorder: 0,
            nonce: [0; 16],
            key: None,
            keep_alive: None,
            retry: Duration::from_millis(200),
        }
    }

    /// Bytes of memory that an endpoint with so many channels needs.
    pub const fn memory(&self, channels: usize) -> usize {
        STAGE_LEN + self.decode() + self.transmit + self.reorder + channels * self.window
    }

    const fn decode(&self) -> usize {
        OVERHEAD + if self.payload_max > HELLO_MAX { self.payload_max } else { HELLO_MAX }
    }

    pub(super) fn check(&self, channels: usize, calls: usize, memory: usize) -> Result<(), Error> {
        let fits = self.payload_max >= PAYLOAD_MIN
            && self.payload_max <= PAYLOAD_MAX
            && self.window >= WINDOW_MIN
            && self.window < 1 << 31
            && self.transmit < 1 << 31
            && self.reorder < 1 << 31
            && self.frame_max() >= PAYLOAD_MIN
            && (1..256).contains(&channels)
            && calls < 256
            && memory >= self.memory(channels)
            && (cfg!(feature = "auth") || self.key.is_none());
        if fits { Ok(()) } else { Err(Error::Config) }
    }

    /// The longest payload for which there is room among what waits to be written.
    pub(super) const fn frame_max(&self) -> usize {
        let room = self.transmit.saturating_sub(META_LEN);
        let room = match self.carrier {
            Carrier::Stream => room,
            Carrier::Line => room.saturating_sub(room / 255 + 2),
        };
        room.saturating_sub(OVERHEAD)
    }
}

/// What both ends may count on.
pub(super) const PAYLOAD_MIN: usize = 16;
pub(super) const WINDOW_MIN: usize = 64;

/// Bytes before a frame that waits to be confirmed.
pub(super) const META_LEN: usize = 16;

/// Room for a frame of the link's own: a delimiter before it, and a hello.
const STAGE_LEN: usize = 1 + Carrier::Line.encoded_max(HELLO_MAX);

/// The memory of an endpoint, divided.
pub(super) struct Regions<'m> {
    pub(super) stage: &'m mut [u8],
    pub(super) decode: &'m mut [u8],
    pub(super) transmit: &'m mut [u8],
    pub(super) reorder: &'m mut [u8],
    pub(super) rings: &'m mut [u8],
}

impl<'m> Regions<'m> {
    pub(super) fn of(config: &Config<'_>, memory: &'m mut [u8]) -> Self {
        let (stage, rest) = split(memory, STAGE_LEN);
        let (decode, rest) = split(rest, config.decode());
        let (transmit, rest) = split(rest, config.transmit);
        let (reorder, rings) = split(rest, config.reorder);
        Self { stage, decode, transmit, reorder, rings }
    }
}

/// Nothing, of less: an endpoint has as much as its configuration says.
fn split(memory: &mut [u8], len: usize) -> (&mut [u8], &mut [u8]) {
    memory.split_at_mut_checked(len).unwrap_or_default()
}
