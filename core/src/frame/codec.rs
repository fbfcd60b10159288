//! Frames to bytes and back, on either carrier.

use super::cobs::{self, Encoder};
use super::crc::Checksum;
use super::error::Error;
use super::header::{HEADER_LEN, Header};
use super::line::Line;
use super::stream::Stream;

/// Bytes of the checksum after the payload.
pub const CHECKSUM_LEN: usize = 4;

/// Bytes of a frame beside its payload, before a carrier adds its own.
pub const OVERHEAD: usize = HEADER_LEN + CHECKSUM_LEN;

/// What frames travel on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Carrier {
    /// A pipe, a socket, shared memory: every byte arrives, once, in order. Frames follow each other as they are.
    Stream,
    /// A serial line: bytes may be lost, damaged or made up. Frames are stuffed, and a zero ends each.
    Line,
}

impl Carrier {
    /// The most bytes on the wire of a frame with `len` bytes of payload.
    pub const fn encoded_max(self, len: usize) -> usize {
        match self {
            Self::Stream => len + OVERHEAD,
            Self::Line => cobs::encoded_max(len + OVERHEAD),
        }
    }
}

/// A frame that arrived whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What stood before the payload.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
}

/// Writes a frame whose payload is `parts`, one after the other. How many bytes it takes, or `None` if it does not fit
/// into `out` or is longer than a header can tell: then what is in `out` means nothing. O(n).
pub fn encode(
    carrier: Carrier,
    checksum: Checksum,
    header: Header,
    parts: [&[u8]; 2],
    out: &mut [u8],
) -> Option<usize> {
    let len = parts[0].len() + parts[1].len();
    if len > super::PAYLOAD_MAX {
        return None;
    }
    let header = header.emit(len);
    match carrier {
        Carrier::Stream => {
            let mut end = 0;
            for part in [&header[..], parts[0], parts[1]] {
                out.get_mut(end..)?.get_mut(..part.len())?.copy_from_slice(part);
                end += part.len();
            }
            let sum = checksum(0, out.get(..end)?);
            *out.get_mut(end..)?.first_chunk_mut()? = sum.to_le_bytes();
            Some(end + CHECKSUM_LEN)
        }
        Carrier::Line => {
            let mut sum = 0;
            let mut encoder = Encoder::new(out);
            for part in [&header[..], parts[0], parts[1]] {
                sum = checksum(sum, part);
                encoder.push(part)?;
            }
            encoder.push(&sum.to_le_bytes())?;
            encoder.finish()
        }
    }
}

/// Puts frames together from bytes as they come, without the memory to do it in: what [`Decoder`] and a link share.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Assembler {
    Stream(Stream),
    Line(Line),
}

impl Assembler {
    pub(crate) const fn new(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Stream => Self::Stream(Stream::NEW),
            Carrier::Line => Self::Line(Line::NEW),
        }
    }

    /// The next frame, or error, out of `input`; `None` when all of it was taken. Payloads may be `payload_max` long, for
    /// which `buf` has room: itself and [`OVERHEAD`].
    pub(crate) fn feed<'a, 'i: 'a>(
        &mut self,
        checksum: Checksum,
        payload_max: usize,
        buf: &'a mut [u8],
        input: &mut &'i [u8],
    ) -> Option<Result<Frame<'a>, Error>> {
        match self {
            Self::Stream(stream) => stream.feed(checksum, payload_max, buf, input),
            Self::Line(line) => line.feed(checksum, payload_max, buf, input),
        }
    }
}

/// Finds frames in bytes, which may come in any pieces.
///
/// On a [`Carrier::Stream`] a frame that lies whole in the input is not copied: its payload is where it was. On a
/// [`Carrier::Line`] unstuffing is the one copy. A stream that was damaged stays so: nothing more comes out of it.
///
/// ```
/// use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, crc, encode};
///
/// let header = Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 0, sequence: 0 };
/// let mut wire = [0; 64];
/// let len = encode(Carrier::Line, crc::software, header, [b"water", b""], &mut wire).unwrap();
///
/// let mut decoder = Decoder::new(Carrier::Line, crc::software, [0; 32]);
/// let mut input = &wire[..len];
/// let frame = decoder.next(&mut input).unwrap().unwrap();
/// assert_eq!(frame.payload, b"water");
/// assert!(decoder.next(&mut input).is_none());
/// ```
#[derive(Debug)]
pub struct Decoder<B> {
    assembler: Assembler,
    checksum: Checksum,
    buf: B,
}

impl<B: AsMut<[u8]>> Decoder<B> {
    /// Takes frames whose payload, and [`OVERHEAD`], fit into `buf`.
    pub const fn new(carrier: Carrier, checksum: Checksum, buf: B) -> Self {
        Self { assembler: Assembler::new(carrier), checksum, buf }
    }

    /// The next frame in `input`, which it is taken from, or why there is none in what was taken. `None`: all was taken,
    /// more is needed. O(n), n bytes taken.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Result<Frame<'a>, Error>> {
        let buf = self.buf.as_mut();
        let payload_max = buf.len().saturating_sub(OVERHEAD);
        self.assembler.feed(self.checksum, payload_max, buf, input)
    }
}
