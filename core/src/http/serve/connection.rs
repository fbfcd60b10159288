//! One connection, from its first byte to its last.

use core::net::SocketAddr;

use super::desks::{Desk, INPUT, OUTPUT};
use super::{Content, Files, Limits, Opened, Refusal, Served};
use crate::http::server::{Error as Malformed, Event, Head, Multipart, Resource, Response, reason, respond};
use crate::http::write::WriteError;
use crate::net::{Error, Handle, Interest, Stack};
use crate::pace::Pace;
use crate::random::draw;
use crate::serve::{Accepted, Crowd, Shared};
use crate::task::{Context, Task};
use crate::time::{Duration, Instant};

/// How much of an answer goes out in one poll: then the others get their turn.
const QUANTUM: u64 = 1 << 20;

/// What one request costs of that, whatever its answer's size.
const REQUEST: u64 = 1 << 15;

/// How much a peer may send after the end before it is cut off.
const LINGER: usize = 1 << 20;

/// How long a connection may be idle however much its place is needed.
const GRACE: Duration = Duration::from_millis(500);

/// How long one that was refused may listen however much its slot is needed.
const GOODBYE: Duration = Duration::from_millis(100);

/// What is said where there is no desk to say anything else.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 20\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nRetry-After: 1\r\n\r\nService Unavailable\n";

/// A connection of a [`Server`](super::Server), as a task: it ends when the socket has been closed. Files are of type
/// `F`. It is small: what a request needs beside it lies on a [`Desk`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Connection<F> {
    socket: Handle,
    peer: SocketAddr,
    desk: Option<u32>,
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
    /// Between two requests, without a desk; since when.
    Idle(Instant),
    /// A request has begun.
    Head,
    /// An answer goes out: what is in the desk's output, then the file's bytes.
    Answer { body: Option<Body<F>>, sent: u64, after: After },
    /// [`BUSY`] goes out; how much of it has.
    Busy(usize),
    /// All was said; the peer is heard out. How many bytes more, and whether it was refused, since when.
    Linger { left: usize, refused: Option<Instant> },
}

/// What follows an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum After {
    /// The next request.
    Next,
    /// The end, as the peer wants it: it has said all it will.
    Close,
    /// The end, but the peer may still be speaking.
    HearOut,
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Body<F> {
    file: F,
    at: u64,
    end: u64,
    parts: Option<Parts>,
}

/// The parts that are still to come of an answer in parts.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Parts {
    next: usize,
    /// Of the whole file.
    total: u64,
    content_type: &'static str,
    boundary: u64,
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
    /// There is no desk for it, or not any more.
    NoDesk,
}

impl From<Error> for End {
    fn from(_: Error) -> Self {
        Self::Abort
    }
}

/// A step leads on, or waits, or ends the connection.
type Step = nb::Result<(), End>;

/// What a connection is polled with.
type Cx<'a, S, C, W, D, const HEAD: usize> = Context<'a, S, Shared<Files<C, W, D, HEAD>>>;

