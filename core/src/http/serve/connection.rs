//! One connection, from its first byte to its last.

use core::net::SocketAddr;

use super::{Content, Limits, Opened, Refusal, Served, Shared};
use crate::http::server::{Event, Request, Resource, Response, reason, respond};
use crate::net::{Error, Handle, Interest, Stack};
use crate::pace::Pace;
use crate::task::{Context, Task};
use crate::time::{Duration, Instant};

/// Bytes read from the peer at a time. What it pipelines beyond that waits in its socket.
const INPUT: usize = 1024;

/// The longest head of an answer, with the text of an error.
const OUTPUT: usize = 1024;

/// How much of an answer goes out in one poll: then the others get their turn.
const QUANTUM: u64 = 1 << 20;

/// What one request costs of that, whatever its answer's size.
const REQUEST: u64 = 1 << 15;

/// How much a peer may send after the end before it is cut off.
const LINGER: usize = 1 << 20;

/// How long a connection may be idle however much its place is needed.
const GRACE: Duration = Duration::from_millis(500);

/// A connection of a [`Server`](super::Server), as a task: it ends when the socket has been closed. Files are of type
/// `F`; a request's head may have `HEAD` bytes.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Connection<F, const HEAD: usize> {
    socket: Handle,
    peer: SocketAddr,
    request: Request<HEAD>,
    input: Buffer<INPUT>,
    output: Buffer<OUTPUT>,
    state: State<F>,
    /// When the peer has been too slow.
    deadline: Instant,
    /// When the request's first byte arrived.
    began: Instant,
    status: u16,
    pace: Pace,
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum State<F> {
    /// Between two requests; since when.
    Idle(Instant),
    /// A request has begun.
    Head,
    /// An answer goes out: what is in `output`, then the file's bytes.
    Answer { body: Option<Body<F>>, sent: u64, keep: bool },
    /// All was said; the peer is heard out. How many bytes more.
    Linger(usize),
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Body<F> {
    file: F,
    at: u64,
    end: u64,
}

/// Bytes in `bytes[start..end]`.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Buffer<const N: usize> {
    bytes: [u8; N],
    start: usize,
    end: usize,
}

impl<const N: usize> Buffer<N> {
    const EMPTY: Self = Self { bytes: [0; N], start: 0, end: 0 };

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum End {
    /// What was sent still goes out.
    Close,
    /// With a reset: the peer must not take what it has for the whole.
    Abort,
    /// The peer was too slow.
    Late,
}

impl From<Error> for End {
    fn from(_: Error) -> Self {
        Self::Abort
    }
}

/// A step leads on, or waits, or ends the connection.
type Step = nb::Result<(), End>;

impl<F, const HEAD: usize> Connection<F, HEAD> {
    /// A connection just accepted, idle. `refused`: there is no place for it, and it is only told so.
    pub(super) fn new(socket: Handle, peer: SocketAddr, now: Instant, refused: bool, limits: &Limits) -> Self {
        let mut connection = Self {
            socket,
            peer,
            request: Request::new(),
            input: Buffer::EMPTY,
            output: Buffer::EMPTY,
            state: State::Idle(now),
            deadline: now + limits.first_byte,
            began: now,
            status: 0,
            pace: Pace::new(limits.rate),
        };
        if refused {
            connection.answer(503, None, false, &[("Retry-After", b"1")]);
            connection.deadline = now + limits.stall;
        }
        connection
    }

    /// Begins an answer without a file: the status, and the same in words.
    fn answer(&mut self, status: u16, date: Option<u64>, keep: bool, headers: &[(&str, &[u8])]) {
        let text = reason(status).as_bytes();
        let out = &mut self.output.bytes;
        let answer = Response::plain(status, text.len() as u64 + 1);
        let Ok(mut len) = answer.write_head(out, date, "text/plain", keep, headers) else {
            // Only `Location` can be too long, and 414 has none.
            return self.answer(414, date, false, &[]);
        };
        if self.request.head().method() != "HEAD"
            && let Some(room) = out.get_mut(len..=len + text.len())
        {
            room[..text.len()].copy_from_slice(text);
            room[text.len()] = b'\n';
            len += text.len() + 1;
        }
        self.begin(status, len, None, keep);
    }

