//! What comes back.

use std::io::{self, BufRead, BufReader, Read};
use std::mem;

use super::{Headers, UrlError};

/// The longest line that [`Response::readline`] puts together, in bytes.
pub const LINE_MAX: usize = 1 << 20;

/// A response: its head, and its body to be read. As Python's `http.client.HTTPResponse`, with the URL it came from.
///
/// Reading is [`std::io::Read`], [`BufRead`] or [`embedded_io::Read`]; the cause of an error is a [`UrlError`] within it.
/// Whoever reads to the end gives the connection back for the next request; dropped earlier, it is closed.
pub struct Response {
    /// The URL it came from, after redirects.
    #[doc(alias = "geturl")]
    pub url: String,
    /// The status; 200 where there is none, as for files.
    #[doc(alias = "code")]
    pub status: u16,
    /// The reason phrase, which means nothing.
    #[doc(alias = "msg")]
    pub reason: String,
    /// The fields.
    pub headers: Headers,
    length: Option<u64>,
    /// The fields with which this URL may be asked for again, without this module; `None` if they would not do.
    pub(crate) again: Option<Vec<(String, String)>>,
    body: Body,
}

/// What reads a body.
type Reader = Box<dyn Read + Send + Sync>;

/// A body, buffered from when somebody asks for lines: a connection has a buffer of its own.
struct Body {
    bare: Reader,
    buffered: Option<BufReader<Reader>>,
}

/// What a body is buffered in, in bytes.
const BUFFER: usize = 16 << 10;

impl Body {
    fn new(bare: Reader) -> Self {
        Self { bare, buffered: None }
    }

    fn buffered(&mut self) -> &mut BufReader<Reader> {
        let bare = &mut self.bare;
        let start = || BufReader::with_capacity(BUFFER, mem::replace(bare, Box::new(io::empty())));
        self.buffered.get_or_insert_with(start)
    }

    fn into_reader(self) -> Reader {
        self.buffered.map_or(self.bare, |buffered| Box::new(buffered))
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.buffered {
            Some(buffered) => buffered.read(buf),
            None => self.bare.read(buf),
        }
    }
}

impl Response {
    pub(super) fn new(
        url: String,
        status: u16,
        reason: String,
        headers: Headers,
        length: Option<u64>,
        body: Reader,
    ) -> Self {
        Self { url, status, reason, headers, length, again: None, body: Body::new(body) }
    }

    /// With what a handler makes of the body.
    pub(super) fn map_body(self, map: impl FnOnce(Reader) -> Reader) -> Self {
        let body = Body::new(map(self.body.into_reader()));
        Self { body, length: None, ..self }
    }

    /// The fields.
    pub fn info(&self) -> &Headers {
        &self.headers
    }

    /// A field's value.
    #[doc(alias = "getheader")]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// How many bytes the body has, all together, if that is known before it is read.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads at most `count` bytes, fewer only at the end.
    ///
    /// # Errors
    /// [`UrlError::ContentTooShort`], [`UrlError::Timeout`], [`UrlError::Net`], [`UrlError::Protocol`]. What came before is
    /// lost here: who wants to keep it reads by [`Read`].
    #[doc(alias = "read")]
    pub fn read_up_to(&mut self, count: usize) -> Result<Vec<u8>, UrlError> {
        // As much as is known to come, as far as that may be believed before it has.
        let known = self.length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(known.min(count).min(4 * BUFFER));
        (&mut self.body).take(count as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads all that is left, at most `limit` bytes: what is longer is an error.
    ///
    /// # Errors
    /// As [`read_up_to`](Self::read_up_to), and [`UrlError::Io`] if there is more.
    pub fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, UrlError> {
        let bytes = self.read_up_to(limit.saturating_add(1))?;
        if bytes.len() > limit {
            return Err(UrlError::Io(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"))));
        }
        Ok(bytes)
    }

    /// Reads a line, with its end; empty at the end of the body. A line longer than [`LINE_MAX`] comes in pieces.
    ///
    /// # Errors
    /// As [`read_up_to`](Self::read_up_to).
    pub fn readline(&mut self) -> Result<Vec<u8>, UrlError> {
        let mut line = Vec::new();
        self.body.buffered().take(LINE_MAX as u64).read_until(b'\n', &mut line)?;
        Ok(line)
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, status, headers, .. } = self;
        f.debug_struct("Response").field("url", url).field("status", status).field("headers", headers).finish()
    }
}

impl Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.body.read(buf)
    }
}

impl BufRead for Response {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.body.buffered().fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.body.buffered().consume(amount);
    }
}

impl embedded_io::ErrorType for Response {
    type Error = io::Error;
}

impl embedded_io::Read for Response {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.body.read(buf)
    }
}
