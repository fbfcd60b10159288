//! A link on a wire: Python's `multiprocessing.connection.Connection` over `embedded_io`.
//!
//! With a wire that can only block ([`Read`], [`Write`]), the calls block, and time stands still while they do: nothing is
//! repeated and nobody is given up. With one that also tells whether it is ready ([`ReadReady`], [`WriteReady`]),
//! [`turn`](Connection::turn) moves what can be moved and the `try_` calls are `nb`; that is what a reliable link and one with
//! deadlines need.
//!
//! ```
//! use core::convert::Infallible;
//! use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
//! use std::{cell::RefCell, collections::VecDeque, rc::Rc};
//! use tidemill_core::frame::connection::Connection;
//! use tidemill_core::frame::link::{Config, Endpoint};
//! use tidemill_core::frame::Carrier;
//! use tidemill_core::time::{Clock, EPOCH, Instant};
//!
//! /// A wire in memory.
//! type Half = Rc<RefCell<VecDeque<u8>>>;
//! struct Wire { from: Half, to: Half }
//! impl ErrorType for Wire { type Error = Infallible; }
//! impl Read for Wire {
//!     fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
//!         let mut from = self.from.borrow_mut();
//!         let count = buf.len().min(from.len());
//!         buf.iter_mut().zip(from.drain(..count)).for_each(|(to, byte)| *to = byte);
//!         Ok(count)
//!     }
//! }
//! impl Write for Wire {
//!     fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
//!         self.to.borrow_mut().extend(buf);
//!         Ok(buf.len())
//!     }
//!     fn flush(&mut self) -> Result<(), Infallible> { Ok(()) }
//! }
//! impl ReadReady for Wire { fn read_ready(&mut self) -> Result<bool, Infallible> { Ok(!self.from.borrow().is_empty()) } }
//! impl WriteReady for Wire { fn write_ready(&mut self) -> Result<bool, Infallible> { Ok(true) } }
//! struct Still;
//! impl Clock for Still { fn now(&self) -> Instant { EPOCH } }
//!
//! const CONFIG: Config<'static> = Config::new(Carrier::Stream);
//! let end = |from: &Half, to: &Half| {
//!     let endpoint = Endpoint::<_, 1, 0>::new(CONFIG, vec![0; CONFIG.memory(1)]).unwrap();
//!     Connection::new(Wire { from: from.clone(), to: to.clone() }, Still, endpoint, vec![0; 64], vec![0; 64])
//! };
//! let (there, back) = (Half::default(), Half::default());
//! let (mut mill, mut pond) = (end(&back, &there), end(&there, &back));
//! while mill.turn().unwrap() | pond.turn().unwrap() {}
//!
//! mill.try_send_bytes(b"how high?").unwrap();
//! while mill.turn().unwrap() | pond.turn().unwrap() {}
//! assert_eq!(pond.try_recv_bytes(None), Ok(&b"how high?"[..]));
//! ```

#[cfg(test)]
mod tests;

use super::link::{Endpoint, Link, Plain, Post, Repeats};
use crate::time::{Clock, Duration};
use core::fmt;
use embedded_io::{Read, ReadReady, Write, WriteReady};

/// One end of a link, its wire and its clock.
pub struct Connection<'k, Io, T, M, const CHANNELS: usize, const CALLS: usize, R = Plain> {
    wire: Wire<'k, Io, T, M, CHANNELS, CALLS, R>,
    #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "for values only"))]
    scratch: M,
    channel: u8,
    /// The first message of this channel has been shown, and goes when the next is asked for.
    shown: Option<u8>,
    /// A message was longer than whoever asked for it wanted: nothing is read any more.
    refused: bool,
}

/// What moves bytes between the link and the wire.
struct Wire<'k, Io, T, M, const CHANNELS: usize, const CALLS: usize, R> {
    io: Io,
    clock: T,
    endpoint: Endpoint<'k, M, CHANNELS, CALLS, R>,
    input: M,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more goes out.
    broken: bool,
}

