//! Where a body ends (RFC 9112 6): after a length, after the last chunk, or with the connection.
//!
//! [`Framing`] names the way; the decoder in here follows it, for requests and responses alike, and hands the body
//! out in slices of its input.
//!
//! ```
//! use tidemill_core::http::body::Framing;
//! use tidemill_core::http::client::{Asked, Response};
//! let mut response = Response::<256>::new();
//! response.start(Asked::Resource);
//! response.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
//! assert_eq!(response.head().framing(), Framing::Chunked);
//! # Ok::<(), tidemill_core::http::client::Error>(())
//! ```

use super::chunked;
use super::head::HeadBuffer;

/// How a body is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Framing {
    /// There is none, whatever the fields say.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, up to one of size 0.
    Chunked,
    /// Everything until the peer closes. Whether that is all it wanted to send cannot be known.
    UntilClose,
}

/// What [`Body::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Part<'i> {
    NeedMore,
    Data(&'i [u8]),
    Trailers(&'i [u8]),
    End,
}

/// What [`Body::next`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'i> {
    NeedMore,
    Data(&'i [u8]),
    End,
}

/// Decodes one body.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Body {
    Length(u64),
    Chunked(chunked::Decoder),
    UntilClose,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(chunked::Decoder::new()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Takes bytes up to the end of the body, at most one slice of it at a time. Data is never empty; on `NeedMore` all
    /// of the input was taken.
    fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Part<'i>), chunked::Error> {
        let data = match self {
            Self::Length(0) => return Ok((0, Part::End)),
            Self::Chunked(decoder) => {
                let (taken, event) = decoder.receive(input)?;
                let part = match event {
                    chunked::Event::NeedMore => Part::NeedMore,
                    chunked::Event::Data(data) => Part::Data(data),
                    chunked::Event::Trailers(lines) => Part::Trailers(lines),
                    chunked::Event::End => Part::End,
                };
                return Ok((taken, part));
            }
            Self::Length(missing) => {
                let take = usize::try_from(*missing).map_or(input.len(), |missing| missing.min(input.len()));
                *missing -= take as u64;
                &input[..take]
            }
            Self::UntilClose => input,
        };
        Ok((data.len(), if data.is_empty() { Part::NeedMore } else { Part::Data(data) }))
    }

    /// Takes bytes up to the next piece of data, or to the end of the body; what comes behind it is kept with its `head`.
    pub(super) fn next<'i, const N: usize>(
        &mut self,
        input: &'i [u8],
        head: &mut HeadBuffer<N>,
    ) -> Result<(usize, Piece<'i>), chunked::Error> {
        let mut taken = 0;
        loop {
            let (more, part) = self.receive(&input[taken..])?;
            taken += more;
            let piece = match part {
                Part::NeedMore => Piece::NeedMore,
                Part::Data(data) => Piece::Data(data),
                Part::Trailers(lines) => {
                    head.keep_trailers(lines);
                    continue;
                }
                Part::End => Piece::End,
            };
            return Ok((taken, piece));
        }
    }

    /// Whether the body may end here, with the connection; otherwise how many bytes are missing, if that is known.
    pub(super) fn end_of_stream(&self) -> Result<(), Option<u64>> {
        match self {
            Self::Length(0) | Self::UntilClose => Ok(()),
            Self::Length(missing) => Err(Some(*missing)),
            Self::Chunked(decoder) if decoder.is_done() => Ok(()),
            Self::Chunked(_) => Err(None),
        }
    }
}

/// The transfer codings of a head (RFC 9112 6.1), as far as framing goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Codings {
    /// There is no `Transfer-Encoding`.
    Absent,
    /// Exactly `chunked`.
    Chunked,
    /// Other codings, and `chunked` as the last.
    CodedChunked,
    /// Other codings only.
    Coded,
    /// `chunked` twice, or before another, or an empty element.
    Invalid,
}

impl Codings {
    /// Of the elements of `Transfer-Encoding`.
    pub(super) fn of<'a>(codings: impl Iterator<Item = &'a [u8]>) -> Self {
        codings.fold(Self::Absent, |before, coding| match (before, coding.eq_ignore_ascii_case(b"chunked")) {
            _ if coding.is_empty() => Self::Invalid,
            (Self::Absent, true) => Self::Chunked,
            (Self::Coded, true) => Self::CodedChunked,
            (Self::Absent | Self::Coded, false) => Self::Coded,
            _ => Self::Invalid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::Fields;

    #[test]
    fn only_the_last_coding_may_be_chunked() {
        let codings = |lines| Codings::of(Fields::new(lines).list("transfer-encoding"));
        assert_eq!(codings(b"\r\n"), Codings::Absent);
        assert_eq!(codings(b"Transfer-Encoding: Chunked\r\n\r\n"), Codings::Chunked);
        assert_eq!(codings(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"), Codings::CodedChunked);
        assert_eq!(codings(b"Transfer-Encoding: xchunked\r\n\r\n"), Codings::Coded);
        assert_eq!(codings(b"Transfer-Encoding: chunked, chunked\r\n\r\n"), Codings::Invalid);
        assert_eq!(codings(b"Transfer-Encoding: chunked, gzip\r\n\r\n"), Codings::Invalid);
        assert_eq!(codings(b"Transfer-Encoding:\r\n\r\n"), Codings::Invalid);
    }

    #[test]
    fn a_length_is_counted_down_and_what_follows_is_left() {
        let mut body = Body::new(Framing::Length(5));
        assert_eq!(body.receive(b"hel"), Ok((3, Part::Data(b"hel"))));
        assert_eq!(body.receive(b""), Ok((0, Part::NeedMore)));
        assert_eq!(body.end_of_stream(), Err(Some(2)));
        assert_eq!(body.receive(b"loHTTP"), Ok((2, Part::Data(b"lo"))));
        assert_eq!(body.receive(b"HTTP"), Ok((0, Part::End)));
    }
}
