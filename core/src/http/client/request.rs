//! Writing the head of a request.

use super::Error;
use crate::http::body::Framing;
use crate::http::write::{WriteError, Writer};

/// The head of a request; the body, if any, goes after it, through [`Sender`](crate::http::send::Sender).
///
/// ```
/// use tidemill_core::http::body::Framing;
/// use tidemill_core::http::client::{Error, Request};
/// let request =
///     Request { method: "GET", target: "/a", host: "h", headers: &[("Range", b"bytes=5-")], body: Framing::None };
/// let mut out = [0; 64];
/// let len = request.write_to(&mut out)?;
/// assert_eq!(&out[..len], b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=5-\r\n\r\n");
/// assert_eq!(request.write_to(&mut [0; 16]), Err(Error::NoSpace));
/// assert_eq!(Request { target: "/ HTTP/1.1\r\nA: b", ..request }.write_to(&mut out), Err(Error::BadRequest));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// The method, a token.
    pub method: &'a str,
    /// The target as it goes on the wire: visible ASCII, already percent-encoded (RFC 9112 3.2).
    pub target: &'a str,
    /// The value of `Host`: name or bracketed address, and the port if it is not the scheme's.
    pub host: &'a str,
    /// Further fields. `Host`, `Content-Length` and `Transfer-Encoding` are refused here: a second copy of one that
    /// the writer writes could make two servers see two different requests.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// How the body that follows is delimited: [`Framing::Length`] if its length is known, else [`Framing::Chunked`]. A
    /// request cannot end with its connection.
    pub body: Framing,
}

impl Request<'_> {
    /// Writes the head to the front of `out`; returns its length. [`Error::BadRequest`] if a part could break the head
    /// apart (CR, LF, NUL, a blank in the target, ...), [`Error::NoSpace`] if it does not fit.
    pub fn write_to(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.write(&mut Writer::new(out)).map_err(|error| match error {
            WriteError::Invalid => Error::BadRequest,
            WriteError::NoSpace => Error::NoSpace,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<usize, WriteError> {
        writer.token(self.method)?;
        writer.raw(b" ")?;
        writer.visible(self.target)?;
        writer.raw(b" HTTP/1.1\r\nHost: ")?;
        writer.visible(self.host)?;
        writer.raw(b"\r\n")?;
        for (name, value) in self.headers {
            if ["host", "content-length", "transfer-encoding"].iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(WriteError::Invalid);
            }
            writer.field(name, value)?;
        }
        match self.body {
            Framing::None => {}
            Framing::Length(length) => writer.field_fmt("Content-Length", format_args!("{length}"))?,
            Framing::Chunked => writer.field("Transfer-Encoding", b"chunked")?,
            Framing::UntilClose => return Err(WriteError::Invalid),
        }
        writer.raw(b"\r\n")?;
        Ok(writer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Request<'_> = Request { method: "GET", target: "/", host: "h", headers: &[], body: Framing::None };

    #[test]
    fn a_body_announces_its_length() {
        let mut out = [0; 128];
        let len = Request { method: "POST", body: Framing::Length(12), ..PLAIN }.write_to(&mut out).unwrap();
        assert_eq!(&out[..len], b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n");
    }

    #[test]
    fn a_body_of_unknown_length_is_chunked_and_none_ends_with_the_connection() {
        let mut out = [0; 128];
        let len = Request { method: "PATCH", body: Framing::Chunked, ..PLAIN }.write_to(&mut out).unwrap();
        assert_eq!(&out[..len], b"PATCH / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(Request { body: Framing::UntilClose, ..PLAIN }.write_to(&mut out), Err(Error::BadRequest));
    }

    #[test]
    fn a_request_may_fill_the_buffer_exactly() {
        let len = PLAIN.write_to(&mut [0; 64]).unwrap();
        let mut out = [0; 64];
        assert_eq!(PLAIN.write_to(&mut out[..len]), Ok(len));
        for short in 0..len {
            assert_eq!(PLAIN.write_to(&mut out[..short]), Err(Error::NoSpace));
        }
    }

    #[test]
    fn no_part_can_break_the_head_apart() {
        let bad = |request: Request<'_>| assert_eq!(request.write_to(&mut [0; 256]), Err(Error::BadRequest));
        for text in ["", "a b", "a\rb", "a\nb", "a\0b", "a\u{e9}b"] {
            bad(Request { method: text, ..PLAIN });
            bad(Request { target: text, ..PLAIN });
            bad(Request { host: text, ..PLAIN });
            bad(Request { headers: &[(text, b"x")], ..PLAIN });
        }
        for value in [&b"a\rb"[..], b"a\nb", b"a\0b", b"\x7f"] {
            bad(Request { headers: &[("A", value)], ..PLAIN });
        }
        for name in ["host", "Content-Length", "TRANSFER-ENCODING", "a:b"] {
            bad(Request { headers: &[(name, b"x")], ..PLAIN });
        }
    }
}
