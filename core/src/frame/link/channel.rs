//! A channel: what has arrived on it and was not read yet, and how much either side may send.
//!
//! Credit is in bytes of frames, header and payload. A limit counts from the start of the link, so that one that is lost is
//! made good by the next. A message takes eight bytes beside its own here, never more than its frames cost, so whoever
//! keeps to the limit always finds room.

use crate::frame::{Flags, HEADER_LEN, Kind};

/// Bytes before each message in the ring: kind, flags, two that are nothing, and the length.
pub(super) const RECORD_LEN: usize = 8;

/// A channel of an [`Endpoint`](super::Endpoint): 44 bytes, beside its window.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// Where the oldest message begins.
    head: u32,
    /// Bytes taken in the ring.
    used: u32,
    /// Bytes of it that are of a message that is not whole yet.
    partial: u32,
    /// Whole messages.
    whole: u32,
    /// Credit that we have spent, of all we ever got.
    pub(super) sent: u32,
    pub(super) limit: u32,
    /// Credit that the peer has spent, of all we ever gave.
    pub(super) received: u32,
    told: u32,
    pub(super) next_out: u16,
    pub(super) next_in: u16,
    /// A `send` was refused, for want of credit or of room.
    pub(super) no_credit: bool,
    pub(super) no_room: bool,
    /// To be told to whoever asks for events.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer waits for credit, or we do and it should know.
    pub(super) credit_due: bool,
    pub(super) blocked_due: bool,
}

/// A message in the ring.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) kind: u8,
    pub(super) flags: Flags,
    pub(super) len: usize,
}

/// The peer has sent more than it may.
pub(super) struct Overrun;

impl Channel {
    pub(super) const NEW: Self = Self {
        head: 0,
        used: 0,
        partial: 0,
        whole: 0,
        sent: 0,
        limit: 0,
        received: 0,
        told: 0,
        next_out: 0,
        next_in: 0,
        no_credit: false,
        no_room: false,
        readable: false,
        writable: false,
        credit_due: false,
        blocked_due: false,
    };

    /// As at the start of a link, where the peer may send a window, and we `limit`.
    pub(super) const fn open(&mut self, window: usize, limit: u32) {
        *self = Self { told: window as u32, limit, ..Self::NEW };
    }

    /// Bytes of credit that are left to us.
    pub(super) const fn credit(&self) -> u32 {
        self.limit.wrapping_sub(self.sent)
    }

    /// Whether frame number `sequence` comes after all that came before it, and what is missing between. A message that
    /// misses a part is dropped.
    pub(super) const fn follows(&mut self, sequence: u16) -> Option<u16> {
        let missing = sequence.wrapping_sub(self.next_in);
        if missing >= 1 << 15 {
            return None;
        }
        self.next_in = sequence.wrapping_add(1);
        if missing > 0 {
            self.drop_partial();
        }
        Some(missing)
    }

    const fn drop_partial(&mut self) {
        self.used -= self.partial;
        self.partial = 0;
    }

    /// Takes the payload of a frame that is next.
    pub(super) fn store(&mut self, ring: &mut [u8], kind: Kind, flags: Flags, payload: &[u8]) -> Result<(), Overrun> {
        let cost = (HEADER_LEN + payload.len()) as u32;
        if self.told.wrapping_sub(self.received) < cost {
            return Err(Overrun);
        }
        self.received = self.received.wrapping_add(cost);
        if flags.has(Flags::START) {
            self.drop_partial();
        } else if self.partial == 0 || self.begun(ring).kind != kind as u8 {
            // Its beginning was lost.
            self.drop_partial();
            return Ok(());
        }
        let new = if flags.has(Flags::START) { RECORD_LEN } else { 0 } + payload.len();
        if ring.len().saturating_sub(self.used as usize) < new {
            return Err(Overrun);
        }
        if flags.has(Flags::START) {
            self.partial = RECORD_LEN as u32;
            self.used += RECORD_LEN as u32;
        }
        copy_in(ring, self.head as usize + self.used as usize, payload);
        self.partial += payload.len() as u32;
        self.used += payload.len() as u32;
        let [a, b, c, d] = (self.partial - RECORD_LEN as u32).to_le_bytes();
        copy_in(ring, self.begin(), &[kind as u8, flags.0, 0, 0, a, b, c, d]);
        if flags.has(Flags::END) {
            self.partial = 0;
            self.whole += 1;
            self.readable = true;
        }
        Ok(())
    }

