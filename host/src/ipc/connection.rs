//! One end of a pipe or of a connection: Python's `multiprocessing.connection.Connection`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::framed::Framed;
use super::futex::deadline;
use super::ring::{self, Ring};
use super::stream::{self, Stream};
use super::{Error, travel};
use crate::socket::wait_for_any;

/// The longest message through a [`pipe`], unless [`Connection::set_message_max`] says otherwise, in bytes.
pub const MESSAGE_MAX: usize = 256 << 20;

/// How much memory is taken for a message before any of it has come.
const GROW: usize = 1 << 20;

/// A message that is next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub(super) len: usize,
    pub(super) descriptors: usize,
}

/// Longer messages than any.
const LEN_END: u64 = 1 << 48;

impl Incoming {
    /// Both as one word.
    pub(super) fn head(self) -> u64 {
        self.len as u64 | (self.descriptors as u64) << 48
    }

    pub(super) fn from_head(head: u64) -> Self {
        Self { len: (head % LEN_END) as usize, descriptors: (head / LEN_END) as usize }
    }
}

/// One end of a [`pipe`], or of a connection that a [`Listener`](super::Listener) or [`connect`](super::connect) made.
/// Messages keep their boundaries.
///
/// It belongs to one process and thread at a time. The end of a pipe (not of a connection) that is moved into the arguments of a
/// [`Process`](crate::process::Process), or sent through another pipe, goes on there with what has not been received. Dropping
/// or [closing](Self::close) it lets the other end receive what was sent, and then [`Error::EndOfFile`].
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    message_max: usize,
    buffer: Vec<u8>,
    /// A message was too long for its receiver.
    refused: bool,
}

#[derive(Debug)]
enum Transport {
    Ring(Box<Ring>),
    Stream(Stream),
    Framed(Box<Framed>),
}

/// Two ends of a pipe. If not `duplex`, the first only receives and the second only sends. Python's `Pipe`.
///
/// It goes through shared memory, 256 KiB each way, with a socket to wake who sleeps and to tell of the other's end; where
/// the system gives no shared memory, through the socket.
///
/// # Errors
/// [`Error::Os`]: no descriptor or memory is left.
#[doc(alias = "Pipe")]
pub fn pipe(duplex: bool) -> Result<(Connection, Connection), Error> {
    match ring::pair(duplex, ring::CAPACITY) {
        Ok((first, second)) => Ok((Connection::ring(first), Connection::ring(second))),
        Err(Error::Os(nix::errno::Errno::ENOSYS | nix::errno::Errno::EINVAL | nix::errno::Errno::EACCES)) => {
            stream_pipe(duplex)
        }
        Err(error) => Err(error),
    }
}

/// A pipe without shared memory.
pub(super) fn stream_pipe(duplex: bool) -> Result<(Connection, Connection), Error> {
    let (first, second) = stream::pair(duplex)?;
    let of = |stream| Connection::of(Transport::Stream(stream), MESSAGE_MAX);
    Ok((of(first), of(second)))
}

impl Connection {
    fn of(transport: Transport, message_max: usize) -> Self {
        Self { transport, message_max, buffer: Vec::new(), refused: false }
    }

    fn ring(ring: Ring) -> Self {
        Self::of(Transport::Ring(Box::new(ring)), MESSAGE_MAX)
    }

    pub(super) fn framed(framed: Framed) -> Self {
        let message_max = framed.message_max();
        Self::of(Transport::Framed(Box::new(framed)), message_max)
    }

    /// The longest message that this end sends or receives from now on, in bytes. Of a connection, not more than it was made
    /// for.
    pub fn set_message_max(&mut self, bytes: usize) {
        self.message_max = match &self.transport {
            Transport::Ring(_) | Transport::Stream(_) => bytes.min(LEN_END as usize - 1),
            Transport::Framed(framed) => bytes.min(framed.message_max()),
        };
    }

    /// Whether this end may send. Python's `writable`.
    #[doc(alias = "writable")]
    pub fn can_send(&self) -> bool {
        match &self.transport {
            Transport::Ring(ring) => ring.can_send(),
            Transport::Stream(stream) => stream.can_send(),
            Transport::Framed(_) => true,
        }
    }

    /// Whether this end may receive. Python's `readable`.
    #[doc(alias = "readable")]
    pub fn can_receive(&self) -> bool {
        match &self.transport {
            Transport::Ring(ring) => ring.can_receive(),
            Transport::Stream(stream) => stream.can_receive(),
            Transport::Framed(_) => true,
        }
    }

    fn check(&self, way: bool) -> Result<(), Error> {
        if self.refused {
            Err(Error::Closed)
        } else if way {
            Ok(())
        } else {
            Err(Error::WrongWay)
        }
    }