impl<Io, T, M, const CHANNELS: usize, const CALLS: usize, R> fmt::Debug
    for Connection<'_, Io, T, M, CHANNELS, CALLS, R>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Why a call on a connection failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The wire failed.
    Io(E),
    /// The link refused, or has ended.
    Link(super::link::Error),
    /// The peer has said goodbye, and all that it sent was read.
    EndOfFile,
    /// The part to send is not within the bytes: a mistake of the caller.
    OutOfRange,
    /// The message that came is this long, more than was asked for. Nothing more can be received.
    TooLong(usize),
    /// The message that came is this long, more than there is room for. It is still there.
    BufferTooShort(usize),
    /// The value does not fit in the scratch, or what came is no such value.
    Value,
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Link(error) => error.fmt(f),
            Self::EndOfFile => f.write_str("end of file"),
            Self::OutOfRange => f.write_str("part out of range"),
            Self::TooLong(len) => write!(f, "a message of {len} bytes is too long"),
            Self::BufferTooShort(len) => write!(f, "a message of {len} bytes does not fit"),
            Self::Value => f.write_str("value does not fit its type or room"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

impl<E> From<super::link::Error> for Error<E> {
    fn from(error: super::link::Error) -> Self {
        Self::Link(error)
    }
}

impl<'k, Io, T, M, const CHANNELS: usize, const CALLS: usize, R> Connection<'k, Io, T, M, CHANNELS, CALLS, R>
where
    T: Clock,
    M: AsMut<[u8]>,
    R: Repeats,
{
    /// A connection that has not greeted yet. `input` is what bytes are read into: a good size is that of a frame or a few.
    /// `scratch` is where values are written by `send`: as long as the longest.
    pub fn new(io: Io, clock: T, endpoint: Endpoint<'k, M, CHANNELS, CALLS, R>, input: M, scratch: M) -> Self {
        let wire = Wire { io, clock, endpoint, input, ended: false, broken: false };
        Self { wire, scratch, channel: 0, shown: None, refused: false }
    }

    /// The link, for what is not said here: calls, events, statistics.
    pub fn link(&mut self) -> Link<'_> {
        self.wire.endpoint.link()
    }

    /// From here on messages go over this channel, and come from it. At first it is 0.
    pub fn on(&mut self, channel: u8) -> &mut Self {
        self.channel = channel;
        self
    }

    /// The wire.
    pub fn io(&self) -> &Io {
        &self.wire.io
    }

    /// The wire, to change it.
    pub fn io_mut(&mut self) -> &mut Io {
        &mut self.wire.io
    }

    /// Drops the message that was shown last.
    fn forget(&mut self) {
        if let Some(channel) = self.shown.take() {
            self.wire.endpoint.link().pop(channel);
        }
    }

    /// The length of the next message, if it is there; what else there is to say if it never will be.
    fn arrived<E>(&mut self) -> nb::Result<usize, Error<E>> {
        if self.refused {
            return Err(Error::Link(super::link::Error::Closed).into());
        }
        let mut link = self.wire.endpoint.link();
        if let Some(message) = link.peek(self.channel) {
            return Ok(message.payload.len());
        }
        match link.ended() {
            Some(Some(error)) => Err(Error::Link(error).into()),
            Some(None) => Err(Error::EndOfFile.into()),
            None if link.peer_closed() => Err(Error::EndOfFile.into()),
            None => Err(nb::Error::WouldBlock),
        }
    }

    /// Shows the message that has arrived.
    fn show<E>(&mut self, maxlength: Option<usize>, len: usize) -> Result<&[u8], Error<E>> {
        if maxlength.is_some_and(|most| len > most) {
            self.refused = true;
            return Err(Error::TooLong(len));
        }
        self.shown = Some(self.channel);
        Ok(self.wire.endpoint.link().into_peek(self.channel).map_or(&[][..], |message| message.payload))
    }

    fn copy<E>(&mut self, buf: &mut [u8], offset: usize, len: usize) -> Result<usize, Error<E>> {
        let room = buf.get_mut(offset..).ok_or(Error::OutOfRange)?;
        let room = room.get_mut(..len).ok_or(Error::BufferTooShort(len))?;
        for (to, from) in room
            .iter_mut()
            .zip(self.wire.endpoint.link().into_peek(self.channel).map_or(&[][..], |message| message.payload))
        {
            *to = *from;
        }
        self.shown = Some(self.channel);
        self.forget();
        Ok(len)
    }
}

/// The part of `buf` from `offset` on, `size` bytes or all.
fn part<E>(buf: &[u8], offset: usize, size: Option<usize>) -> Result<&[u8], Error<E>> {
    let rest = buf.get(offset..).ok_or(Error::OutOfRange)?;
    rest.get(..size.unwrap_or(rest.len())).ok_or(Error::OutOfRange)
}