    /// Begins an answer whose head is in the output, `len` bytes long.
    fn begin(&mut self, status: u16, len: usize, body: Option<Body<F>>, keep: bool) {
        (self.output.start, self.output.end) = (0, len);
        self.status = status;
        self.state = State::Answer { body, sent: 0, keep };
    }

    /// Feeds what has been read to the decoder. `None`: the head needs more. Else whether the whole request was there;
    /// what there was of its body is dropped.
    fn decode(&mut self) -> Result<Option<bool>, crate::http::server::Error> {
        let mut head = false;
        loop {
            let (taken, event) = self.request.receive(self.input.rest())?;
            let whole = match event {
                Event::NeedMore => Some(false),
                Event::End => Some(true),
                Event::Head => {
                    head = true;
                    None
                }
                Event::Body(_) => None,
            };
            self.input.start += taken;
            if let Some(whole) = whole {
                return Ok(head.then_some(whole));
            }
        }
    }

    /// The bytes of the body that are still to be sent.
    fn left(&self) -> u64 {
        match &self.state {
            State::Answer { body: Some(body), .. } => body.end - body.at,
            _ => 0,
        }
    }

    /// Polls again when the socket is ready, unless the peer has been too slow.
    fn wait<S: Stack, X>(&self, cx: &mut Context<'_, S, X>, interest: Interest) -> Step {
        if cx.now >= self.deadline {
            return Err(nb::Error::Other(End::Late));
        }
        cx.wait_for(self.socket, interest).map_err(End::from)?;
        cx.wait_until(self.deadline);
        Err(nb::Error::WouldBlock)
    }

    /// Reads, and answers a request that is whole.
    fn read<S, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
    {
        if self.input.is_empty() {
            let read = match cx.net.recv(self.socket, &mut self.input.bytes) {
                Ok(0) => {
                    if matches!(self.state, State::Idle(_)) {
                        return Err(nb::Error::Other(End::Close));
                    }
                    self.answer(400, cx.shared.content.unix_time(cx.now), false, &[]);
                    return Ok(());
                }
                Ok(read) => read,
                Err(nb::Error::Other(_)) => return Err(nb::Error::Other(End::Close)),
                Err(nb::Error::WouldBlock) => {
                    if let State::Idle(since) = self.state {
                        let evicted = cx.shared.evict > 0 && cx.now >= since + GRACE;
                        if evicted || cx.shared.stopping {
                            cx.shared.evict = cx.shared.evict.saturating_sub(1);
                            return Err(nb::Error::Other(End::Close));
                        }
                    }
                    return self.wait(cx, Interest::Read);
                }
            };
            (self.input.start, self.input.end) = (0, read);
        }
        if matches!(self.state, State::Idle(_)) {
            cx.shared.idle -= 1;
            self.state = State::Head;
            self.began = cx.now;
            self.deadline = cx.now + cx.shared.limits.head;
        }
        match self.decode() {
            Ok(None) => return Ok(()),
            Ok(Some(whole)) => self.fulfil(whole && !cx.shared.stopping, cx.now, &mut cx.shared.content),
            Err(error) => self.answer(error.status(), cx.shared.content.unix_time(cx.now), false, &[]),
        }
        self.deadline = cx.now + cx.shared.limits.stall;
        Ok(())
    }

