//! A pipe in shared memory: a ring of bytes each way, and a socket as its doorbell.
//!
//! One end writes a way's bytes and then, with one store, how far; the other reads them and stores how far it has come. Neither
//! writes what is the other's. A message is 8 bytes (its length, and how many descriptors go with it), its bytes, and up to 7
//! more, so that the next begins at a multiple of 8. One that is longer than a part of the ring goes through it in parts.
//!
//! # Waiting
//! Who finds nothing to read, or no room, looks again for a bounded while; then it asks for a [`Bell`], looks once more, and
//! sleeps in `poll` on its socket. The other stores how far it is, then looks whether a bell is wanted, and sends a byte.
//!
//! The kernel ends the socket when nobody has the other end any more, however that came about, and wakes the sleeper. Who
//! closes an end says so in shared memory before: that tells closed from dead. Who only sends, and never waits, looks at the socket
//! when the kernel's clock has ticked (4 ms): so it, too, learns of a death within that time.
//!
//! # Who dies
//! What was stored before is whole, and is received; what was not stored does not exist. A message of which only parts
//! were stored is told as [`Error::BrokenPipe`].

use std::collections::VecDeque;
use std::hint::spin_loop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bell::Bell;
use super::region::{Apart, Head, Segment};
use super::travel::{self, Line};
use super::{Error, Incoming};
use crate::socket::{Flags, Kind, Socket, wait_for_any};

/// How many bytes each way's ring has, unless said otherwise: with two of them, what a core's own cache holds.
pub(super) const CAPACITY: usize = 256 << 10;

/// How often who waits looks before it sleeps: at most, and at least. Looking is worth it as long as the other end answers
/// meanwhile; if it does not (it runs on the same core, or has nothing to say), who waits looks half as often the next time.
const LOOKS: std::ops::RangeInclusive<usize> = 32..=400;

/// How many bytes are copied before the other side is told of them.
const PART: usize = 16 << 10;

/// How many descriptors go with one message.
pub(super) const DESCRIPTORS_MAX: usize = 253;

#[repr(C)]
struct Way {
    /// How many bytes were written, ever.
    written: Apart<AtomicU64>,
    /// And read.
    read: Apart<AtomicU64>,
    /// The receiver wants a bell when there is more to read.
    receiver: Apart<Bell>,
    /// The sender wants one when there is room.
    sender: Apart<Bell>,
}

#[repr(C)]
pub(super) struct Pair {
    /// The first end's, and the second end's.
    ways: [Way; 2],
    closed: [AtomicU32; 2],
    /// 1: only the second end sends.
    one_way: AtomicU32,
}

// SAFETY: atomics, in the order and at the places they are written in. (Loom's are none, and its tests make no ring.)
#[expect(unsafe_code, reason = "promises what the trait says")]
unsafe impl Head for Pair {
    const KIND: u64 = u64::from_le_bytes(*b"tidepipe");
}

/// One end.
#[derive(Debug)]
pub(super) struct Ring {
    segment: Segment<Pair>,
    line: Line,
    side: usize,
    capacity: usize,
    /// How far this end has written and read, and what it knows of the other.
    out: u64,
    out_read: u64,
    came: u64,
    came_written: u64,
    came_told: u64,
    /// Descriptors that have come, ahead of their messages.
    descriptors: VecDeque<OwnedFd>,
    /// The other end is gone.
    gone: bool,
    /// How often to look before the next sleep.
    looks: usize,
    /// When the socket was looked at last.
    looked: (i64, i64),
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair")
    }
}

pub(super) fn pair(duplex: bool, capacity: usize) -> Result<(Ring, Ring), Error> {
    let segment = Segment::<Pair>::new(2 * capacity)?;
    segment.one_way.store(u32::from(!duplex), Ordering::Release);
    let (first, second) = Socket::socketpair(Kind::Stream)?;
    Ok((Ring::new(segment.clone(), first, 0)?, Ring::new(segment, second, 1)?))
}

impl Ring {
    fn new(segment: Segment<Pair>, socket: Socket, side: usize) -> Result<Self, Error> {
        let capacity = segment.len() / 2;
        if !capacity.is_power_of_two() || capacity < 4096 || side > 1 {
            return Err(Error::Damaged);
        }
        let [out, came] = [&segment.ways[side], &segment.ways[1 - side]];
        let (out, out_read) = (out.written.load(Ordering::Acquire), out.read.load(Ordering::Acquire));
        let (came, came_written) = (came.read.load(Ordering::Acquire), came.written.load(Ordering::Acquire));
        Ok(Self {
            segment,
            line: Line::new(socket),
            side,
            capacity,
            out,
            out_read,
            came,
            came_written,
            came_told: came,
            descriptors: VecDeque::new(),
            gone: false,
            looks: *LOOKS.end(),
            looked: (0, 0),
        })
    }

    fn outward(&self) -> &Way {
        &self.segment.ways[self.side]
    }

