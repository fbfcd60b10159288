//! Downloads asked for over a line: [`Fetch`] over four connections into memory, and what came of it.
//!
//! The request's name is `get`, its argument the URL. Reports tell how far it is: bytes there, bytes in all (0: not known yet)
//! and bytes per second, 4 bytes each. The answer is the length (4 bytes), CRC-32C (4 bytes), SHA-256 (32 bytes) of what came, and
//! how many microseconds it took (4 bytes). Numbers are little-endian. One download at a time: a request that comes
//! meanwhile waits.

use crate::remote::{Asked, Remote};
use core::net::SocketAddr;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use sha2::{Digest, Sha256};
use tidemill_core::executor::Program;
use tidemill_core::fetch::{self, Fetch, Options, Sink, Source};
use tidemill_core::frame::crc;
use tidemill_core::frame::link::RequestId;
use tidemill_core::net::Stack;
use tidemill_core::time::{Duration, Instant};

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
struct Store {
    memory: &'static mut [u8],
    len: usize,
}

/// The file is longer than the memory.
struct TooLong;

impl Sink for Store {
    type Error = TooLong;

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), TooLong> {
        let start = usize::try_from(offset).map_err(|_| TooLong)?;
        let place = self.memory.get_mut(start..).and_then(|rest| rest.get_mut(..data.len())).ok_or(TooLong)?;
        place.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&mut self, total: u64) -> Result<(), TooLong> {
        self.len = usize::try_from(total).ok().filter(|&len| len <= self.memory.len()).ok_or(TooLong)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), TooLong> {
        Ok(())
    }
}

type Job = Fetch<'static, Store, [fetch::Slot<HEAD_MAX>; CONNECTIONS], HEAD_MAX, 1>;

/// What is being done.
enum State {
    /// Nothing; the memory for the next.
    Idle(&'static mut [u8]),
    /// It downloads.
    Fetching { job: Job, report_at: Instant },
    /// All is there, and is summed up.
    Summing { store: Store, at: usize, crc: u32, sha: Sha256, took: Duration },
    /// It is being answered: the bytes, or why there are none.
    Answering { memory: &'static mut [u8], answer: Result<heapless::Vec<u8, 44>, &'static str> },
    /// Between two of the above.
    Between,
}

/// The application.
pub struct Downloads<Io> {
    remote: Remote<Io>,
    request: Option<RequestId>,
    life: u32,
    began: Instant,
    state: State,
    done: u32,
}

impl<Io: Read + Write + ReadReady + WriteReady> Downloads<Io> {
    /// Downloads asked for by this line into that memory.
    pub fn new(remote: Remote<Io>, memory: &'static mut [u8]) -> Self {
        let began = tidemill_core::time::EPOCH;
        Self { remote, request: None, life: 0, began, state: State::Idle(memory), done: 0 }
    }

    /// How many were answered.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// Takes a request if there is none, and hears that one is not wanted any more.
    fn ask(&mut self, now: Instant) {
        let Self { remote, request, state, began, life, .. } = self;
        if *life != remote.life() {
            *life = remote.life();
            *request = None;
        }
        remote.asked(|asked| match asked {
            Asked::Submit { id, name, args, .. } => {
                if request.is_some() || !matches!(state, State::Idle(_)) {
                    return false;
                }
                *request = Some(id);
                *began = now;
                begin(state, name, args, now);
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
        if let State::Fetching { job, report_at } = &mut self.state {
            if let Some((source, ..)) = job.wanted() {
                // Names are not resolved here.
                job.resolved(source, &[] as &[SocketAddr]);
            }
            let next = job.turn(now, net, &mut [0; SCRATCH]);
            if now >= *report_at {
                *report_at = now + REPORT;
                let progress = job.progress(now);
                let numbers = [progress.done, progress.total.unwrap_or(0), progress.rate].map(|n| (n as u32).to_le_bytes());
                self.remote.report(numbers.as_flattened());
            }
            if !job.is_closed() {
                return next.into_iter().chain([*report_at]).min();
            }
        }
        self.state = match core::mem::replace(&mut self.state, State::Between) {
            State::Fetching { job, .. } => match job.outcome().map(|outcome| outcome.map_err(why)) {
                Some(Err(why)) => State::Answering { memory: job.into_sink().memory, answer: Err(why) },
                _ => {
                    let (store, took) = (job.into_sink(), now - self.began);
                    State::Summing { store, at: 0, crc: 0, sha: Sha256::new(), took }
                }
            },
            State::Summing { store, at, crc, mut sha, took } => {
                let rest = store.memory.get(at..store.len).unwrap_or_default();
                let part = rest.get(..SUMMED).unwrap_or(rest);
                sha.update(part);
                let (at, crc) = (at + part.len(), crc::software(crc, part));
                if at < store.len {
                    State::Summing { store, at, crc, sha, took }
                } else {
                    let mut answer = heapless::Vec::new();
                    let (len, us) = (store.len as u32, took.as_ticks() as u32);
                    let parts = [&len.to_le_bytes()[..], &crc.to_le_bytes(), &sha.finalize(), &us.to_le_bytes()];
                    // It has just that room.
                    parts.into_iter().for_each(|part| drop(answer.extend_from_slice(part)));
                    State::Answering { memory: store.memory, answer: Ok(answer) }
                }
            }
            State::Answering { memory, answer } => {
                let sent = match self.request {
                    Some(id) => self.remote.answer(id, answer.as_ref().map(|bytes| &bytes[..]).map_err(|why| *why)),
                    None => true,
                };
                if !sent {
                    self.state = State::Answering { memory, answer };
                    // The line wakes us when it has room.
                    return self.remote.turn(now);
                }
                self.request = None;
                self.done = self.done.wrapping_add(1);
                State::Idle(memory)
            }
            idle @ (State::Idle(_) | State::Between) => {
                self.state = idle;
                return None;
            }
        };
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

#[inline(never)]
fn begin(state: &mut State, name: &str, args: &[u8], now: Instant) {
    let State::Idle(memory) = core::mem::replace(state, State::Between) else { return };
    let source = (name == "get").then(|| core::str::from_utf8(args).ok().and_then(|url| Source::new(url).ok()));
    *state = match source {
        Some(Some(source)) => {
            // The parts of a small file are small, too.
            let options = Options { split_min: 64 << 10, seed: now.as_ticks(), ..Options::default() };
            let slots = [const { fetch::Slot::EMPTY }; CONNECTIONS];
            let store = Store { memory, len: 0 };
            State::Fetching { job: Fetch::new(options, [source], store, slots, None), report_at: now }
        }
        Some(None) => State::Answering { memory, answer: Err("no http URL") },
        None => State::Answering { memory, answer: Err("no such task") },
    };
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