impl<F> Connection<F> {
    /// A connection just accepted, idle; or refused, and only told so.
    pub(super) fn new(accepted: Accepted, limits: &Limits, crowd: &mut Crowd) -> Self {
        let Accepted { socket, peer, now, refused } = accepted;
        let (state, patience) =
            if refused { (State::Busy(0), limits.stall) } else { (State::Idle(now), limits.first_byte) };
        crowd.idle += usize::from(!refused);
        let pace = Pace::new(limits.rate);
        Self { socket, peer, desk: None, state, deadline: now + patience, began: now, status: 0, pace }
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

    /// Begins an answer without a file: the status, and the same in words.
    fn answer<S, C, const HEAD: usize>(
        &mut self,
        desk: &mut Desk<HEAD>,
        content: &C,
        status: u16,
        after: After,
        headers: &[(&str, &[u8])],
    ) where
        S: Stack,
        C: Content<S>,
    {
        let text = reason(status).as_bytes();
        let date = content.unix_time(self.began);
        let out = &mut desk.output.bytes;
        let answer = Response::plain(status, text.len() as u64 + 1);
        let head = answer.write_head(out, date, "text/plain", after == After::Next, headers);
        let head = head.and_then(|len| append(out, len, content.headers()));
        let Ok(mut len) = head else {
            // Only `Location` can be too long, and 414 has none.
            desk.output.end = 0;
            return if status == 414 {
                self.begin(desk, status, 0, None, After::HearOut);
            } else {
                self.answer::<S, C, HEAD>(desk, content, 414, After::HearOut, &[]);
            };
        };
        if desk.request.head().method() != "HEAD"
            && let Some(room) = out.get_mut(len..=len + text.len())
        {
            room[..text.len()].copy_from_slice(text);
            room[text.len()] = b'\n';
            len += text.len() + 1;
        }
        self.begin(desk, status, len, None, after);
    }

    /// Begins an answer whose head is in the output, `len` bytes long.
    fn begin<const HEAD: usize>(
        &mut self,
        desk: &mut Desk<HEAD>,
        status: u16,
        len: usize,
        body: Option<Body<F>>,
        after: After,
    ) {
        (desk.output.start, desk.output.end) = (0, len);
        self.status = status;
        self.state = State::Answer { body, sent: 0, after };
    }

    /// Decides what to answer to the request that was read; `whole`: to its end. `keep`: the connection may live on.
    fn fulfil<S, C, const HEAD: usize>(&mut self, desk: &mut Desk<HEAD>, whole: bool, keep: bool, content: &mut C)
    where
        S: Stack,
        C: Content<S, File = F>,
    {
        let head = desk.request.head();
        let after = match (whole, desk.request.keep_alive()) {
            (true, true) if keep => After::Next,
            (true, false) if desk.input.is_empty() => After::Close,
            _ => After::HearOut,
        };
        if !matches!(head.method(), "GET" | "HEAD") {
            return self.answer(desk, content, 405, after, &[]);
        }
        let Opened { file, len, etag, modified, content_type, encoding } = match content.open(&head) {
            Ok(opened) => opened,
            Err(Refusal::Status(503)) => return self.answer(desk, content, 503, after, &[("Retry-After", b"1")]),
            Err(Refusal::Status(status)) => return self.answer(desk, content, status, after, &[]),
            Err(Refusal::Unauthorized) => {
                let challenge: &[u8] = b"Basic realm=\"tidemill\", charset=\"UTF-8\"";
                return self.answer(desk, content, 401, after, &[("WWW-Authenticate", challenge)]);
            }
            Err(Refusal::Folder) => {
                let mut location = heapless::String::<OUTPUT>::new();
                return match with_slash(head.path(), head.query(), &mut location) {
                    Ok(()) => self.answer(desk, content, 301, after, &[("Location", location.as_bytes())]),
                    Err(core::fmt::Error) => self.answer(desk, content, 414, after, &[]),
                };
            }
        };
        let mut response = respond(&head, &Resource { len, etag: &etag, modified });
        let mut headers = heapless::Vec::<(&str, &[u8]), 3>::new();
        // Three, for which there is room.
        // Browsers take the type as it is told, or a text file of somebody else's could become a page of ours.
        let _ = headers.push(("X-Content-Type-Options", b"nosniff"));
        if let Some(encoding) = encoding {
            let _ = headers.push(("Vary", b"Accept-Encoding"));
            if matches!(response.status, 200 | 206) {
                let _ = headers.push(("Content-Encoding", encoding.as_bytes()));
            }
        }
        let boundary = draw(self.began.as_ticks(), &[len, u64::from(self.peer.port()), modified.unwrap_or(0)]);
        let multipart = if response.several { Multipart::new(&head, len, content_type, boundary) } else { None };
        let (date, out) = (content.unix_time(self.began), &mut desk.output.bytes);
        let (written, parts) = if let Some(multipart) = multipart {
            response = multipart.response(response);
            let parts = Parts { next: 0, total: len, content_type, boundary };
            (response.write_head(out, date, &multipart.media_type(), after == After::Next, &headers), Some(parts))
        } else {
            (response.write_head(out, date, content_type, after == After::Next, &headers), None)
        };
        match written.and_then(|len| append(out, len, content.headers())) {
            Ok(len) => {
                let range = response.body.map(|range| (range.start(), range.end()));
                let range = range.or(parts.is_some().then_some((0, 0)));
                let body = range.map(|(at, end)| Body { file, at, end, parts });
                self.begin(desk, response.status, len, body, after);
            }
            // A content type that is none, or far too long.
            Err(_) => self.answer(desk, content, 500, after, &[]),
        }
    }

    /// The bytes of the body that are still to be sent, of this part of it.
    fn left(&self) -> u64 {
        match &self.state {
            State::Answer { body: Some(body), .. } => body.end - body.at,
            _ => 0,
        }
    }

    /// Puts the head of the next part where the head of the answer was, if there is a next part.
    fn next_part<const HEAD: usize>(&mut self, desk: &mut Desk<HEAD>) -> Result<(), End> {
        let State::Answer { body: Some(body), .. } = &mut self.state else { return Ok(()) };
        let Some(mut parts) = body.parts.take() else { return Ok(()) };
        let head = desk.request.head();
        let multipart = Multipart::new(&head, parts.total, parts.content_type, parts.boundary).ok_or(End::Abort)?;
        let (len, range) = multipart.part(parts.next, &mut desk.output.bytes).map_err(|_| End::Abort)?;
        (desk.output.start, desk.output.end) = (0, len);
        if let Some(range) = range {
            (body.at, body.end) = (range.start(), range.end());
            parts.next += 1;
            body.parts = Some(parts);
        }
        Ok(())
    }
}

impl<F> Connection<F> {
    /// Waits for the first byte of a request, and takes a desk for it.
    fn idle<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>, since: Instant) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        W: AsMut<[u8]>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let owner = cx.token();
        let Files { scratch, desks, limits, .. } = &mut cx.shared.service;
        let scratch = scratch.as_mut();
        let room = scratch.len().min(INPUT);
        let scratch = scratch.get_mut(..room).unwrap_or_default();
        let read = match cx.net.recv(self.socket, scratch) {
            Ok(0) | Err(nb::Error::Other(_)) => return Err(nb::Error::Other(End::Close)),
            Ok(read) => read,
            Err(nb::Error::WouldBlock) => {
                let evicted = cx.now >= since + GRACE && cx.shared.crowd.must_go();
                if evicted || cx.shared.crowd.stopping {
                    return Err(nb::Error::Other(End::Close));
                }
                return self.wait(cx, Interest::Read);
            }
        };
        cx.shared.crowd.idle -= 1;
        self.state = State::Head;
        self.began = cx.now;
        self.deadline = cx.now + limits.head;
        self.desk = desks.take(owner, &mut cx.me);
        let desk = self.desk.and_then(|index| desks.get(index, owner)).ok_or(End::NoDesk)?;
        let bytes = scratch.get(..read).unwrap_or_default();
        desk.input.bytes[..bytes.len()].copy_from_slice(bytes);
        (desk.input.start, desk.input.end) = (0, bytes.len());
        Ok(())
    }

    /// Reads, and answers a request that is whole.
    fn read<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let Files { content, desks, limits, .. } = &mut cx.shared.service;
        let index = self.desk.ok_or(End::NoDesk)?;
        let desk = desks.get(index, cx.me.token()).ok_or(End::NoDesk)?;
        if desk.input.is_empty() {
            let read = match cx.net.recv(self.socket, &mut desk.input.bytes) {
                Ok(0) => {
                    self.answer(desk, content, 400, After::HearOut, &[]);
                    desks.set_reading(index, false);
                    return Ok(());
                }
                Ok(read) => read,
                Err(nb::Error::Other(_)) => return Err(nb::Error::Other(End::Close)),
                Err(nb::Error::WouldBlock) => return self.wait(cx, Interest::Read),
            };
            (desk.input.start, desk.input.end) = (0, read);
        }
        match decode(desk) {
            Ok(None) => return Ok(()),
            Ok(Some(whole)) => self.fulfil(desk, whole, !cx.shared.crowd.stopping, content),
            Err(error) => self.answer(desk, content, error.status(), After::HearOut, &[]),
        }
        desks.set_reading(index, false);
        self.deadline = cx.now + limits.stall;
        Ok(())
    }

    /// Sends as much of the answer as the socket takes.
    fn write<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>, budget: &mut u64) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        W: AsMut<[u8]>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let index = self.desk.ok_or(End::NoDesk)?;
        loop {
            match self.send_output(cx, index) {
                Err(nb::Error::WouldBlock) => return self.wait(cx, Interest::Write),
                Err(nb::Error::Other(end)) => return Err(nb::Error::Other(end)),
                Ok(true) => {}
                Ok(false) => continue,
            }
            while self.left() > 0 {
                if *budget == 0 {
                    return Ok(());
                }
                let stall = cx.shared.service.limits.stall;
                let allowed = match self.pace.allows(cx.now) {
                    Ok(allowed) => allowed,
                    Err(until) => {
                        self.deadline = until + stall;
                        cx.wait_until(until);
                        return Err(nb::Error::WouldBlock);
                    }
                };
                let count = self.left().min(allowed).min(*budget);
                let State::Answer { body: Some(body), sent, .. } = &mut self.state else { return Ok(()) };
                let content = &mut cx.shared.service.content;
                match content.transmit(&mut body.file, cx.net, self.socket, body.at, count) {
                    // The file has become shorter than what the head has promised.
                    Ok(0) => return Err(nb::Error::Other(End::Abort)),
                    Ok(count) => {
                        body.at += count;
                        *sent += count;
                        *budget = budget.saturating_sub(count);
                        self.pace.spend(cx.now, count);
                        self.deadline = cx.now + stall;
                    }
                    Err(nb::Error::WouldBlock) => return self.wait(cx, Interest::Write),
                    Err(nb::Error::Other(error)) => return Err(nb::Error::Other(error.into())),
                }
            }
            let desk = cx.shared.service.desks.get(index, cx.me.token()).ok_or(End::NoDesk)?;
            self.next_part(desk)?;
            if desk.output.is_empty() {
                break;
            }
        }
        *budget = budget.saturating_sub(REQUEST);
        self.answered(cx, index)
    }

    /// Sends the head, and in the same call a body that fits behind it; whether all of the head is out.
    fn send_output<S, C, W, D, const HEAD: usize>(
        &mut self,
        cx: &mut Cx<'_, S, C, W, D, HEAD>,
        index: u32,
    ) -> nb::Result<bool, End>
    where
        S: Stack,
        C: Content<S, File = F>,
        W: AsMut<[u8]>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let Files { content, scratch, limits, desks } = &mut cx.shared.service;
        let desk = desks.get(index, cx.me.token()).ok_or(End::NoDesk)?;
        if desk.output.is_empty() {
            return Ok(true);
        }
        let head = desk.output.rest();
        let State::Answer { body, sent, after } = &mut self.state else { return Ok(true) };
        // The end of our half goes out with the last bytes: it follows at once.
        let ends = *after != After::Next;
        let taken = if let Some(body) = body
            && let Ok(left) = usize::try_from(body.end - body.at)
            && left > 0
            && self.pace.allows(cx.now).is_ok_and(|allowed| allowed >= left as u64)
            && let Some(room) = scratch.as_mut().get_mut(..head.len().saturating_add(left))
        {
            let (front, back) = room.split_at_mut(head.len());
            front.copy_from_slice(head);
            let read = content.read(&mut body.file, body.at, back).map_err(End::from)?;
            let len = head.len() + read.min(back.len());
            let more = ends || body.parts.is_some();
            let taken = send(cx.net, self.socket, &room[..len], more)?;
            let of_body = taken.saturating_sub(head.len()) as u64;
            body.at += of_body;
            *sent += of_body;
            self.pace.spend(cx.now, of_body);
            taken
        } else {
            let follows = body.as_ref().is_some_and(|body| body.at < body.end);
            if ends && follows && desk.output.start == 0 {
                cx.net.cork(self.socket);
            }
            let more = ends || follows;
            send(cx.net, self.socket, head, more)?
        };
        desk.output.start += taken.min(head.len());
        self.deadline = cx.now + limits.stall;
        Ok(desk.output.is_empty())
    }

    /// The answer is out: the next request, or the end.
    fn answered<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>, index: u32) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let State::Answer { sent, after, .. } = self.state else { return Ok(()) };
        self.report(cx, sent, true);
        if after == After::Close {
            self.leave(cx);
            self.state = State::Linger { left: 0, refused: None };
            return Err(nb::Error::Other(End::Close));
        }
        let Files { desks, limits, .. } = &mut cx.shared.service;
        let desk = desks.get(index, cx.me.token()).ok_or(End::NoDesk)?;
        if after == After::HearOut {
            let linger = limits.linger;
            return self.hang_up(cx, linger, None);
        }
        if desk.input.is_empty() {
            self.leave(cx);
            self.state = State::Idle(cx.now);
            self.deadline = cx.now + cx.shared.service.limits.idle;
            cx.shared.crowd.idle += 1;
        } else {
            desk.request.start();
            desks.set_reading(index, true);
            self.state = State::Head;
            self.began = cx.now;
            self.deadline = cx.now + limits.head;
        }
        Ok(())
    }

    /// Gives its desk back.
    fn leave<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>)
    where
        D: AsMut<[Desk<HEAD>]>,
    {
        if let Some(index) = self.desk.take() {
            cx.shared.service.desks.leave(index, cx.me.token());
        }
    }

    /// Says nothing more, and hears the peer out.
    fn hang_up<S, C, W, D, const HEAD: usize>(
        &mut self,
        cx: &mut Cx<'_, S, C, W, D, HEAD>,
        linger: Duration,
        refused: Option<Instant>,
    ) -> Step
    where
        S: Stack,
        D: AsMut<[Desk<HEAD>]>,
    {
        self.leave(cx);
        self.state = State::Linger { left: LINGER, refused };
        cx.shared.crowd.leaving += usize::from(refused.is_some());
        self.deadline = cx.now + linger;
        Ok(cx.net.shutdown(self.socket).map_err(End::from)?)
    }

    /// Says that there is no place for it.
    fn busy<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>, told: usize) -> Step
    where
        S: Stack,
        C: Content<S, File = F>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let rest = BUSY.get(told..).unwrap_or_default();
        match cx.net.send(self.socket, rest) {
            Ok(count) if count < rest.len() => {
                self.state = State::Busy(told + count);
                Ok(())
            }
            Ok(_) => {
                self.status = 503;
                self.report(cx, 0, true);
                let linger = cx.shared.service.limits.linger;
                self.hang_up(cx, linger, Some(cx.now))
            }
            Err(nb::Error::WouldBlock) => self.wait(cx, Interest::Write),
            Err(nb::Error::Other(error)) => Err(nb::Error::Other(error.into())),
        }
    }

    /// Drops what the peer still sends. Closed with it unread, the socket would send a reset, and that could overtake
    /// the answer (RFC 9112 9.6).
    fn hear_out<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>) -> Step
    where
        S: Stack,
        W: AsMut<[u8]>,
    {
        let State::Linger { left, refused } = &mut self.state else { return Ok(()) };
        match cx.net.recv(self.socket, cx.shared.service.scratch.as_mut()) {
            Err(nb::Error::WouldBlock) => {
                if refused.is_some_and(|since| cx.now >= since + GOODBYE) && cx.shared.crowd.must_go() {
                    return Err(nb::Error::Other(End::Close));
                }
                self.wait(cx, Interest::Read)
            }
            Ok(count) if count > 0 && *left > count => {
                *left -= count;
                Ok(())
            }
            _ => Err(nb::Error::Other(End::Close)),
        }
    }

    fn report<S, C, W, D, const HEAD: usize>(&self, cx: &mut Cx<'_, S, C, W, D, HEAD>, sent: u64, complete: bool)
    where
        S: Stack,
        C: Content<S, File = F>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let Files { content, desks, .. } = &mut cx.shared.service;
        let desk = self.desk.and_then(|index| desks.get(index, cx.me.token()));
        let head = desk.map_or_else(Head::none, |desk| desk.request.head());
        let Self { peer, status, began, .. } = *self;
        content.served(&Served { peer, head, status, sent, complete, began, ended: cx.now });
    }
}