    /// Decides what to answer to the request that was read. `keep`: the connection may live on.
    fn fulfil<S: Stack, C: Content<S, File = F>>(&mut self, keep: bool, now: Instant, content: &mut C) {
        let head = self.request.head();
        let keep = keep && self.request.keep_alive();
        let date = content.unix_time(now);
        if !matches!(head.method(), "GET" | "HEAD") {
            return self.answer(405, date, keep, &[]);
        }
        let opened = match content.open(&head) {
            Ok(opened) => opened,
            Err(Refusal::Status(status)) => return self.answer(status, date, keep, &[]),
            Err(Refusal::Folder) => {
                let mut location = heapless::String::<OUTPUT>::new();
                return match with_slash(head.path(), head.query(), &mut location) {
                    Ok(()) => self.answer(301, date, keep, &[("Location", location.as_bytes())]),
                    Err(core::fmt::Error) => self.answer(414, date, keep, &[]),
                };
            }
        };
        let Opened { file, len, etag, modified, content_type } = opened;
        let response = respond(&head, &Resource { len, etag: &etag, modified });
        // Browsers take the type as it is told, or a text file of somebody else's could become a page of ours.
        let headers = [("X-Content-Type-Options", &b"nosniff"[..])];
        let (status, range) = (response.status, response.body);
        match response.write_head(&mut self.output.bytes, date, content_type, keep, &headers) {
            Ok(len) => {
                let body = range.map(|range| Body { file, at: range.start(), end: range.end() });
                self.begin(status, len, body, keep);
            }
            // A content type that is none, or far too long.
            Err(_) => self.answer(500, date, keep, &[]),
        }
    }

    /// Sends as much of the answer as the socket takes.
    fn write<S, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>, budget: &mut u64) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        W: AsMut<[u8]>,
    {
        while !self.output.is_empty() {
            match self.send_output(cx) {
                Err(nb::Error::WouldBlock) => return self.wait(cx, Interest::Write),
                sent => sent.map_err(|error| error.map(End::from))?,
            }
        }
        while self.left() > 0 {
            if *budget == 0 {
                return Ok(());
            }
            let allowed = match self.pace.allows(cx.now) {
                Ok(allowed) => allowed,
                Err(until) => {
                    self.deadline = until + cx.shared.limits.stall;
                    cx.wait_until(until);
                    return Err(nb::Error::WouldBlock);
                }
            };
            let count = self.left().min(allowed).min(*budget);
            let State::Answer { body: Some(body), sent, .. } = &mut self.state else { return Ok(()) };
            match cx.shared.content.transmit(&mut body.file, cx.net, self.socket, body.at, count) {
                // The file has become shorter than what the head has promised.
                Ok(0) => return Err(nb::Error::Other(End::Abort)),
                Ok(count) => {
                    body.at += count;
                    *sent += count;
                    *budget = budget.saturating_sub(count);
                    self.pace.spend(cx.now, count);
                    self.deadline = cx.now + cx.shared.limits.stall;
                }
                Err(nb::Error::WouldBlock) => return self.wait(cx, Interest::Write),
                Err(nb::Error::Other(error)) => return Err(nb::Error::Other(error.into())),
            }
        }
        *budget = budget.saturating_sub(REQUEST);
        self.answered(cx)
    }