    /// Sends a value, which may contain ends of pipes, queues, locks and [descriptors](super::Descriptor): the receiver gets
    /// its own. It waits while there is no room.
    ///
    /// # Errors
    /// [`Error::BrokenPipe`], [`Error::WrongWay`], [`Error::TooLong`], [`Error::Value`], [`Error::CannotTravel`]:
    /// descriptors over the network, or more than 253.
    pub fn send<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.check(self.can_send())?;
        self.buffer.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let (encoded, descriptors) = travel::pack(|| postcard::to_io(value, &mut buffer).map(drop));
        let sent = encoded.map_err(Error::from).and_then(|()| self.send_message(&buffer, &descriptors));
        self.buffer = buffer;
        sent
    }

    /// Sends the bytes of `buf` from `offset` on, `size` of them or all, as one message. It waits while there is no room.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::BrokenPipe`], [`Error::WrongWay`], [`Error::TooLong`].
    pub fn send_bytes(&mut self, buf: &[u8], offset: usize, size: Option<usize>) -> Result<(), Error> {
        self.check(self.can_send())?;
        let rest = buf.get(offset..).ok_or(Error::OutOfRange)?;
        let part = rest.get(..size.unwrap_or(rest.len())).ok_or(Error::OutOfRange)?;
        self.send_message(part, &[])
    }

    fn send_message(&mut self, message: &[u8], descriptors: &[OwnedFd]) -> Result<(), Error> {
        if message.len() > self.message_max {
            return Err(Error::TooLong(message.len()));
        }
        match &mut self.transport {
            Transport::Ring(ring) => ring.send(message, descriptors),
            Transport::Stream(stream) => stream.send(message, descriptors),
            Transport::Framed(_) if !descriptors.is_empty() => Err(Error::CannotTravel),
            Transport::Framed(framed) => framed.send(message),
        }
    }

    /// Receives a value. It waits until there is one.
    ///
    /// # Errors
    /// [`Error::EndOfFile`], [`Error::BrokenPipe`], [`Error::WrongWay`], [`Error::Value`], [`Error::TooLong`] by
    /// [`set_message_max`](Self::set_message_max).
    pub fn recv<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let (len, descriptors) = self.receive(None)?;
        let message = self.buffer.get(..len).unwrap_or_default();
        Ok(travel::unpack(descriptors, || postcard::from_bytes(message))?)
    }

    /// Receives the bytes of a message, which stay until the next call. It waits until there is one.
    ///
    /// # Errors
    /// [`Error::EndOfFile`], [`Error::BrokenPipe`], [`Error::WrongWay`]; [`Error::TooLong`] if it is longer than `maxlength`:
    /// then nothing more can be sent or received.
    pub fn recv_bytes(&mut self, maxlength: Option<usize>) -> Result<&[u8], Error> {
        let (len, _) = self.receive(maxlength)?;
        Ok(self.buffer.get(..len).unwrap_or_default())
    }

    /// Receives the bytes of a message into `buf` from `offset` on: how many.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::BufferTooShort`], and those of [`recv_bytes`](Self::recv_bytes).
    pub fn recv_bytes_into(&mut self, buf: &mut [u8], offset: usize) -> Result<usize, Error> {
        self.check(self.can_receive())?;
        let room = buf.get_mut(offset..).ok_or(Error::OutOfRange)?;
        let next = self.next(None)?;
        let room = room.get_mut(..next.len).ok_or(Error::BufferTooShort(next.len))?;
        match &mut self.transport {
            Transport::Ring(ring) => {
                ring.begin(next)?;
                ring.fill(room)?;
                ring.end(next.len);
            }
            Transport::Stream(stream) => {
                stream.begin(next)?;
                stream.read(room)?;
            }
            Transport::Framed(framed) => framed.take(room),
        }
        Ok(next.len)
    }

    fn next(&mut self, maxlength: Option<usize>) -> Result<Incoming, Error> {
        let next = match &mut self.transport {
            Transport::Ring(ring) => ring.next(),
            Transport::Stream(stream) => stream.next(),
            Transport::Framed(framed) => framed.next(),
        }?;
        if next.len > maxlength.unwrap_or(usize::MAX).min(self.message_max) {
            self.refused = true;
            return Err(Error::TooLong(next.len));
        }
        Ok(next)
    }

    /// Receives a message into the buffer: its length, and what came with it.
    fn receive(&mut self, maxlength: Option<usize>) -> Result<(usize, Vec<OwnedFd>), Error> {
        self.check(self.can_receive())?;
        let next = self.next(maxlength)?;
        let descriptors = match &mut self.transport {
            Transport::Ring(ring) => ring.begin(next)?,
            Transport::Stream(stream) => stream.begin(next)?,
            Transport::Framed(_) => Vec::new(),
        };
        // What is announced may never come: memory is taken as it does.
        let mut filled = 0;
        while filled < next.len {
            let end = next.len.min(filled + GROW.max(filled));
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            let part = self.buffer.get_mut(filled..end).unwrap_or_default();
            match &mut self.transport {
                Transport::Ring(ring) => ring.fill(part)?,
                Transport::Stream(stream) => stream.read(part)?,
                Transport::Framed(_) => break,
            }
            filled = end;
        }
        match &mut self.transport {
            Transport::Ring(ring) => ring.end(next.len),
            Transport::Stream(_) => {}
            Transport::Framed(framed) => {
                self.buffer.resize(self.buffer.len().max(next.len), 0);
                framed.take(self.buffer.get_mut(..next.len).unwrap_or_default());
            }
        }
        Ok((next.len, descriptors))
    }

    /// Whether there is something to receive, also the end of it; waits for that up to `timeout`, or for ever.
    ///
    /// # Errors
    /// [`Error::WrongWay`], [`Error::Closed`]; what the transport says.
    pub fn poll(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.check(self.can_receive())?;
        match &mut self.transport {
            Transport::Ring(ring) => ring.poll(deadline(timeout)),
            Transport::Stream(stream) => stream.poll(deadline(timeout)),
            Transport::Framed(framed) => framed.poll(deadline(timeout)),
        }
    }

    /// Asks that the descriptor become readable when there is something to receive. False: there is already.
    fn arm(&mut self) -> Result<bool, Error> {
        if self.poll(Some(Duration::ZERO))? {
            return Ok(false);
        }
        match &mut self.transport {
            Transport::Ring(ring) => ring.want(),
            Transport::Stream(_) | Transport::Framed(_) => Ok(true),
        }
    }

    /// Closes this end, as dropping does; of a connection, it also waits up to a second for the other end to part. That it is
    /// not used after does not need to be checked: it does not compile.
    pub fn close(mut self) {
        if let Transport::Framed(framed) = &mut self.transport {
            framed.part(true);
        }
    }
}

