//! Downloads asked for over a line: [`Fetch`] over four connections into memory, and what came of it.
//!
//! The request's name is `get`, its argument the URL. Reports tell how far it is: bytes there, bytes in all (0: not known yet)
//! and bytes per second, 4 bytes each. The answer is the length (4 bytes), CRC-32C (4 bytes), SHA-256 (32 bytes) of what came, and
//! how many microseconds it took (4 bytes). Numbers are little-endian. One download at a time: a request that comes
//! meanwhile waits.

use crate::remote::{Asked, Remote};
use core::cell::{Cell, RefCell};
use core::net::SocketAddr;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use sha2::{Digest, Sha256};
use tidemill_core::executor::Program;
use tidemill_core::fetch::{self, Fetch, Options, Sink, Source};
use tidemill_core::frame::crc;
use tidemill_core::frame::link::RequestId;
use tidemill_core::net::Stack;
use tidemill_core::time::{Duration, EPOCH, Instant};

/// How many connections share the work.
pub const CONNECTIONS: usize = 4;
/// The longest head of an answer, for each.
const HEAD_MAX: usize = 512;
/// Bytes that pass through at a time.
const SCRATCH: usize = 1024;
/// From one report to the next.
const REPORT: Duration = Duration::from_millis(20);
/// Bytes that are summed up in one turn.
const SUMMED: usize = 16 << 10;

/// A file in memory: as long as the memory at most.
pub struct Store {
    memory: RefCell<&'static mut [u8]>,
    len: Cell<usize>,
}

impl Store {
    /// Nothing in it.
    pub fn new(memory: &'static mut [u8]) -> Self {
        Self { memory: RefCell::new(memory), len: Cell::new(0) }
    }
}

/// The file is longer than the memory.
pub struct TooLong;

impl Sink for &'static Store {
    type Error = TooLong;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), TooLong> {
        let start = usize::try_from(offset).map_err(|_| TooLong)?;
        // Nobody else looks at it meanwhile.
        let mut memory = self.memory.try_borrow_mut().map_err(|_| TooLong)?;
        let place = memory.get_mut(start..).and_then(|rest| rest.get_mut(..data.len())).ok_or(TooLong)?;
        place.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&mut self, total: u64) -> Result<(), TooLong> {
        let most = self.memory.try_borrow().map_or(0, |memory| memory.len());
        self.len.set(usize::try_from(total).ok().filter(|&len| len <= most).ok_or(TooLong)?);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), TooLong> {
        Ok(())
    }
}

type Job = Fetch<'static, &'static Store, [fetch::Slot<HEAD_MAX>; CONNECTIONS], HEAD_MAX, 1>;

/// What is being done.
enum State {
    /// Nothing.
    Idle,
    /// It downloads.
    Fetching,
    /// All is there, and is summed up: so many bytes were, and so long did it take to get here.
    Summing { at: usize, crc: u32, sha: Sha256, took: Duration },
    /// It is being answered: the bytes, or why there are none.
    Answering(Result<heapless::Vec<u8, 44>, &'static str>),
}

/// The application.
pub struct Downloads<Io> {
    remote: Remote<Io>,
    request: Option<RequestId>,
    life: u32,
    began: Instant,
    report_at: Instant,
    store: &'static Store,
    /// It stays where it is: there is no room on the stack for another.
    job: Option<Job>,
    state: State,
    done: u32,
}

impl<Io: Read + Write + ReadReady + WriteReady> Downloads<Io> {
    /// Downloads asked for by this line into that memory.
    pub fn new(remote: Remote<Io>, store: &'static Store) -> Self {
        let (request, job, state) = (None, None, State::Idle);
        Self { remote, request, life: 0, began: EPOCH, report_at: EPOCH, store, job, state, done: 0 }
    }

    /// How many were answered.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// Takes a request if there is none, and hears that one is not wanted any more.
    fn ask(&mut self, now: Instant) {
        let Self { remote, request, state, job, store, began, life, .. } = self;
        if *life != remote.life() {
            *life = remote.life();
            *request = None;
        }
        remote.asked(|asked| match asked {
            Asked::Submit { id, name, args, .. } => {
                if request.is_some() || !matches!(state, State::Idle) {
                    return false;
                }
                *request = Some(id);
                *began = now;
                *state = begin(job, store, name, args, now);
                true
            }
            Asked::Cancel(id) => {
                if *request == Some(id) {
                    *request = None;
                }
                true
            }
        });
    }

