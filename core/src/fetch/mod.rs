//! The download engine: one file, many connections, whatever the network does.
//!
//! [`Fetch`] learns the file's length from the first answer (no request is wasted on asking), splits it among its
//! connections, and lets a connection that runs dry steal from the one that would finish last. All bytes are of one
//! version: every request carries the first answer's validator, and a file that changes midway is begun anew. Servers
//! without ranges get a single stream. What fails is tried again with growing pauses, and given up with the reason.
//!
//! It is the same in every world. A driver turns it (see [`Program`](crate::executor::Program)), lends it a buffer
//! that all bytes pass through, answers its question for addresses ([`Fetch::wanted`]), and gives it a [`Sink`].
//!
//! Memory: a few hundred bytes and one answer head for each connection, 2 KiB for each source, 2 KiB for the plan.
//!
//! ```
//! use tidemill_core::fetch::{Failure, Fetch, Options, Sink, Slot, Source};
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::time::EPOCH;
//!
//! struct Memory([u8; 64]);
//! impl Sink for Memory {
//!     type Error = ();
//!     fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), ()> {
//!         self.0.get_mut(offset as usize..).and_then(|to| to.get_mut(..data.len())).ok_or(())?.copy_from_slice(data);
//!         Ok(())
//!     }
//!     fn set_len(&mut self, total: u64) -> Result<(), ()> {
//!         if total <= 64 { Ok(()) } else { Err(()) }
//!     }
//!     fn restart(&mut self) -> Result<(), ()> {
//!         Ok(())
//!     }
//! }
//!
//! let source = Source::new("http://192.0.2.1/file").unwrap();
//! let slots = [const { Slot::<2048>::EMPTY }; 4];
//! let mut fetch = Fetch::<_, _, 2048, 1>::new(Options::default(), [source], Memory([0; 64]), slots, None);
//! fetch.turn(EPOCH, &mut NoNetwork, &mut [0; 1500]);
//! assert!(matches!(fetch.outcome(), Some(Err(Failure::Net(_)))));
//! ```

mod answer;
mod backoff;
mod connection;
mod engine;
mod meter;
mod request;
mod segments;
mod sink;
mod source;
mod state;
#[cfg(test)]
mod tests;

pub use connection::{Activity, Connection};
pub use segments::{SEGMENTS_MAX, STEAL_MIN};
pub use sink::Sink;
pub use source::{ADDRESSES_MAX, Source, SourceError, URL_MAX};
pub use state::{STATE_BYTES_MAX, State, StateError, VALIDATOR_MAX, Validator};

use crate::executor::Executor;
use crate::http::client;
use crate::net::{self, Stack};
use crate::time::{Duration, EPOCH, Instant};
use connection::View;
use core::net::SocketAddr;
use core::num::NonZeroU64;
use core::ops::Range;
use engine::Engine;
use meter::Meter;

/// Room for one connection whose answers' heads have at most `HEAD` bytes.
pub type Slot<const HEAD: usize> = crate::pool::Slot<Connection<HEAD>>;

/// The most request headers a caller may add.
pub const HEADERS_MAX: usize = 16;

/// About this much is received in one turn: how much more than the driver last saved can be lost.
pub const TURN_BYTES: u64 = 4 << 20;

/// The most connections of one download.
pub const CONNECTIONS_MAX: usize = 64;

/// How to go about it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Options<'h> {
    /// How often one connection tries again in a row before it gives up.
    pub retries: u32,
    /// How long a connection may take to come up, over all addresses.
    pub connect_timeout: Duration,
    /// How long the server may send nothing.
    pub idle_timeout: Duration,
    /// Bytes per second over all connections; `None`: no limit.
    pub rate: Option<NonZeroU64>,
    /// A file is not split at first into parts shorter than this, bytes.
    pub split_min: u64,
    /// A mirror is used only if it shows the same `ETag` or the same `Last-Modified` as the first source. True: the same
    /// length is enough, because the caller verifies the whole.
    pub trust_mirrors: bool,
    /// More request headers, at most [`HEADERS_MAX`].
    pub headers: &'h [(&'h str, &'h [u8])],
    /// Seeds the jitter of pauses.
    pub seed: u64,
}

impl Default for Options<'_> {
    /// 5 retries, 10 s to connect, 30 s of silence, no rate limit, parts of at least 1 MiB.
    fn default() -> Self {
        Self {
            retries: 5,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            rate: None,
            split_min: 1 << 20,
            trust_mirrors: false,
            headers: &[],
            seed: 0,
        }
    }
}