impl<Io, T, M, const CHANNELS: usize, const CALLS: usize, R> Wire<'_, Io, T, M, CHANNELS, CALLS, R>
where
    Io: Read + Write,
    T: Clock,
    M: AsMut<[u8]>,
    R: Repeats,
{
    /// Writes all there is to write. Whether there was anything.
    fn flush(&mut self) -> Result<bool, Error<Io::Error>> {
        let mut any = false;
        while !self.broken {
            let now = self.clock.now();
            let mut link = self.endpoint.link();
            let output = link.poll_output(now);
            if output.is_empty() {
                if any {
                    self.io.flush().map_err(Error::Io)?;
                }
                return Ok(any);
            }
            any = true;
            match self.io.write(output) {
                Ok(count) => link.wrote(count),
                Err(error) => {
                    self.broken = true;
                    return Err(Error::Io(error));
                }
            }
        }
        Err(Error::Link(super::link::Error::BrokenPipe))
    }

    /// Reads what comes next.
    fn fill(&mut self) -> Result<(), Error<Io::Error>> {
        let mut link = self.endpoint.link();
        let input = self.input.as_mut();
        let count = if self.ended { 0 } else { self.io.read(input).map_err(Error::Io)? };
        if count == 0 {
            self.ended = true;
            link.handle_end();
        } else {
            link.handle_input(self.clock.now(), input.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    /// Sends a message, and waits while the peer has no room.
    fn send(&mut self, channel: u8, message: &[u8]) -> Result<(), Error<Io::Error>> {
        let mut sent = 0;
        loop {
            match self.endpoint.link().send(channel, Post::Data, message, sent) {
                Ok(end) if end == message.len() => return self.flush().map(|_| ()),
                Ok(end) => sent = end,
                Err(nb::Error::Other(error)) => return Err(Error::Link(error)),
                // Writing may make the room that is missing; if there is nothing to write, the peer has to make it.
                Err(nb::Error::WouldBlock) => {
                    if !self.flush()? {
                        self.fill()?;
                    }
                }
            }
        }
    }
}

/// What blocks.
impl<Io, T, M, const CHANNELS: usize, const CALLS: usize, R> Connection<'_, Io, T, M, CHANNELS, CALLS, R>
where
    Io: Read + Write,
    T: Clock,
    M: AsMut<[u8]>,
    R: Repeats,
{
    /// Greets, and waits until the peer has, and is believed if there is a key.
    ///
    /// # Errors
    /// [`Error::Io`] and, in [`Error::Link`], why the link has ended.
    pub fn open(&mut self) -> Result<(), Error<Io::Error>> {
        loop {
            let flushed = self.wire.flush();
            if self.link().is_open() {
                return Ok(());
            }
            if let Some(error) = self.link().ended() {
                return Err(Error::Link(error.unwrap_or(super::link::Error::Closed)));
            }
            flushed?;
            self.wire.fill()?;
        }
    }

    /// Sends the bytes of `buf` from `offset` on, `size` of them or all, as one message.
    ///
    /// It waits while the peer has no room: two ends that only send, and never receive, wait for each other.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Io`], and those of [`Link::send`] in [`Error::Link`].
    pub fn send_bytes(&mut self, buf: &[u8], offset: usize, size: Option<usize>) -> Result<(), Error<Io::Error>> {
        self.wire.send(self.channel, part(buf, offset, size)?)
    }

    /// Waits until a message is there: its length.
    fn wait(&mut self) -> Result<usize, Error<Io::Error>> {
        self.forget();
        loop {
            match self.arrived() {
                Ok(len) => return Ok(len),
                Err(nb::Error::Other(error)) => return Err(error),
                Err(nb::Error::WouldBlock) => {
                    // What the peer sent before it went away can still be read.
                    let _ = self.wire.flush();
                    self.wire.fill()?;
                }
            }
        }
    }

    /// The next message, which stays until the next is asked for.
    ///
    /// # Errors
    /// [`Error::EndOfFile`], [`Error::TooLong`] if it is longer than `maxlength`, [`Error::Io`], and why the link has ended.
    pub fn recv_bytes(&mut self, maxlength: Option<usize>) -> Result<&[u8], Error<Io::Error>> {
        let len = self.wait()?;
        self.show(maxlength, len)
    }

    /// Copies the next message into `buf` from `offset` on: its length.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::BufferTooShort`], and those of [`recv_bytes`](Self::recv_bytes).
    pub fn recv_bytes_into(&mut self, buf: &mut [u8], offset: usize) -> Result<usize, Error<Io::Error>> {
        let len = self.wait()?;
        self.copy(buf, offset, len)
    }

    /// Sends a value.
    ///
    /// # Errors
    /// [`Error::Value`] if it does not fit in the scratch, and those of [`send_bytes`](Self::send_bytes).
    #[cfg(feature = "serde")]
    pub fn send<V: serde::Serialize + ?Sized>(&mut self, value: &V) -> Result<(), Error<Io::Error>> {
        let message = postcard::to_slice(value, self.scratch.as_mut()).map_err(|_| Error::Value)?;
        self.wire.send(self.channel, message)
    }

    /// Receives a value.
    ///
    /// # Errors
    /// [`Error::Value`] if what came is no such value: it is gone, and the next can be received. Those of
    /// [`recv_bytes`](Self::recv_bytes).
    #[cfg(feature = "serde")]
    pub fn recv<V: serde::de::DeserializeOwned>(&mut self) -> Result<V, Error<Io::Error>> {
        postcard::from_bytes(self.recv_bytes(None)?).map_err(|_| Error::Value)
    }

    /// Sends what was taken, says goodbye, and waits for the peer's, or for the end of the wire. What the peer sends
    /// meanwhile is thrown away.
    ///
    /// # Errors
    /// [`Error::Io`], and [`link::Error::BrokenPipe`](super::link::Error::BrokenPipe) if not all could be sent.
    pub fn close(&mut self) -> Result<(), Error<Io::Error>> {
        self.link().close();
        loop {
            let flushed = self.wire.flush();
            match self.link().ended() {
                Some(None) => return Ok(()),
                Some(Some(error)) => return Err(Error::Link(error)),
                None => drop(flushed?),
            }
            self.wire.fill()?;
            for channel in 0..CHANNELS as u8 {
                while self.link().peek(channel).is_some() {
                    self.link().pop(channel);
                }
            }
        }
    }
}

/// What does not block.
impl<Io, T, M, const CHANNELS: usize, const CALLS: usize, R> Connection<'_, Io, T, M, CHANNELS, CALLS, R>
where
    Io: Read + Write + ReadReady + WriteReady,
    T: Clock,
    M: AsMut<[u8]>,
    R: Repeats,
{
    /// Writes once and reads once, as far as the wire is ready. Whether anything moved.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn turn(&mut self) -> Result<bool, Error<Io::Error>> {
        let mut moved = false;
        let wire = &mut self.wire;
        let mut link = wire.endpoint.link();
        let output = link.poll_output(wire.clock.now());
        if !output.is_empty() && !wire.broken && wire.io.write_ready().map_err(Error::Io)? {
            moved = true;
            match wire.io.write(output) {
                Ok(count) => link.wrote(count),
                // What the peer sent before it went away can still be read.
                Err(_) => wire.broken = true,
            }
        }
        if !wire.ended && wire.io.read_ready().map_err(Error::Io)? {
            moved = true;
            wire.fill()?;
        }
        Ok(moved)
    }

    /// Takes a message to be sent, which [`turn`](Self::turn) then does: whole or not at all, so it has to fit in a frame
    /// ([`Link::frame_max`]). Longer ones go in parts, by [`Link::send`].
    ///
    /// # Errors
    /// `WouldBlock`, and those of [`Link::send`] in [`Error::Link`].
    pub fn try_send_bytes(&mut self, message: &[u8]) -> nb::Result<(), Error<Io::Error>> {
        if self.wire.broken {
            return Err(Error::Link(super::link::Error::BrokenPipe).into());
        }
        let channel = self.channel;
        let mut link = self.link();
        if link.frame_max().is_some_and(|most| message.len() > most) {
            return Err(Error::Link(super::link::Error::TooLong).into());
        }
        match link.send(channel, Post::Data, message, 0) {
            Ok(_) => Ok(()),
            Err(nb::Error::WouldBlock) => Err(nb::Error::WouldBlock),
            Err(nb::Error::Other(error)) => Err(Error::Link(error).into()),
        }
    }

    /// The next message if it is there, which stays until the next is asked for.
    ///
    /// # Errors
    /// `WouldBlock`, and those of [`recv_bytes`](Self::recv_bytes).
    pub fn try_recv_bytes(&mut self, maxlength: Option<usize>) -> nb::Result<&[u8], Error<Io::Error>> {
        self.forget();
        let len = self.arrived()?;
        Ok(self.show(maxlength, len)?)
    }

    /// Waits until there is something to receive, also the end of it, for at most so long. Whether there is. It turns all the
    /// while: where there is something better to do, or to sleep on, use [`turn`](Self::turn).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn poll(&mut self, timeout: Duration) -> Result<bool, Error<Io::Error>> {
        self.forget();
        let deadline = self.wire.clock.now() + timeout;
        loop {
            while self.turn()? {}
            if !matches!(self.arrived::<Io::Error>(), Err(nb::Error::WouldBlock)) {
                return Ok(true);
            }
            if self.wire.clock.now() >= deadline {
                return Ok(false);
            }
            core::hint::spin_loop();
        }
    }
}
