//! A command for each line: what `xargs -P` and GNU `parallel` do, supervised as a pool's workers are.
//!
//! Each command runs in a process group of its own, known by a pidfd, with nothing to read and no signal blocked; it may be
//! timed, tried again, and is ended with all that it started. It is killed if this process is. One thread does it all.
//! However many lines there are and however much the commands say, memory is bounded: a line is read when there is a place
//! for its command, and what is said before its turn lies in a nameless file.
//!
//! ```
//! use std::fs::File;
//! use std::io::Write as _;
//! use tidemill_host::process::commands::{Event, Options, run};
//!
//! let (lines, mut into) = std::io::pipe()?;
//! into.write_all(b"ebb\nflow\n")?;
//! drop(into);
//! let mut said = Vec::new();
//! let summary = run(&Options::new(["echo".into(), "the {}".into()]), lines, &mut |event: Event<'_>| {
//!     if let Event::Said { bytes, .. } = event {
//!         said.extend_from_slice(bytes);
//!     }
//!     Ok(())
//! })?;
//! assert_eq!((&said[..], summary.failed), (&b"the ebb\nthe flow\n"[..], 0));
//! # Ok::<(), std::io::Error>(())
//! ```

mod job;
mod lines;
mod spool;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::{Exit, cpu_count};
use crate::socket::wait_for_any;
use job::Job;
use lines::Lines;
use spool::{PART, Spill, Spool};
pub use tree::kill_all;

/// So far may the commands be ahead of the one whose turn it is.
const AHEAD: u64 = 1024;

/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What to do when a command has failed for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Halt {
    /// Go on.
    #[default]
    Never,
    /// Start no more, and let those that run end.
    Soon,
    /// End those that run.
    Now,
}

/// What to run, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Program and arguments; the line stands for each `{}` in them, or comes last if there is none.
    pub command: Vec<OsString>,
    /// How many at once; unless said otherwise, one for each core.
    pub jobs: usize,
    /// What they say comes in the order of the lines, and not in that in which they end.
    pub ordered: bool,
    /// How often a command that failed is tried again, if it could be started. What it said before is forgotten.
    pub retries: u32,
    /// How long it may take each time.
    pub timeout: Option<Duration>,
    /// See [`Halt`].
    pub halt: Halt,
    /// Set it, and all that runs is ended.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// In order, once each, for as long as they take.
    pub fn new(command: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            command: command.into_iter().collect(),
            jobs: cpu_count(),
            ordered: true,
            retries: 0,
            timeout: None,
            halt: Halt::Never,
            stop: Arc::default(),
        }
    }
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It ended.
    Ended(Exit),
    /// It took too long, and was ended.
    TimedOut,
    /// It was ended because all is.
    Stopped,
    /// It could not be started, for this reason.
    NotStarted(String),
}