/// Feeds what has been read to the decoder. `None`: the head needs more. Else whether the whole request was there;
/// what there was of its body is dropped.
fn decode<const HEAD: usize>(desk: &mut Desk<HEAD>) -> Result<Option<bool>, Malformed> {
    let mut head = false;
    loop {
        let (taken, event) = desk.request.receive(desk.input.rest())?;
        let whole = match event {
            Event::NeedMore => Some(false),
            Event::End => Some(true),
            Event::Head => {
                head = true;
                None
            }
            Event::Body(_) => None,
        };
        desk.input.start += taken;
        if let Some(whole) = whole {
            return Ok(head.then_some(whole));
        }
    }
}

impl<S, C, W, D, const HEAD: usize> Task<S, Shared<Files<C, W, D, HEAD>>> for Connection<C::File>
where
    S: Stack,
    C: Content<S>,
    W: AsMut<[u8]>,
    D: AsMut<[Desk<HEAD>]>,
{
    type Output = ();
    type Error = ();

    fn poll(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>) -> nb::Result<(), ()> {
        let mut budget = QUANTUM;
        let end = loop {
            if budget == 0 {
                cx.wait_until(cx.now);
                return Err(nb::Error::WouldBlock);
            }
            let step = match self.state {
                State::Idle(since) => self.idle(cx, since),
                State::Head => self.read(cx),
                State::Answer { .. } => self.write(cx, &mut budget),
                State::Busy(told) => self.busy(cx, told),
                State::Linger { .. } => self.hear_out(cx),
            };
            match step {
                Ok(()) => {}
                Err(nb::Error::WouldBlock) => return Err(nb::Error::WouldBlock),
                Err(nb::Error::Other(End::Late)) if matches!(self.state, State::Head) => self.late(cx),
                Err(nb::Error::Other(End::NoDesk)) if matches!(self.state, State::Head) => {
                    (self.desk, self.state) = (None, State::Busy(0));
                    self.deadline = cx.now + cx.shared.service.limits.stall;
                }
                Err(nb::Error::Other(end)) => break end,
            }
        };
        let answering = matches!(self.state, State::Answer { .. } | State::Busy(_));
        match self.state {
            State::Idle(_) => cx.shared.crowd.idle -= 1,
            State::Answer { sent, .. } => self.report(cx, sent, false),
            State::Linger { refused: Some(_), .. } => cx.shared.crowd.leaving -= 1,
            State::Head | State::Busy(_) | State::Linger { .. } => {}
        }
        self.leave(cx);
        if end == End::Abort || answering {
            cx.net.abort(self.socket);
        } else {
            cx.net.close(self.socket);
        }
        Ok(())
    }
}

