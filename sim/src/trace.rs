//! What happened, as one number: a hash over every event of a run, and the means to find where two runs part.
//!
//! Equal hashes mean that the same events happened at the same times with the same bytes. When two runs of one seed
//! differ, [`Trace::divergence`] narrows the first difference down to a range of event numbers; both runs are then
//! repeated with [`Trace::record`] on that range, and the first pair of [`Event`]s that differ is the cause.
//!
//! ```
//! use tidemill_sim::trace::Hash64;
//! let mut hash = Hash64::new();
//! hash.bytes(b"the same bytes");
//! let mut again = Hash64::new();
//! again.bytes(b"the same bytes");
//! assert_eq!(hash.value(), again.value());
//! ```

use core::ops::Range;

use tidemill_core::random::mix;
use tidemill_core::time::Instant;

use crate::world::HostId;

/// The hash: a 64-bit multiply-and-fold over 16 bytes a step, little-endian, and over four such steps at once where there is
/// enough to hash. Fixed for ever: recorded hashes depend on it. Not for secrets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hash64(u64);

/// What a step multiplies with: odd, and without a pattern.
const FACTOR: u64 = 0x9FB2_1C65_1E98_DF25;

/// Bytes of a step.
const STEP: usize = 16;

/// How many steps are taken at once: a multiplication waits for the one before it, but not for its neighbours.
const LANES: usize = 4;

impl Hash64 {
    /// The hash of nothing.
    pub const fn new() -> Self {
        Self(0x7469_6465_6D69_6C6C)
    }

    /// Adds one word.
    pub const fn word(&mut self, word: u64) {
        self.pair(word, 0);
    }

    /// Adds two words, for the price of one. Only a second word that is [`FACTOR`] itself would make it forget.
    const fn pair(&mut self, one: u64, other: u64) {
        let product = (self.0 ^ one) as u128 * (FACTOR ^ other) as u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn step(&mut self, bytes: &[u8; STEP]) {
        let both = u128::from_le_bytes(*bytes);
        self.pair(both as u64, (both >> 64) as u64);
    }

    /// Adds a string of bytes, and its length. O(length).
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (blocks, rest) = bytes.as_chunks::<{ STEP * LANES }>();
        if !blocks.is_empty() {
            // Each begins elsewhere, or two of them could change places.
            let mut lanes: [Self; LANES] = core::array::from_fn(|lane| Self(self.0 ^ FACTOR.rotate_left(lane as u32)));
            for block in blocks {
                for (lane, step) in lanes.iter_mut().zip(block.as_chunks().0) {
                    lane.step(step);
                }
            }
            for lane in lanes {
                self.word(lane.0);
            }
        }
        let (steps, rest) = rest.as_chunks();
        for step in steps {
            self.step(step);
        }
        if !rest.is_empty() {
            // The last step begins a little earlier, for the length is known; a string shorter than one is filled up.
            let last = bytes.last_chunk().copied().unwrap_or_else(|| {
                let mut last = [0; STEP];
                last[..rest.len()].copy_from_slice(rest);
                last
            });
            self.step(&last);
        }
    }

    /// The hash of all that was added.
    pub const fn value(self) -> u64 {
        mix(self.0)
    }
}

impl Default for Hash64 {
    fn default() -> Self {
        Self::new()
    }
}

/// What kind of thing happened. The number is part of the hash: never change one, only add.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A host was switched on; the length is its boot number.
    Boot = 1,
    /// A host lost its power.
    Crash = 2,
    /// A host was turned; the length is when it wants to be turned again, in µs by its clock, at least 1; 0: never.
    Turn = 3,
    /// A frame was sent, and is under way.
    Sent = 4,
    /// A frame was sent into a link that was down.
    DroppedDown = 5,
    /// A frame found the queue full.
    DroppedQueue = 6,
    /// A frame was lost.
    DroppedLoss = 7,
    /// A frame was sent to an address that no link leads to.
    NoRoute = 8,
    /// A frame arrived.
    Arrived = 9,
    /// A frame arrived at a host that is off.
    NobodyHome = 10,
    /// A link went down.
    LinkDown = 11,
    /// A link came up.
    LinkUp = 12,
    /// A segment was replaced by resets to both ends of its connection.
    Reset = 13,
    /// A frame arrived at a card whose host had left too many unread.
    DroppedCard = 14,
    /// A frame was longer than the link takes.
    DroppedLong = 15,
    /// A frame that was sent will arrive damaged.
    Damaged = 16,
    /// A frame that was sent will arrive twice.
    Duplicated = 17,
    /// A host stands still.
    Paused = 18,
    /// A host goes on.
    Resumed = 19,
    /// A host's clock jumps, or runs otherwise.
    ClockSet = 20,
    /// A host's turns take time.
    Slowed = 21,
    /// They no longer do.
    Quickened = 22,
    /// A host's card sends nothing.
    Stalled = 23,
    /// It sends again.
    Unstalled = 24,
    /// One direction of a link has a lower rate.
    Squeezed = 25,
    /// It no longer has.
    Unsqueezed = 26,
    /// Nothing goes wrong any more.
    Healed = 27,
    /// Another task than the longest ready is polled next; the length is how many were passed over.
    Picked = 28,
}

