//! The server's side: a request is decoded, its response decided and its head written.
//!
//! A server that reads a request otherwise than the proxy before it lets requests be smuggled past that proxy. So
//! whatever can be read in two ways is refused (RFC 9112 6.3, 11.2), and every [`Error`] knows the status to answer
//! with, after which the connection is to be closed.
//!
//! ```
//! use tidemill_core::http::server::{Error, Event, Request, Resource, respond};
//!
//! let mut request = Request::<1024>::new();
//! let (_, event) = request.receive(b"GET /a?b HTTP/1.1\r\nHost: h\r\nRange: bytes=2-\r\n\r\n")?;
//! assert_eq!(event, Event::Head);
//! assert_eq!(request.head().path(), "/a");
//! let response = respond(&request.head(), &Resource { len: 5, etag: "\"v1\"", modified: None });
//! assert_eq!((response.status, response.body.unwrap().len()), (206, 3));
//!
//! let mut out = [0; 512];
//! let len = response.write_head(&mut out, None, "text/plain", request.keep_alive(), &[]).unwrap();
//! assert!(out[..len].starts_with(b"HTTP/1.1 206 Partial Content\r\n"));
//!
//! assert_eq!(Request::<1024>::new().receive(b"GET / HTTP/1.1\r\n\r\n"), Err(Error::Host));
//! # Ok::<(), Error>(())
//! ```

mod multipart;
mod respond;
#[cfg(test)]
mod tests;

pub use multipart::{BOUNDARY_LEN, MEDIA_TYPE_MAX, Multipart};
pub(in crate::http) use respond::reason;
pub use respond::{Resource, Response, respond};

use super::body::{Body, Codings, Framing, Piece};
use super::fields::Fields;
use super::head::{HeadBuffer, HeadError};
use super::{MAX_FIELDS, chunked};

/// The answer to a client that waits before it sends the body: see [`Request::expects_continue`].
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The request line alone is larger than the decoder's buffer.
    RequestLineTooLong,
    /// The head is larger than the buffer.
    HeadTooLarge,
    /// The head has more than [`MAX_FIELDS`] fields.
    TooManyFields,
    /// The head is not one of HTTP.
    MalformedHead,
    /// The version is not 1.0 or 1.1.
    Version,
    /// The target is neither a path nor an `http` URL (nor `*`, for OPTIONS), or has a byte that may not stand there.
    Target,
    /// `Host` is missing from a request of HTTP/1.1, repeated, or malformed.
    Host,
    /// `Content-Length` is malformed or contradicts itself.
    ContentLength,
    /// `Transfer-Encoding` is malformed, or stands beside `Content-Length`, or in HTTP/1.0.
    TransferEncoding,
    /// `Transfer-Encoding` has a coding other than `chunked`.
    UnknownCoding,
    /// The chunked body is malformed.
    Chunked(chunked::Error),
    /// The connection ended within the request.
    Incomplete {
        /// How many bytes of the body are missing, if it has a length.
        missing: Option<u64>,
    },
}

impl Error {
    /// The status to answer with before closing.
    pub fn status(&self) -> u16 {
        match self {
            Self::RequestLineTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::Version => 505,
            Self::UnknownCoding => 501,
            Self::MalformedHead
            | Self::Target
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunked(_)
            | Self::Incomplete { .. } => 400,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::RequestLineTooLong => "request line too long",
            Self::HeadTooLarge => "request head too large",
            Self::TooManyFields => "request has too many header fields",
            Self::MalformedHead => "malformed request head",
            Self::Version => "request is not HTTP/1.0 or HTTP/1.1",
            Self::Target => "malformed request target",
            Self::Host => "missing, repeated or malformed Host",
            Self::ContentLength => "malformed or contradictory Content-Length",
            Self::TransferEncoding => "malformed or misplaced Transfer-Encoding",
            Self::UnknownCoding => "unknown transfer coding",
            Self::Chunked(error) => return error.fmt(f),
            Self::Incomplete { .. } => "connection closed within the request",
        })
    }
}

impl core::error::Error for Error {}

