//! A link: two ends that greet, talk on channels, and part, as a machine without a wire or a clock.
//!
//! Bytes that came go in with the time ([`handle_input`](Link::handle_input)), bytes to write come out
//! ([`poll_output`](Link::poll_output), [`wrote`](Link::wrote)), what happened is asked for
//! ([`poll_event`](Link::poll_event)), and when to come back if nothing does ([`poll_timeout`](Link::poll_timeout)).
//!
//! - **Channels** carry messages, each in its order, whole or not at all. The receiver gives credit for the room it has, so
//!   a channel that nobody reads holds what was agreed and stops nobody else.
//! - **Requests** are messages that are to be answered: [`call`](Link::call) takes a slot with a deadline, the answer
//!   comes as [`Subject::Response`]; who gives up is not answered any more, and says so to the peer.
//! - **The end**: [`close`](Link::close) sends what was taken and says goodbye. A wire that ends without one is
//!   [`Error::BrokenPipe`].
//! - A **reliable** link ([`Endpoint::reliable`]) confirms its frames and repeats those that a line has lost: then every
//!   message arrives, once. Otherwise a message that was hit is lost as a whole, and counted.
//! - With a **key** (feature `auth`) both ends prove that they have it before anything else is read. What follows is neither
//!   secret nor sealed, as in Python's `multiprocessing.connection`: the key keeps strangers out, not those on the wire.
//!
//! All memory is the caller's: an [`Endpoint`] is made of as many bytes as its [`Config`] says, and of slots for channels
//! and calls. A [`Link`] is an endpoint with the sizes taken off, so that there is one code for all of them.
//!
//! ```
//! use tidemill_core::frame::Carrier;
//! use tidemill_core::frame::link::{Config, Endpoint, Event, Post, Subject};
//! use tidemill_core::time::EPOCH;
//!
//! const CONFIG: Config<'static> = Config::new(Carrier::Line);
//! let mut mill = Endpoint::<_, 2, 1>::new(CONFIG, [0; CONFIG.memory(2)]).unwrap();
//! let mut pond = Endpoint::<_, 2, 1>::new(CONFIG, [0; CONFIG.memory(2)]).unwrap();
//! let (mut mill, mut pond) = (mill.link(), pond.link());
//!
//! // The wire: whatever one writes the other hears.
//! let mut exchange = |mill: &mut _, pond: &mut _| {
//!     fn carry(from: &mut tidemill_core::frame::link::Link<'_>, to: &mut tidemill_core::frame::link::Link<'_>) -> usize {
//!         let bytes = from.poll_output(EPOCH);
//!         let count = bytes.len();
//!         to.handle_input(EPOCH, bytes);
//!         from.wrote(count);
//!         count
//!     }
//!     while carry(mill, pond) + carry(pond, mill) > 0 {}
//! };
//! exchange(&mut mill, &mut pond);
//! assert_eq!(mill.poll_event(), Some(Event::Opened));
//!
//! let call = mill.call(1, None).unwrap();
//! mill.send(1, Post::Request(call), b"how high?", 0).unwrap();
//! exchange(&mut mill, &mut pond);
//! let request = pond.peek(1).unwrap();
//! assert_eq!(request.payload, b"how high?");
//! let Subject::Request { id, .. } = request.subject else { panic!() };
//! pond.pop(1);
//! pond.send(1, Post::Response(id), b"two feet", 0).unwrap();
//! exchange(&mut mill, &mut pond);
//! let answer = mill.peek(1).unwrap();
//! assert_eq!((answer.subject, answer.payload), (Subject::Response(call), &b"two feet"[..]));
//! ```
//!
//! Interrupts: not to be touched from one. An interrupt puts its bytes in a [`FromInterrupt`](crate::queue::FromInterrupt).

mod call;
mod channel;
mod config;
mod control;
mod error;
mod hello;
mod message;
mod queue;
mod reliable;
#[cfg(test)]
mod tests;