/// One more than the highest number of a [`Kind`].
const KINDS: usize = 29;

impl Kind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Crash => "crash",
            Self::Turn => "turn",
            Self::Sent => "frame sent",
            Self::DroppedDown => "frame dropped: link down",
            Self::DroppedQueue => "frame dropped: queue full",
            Self::DroppedLoss => "frame dropped: lost",
            Self::NoRoute => "frame dropped: no route",
            Self::Arrived => "frame received",
            Self::NobodyHome => "frame dropped: host is off",
            Self::DroppedCard => "frame dropped: card full",
            Self::DroppedLong => "frame dropped: too long",
            Self::Damaged => "frame damaged",
            Self::Duplicated => "frame duplicated",
            Self::Paused => "pause",
            Self::Resumed => "go on",
            Self::ClockSet => "clock changed",
            Self::Slowed => "slow",
            Self::Quickened => "no longer slow",
            Self::Stalled => "card stalled",
            Self::Unstalled => "card sends again",
            Self::Squeezed => "rate squeezed",
            Self::Unsqueezed => "rate restored",
            Self::Healed => "all is well from here on",
            Self::Picked => "task preferred",
            Self::LinkDown => "link down",
            Self::LinkUp => "link up",
            Self::Reset => "connection cut",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its number in the run, from 0.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// What.
    pub kind: Kind,
    /// To which host, or at which end of a link.
    pub host: HostId,
    /// The host at the other end of the link, for what happens on one.
    pub peer: Option<HostId>,
    /// Bytes of the frame, if there is one.
    pub len: u32,
    /// The number of the event in which its frame was first seen: joins what becomes of a frame to its being sent. Its
    /// own number for one that is first seen here, and where there is no frame.
    pub frame: u64,
    /// The hash of the run up to here, this event included.
    pub hash: u64,
    /// Where its frame's bytes lie in the trace's, if they were kept.
    bytes: Option<u32>,
}

impl Event {
    /// In words, with these names for its host and its peer.
    pub(crate) fn describe(&self, host: &str, peer: Option<&str>) -> String {
        let micros = self.at.as_ticks();
        let mut line = format!("#{} {}.{:06} s {host}", self.number, micros / 1_000_000, micros % 1_000_000);
        if let Some(peer) = peer {
            line += " ~ ";
            line += peer;
        }
        let what = self.kind.words();
        let number = match (self.kind, self.len) {
            (_, 0) => String::new(),
            (Kind::Boot, boots) => format!(" {boots}"),
            (Kind::Turn, timer) => format!(", timer in {timer} us"),
            (Kind::Picked, passed) => format!(" to {passed}"),
            (_, bytes) => format!(", {bytes} B"),
        };
        format!("{line}: {what}{number} [{:016x}]", self.hash)
    }
}

/// How many marks a trace keeps. When they are used up every other one is dropped and the distance doubles, so they
/// always span the whole run.
const MARKS_MAX: usize = 1024;

/// How many events a recording keeps at most: 64 MiB of them.
pub const RECORDED_MAX: usize = 1 << 20;

/// How many bytes of frames a recording keeps at most.
pub const CAPTURED_MAX: usize = 256 << 20;

