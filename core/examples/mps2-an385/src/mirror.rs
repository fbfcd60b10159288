//! A file that is downloaded again and again until it is there: what the board does in a simulated world.
//!
//! It tells how it goes as [`Event`]s, which must be the same on the board and on a simulated host.

use core::net::SocketAddr;
use tidemill_core::executor::Program;
use tidemill_core::fetch::{Fetch, Options, Sink, Slot, Source};
use tidemill_core::frame::crc;
use tidemill_core::net::Stack;
use tidemill_core::net::lockstep::{ARGUMENT_MAX, Event, Tells};
use tidemill_core::time::{Duration, Instant};

/// How many connections share the work.
pub const CONNECTIONS: usize = 4;
/// Bytes of each connection's receive buffer, and of its send buffer.
pub const RX: usize = 2048;
/// See [`RX`].
pub const TX: usize = 512;
/// Room for as many events as may come in one turn.
const EVENTS: usize = 8;
/// The longest head of an answer.
const HEAD_MAX: usize = 512;
/// Bytes that pass through at a time.
const SCRATCH: usize = 1024;
/// A part whose end is told: so many bytes.
const PART: u64 = 8 << 10;
/// From a download that failed to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// A download begins: which.
pub const BEGUN: u32 = 1;
/// So many parts of 8 KiB are there. Not the bytes: a controller that holds few frames has its host turned more often within
/// one instant.
pub const PARTS: u32 = 2;
/// It is complete: bytes, CRC-32C, which.
pub const ENDED: u32 = 3;
/// It has failed: which.
pub const FAILED: u32 = 4;
/// There is nothing to download: the URL is none.
pub const NO_URL: u32 = 5;

/// Memory for a file.
pub trait Memory: AsRef<[u8]> + AsMut<[u8]> {}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Memory for M {}

/// Memory that the file fits in, or does not.
struct Pond<M> {
    memory: M,
    len: usize,
}

/// It does not fit.
struct TooLong;

impl<M: Memory> Sink for Pond<M> {
    type Error = TooLong;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), TooLong> {
        let start = usize::try_from(offset).map_err(|_| TooLong)?;
        let rest = self.memory.as_mut().get_mut(start..);
        rest.and_then(|rest| rest.get_mut(..data.len())).ok_or(TooLong)?.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&mut self, total: u64) -> Result<(), TooLong> {
        self.len = usize::try_from(total).ok().filter(|&len| len <= self.memory.as_ref().len()).ok_or(TooLong)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), TooLong> {
        Ok(())
    }
}

type Job<M> = Fetch<'static, Pond<M>, [Slot<HEAD_MAX>; CONNECTIONS], HEAD_MAX, 1>;

// There is one, and no heap to put the larger into.
#[allow(clippy::large_enum_variant)]
enum State<M: Memory> {
    /// The next begins then.
    Idle(M, Instant),
    Fetching(Job<M>),
    /// There is nothing more to do, or there was nothing.
    Over,
}

/// The program. `M` is memory for the file.
pub struct Mirror<M: Memory> {
    url: heapless::Vec<u8, ARGUMENT_MAX>,
    seed: u64,
    state: State<M>,
    attempt: u32,
    parts: u64,
    events: heapless::Deque<Event, EVENTS>,
}

impl<M: Memory> Mirror<M> {
    /// Downloads from this URL, whose host is an address, into that memory.
    pub fn new(url: &[u8], seed: u64, memory: M) -> Self {
        // What is too long to have been given is no URL.
        let url = heapless::Vec::from_slice(url).unwrap_or_default();
        let state = State::Idle(memory, tidemill_core::time::EPOCH);
        Self { url, seed, state, attempt: 0, parts: 0, events: heapless::Deque::new() }
    }

    fn tell(&mut self, event: Event) {
        // One turn tells of a beginning, a part and an end at most, and all of that is taken before the next.
        let _ = self.events.push_back(event);
    }

    fn begin(&mut self, memory: M) {
        let Some(source) = core::str::from_utf8(&self.url).ok().and_then(|url| Source::new(url).ok()) else {
            return self.tell([NO_URL, 0, 0, 0]);
        };
        self.attempt += 1;
        self.parts = 0;
        self.tell([BEGUN, self.attempt, 0, 0]);
        let options = Options { split_min: 4 << 10, seed: self.seed ^ u64::from(self.attempt), ..Options::default() };
        let slots = [const { Slot::EMPTY }; CONNECTIONS];
        self.state = State::Fetching(Fetch::new(options, [source], Pond { memory, len: 0 }, slots, None));
    }
}

impl<S: Stack, M: Memory> Program<S> for Mirror<M> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Idle(memory, at) if at <= now => self.begin(memory),
            other => self.state = other,
        }
        let job = match &mut self.state {
            State::Fetching(job) => job,
            State::Idle(_, at) => return Some(*at),
            State::Over => return None,
        };
        if let Some((source, ..)) = job.wanted() {
            // Names are not resolved here.
            job.resolved(source, &[] as &[SocketAddr]);
        }
        let next = job.turn(now, net, &mut [0; SCRATCH]);
        let done = job.progress(now).done;
        let closed = job.is_closed();
        if done / PART > self.parts {
            self.parts = done / PART;
            self.tell([PARTS, self.parts as u32, 0, 0]);
        }
        if !closed {
            return next;
        }
        let State::Fetching(job) = core::mem::replace(&mut self.state, State::Over) else { return None };
        let complete = job.outcome().is_some_and(|outcome| outcome.is_ok());
        let Pond { memory, len } = job.into_sink();
        if complete {
            let crc = crc::software(0, memory.as_ref().get(..len).unwrap_or_default());
            self.tell([ENDED, len as u32, crc, self.attempt]);
            None
        } else {
            self.tell([FAILED, self.attempt, 0, 0]);
            self.state = State::Idle(memory, now + PAUSE);
            Some(now + PAUSE)
        }
    }
}

impl<M: Memory> Tells for Mirror<M> {
    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