pub use call::{Call, CallId, RequestId};
pub use channel::Channel;
pub use config::Config;
pub use error::Error;
pub use message::{Message, Post, Subject};
pub use reliable::{Plain, Reliable, Repeats};

use crate::frame::codec::Assembler;
use crate::frame::{Carrier, Flags, Frame, Kind};
use crate::time::{EPOCH, Instant};
use call::NEVER;
use config::Regions;
use core::ops::Range;
use hello::{HELLO_MAX, Peer};
use queue::Queue;
use reliable::Repeating;

/// One end of a link and all its memory: `M` is bytes, a `[u8; N]`, a `Vec<u8>` or a `&mut [u8]`, as many as
/// [`Config::memory`] says; then so many channels, and so many calls that may wait for their answers. `R` is what a link
/// needs to repeat frames: [`Reliable`], or nothing, and then none of the code for it.
pub struct Endpoint<'k, M, const CHANNELS: usize, const CALLS: usize, R = Plain> {
    config: Config<'k>,
    state: State,
    repeats: R,
    channels: [Channel; CHANNELS],
    calls: [Call; CALLS],
    memory: M,
}

impl<M, const CHANNELS: usize, const CALLS: usize, R> core::fmt::Debug for Endpoint<'_, M, CHANNELS, CALLS, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

impl<'k, M: AsMut<[u8]>, const CHANNELS: usize, const CALLS: usize> Endpoint<'k, M, CHANNELS, CALLS> {
    /// An end of a link that has not begun, and does not repeat frames.
    ///
    /// # Errors
    /// [`Error::Config`] if `memory` is smaller than [`Config::memory`] says or the configuration makes no sense, or is one of
    /// a reliable link.
    pub fn new(config: Config<'k>, memory: M) -> Result<Self, Error> {
        if config.reliable { Err(Error::Config) } else { Self::with(config, memory, Plain) }
    }
}

impl<'k, M: AsMut<[u8]>, const CHANNELS: usize, const CALLS: usize> Endpoint<'k, M, CHANNELS, CALLS, Reliable> {
    /// An end of a link that has not begun, and repeats frames if [`Config::reliable`] says so.
    ///
    /// # Errors
    /// As [`new`](Endpoint::new).
    pub fn reliable(config: Config<'k>, memory: M) -> Result<Self, Error> {
        Self::with(config, memory, Reliable::NEW)
    }
}

impl<'k, M: AsMut<[u8]>, const CHANNELS: usize, const CALLS: usize, R: Repeats> Endpoint<'k, M, CHANNELS, CALLS, R> {
    fn with(config: Config<'k>, mut memory: M, repeats: R) -> Result<Self, Error> {
        config.check(CHANNELS, CALLS, memory.as_mut().len())?;
        let state = State::new(&config);
        Ok(Self { config, state, repeats, channels: [Channel::NEW; CHANNELS], calls: [Call::FREE; CALLS], memory })
    }

    /// The link, to work with. O(1).
    pub fn link(&mut self) -> Link<'_> {
        let regions = Regions::of(&self.config, self.memory.as_mut());
        Link {
            config: &self.config,
            state: &mut self.state,
            repeating: if self.config.reliable { self.repeats.repeating() } else { None },
            channels: &mut self.channels,
            calls: &mut self.calls,
            regions,
        }
    }
}

/// A link, whatever the sizes of its [`Endpoint`].
pub struct Link<'m> {
    config: &'m Config<'m>,
    state: &'m mut State,
    /// How frames are confirmed and repeated, if they are.
    repeating: Option<Repeating<'m>>,
    channels: &'m mut [Channel],
    calls: &'m mut [Call],
    regions: Regions<'m>,
}

impl core::fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing but hellos.
    Greeting,
    Open,
    /// Nothing more comes in, and nothing more is taken.
    Ended,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The peer is there and, if there is a key, believed: messages may be sent.
    Opened,
    /// A message has arrived on this channel since this was last told.
    Readable(u8),
    /// What [`send`](Link::send) refused on this channel may be tried again.
    Writable(u8),
    /// No answer in time.
    Expired(CallId),
    /// The peer will send nothing more: what it has sent has arrived.
    PeerClosed,
    /// The link has ended: with a goodbye of both, or for this reason.
    Ended(Option<Error>),
}