    /// Sends the head, and in the same call a body that fits behind it.
    fn send_output<S, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>) -> nb::Result<(), Error>
    where
        S: Stack,
        C: Content<S, File = F>,
        W: AsMut<[u8]>,
    {
        let Shared { content, scratch, limits, .. } = &mut *cx.shared;
        let head = self.output.rest();
        let State::Answer { body, sent, .. } = &mut self.state else { return Ok(()) };
        let taken = if let Some(body) = body
            && let Ok(left) = usize::try_from(body.end - body.at)
            && self.pace.allows(cx.now).is_ok_and(|allowed| allowed >= left as u64)
            && let Some(room) = scratch.as_mut().get_mut(..head.len().saturating_add(left))
        {
            let (front, back) = room.split_at_mut(head.len());
            front.copy_from_slice(head);
            let read = content.read(&mut body.file, body.at, back)?;
            let len = head.len() + read.min(back.len());
            let taken = cx.net.send(self.socket, &room[..len])?;
            let of_body = taken.saturating_sub(head.len()) as u64;
            body.at += of_body;
            *sent += of_body;
            self.pace.spend(cx.now, of_body);
            taken
        } else {
            cx.net.send(self.socket, head)?
        };
        self.output.start += taken.min(head.len());
        self.deadline = cx.now + limits.stall;
        Ok(())
    }

    /// The answer is out: the next request, or the end.
    fn answered<S, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
    {
        let State::Answer { sent, keep, .. } = self.state else { return Ok(()) };
        self.report(cx, sent, true);
        let limits = cx.shared.limits;
        if keep {
            self.request.start();
            self.state = State::Idle(cx.now);
            self.deadline = cx.now + limits.idle;
            cx.shared.idle += 1;
        } else {
            self.state = State::Linger(LINGER);
            self.deadline = cx.now + limits.linger;
            cx.net.shutdown(self.socket).map_err(End::from)?;
        }
        Ok(())
    }

    /// Drops what the peer still sends. Closed with it unread, the socket would send a reset, and that could overtake
    /// the answer (RFC 9112 9.6).
    fn hear_out<S: Stack, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>) -> Step {
        let State::Linger(left) = &mut self.state else { return Ok(()) };
        match cx.net.recv(self.socket, &mut self.input.bytes) {
            Err(nb::Error::WouldBlock) => self.wait(cx, Interest::Read),
            Ok(count) if count > 0 && *left > count => {
                *left -= count;
                Ok(())
            }
            _ => Err(nb::Error::Other(End::Close)),
        }
    }

    fn report<S, C, W>(&mut self, cx: &mut Context<'_, S, Shared<C, W>>, sent: u64, complete: bool)
    where
        S: Stack,
        C: Content<S, File = F>,
    {
        cx.shared.content.served(&Served {
            peer: self.peer,
            head: self.request.head(),
            status: self.status,
            sent,
            complete,
            began: self.began,
            ended: cx.now,
        });
    }
}

impl<S, C, W, const HEAD: usize> Task<S, Shared<C, W>> for Connection<C::File, HEAD>
where
    S: Stack,
    C: Content<S>,
    W: AsMut<[u8]>,
{
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, S, Shared<C, W>>) -> nb::Result<(), ()> {
        let mut budget = QUANTUM;
        let end = loop {
            if budget == 0 {
                cx.wait_until(cx.now);
                return Err(nb::Error::WouldBlock);
            }
            let step = match self.state {
                State::Idle(_) | State::Head => self.read(cx),
                State::Answer { .. } => self.write(cx, &mut budget),
                State::Linger(_) => self.hear_out(cx),
            };
            match step {
                Ok(()) => {}
                Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
                Err(nb::Error::Other(End::Late)) if matches!(self.state, State::Head) => {
                    self.answer(408, cx.shared.content.unix_time(cx.now), false, &[]);
                    self.deadline = cx.now + cx.shared.limits.stall;
                }
                Err(nb::Error::Other(end)) => break end,
            }
        };
        let answering = matches!(self.state, State::Answer { .. });
        match self.state {
            State::Idle(_) => cx.shared.idle -= 1,
            State::Answer { sent, .. } => self.report(cx, sent, false),
            State::Head | State::Linger(_) => {}
        }
        if end == End::Abort || answering {
            cx.net.abort(self.socket);
        } else {
            cx.net.close(self.socket);
        }
        Ok(())
    }
}

/// Where a folder is that was asked for without its final slash, as a reference relative to what was asked: so it cannot
/// lead to another host, whatever the path begins with.
fn with_slash(path: &str, query: Option<&str>, out: &mut impl core::fmt::Write) -> core::fmt::Result {
    let name = path.rsplit('/').next().unwrap_or_default();
    write!(out, "./{name}/")?;
    query.map_or(Ok(()), |query| write!(out, "?{query}"))
}