impl Outcome {
    /// Whether it ended well.
    pub fn success(&self) -> bool {
        matches!(self, Self::Ended(exit) if exit.success())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(exit) => exit.fmt(f),
            Self::TimedOut => f.write_str("took too long"),
            Self::Stopped => f.write_str("stopped"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// Where a command says something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What happens. Lines are counted from 1.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A command runs.
    Started {
        /// For which line.
        line: u64,
        /// Its number.
        pid: u32,
    },
    /// A command said this. In one piece with all that it says on that stream, but for what other events come between.
    Said {
        /// For which line.
        line: u64,
        /// Where.
        stream: Stream,
        /// A part of it.
        bytes: &'a [u8],
    },
    /// A command failed, and is tried again.
    Retry {
        /// For which line.
        line: u64,
        /// How it failed.
        outcome: &'a Outcome,
    },
    /// A command has ended for good, and all that it said was told.
    Ended {
        /// For which line.
        line: u64,
        /// The line.
        text: &'a [u8],
        /// How.
        outcome: &'a Outcome,
        /// How often it was tried.
        tries: u32,
        /// How long it took, the last time.
        took: Duration,
    },
    /// Some have ended.
    Progress(Summary),
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many lines there were so far.
    pub lines: u64,
    /// Whether there are no more.
    pub complete: bool,
    /// How many commands have ended for good.
    pub ended: u64,
    /// How many of them badly.
    pub failed: u64,
    /// It was stopped, or halted, before all lines had their command.
    pub stopped: bool,
}

/// A line whose command has not ended, or has not had its turn.
struct Entry {
    text: Vec<u8>,
    said: [Spool; 2],
    tries: u32,
    began: Instant,
    ended: Option<(Outcome, Duration)>,
}

struct Run<'a, R, F> {
    options: &'a Options,
    lines: Lines<R>,
    tell: F,
    summary: Summary,
    jobs: Vec<Job>,
    entries: BTreeMap<u64, Entry>,
    spill: Spill,
    buffer: Vec<u8>,
    /// No more is started.
    halted: bool,
}

/// Runs the command for each line, and tells of what happens. Returns when all have ended and been told of.
///
/// # Errors
/// Lines cannot be read, or one is longer than 128 KiB; there is no room for what is said; or what `tell` returns. All that
/// runs is ended then.
pub fn run<R: Read + AsFd>(
    options: &Options,
    lines: R,
    tell: &mut impl FnMut(Event<'_>) -> io::Result<()>,
) -> io::Result<Summary> {
    let mut run = Run {
        options,
        lines: Lines::new(lines),
        tell,
        summary: Summary::default(),
        jobs: Vec::new(),
        entries: BTreeMap::new(),
        spill: Spill::default(),
        buffer: vec![0; PART],
        halted: false,
    };
    while !run.step()? {}
    Ok(run.summary)
}

impl<R: Read + AsFd, F: FnMut(Event<'_>) -> io::Result<()>> Run<'_, R, F> {
    /// Goes on; whether all is done.
    fn step(&mut self) -> io::Result<bool> {
        if self.options.stop.load(Ordering::Relaxed) {
            self.halt(true);
        }
        self.start()?;
        if self.jobs.is_empty() && (self.halted || self.lines.is_over()) {
            self.summary.complete |= self.lines.is_over();
            return Ok(true);
        }
        let reads = self.wants_line() && self.lines.has_to_read();
        let now = Instant::now();
        let next = self.jobs.iter().filter_map(Job::deadline).min().unwrap_or(now + LOOK).min(now + LOOK);
        let mut fds = Vec::with_capacity(3 * self.jobs.len() + 1);
        for job in &self.jobs {
            fds.push(PollFd::new(job.sentinel().as_fd(), PollFlags::POLLIN));
            fds.extend(job.streams.iter().flatten().map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN)));
        }
        if reads {
            fds.push(PollFd::new(self.lines.source().as_fd(), PollFlags::POLLIN));
        }
        wait_for_any(&mut fds, Some(next))?;
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false)).collect::<Vec<_>>().into_iter();
        drop(fds);
        let mut ended = Vec::new();
        for at in 0..self.jobs.len() {
            let has_ended = ready.next() == Some(true);
            for stream in 0..2 {
                if self.jobs[at].streams[stream].is_some() && ready.next() == Some(true) {
                    self.hear(at, stream)?;
                }
            }
            if has_ended {
                ended.push(at);
            }
            self.jobs[at].look(Instant::now());
        }
        if reads && ready.next() == Some(true) {
            self.lines.read()?;
        }
        for at in ended.into_iter().rev() {
            self.end(at)?;
        }
        Ok(false)
    }

    /// Whether there is a place for a command.
    fn wants_line(&self) -> bool {
        let ahead = self.entries.first_key_value().map_or(0, |(first, _)| self.summary.lines - first);
        !self.halted && self.jobs.len() < self.options.jobs && ahead < AHEAD
    }

    fn start(&mut self) -> io::Result<()> {
        while self.wants_line() {
            let Some(text) = self.lines.next() else { break };
            self.summary.lines += 1;
            let entry = Entry { text, said: Default::default(), tries: 0, began: Instant::now(), ended: None };
            self.entries.insert(self.summary.lines, entry);
            self.start_job(self.summary.lines)?;
        }
        self.summary.complete = self.lines.is_over();
        Ok(())
    }

    fn start_job(&mut self, line: u64) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&line) else { return Ok(()) };
        entry.tries += 1;
        entry.began = Instant::now();
        let command = job::command(&self.options.command, &entry.text);
        match Job::start(line, command, self.options.timeout) {
            Ok(job) => {
                (self.tell)(Event::Started { line, pid: job.pid() })?;
                self.jobs.push(job);
                Ok(())
            }
            Err(error) => self.settle(line, Outcome::NotStarted(crate::words::of_error(&error))),
        }
    }

    /// Takes what a command says: tells it at once if it is its turn, and it would not have to be forgotten.
    fn hear(&mut self, at: usize, stream: usize) -> io::Result<bool> {
        let job = &mut self.jobs[at];
        let Some(count) = job.read(stream, &mut self.buffer) else { return Ok(false) };
        let (line, bytes) = (job.line, &self.buffer[..count]);
        let first = self.entries.first_key_value().map(|(first, _)| *first);
        let Some(entry) = self.entries.get_mut(&line) else { return Ok(true) };
        if self.options.ordered && first == Some(line) && entry.tries > self.options.retries {
            Self::tell_of(&mut self.tell, &mut self.spill, line, &mut entry.said)?;
            let stream = if stream == 0 { Stream::Out } else { Stream::Err };
            (self.tell)(Event::Said { line, stream, bytes })?;
        } else {
            entry.said[stream].add(bytes, &mut self.spill)?;
        }
        Ok(true)
    }

    fn tell_of(tell: &mut F, spill: &mut Spill, line: u64, said: &mut [Spool; 2]) -> io::Result<()> {
        for (spool, stream) in said.iter_mut().zip([Stream::Out, Stream::Err]) {
            spool.drain(spill, |bytes| tell(Event::Said { line, stream, bytes }))?;
        }
        Ok(())
    }

    /// A command has ended: takes what it said last, without waiting for those that it left behind.
    fn end(&mut self, at: usize) -> io::Result<()> {
        let Some(outcome) = self.jobs[at].exit() else { return Ok(()) };
        for stream in 0..2 {
            // What is left behind may go on talking.
            for _ in 0..256 {
                if !self.hear(at, stream)? {
                    break;
                }
            }
        }
        let line = self.jobs.swap_remove(at).line;
        self.settle(line, outcome)
    }

    fn settle(&mut self, line: u64, outcome: Outcome) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&line) else { return Ok(()) };
        let final_try = self.halted || entry.tries > self.options.retries || matches!(outcome, Outcome::NotStarted(_));
        if !outcome.success() && !final_try {
            for spool in &mut entry.said {
                spool.clear(&mut self.spill)?;
            }
            (self.tell)(Event::Retry { line, outcome: &outcome })?;
            return self.start_job(line);
        }
        self.summary.ended += 1;
        self.summary.failed += u64::from(!outcome.success());
        let halts = !outcome.success() && !self.halted;
        entry.ended = Some((outcome, entry.began.elapsed()));
        if self.options.ordered {
            while let Some(first) = self.entries.first_entry().filter(|first| first.get().ended.is_some()) {
                let (line, entry) = first.remove_entry();
                self.tell_end(line, entry)?;
            }
            self.tell_turn()?;
        } else if let Some(entry) = self.entries.remove(&line) {
            self.tell_end(line, entry)?;
        }
        if halts && self.options.halt != Halt::Never {
            self.halt(self.options.halt == Halt::Now);
        }
        (self.tell)(Event::Progress(self.summary))
    }

    fn tell_end(&mut self, line: u64, mut entry: Entry) -> io::Result<()> {
        Self::tell_of(&mut self.tell, &mut self.spill, line, &mut entry.said)?;
        let Some((outcome, took)) = &entry.ended else { return Ok(()) };
        let (outcome, took) = (outcome, *took);
        (self.tell)(Event::Ended { line, text: &entry.text, outcome, tries: entry.tries, took })
    }

    /// It is another's turn, which has said something already.
    fn tell_turn(&mut self) -> io::Result<()> {
        match self.entries.first_entry() {
            Some(mut first) if first.get().tries > self.options.retries => {
                let line = *first.key();
                Self::tell_of(&mut self.tell, &mut self.spill, line, &mut first.get_mut().said)
            }
            _ => Ok(()),
        }
    }

    /// Starts no more; `now`: ends those that run.
    fn halt(&mut self, now: bool) {
        self.summary.stopped |= !(self.halted || self.lines.is_over() && self.jobs.is_empty());
        self.halted = true;
        if now {
            for job in &mut self.jobs {
                job.end(Outcome::Stopped);
            }
        }
    }
}
