//! The tasks that can be asked for by name, and the table of those that were.
//!
//! [`Jobs`] is a pool whose tasks come from a [`Remote`]: each request becomes a task with a deadline, each result an answer. A task
//! whose answer the line has no room for keeps its slot, and a request for which there is no slot stays in the line's
//! window, so that whoever asks for too much waits, and nothing is lost.
//!
//! | name | arguments | answer |
//! |---|---|---|
//! | `echo` | bytes | the same |
//! | `sum` | numbers, 4 bytes each | their sum, 8 bytes |
//! | `sleep` | milliseconds, 4 bytes | how many microseconds it took, 8 bytes |
//! | `spin` | rounds, 4 bytes | a number that takes that many turns to find, 8 bytes |
//! | `beats` | | interrupts heard of, lost, and the worst wait from interrupt to task in microseconds, 4 bytes each |
//! | `fail` | text | a failure that says so |
//!
//! Numbers are little-endian.
#![allow(clippy::result_large_err, reason = "a failure is text, and there is no heap to put it on")]

use crate::remote::{Asked, MESSAGE_MAX, Remote};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use heapless::Vec;
use tidemill_core::executor::Executor;
use tidemill_core::frame::link::RequestId;
use tidemill_core::net::Stack;
use tidemill_core::pool::{Failure, Slot, TaskId};
use tidemill_core::queue::Consumer;
use tidemill_core::random::mix;
use tidemill_core::task::{Context, Deadline, DeadlineError, Task, Wake, with_deadline};
use tidemill_core::time::{Duration, Instant};

/// What a task works on, and what comes of it.
pub type Bytes = Vec<u8, MESSAGE_MAX>;

/// How long a task may take whose peer did not say.
const PATIENCE: Duration = Duration::from_hours(1);

/// What the tasks share: what is known of the interrupts that [`Job::Listen`] hears.
#[derive(Clone, Copy, Default, Debug)]
pub struct Beats {
    /// Heard of.
    pub heard: u32,
    /// Not heard of, because the queue was full.
    pub lost: u32,
    /// The worst time from an interrupt to the task's poll, in microseconds.
    pub worst_us: u32,
}

/// A task of the pool.
pub enum Job {
    /// Ends at once, with this.
    Ready(Bytes),
    /// Waits from its first poll on.
    Sleep {
        /// For so long.
        span: Duration,
        /// When it was polled first.
        began: Option<Instant>,
    },
    /// Does a round in each turn.
    Spin {
        /// How many are left.
        rounds: u32,
        /// What came of those before.
        value: u64,
    },
    /// Tells what [`Beats`] says.
    Beats,
    /// Fails.
    Fail(Bytes),
    /// Hears an interrupt, for ever.
    Listen(Consumer<'static, Instant>),
}

impl Job {
    /// The task of this name; `None`: there is none, or not on such arguments.
    fn new(name: &str, args: &[u8]) -> Option<Self> {
        let bytes = || Bytes::from_slice(args).ok();
        let number = || Some(u32::from_le_bytes(*args.first_chunk()?));
        Some(match name {
            "echo" => Self::Ready(bytes()?),
            "sum" => {
                let (numbers, rest) = args.as_chunks();
                let sum: u64 = numbers.iter().map(|&number| u64::from(u32::from_le_bytes(number))).sum();
                Self::Ready(rest.is_empty().then(|| Bytes::from_slice(&sum.to_le_bytes()).ok())??)
            }
            "sleep" => Self::Sleep { span: Duration::from_millis(number()?.into()), began: None },
            "spin" => Self::Spin { rounds: number()?, value: 0 },
            "beats" => Self::Beats,
            "fail" => Self::Fail(bytes()?),
            _ => return None,
        })
    }
}

impl<S: Stack> Task<S, Beats> for Job {
    type Output = Bytes;
    type Error = Bytes;

