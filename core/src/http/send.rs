//! A body on its way out: exactly as long as its head promised, or in chunks.
//!
//! [`Sender`] takes the body in any pieces and writes it, as it goes on the wire, into a buffer of the caller's: sans-IO,
//! for requests and responses alike.
//!
//! ```
//! use tidemill_core::http::body::Framing;
//! use tidemill_core::http::send::{Error, Sender};
//!
//! let mut sender = Sender::new(Framing::Chunked);
//! let mut out = [0; 64];
//! let (taken, len) = sender.write(b"hello", &mut out)?;
//! assert_eq!((taken, &out[..len]), (5, &b"5\r\nhello\r\n"[..]));
//! let len = sender.end(&[("Digest", b"x")], &mut out)?;
//! assert_eq!(&out[..len], b"0\r\nDigest: x\r\n\r\n");
//!
//! let mut sender = Sender::new(Framing::Length(3));
//! assert_eq!(sender.write(b"hello", &mut out), Err(Error::TooLong));
//! assert_eq!(sender.end(&[], &mut out), Err(Error::TooShort { missing: 3 }));
//! # Ok::<(), Error>(())
//! ```

use super::body::Framing;
use super::write::{WriteError, Writer};

/// Fields that must not stand behind a body: those that say where it ends, whom it is for, or who may read it (RFC 9110
/// 6.5.1).
const NO_TRAILERS: [&str; 14] = [
    "transfer-encoding",
    "content-length",
    "trailer",
    "host",
    "connection",
    "content-encoding",
    "content-type",
    "content-range",
    "expect",
    "te",
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];

/// The room that a chunk takes at most besides its data: 16 digits and two line ends.
const OVERHEAD: usize = 20;

/// Why a body cannot be sent as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// It is longer than its head promised. Nothing of this piece was written.
    TooLong,
    /// It is shorter than that: the connection must be closed, or the rest be sent.
    TooShort {
        /// How many bytes are missing.
        missing: u64,
    },
    /// A trailer has bytes that may not stand there, or is none that may be one, or the body is not chunked.
    BadTrailer,
    /// The end does not fit into the buffer.
    NoSpace,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong => f.write_str("body longer than its Content-Length"),
            Self::TooShort { missing } => write!(f, "body {missing} bytes shorter than its Content-Length"),
            Self::BadTrailer => f.write_str("forbidden trailer field"),
            Self::NoSpace => f.write_str("end of the body does not fit into its buffer"),
        }
    }
}

impl core::error::Error for Error {}

/// Sends one body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sender {
    /// With [`Framing::Length`]: what is missing.
    left: Framing,
}

impl Sender {
    /// For a body whose head said this.
    pub fn new(framing: Framing) -> Self {
        Self { left: if framing == Framing::None { Framing::Length(0) } else { framing } }
    }

    /// Writes as much of `data` as fits into `out`: how much it took, and how long that is on the wire. Of a chunked body
    /// it takes nothing if there is no room for 21 bytes. An empty piece is nothing, not the end.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn write(&mut self, data: &[u8], out: &mut [u8]) -> Result<(usize, usize), Error> {
        match &mut self.left {
            Framing::Chunked => Ok(chunk(data, out)),
            Framing::Length(left) if data.len() as u64 > *left => Err(Error::TooLong),
            left => {
                let take = data.len().min(out.len());
                out[..take].copy_from_slice(&data[..take]);
                if let Framing::Length(left) = left {
                    *left -= take as u64;
                }
                Ok((take, take))
            }
        }
    }

    /// Writes what ends the body: how long it is; nothing, if it is not chunked.
    ///
    /// # Errors
    /// All but [`Error::TooLong`].
    pub fn end(&mut self, trailers: &[(&str, &[u8])], out: &mut [u8]) -> Result<usize, Error> {
        match self.left {
            Framing::Length(missing @ 1..) => return Err(Error::TooShort { missing }),
            Framing::Chunked => {}
            _ if trailers.is_empty() => return Ok(0),
            _ => return Err(Error::BadTrailer),
        }
        let mut writer = Writer::new(out);
        let mut write = || {
            writer.raw(b"0\r\n")?;
            for (name, value) in trailers {
                if NO_TRAILERS.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
                    return Err(WriteError::Invalid);
                }
                writer.field(name, value)?;
            }
            writer.raw(b"\r\n")?;
            Ok(writer.len())
        };
        let len = write().map_err(|error| match error {
            WriteError::Invalid => Error::BadTrailer,
            WriteError::NoSpace => Error::NoSpace,
        })?;
        self.left = Framing::Length(0);
        Ok(len)
    }
}

