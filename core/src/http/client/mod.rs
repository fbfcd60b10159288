//! The client's side: a request is written, its response decoded.
//!
//! ```text
//!            Head            Body*            End
//! start ──▶ head ──▶ (1xx: head again) ──▶ body ──▶ done ──▶ start, if reusable
//!            │ 101 after `Upgrade`, or 2xx after CONNECT
//!            └──▶ switched: what follows is not HTTP
//! ```
//!
//! [`Response::receive`] takes what the connection delivered and answers with one [`Event`] and the number of bytes it
//! took; call it again with the rest until it says [`Event::NeedMore`] or [`Event::End`]. When the connection ends,
//! [`Response::end_of_stream`] tells whether the response was whole. See the [parent](super) for an example.
//!
//! ```
//! use tidemill_core::http::client::{Asked, Error, Event, Response};
//! let mut response = Response::<256>::new();
//! response.start(Asked::Resource);
//! let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
//! let (taken, _) = response.receive(input)?;
//! assert_eq!(response.receive(&input[taken..])?, (3, Event::Body(b"hel")));
//! assert_eq!(response.end_of_stream(), Err(Error::Incomplete { missing: Some(2) }));
//! # Ok::<(), Error>(())
//! ```

#[cfg(test)]
mod malformed;
mod request;
#[cfg(test)]
mod tests;

pub use request::Request;

use core::mem::MaybeUninit;

use super::body::{Body, Codings, Framing, Piece};
use super::fields::{self, Fields};
use super::head::{HeadBuffer, HeadError};
use super::{MAX_FIELDS, chunked};

/// How many interim responses (1xx) may come before the final one.
pub const MAX_INTERIM: u8 = 64;

/// What goes wrong with a request or its response. The connection is of no more use after any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The request's method, target, host or a header has a byte that may not stand there, or a header is one the
    /// writer writes itself. Nothing must be sent.
    BadRequest,
    /// The request does not fit into the buffer.
    NoSpace,
    /// The status line alone is larger than the decoder's buffer.
    StatusLineTooLong,
    /// The head of the response is larger than the decoder's buffer.
    HeadTooLarge,
    /// The head has more than [`MAX_FIELDS`] fields.
    TooManyFields,
    /// The head is not one of HTTP.
    MalformedHead,
    /// The version is not 1.0 or 1.1.
    Version,
    /// `Content-Length` is malformed or contradicts itself.
    ContentLength,
    /// `Transfer-Encoding` has `chunked` twice, or not last.
    TransferEncoding,
    /// The chunked body is malformed.
    Chunked(chunked::Error),
    /// More than [`MAX_INTERIM`] interim responses.
    TooManyInterim,
    /// 101: the server speaks another protocol from here on, though none was asked for.
    SwitchedProtocols,
    /// The connection ended before the first byte of a response: often an idle connection that the server had given
    /// up. The request may be repeated on another if it is idempotent.
    NoResponse,
    /// The connection ended within the response.
    Incomplete {
        /// How many bytes of the body are missing, if it has a length.
        missing: Option<u64>,
    },
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BadRequest => "request has forbidden bytes or fields",
            Self::NoSpace => "request does not fit into its buffer",
            Self::StatusLineTooLong => "status line too long",
            Self::HeadTooLarge => "response head too large",
            Self::TooManyFields => "response has too many header fields",
            Self::MalformedHead => "malformed response head",
            Self::Version => "response is not HTTP/1.0 or HTTP/1.1",
            Self::ContentLength => "malformed or contradictory Content-Length",
            Self::TransferEncoding => "malformed Transfer-Encoding",
            Self::Chunked(error) => return error.fmt(f),
            Self::TooManyInterim => "too many interim responses",
            Self::SwitchedProtocols => "server switched protocols unasked",
            Self::NoResponse => "connection closed before a response",
            Self::Incomplete { missing: Some(missing) } => {
                return write!(f, "connection closed with {missing} bytes of the body missing");
            }
            Self::Incomplete { missing: None } => "connection closed within the response",
        })
    }
}

impl core::error::Error for Error {}

/// What was asked, as far as the meaning of the answer depends on it (RFC 9112 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Asked {
    /// Anything but the below.
    #[default]
    Resource,
    /// With HEAD: the answer has no body.
    Head,
    /// With `Upgrade`: 101 switches to another protocol.
    Upgrade,
    /// With CONNECT: any 2xx makes a tunnel of the connection.
    Tunnel,
}

