//! The chunked transfer coding (RFC 9112 7.1), decoded in place.
//!
//! A chunk's size is where request smuggling begins, so nothing here is lenient: a size is hexadecimal digits and
//! nothing else (blanks may follow), lines end in CRLF, and the bytes after a chunk's data must be CRLF. Extensions are
//! checked, bounded and dropped; trailers are checked, bounded and handed out. To encode is the job of [`send`](super::send).
//!
//! ```
//! use tidemill_core::http::chunked::{Decoder, Event};
//! let mut decoder = Decoder::new();
//! let input = b"5;name=\"a b\"\r\nhello\r\n0\r\n\r\n";
//! let (taken, event) = decoder.receive(input)?;
//! assert_eq!(event, Event::Data(b"hello"));
//! assert_eq!(decoder.receive(&input[taken..])?, (7, Event::End));
//! # Ok::<(), tidemill_core::http::chunked::Error>(())
//! ```

use super::fields::{is_token_byte, is_value_byte};

/// How many bytes of padding and extensions one chunk may have.
pub const MAX_EXTENSION: u16 = 1024;

/// How many bytes of extensions all chunks of a body together may have.
pub const MAX_EXTENSIONS: u16 = 16 * 1024;

/// How many bytes of trailer fields may follow the last chunk.
pub const MAX_TRAILERS: u16 = 8 * 1024;

/// Why a body is not chunked as it claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The size is not hexadecimal digits.
    Size,
    /// The size does not fit into 64 bits.
    SizeOverflow,
    /// An extension has a forbidden byte.
    Extension,
    /// The padding and extensions of one chunk are longer than [`MAX_EXTENSION`].
    ExtensionTooLong,
    /// The extensions of all chunks together are longer than [`MAX_EXTENSIONS`].
    ExtensionsTooLong,
    /// A line or a chunk's data does not end in CRLF.
    LineEnd,
    /// A trailer is not a header field.
    Trailer,
    /// Trailers are longer than [`MAX_TRAILERS`].
    TrailersTooLong,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Size => "malformed chunk size",
            Self::SizeOverflow => "chunk size exceeds 64 bits",
            Self::Extension => "malformed chunk extension",
            Self::ExtensionTooLong => "chunk extension too long",
            Self::ExtensionsTooLong => "chunk extensions too long",
            Self::LineEnd => "chunk not ended by CRLF",
            Self::Trailer => "malformed trailer field",
            Self::TrailersTooLong => "trailer fields too long",
        })
    }
}

impl core::error::Error for Error {}

