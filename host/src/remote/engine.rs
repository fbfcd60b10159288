//! The thread that serves a stream.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tidemill_core::frame::link::{self, CallId, Config, Endpoint, Event, Link, Post, Reliable, Subject};
use tidemill_core::time::{self, EPOCH};

use super::future::Promise;
use super::{Error, GOODBYE, Options, REPORTS_MAX, RUNNING_MAX, Shared, Submission};

const TASKS: u8 = 0;
const REPORTS: u8 = 1;
const CHANNELS: usize = 2;

/// Bytes read at a time, and how often before something is done about them.
const INPUT: usize = 4096;
const INPUTS: usize = 16;

/// One end of a stream.
pub(super) struct Engine<S> {
    stream: S,
    endpoint: Endpoint<'static, Vec<u8>, CHANNELS, RUNNING_MAX, Reliable>,
    shared: Arc<Shared>,
    began: Instant,
    calls: BTreeMap<CallId, Arc<Promise>>,
    /// A task whose message is not all sent: how far it is.
    sending: Option<(CallId, Vec<u8>, usize)>,
    /// There is no more to read.
    at_end: bool,
    closing_since: Option<Instant>,
}

impl<S: Read + Write + AsFd> Engine<S> {
    pub(super) fn new(stream: S, options: &Options, shared: Arc<Shared>) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&stream, FcntlArg::F_GETFL)?);
        fcntl(&stream, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let mut nonce = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut nonce)?;
        let us =
            |span: std::time::Duration| time::Duration::from_micros(span.as_micros().try_into().unwrap_or(u64::MAX));
        let config = Config {
            reliable: options.reliable,
            checksum: crate::frame::checksum,
            window: 8 << 10,
            transmit: 8 << 10,
            reorder: if options.reliable { 8 << 10 } else { 0 },
            nonce,
            keep_alive: options.keep_alive.map(us),
            retry: time::Duration::from_millis(50),
            ..Config::new(options.carrier)
        };
        let endpoint = Endpoint::reliable(config, vec![0; config.memory(CHANNELS)]).map_err(io::Error::other)?;
        Ok(Self {
            stream,
            endpoint,
            shared,
            began: Instant::now(),
            calls: BTreeMap::new(),
            sending: None,
            at_end: false,
            closing_since: None,
        })
    }

    /// Serves until the link has ended.
    pub(super) fn run(mut self) {
        let ended = self.serve();
        // Whatever did not end by itself ends now.
        let why = ended.clone().err().unwrap_or(Error::Closed);
        let mut inner = self.shared.lock();
        inner.ended = Some(ended);
        let queue = core::mem::take(&mut inner.queue);
        drop(inner);
        self.shared.changed.notify_all();
        let waiting = queue.into_iter().map(|submission| submission.promise);
        for promise in core::mem::take(&mut self.calls).into_values().chain(waiting) {
            promise.settle(Err(why.clone()));
        }
    }

    fn now(&self) -> time::Instant {
        EPOCH + time::Duration::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.read()?;
            self.abort_some();
            self.receive();
            self.submit();
            let blocked = self.write()?;
            // Writing is also when the link sees what time it is: what is over by now is told.
            let news = self.events();
            let stats = self.endpoint.link().stats();
            self.shared.lock().stats = stats;
            if let Some(ended) = self.endpoint.link().ended() {
                return ended.map_or(Ok(()), |error| Err(Error::Link(error)));
            }
            if self.closing_since.is_some_and(|since| since.elapsed() > GOODBYE) {
                return Err(Error::Expired);
            }
            if !news {
                self.sleep(blocked)?;
            }
        }
    }

    fn read(&mut self) -> Result<(), Error> {
        let mut input = [0; INPUT];
        for _ in 0..INPUTS {
            if self.at_end {
                break;
            }
            let now = self.now();
            match self.stream.read(&mut input) {
                Ok(0) => self.hang_up(),
                Ok(count) => self.endpoint.link().handle_input(now, &input[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A pseudo-terminal says so with an error when its other end has gone.
                Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => self.hang_up(),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.hang_up(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        self.at_end = true;
        self.endpoint.link().handle_end();
    }

    /// Writes what there is. Whether the stream has no room for all of it.
    fn write(&mut self) -> Result<bool, Error> {
        loop {
            let now = self.now();
            let mut link = self.endpoint.link();
            let output = link.poll_output(now);
            if output.is_empty() {
                return Ok(false);
            }
            match self.stream.write(output) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero)),
                Ok(count) => link.wrote(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What has arrived can still be read; then there is an end to it.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.hang_up();
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends what somebody wants to be ended.
    fn abort_some(&mut self) {
        if !core::mem::take(&mut self.shared.lock().aborting) {
            return;
        }
        let mut link = self.endpoint.link();
        self.calls.retain(|&call, promise| {
            let abort = promise.is_aborting();
            if abort {
                link.cancel(call);
                promise.cancel();
            }
            !abort
        });
        self.shared.lock().queue.retain(|submission| {
            let abort = submission.promise.is_aborting();
            if abort {
                submission.promise.cancel();
            }
            !abort
        });
    }

    /// Takes what has arrived.
    fn receive(&mut self) {
        let mut link = self.endpoint.link();
        while let Some(message) = link.peek(TASKS) {
            let (call, outcome) = match message.subject {
                Subject::Response(call) => (call, Ok(message.payload.to_vec())),
                Subject::Failure(call) => {
                    (call, Err(Error::Task(String::from_utf8_lossy(message.payload).into_owned())))
                }
                // Nobody asks anything of this end.
                _ => {
                    link.pop(TASKS);
                    continue;
                }
            };
            link.pop(TASKS);
            if let Some(promise) = self.calls.remove(&call) {
                promise.settle(outcome);
            }
        }
        let mut inner = self.shared.lock();
        let mut any = false;
        while inner.reports.len() < REPORTS_MAX {
            let Some(message) = link.peek(REPORTS) else { break };
            if message.subject == Subject::Data {
                inner.reports.push_back(message.payload.to_vec());
                any = true;
            }
            link.pop(REPORTS);
        }
        drop(inner);
        if any {
            self.shared.changed.notify_all();
        }
    }

    /// Hears what happened. Whether anything did.
    fn events(&mut self) -> bool {
        let mut any = false;
        let mut link = self.endpoint.link();
        while let Some(event) = link.poll_event() {
            any = true;
            match event {
                Event::Opened => {
                    self.shared.lock().opened = true;
                    self.shared.changed.notify_all();
                }
                Event::Expired(call) => {
                    if let Some(promise) = self.calls.remove(&call) {
                        promise.settle(Err(Error::Expired));
                    }
                }
                // Nobody is there to answer any more.
                Event::PeerClosed => link.close(),
                _ => {}
            }
        }
        any
    }

    /// Sends what waits, as far as there is room; then, if that is wanted, goodbye.
    fn submit(&mut self) {
        let now = Instant::now();
        let mut link = self.endpoint.link();
        loop {
            if let Some((call, message, offset)) = &mut self.sending {
                if self.calls.contains_key(call) {
                    match link.send(TASKS, Post::Request(*call), message, *offset) {
                        Ok(sent) if sent < message.len() => {
                            *offset = sent;
                            continue;
                        }
                        Ok(_) => {}
                        Err(nb::Error::WouldBlock) => break,
                        Err(nb::Error::Other(error)) => fail(&mut link, &mut self.calls, *call, error),
                    }
                }
                self.sending = None;
            }
            let mut inner = self.shared.lock();
            let Some(submission) = inner.queue.front() else {
                if inner.closing && self.closing_since.is_none() {
                    self.closing_since = Some(now);
                    link.close();
                }
                break;
            };
            let left = submission.deadline.map(|deadline| deadline.saturating_duration_since(now));
            let late = left.is_some_and(|left| left.is_zero());
            let span = left.map(|left| time::Duration::from_micros(left.as_micros() as u64));
            let call = if late || submission.promise.is_cancelled() {
                None
            } else {
                match link.call(TASKS, span) {
                    Ok(call) => Some(call),
                    // One that is answered makes room.
                    Err(_) => break,
                }
            };
            let Some(Submission { message, promise, .. }) = inner.queue.pop_front() else { break };
            drop(inner);
            match call {
                Some(call) if promise.start() => {
                    self.calls.insert(call, promise);
                    self.sending = Some((call, message, 0));
                }
                Some(call) => drop(link.cancel(call)),
                None => promise.settle(Err(Error::Expired)),
            }
        }
    }

    /// Waits for the stream, somebody's wish, or the time at which something is due.
    fn sleep(&mut self, blocked: bool) -> Result<(), Error> {
        let now = self.now();
        let mut link = self.endpoint.link();
        let due = link.poll_timeout().map(|at| at.as_ticks().saturating_sub(now.as_ticks()).div_ceil(1000));
        let queued = self.shared.lock().queue.iter().filter_map(|submission| submission.deadline).min();
        let queued = queued.map(|at| at.saturating_duration_since(Instant::now()).as_millis() as u64 + 1);
        let parting = self.closing_since.map(|since| (GOODBYE.saturating_sub(since.elapsed())).as_millis() as u64 + 1);
        let ms = [due, queued, parting].into_iter().flatten().min();
        // Never longer than a minute, for the numbers that poll takes.
        let timeout = PollTimeout::from(ms.map_or(60_000, |ms| ms.min(60_000)) as u16);
        let mut interest = if blocked { PollFlags::POLLOUT } else { PollFlags::empty() };
        if !self.at_end {
            interest |= PollFlags::POLLIN;
        }
        let waker = &self.shared.waker;
        let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN), PollFd::new(self.stream.as_fd(), interest)];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        waker.clear();
        Ok(())
    }
}

/// A task that cannot be sent.
fn fail(link: &mut Link<'_>, calls: &mut BTreeMap<CallId, Arc<Promise>>, call: CallId, error: link::Error) {
    link.cancel(call);
    if let Some(promise) = calls.remove(&call) {
        promise.settle(Err(if error == link::Error::TooLong { Error::TooLong } else { Error::Link(error) }));
    }
}
