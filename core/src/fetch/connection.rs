//! One connection of a download, as a task: connect, ask, read, and again.
//!
//! ```text
//!           ┌─────────────── interval whole, connection reusable ──────────────┐
//!           v                                                                  │
//!  idle ─ work ─> connect ─ first address that answers ─> send ─> head ─> body ┘
//!   ^ ^ no work: waits for a sibling                       │        │       │
//!   │ └──────────── pause (backoff) <───── lost, refused, timed out, 5xx ───┘
//!   └────────────── interval cut short by a thief: the connection is dropped
//! ```

use super::answer::{self, Trouble};
use super::backoff::backoff;
use super::engine::{Engine, UNKNOWN_END};
use super::request::{Asked, write_request};
use super::source::ADDRESSES_MAX;
use super::{Event, Failure, Sink};
use crate::http::client::{self, Event as HttpEvent, Response};
use crate::net::{self, Handle, Interest, Stack};
use crate::task::{Context, Task};
use crate::time::{Duration, EPOCH, Instant};
use heapless::Vec;

/// Another address is tried when the last has not answered for so long (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection without work asks again for some this often: rates change.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// After so many bytes it is the next connection's turn.
const POLL_BYTES: usize = 256 * 1024;

/// What the connections share in one turn.
pub(super) struct View<'t, 'h, K: Sink, const SOURCES: usize> {
    pub(super) engine: &'t mut Engine<'h, K, SOURCES>,
    /// Bytes pass through here; nothing stays.
    pub(super) scratch: &'t mut [u8],
}

/// What a connection is doing; for progress displays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Activity {
    /// It has nothing to do.
    Idle,
    /// It is getting through to the server.
    Connecting,
    /// It has asked, and waits for the answer.
    Waiting,
    /// Bytes come.
    Receiving,
    /// It waits before another try.
    Pausing,
    /// It has given up.
    Parked,
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase {
    Idle,
    Pause(Instant),
    Connect(Connect),
    Send { sent: usize },
    Receive,
    Parked,
}

/// Attempts under way at once, each at another address; the first to succeed wins.
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Connect {
    attempts: Vec<Handle, ADDRESSES_MAX>,
    next: usize,
    next_at: Option<Instant>,
    last_error: Option<net::Error>,
}

/// A connection's task. `HEAD` bounds an answer's head, bytes.
pub struct Connection<const HEAD: usize> {
    index: u8,
    epoch: u32,
    phase: Phase,
    socket: Option<Handle>,
    /// The socket has carried an answer before: it may have been closed while idle.
    reused: bool,
    asked: Asked,
    response: Response<HEAD>,
    started: Instant,
    heard: Instant,
    got: u64,
    rate: u64,
    failures: u32,
}

/// What a step leads to.
enum Flow {
    Again,
    Wait,
}

type Step<K> = Result<Flow, Trouble<<K as Sink>::Error>>;

impl<const HEAD: usize> Connection<HEAD> {
    pub(super) fn new(index: u8) -> Self {
        Self {
            index,
            epoch: 0,
            phase: Phase::Idle,
            socket: None,
            reused: false,
            asked: Asked::default(),
            response: Response::new(),
            started: EPOCH,
            heard: EPOCH,
            got: 0,
            rate: 0,
            failures: 0,
        }
    }

    pub(super) fn index(&self) -> u8 {
        self.index
    }

    pub(super) fn activity(&self) -> Activity {
        match self.phase {
            Phase::Idle => Activity::Idle,
            Phase::Pause(_) => Activity::Pausing,
            Phase::Connect(_) => Activity::Connecting,
            Phase::Send { .. } => Activity::Waiting,
            Phase::Receive if self.got == 0 => Activity::Waiting,
            Phase::Receive => Activity::Receiving,
            Phase::Parked => Activity::Parked,
        }
    }

    fn drop_sockets<S: Stack>(&mut self, net: &mut S) {
        if let Phase::Connect(connect) = &self.phase {
            for &attempt in &connect.attempts {
                net.abort(attempt);
            }
        }
        if let Some(socket) = self.socket.take() {
            net.abort(socket);
        }
        self.reused = false;
    }