/// What [`Decoder::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<'i> {
    /// All input was taken, and more is needed.
    NeedMore,
    /// Bytes of the body, at least one, borrowed from the input.
    Data(&'i [u8]),
    /// Bytes of the trailer fields, at least one: lines as in a head, in any pieces, each with its CRLF.
    Trailers(&'i [u8]),
    /// The body has ended; what follows in the input is not its.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    /// Within the digits.
    Size,
    /// Blanks after the digits, before an extension or the line's end.
    Blank,
    Extension,
    Quoted,
    /// After a backslash in a quoted string.
    Escaped,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// In the empty line that ends the trailers.
    LastLf,
    Done,
}

/// Decodes one chunked body. 16 bytes of state; O(1) per byte of framing, and per slice of data.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Decoder {
    state: State,
    /// While a size is read, the size; then what is left of the chunk.
    left: u64,
    /// Bytes of padding and extensions in this chunk.
    extension: u16,
    /// Bytes of extensions in all chunks.
    extensions: u16,
    trailers: u16,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a body.
    pub const fn new() -> Self {
        Self { state: State::SizeStart, left: 0, extension: 0, extensions: 0, trailers: 0 }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes bytes of the input: how many, and what they were. Call again with the rest until it says
    /// [`Event::NeedMore`] or [`Event::End`]. After an error the decoder is not to be used again.
    pub fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), Error> {
        let mut taken = 0;
        while self.state != State::Done {
            let rest = &input[taken..];
            let Some(&byte) = rest.first() else { return Ok((taken, Event::NeedMore)) };
            if self.state == State::Data {
                let take = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok((taken + take, Event::Data(&rest[..take])));
            }
            if self.in_trailers(byte) {
                let mut len = 0;
                while let Some(&byte) = rest.get(len).filter(|byte| self.in_trailers(**byte)) {
                    self.state = self.framing(byte)?;
                    len += 1;
                }
                return Ok((taken + len, Event::Trailers(&rest[..len])));
            }
            self.state = self.framing(byte)?;
            taken += 1;
        }
        Ok((taken, Event::End))
    }

    /// Whether this byte belongs to a trailer's line, not to the empty one behind them.
    fn in_trailers(&self, byte: u8) -> bool {
        match self.state {
            State::Trailer => byte != b'\r',
            State::TrailerName | State::TrailerValue | State::TrailerLf => true,
            _ => false,
        }
    }

    /// The state after one byte that is not data.
    fn framing(&mut self, byte: u8) -> Result<State, Error> {
        Ok(match (self.state, byte) {
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => {
                self.digit(byte)?;
                State::Size
            }
            (State::Size | State::Blank | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::Blank, b' ' | b'\t') => {
                self.padding()?;
                State::Blank
            }
            (State::Size | State::Blank, b';') => self.extended(State::Extension)?,
            (State::Size | State::Blank, b'\n') => return Err(Error::LineEnd),
            (State::SizeStart | State::Size | State::Blank, _) => return Err(Error::Size),

            (State::Extension | State::Quoted | State::Escaped, _) if !is_value_byte(byte) => {
                return Err(Error::Extension);
            }
            (State::Extension, b'"') | (State::Escaped, _) => self.extended(State::Quoted)?,
            (State::Extension, _) | (State::Quoted, b'"') => self.extended(State::Extension)?,
            (State::Quoted, b'\\') => self.extended(State::Escaped)?,
            (State::Quoted, _) => self.extended(State::Quoted)?,

            (State::SizeLf, b'\n') if self.left == 0 => State::Trailer,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.extension = 0;
                State::SizeStart
            }

            (State::Trailer, b'\r') => State::LastLf,
            (State::Trailer | State::TrailerName, _) if is_token_byte(byte) => self.trailer(State::TrailerName)?,
            (State::TrailerName, b':') => self.trailer(State::TrailerValue)?,
            (State::TrailerValue, b'\r') => self.trailer(State::TrailerLf)?,
            (State::TrailerValue, _) if is_value_byte(byte) => self.trailer(State::TrailerValue)?,
            (State::Trailer | State::TrailerName | State::TrailerValue, _) => return Err(Error::Trailer),
            (State::TrailerLf, b'\n') => self.trailer(State::Trailer)?,
            (State::LastLf, b'\n') => State::Done,

            (State::SizeLf | State::DataCr | State::DataLf | State::TrailerLf | State::LastLf, _) => {
                return Err(Error::LineEnd);
            }
            (State::Data | State::Done, _) => self.state,
        })
    }

    fn digit(&mut self, byte: u8) -> Result<(), Error> {
        if self.state == State::SizeStart {
            self.left = 0;
        } else if self.left == 0 {
            // Some servers pad every size with zeros, so these do not count against the body's limit.
            self.padding()?;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.left = self.left.checked_mul(16).ok_or(Error::SizeOverflow)? + u64::from(digit);
        Ok(())
    }

    fn padding(&mut self) -> Result<(), Error> {
        self.extension += 1;
        if self.extension > MAX_EXTENSION { Err(Error::ExtensionTooLong) } else { Ok(()) }
    }

    fn extended(&mut self, next: State) -> Result<State, Error> {
        self.padding()?;
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(Error::ExtensionsTooLong) } else { Ok(next) }
    }

    fn trailer(&mut self, next: State) -> Result<State, Error> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(Error::TrailersTooLong) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Decodes in pieces of `step` bytes: the body, whether it ended, and what was left over.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), Error> {
        decode_all(input, step).map(|(body, _, done, left)| (body, done, left))
    }

    /// The same, with the trailers.
    fn decode_all(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, bool, usize), Error> {
        let (mut decoder, mut body, mut trailers, mut at) = (Decoder::new(), Vec::new(), Vec::new(), 0);
        while at < input.len() && !decoder.is_done() {
            let piece = &input[at..input.len().min(at + step)];
            let (taken, event) = decoder.receive(piece)?;
            at += taken;
            match event {
                Event::Data(data) => body.extend_from_slice(data),
                Event::Trailers(lines) => trailers.extend_from_slice(lines),
                Event::NeedMore => assert_eq!(taken, piece.len()),
                Event::End => {}
            }
        }
        Ok((body, trailers, decoder.is_done(), input.len() - at))
    }

    #[test]
    fn behaviour_52_trailers_are_handed_out() {
        let input = b"5\r\nhello\r\n0\r\nX: 1\r\ny:\t2 \r\n\r\nGET";
        for step in [1, 2, 3, 100] {
            let (body, trailers, done, left) = decode_all(input, step).unwrap();
            assert_eq!((body.as_slice(), trailers.as_slice(), done), (&b"hello"[..], &b"X: 1\r\ny:\t2 \r\n"[..], true));
            assert!(left >= 3 || step > 1);
        }
    }

    /// What the whole input, and the input byte by byte, decode to.
    fn decoded(input: &[u8]) -> Result<(Vec<u8>, bool, usize), Error> {
        let whole = decode(input, usize::MAX - input.len());
        assert_eq!(whole, decode(input, 1));
        whole
    }

    #[test]
    fn behaviour_52_extensions_trailers_and_leading_zeros_are_taken() {
        let hello = |left| Ok((b"hello".to_vec(), true, left));
        assert_eq!(decoded(b"5;ext=\"a\\\";b\"\r\nhello\r\n0\r\nX: 1\r\n\r\n"), hello(0));
        assert_eq!(decoded(b"5;ext=\"a\";b\"\r\nhello\r\n0\r\nX: 1\r\n\r\n"), Err(Error::Extension));
        assert_eq!(decoded(b"00000000000000000005\r\nhello\r\n000\r\n\r\nnext"), hello(4));
        assert_eq!(decoded(b"2 \t\r\nhe\r\n3 ;a\r\nllo\r\n0\r\n\r\n"), hello(0));
        let mut long = b"5;".to_vec();
        long.resize(62, b'x');
        long.extend_from_slice(b"\r\nhello\r\n0\r\n\r\n");
        assert_eq!(decoded(&long), hello(0));
    }

    #[test]
    fn behaviour_53_whatever_else_is_refused() {
        for size in [&b"+5"[..], b"-5", b" 5", b"5 5", b"0x5", b"", b"g"] {
            let input = [size, b"\r\nhello\r\n0\r\n\r\n"].concat();
            assert_eq!(decoded(&input), Err(Error::Size), "{size:?}");
        }
        assert_eq!(decoded(b"FFFFFFFFFFFFFFFFF\r\n"), Err(Error::SizeOverflow));
        assert_eq!(decoded(b"FFFFFFFFFFFFFFFF\r\n"), Ok((Vec::new(), false, 0)));
        for bad in [&b"5\nhello"[..], b"5\rX", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"0\r\n\rX"] {
            assert_eq!(decoded(bad), Err(Error::LineEnd), "{bad:?}");
        }
        for bad in [&b"5;a\n"[..], b"5;a=\"\r\n", b"5;\0\r\n"] {
            assert_eq!(decoded(bad), Err(Error::Extension), "{bad:?}");
        }
        for bad in [&b"0\r\n\n"[..], b"0\r\n fold\r\n\r\n", b"0\r\n: x\r\n", b"0\r\nA : x\r\n", b"0\r\nA: \0\r\n"] {
            assert_eq!(decoded(bad), Err(Error::Trailer), "{bad:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_for_a_chunk_and_for_a_body() {
        let padded = |count| [&b"5"[..], &std::vec![b' '; count][..], b"\r\nhello\r\n"].concat();
        assert!(decoded(&padded(1024)).is_ok());
        assert_eq!(decoded(&padded(1025)), Err(Error::ExtensionTooLong));
        assert!(decoded(&padded(1000).repeat(20)).is_ok(), "padding does not add up");
        assert_eq!(decoded(&[&[b'0'; 1026][..], b"\r\n"].concat()), Err(Error::ExtensionTooLong));

        let extended = [&b"5;"[..], &[b'x'; 1023][..], b"\r\nhello\r\n"].concat();
        assert!(decoded(&extended.repeat(16)).is_ok());
        assert_eq!(decoded(&extended.repeat(17)), Err(Error::ExtensionsTooLong));

        let trailers = [&b"0\r\n"[..], &b"A: b\r\n".repeat(1366), b"\r\n"].concat();
        assert_eq!(decoded(&trailers), Err(Error::TrailersTooLong));
        assert!(decoded(&[&b"0\r\n"[..], &b"A: b\r\n".repeat(1365), b"\r\n"].concat()).is_ok());
    }
}