    /// Goes on with what is being done. Returns when to come again.
    fn advance<S: Stack>(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        match &mut self.state {
            State::Idle => return None,
            State::Fetching => {
                let Some(job) = &mut self.job else { return None };
                if let Some((source, ..)) = job.wanted() {
                    // Names are not resolved here.
                    job.resolved(source, &[] as &[SocketAddr]);
                }
                let next = job.turn(now, net, &mut [0; SCRATCH]);
                if now >= self.report_at {
                    self.report_at = now + REPORT;
                    let progress = job.progress(now);
                    let numbers = [progress.done, progress.total.unwrap_or(0), progress.rate];
                    self.remote.report(numbers.map(|number| (number as u32).to_le_bytes()).as_flattened());
                }
                if !job.is_closed() {
                    return next.into_iter().chain([self.report_at]).min();
                }
                self.state = match job.outcome() {
                    Some(Err(failure)) => State::Answering(Err(why(failure))),
                    _ => State::Summing { at: 0, crc: 0, sha: Sha256::new(), took: now - self.began },
                };
                self.job = None;
            }
            State::Summing { at, crc, sha, took } => {
                let (memory, len) = (self.store.memory.borrow(), self.store.len.get());
                let rest = memory.get(*at..len).unwrap_or_default();
                let part = rest.get(..SUMMED).unwrap_or(rest);
                sha.update(part);
                *crc = crc::software(*crc, part);
                *at += part.len();
                if *at >= len {
                    let mut answer = heapless::Vec::new();
                    let (len, us, sha) = (len as u32, took.as_ticks() as u32, core::mem::take(sha).finalize());
                    let parts = [&len.to_le_bytes()[..], &crc.to_le_bytes(), &sha, &us.to_le_bytes()];
                    // It has just that room.
                    parts.into_iter().for_each(|part| drop(answer.extend_from_slice(part)));
                    drop(memory);
                    self.state = State::Answering(Ok(answer));
                }
            }
            State::Answering(answer) => {
                let answer = answer.as_ref().map(|bytes| &bytes[..]).map_err(|why| *why);
                if let Some(id) = self.request
                    && !self.remote.answer(id, answer)
                {
                    // The line wakes us when it has room.
                    return None;
                }
                self.request = None;
                self.done = self.done.wrapping_add(1);
                self.state = State::Idle;
            }
        }
        Some(now)
    }
}

impl<S: Stack, Io: Read + Write + ReadReady + WriteReady> Program<S> for Downloads<Io> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.remote.turn(now);
        self.ask(now);
        let next = self.advance(now, net);
        let line = self.remote.turn(now);
        line.into_iter().chain(next).min()
    }
}

/// Begins a download, if that is what is asked for.
#[inline(never)]
fn begin(job: &mut Option<Job>, store: &'static Store, name: &str, args: &[u8], now: Instant) -> State {
    if name != "get" {
        return State::Answering(Err("no such task"));
    }
    let Some(Ok(source)) = core::str::from_utf8(args).ok().map(Source::new) else {
        return State::Answering(Err("no http URL"));
    };
    make(job, store, now);
    if let Some(job) = job {
        job.begin([source], None);
    }
    State::Fetching
}

/// A download with nothing to do yet. Neither this nor what [`begin`] has on the stack is there with the other.
#[inline(never)]
fn make(job: &mut Option<Job>, store: &'static Store, now: Instant) {
    // The parts of a small file are small, too.
    let options = Options { split_min: 64 << 10, seed: now.as_ticks(), ..Options::default() };
    let slots = [const { fetch::Slot::EMPTY }; CONNECTIONS];
    *job = None;
    job.get_or_insert_with(|| Fetch::idle(options, store, slots));
}

/// In words without the machinery that formats.
fn why(failure: &fetch::Failure<TooLong>) -> &'static str {
    match failure {
        fetch::Failure::Resolve => "names are not resolved here",
        fetch::Failure::Net(_) | fetch::Failure::ConnectTimeout => "no connection",
        fetch::Failure::Stalled => "the server sent nothing for too long",
        fetch::Failure::Status(404) => "the server answered 404",
        fetch::Failure::Status(_) => "the server answered with another status",
        fetch::Failure::Sink(TooLong) => "the file is longer than the memory",
        _ => "the server does not speak HTTP as it should",
    }
}
