//! Messages over a socket, by the frame protocol of [`tidemill_core::frame`].

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use nix::poll::{PollFd, PollFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidemill_core::frame::link::{self, Config, Endpoint};
use tidemill_core::frame::{Carrier, connection};
use tidemill_core::time::{Clock, Duration as Ticks, EPOCH, Instant as Tick};

use super::travel::{self, Line};
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

/// One end. It greets when it is first used.
pub(super) struct Framed {
    link: Link,
    message_max: usize,
    has_key: bool,
    begun: bool,
    receives: bool,
    sends: bool,
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
    /// `ways`: whether it receives, and whether it sends.
    pub(super) fn new(
        socket: Socket,
        key: Option<&[u8]>,
        message_max: usize,
        (receives, sends): (bool, bool),
    ) -> Result<Self, Error> {
        let mut nonce = [0; 16];
        rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error()))?;
        let config = Config {
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
        Ok(Self { link, message_max, has_key: key.is_some(), begun: false, receives, sends })
    }

    pub(super) fn message_max(&self) -> usize {
        self.message_max
    }

    pub(super) fn can_send(&self) -> bool {
        self.sends
    }

    pub(super) fn can_receive(&self) -> bool {
        self.receives
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        // The wire can only be had for changing.
        self.link.io().0.0.as_fd()
    }

    /// Greets, and is greeted, within the time that is given to that.
    pub(super) fn open(&mut self, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now() + timeout;
        self.begun = true;
        loop {
            while self.link.turn()? {}
            if self.link.link().is_open() {
                return Ok(());
            }
            if let Some(why) = self.link.link().ended() {
                return Err(why.map_or(Error::EndOfFile, Error::from));
            }
            if !self.wait(Some(until))? {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Greets if that was not done yet.
    fn begin(&mut self) -> Result<(), Error> {
        self.begun = true;
        Ok(self.link.open()?)
    }

    /// Waits until something can be done.
    fn wait(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        let now = Since(Instant::now()).now();
        let writes = !self.link.link().poll_output(now).is_empty();
        let ready = if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        Ok(self.link.io().wait(ready, until)?)
    }

    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.begin()?;
        Ok(self.link.send_bytes(message, 0, None)?)
    }

    /// Waits for the next message: its length. It stays until it is [taken](Self::take).
    pub(super) fn next(&mut self) -> Result<Incoming, Error> {
        self.begin()?;
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
        self.begun = true;
        loop {
            // It turns until nothing moves, and then once looks.
            if self.link.poll(Ticks::from_micros(0))? {
                return Ok(true);
            }
            if !self.wait(until)? {
                return Ok(false);
            }
        }
    }
}

impl Drop for Framed {
    fn drop(&mut self) {
        if travel::is_given() || !self.begun {
            return;
        }
        self.link.link().close();
        let until = Instant::now() + LINGER;
        loop {
            match self.link.turn() {
                Ok(true) => {}
                Ok(false) if self.link.link().ended().is_none() && !self.link.link().is_flushed() => {
                    if !matches!(self.wait(Some(until)), Ok(true)) {
                        break;
                    }
                }
                _ => break,
            }
        }
        let _ = self.link.io().0.0.shutdown(How::Write);
    }
}

impl Serialize for Framed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // What has been said on a link, and what of it has been read, does not travel.
        if self.begun || self.has_key {
            return Err(serde::ser::Error::custom(Error::CannotTravel));
        }
        let socket = travel::put(self.socket()).map_err(serde::ser::Error::custom)?;
        (socket, self.message_max, self.receives, self.sends).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Framed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (socket, message_max, receives, sends) = <(u32, usize, bool, bool)>::deserialize(from)?;
        let socket = travel::take(socket).and_then(|socket| Ok(Socket::from_descriptor(socket)?));
        socket
            .and_then(|socket| Self::new(socket, None, message_max, (receives, sends)))
            .map_err(serde::de::Error::custom)
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