/// The trace of one run. See the [module](self).
#[derive(Clone, Debug)]
pub struct Trace {
    hash: Hash64,
    events: u64,
    counts: [u64; KINDS],
    /// The hash after each `stride` events, the first at `stride`.
    marks: Vec<u64>,
    stride: u64,
    wanted: Range<u64>,
    recorded: Vec<Event>,
    captures: bool,
    captured: Vec<u8>,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        let mut hash = Hash64::new();
        hash.word(seed);
        Self {
            hash,
            events: 0,
            counts: [0; KINDS],
            marks: Vec::new(),
            stride: 256,
            wanted: 0..0,
            recorded: Vec::new(),
            captures: false,
            captured: Vec::new(),
        }
    }

    /// The hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many of them were of this kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// Keeps the events with these numbers from now on, the first [`RECORDED_MAX`] of them.
    pub fn record(&mut self, numbers: Range<u64>) {
        self.wanted = numbers;
    }

    /// As [`Trace::record`], and keeps the bytes of their frames too, the first [`CAPTURED_MAX`] of them.
    pub fn capture(&mut self, numbers: Range<u64>) {
        self.record(numbers);
        self.captures = true;
    }

    /// The events kept, in order.
    pub fn recorded(&self) -> &[Event] {
        &self.recorded
    }

    /// The bytes of the frame of a recorded event, if it has one and it was kept.
    pub fn frame(&self, event: &Event) -> Option<&[u8]> {
        let start = event.bytes? as usize;
        self.captured.get(start..start + event.len as usize)
    }

    /// Between which event numbers this run and `other` first differ; `None` when they are equal. O(marks).
    ///
    /// The range has at most as many events as the marks are apart: 256 up to a run of 262,144 events, and in
    /// proportion beyond.
    pub fn divergence(&self, other: &Self) -> Option<Range<u64>> {
        if self.hash == other.hash && self.events == other.events {
            return None;
        }
        let stride = self.stride.max(other.stride);
        let common = self.events.min(other.events) / stride;
        let mark = |trace: &Self, n: u64| trace.marks[(n * (stride / trace.stride)) as usize - 1];
        // Once parted, hashes stay different: the first difference can be searched for by halves.
        let (mut same, mut differs) = (0, common + 1);
        while differs - same > 1 {
            let middle = same.midpoint(differs);
            if mark(self, middle) == mark(other, middle) {
                same = middle;
            } else {
                differs = middle;
            }
        }
        Some(same * stride..(differs * stride).min(self.events.max(other.events)))
    }

    /// Adds an event, and returns its number. O(bytes of the frame).
    pub(crate) fn add(&mut self, at: Instant, kind: Kind, host: HostId, peer: Option<HostId>, frame: Frame<'_>) -> u64 {
        let ends = u64::from(host.index()) << 8 | peer.map_or(0, |p| u64::from(p.index()) + 1) << 36;
        self.hash.pair(at.as_ticks(), kind as u64 | ends);
        let number = self.events;
        let mut first = number;
        let len = match frame {
            Frame::Bytes(bytes) => {
                self.hash.bytes(bytes);
                bytes.len()
            }
            Frame::Changed(bytes, sent) => {
                self.hash.bytes(bytes);
                first = sent;
                bytes.len()
            }
            Frame::Again(bytes, sent) => {
                self.hash.word(bytes.len() as u64);
                first = sent;
                bytes.len()
            }
            Frame::Len(len) => {
                self.hash.word(len as u64);
                len
            }
        };
        self.counts[kind as usize] += 1;
        self.events += 1;
        if self.events.is_multiple_of(self.stride) {
            self.mark();
        }
        if self.wanted.contains(&number) && self.recorded.len() < RECORDED_MAX {
            let (hash, bytes) = (self.hash.value(), self.keep(frame));
            self.recorded.push(Event { number, at, kind, host, peer, len: len as u32, frame: first, hash, bytes });
        }
        number
    }

    fn keep(&mut self, frame: Frame<'_>) -> Option<u32> {
        let (Frame::Bytes(bytes) | Frame::Changed(bytes, _) | Frame::Again(bytes, _)) = frame else { return None };
        let start = self.captured.len();
        if !self.captures || start + bytes.len() > CAPTURED_MAX {
            return None;
        }
        self.captured.extend_from_slice(bytes);
        // It is below CAPTURED_MAX.
        Some(start as u32)
    }

    fn mark(&mut self) {
        self.marks.push(self.hash.value());
        if self.marks.len() == MARKS_MAX {
            let mut n = 0;
            self.marks.retain(|_| {
                n += 1;
                n % 2 == 0
            });
            self.stride *= 2;
        }
    }
}