/// What was counted since the link began. All of them wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stats {
    /// Pieces of a line that were no frame.
    pub damaged: u32,
    /// Frames that the peer has sent and that never came, as far as can be told from those after them.
    pub lost: u32,
    /// Frames that came again.
    pub repeats_heard: u32,
    /// Frames that were written again.
    pub repeated: u32,
    /// Frames that had no business here: of an unknown channel, or out of place.
    pub stray: u32,
}

struct State {
    now: Instant,
    /// When the peer was heard last.
    heard: Instant,
    /// When to repeat what is not confirmed: a hello, a goodbye, that we wait for credit.
    retry_at: Instant,
    assembler: Assembler,
    queue: Queue,
    /// Bytes of the queue to write before anything else may be.
    owed: u32,
    /// Bytes on the stage that are still to be written.
    stage: Range<u8>,
    frame_max: u32,
    /// How calls are tended, once there was one.
    calls: Option<&'static call::Ways>,
    peer: Peer,
    stats: Stats,
    pong: Option<u32>,
    /// Why the link has ended.
    error: Option<Error>,
    phase: Phase,
    /// Times that the peer was asked for a sign of life since it was heard.
    pings: u8,
    started: bool,
    /// To be written.
    hello_due: bool,
    ack_due: bool,
    ping_due: bool,
    bye_due: bool,
    closing: bool,
    bye_sent: bool,
    peer_done: bool,
    /// The queue has room again.
    room_grew: bool,
    /// To be told.
    opened: bool,
    farewell: bool,
    ended: bool,
}

impl State {
    const fn new(config: &Config<'_>) -> Self {
        Self {
            now: EPOCH,
            heard: EPOCH,
            retry_at: NEVER,
            assembler: Assembler::new(config.carrier),
            queue: Queue::EMPTY,
            owed: 0,
            stage: 0..0,
            frame_max: 0,
            calls: None,
            peer: Peer::UNKNOWN,
            stats: Stats { damaged: 0, lost: 0, repeats_heard: 0, repeated: 0, stray: 0 },
            pong: None,
            error: None,
            phase: Phase::Greeting,
            pings: 0,
            started: false,
            hello_due: true,
            ack_due: false,
            ping_due: false,
            bye_due: false,
            closing: false,
            bye_sent: false,
            peer_done: false,
            room_grew: false,
            opened: false,
            farewell: false,
            ended: false,
        }
    }
}

