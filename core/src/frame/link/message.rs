//! Messages: taken apart into frames, and put together again.

use super::call::NEVER;
use super::channel::{Channel, Overrun, Record};
use super::config::META_LEN;
use super::{CallId, Error, Link, Phase, RequestId};
use crate::frame::{Carrier, Flags, Frame, HEADER_LEN, Header, Kind, encode};
use crate::time::Duration;

/// What a message is, when it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Post {
    /// It speaks for itself.
    Data,
    /// The request of a [`call`](Link::call).
    Request(CallId),
    /// The answer to a request.
    Response(RequestId),
    /// The answer to a request that failed, and why.
    Failure(RequestId),
}

/// What a message is that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Subject {
    /// It speaks for itself.
    Data,
    /// It is to be answered with [`Post::Response`] or [`Post::Failure`], in that time as seen by the peer when it was sent.
    Request {
        /// Which one.
        id: RequestId,
        /// How long the peer waits for the answer.
        timeout: Option<Duration>,
    },
    /// The answer to a call.
    Response(CallId),
    /// The call failed, and this is why.
    Failure(CallId),
    /// A request of the peer's need not be answered any more. No payload.
    Cancelled(RequestId),
}

/// A message that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub subject: Subject,
    /// What it says.
    pub payload: &'a [u8],
}

/// Bytes before the payload of a request: id, and milliseconds to answer it in, 0 for any.
const REQUEST_LEN: usize = 8;
/// Bytes before the payload of a response or a cancellation: id.
const ID_LEN: usize = 4;

impl<'m> Link<'m> {
    /// Takes a part of a message to be sent, from byte `offset` on: as much as a frame holds. Returns the offset after it,
    /// which at the length of the payload is the end. A message that fits in a frame is taken whole or not at all. The
    /// parts of a message follow each other on a channel; whoever begins another gives the first up. O(part).
    ///
    /// # Errors
    /// `WouldBlock` if the peer has no room for it, or we have not: [`Event::Writable`](super::Event::Writable) tells when to try again.
    /// [`Error::TooLong`], [`Error::NoChannel`], [`Error::Stale`] for a call that is not waiting, [`Error::Closed`], and why
    /// the link has ended.
    pub fn send(&mut self, channel: u8, post: Post, payload: &[u8], offset: usize) -> nb::Result<usize, Error> {
        let (kind, mut flags) = match post {
            Post::Data => (Kind::Data, Flags::NONE),
            Post::Request(_) => (Kind::Request, Flags::NONE),
            Post::Response(_) => (Kind::Response, Flags::NONE),
            Post::Failure(_) => (Kind::Response, Flags::FAILED),
        };
        let (id, left_ms, mut prefix_len) = match post {
            Post::Data => (0, 0, 0),
            Post::Request(call) => (call.0, self.left_ms(call).ok_or(Error::Stale)?, REQUEST_LEN),
            Post::Response(RequestId(id)) | Post::Failure(RequestId(id)) => (id, 0, ID_LEN),
        };
        let prefix = (u64::from(left_ms) << 32 | u64::from(id)).to_le_bytes();
        // A message that is not whole takes eight bytes at the peer, and its last frame costs eight.
        let most = (self.state.peer.window() as usize).saturating_sub(2 * HEADER_LEN);
        if self.state.phase == Phase::Open && prefix_len + payload.len() > most {
            return Err(Error::TooLong.into());
        }
        if offset == 0 {
            flags = flags.with(Flags::START);
        } else {
            prefix_len = 0;
        }
        let rest = payload.get(offset..).unwrap_or_default();
        let part = rest.get(..(self.state.frame_max as usize).saturating_sub(prefix_len)).unwrap_or(rest);
        flags = flags.with_if(part.len() == rest.len(), Flags::END);
        self.send_frame(channel, kind, flags, [prefix.get(..prefix_len).unwrap_or_default(), part])?;
        Ok(offset + part.len())
    }

    /// The longest payload that [`send`](Self::send) takes whole, once the link is open.
    pub fn frame_max(&self) -> Option<usize> {
        (self.state.phase == Phase::Open).then_some(self.state.frame_max as usize)
    }

    /// Takes a frame of a message to be sent.
    pub(super) fn send_frame(
        &mut self,
        number: u8,
        kind: Kind,
        flags: Flags,
        parts: [&[u8]; 2],
    ) -> nb::Result<(), Error> {
        match self.state.phase {
            Phase::Greeting => return Err(nb::Error::WouldBlock),
            Phase::Ended => return Err(self.state.error.unwrap_or(Error::Closed).into()),
            Phase::Open if self.state.closing => return Err(Error::Closed.into()),
            Phase::Open => {}
        }
        if number >= self.state.peer.channels() {
            return Err(Error::NoChannel.into());
        }
        let Some(channel) = self.channels.get_mut(usize::from(number)) else { return Err(Error::NoChannel.into()) };
        let len = parts[0].len() + parts[1].len();
        let cost = (HEADER_LEN + len) as u32;
        if channel.credit() < cost {
            channel.no_credit = true;
            if self.config.carrier == Carrier::Line && self.state.retry_at == NEVER {
                self.state.retry_at = self.state.now + self.config.retry;
            }
            return Err(nb::Error::WouldBlock);
        }
        let sequence = channel.next_out;
        if !self.queue_frame(kind, flags, number, sequence, parts) {
            if let Some(channel) = self.channels.get_mut(usize::from(number)) {
                channel.no_room = true;
            }
            return Err(nb::Error::WouldBlock);
        }
        if let Some(channel) = self.channels.get_mut(usize::from(number)) {
            channel.sent = channel.sent.wrapping_add(cost);
            channel.next_out = sequence.wrapping_add(1);
        }
        Ok(())
    }