/// Writes one chunk: how much of the data it holds, and how long it is.
fn chunk(data: &[u8], out: &mut [u8]) -> (usize, usize) {
    let take = data.len().min(out.len().saturating_sub(OVERHEAD));
    if take == 0 {
        return (0, 0);
    }
    let mut writer = Writer::new(out);
    // It fits: the overhead is the largest that there is.
    let written = writer
        .fmt(format_args!("{take:x}\r\n"))
        .and_then(|()| writer.raw(&data[..take]))
        .and_then(|()| writer.raw(b"\r\n"));
    if written.is_ok() { (take, writer.len()) } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::chunked;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn a_body_of_known_length_is_sent_as_it_is_and_no_byte_more_or_less() {
        let (mut sender, mut out) = (Sender::new(Framing::Length(5)), [0; 4]);
        assert_eq!(sender.write(b"hello", &mut out), Ok((4, 4)));
        assert_eq!(sender.end(&[], &mut out), Err(Error::TooShort { missing: 1 }));
        assert_eq!(sender.write(b"o!", &mut out), Err(Error::TooLong));
        assert_eq!(sender.write(b"o", &mut out), Ok((1, 1)));
        assert_eq!((sender.end(&[("A", b"b")], &mut out), sender.end(&[], &mut out)), (Err(Error::BadTrailer), Ok(0)));
        let mut none = Sender::new(Framing::None);
        assert_eq!((none.write(b"x", &mut out), none.write(b"", &mut out)), (Err(Error::TooLong), Ok((0, 0))));
        let mut open = Sender::new(Framing::UntilClose);
        assert_eq!((open.write(b"x", &mut out), open.end(&[], &mut out)), (Ok((1, 1)), Ok(0)));
    }

    #[test]
    fn nothing_follows_the_end_and_an_empty_piece_is_none() {
        let (mut sender, mut out) = (Sender::new(Framing::Chunked), [0; 32]);
        assert_eq!(sender.write(b"", &mut out), Ok((0, 0)));
        assert_eq!(sender.write(b"x", &mut out[..20]), Ok((0, 0)));
        assert_eq!(sender.end(&[], &mut out[..4]), Err(Error::NoSpace));
        assert_eq!(sender.end(&[], &mut out), Ok(5));
        assert_eq!(sender.write(b"x", &mut out), Err(Error::TooLong));
        assert_eq!(sender.end(&[], &mut out), Ok(0));
    }

    #[test]
    fn a_trailer_is_a_field_that_says_nothing_about_the_body() {
        let mut out = [0; 64];
        for (name, value) in [("Content-Length", &b"5"[..]), ("HOST", b"h"), ("a:", b"x"), ("A", b"\r\nB: c")] {
            assert_eq!(Sender::new(Framing::Chunked).end(&[(name, value)], &mut out), Err(Error::BadTrailer), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_in_chunks_is_received(
            body in prop::collection::vec(any::<u8>(), 0..200),
            sizes in prop::collection::vec((0_usize..40, 0_usize..60), 1..20),
        ) {
            let (mut sender, mut wire, mut rest) = (Sender::new(Framing::Chunked), Vec::new(), &body[..]);
            for (piece, room) in sizes.into_iter().chain([(200, 400)]) {
                let mut out = std::vec![0; room];
                let (taken, len) = sender.write(&rest[..piece.min(rest.len())], &mut out).unwrap();
                wire.extend_from_slice(&out[..len]);
                rest = &rest[taken..];
            }
            let mut out = [0; 64];
            let len = sender.end(&[("A", b"b")], &mut out).unwrap();
            wire.extend_from_slice(&out[..len]);
            let (mut decoder, mut at, mut received) = (chunked::Decoder::new(), 0, Vec::new());
            while !decoder.is_done() {
                let (taken, event) = decoder.receive(&wire[at..]).unwrap();
                at += taken;
                match event {
                    chunked::Event::Data(data) => received.extend_from_slice(data),
                    chunked::Event::Trailers(lines) => prop_assert_eq!(lines, b"A: b\r\n"),
                    _ => {}
                }
            }
            prop_assert_eq!((received, at), (body, wire.len()));
        }
    }
}
