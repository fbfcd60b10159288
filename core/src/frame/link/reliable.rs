//! Frames that are confirmed, and repeated where they were lost: selective repeat over a window of 32 frames.
//!
//! Every frame of a message, and the goodbye, has a number of the link's. The receiver answers with the number it waits for
//! and a bit for each of the 32 after it. On a line nothing overtakes: when a frame is confirmed that was written later, an
//! earlier one is lost, and is repeated at once, as often as that takes. What nothing was written after is repeated when
//! its time is over: the mean round trip and four times its deviation (RFC 6298), doubled each time.

use super::call::NEVER;
use super::config::META_LEN;
use super::queue::Queue;
use super::{Error, Link};
use crate::frame::{Frame, HEADER_LEN, Header};
use crate::time::{Duration, Instant};

/// How many frames there may be between one that is missing and the last.
const WINDOW: u16 = 32;

/// How often in a row a frame is repeated because its time is over, before the peer is given up.
const REPEATS_MAX: u8 = 10;

/// What an [`Endpoint`](super::Endpoint) needs to repeat frames.
pub trait Repeats: sealed::Sealed {}

/// Frames are not repeated.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Repeats for Plain {}
impl Repeats for Reliable {}

impl sealed::Sealed for Plain {
    fn repeating(&mut self) -> Option<Repeating<'_>> {
        None
    }
}

impl sealed::Sealed for Reliable {
    fn repeating(&mut self) -> Option<Repeating<'_>> {
        Some(Repeating { ways: &WAYS, state: self })
    }
}

pub(super) mod sealed {
    pub trait Sealed {
        #[doc(hidden)]
        fn repeating(&mut self) -> Option<super::Repeating<'_>>;
    }
}

/// How a link repeats frames, and what it knows about them. Nothing else names the functions that do it, so that they
/// are not in a program without a [`Reliable`] endpoint.
pub struct Repeating<'m> {
    pub(super) ways: &'static Ways,
    pub(super) state: &'m mut Reliable,
}