/// What [`Request::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<'i> {
    /// All of the input was taken, and more is needed.
    NeedMore,
    /// The head is whole: see [`Request::head`].
    Head,
    /// Bytes of the body, at least one, borrowed from the input.
    Body(&'i [u8]),
    /// The request is whole. What follows in the input is the next one's: answer this, then [`Request::start`].
    End,
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    Head,
    Body(Body),
    Done,
    Failed(Error),
}

/// Decodes requests, one after another, on one connection. Holds the head in `HEAD` bytes; a body is never copied.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<const HEAD: usize> {
    buffer: HeadBuffer<HEAD>,
    state: State,
    /// That of HTTP/1.x, of the last head.
    minor: u8,
}

impl<const HEAD: usize> Default for Request<HEAD> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const HEAD: usize> Request<HEAD> {
    /// A decoder before its first request.
    pub const fn new() -> Self {
        Self { buffer: HeadBuffer::new(), state: State::Head, minor: 0 }
    }

    /// Forgets the last request and waits for the next.
    pub fn start(&mut self) {
        self.buffer.clear();
        (self.state, self.minor) = (State::Head, 0);
    }

    /// Takes bytes that arrived: how many, and what they were. Each byte of a head is looked at once however it
    /// arrives. After an error, the same error for ever.
    pub fn receive<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), Error> {
        let result = match &mut self.state {
            State::Head => self.receive_head(input),
            State::Body(_) => self.receive_body(input).map_err(Error::Chunked),
            State::Done => Ok((0, Event::End)),
            State::Failed(error) => Err(*error),
        };
        result.inspect_err(|error| self.state = State::Failed(*error))
    }

    /// Whether the connection may end here without a loss: between two requests.
    pub fn end_of_stream(&self) -> Result<(), Error> {
        match &self.state {
            State::Head if self.buffer.is_empty() => Ok(()),
            State::Head => Err(Error::Incomplete { missing: None }),
            State::Body(body) => body.end_of_stream().map_err(|missing| Error::Incomplete { missing }),
            State::Done => Ok(()),
            State::Failed(error) => Err(*error),
        }
    }

    /// The head. Before [`Event::Head`] it is empty.
    pub fn head(&self) -> Head<'_> {
        let known = matches!(self.state, State::Body(_) | State::Done);
        Head {
            line: if known { self.buffer.first_line() } else { &[] },
            fields: Fields::new(if known { self.buffer.field_lines() } else { &[] }),
        }
    }

    /// Whether the client wants the connection to live on. Before another request, this one must be read to its
    /// [`Event::End`].
    pub fn keep_alive(&self) -> bool {
        matches!(self.state, State::Body(_) | State::Done) && self.head().fields.keep_alive(self.minor)
    }

    /// Whether the client waits for [`CONTINUE`] before it sends the body (RFC 9110 10.1.1). If the answer is final without
    /// the body, the connection is to be closed after it, or the body to be read nevertheless.
    pub fn expects_continue(&self) -> bool {
        let expects =
            |head: Head<'_>| head.fields.list("expect").any(|word| word.eq_ignore_ascii_case(b"100-continue"));
        matches!(self.state, State::Body(_)) && self.minor > 0 && expects(self.head())
    }

    /// The fields behind a chunked body, once the request is whole; they are not to be mixed with those of the head
    /// (RFC 9110 6.5.1). `None`: they did not fit into what the head left of the buffer, or it is not whole yet.
    pub fn trailers(&self) -> Option<Fields<'_>> {
        self.buffer.trailers().filter(|_| matches!(self.state, State::Done))
    }

    fn receive_body<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), chunked::Error> {
        let State::Body(body) = &mut self.state else { return Ok((0, Event::End)) };
        let (taken, piece) = body.next(input, &mut self.buffer)?;
        let event = match piece {
            Piece::NeedMore => Event::NeedMore,
            Piece::Data(data) => Event::Body(data),
            Piece::End => {
                self.state = State::Done;
                Event::End
            }
        };
        Ok((taken, event))
    }

    fn receive_head<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), Error> {
        let (taken, whole) = self.buffer.receive(input).map_err(|error| match error {
            HeadError::LineTooLong => Error::RequestLineTooLong,
            HeadError::TooLarge => Error::HeadTooLarge,
            HeadError::Malformed => Error::MalformedHead,
        })?;
        if !whole {
            return Ok((taken, Event::NeedMore));
        }
        let head = Head { line: self.buffer.first_line(), fields: Fields::new(self.buffer.field_lines()) };
        self.minor = check(self.buffer.bytes(), &head)?;
        self.state = State::Body(Body::new(framing(&head.fields, self.minor)?));
        Ok((taken, Event::Head))
    }
}