    fn poll(&mut self, cx: &mut Context<'_, S, Beats>) -> nb::Result<Bytes, Bytes> {
        let bytes = |bytes: &[u8]| Bytes::from_slice(bytes).map_err(|_| nb::Error::Other(Bytes::new()));
        match self {
            Self::Ready(bytes) => Ok(core::mem::take(bytes)),
            Self::Fail(why) => Err(nb::Error::Other(core::mem::take(why))),
            Self::Sleep { span, began } => {
                let began = *began.get_or_insert(cx.now);
                if cx.now < began + *span {
                    cx.wait_until(began + *span);
                    return Err(nb::Error::WouldBlock);
                }
                bytes(&(cx.now - began).as_ticks().to_le_bytes())
            }
            Self::Spin { rounds: 0, value } => bytes(&value.to_le_bytes()),
            Self::Spin { rounds, value } => {
                *rounds -= 1;
                *value = mix(*value ^ u64::from(*rounds));
                cx.wait_until(cx.now);
                Err(nb::Error::WouldBlock)
            }
            Self::Beats => {
                let Beats { heard, lost, worst_us } = *cx.shared;
                bytes([heard, lost, worst_us].map(u32::to_le_bytes).as_flattened())
            }
            Self::Listen(beats) => loop {
                let Ok(at) = beats.get(&mut cx.me) else { return Err(nb::Error::WouldBlock) };
                cx.shared.heard = cx.shared.heard.wrapping_add(1);
                let waited = (cx.now.as_ticks()).saturating_sub(at.as_ticks());
                cx.shared.worst_us = cx.shared.worst_us.max(u32::try_from(waited).unwrap_or(u32::MAX));
            },
        }
    }
}

type Slots<const N: usize> = [Slot<Deadline<Job>, Bytes, DeadlineError<Bytes>>; N];

/// A request that was not answered yet.
struct Entry {
    request: RequestId,
    /// `None`: there is no such task.
    task: Option<TaskId>,
}

/// A pool of `N` tasks that a peer asks for.
pub struct Jobs<const N: usize> {
    executor: Executor<Deadline<Job>, Slots<N>, Bytes, DeadlineError<Bytes>>,
    entries: Vec<Entry, N>,
    /// What the tasks share.
    pub beats: Beats,
    life: u32,
    answered: u32,
}

impl<const N: usize> Default for Jobs<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// So that a flag wakes its task.
impl<const N: usize> Wake for Jobs<N> {
    fn wake(&mut self, token: tidemill_core::net::Token) {
        self.executor.wake(token);
    }
}

impl<const N: usize> Jobs<N> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            executor: Executor::new([const { Slot::EMPTY }; N]),
            entries: Vec::new(),
            beats: Beats::default(),
            life: 0,
            answered: 0,
        }
    }

    /// Runs a task of our own, for as long as there is power. False: there is no slot.
    pub fn spawn(&mut self, job: Job) -> bool {
        self.executor.pool.spawn(with_deadline(job, Instant::from_ticks(u64::MAX))).is_ok()
    }

    /// How many requests were answered.
    pub fn answered(&self) -> u32 {
        self.answered
    }

    /// The most tasks that lived at once.
    pub fn live_max(&self) -> usize {
        self.executor.pool.live_max()
    }

    /// Takes requests, runs tasks, and answers, until there is nothing more to do at `now`. Returns when to come again.
    pub fn turn<S, Io>(&mut self, now: Instant, net: &mut S, remote: &mut Remote<Io>) -> Option<Instant>
    where
        S: Stack,
        Io: Read + Write + ReadReady + WriteReady,
    {
        let line = remote.turn(now);
        if remote.life() != self.life {
            self.life = remote.life();
            self.forget();
        }
        remote.asked(|asked| self.take(now, asked));
        let next = self.executor.turn(now, net, &mut self.beats);
        let before = self.answered;
        self.answer(remote);
        if self.answered != before {
            // There is something to write, and room for more requests.
            return Some(now);
        }
        line.into_iter().chain(next).min()
    }

    /// Whether what is asked was taken.
    fn take(&mut self, now: Instant, asked: Asked<'_>) -> bool {
        match asked {
            Asked::Submit { id: request, name, args, timeout } => {
                if self.entries.is_full() || !self.executor.pool.has_room() {
                    return false;
                }
                let deadline = now + timeout.unwrap_or(PATIENCE).min(PATIENCE);
                let task =
                    Job::new(name, args).and_then(|job| self.executor.pool.submit(with_deadline(job, deadline)).ok());
                self.entries.push(Entry { request, task }).is_ok()
            }
            Asked::Cancel(request) => {
                if let Some(at) = self.entries.iter().position(|entry| entry.request == request) {
                    self.drop_at(at);
                }
                true
            }
        }
    }

    /// The peer does not want it any more.
    fn drop_at(&mut self, at: usize) {
        if let Some(task) = self.entries.swap_remove(at).task {
            self.executor.pool.abort(task);
            self.executor.pool.detach(task);
        }
    }

    /// Nor anything else.
    fn forget(&mut self) {
        while !self.entries.is_empty() {
            self.drop_at(0);
        }
    }

    /// Answers what has ended, as far as the line has room.
    fn answer<Io: Read + Write + ReadReady + WriteReady>(&mut self, remote: &mut Remote<Io>) {
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            let result = match entry.task.map(|task| self.executor.pool.peek(task)) {
                Some(Err(nb::Error::WouldBlock)) => {
                    at += 1;
                    continue;
                }
                Some(Ok(bytes)) => Ok(&bytes[..]),
                Some(Err(nb::Error::Other(Failure::Failed(DeadlineError::Failed(why))))) => {
                    Err(core::str::from_utf8(why).unwrap_or("failed"))
                }
                Some(Err(nb::Error::Other(Failure::Failed(DeadlineError::Elapsed)))) => Err("out of time"),
                Some(Err(nb::Error::Other(_))) => Err("stopped"),
                None => Err("no such task"),
            };
            if !remote.answer(entry.request, result) {
                return;
            }
            self.answered = self.answered.wrapping_add(1);
            self.drop_at(at);
        }
    }
}