    fn inward(&self) -> &Way {
        &self.segment.ways[1 - self.side]
    }

    pub(super) fn can_send(&self) -> bool {
        self.side == 1 || self.segment.one_way.load(Ordering::Relaxed) == 0
    }

    pub(super) fn can_receive(&self) -> bool {
        self.side == 0 || self.segment.one_way.load(Ordering::Relaxed) == 0
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.line.0.as_fd()
    }

    /// Writes a message.
    pub(super) fn send(&mut self, message: &[u8], descriptors: &[OwnedFd]) -> Result<(), Error> {
        self.look_for_the_other()?;
        if !descriptors.is_empty() {
            if descriptors.len() > DESCRIPTORS_MAX {
                return Err(Error::CannotTravel);
            }
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            self.line.0.send_fds(&[1], &borrowed)?;
        }
        let base = self.side * self.capacity;
        let padded = message.len().next_multiple_of(8);
        let head = Incoming { len: message.len(), descriptors: descriptors.len() }.head();
        let mut room = self.room((8 + padded).min(PART))?;
        self.segment.write_ring(base, self.capacity, self.out, &head.to_le_bytes());
        self.out = self.out.wrapping_add(8);
        room -= 8;
        let mut rest = message;
        loop {
            let (part, more) = rest.split_at(rest.len().min(room).min(PART));
            self.segment.write_ring(base, self.capacity, self.out, part);
            self.out = self.out.wrapping_add(part.len() as u64);
            rest = more;
            if rest.is_empty() {
                self.out = self.out.wrapping_add((padded - message.len()) as u64);
                self.tell_written();
                return Ok(());
            }
            self.tell_written();
            room = self.room(rest.len().next_multiple_of(8).min(PART))?;
        }
    }

    fn tell_written(&self) {
        self.outward().written.store(self.out, Ordering::Release);
        self.ring_if_wanted(&self.outward().receiver);
    }

    fn tell_read(&mut self) {
        self.came_told = self.came;
        self.inward().read.store(self.came, Ordering::Release);
        self.ring_if_wanted(&self.inward().sender);
    }

    /// Sends a byte to an end that sleeps, or is about to.
    fn ring_if_wanted(&self, bell: &Bell) {
        if bell.is_wanted() {
            // If the socket is full, it is readable; if the other end is gone, whoever waits for it will know.
            let _ = self.line.0.send(&[0], Flags::MSG_DONTWAIT);
        }
    }

    /// Notices that the other end is gone, though nothing is waited for.
    fn look_for_the_other(&mut self) -> Result<(), Error> {
        let now = clock_gettime(ClockId::MonotonicCoarse);
        let now = (now.tv_sec, now.tv_nsec);
        let closed = self.segment.closed[1 - self.side].load(Ordering::Relaxed) != 0;
        if !self.gone && (closed || now != self.looked) {
            self.looked = now;
            self.hear(Some(Instant::now()))?;
        }
        if self.gone { Err(Error::BrokenPipe) } else { Ok(()) }
    }

    /// After a wait that took so many looks: how often to look at the next.
    fn learn(&mut self, looks: usize) {
        if looks >= self.looks {
            self.looks = (looks / 2).max(*LOOKS.start());
        } else if looks > 0 {
            self.looks = (2 * self.looks).min(*LOOKS.end());
        }
    }

    /// Waits until there is room for so many bytes: how much there is.
    fn room(&mut self, need: usize) -> Result<usize, Error> {
        let mut looks = 0;
        loop {
            let used = self.out.wrapping_sub(self.out_read);
            let room = (self.capacity as u64).checked_sub(used).ok_or(Error::Damaged)? as usize;
            if room >= need {
                self.learn(looks);
                return Ok(room);
            }
            let read = self.outward().read.load(Ordering::Acquire);
            if read != self.out_read {
                self.out_read = read;
            } else if self.gone {
                return Err(Error::BrokenPipe);
            } else if looks < self.looks {
                looks += 1;
                spin_loop();
            } else {
                self.outward().sender.want();
                if self.outward().read.load(Ordering::Acquire) == self.out_read {
                    self.hear(None)?;
                }
                self.outward().sender.quiet();
            }
        }
    }

    /// How many bytes there are to read.
    fn available(&mut self) -> Result<usize, Error> {
        if self.came == self.came_written {
            self.came_written = self.inward().written.load(Ordering::Acquire);
        }
        let available = self.came_written.wrapping_sub(self.came);
        if available > self.capacity as u64 { Err(Error::Damaged) } else { Ok(available as usize) }
    }