/// Checks all of a head but its framing; returns the minor version.
fn check(bytes: &[u8], head: &Head<'_>) -> Result<u8, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyFields),
        Err(httparse::Error::Version) if names_a_version(head.line) => return Err(Error::Version),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Error::MalformedHead),
    }
    let minor = parsed.version.ok_or(Error::MalformedHead)?;
    if Target::parse(head.method(), head.target()).is_none() {
        return Err(Error::Target);
    }
    let mut hosts = head.fields.all("host");
    match (hosts.next(), hosts.next()) {
        (None, None) if minor == 0 => {}
        (Some(host), None) if is_authority(host) => {}
        _ => return Err(Error::Host),
    }
    Ok(minor)
}

/// Whether a request line ends in `HTTP/`, a digit, `.`, a digit.
fn names_a_version(line: &[u8]) -> bool {
    matches!(line, [.., b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// How the body is framed (RFC 9112 6.3), as far as there are no two opinions about it.
fn framing(fields: &Fields<'_>, minor: u8) -> Result<Framing, Error> {
    let length = fields.content_length().map_err(|_| Error::ContentLength)?;
    match Codings::of(fields.list("transfer-encoding")) {
        Codings::Absent => Ok(length.map_or(Framing::None, Framing::Length)),
        Codings::Invalid => Err(Error::TransferEncoding),
        _ if length.is_some() || minor == 0 => Err(Error::TransferEncoding),
        Codings::Chunked => Ok(Framing::Chunked),
        Codings::Coded | Codings::CodedChunked => Err(Error::UnknownCoding),
    }
}

/// Whether these bytes can be a host, with or without a port. An empty one is valid (RFC 9110 7.2).
fn is_authority(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(byte))
}

/// A target taken apart (RFC 9112 3.2).
struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn parse(method: &str, target: &'a str) -> Option<Self> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return None;
        }
        if target == "*" && method == "OPTIONS" {
            return Some(Self { authority: None, path: target, query: None });
        }
        let after = |scheme: &str| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (authority, rest) = match after("http://").or_else(|| after("https://")) {
            Some(rest) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            None if target.starts_with('/') => (None, target),
            None => return None,
        };
        if authority.is_some_and(|authority| authority.is_empty() || !is_authority(authority.as_bytes())) {
            return None;
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        Some(Self { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

/// The head of a request. Borrows the decoder.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head<'a> {
    line: &'a [u8],
    fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// The head of nothing: no method, no target, no field.
    pub fn none() -> Self {
        Self { line: &[], fields: Fields::new(&[]) }
    }

    /// The method, as sent: methods are case-sensitive.
    pub fn method(&self) -> &'a str {
        self.word(0)
    }

    /// The target, as sent.
    pub fn target(&self) -> &'a str {
        self.word(1)
    }

    /// The version, as sent.
    pub fn version(&self) -> &'a str {
        self.word(2)
    }

    /// The path that is asked for, still percent-encoded: it begins with `/`, or is `*`.
    pub fn path(&self) -> &'a str {
        Target::parse(self.method(), self.target()).map_or("", |target| target.path)
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&'a str> {
        Target::parse(self.method(), self.target())?.query
    }

    /// Host and port that are asked for: those of the target if it has them, else of `Host` (RFC 9112 3.2.2).
    pub fn host(&self) -> Option<&'a [u8]> {
        let target = Target::parse(self.method(), self.target())?;
        target.authority.map(str::as_bytes).or_else(|| self.fields.get("host"))
    }

    /// The header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// The value of the first field of this name (in any case).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// One of the words of the request line; empty if it is not text, which is no method and no target either.
    fn word(&self, index: usize) -> &'a str {
        let word = self.line.split(|&byte| byte == b' ').nth(index).unwrap_or_default();
        core::str::from_utf8(word).unwrap_or_default()
    }
}
