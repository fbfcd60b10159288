//! Messages over a socket, by the frame protocol of [`tidemill_core::frame`].

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use nix::poll::{PollFd, PollFlags};
use tidemill_core::frame::link::{self, Config, Endpoint};
use tidemill_core::frame::{Carrier, connection};
use tidemill_core::time::{Clock, Duration as Ticks, EPOCH, Instant as Tick};

use super::travel::Line;
use super::{Error, Incoming};
use crate::socket::{self, Flags, How, Socket, wait_for_any};

/// How long the other end may take to greet.
pub(super) const GREETING: Duration = Duration::from_secs(10);

/// How long dropping waits until what was sent is on its way.
const LINGER: Duration = Duration::from_secs(1);

/// A frame's payload, at most.
const PAYLOAD: usize = 64 << 10;

/// A socket as a wire that blocks.
#[derive(Debug)]
struct Wire(Line);

#[derive(Debug)]
struct Failed(socket::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl embedded_io::Error for Failed {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl ErrorType for Wire {
    type Error = Failed;
}

impl Wire {
    fn wait(&self, ready: PollFlags, until: Option<Instant>) -> Result<bool, Failed> {
        wait_for_any(&mut [PollFd::new(self.0.0.as_fd(), ready)], until).map_err(|errno| Failed(errno.into()))
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failed> {
        match self.0.0.recv_into(buf, Flags::empty()) {
            // It ended without a goodbye, which the link notices.
            Err(socket::Error::Os(nix::errno::Errno::ECONNRESET)) => Ok(0),
            result => result.map_err(Failed),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Failed> {
        loop {
            match self.0.0.send(buf, Flags::MSG_DONTWAIT) {
                Err(socket::Error::WouldBlock) => drop(self.wait(PollFlags::POLLOUT, None)?),
                result => return result.map_err(Failed),
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, Failed> {
        self.wait(PollFlags::POLLIN, Some(Instant::now()))
    }
}

impl WriteReady for Wire {
    fn write_ready(&mut self) -> Result<bool, Failed> {
        self.wait(PollFlags::POLLOUT, Some(Instant::now()))
    }
}

struct Since(Instant);

impl Clock for Since {
    fn now(&self) -> Tick {
        EPOCH + Ticks::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

type Link = connection::Connection<'static, Wire, Since, Vec<u8>, 1, 0>;

/// One end.
pub(super) struct Framed {
    link: Link,
    message_max: usize,
}

impl std::fmt::Debug for Framed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framed").field("message_max", &self.message_max).finish_non_exhaustive()
    }
}

/// A key for as long as the process lives: there are few, each is kept once.
fn keep(key: &[u8]) -> &'static [u8] {
    static KEYS: Mutex<Vec<&'static [u8]>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = keys.iter().find(|known| **known == key) {
        return known;
    }
    let kept: &'static [u8] = Box::leak(key.into());
    keys.push(kept);
    kept
}

impl Framed {
    /// One that has greeted, and was greeted in time.
    pub(super) fn new(
        socket: Socket,
        key: Option<&[u8]>,
        message_max: usize,
        greeting: Duration,
    ) -> Result<Self, Error> {
        let mut nonce = [0; 16];
        rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error()))?;
        let config = Config {
            checksum: crate::frame::checksum,
            payload_max: PAYLOAD,
            // A message, and what each of its frames costs.
            window: message_max
                .checked_add(message_max / 1024)
                .and_then(|window| window.checked_add(4 * PAYLOAD))
                .ok_or(Error::Config)?,
            transmit: 2 * PAYLOAD,
            nonce,
            key: key.map(keep),
            ..Config::new(Carrier::Stream)
        };
        let endpoint = Endpoint::new(config, vec![0; config.memory(1)]).map_err(|_| Error::Config)?;
        let wire = Wire(Line::new(socket));
        let link = Link::new(wire, Since(Instant::now()), endpoint, vec![0; PAYLOAD], Vec::new());
        let mut framed = Self { link, message_max };
        framed.open(greeting)?;
        Ok(framed)
    }

    pub(super) fn message_max(&self) -> usize {
        self.message_max
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.link.io().0.0.as_fd()
    }

    fn open(&mut self, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now() + timeout;
        loop {
            let moved = self.link.turn()?;
            // What the other end has to know to be open, too, is on its way.
            if self.link.link().is_open() && !self.writes() {
                return Ok(());
            }
            if let Some(why) = self.link.link().ended() {
                return Err(why.map_or(Error::EndOfFile, Error::from));
            }
            if Instant::now() >= until || !moved && !self.wait(Some(until))? {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Whether there is something to write.
    fn writes(&mut self) -> bool {
        // Nothing of it depends on the time, without signs of life.
        !self.link.link().poll_output(EPOCH).is_empty()
    }

    /// Waits until something can be done.
    fn wait(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        let ready = if self.writes() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        Ok(self.link.io().wait(ready, until)?)
    }

    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        Ok(self.link.send_bytes(message, 0, None)?)
    }

    /// Waits for the next message: its length. It stays until it is [taken](Self::take).
    pub(super) fn next(&mut self) -> Result<Incoming, Error> {
        match self.link.recv_bytes_into(&mut [], 0) {
            Ok(len) | Err(connection::Error::BufferTooShort(len)) => Ok(Incoming { len, descriptors: 0 }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the message that is next.
    pub(super) fn take(&mut self, room: &mut [u8]) {
        if !room.is_empty() {
            let _ = self.link.recv_bytes_into(room, 0);
        }
    }

    pub(super) fn poll(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        loop {
            let moved = self.link.turn()?;
            let mut link = self.link.link();
            if link.peek(0).is_some() || link.peer_closed() || link.ended().is_some() {
                return Ok(true);
            }
            if !moved && !self.wait(until)? {
                return Ok(false);
            }
        }
    }

    /// Says goodbye, and waits for a while until that and all before it is on its way; or until the other end has said its own.
    /// What that still sends is thrown away.
    pub(super) fn part(&mut self, until_both: bool) {
        self.link.link().close();
        let until = Instant::now() + LINGER;
        loop {
            let moved = self.link.turn();
            while self.link.link().peek(0).is_some() {
                self.link.link().pop(0);
            }
            let link = self.link.link();
            let done = link.ended().is_some() || (link.is_flushed() && !until_both);
            match moved {
                Ok(true) if !done && Instant::now() < until => {}
                Ok(false) if !done && matches!(self.wait(Some(until)), Ok(true)) => {}
                _ => return,
            }
        }
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        self.part(false);
        let _ = self.link.io().0.0.shutdown(How::Write);
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.0.into()
    }
}

impl From<link::Error> for Error {
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::TooLong => Self::TooLong(0),
            link::Error::Closed => Self::EndOfFile,
            link::Error::BrokenPipe => Self::BrokenPipe,
            link::Error::TimedOut => Self::TimedOut,
            link::Error::Denied => Self::Denied,
            link::Error::Config => Self::Config,
            _ => Self::Damaged,
        }
    }
}

impl From<connection::Error<Failed>> for Error {
    fn from(error: connection::Error<Failed>) -> Self {
        match error {
            connection::Error::Io(failed) => failed.into(),
            connection::Error::Link(error) => error.into(),
            connection::Error::EndOfFile => Self::EndOfFile,
            connection::Error::OutOfRange => Self::OutOfRange,
            connection::Error::TooLong(len) => Self::TooLong(len),
            connection::Error::BufferTooShort(len) => Self::BufferTooShort(len),
            _ => Self::Damaged,
        }
    }
}