/// What [`Response::receive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<'i> {
    /// All of the input was taken, and more is needed.
    NeedMore,
    /// The final head is whole: see [`Response::head`].
    Head,
    /// Bytes of the body, at least one, borrowed from the input.
    Body(&'i [u8]),
    /// The response is whole. What follows in the input is not its; nor HTTP, if it [switched](Head::switched).
    End,
}

/// Where a response has got to.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State {
    Head,
    Body(Body),
    Done,
    Failed(Error),
}

/// What the head said, once it is whole.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Meaning {
    status: u16,
    framing: Framing,
    content_length: Option<u64>,
    transfer_coded: bool,
    keep_alive: bool,
    switched: bool,
}

impl Meaning {
    const UNKNOWN: Self = Self {
        status: 0,
        framing: Framing::UntilClose,
        content_length: None,
        transfer_coded: false,
        keep_alive: false,
        switched: false,
    };
}

/// Decodes responses, one after another, on one connection. Holds the head in `HEAD` bytes; a body is never copied.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Response<const HEAD: usize> {
    buffer: HeadBuffer<HEAD>,
    state: State,
    meaning: Meaning,
    asked: Asked,
    interim: u8,
    continued: bool,
    body_received: u64,
}

impl<const HEAD: usize> Default for Response<HEAD> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const HEAD: usize> Response<HEAD> {
    /// A decoder before its first response, to a request for [`Asked::Resource`].
    pub const fn new() -> Self {
        Self {
            buffer: HeadBuffer::new(),
            state: State::Head,
            meaning: Meaning::UNKNOWN,
            asked: Asked::Resource,
            interim: 0,
            continued: false,
            body_received: 0,
        }
    }

    /// Forgets the last response and waits for the next.
    pub fn start(&mut self, asked: Asked) {
        self.buffer.clear();
        self.state = State::Head;
        self.meaning = Meaning::UNKNOWN;
        self.asked = asked;
        (self.interim, self.continued, self.body_received) = (0, false, 0);
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

    /// The connection has ended. [`Event::End`] if the response may end here: it was whole, or its body is delimited by
    /// just that ([`Framing::UntilClose`]), in which case nobody can tell whether it was cut.
    pub fn end_of_stream(&mut self) -> Result<Event<'static>, Error> {
        let result = match &self.state {
            State::Head if self.buffer.is_empty() && self.interim == 0 => Err(Error::NoResponse),
            State::Head => Err(Error::Incomplete { missing: None }),
            State::Body(body) => body.end_of_stream().map_err(|missing| Error::Incomplete { missing }),
            State::Done => Ok(()),
            State::Failed(error) => Err(*error),
        };
        self.state = result.map_or_else(State::Failed, |()| State::Done);
        result.map(|()| Event::End)
    }

    /// The head. Before [`Event::Head`] its status is 0, and it has no fields.
    pub fn head(&self) -> Head<'_> {
        let known = self.meaning.status != 0;
        Head {
            meaning: self.meaning,
            line: if known { self.buffer.first_line() } else { &[] },
            fields: Fields::new(if known { self.buffer.field_lines() } else { &[] }),
        }
    }

    /// How many bytes of the body were handed out.
    pub fn body_received(&self) -> u64 {
        self.body_received
    }

    /// Whether the connection can carry another request: the response was read to its end, that end was told by the
    /// response itself, and neither side wants to close.
    pub fn reusable(&self) -> bool {
        matches!(self.state, State::Done) && self.meaning.keep_alive && self.meaning.framing != Framing::UntilClose
    }

    /// Whether the server said 100: that it waits for the body of a request with `Expect: 100-continue` (RFC 9110 10.1.1).
    /// Who sent such a request looks here after each [`Event::NeedMore`]. If a final head comes instead, the body must not
    /// be sent any more, and the connection be closed unless it is sent nevertheless; if nothing comes for a second or so, the
    /// server does not know the field, and the body is to be sent.
    pub fn continued(&self) -> bool {
        self.continued
    }

    /// The fields behind a chunked body, once the response is whole; they are not to be mixed with those of the head
    /// (RFC 9110 6.5.1). `None`: they did not fit into what the head left of the buffer, or it is not whole yet.
    pub fn trailers(&self) -> Option<Fields<'_>> {
        self.buffer.trailers().filter(|_| matches!(self.state, State::Done))
    }

    fn receive_body<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), chunked::Error> {
        let State::Body(body) = &mut self.state else { return Ok((0, Event::End)) };
        let (taken, piece) = body.next(input, &mut self.buffer)?;
        let event = match piece {
            Piece::NeedMore => Event::NeedMore,
            Piece::Data(data) => {
                self.body_received += data.len() as u64;
                Event::Body(data)
            }
            Piece::End => {
                self.state = State::Done;
                Event::End
            }
        };
        Ok((taken, event))
    }

    fn receive_head<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), Error> {
        let mut taken = 0;
        loop {
            let (more, whole) = self.buffer.receive(&input[taken..]).map_err(|error| match error {
                HeadError::LineTooLong => Error::StatusLineTooLong,
                HeadError::TooLarge => Error::HeadTooLarge,
                HeadError::Malformed => Error::MalformedHead,
            })?;
            taken += more;
            if !whole {
                return Ok((taken, Event::NeedMore));
            }
            let meaning = parse(self.buffer.bytes(), self.asked)?;
            if meaning.status >= 200 || meaning.switched {
                self.meaning = meaning;
                self.state = State::Body(Body::new(meaning.framing));
                return Ok((taken, Event::Head));
            }
            if meaning.status == 101 {
                return Err(Error::SwitchedProtocols);
            }
            self.continued |= meaning.status == 100;
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Error::TooManyInterim);
            }
            self.buffer.clear();
        }
    }
}