    /// Puts a frame among what waits to be written, if there is room.
    pub(super) fn queue_frame(
        &mut self,
        kind: Kind,
        flags: Flags,
        channel: u8,
        sequence: u16,
        parts: [&[u8]; 2],
    ) -> bool {
        let before = if self.repeating.is_some() { META_LEN } else { 0 };
        let most = before + self.config.carrier.encoded_max(parts[0].len() + parts[1].len());
        let Some(at) = self.state.queue.room(most, self.regions.transmit.len()) else { return false };
        let flags = flags.with_if(self.repeating.is_some(), Flags::RELIABLE);
        let sequence = self.repeating.as_ref().map_or(sequence, |repeating| repeating.state.next_number());
        let header = Header { kind, flags, channel, sequence };
        let out = self.regions.transmit.get_mut(at + before..).unwrap_or_default();
        let Some(len) = encode(self.config.carrier, self.config.checksum, header, parts, out) else { return false };
        match &self.repeating {
            Some(repeating) => (repeating.ways.push)(self, at, len),
            None => self.state.queue.push(at, len),
        }
        true
    }

    /// A frame of a message has come, in its turn.
    pub(super) fn take_message(&mut self, frame: Frame<'_>) {
        let Header { kind, flags, channel, sequence } = frame.header;
        let reliable = self.repeating.is_some();
        let Some((channel, ring)) = self.ring(channel) else { return self.stray() };
        let missing = if reliable { Some(0) } else { channel.follows(sequence) };
        let Some(missing) = missing else {
            self.state.stats.repeats_heard = self.state.stats.repeats_heard.wrapping_add(1);
            return;
        };
        let stored = channel.store(ring, kind, flags, frame.payload);
        channel.grant(ring.len());
        self.state.stats.lost = self.state.stats.lost.wrapping_add(u32::from(missing));
        if let Err(Overrun) = stored {
            self.fail(Error::Overrun);
        }
    }

    /// The oldest message that has arrived on a channel and was not taken off by [`pop`](Self::pop). Answers that nobody waits
    /// for any more are dropped on the way. O(1), and O(window) once in a window.
    pub fn peek(&mut self, channel: u8) -> Option<Message<'_>> {
        let (subject, prefix_len, len) = self.find(channel)?;
        let (channel, ring) = self.ring(channel)?;
        Some(Message { subject, payload: channel.bytes(ring, len).get(prefix_len..).unwrap_or_default() })
    }

    /// The same, for as long as the link's parts live.
    pub(in crate::frame) fn into_peek(mut self, channel: u8) -> Option<Message<'m>> {
        let (subject, prefix_len, len) = self.find(channel)?;
        let (channel, ring) = ring(self.config.window, self.channels, self.regions.rings, channel)?;
        Some(Message { subject, payload: channel.bytes(ring, len).get(prefix_len..).unwrap_or_default() })
    }

    /// What the oldest message is, how much of it stands before its payload, and how long both are.
    fn find(&mut self, channel: u8) -> Option<(Subject, usize, usize)> {
        loop {
            let (state, ring) = self.ring(channel)?;
            let Record { kind, flags, len } = state.first(ring)?;
            if kind == Kind::Data as u8 {
                return Some((Subject::Data, 0, len));
            }
            let bytes = state.bytes(ring, len);
            let id = bytes.first_chunk().map(|id| u32::from_le_bytes(*id));
            let timeout_ms = bytes.first_chunk().map(|&[_, _, _, _, a, b, c, d]| u32::from_le_bytes([a, b, c, d]));
            if let Some(id) = id {
                if kind == Kind::Cancel as u8 {
                    return Some((Subject::Cancelled(RequestId(id)), len, len));
                }
                if kind == Kind::Request as u8 {
                    if let Some(timeout_ms) = timeout_ms {
                        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(u64::from(timeout_ms)));
                        return Some((Subject::Request { id: RequestId(id), timeout }, REQUEST_LEN, len));
                    }
                } else if self.wanted(CallId(id)) {
                    let failed = flags.has(Flags::FAILED);
                    let subject = if failed { Subject::Failure(CallId(id)) } else { Subject::Response(CallId(id)) };
                    return Some((subject, ID_LEN, len));
                }
            }
            self.stray();
            self.drop_first(channel);
        }
    }

    /// Takes off the message that [`peek`](Self::peek) shows. With the answer to a call its slot becomes free. O(calls).
    pub fn pop(&mut self, channel: u8) {
        if let Some(Message { subject: Subject::Response(call) | Subject::Failure(call), .. }) = self.peek(channel) {
            self.answered(call);
        }
        self.drop_first(channel);
    }

    fn drop_first(&mut self, channel: u8) {
        if let Some((channel, ring)) = self.ring(channel) {
            channel.pop(ring);
        }
    }

    /// A channel and its window.
    fn ring(&mut self, number: u8) -> Option<(&mut Channel, &mut [u8])> {
        ring(self.config.window, self.channels, self.regions.rings, number)
    }
}

fn ring<'m>(
    window: usize,
    channels: &'m mut [Channel],
    rings: &'m mut [u8],
    number: u8,
) -> Option<(&'m mut Channel, &'m mut [u8])> {
    let ring = rings.get_mut(usize::from(number) * window..)?.get_mut(..window)?;
    Some((channels.get_mut(usize::from(number))?, ring))
}