/// Why a download ended without the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure<E> {
    /// The name has no address.
    Resolve,
    /// The network said no.
    Net(net::Error),
    /// No address let us connect in time.
    ConnectTimeout,
    /// The server sent nothing for too long.
    Stalled,
    /// The server answered with this status.
    Status(u16),
    /// The server does not speak HTTP as it should, or closed the connection within an answer.
    Http(client::Error),
    /// The request cannot be written: a header that may not be, or no room.
    Request(client::Error),
    /// The answer is shorter than the file.
    Short {
        /// Bytes that never came.
        missing: u64,
    },
    /// The server sent another part than the one asked for.
    Range,
    /// The server has stopped serving ranges, and another source still does.
    NoRanges,
    /// Too many redirects.
    Redirects,
    /// A redirect leads nowhere.
    Location,
    /// A redirect leads to a scheme that is not spoken here.
    Scheme,
    /// The file changes again and again.
    Changing,
    /// A mirror's file is another one, or nothing shows that it is the same (see [`Options::trust_mirrors`]).
    Mirror,
    /// The bytes could not be stored.
    Sink(E),
}

impl<E> Failure<E> {
    /// The same without the sink's own error.
    pub fn reason(&self) -> Failure<()> {
        match *self {
            Self::Resolve => Failure::Resolve,
            Self::Net(error) => Failure::Net(error),
            Self::ConnectTimeout => Failure::ConnectTimeout,
            Self::Stalled => Failure::Stalled,
            Self::Status(status) => Failure::Status(status),
            Self::Http(error) => Failure::Http(error),
            Self::Request(error) => Failure::Request(error),
            Self::Short { missing } => Failure::Short { missing },
            Self::Range => Failure::Range,
            Self::NoRanges => Failure::NoRanges,
            Self::Redirects => Failure::Redirects,
            Self::Location => Failure::Location,
            Self::Scheme => Failure::Scheme,
            Self::Changing => Failure::Changing,
            Self::Mirror => Failure::Mirror,
            Self::Sink(_) => Failure::Sink(()),
        }
    }
}

impl core::fmt::Display for Failure<()> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Resolve => f.write_str("the host's name has no address"),
            Self::Net(error) => error.fmt(f),
            Self::ConnectTimeout => f.write_str("no connection in time"),
            Self::Stalled => f.write_str("the server sent nothing for too long"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Http(error) | Self::Request(error) => error.fmt(f),
            Self::Short { missing } => write!(f, "the server sent {missing} bytes too few"),
            Self::Range => f.write_str("the server sent another range than the one asked for"),
            Self::NoRanges => f.write_str("the server serves no ranges any more"),
            Self::Redirects => f.write_str("too many redirects"),
            Self::Location => f.write_str("a redirect leads nowhere"),
            Self::Scheme => f.write_str("a redirect leads to an unsupported scheme"),
            Self::Changing => f.write_str("the file keeps changing on the server"),
            Self::Mirror => f.write_str("nothing shows that the mirror has the same file"),
            Self::Sink(()) => f.write_str("the bytes could not be stored"),
        }
    }
}

/// News for whoever watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// A connection failed and tries again after `wait`.
    Retry {
        /// Which one.
        connection: u8,
        /// Why.
        reason: Failure<()>,
        /// The pause.
        wait: Duration,
    },
    /// A source is used no more; others are.
    SourceFailed {
        /// Which one.
        source: usize,
        /// Why.
        reason: Failure<()>,
    },
    /// A source's URL is another now; see [`Fetch::sources`].
    Redirected {
        /// Which one.
        source: usize,
    },
    /// The server serves no ranges: one connection fetches all of it.
    NoRanges,
    /// The file has changed on the server: begun anew.
    Changed,
}

/// How far a download is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    /// Bytes that are there.
    pub done: u64,
    /// The length of the whole, once it is known.
    pub total: Option<u64>,
    /// Bytes received by this engine, those fetched twice included.
    pub received: u64,
    /// Bytes per second now.
    pub rate: u64,
}

/// One connection's part in it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectionProgress {
    /// From 0.
    pub index: u8,
    /// What it is doing.
    pub activity: Activity,
    /// What it still has to fetch; empty if nothing.
    pub range: Range<u64>,
    /// Bytes per second now.
    pub rate: u64,
}

/// A download under way. `B` holds the slots, one for each connection; `HEAD` bounds an answer's head in bytes;
/// `SOURCES` bounds the mirrors.
pub struct Fetch<'h, K: Sink, B, const HEAD: usize, const SOURCES: usize> {
    executor: Executor<Connection<HEAD>, B>,
    engine: Engine<'h, K, SOURCES>,
    meter: Meter,
    metered: u64,
}