/// Reads a whole head and decides how the body is framed (RFC 9112 6.3).
fn parse(head: &[u8], asked: Asked) -> Result<Meaning, Error> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyFields),
        Err(httparse::Error::Version) if head.starts_with(b"HTTP/") => return Err(Error::Version),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Error::MalformedHead),
    }
    let (Some(minor), Some(status)) = (parsed.version, parsed.code) else { return Err(Error::MalformedHead) };
    if !(100..600).contains(&status) {
        return Err(Error::MalformedHead);
    }
    if matches!((asked, status), (Asked::Upgrade, 101) | (Asked::Tunnel, 200..=299)) {
        return Ok(Meaning { status, framing: Framing::None, switched: true, ..Meaning::UNKNOWN });
    }
    // As `Fields::list`, of what has been taken apart already.
    let list = |name: &'static str| {
        let named = parsed.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.flat_map(|header| header.value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
    };
    let content_length = fields::content_length(list("content-length")).map_err(|_| Error::ContentLength)?;
    let codings = Codings::of(list("transfer-encoding"));
    let framing = match codings {
        Codings::Invalid => return Err(Error::TransferEncoding),
        _ if asked == Asked::Head || status < 200 || matches!(status, 204 | 304) => Framing::None,
        Codings::Chunked | Codings::CodedChunked => Framing::Chunked,
        Codings::Coded => Framing::UntilClose,
        Codings::Absent => content_length.map_or(Framing::UntilClose, Framing::Length),
    };
    // A length beside a coding, or a coding in 1.0, is how responses are smuggled: the body is read by its coding, and
    // nothing after it is trusted (RFC 9112 6.1).
    let doubtful = codings != Codings::Absent && (content_length.is_some() || minor == 0);
    Ok(Meaning {
        status,
        framing,
        content_length: if codings == Codings::Absent { content_length } else { None },
        transfer_coded: matches!(codings, Codings::CodedChunked | Codings::Coded),
        keep_alive: fields::keep_alive(list("connection"), minor) && !doubtful,
        switched: false,
    })
}

/// The head of a response. Borrows the decoder.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head<'a> {
    meaning: Meaning,
    line: &'a [u8],
    fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// Whether the connection is no longer one of HTTP: 101 after [`Asked::Upgrade`], or 2xx after [`Asked::Tunnel`]. What
    /// follows the head in the input is the first of the other protocol.
    pub fn switched(&self) -> bool {
        self.meaning.switched
    }

    /// The status code: 200 to 599, or 101.
    pub fn status(&self) -> u16 {
        self.meaning.status
    }

    /// The reason phrase; often empty, never to be relied on.
    pub fn reason(&self) -> &'a [u8] {
        self.line.get("HTTP/1.1 200".len()..).unwrap_or_default().trim_ascii()
    }

    /// The header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// The value of the first field of this name (in any case).
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.get(name)
    }

    /// All fields, in order: name as sent, and value.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.fields.iter()
    }

    /// How the body is delimited.
    pub fn framing(&self) -> Framing {
        self.meaning.framing
    }

    /// `Content-Length`: of the body, or of what a HEAD or conditional request would otherwise have got. `None` beside a
    /// `Transfer-Encoding`, which overrides it.
    pub fn content_length(&self) -> Option<u64> {
        self.meaning.content_length
    }

    /// Whether the body is under a transfer coding besides `chunked` (say `gzip`), which the decoder does not undo.
    pub fn transfer_coded(&self) -> bool {
        self.meaning.transfer_coded
    }
}
