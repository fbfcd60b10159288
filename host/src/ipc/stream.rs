//! A pipe through a socket, where the system gives no shared memory.
//!
//! A message is 8 bytes (its length, and how many descriptors come with them) and its bytes. A length of all ones is a goodbye: an
//! end that comes without one is a death.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ring::DESCRIPTORS_MAX;
use super::travel::{self, Line};
use super::{Error, Incoming};
use crate::socket::{Ancillary, Control, Flags, Kind, Socket, cmsg_space, wait_for_any};

const GOODBYE: u64 = u64::MAX;

/// One end.
#[derive(Debug)]
pub(super) struct Stream {
    line: Line,
    receives: bool,
    sends: bool,
    /// The head of the message that is next, if it was read.
    head: Option<u64>,
    descriptors: VecDeque<OwnedFd>,
}

pub(super) fn pair(duplex: bool) -> Result<(Stream, Stream), Error> {
    let (first, second) = Socket::socketpair(Kind::Stream)?;
    Ok((Stream::new(first, true, duplex), Stream::new(second, duplex, true)))
}

impl Stream {
    fn new(socket: Socket, receives: bool, sends: bool) -> Self {
        Self { line: Line::new(socket), receives, sends, head: None, descriptors: VecDeque::new() }
    }

    pub(super) fn can_send(&self) -> bool {
        self.sends
    }

    pub(super) fn can_receive(&self) -> bool {
        self.receives
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.line.0.as_fd()
    }

    pub(super) fn send(&mut self, message: &[u8], descriptors: &[OwnedFd]) -> Result<(), Error> {
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(Error::CannotTravel);
        }
        let head = Incoming { len: message.len(), descriptors: descriptors.len() }.head().to_le_bytes();
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let parts = [IoSlice::new(&head), IoSlice::new(message)];
        let sent = self.line.0.sendmsg(&parts, &[Ancillary::Descriptors(&borrowed)], Flags::empty(), None)?;
        for rest in [head.get(sent..), message.get(sent.saturating_sub(head.len())..)] {
            // Nothing at all is not sent: the other end may have what it wanted, and be gone.
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                self.line.0.sendall(rest, Flags::empty())?;
            }
        }
        Ok(())
    }

    /// Waits for the next message: its length. It stays.
    pub(super) fn next(&mut self) -> Result<Incoming, Error> {
        let head = if let Some(head) = self.head {
            head
        } else {
            let mut head = [0; 8];
            self.read(&mut head)?;
            *self.head.insert(u64::from_le_bytes(head))
        };
        if head == GOODBYE { Err(Error::EndOfFile) } else { Ok(Incoming::from_head(head)) }
    }

    /// Goes past the head of the message that is next.
    pub(super) fn begin(&mut self, next: Incoming) -> Result<Vec<OwnedFd>, Error> {
        self.head = None;
        if self.descriptors.len() < next.descriptors {
            return Err(Error::Damaged);
        }
        Ok(self.descriptors.drain(..next.descriptors).collect())
    }

    /// Fills all of `buf`. An end is one that was not announced.
    pub(super) fn read(&mut self, mut buf: &mut [u8]) -> Result<(), Error> {
        while !buf.is_empty() {
            let room = cmsg_space(DESCRIPTORS_MAX * size_of::<i32>());
            let received = self.line.0.recvmsg_into(&mut [IoSliceMut::new(buf)], room, Flags::empty())?;
            for control in received.control {
                if let Control::Descriptors(came) = control {
                    self.descriptors.extend(came);
                }
            }
            if received.bytes == 0 {
                return Err(Error::BrokenPipe);
            }
            buf = buf.get_mut(received.bytes..).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) fn poll(&mut self, until: Option<Instant>) -> Result<bool, Error> {
        Ok(self.head.is_some() || wait_for_any(&mut [PollFd::new(self.socket(), PollFlags::POLLIN)], until)?)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !travel::is_given() && self.sends {
            // If there is no room for it, the other end will find none: a broken pipe, then.
            let _ = self.line.0.send(&GOODBYE.to_le_bytes(), Flags::MSG_DONTWAIT);
        }
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let socket = travel::put(self.socket()).map_err(serde::ser::Error::custom)?;
        (socket, self.receives, self.sends, self.head).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (socket, receives, sends, head) = <(u32, bool, bool, Option<u64>)>::deserialize(from)?;
        let socket = travel::take(socket).and_then(|socket| Ok(Socket::from_descriptor(socket)?));
        let mut stream = Self::new(socket.map_err(serde::de::Error::custom)?, receives, sends);
        stream.head = head;
        Ok(stream)
    }
}