impl<'h, K: Sink, B, const HEAD: usize, const SOURCES: usize> Fetch<'h, K, B, HEAD, SOURCES>
where
    B: AsRef<[Slot<HEAD>]> + AsMut<[Slot<HEAD>]>,
{
    /// A download from these sources, the first of which counts when they disagree, into `sink`; of `state`, if it was
    /// begun before. As many connections as slots, at most [`CONNECTIONS_MAX`].
    pub fn new(
        options: Options<'h>,
        sources: impl IntoIterator<Item = Source>,
        sink: K,
        slots: B,
        state: Option<State>,
    ) -> Self {
        let mut fetch = Self::idle(options, sink, slots);
        fetch.begin(sources, state);
        fetch
    }

    /// As [`new`](Self::new), but it does nothing before [`begin`](Self::begin): so it can be made where it stays, which a
    /// small stack has not the room to pass it through.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "called, it would be made on the stack")]
    pub fn idle(options: Options<'h>, sink: K, slots: B) -> Self {
        Self {
            executor: Executor::new(slots),
            engine: Engine::new(options, sink),
            meter: Meter::new(EPOCH),
            metered: 0,
        }
    }

    /// Has an [`idle`](Self::idle) download begin, with the rest of what [`new`](Self::new) takes; once.
    pub fn begin(&mut self, sources: impl IntoIterator<Item = Source>, state: Option<State>) {
        let Self { executor, engine, .. } = self;
        engine.sources.extend(sources.into_iter().take(SOURCES));
        engine.begin(state);
        while engine.active < CONNECTIONS_MAX as u8 && executor.pool.spawn(Connection::new(engine.active)).is_ok() {
            engine.active += 1;
        }
    }

    /// Does all that can be done at `now`; as [`Program::turn`](crate::executor::Program::turn), with a buffer lent
    /// for its duration: 1 KiB is enough for most requests, 64 KiB and more is fast.
    pub fn turn<S: Stack>(&mut self, now: Instant, net: &mut S, scratch: &mut [u8]) -> Option<Instant> {
        self.engine.turn_end = self.engine.received.saturating_add(TURN_BYTES);
        let mut view = View { engine: &mut self.engine, scratch };
        let next = self.executor.turn(now, net, &mut view);
        self.meter.add(self.engine.received - self.metered, now);
        self.metered = self.engine.received;
        if self.engine.outcome.is_some() && self.executor.pool.live() > 0 {
            self.executor.wake_all();
            return Some(now);
        }
        next
    }

    /// A host whose addresses are asked for: the source's index, the name, the port. Answer with
    /// [`resolved`](Self::resolved), sooner or later.
    pub fn wanted(&self) -> Option<(usize, &str, u16)> {
        let mut sources = self.engine.sources.iter().enumerate();
        let (index, source) = sources.find(|(_, source)| source.addresses.is_empty() && !source.failed)?;
        let (host, port) = source.host_port();
        Some((index, host, port))
    }

    /// The addresses of a source's host, best first; at most [`ADDRESSES_MAX`] are used. None: it has none.
    pub fn resolved(&mut self, source: usize, addresses: &[SocketAddr]) {
        let Some(source) = self.engine.sources.get_mut(source) else { return };
        source.addresses.clear();
        source.addresses.extend(addresses.iter().copied().take(ADDRESSES_MAX));
        if addresses.is_empty() {
            source.failed = true;
            if self.engine.source_for(0).is_none() {
                self.engine.fail(Failure::Resolve);
            }
        }
        self.executor.wake_all();
    }

    /// How it ended: the file's length, or the reason. None while it has not. Turn it until
    /// [`is_closed`](Self::is_closed) to let its connections go.
    pub fn outcome(&self) -> Option<Result<u64, &Failure<K::Error>>> {
        self.engine.outcome.as_ref().map(|outcome| outcome.as_ref().map(|&total| total))
    }

    /// It has ended and holds no connection any more.
    pub fn is_closed(&self) -> bool {
        self.engine.outcome.is_some() && self.executor.pool.live() == 0
    }

    /// How far it is.
    pub fn progress(&self, now: Instant) -> Progress {
        let done = match self.engine.total {
            Some(total) => total.saturating_sub(self.engine.segments.left()),
            None => self.engine.written,
        };
        Progress { done, total: self.engine.total, received: self.engine.received, rate: self.meter.rate(now) }
    }

    /// What each connection is doing.
    pub fn connections(&self, now: Instant) -> impl Iterator<Item = ConnectionProgress> {
        self.executor.pool.iter().map(move |connection| {
            let index = connection.index();
            let segments = &self.engine.segments;
            let range = segments.owned(index).unwrap_or(0..0);
            ConnectionProgress { index, activity: connection.activity(), range, rate: segments.rate(index, now) }
        })
    }

    /// What can be saved now, if it can be resumed: see [`State`]. Bytes that are not missing in it are in the sink.
    pub fn state(&self) -> Option<State> {
        self.engine.state()
    }

    /// The next piece of news; the oldest are dropped when nobody asks.
    pub fn next_event(&mut self) -> Option<Event> {
        self.engine.events.pop_front()
    }

    /// The sources, with their URLs as they are after redirects.
    pub fn sources(&self) -> &[Source] {
        &self.engine.sources
    }

    /// Where the bytes went.
    pub fn sink(&mut self) -> &mut K {
        &mut self.engine.sink
    }

    /// Ends the download here, and hands the sink back. Connections that were still open are not closed.
    pub fn into_sink(self) -> K {
        self.engine.sink
    }
}