/// What an event says of its frame.
#[derive(Clone, Copy)]
pub(crate) enum Frame<'a> {
    /// It is first seen: its bytes are hashed.
    Bytes(&'a [u8]),
    /// It is what became of the one first seen in the event with this number: its bytes are hashed.
    Changed(&'a [u8], u64),
    /// It is seen again, after the event with this number: its length is hashed.
    Again(&'a [u8], u64),
    /// There is none; a number is hashed.
    Len(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[u8]) -> u64 {
        let mut hash = Hash64::new();
        hash.bytes(bytes);
        hash.value()
    }

    #[test]
    fn the_hash_is_fixed_for_ever() {
        assert_eq!(hash(b""), 0x1762_ECD9_72DD_1A80);
        assert_eq!(hash(b"tidemill"), 0x4DE3_4DB6_03BA_0FAB);
        assert_eq!(hash(&[0; 1500]), 0xBB46_3408_E297_FDB3);
        assert_eq!(hash(&core::array::from_fn::<u8, 203, _>(|n| n as u8)), 0x0BD2_61F3_7B0B_E4D2);
    }

    #[test]
    fn every_bit_and_the_length_reach_the_hash() {
        // Less than a step, steps, and blocks with and without a rest.
        for len in [1, 15, 16, 40, 64, 67, 203] {
            let zero = vec![0_u8; len];
            let base = hash(&zero);
            for bit in 0..len * 8 {
                let mut bytes = zero.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let distance = (hash(&bytes) ^ base).count_ones();
                assert!((10..=54).contains(&distance), "bit {bit} of {len} bytes changes {distance} bits");
            }
            for shorter in 0..len {
                assert_ne!(hash(&zero[..shorter]), base);
            }
        }
    }

    #[test]
    fn no_two_pieces_of_a_string_can_change_places() {
        let bytes: Vec<u8> = (0..160).collect();
        let base = hash(&bytes);
        for (one, other) in (0..20).flat_map(|other| (0..other).map(move |one| (8 * one, 8 * other))) {
            let mut changed = bytes.clone();
            changed[one..one + 8].copy_from_slice(&bytes[other..other + 8]);
            changed[other..other + 8].copy_from_slice(&bytes[one..one + 8]);
            assert_ne!(hash(&changed), base, "{one} and {other}");
        }
    }

    #[test]
    fn words_do_not_commute() {
        let pair = |a, b| {
            let mut hash = Hash64::new();
            hash.word(a);
            hash.word(b);
            hash.value()
        };
        assert_ne!(pair(1, 2), pair(2, 1));
        assert_ne!(pair(0, 1), pair(1, 0));
    }

    /// A run of `events` events whose event `odd` is different.
    fn run(events: u64, odd: Option<u64>, record: Range<u64>) -> Trace {
        let mut trace = Trace::new(7);
        trace.record(record);
        for n in 0..events {
            let len = usize::from(odd == Some(n));
            trace.add(Instant::from_ticks(n), Kind::Turn, HostId::new(0), None, Frame::Len(len));
        }
        trace
    }

    #[test]
    fn events_are_counted_by_kind() {
        let trace = run(300, None, 0..0);
        assert_eq!((trace.count(Kind::Turn), trace.count(Kind::Crash), trace.count(Kind::Reset)), (300, 0, 0));
    }

    #[test]
    fn equal_runs_do_not_diverge() {
        assert_eq!(run(1000, None, 0..0).divergence(&run(1000, None, 0..0)), None);
    }

    #[test]
    fn the_first_difference_is_found_wherever_it_is_and_however_long_the_runs_are() {
        for (events, odd) in
            [(1, 0), (255, 254), (256, 255), (257, 256), (1000, 0), (1000, 511), (300_000, 299_999), (600_000, 123_456)]
        {
            let range = run(events, None, 0..0).divergence(&run(events, Some(odd), 0..0)).expect("they differ");
            assert!(range.contains(&odd), "{odd} of {events} is not in {range:?}");
            assert!(range.end - range.start <= 1024);
            let (a, b) = (run(events, None, range.clone()), run(events, Some(odd), range));
            let first = a.recorded().iter().zip(b.recorded()).find(|(a, b)| a != b).expect("recorded");
            assert_eq!(first.0.number, odd);
        }
    }

    #[test]
    fn a_run_that_goes_on_longer_diverges_at_the_end_of_the_shorter() {
        for (short, long) in [(0, 1), (256, 257), (300, 301), (300, 700_000)] {
            let range = run(short, None, 0..0).divergence(&run(long, None, 0..0)).expect("they differ");
            assert!(range.contains(&short), "{short} is not in {range:?}");
        }
    }
}
