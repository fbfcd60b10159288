//! Tasks on another machine: submitted by name over any stream, their results as futures.
//!
//! The other end is whoever speaks core's [frames](tidemill_core::frame) and knows the names: a microcontroller on a serial
//! line (`core/examples/mps2-an385` has one), or a program behind a socket. The stream is whatever can be read, written and
//! polled: a serial port or pseudo-terminal, a Unix socket, TCP. On a line that damages bytes nothing is lost, nothing runs
//! twice: frames are checked, confirmed and repeated.
//!
//! What is on the wire: on channel 0 requests, each the task's name, a zero byte and its arguments; the answer is bytes, a
//! failure text that says why. On channel 1 the other end may report, unasked: how far something is.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use tidemill_host::remote::{Client, Options};
//! # use tidemill_core::frame::{Carrier, link::{Config, Endpoint, Post, Subject}};
//! # use tidemill_core::time::EPOCH;
//! # use std::io::{Read, Write};
//!
//! let (near, far) = UnixStream::pair()?;
//! # // A board that knows one task, which turns its arguments round.
//! # let board = std::thread::spawn(move || -> std::io::Result<()> {
//! #     let config = Config { reliable: true, reorder: 1024, nonce: [7; 16], ..Config::new(Carrier::Line) };
//! #     let mut end = Endpoint::<_, 2, 0, _>::reliable(config, vec![0; config.memory(2)]).unwrap();
//! #     let mut link = end.link();
//! #     let mut input = [0; 256];
//! #     while link.ended().is_none() {
//! #         let count = (&far).read(&mut input)?;
//! #         link.handle_input(EPOCH, &input[..count]);
//! #         while let Some(message) = link.peek(0) {
//! #             let Subject::Request { id, .. } = message.subject else { break };
//! #             let answer: Vec<u8> = message.payload.iter().skip("turn round\0".len()).rev().copied().collect();
//! #             link.pop(0);
//! #             link.send(0, Post::Response(id), &answer, 0).unwrap();
//! #         }
//! #         if link.peer_closed() {
//! #             link.close();
//! #         }
//! #         while let output @ 1.. = link.poll_output(EPOCH).len() {
//! #             (&far).write_all(link.poll_output(EPOCH))?;
//! #             link.wrote(output);
//! #         }
//! #     }
//! #     Ok(())
//! # });
//! let client = Client::open(near, &Options::default())?;
//! let mut edit = client.submit("turn round", b"edit", None)?;
//! assert_eq!(edit.result(None).unwrap(), b"tide");
//! client.close()?;
//! # board.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod engine;
mod future;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidemill_core::frame::Carrier;
use tidemill_core::frame::link;

use crate::net::Waker;
use engine::Engine;
pub use future::Future;
use future::Promise;

/// How many tasks may wait to be sent.
pub const QUEUE_MAX: usize = 256;

/// How many tasks may be with the other end at once. It takes fewer if it has less room.
pub const RUNNING_MAX: usize = 128;

/// How many reports are kept that nobody has asked for. More wait at the other end.
pub const REPORTS_MAX: usize = 64;

/// How long [`Client::close`] waits for the other end's goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// How the other end is to be spoken with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the frames travel on: a line, or a stream where every byte arrives.
    pub carrier: Carrier,
    /// Whether frames are confirmed and repeated. The other end must be the same.
    pub reliable: bool,
    /// How long to wait for the other end to greet.
    pub open_timeout: Duration,
    /// Another end that is silent for this long is asked for a sign of life, and given up after three times this long.
    pub keep_alive: Option<Duration>,
}

impl Default for Options {
    /// A reliable line; 10 s to greet; 5 s of silence before it is asked for a sign of life.
    fn default() -> Self {
        Self {
            carrier: Carrier::Line,
            reliable: true,
            open_timeout: Duration::from_secs(10),
            keep_alive: Some(Duration::from_secs(5)),
        }
    }
}

/// Why a task failed, or was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The other end says why it failed, or that it has no such task.
    Task(String),
    /// It was not answered in its time. The other end was told not to.
    Expired,
    /// As many tasks as can wait do: try again when one has ended.
    Full,
    /// Name and arguments are longer than the other end can hold.
    TooLong,
    /// The name has a zero byte.
    Name,
    /// Nobody greets at the other end.
    NoAnswer,
    /// The link has ended.
    Link(link::Error),
    /// The client was closed, or the other end has said goodbye.
    Closed,
    /// The stream has failed.
    Io(io::ErrorKind),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(why) => f.write_str(why),
            Self::Expired => f.write_str("not answered in time"),
            Self::Full => f.write_str("too many tasks wait"),
            Self::TooLong => f.write_str("name and arguments are too long"),
            Self::Name => f.write_str("a name has no zero byte"),
            Self::NoAnswer => f.write_str("nobody greets"),
            Self::Link(error) => error.fmt(f),
            Self::Closed => f.write_str("closed"),
            Self::Io(kind) => kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// A task that waits to be sent.
