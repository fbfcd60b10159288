//! An echo (RFC 862), and a client that checks every byte of it.

use tidemill_core::net::{Error, Handle, Interest, Stack};

use super::client::{Talk, Trouble};
use super::server::Answer;
use crate::mill::Content;

/// Bytes moved at a time.
const CHUNK: usize = 2048;

/// Sends back what it gets, and ends when its peer has and all is sent.
#[derive(Default)]
pub(in crate::scenario) struct Echo {
    /// What came and is still to be sent: its start, and its end.
    held: (usize, usize),
    buffer: Box<[u8]>,
    ended: bool,
}

impl Answer for Echo {
    fn turn<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Option<Error>> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; CHUNK].into();
        }
        loop {
            while self.held.0 < self.held.1 {
                let sent = net.send(socket, &self.buffer[self.held.0..self.held.1]);
                self.held.0 += sent.map_err(|error| error.map(Some))?;
                *moved = true;
            }
            if self.ended {
                return Ok(());
            }
            let count = net.recv(socket, &mut self.buffer).map_err(|error| error.map(Some))?;
            self.held = (0, count);
            self.ended = count == 0;
            *moved = true;
        }
    }

    fn waits_for(&self) -> Interest {
        if self.held.0 < self.held.1 { Interest::Write } else { Interest::Read }
    }
}

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

impl Talk for Shout {
    fn begin(&mut self) {
        (self.sent, self.received, self.shut) = (0, 0, false);
    }

    fn turn<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Trouble> {
        loop {
            let mut stuck = true;
            if self.sent < self.total {
                let len = (self.total - self.sent).min(CHUNK as u64) as usize;
                self.content.read(self.sent, &mut self.buffer[..len]);
                match net.send(socket, &self.buffer[..len]) {
                    Ok(sent) => (self.sent, stuck) = (self.sent + sent as u64, false),
                    Err(nb::Error::WouldBlock) => {}
                    Err(error) => return Err(error.map(Trouble::from)),
                }
            } else if !self.shut {
                net.shutdown(socket).map_err(Trouble::from)?;
                self.shut = true;
            }
            match net.recv(socket, &mut self.buffer) {
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
            *moved = true;
        }
    }

    fn waits_for(&self) -> Interest {
        if self.sent < self.total { Interest::Both } else { Interest::Read }
    }
}
