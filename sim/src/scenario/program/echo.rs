//! A client of an echo (RFC 862), that checks every byte of it.

use tidemill_core::net::Stack;
use tidemill_core::serve::{Talk, Wire};

use super::client::{Again, Trouble};
use crate::mill::Content;

/// Bytes moved at a time.
pub(in crate::scenario) const CHUNK: usize = 2048;

/// Sends so many bytes, ends its half, and checks that the same bytes come back, and no others.
pub(in crate::scenario) struct Shout {
    content: Content,
    total: u64,
    sent: u64,
    received: u64,
    shut: bool,
    buffer: Box<[u8]>,
}

impl Shout {
    pub(in crate::scenario) fn new(seed: u64, total: u64) -> Self {
        Self { content: Content::new(seed), total, sent: 0, received: 0, shut: false, buffer: vec![0; CHUNK].into() }
    }
}

impl Again for Shout {
    fn begin(&mut self) {
        (self.sent, self.received, self.shut) = (0, 0, false);
    }
}

impl Talk for Shout {
    type Error = Trouble;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Trouble> {
        loop {
            let mut stuck = true;
            if self.sent < self.total {
                let len = (self.total - self.sent).min(CHUNK as u64) as usize;
                self.content.read(self.sent, &mut self.buffer[..len]);
                match wire.send(&self.buffer[..len]) {
                    Ok(sent) => (self.sent, stuck) = (self.sent + sent as u64, false),
                    Err(nb::Error::WouldBlock) => {}
                    Err(error) => return Err(error.map(Trouble::from)),
                }
            } else if !self.shut {
                wire.shutdown().map_err(Trouble::from)?;
                self.shut = true;
            }
            match wire.recv(&mut self.buffer) {
                Ok(0) if self.received == self.total => return Ok(()),
                // All was sent, or not: an echo never ends before its client.
                Ok(0) if !self.shut => return Err(nb::Error::Other(Trouble::Broken)),
                Ok(0) => {
                    let what = format!("the echo ended after {} bytes of {}", self.received, self.total);
                    return Err(nb::Error::Other(Trouble::Wrong(what)));
                }
                Ok(count) => {
                    let (got, fits) = (&self.buffer[..count], self.received + count as u64 <= self.sent);
                    if let Some(at) = self.content.first_difference(self.received, got).filter(|_| fits) {
                        return Err(nb::Error::Other(Trouble::Wrong(format!("byte {at} of the echo is wrong"))));
                    }
                    if !fits {
                        let what = format!("{} bytes came back of {}", self.received + count as u64, self.sent);
                        return Err(nb::Error::Other(Trouble::Wrong(what)));
                    }
                    self.received += count as u64;
                    stuck = false;
                }
                Err(nb::Error::WouldBlock) => {}
                Err(error) => return Err(error.map(Trouble::from)),
            }
            if stuck {
                return Err(nb::Error::WouldBlock);
            }
        }
    }
}
