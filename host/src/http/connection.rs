//! One connection, and the decoder of what comes over it.

use std::io;
use std::time::{Duration, Instant};

use tidemill_core::http::body::Framing;
use tidemill_core::http::client::{self, Asked, Event};
use tidemill_core::http::send::Sender;

use super::UrlError;
use super::proxy::Proxy;
use super::request::{Data, Reader, read_piece};
use super::wire::Wire;

/// The longest head of a response, in bytes.
pub const HEAD_MAX: usize = 64 << 10;

/// The longest head of a request, in bytes.
const REQUEST_MAX: usize = 64 << 10;

/// How long a request with [`expect_continue`](super::Request::expect_continue) waits for a word of the server.
pub const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// What is read at once where it cannot go straight to whoever reads.
const BUFFER: usize = 16 << 10;

/// A connection and the decoder of what comes over it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) response: client::Response<HEAD_MAX>,
    buffer: Box<[u8]>,
    /// What of `buffer` has come and is not taken.
    start: usize,
    end: usize,
    /// The server did not want the body of the request: it may wait for it all the same, so nothing else can follow.
    unwanted: bool,
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Box<Self> {
        let buffer = vec![0; BUFFER].into();
        Box::new(Self { wire, response: client::Response::new(), buffer, start: 0, end: 0, unwanted: false })
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.start == self.end && self.wire.is_quiet()
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, UrlError> {
        (self.start, self.end) = (0, self.wire.read(&mut self.buffer)?);
        Ok(self.end > 0)
    }

    /// Reads the head of a response, unless it has come already.
    pub(super) fn receive_head(&mut self) -> Result<(), UrlError> {
        while self.response.head().status() == 0 {
            let (taken, event) = self.response.receive(&self.buffer[self.start..self.end])?;
            self.start += taken;
            if event == Event::Head {
                break;
            }
            if self.start == self.end && !self.fill()? {
                self.response.end_of_stream()?;
            }
        }
        Ok(())
    }

    /// Waits for a word of the server about the body: whether to send it. If not, the head of the response has come.
    fn is_wanted(&mut self) -> Result<bool, UrlError> {
        let patience = Instant::now() + CONTINUE_TIME;
        loop {
            let (taken, event) = self.response.receive(&self.buffer[self.start..self.end])?;
            self.start += taken;
            if event == Event::Head || self.response.continued() {
                return Ok(event != Event::Head);
            }
            let left = patience.saturating_duration_since(Instant::now());
            match self.wire.read_within(&mut self.buffer, left)? {
                None => return Ok(true),
                Some(0) => self.response.end_of_stream().map(drop)?,
                Some(count) => (self.start, self.end) = (0, count),
            }
        }
    }

    /// Reads of the body, straight into `out` where it stands as it is.
    pub(super) fn receive_body(&mut self, out: &mut [u8]) -> Result<usize, UrlError> {
        let plain = !matches!(self.response.head().framing(), Framing::Chunked);
        loop {
            if self.start == self.end && plain && out.len() >= BUFFER {
                // No more than is this body's: what follows is the next response's.
                let head = self.response.head();
                let left = match head.framing() {
                    Framing::Length(length) => length.saturating_sub(self.response.body_received()),
                    Framing::None => 0,
                    _ => u64::MAX,
                };
                let room = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
                if room > 0 {
                    let count = self.wire.read(&mut out[..room])?;
                    if count == 0 {
                        self.response.end_of_stream()?;
                        return Ok(0);
                    }
                    // The decoder counts; the bytes are where they should be.
                    self.response.receive(&out[..count])?;
                    return Ok(count);
                }
            }
            let want = self.end.min(self.start.saturating_add(out.len()));
            let (taken, event) = self.response.receive(&self.buffer[self.start..want])?;
            self.start += taken;
            match event {
                Event::Body(data) => {
                    out[..data.len()].copy_from_slice(data);
                    return Ok(data.len());
                }
                Event::End => return Ok(0),
                Event::NeedMore | Event::Head => {}
            }
            if self.start == self.end && !self.fill()? {
                self.response.end_of_stream()?;
                return Ok(0);
            }
        }
    }

    /// Whether it can be kept, now that a body has ended: nothing may have come that nobody asked for.
    pub(super) fn is_reusable(&self) -> bool {
        self.response.reusable() && self.start == self.end && !self.unwanted
    }

    /// Has a proxy connect to where the request goes.
    pub(super) fn tunnel(&mut self, proxy: &Proxy, authority: &str) -> Result<(), UrlError> {
        let authorization = proxy.authorization();
        let field = authorization.as_ref().map(|value| ("Proxy-Authorization", value.as_bytes()));
        let headers: Vec<_> = field.into_iter().collect();
        let mut out = vec![0; 4 << 10];
        let request = client::Request {
            method: "CONNECT",
            target: authority,
            host: authority,
            headers: &headers,
            body: Framing::None,
        };
        let len = request.write_to(&mut out)?;
        self.response.start(Asked::Tunnel);
        self.wire.write_all(&out[..len])?;
        self.receive_head()?;
        let head = self.response.head();
        if !(200..300).contains(&head.status()) {
            return Err(UrlError::Proxy(format!("answered {} to CONNECT {authority}", head.status())));
        }
        if self.start < self.end {
            return Err(UrlError::Proxy("sent something before it was asked".into()));
        }
        Ok(())
    }

    /// Sends a request, which has the connection for itself. With `expects`, the body waits for the server to want it.
    pub(super) fn send(
        &mut self,
        head: &client::Request<'_>,
        data: Option<&Data>,
        expects: bool,
    ) -> Result<(), UrlError> {
        // Nothing is left in the buffer, or the connection would not have been kept.
        let (mut large, mut out) = (Vec::new(), &mut self.buffer[..]);
        let mut len = head.write_to(out);
        if len == Err(client::Error::NoSpace) {
            large.resize(REQUEST_MAX, 0);
            out = &mut large;
            len = head.write_to(out);
        }
        let mut len = len?;
        // Together with the head, or it would wait for the head to be acknowledged.
        let small = match data {
            Some(Data::Bytes(bytes)) if !expects => out.get_mut(len..len + bytes.len()).map(|room| (room, bytes)),
            _ => None,
        };
        let is_sent = small.is_some();
        if let Some((room, bytes)) = small {
            room.copy_from_slice(bytes);
            len += bytes.len();
        }
        self.wire.write_all(&out[..len])?;
        if expects && !self.is_wanted()? {
            self.unwanted = true;
            return Ok(());
        }
        match data {
            Some(Data::Bytes(bytes)) if !is_sent => self.wire.write_all(bytes),
            Some(Data::Sized(reader, _) | Data::Chunked(reader)) => self.send_from(reader, head.body),
            None | Some(Data::Bytes(_)) => Ok(()),
        }
    }

    fn send_from(&mut self, reader: &Reader, framing: Framing) -> Result<(), UrlError> {
        let (mut piece, mut out) = (vec![0; BUFFER], vec![0; 2 * BUFFER]);
        let mut sender = Sender::new(framing);
        let bad = |error| UrlError::Io(io::Error::other(error));
        loop {
            let count = match read_piece(reader, &mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(UrlError::Io(error)),
            };
            // A piece and what is around a chunk fit into `out`.
            let (_, len) = sender.write(&piece[..count], &mut out).map_err(bad)?;
            self.wire.write_all(&out[..len])?;
        }
        let len = sender.end(&[], &mut out).map_err(bad)?;
        self.wire.write_all(&out[..len])
    }
}
