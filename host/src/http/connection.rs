//! One connection, and the decoder of what comes over it.

use std::io;

use tidemill_core::http::body::Framing;
use tidemill_core::http::client::{self, Asked, Event};
use tidemill_core::http::send::Sender;

use super::UrlError;
use super::proxy::Proxy;
use super::request::{Data, read_piece};
use super::wire::Wire;

/// The longest head of a response, in bytes.
pub const HEAD_MAX: usize = 64 << 10;

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
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Box<Self> {
        let buffer = vec![0; BUFFER].into();
        Box::new(Self { wire, response: client::Response::new(), buffer, start: 0, end: 0 })
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.start == self.end && self.wire.is_quiet()
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, UrlError> {
        (self.start, self.end) = (0, self.wire.read(&mut self.buffer)?);
        Ok(self.end > 0)
    }

    /// Reads the head of a response.
    pub(super) fn receive_head(&mut self) -> Result<(), UrlError> {
        loop {
            let (taken, event) = self.response.receive(&self.buffer[self.start..self.end])?;
            self.start += taken;
            if event == Event::Head {
                return Ok(());
            }
            if self.start == self.end && !self.fill()? {
                self.response.end_of_stream()?;
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
        self.response.reusable() && self.start == self.end
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

    pub(super) fn send(&mut self, head: &[u8], data: Option<&Data>, framing: Framing) -> Result<(), UrlError> {
        match data {
            None => self.wire.write_all(head),
            // Together with the head, or it would wait for the head to be acknowledged.
            Some(Data::Bytes(bytes)) if bytes.len() <= BUFFER => self.wire.write_all(&[head, bytes].concat()),
            Some(Data::Bytes(bytes)) => {
                self.wire.write_all(head)?;
                self.wire.write_all(bytes)
            }
            Some(Data::Sized(reader, _) | Data::Chunked(reader)) => {
                self.wire.write_all(head)?;
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
    }
}