impl Link<'_> {
    /// Takes bytes that came, all of them. O(n).
    pub fn handle_input(&mut self, now: Instant, mut bytes: &[u8]) {
        self.tick(now);
        let decode = core::mem::take(&mut self.regions.decode);
        let mut assembler = self.state.assembler;
        loop {
            let payload_max = match self.state.phase {
                Phase::Greeting => HELLO_MAX,
                _ => self.config.payload_max.max(HELLO_MAX),
            };
            match assembler.feed(self.config.checksum, payload_max, decode, &mut bytes) {
                None => break,
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) if self.config.carrier == Carrier::Stream => self.fail(Error::Damaged(error)),
                Some(Err(_)) => self.state.stats.damaged = self.state.stats.damaged.wrapping_add(1),
            }
        }
        self.state.assembler = assembler;
        self.regions.decode = decode;
    }

    /// No more bytes will come: the wire has ended. Without a goodbye before it, or with something left to send, the pipe
    /// is broken. What has arrived can still be read.
    pub fn handle_end(&mut self) {
        if self.state.phase == Phase::Ended {
            return;
        }
        let delivered = match &self.repeating {
            Some(repeating) => (repeating.ways.is_delivered)(self),
            None => self.state.queue.is_empty(),
        };
        let parted = self.state.peer_done && delivered;
        if parted { self.end(None) } else { self.fail(Error::BrokenPipe) }
    }

    /// The bytes to write next; none if there are none now. How many of them were written, also in part, is told by
    /// [`wrote`](Self::wrote). O(channels + calls), and O(32) where frames are confirmed.
    pub fn poll_output(&mut self, now: Instant) -> &[u8] {
        self.tick(now);
        if let Some(ways) = self.state.calls {
            (ways.tend)(self);
        }
        let range = self.next_output();
        let region = if self.state.stage.is_empty() { &*self.regions.transmit } else { &*self.regions.stage };
        region.get(range).unwrap_or_default()
    }

    fn next_output(&mut self) -> Range<usize> {
        if self.state.stage.is_empty() && self.state.owed == 0 && !self.is_writing() {
            self.stage_due();
        }
        if !self.state.stage.is_empty() {
            return usize::from(self.state.stage.start)..usize::from(self.state.stage.end);
        }
        if let Some(repeating) = &self.repeating {
            return (repeating.ways.output)(self);
        }
        let front = self.state.queue.front();
        // A frame of the link's own may only go between frames: so what is shown is what has to be written before.
        if self.state.owed == 0 {
            self.state.owed = front.len() as u32;
        }
        front.start..front.start + self.state.owed as usize
    }

    /// So many of the bytes of [`poll_output`](Self::poll_output) were written. O(1), and O(32) where frames are confirmed.
    pub fn wrote(&mut self, count: usize) {
        if !self.state.stage.is_empty() {
            self.state.stage.start += count.min(self.state.stage.len()) as u8;
        } else if let Some(repeating) = &self.repeating {
            (repeating.ways.wrote)(self, count);
        } else {
            let count = count.min(self.state.owed as usize);
            self.state.queue.pop(count);
            self.state.owed -= count as u32;
            self.state.room_grew = true;
        }
        self.part();
    }

    /// What happened, each once, until there is nothing more to tell. O(channels + calls).
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.state.opened) {
            return Some(Event::Opened);
        }
        let room_grew = core::mem::take(&mut self.state.room_grew);
        for channel in self.channels.iter_mut() {
            channel.writable |= room_grew && core::mem::take(&mut channel.no_room);
        }
        for (number, channel) in (0..).zip(self.channels.iter_mut()) {
            if core::mem::take(&mut channel.readable) {
                return Some(Event::Readable(number));
            }
            if core::mem::take(&mut channel.writable) {
                return Some(Event::Writable(number));
            }
        }
        if let Some(expired) = self.state.calls.and_then(|ways| (ways.next_expired)(self)) {
            return Some(expired);
        }
        if core::mem::take(&mut self.state.farewell) {
            return Some(Event::PeerClosed);
        }
        core::mem::take(&mut self.state.ended).then_some(Event::Ended(self.state.error))
    }

    /// When to call [`poll_output`](Self::poll_output) again though nothing came: `None` is never. O(channels + calls).
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let mut at = self.state.retry_at;
        if let Some(ways) = self.state.calls {
            at = at.min((ways.next_deadline)(self));
        }
        if self.state.phase == Phase::Ended {
            return None;
        }
        if let Some(keep_alive) = self.config.keep_alive {
            at = at.min(self.state.heard + keep_alive * (u32::from(self.state.pings) + 1));
        }
        if let Some(repeating) = &self.repeating {
            at = at.min((repeating.ways.repeat_at)(self));
        }
        (at < NEVER).then_some(at)
    }

    /// Says goodbye once all that was taken is sent: nothing more can be sent, what the peer sends can be read until it says
    /// goodbye too. O(1).
    pub fn close(&mut self) {
        self.state.closing = true;
        if self.state.phase == Phase::Greeting {
            self.end(None);
        }
    }

    /// Whether messages can be sent: the peer has greeted, and this end is not closing.
    pub fn is_open(&self) -> bool {
        self.state.phase == Phase::Open && !self.state.closing
    }

    /// Whether the link has ended, and why if it was not with a goodbye of both.
    pub fn ended(&self) -> Option<Option<Error>> {
        (self.state.phase == Phase::Ended).then_some(self.state.error)
    }

    /// Whether the peer has said goodbye: nothing comes after what has arrived.
    pub fn peer_closed(&self) -> bool {
        self.state.peer_done
    }

    /// Whether all that was taken to be sent is written and, where frames are confirmed, has arrived.
    pub fn is_flushed(&self) -> bool {
        self.state.queue.is_empty() && self.state.stage.is_empty()
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.state.stats
    }

    fn is_writing(&self) -> bool {
        self.repeating.as_ref().is_some_and(|repeating| repeating.state.is_writing())
    }

    /// Time goes on.
    fn tick(&mut self, now: Instant) {
        let state = &mut *self.state;
        state.now = state.now.max(now);
        if !core::mem::replace(&mut state.started, true) {
            state.heard = now;
        }
        if state.phase == Phase::Ended {
            return;
        }
        if let Some(keep_alive) = self.config.keep_alive
            && now >= state.heard + keep_alive * (u32::from(state.pings) + 1)
        {
            state.pings += 1;
            state.ping_due = true;
            if state.pings >= 3 {
                return self.fail(Error::TimedOut);
            }
        }
        if now >= state.retry_at {
            self.retry();
        }
        if let Some(repeating) = &self.repeating {
            (repeating.ways.repeat)(self);
        }
    }

    /// A frame has come.
    fn take(&mut self, frame: Frame<'_>) {
        self.state.heard = self.state.now;
        self.state.pings = 0;
        let numbered = frame.header.flags.has(Flags::RELIABLE) && frame.header.kind != Kind::Hello;
        let ways = self.repeating.as_ref().map(|repeating| repeating.ways);
        if self.state.phase == Phase::Open
            && numbered
            && let Some(ways) = ways
        {
            return (ways.take)(self, frame);
        }
        match (self.state.phase, frame.header.kind) {
            (_, Kind::Hello) => self.greeted(frame),
            // The last confirmation may have been lost.
            (Phase::Ended, _) if numbered && ways.is_some() && self.state.error.is_none() => self.state.ack_due = true,
            (_, Kind::Goodbye) if !numbered => self.goodbye(frame),
            (Phase::Open, kind) => match kind {
                Kind::Credit => self.credited(frame),
                Kind::Blocked => self.peer_blocked(frame),
                Kind::Ack => match ways {
                    Some(ways) => (ways.confirmed)(self, frame.payload),
                    None => self.stray(),
                },
                Kind::Ping => self.state.pong = frame.payload.first_chunk().map(|token| u32::from_le_bytes(*token)),
                Kind::Pong => {}
                Kind::Data | Kind::Request | Kind::Response | Kind::Cancel if ways.is_none() && !numbered => {
                    self.take_message(frame);
                }
                _ => self.stray(),
            },
            _ => self.stray(),
        }
    }

    /// A frame of a reliable link has come in its turn.
    fn take_numbered(&mut self, frame: Frame<'_>) {
        match frame.header.kind {
            Kind::Goodbye => self.goodbye(frame),
            Kind::Data | Kind::Request | Kind::Response | Kind::Cancel => self.take_message(frame),
            _ => self.stray(),
        }
    }

    fn stray(&mut self) {
        self.state.stats.stray = self.state.stats.stray.wrapping_add(1);
    }

    fn end(&mut self, error: Option<Error>) {
        if self.state.phase != Phase::Ended {
            self.state.phase = Phase::Ended;
            self.state.error = error;
            self.state.ended = true;
        }
    }

    /// Ends the link: what waits to be sent is lost.
    fn fail(&mut self, error: Error) {
        if self.state.phase != Phase::Ended {
            self.state.queue = Queue::EMPTY;
            self.state.owed = 0;
            if let Some(repeating) = &mut self.repeating {
                repeating.state.stop();
            }
        }
        self.end(Some(error));
    }
}