/// `fileno`: a descriptor that becomes readable when something comes after [`poll`](Connection::poll) has said that there is
/// nothing, for loops of one's own: they [`poll`](Connection::poll) with a time limit of zero, receive while it says yes, and
/// sleep on the descriptor when it says no. It may become readable for nothing.
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.transport {
            Transport::Ring(ring) => ring.socket(),
            Transport::Stream(stream) => stream.socket(),
            Transport::Framed(framed) => framed.socket(),
        }
    }
}

impl Serialize for Connection {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (ring, stream) = match &self.transport {
            Transport::Ring(ring) => (Some(&**ring), None),
            Transport::Stream(stream) => (None, Some(stream)),
            // What has been said on a link, and what of it was read, does not travel.
            Transport::Framed(_) => return Err(serde::ser::Error::custom(Error::CannotTravel)),
        };
        (ring, stream, self.message_max, self.refused).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (ring, stream, message_max, refused) = <(Option<Ring>, Option<Stream>, usize, bool)>::deserialize(from)?;
        let transport = match (ring, stream) {
            (Some(ring), None) => Transport::Ring(Box::new(ring)),
            (None, Some(stream)) => Transport::Stream(stream),
            _ => return Err(serde::de::Error::custom(Error::Damaged)),
        };
        Ok(Self { refused, ..Self::of(transport, message_max) })
    }
}

/// What can be waited for with [`wait`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Ready<'a> {
    /// Something to receive, or the end of it.
    Connection(&'a mut Connection),
    /// A descriptor that is readable: a socket, or the [sentinel](crate::process::Child::sentinel) of a process.
    Descriptor(BorrowedFd<'a>),
}

/// Waits until one of them is ready, up to `timeout` or for ever: the places of those that are; none if the time is over.
/// Python's `multiprocessing.connection.wait`.
///
/// # Errors
/// Those of [`Connection::poll`].
pub fn wait(those: &mut [Ready<'_>], timeout: Option<Duration>) -> Result<Vec<usize>, Error> {
    let deadline = deadline(timeout);
    loop {
        let mut ready = Vec::new();
        for (place, one) in those.iter_mut().enumerate() {
            if let Ready::Connection(connection) = one
                && !connection.arm()?
            {
                ready.push(place);
            }
        }
        // With some ready already: what the others are, without waiting.
        let until = if ready.is_empty() { deadline } else { Some(std::time::Instant::now()) };
        let mut fds: Vec<_> = those
            .iter()
            .map(|one| match one {
                Ready::Connection(connection) => PollFd::new(connection.as_fd(), PollFlags::POLLIN),
                Ready::Descriptor(fd) => PollFd::new(*fd, PollFlags::POLLIN),
            })
            .collect();
        let any = wait_for_any(&mut fds, until)?;
        let descriptors = fds.iter().enumerate().filter(|(_, fd)| fd.any() == Some(true)).map(|(place, _)| place);
        let is_plain = |place: &usize| matches!(those.get(*place), Some(Ready::Descriptor(_)));
        let plain: Vec<usize> = descriptors.filter(is_plain).collect();
        ready.extend(plain);
        if !ready.is_empty() || !any {
            ready.sort_unstable();
            return Ok(ready);
        }
        // A connection was called: the next look tells whether for something.
    }
}