impl<F> Connection<F> {
    /// Tells a peer that its request took too long.
    fn late<S, C, W, D, const HEAD: usize>(&mut self, cx: &mut Cx<'_, S, C, W, D, HEAD>)
    where
        S: Stack,
        C: Content<S, File = F>,
        D: AsMut<[Desk<HEAD>]>,
    {
        let Files { content, desks, limits, .. } = &mut cx.shared.service;
        self.deadline = cx.now + limits.stall;
        let Some(index) = self.desk else { return };
        // Robbed, it finds out itself.
        let Some(desk) = desks.get(index, cx.me.token()) else { return };
        self.answer(desk, content, 408, After::HearOut, &[]);
        desks.set_reading(index, false);
    }
}

/// Sends bytes; `more`: others, or the end, follow at once.
fn send<S: Stack>(net: &mut S, socket: Handle, bytes: &[u8], more: bool) -> nb::Result<usize, End> {
    let sent = if more { net.send_more(socket, bytes) } else { net.send(socket, bytes) };
    sent.map_err(|error| error.map(End::from))
}

/// Puts whole header lines behind those of a head that ends at `len`.
fn append(out: &mut [u8], len: usize, lines: &[u8]) -> Result<usize, WriteError> {
    if lines.is_empty() {
        return Ok(len);
    }
    // Before the empty line, which is moved.
    let at = len.saturating_sub(2);
    let end = at + lines.len();
    let room = out.get_mut(at..end + 2).ok_or(WriteError::NoSpace)?;
    let (room, empty) = room.split_at_mut(lines.len());
    room.copy_from_slice(lines);
    empty.copy_from_slice(b"\r\n");
    Ok(end + 2)
}

/// Where a folder is that was asked for without its final slash, as a reference relative to what was asked: so it cannot
/// lead to another host, whatever the path begins with.
fn with_slash(path: &str, query: Option<&str>, out: &mut impl core::fmt::Write) -> core::fmt::Result {
    let name = path.rsplit('/').next().unwrap_or_default();
    write!(out, "./{name}/")?;
    query.map_or(Ok(()), |query| write!(out, "?{query}"))
}