    fn step<S: Stack, K: Sink, const N: usize>(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> Step<K> {
        match &mut self.phase {
            Phase::Idle => Ok(self.find_work(cx)),
            Phase::Pause(until) => {
                if cx.now >= *until {
                    self.phase = Phase::Idle;
                    return Ok(Flow::Again);
                }
                cx.wait_until(*until);
                Ok(Flow::Wait)
            }
            Phase::Connect(_) => self.connect(cx),
            Phase::Send { .. } => self.send(cx),
            Phase::Receive => self.receive(cx),
            Phase::Parked => {
                cx.wait_for_wake();
                Ok(Flow::Wait)
            }
        }
    }

    fn find_work<S: Stack, K: Sink, const N: usize>(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> Flow {
        let engine = &mut *cx.shared.engine;
        let source = engine.source_for(self.index);
        let work = source.and_then(|_| engine.work_for(self.index, self.rate, cx.now));
        let (Some(source), Some(range)) = (source, work) else {
            cx.wait_for_wake();
            if cx.shared.engine.total.is_some() && !cx.shared.engine.single {
                cx.wait_until(cx.now + LOOK_AGAIN);
            }
            return Flow::Wait;
        };
        let from = &engine.sources[source];
        // A keep-alive connection leads to one source in one revision.
        if self.socket.is_some() && (self.asked.source, self.asked.revision) != (source, from.revision) {
            self.drop_sockets(cx.net);
        }
        let ranged = from.ranges != Some(false) && !engine.single;
        self.asked = Asked { source, revision: from.revision, range, ranged };
        self.started = cx.now;
        self.heard = cx.now;
        self.got = 0;
        self.phase = if self.socket.is_some() { Phase::Send { sent: 0 } } else { Phase::Connect(Connect::default()) };
        Flow::Again
    }

    fn connect<S: Stack, K: Sink, const N: usize>(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> Step<K> {
        let Phase::Connect(connect) = &mut self.phase else { return Ok(Flow::Again) };
        let engine = &mut *cx.shared.engine;
        let source = &mut engine.sources[self.asked.source];
        if source.addresses.is_empty() {
            // Whoever resolves names wakes us. The clock starts when the address is there.
            self.started = cx.now;
            cx.wait_for_wake();
            return Ok(Flow::Wait);
        }
        let mut winner = None;
        connect.attempts.retain(|&attempt| {
            if winner.is_some() {
                return true;
            }
            match cx.net.connected(attempt) {
                Ok(()) => winner = Some(attempt),
                Err(nb::Error::WouldBlock) => return true,
                Err(nb::Error::Other(error)) => {
                    cx.net.abort(attempt);
                    connect.last_error = Some(error);
                    connect.next_at = None;
                }
            }
            false
        });
        if let Some(socket) = winner {
            for &attempt in &connect.attempts {
                cx.net.abort(attempt);
            }
            self.socket = Some(socket);
            self.heard = cx.now;
            self.phase = Phase::Send { sent: 0 };
            return Ok(Flow::Again);
        }
        while connect.next_at.is_none_or(|at| cx.now >= at)
            && let Some(&address) = source.addresses.get(connect.next)
        {
            connect.next += 1;
            match source.connect(cx.net, address) {
                // As many attempts as addresses.
                Ok(attempt) => drop(connect.attempts.push(attempt)),
                Err(error) => {
                    connect.last_error = Some(error);
                    continue;
                }
            }
            connect.next_at = Some(cx.now + ATTEMPT_DELAY);
        }
        let end = self.started + engine.options.connect_timeout;
        if connect.attempts.is_empty() {
            let error = connect.last_error.unwrap_or(net::Error::Unreachable);
            let failure = Failure::Net(error);
            // One who cannot prove who he is will not be another one at the next try.
            let never = matches!(error, net::Error::Tls(why) if why != net::TlsError::Truncated);
            let gone = matches!(error, net::Error::Refused | net::Error::Unreachable);
            let hopeless = never || gone && !source.answered;
            return Err(if hopeless { Trouble::Source(failure) } else { Trouble::Retry(failure, None) });
        }
        if cx.now >= end {
            return Err(Trouble::Retry(Failure::ConnectTimeout, None));
        }
        if connect.next < source.addresses.len()
            && let Some(at) = connect.next_at
        {
            cx.wait_until(at);
        }
        for attempt in 0..connect.attempts.len() {
            let Phase::Connect(connect) = &self.phase else { break };
            cx.wait_for(connect.attempts[attempt], Interest::Write)
                .map_err(|error| Trouble::Retry(Failure::Net(error), None))?;
        }
        cx.wait_until(end);
        Ok(Flow::Wait)
    }

    fn send<S: Stack, K: Sink, const N: usize>(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> Step<K> {
        let Phase::Send { sent } = &mut self.phase else { return Ok(Flow::Again) };
        let Some(socket) = self.socket else { return Err(Trouble::Drop) };
        let engine = &*cx.shared.engine;
        // Written anew for every part that fits: cheaper than a buffer for each connection.
        let len = write_request(&self.asked, engine, cx.shared.scratch)
            .map_err(|error| Trouble::Source(Failure::Request(error)))?;
        while *sent < len {
            match cx.net.send(socket, &cx.shared.scratch[*sent..len]) {
                Ok(count) => {
                    *sent += count;
                    self.heard = cx.now;
                }
                Err(nb::Error::WouldBlock) => return self.wait_for_server(cx, socket, Interest::Write),
                Err(nb::Error::Other(error)) => return Err(self.lost(Failure::Net(error))),
            }
        }
        self.response.start(client::Asked::Resource);
        self.phase = Phase::Receive;
        Ok(Flow::Again)
    }

    fn wait_for_server<S: Stack, K: Sink, const N: usize>(
        &mut self,
        cx: &mut Context<'_, S, View<'_, '_, K, N>>,
        socket: Handle,
        interest: Interest,
    ) -> Step<K> {
        let end = self.heard + cx.shared.engine.options.idle_timeout;
        if cx.now >= end {
            return Err(Trouble::Retry(Failure::Stalled, None));
        }
        cx.wait_for(socket, interest).map_err(|error| Trouble::Retry(Failure::Net(error), None))?;
        cx.wait_until(end);
        Ok(Flow::Wait)
    }

    /// The connection is gone. On a reused one before any answer that is no fault: the server had closed it.
    fn lost<E>(&self, failure: Failure<E>) -> Trouble<E> {
        if self.reused && self.got == 0 { Trouble::Drop } else { Trouble::Retry(failure, None) }
    }

    fn receive<S: Stack, K: Sink, const N: usize>(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> Step<K> {
        let Some(socket) = self.socket else { return Err(Trouble::Drop) };
        let mut budget = POLL_BYTES;
        loop {
            let allowed = match cx.shared.engine.pace.allows(cx.now) {
                Ok(allowed) if budget > 0 && cx.shared.engine.received < cx.shared.engine.turn_end => {
                    usize::try_from(allowed).unwrap_or(usize::MAX).min(cx.shared.scratch.len())
                }
                Ok(_) => {
                    if cx.shared.engine.received >= cx.shared.engine.turn_end {
                        cx.end_turn();
                    }
                    cx.wait_until(cx.now);
                    return Ok(Flow::Wait);
                }
                Err(at) => {
                    // We keep the server waiting, not the other way round.
                    self.heard = cx.now;
                    cx.wait_until(at);
                    return Ok(Flow::Wait);
                }
            };
            let View { engine, scratch } = &mut *cx.shared;
            match cx.net.recv(socket, &mut scratch[..allowed]) {
                Ok(0) => {
                    self.response.end_of_stream().map_err(|error| self.lost(Failure::Http(error)))?;
                    self.answer_ended(engine)?;
                    return Ok(self.next_request(cx, false));
                }
                Ok(count) => {
                    if self.got == 0 {
                        let took = cx.now.checked_duration_since(self.started).unwrap_or(Duration::from_ticks(0));
                        engine.sources[self.asked.source].note_setup(took);
                    }
                    engine.pace.spend(cx.now, count as u64);
                    budget = budget.saturating_sub(count);
                    self.heard = cx.now;
                    self.got += count as u64;
                    if let Some(reusable) = self.take(engine, &scratch[..count], cx.now)? {
                        return Ok(self.next_request(cx, reusable));
                    }
                }
                Err(nb::Error::WouldBlock) => return self.wait_for_server(cx, socket, Interest::Read),
                Err(nb::Error::Other(error)) => return Err(self.lost(Failure::Net(error))),
            }
        }
    }

    /// Takes bytes of the answer. Some once the request is over: whether the connection can carry another.
    fn take<K: Sink, const N: usize>(
        &mut self,
        engine: &mut Engine<'_, K, N>,
        mut input: &[u8],
        now: Instant,
    ) -> Result<Option<bool>, Trouble<K::Error>> {
        loop {
            let (taken, event) =
                self.response.receive(input).map_err(|error| Trouble::Retry(Failure::Http(error), None))?;
            input = &input[taken..];
            match event {
                HttpEvent::NeedMore => return Ok(None),
                HttpEvent::Head => {
                    answer::judge(engine, self.index, &self.asked, &self.response.head(), now)?;
                    self.epoch = engine.epoch;
                }
                HttpEvent::Body(data) => {
                    let Some(range) = engine.segments.owned(self.index) else { return Err(Trouble::Drop) };
                    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(data.len());
                    if engine.is_progress(self.index, wanted) {
                        self.failures = 0;
                    }
                    if engine.store(self.index, &data[..wanted], now) {
                        self.rate = engine.segments.rate(self.index, now);
                        continue;
                    }
                    if engine.outcome.as_ref().is_some_and(Result::is_err) {
                        return Err(Trouble::Drop);
                    }
                    // The interval is whole. If the answer ends with it, the connection can go on.
                    let ends = wanted == data.len() && matches!(self.response.receive(input), Ok((_, HttpEvent::End)));
                    return Ok(Some(ends && input.is_empty() && self.response.reusable()));
                }
                HttpEvent::End => {
                    self.answer_ended(engine)?;
                    return Ok(Some(input.is_empty() && self.response.reusable()));
                }
            }
        }
    }

    /// The answer is over, though our interval is not whole.
    fn answer_ended<K: Sink, const N: usize>(
        &mut self,
        engine: &mut Engine<'_, K, N>,
    ) -> Result<(), Trouble<K::Error>> {
        let Some(range) = engine.segments.owned(self.index) else { return Ok(()) };
        if engine.single && range.end == UNKNOWN_END {
            engine.learn_total(range.start);
            return Ok(());
        }
        // A server may send less than was asked for; one that sends nothing would have us ask for ever.
        if engine.single || self.response.body_received() == 0 {
            return Err(Trouble::Retry(Failure::Short { missing: range.end - range.start }, None));
        }
        engine.release(self.index);
        Ok(())
    }

    /// The request is over. The siblings get their turn before the next.
    fn next_request<S: Stack, X>(&mut self, cx: &mut Context<'_, S, X>, reusable: bool) -> Flow {
        if reusable {
            self.reused = true;
        } else {
            self.drop_sockets(cx.net);
        }
        self.phase = Phase::Idle;
        cx.wait_until(cx.now);
        Flow::Wait
    }
}

impl<S: Stack, K: Sink, const HEAD: usize, const N: usize> Task<S, View<'_, '_, K, N>> for Connection<HEAD> {
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, View<'_, '_, K, N>>) -> nb::Result<(), ()> {
        loop {
            let engine = &mut *cx.shared.engine;
            if engine.outcome.is_some() {
                self.drop_sockets(cx.net);
                return Ok(());
            }
            if self.epoch != engine.epoch {
                self.epoch = engine.epoch;
                self.drop_sockets(cx.net);
                if !matches!(self.phase, Phase::Pause(_) | Phase::Parked) {
                    self.phase = Phase::Idle;
                }
            }
            let flow = self.step(cx).unwrap_or_else(|trouble| {
                self.drop_sockets(cx.net);
                self.phase = Phase::Idle;
                self.handle(trouble, cx.shared.engine, cx.now);
                Flow::Again
            });
            if core::mem::take(&mut cx.shared.engine.replanned) {
                cx.wake_all();
            }
            if matches!(flow, Flow::Wait) {
                return Err(nb::Error::WouldBlock);
            }
        }
    }
}

impl<const HEAD: usize> Connection<HEAD> {
    fn handle<K: Sink, const N: usize>(
        &mut self,
        trouble: Trouble<K::Error>,
        engine: &mut Engine<'_, K, N>,
        now: Instant,
    ) {
        // Where only one connection can work, the work stays with it: otherwise each would try in turn what has failed.
        // Before the first answer, others may try another server.
        let others = engine.sources.iter().filter(|source| !source.failed).count() > 1;
        if (engine.total.is_some() || others) && !engine.single {
            engine.release(self.index);
        }
        match trouble {
            Trouble::Drop => {}
            Trouble::Source(failure) => {
                self.failures = 0;
                let known = engine.sources.get_mut(self.asked.source);
                let known = known.is_none_or(|source| core::mem::replace(&mut source.failed, true));
                if engine.source_for(self.index).is_none() {
                    engine.fail(failure);
                } else if !known {
                    engine.tell(Event::SourceFailed { source: self.asked.source, reason: failure.reason() });
                }
            }
            Trouble::Retry(failure, after) => {
                self.failures += 1;
                // Others get through, so the server has had enough of them. Before the first answer there are no others.
                let others = engine.active > 1 && engine.total.is_some() && !engine.single;
                let crowded = others && matches!(failure, Failure::Status(429 | 503));
                if crowded || self.failures > engine.options.retries {
                    self.phase = Phase::Parked;
                    engine.active = engine.active.saturating_sub(1);
                    if engine.active == 0 || engine.single || engine.total.is_none() {
                        engine.fail(failure);
                    }
                    return;
                }
                let wait = backoff(self.failures, engine.options.seed, self.index, now)
                    .max(after.unwrap_or(Duration::from_ticks(0)));
                engine.tell(Event::Retry { connection: self.index, reason: failure.reason(), wait });
                self.phase = Phase::Pause(now + wait);
            }
        }
    }
}