    /// Waits until there is something to read: how much. 0: not until then.
    ///
    /// # Errors
    /// [`Error::EndOfFile`], [`Error::BrokenPipe`].
    fn wait(&mut self, deadline: Option<Instant>) -> Result<usize, Error> {
        let mut looks = 0;
        loop {
            let available = self.available()?;
            if available > 0 {
                self.learn(looks);
                return Ok(available);
            }
            if self.came_told != self.came {
                self.tell_read();
            }
            if self.gone {
                // What it wrote before it went was seen by now: the load came after.
                if self.inward().written.load(Ordering::Acquire) != self.came {
                    continue;
                }
                let closed = self.segment.closed[1 - self.side].load(Ordering::Acquire) != 0;
                return Err(if closed { Error::EndOfFile } else { Error::BrokenPipe });
            }
            if looks < self.looks && deadline.is_none_or(|deadline| looks % 64 != 0 || Instant::now() < deadline) {
                looks += 1;
                spin_loop();
                continue;
            }
            let heard = !self.want()? || self.hear(deadline)?;
            self.inward().receiver.quiet();
            if !heard && self.available()? == 0 {
                return Ok(0);
            }
        }
    }

    /// Asks for a bell when there is more to read. False: there is.
    pub(super) fn want(&mut self) -> Result<bool, Error> {
        self.inward().receiver.want();
        Ok(!self.gone && self.available()? == 0)
    }

    /// Waits for a bell, or the other's end, and takes what came over the socket. False: not until then.
    fn hear(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        if !wait_for_any(&mut [PollFd::new(self.line.0.as_fd(), PollFlags::POLLIN)], deadline)? {
            return Ok(false);
        }
        self.answer()
    }

    /// Takes what came over the socket.
    pub(super) fn answer(&mut self) -> Result<bool, Error> {
        let mut bells = [0; 64];
        let mut bells = [std::io::IoSliceMut::new(&mut bells)];
        let room = crate::socket::cmsg_space(DESCRIPTORS_MAX * size_of::<i32>());
        match self.line.0.recvmsg_into(&mut bells, room, Flags::MSG_DONTWAIT) {
            Err(crate::socket::Error::WouldBlock) => return Ok(false),
            Ok(received) => {
                for control in received.control {
                    if let crate::socket::Control::Descriptors(came) = control {
                        self.descriptors.extend(came);
                    }
                }
                // More than one message's would be more than was announced.
                if self.descriptors.len() > 64 * DESCRIPTORS_MAX {
                    return Err(Error::Damaged);
                }
                self.gone |= received.bytes == 0;
            }
            Err(crate::socket::Error::Os(nix::errno::Errno::ECONNRESET)) => self.gone = true,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Whether there is something to receive, also the end of it, by then.
    pub(super) fn poll(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        match self.wait(deadline) {
            Ok(available) => Ok(available > 0),
            Err(Error::EndOfFile | Error::BrokenPipe) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next message: its length. It stays.
    pub(super) fn next(&mut self) -> Result<Incoming, Error> {
        self.wait(None)?;
        let mut head = [0; 8];
        self.segment.read_ring((1 - self.side) * self.capacity, self.capacity, self.came, &mut head);
        Ok(Incoming::from_head(u64::from_le_bytes(head)))
    }

    /// Goes past the head of the message that is next.
    pub(super) fn begin(&mut self, next: Incoming) -> Result<Vec<OwnedFd>, Error> {
        while self.descriptors.len() < next.descriptors {
            if self.gone || next.descriptors > DESCRIPTORS_MAX {
                return Err(Error::Damaged);
            }
            self.hear(None)?;
        }
        self.came = self.came.wrapping_add(8);
        Ok(self.descriptors.drain(..next.descriptors).collect())
    }

    /// The next bytes of the message.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        let base = (1 - self.side) * self.capacity;
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            // A message that breaks off was not sent whole.
            let available = self.wait(None).map_err(|_| Error::BrokenPipe)?;
            let part = rest.len().min(available).min(PART);
            self.segment.read_ring(base, self.capacity, self.came, &mut rest[..part]);
            self.came = self.came.wrapping_add(part as u64);
            filled += part;
            if self.came.wrapping_sub(self.came_told) >= PART as u64 {
                self.tell_read();
            }
        }
        Ok(())
    }

    /// Goes past the end of a message of this length.
    pub(super) fn end(&mut self, len: usize) {
        self.came = self.came.wrapping_add((len.next_multiple_of(8) - len) as u64);
        if self.came.wrapping_sub(self.came_told) >= self.capacity as u64 / 8 {
            self.tell_read();
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !travel::is_given() {
            if self.came_told != self.came {
                self.tell_read();
            }
            self.segment.closed[self.side].store(1, Ordering::Release);
        }
    }
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Where it reads on; what it has written is known there.
        self.inward().read.store(self.came, Ordering::Release);
        let socket = travel::put(self.line.0.as_fd()).map_err(serde::ser::Error::custom)?;
        (socket, self.side as u8, &self.segment).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (socket, side, segment) = <(u32, u8, Segment<Pair>)>::deserialize(from)?;
        let socket = travel::take(socket).and_then(|socket| Ok(Socket::from_descriptor(socket)?));
        Self::new(segment, socket.map_err(serde::de::Error::custom)?, usize::from(side))
            .map_err(serde::de::Error::custom)
    }
}