    /// Where the message begins that is not whole yet.
    const fn begin(&self) -> usize {
        self.head as usize + (self.used - self.partial) as usize
    }

    fn begun(&self, ring: &[u8]) -> Record {
        record(ring, self.begin())
    }

    /// The oldest message, if there is one.
    pub(super) fn first(&self, ring: &[u8]) -> Option<Record> {
        (self.whole > 0).then(|| record(ring, self.head as usize))
    }

    /// Its bytes, in one part. Turns the ring if it has to, which is once a round, so that it is constant per byte.
    pub(super) fn bytes<'r>(&mut self, ring: &'r mut [u8], len: usize) -> &'r [u8] {
        let mut start = self.head as usize + RECORD_LEN;
        if start >= ring.len() {
            start -= ring.len();
        } else if start + len > ring.len() {
            let head = self.head as usize;
            if head <= ring.len() {
                ring.rotate_left(head);
            }
            self.head = 0;
            start = RECORD_LEN;
        }
        ring.get(start..).and_then(|ring| ring.get(..len)).unwrap_or_default()
    }

    /// Drops the oldest message.
    pub(super) fn pop(&mut self, ring: &[u8]) {
        let Some(Record { len, .. }) = self.first(ring) else { return };
        let len = RECORD_LEN + len;
        self.whole -= 1;
        self.used -= len as u32;
        self.head += len as u32;
        if self.head as usize >= ring.len() {
            self.head -= ring.len() as u32;
        }
        self.grant(ring.len());
    }

    /// Sees whether the peer should be told of more credit: it runs low, and there is a good piece more, or nothing here
    /// whose reading would make it more.
    pub(super) const fn grant(&mut self, window: usize) {
        let left = self.told.wrapping_sub(self.received) as usize;
        let more = self.new_limit(window).wrapping_sub(self.told) as usize;
        if left < window / 2 && more > 0 && (more >= window / 4 || self.whole == 0) {
            self.credit_due = true;
        }
    }

    const fn new_limit(&self, window: usize) -> u32 {
        self.received.wrapping_add(window as u32 - self.used)
    }

    /// The peer has spent so much: what has not come of it never will, and a message that it was part of neither.
    pub(super) const fn lost_until(&mut self, sent: u32) {
        let lost = sent.wrapping_sub(self.received);
        if lost > 0 && lost <= self.told.wrapping_sub(self.received) {
            self.received = sent;
            self.drop_partial();
        }
    }

    /// The limit to tell the peer now.
    pub(super) const fn tell(&mut self, window: usize) -> u32 {
        // Room that a message not whole yet will need may have been promised before.
        let limit = self.new_limit(window);
        if limit.wrapping_sub(self.told) < 1 << 31 {
            self.told = limit;
        }
        self.credit_due = false;
        self.told
    }
}

fn record(ring: &[u8], at: usize) -> Record {
    let mut bytes = [0; RECORD_LEN];
    let at = if at >= ring.len() { at - ring.len() } else { at };
    let wrapped = ring.get(at..).unwrap_or_default().iter().chain(ring);
    for (byte, from) in bytes.iter_mut().zip(wrapped) {
        *byte = *from;
    }
    let [kind, flags, _, _, a, b, c, d] = bytes;
    Record { kind, flags: Flags(flags), len: u32::from_le_bytes([a, b, c, d]) as usize }
}

/// Copies to a place that may be one round further, and over the end of the ring.
fn copy_in(ring: &mut [u8], at: usize, bytes: &[u8]) {
    let at = if at >= ring.len() { at - ring.len() } else { at };
    let (first, second) = bytes.split_at(bytes.len().min(ring.len().saturating_sub(at)));
    for (at, part) in [(at, first), (0, second)] {
        if let Some(room) = ring.get_mut(at..).and_then(|ring| ring.get_mut(..part.len())) {
            room.copy_from_slice(part);
        }
    }
}