/// See the methods of the same names.
pub(super) struct Ways {
    pub(super) push: fn(&mut Link<'_>, usize, usize),
    pub(super) output: fn(&mut Link<'_>) -> core::ops::Range<usize>,
    pub(super) wrote: fn(&mut Link<'_>, usize),
    pub(super) confirmed: fn(&mut Link<'_>, &[u8]),
    pub(super) is_delivered: fn(&Link<'_>) -> bool,
    pub(super) repeat_at: fn(&mut Link<'_>) -> Instant,
    pub(super) repeat: fn(&mut Link<'_>),
    pub(super) take: fn(&mut Link<'_>, Frame<'_>),
}

static WAYS: Ways = Ways {
    push: |link, at, len| link.push_reliable(at, len),
    output: |link| link.output_reliable(),
    wrote: |link, count| link.wrote_reliable(count),
    confirmed: |link, payload| link.confirmed(payload),
    is_delivered: |link| link.is_delivered(),
    repeat_at: |link| link.repeat_at().unwrap_or(NEVER),
    repeat: |link| link.repeat(),
    take: |link, frame| link.take_reliable(frame),
};

/// Frames are confirmed and repeated: what is known about either direction.
#[derive(Clone, Copy, Debug)]
pub struct Reliable {
    /// The number of the next frame that is put in the queue.
    next_out: u16,
    /// The number of the next frame of the peer, and which of those after it are here.
    next_in: u16,
    ahead: u32,
    /// The next frame is among those that are kept.
    here: bool,
    /// Bytes taken of the memory for those, and of them bytes of frames that have been delivered since.
    kept: u32,
    gone: u32,
    /// How many frames were written.
    writes: u32,
    /// Microseconds: the mean round trip times 8, and its deviation times 4. 0: none was measured.
    mean8_us: u32,
    deviation4_us: u32,
    repeats: u8,
    /// Which frame is being written: where its piece begins, and how many of its bytes are out.
    writing: Option<(u32, u32)>,
}

/// What stands before a frame that waits to be confirmed.
#[derive(Clone, Copy)]
struct Meta {
    /// Of the frame and this.
    len: u32,
    sequence: u16,
    life: Life,
    /// It was written more than once.
    repeated: bool,
    /// How many frames had been written before it.
    order: u32,
    /// When, in microseconds, wrapping.
    at_us: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// To be written.
    Due,
    Written,
    Confirmed,
}

impl Meta {
    fn read(memory: &[u8], at: usize) -> Option<Self> {
        let bytes = memory.get(at..)?.first_chunk::<META_LEN>()?;
        let [l0, l1, l2, l3, s0, s1, life, repeated, o0, o1, o2, o3, t0, t1, t2, t3] = *bytes;
        let life = match life {
            0 => Life::Due,
            1 => Life::Written,
            _ => Life::Confirmed,
        };
        Some(Self {
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            sequence: u16::from_le_bytes([s0, s1]),
            life,
            repeated: repeated != 0,
            order: u32::from_le_bytes([o0, o1, o2, o3]),
            at_us: u32::from_le_bytes([t0, t1, t2, t3]),
        })
    }

    fn write(self, memory: &mut [u8], at: usize) {
        let [l0, l1, l2, l3] = self.len.to_le_bytes();
        let [s0, s1] = self.sequence.to_le_bytes();
        let [o0, o1, o2, o3] = self.order.to_le_bytes();
        let [t0, t1, t2, t3] = self.at_us.to_le_bytes();
        let (life, repeated) = (self.life as u8, u8::from(self.repeated));
        if let Some(bytes) = memory.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<META_LEN>) {
            *bytes = [l0, l1, l2, l3, s0, s1, life, repeated, o0, o1, o2, o3, t0, t1, t2, t3];
        }
    }
}

impl Reliable {
    pub(super) const NEW: Self = Self {
        next_out: 0,
        next_in: 0,
        ahead: 0,
        here: false,
        kept: 0,
        gone: 0,
        writes: 0,
        mean8_us: 0,
        deviation4_us: 0,
        repeats: 0,
        writing: None,
    };

    /// The number of the frame that is put in the queue now.
    pub(super) const fn next_number(&self) -> u16 {
        self.next_out
    }

    /// What has arrived, as it is told.
    pub(super) const fn confirmation(&self) -> [u8; 6] {
        let [n0, n1] = self.next_in.to_le_bytes();
        let [b0, b1, b2, b3] = self.ahead.to_le_bytes();
        [n0, n1, b0, b1, b2, b3]
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Nothing waits any more.
    pub(super) const fn stop(&mut self) {
        self.writing = None;
    }

    /// How long to wait before a repetition, in microseconds.
    fn patience_us(&self, retry: Duration) -> u32 {
        let retry_us = retry.as_ticks().min(1 << 30) as u32;
        let mean_us = if self.mean8_us == 0 { retry_us } else { self.mean8_us / 8 + self.deviation4_us.max(1_000) };
        mean_us.saturating_mul(1 << self.repeats).min(60_000_000)
    }

    fn measured(&mut self, trip_us: u32) {
        let trip_us = trip_us.clamp(1, 60_000_000);
        if self.mean8_us == 0 {
            self.mean8_us = trip_us * 8;
            self.deviation4_us = trip_us * 2;
            return;
        }
        let off_us = trip_us.abs_diff(self.mean8_us / 8);
        self.deviation4_us = self.deviation4_us - self.deviation4_us / 4 + off_us;
        self.mean8_us = self.mean8_us - self.mean8_us / 8 + trip_us;
    }
}

/// Goes through the pieces of the queue that wait to be confirmed, oldest first.
struct Pieces {
    queue: Queue,
    at: usize,
    seen: usize,
}

impl Pieces {
    const fn of(queue: Queue) -> Self {
        Self { queue, at: queue.front().start, seen: 0 }
    }

    /// Where the next is, and what stands before it.
    fn next(&mut self, memory: &[u8]) -> Option<(usize, Meta)> {
        if self.seen >= self.queue.used() {
            return None;
        }
        let at = self.at;
        let meta = Meta::read(memory, at)?;
        let len = meta.len as usize;
        self.seen += len.max(1);
        self.at = self.queue.after(at, len);
        Some((at, meta))
    }
}

impl Link<'_> {
    fn reliable(&mut self) -> Option<&mut Reliable> {
        self.repeating.as_mut().map(|repeating| &mut *repeating.state)
    }

    /// Puts in the queue the frame of `len` bytes that was written at `at`, behind [`META_LEN`] bytes.
    fn push_reliable(&mut self, at: usize, len: usize) {
        let Some(reliable) = self.reliable() else { return };
        let sequence = reliable.next_out;
        reliable.next_out = sequence.wrapping_add(1);
        let len = (META_LEN + len) as u32;
        let meta = Meta { len, sequence, life: Life::Due, repeated: false, order: 0, at_us: 0 };
        meta.write(self.regions.transmit, at);
        self.state.queue.push(at, len as usize);
    }

    /// What to write next of what waits.
    fn output_reliable(&mut self) -> core::ops::Range<usize> {
        let writing = self.reliable().and_then(|reliable| reliable.writing);
        let Some((at, written)) = writing.or_else(|| Some((self.next_due()? as u32, 0))) else { return 0..0 };
        let Some(reliable) = self.reliable() else { return 0..0 };
        reliable.writing = Some((at, written));
        let len = Meta::read(self.regions.transmit, at as usize).map_or(0, |meta| meta.len);
        (at + written) as usize + META_LEN..(at + len) as usize
    }

    fn next_due(&mut self) -> Option<usize> {
        let mut first = None;
        let mut pieces = Pieces::of(self.state.queue);
        while let Some((at, meta)) = pieces.next(self.regions.transmit) {
            let oldest = *first.get_or_insert(meta.sequence);
            if meta.sequence.wrapping_sub(oldest) >= WINDOW {
                return None;
            }
            if meta.life == Life::Due {
                return Some(at);
            }
        }
        None
    }

    /// `count` bytes of what [`output_reliable`](Self::output_reliable) gave are out.
    fn wrote_reliable(&mut self, count: usize) {
        let Some(Repeating { state: reliable, .. }) = &mut self.repeating else { return };
        let Some((at, written)) = reliable.writing else { return };
        let Some(mut meta) = Meta::read(self.regions.transmit, at as usize) else { return };
        let written = written + count as u32;
        if written + META_LEN as u32 >= meta.len {
            reliable.writing = None;
            reliable.writes = reliable.writes.wrapping_add(1);
            if meta.life == Life::Due {
                meta.repeated |= meta.order != 0;
                if meta.repeated {
                    self.state.stats.repeated = self.state.stats.repeated.wrapping_add(1);
                }
                meta.life = Life::Written;
                meta.order = reliable.writes;
                meta.at_us = self.state.now.as_ticks() as u32;
                meta.write(self.regions.transmit, at as usize);
            }
            self.drop_confirmed();
        } else {
            reliable.writing = Some((at, written));
        }
    }

    /// The peer tells what has arrived: the number it waits for, and which of those after it are there.
    fn confirmed(&mut self, payload: &[u8]) {
        let &[n0, n1, b0, b1, b2, b3] = payload else {
            self.state.stats.stray += 1;
            return;
        };
        let next = u16::from_le_bytes([n0, n1]);
        let ahead = u32::from_le_bytes([b0, b1, b2, b3]);
        let now_us = self.state.now.as_ticks() as u32;
        let Some(Repeating { state: reliable, .. }) = &mut self.repeating else { return };
        let mut latest = None;
        let mut pieces = Pieces::of(self.state.queue);
        while let Some((at, mut meta)) = pieces.next(self.regions.transmit) {
            let behind = meta.sequence.wrapping_sub(next);
            let here = behind >= 1 << 15 || (behind > 0 && u32::from(behind) <= 32 && ahead >> (behind - 1) & 1 == 1);
            if here && meta.life != Life::Confirmed && meta.order != 0 {
                if !meta.repeated {
                    reliable.measured(now_us.wrapping_sub(meta.at_us));
                }
                if latest.is_none_or(|latest: u32| meta.order.wrapping_sub(latest) < 1 << 31) {
                    latest = Some(meta.order);
                }
                meta.life = Life::Confirmed;
                meta.write(self.regions.transmit, at);
            }
        }
        let Some(latest) = latest else { return };
        reliable.repeats = 0;
        let mut pieces = Pieces::of(self.state.queue);
        while let Some((at, mut meta)) = pieces.next(self.regions.transmit) {
            if meta.life == Life::Written && latest.wrapping_sub(meta.order) < 1 << 31 {
                meta.life = Life::Due;
                meta.repeated = true;
                meta.write(self.regions.transmit, at);
            }
        }
        self.drop_confirmed();
        self.part();
    }

    fn drop_confirmed(&mut self) {
        while !self.state.queue.is_empty() {
            let at = self.state.queue.front().start;
            let writing = self.reliable().and_then(|reliable| reliable.writing);
            let busy = writing.is_some_and(|(writing, _)| writing as usize == at);
            match Meta::read(self.regions.transmit, at) {
                Some(meta) if meta.life == Life::Confirmed && !busy => self.state.queue.pop(meta.len as usize),
                _ => break,
            }
            self.state.room_grew = true;
        }
    }

    /// Whether all has arrived but, perhaps, the goodbye: then nothing is lost.
    fn is_delivered(&self) -> bool {
        let first =
            Meta::read(self.regions.transmit, self.state.queue.front().start).map_or(0, |meta| meta.len as usize);
        self.state.queue.is_empty() || (self.state.bye_sent && first == self.state.queue.used())
    }

    /// When the oldest of what was written has to be confirmed.
    fn repeat_at(&mut self) -> Option<Instant> {
        let now = self.state.now;
        let mut oldest: Option<u32> = None;
        let mut pieces = Pieces::of(self.state.queue);
        while let Some((_, meta)) = pieces.next(self.regions.transmit) {
            let age = (now.as_ticks() as u32).wrapping_sub(meta.at_us);
            if meta.life == Life::Written && oldest.is_none_or(|oldest| age > oldest) {
                oldest = Some(age);
            }
        }
        let retry = self.config.retry;
        let left = self.reliable()?.patience_us(retry).saturating_sub(oldest?);
        Some(now + Duration::from_micros(u64::from(left)))
    }

    /// Has the oldest of what was written repeated, if its time is over.
    fn repeat(&mut self) {
        if self.repeat_at().is_none_or(|at| at > self.state.now) {
            return;
        }
        let Some(reliable) = self.reliable() else { return };
        if reliable.repeats >= REPEATS_MAX {
            if self.state.peer_done && self.is_delivered() {
                self.end(None);
            } else {
                self.fail(Error::TimedOut);
            }
            return;
        }
        reliable.repeats += 1;
        let mut pieces = Pieces::of(self.state.queue);
        while let Some((at, mut meta)) = pieces.next(self.regions.transmit) {
            if meta.life == Life::Written {
                meta.life = Life::Due;
                meta.repeated = true;
                meta.write(self.regions.transmit, at);
                return;
            }
        }
    }

    /// A numbered frame of the peer's: delivered in its turn, kept if it is early, confirmed in any case.
    fn take_reliable(&mut self, frame: Frame<'_>) {
        self.state.ack_due = true;
        let Some(reliable) = self.reliable() else { return };
        let early = frame.header.sequence.wrapping_sub(reliable.next_in);
        if early == 0 {
            self.take_next(frame);
            // And those that waited for it.
            while let Some(&mut Reliable { here: true, next_in, .. }) = self.reliable()
                && self.take_kept(next_in)
            {}
        } else if early <= WINDOW && reliable.ahead >> (early - 1) & 1 == 0 {
            let mark = 1 << (early - 1);
            if self.keep(frame)
                && let Some(reliable) = self.reliable()
            {
                reliable.ahead |= mark;
            }
        } else {
            self.state.stats.repeats_heard = self.state.stats.repeats_heard.wrapping_add(1);
        }
    }

    fn take_next(&mut self, frame: Frame<'_>) {
        let Some(reliable) = self.reliable() else { return };
        reliable.next_in = reliable.next_in.wrapping_add(1);
        reliable.here = reliable.ahead & 1 == 1;
        reliable.ahead >>= 1;
        self.take_numbered(frame);
    }

    /// Keeps a frame until its turn, if there is room.
    fn keep(&mut self, frame: Frame<'_>) -> bool {
        let need = KEPT_LEN + frame.payload.len();
        let capacity = self.regions.reorder.len();
        let Some(&mut Reliable { kept, gone, .. }) = self.reliable() else { return false };
        if capacity - (kept as usize) < need && gone as usize * 2 >= kept as usize {
            self.close_gaps();
        }
        let Some(Repeating { state: reliable, .. }) = &mut self.repeating else { return false };
        let at = reliable.kept as usize;
        let Some(room) = self.regions.reorder.get_mut(at..).and_then(|room| room.get_mut(..need)) else { return false };
        let [s0, s1] = frame.header.sequence.to_le_bytes();
        let [l0, l1, l2, l3] = (need as u32).to_le_bytes();
        let Some((head, room)) = room.split_first_chunk_mut::<8>() else { return false };
        *head = [s0, s1, 1, 0, l0, l1, l2, l3];
        let Some((head, room)) = room.split_first_chunk_mut::<HEADER_LEN>() else { return false };
        *head = frame.header.emit(frame.payload.len());
        if room.len() != frame.payload.len() {
            return false;
        }
        room.copy_from_slice(frame.payload);
        reliable.kept += need as u32;
        true
    }

    /// Delivers the frame of that number, which was kept.
    fn take_kept(&mut self, sequence: u16) -> bool {
        let reorder = core::mem::take(&mut self.regions.reorder);
        let found = self.reliable().and_then(|reliable| find(reorder, reliable.kept as usize, sequence));
        if let Some((at, len)) = found {
            if let Some(live) = reorder.get_mut(at + 2) {
                *live = 0;
            }
            if let Some(reliable) = self.reliable() {
                reliable.gone += len as u32;
            }
            let bytes = reorder.get(at + 8..at + len).unwrap_or_default();
            if let Some((header, payload)) = bytes.split_first_chunk()
                && let Ok((header, _)) = Header::parse(*header)
            {
                self.take_next(Frame { header, payload });
            }
        }
        if let Some(reliable) = self.reliable()
            && reliable.gone == reliable.kept
        {
            reliable.kept = 0;
            reliable.gone = 0;
        }
        self.regions.reorder = reorder;
        found.is_some()
    }

    /// Moves what is kept together. Half of it at least has gone, so this costs a constant per byte.
    fn close_gaps(&mut self) {
        let Some(Repeating { state: reliable, .. }) = &mut self.repeating else { return };
        let (mut from, mut to) = (0, 0);
        while let Some((len, live, _)) = kept(self.regions.reorder, from, reliable.kept as usize) {
            if live {
                for offset in 0..len {
                    let byte = self.regions.reorder.get(from + offset).copied();
                    if let (Some(byte), Some(room)) = (byte, self.regions.reorder.get_mut(to + offset)) {
                        *room = byte;
                    }
                }
                to += len;
            }
            from += len;
        }
        reliable.kept = to as u32;
        reliable.gone = 0;
    }
}

/// Bytes before the payload of a frame that is kept: number, a mark that it is still wanted, length, and header.
const KEPT_LEN: usize = 8 + HEADER_LEN;

/// The kept frame at `at`: its bytes in all, whether it is still wanted, its number.
fn kept(reorder: &[u8], at: usize, end: usize) -> Option<(usize, bool, u16)> {
    if at >= end {
        return None;
    }
    let [s0, s1, live, _, l0, l1, l2, l3] = *reorder.get(at..)?.first_chunk()?;
    Some((u32::from_le_bytes([l0, l1, l2, l3]) as usize, live != 0, u16::from_le_bytes([s0, s1])))
}

fn find(reorder: &[u8], end: usize, sequence: u16) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some((len, live, number)) = kept(reorder, at, end) {
        if live && number == sequence {
            return Some((at, len));
        }
        at += len.max(1);
    }
    None
}