#[derive(Debug)]
struct Submission {
    /// Name, zero, arguments.
    message: Vec<u8>,
    deadline: Option<Instant>,
    promise: Arc<Promise>,
}

/// What the client's owners and its thread share.
#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// The link has opened or ended, or a report has come.
    changed: Condvar,
    /// Wakes the thread.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Submission>,
    reports: VecDeque<Vec<u8>>,
    /// Somebody wants a running task to be aborted.
    aborting: bool,
    closing: bool,
    opened: bool,
    /// The thread takes nothing more.
    ended: Option<Result<(), Error>>,
    stats: link::Stats,
}

impl Shared {
    /// A panic while it was held left nothing half done: whoever holds it only moves values in and out.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` finds something, or `deadline` has come.
    fn wait<R>(&self, deadline: Option<Instant>, mut found: impl FnMut(&mut Inner) -> Option<R>) -> Option<R> {
        let mut inner = self.lock();
        loop {
            if let Some(result) = found(&mut inner) {
                return Some(result);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            inner = match left {
                Some(Duration::ZERO) => return None,
                Some(left) => self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// This end of a stream, and the thread that serves it. It may be shared among threads.
///
/// Dropping it is [`close`](Self::close), whatever comes of it.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Greets, and waits until the other end has. The stream is set not to block, and so are its duplicates.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Io`], [`Error::Link`] if the ends do not fit together.
    pub fn open<S>(stream: S, options: &Options) -> Result<Self, Error>
    where
        S: Read + Write + AsFd + Send + 'static,
    {
        let shared = Arc::new(Shared { inner: Mutex::default(), changed: Condvar::new(), waker: Waker::new()? });
        let engine = Engine::new(stream, options, shared.clone())?;
        let thread = std::thread::Builder::new().name("tidemill-remote".into()).spawn(|| engine.run())?;
        let client = Self { shared, thread: Some(thread) };
        let deadline = Instant::now() + options.open_timeout;
        let opened = client.shared.wait(Some(deadline), |inner| match &inner.ended {
            Some(ended) => Some(Err(ended.clone().err().unwrap_or(Error::Closed))),
            None => inner.opened.then_some(Ok(())),
        });
        opened.unwrap_or(Err(Error::NoAnswer)).map(|()| client)
    }

    /// Has the other end run the task of this name on `args`, and answer within `timeout`.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Name`], and why there is no link any more.
    #[doc(alias = "apply_async")]
    pub fn submit(&self, name: &str, args: &[u8], timeout: impl Into<Option<Duration>>) -> Result<Future, Error> {
        if name.bytes().any(|byte| byte == 0) {
            return Err(Error::Name);
        }
        let message = [name.as_bytes(), &[0], args].concat();
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inner = self.shared.lock();
        if inner.closing {
            return Err(Error::Closed);
        }
        if let Some(ended) = &inner.ended {
            return Err(ended.clone().err().unwrap_or(Error::Closed));
        }
        if inner.queue.len() >= QUEUE_MAX {
            return Err(Error::Full);
        }
        let promise = Arc::new(Promise::default());
        inner.queue.push_back(Submission { message, deadline, promise: promise.clone() });
        drop(inner);
        self.shared.waker.wake();
        Ok(Future::new(promise, self.shared.clone()))
    }

    /// The next report of the other end; waits for one, for at most `timeout`.
    ///
    /// # Errors
    /// [`Error::Expired`], and why there will be none.
    pub fn report(&self, timeout: impl Into<Option<Duration>>) -> Result<Vec<u8>, Error> {
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let report = self.shared.wait(deadline, |inner| match (inner.reports.pop_front(), &inner.ended) {
            (Some(report), _) => Some(Ok(report)),
            (None, Some(ended)) => Some(Err(ended.clone().err().unwrap_or(Error::Closed))),
            (None, None) => None,
        });
        // There is room for another.
        self.shared.waker.wake();
        report.unwrap_or(Err(Error::Expired))
    }

    /// What was lost, damaged and repeated on the line, up to now.
    pub fn stats(&self) -> link::Stats {
        self.shared.lock().stats
    }

    /// Says goodbye, once all that waits is sent, and waits for the other end's. Tasks that were not answered by then fail
    /// with [`Error::Closed`]: wait for their futures before.
    ///
    /// # Errors
    /// Why the link has ended otherwise; [`Error::Expired`] if the other end does not part within 3 s.
    pub fn close(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.shared.lock().closing = true;
        self.shared.waker.wake();
        // The thread has a bound for its goodbye.
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is no outcome.
            let _ = thread.join();
        }
        self.shared.lock().ended.clone().unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
