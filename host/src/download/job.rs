//! One download as a program: the engine, what it writes to, and whoever watches.
//!
//! A [`Job`] runs in any world that has a [`Stack`]: [`download`](super::download) turns it on OS sockets, the
//! `tidemill` command also in the simulator. It does what the engine leaves to its driver: it asks for addresses, saves
//! the journal, tells the observer, and stops when it is told to.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as StdDuration;

use tidemill_core::executor::Program;
use tidemill_core::fetch::{self, Failure, Fetch, HEADERS_MAX, Slot, Source, State};
use tidemill_core::net::Stack;
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::tls::Trust;

use super::output::{Left, Output};
use super::{Connection, Error, Event, Observer, Progress, Sha256Sum, Summary, Target};

/// The most URLs of one file.
pub const SOURCES_MAX: usize = 16;

/// The longest head of an answer, in bytes.
const HEAD: usize = 16 * 1024;

/// The buffer that all bytes pass through.
const SCRATCH: usize = 256 * 1024;

/// How often the counters are told, and the order to stop is looked for.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What to download, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file's URL, then mirrors; at most [`SOURCES_MAX`].
    pub urls: Vec<String>,
    /// Where to put it.
    pub target: Target,
    /// How many connections, 1 to 64; into the standard output it is always one.
    pub connections: u8,
    /// The sum it must have.
    pub checksum: Option<Sha256Sum>,
    /// More request fields, at most [`HEADERS_MAX`].
    pub headers: Vec<(String, String)>,
    /// How many failures in a row a connection may have.
    pub retries: u32,
    /// How long a server may stay silent, or take to let us connect.
    pub timeout: StdDuration,
    /// Bytes per second over all connections.
    pub rate: Option<u64>,
    /// Go on with what an earlier download has left.
    pub resume: bool,
    /// Seeds the jitter of the pauses between tries.
    pub seed: u64,
    /// Whom to trust, instead of the system's roots.
    pub trust: Option<Trust>,
    /// Set it, from a signal handler or another thread, to stop the download within a tenth of a second.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// From one URL, with the defaults of the command line: 4 connections, 5 retries, 30 s of silence, resuming.
    pub fn new(url: &str, target: Target) -> Self {
        Self {
            urls: vec![url.into()],
            target,
            connections: 4,
            checksum: None,
            headers: Vec::new(),
            retries: 5,
            timeout: StdDuration::from_secs(30),
            rate: None,
            resume: true,
            seed: 0,
            trust: None,
            stop: Arc::default(),
        }
    }
}

/// Answers for the names of hosts, without blocking.
pub trait Names {
    /// The addresses of `host`, best first. The same question is asked again until it is answered; when the answer may
    /// have come, the world must turn the job.
    ///
    /// # Errors
    /// The reason why there is none.
    fn addresses(&mut self, host: &str, port: u16) -> nb::Result<Vec<SocketAddr>, String>;
}

/// A download under way. See the module's text.
pub struct Job<'o, N> {
    fetch: Fetch<'o, Output, Box<[Slot<HEAD>]>, HEAD, SOURCES_MAX>,
    options: &'o Options,
    observer: &'o mut dyn Observer,
    names: N,
    scratch: Box<[u8]>,
    connections: Vec<Connection>,
    resumed: u64,
    started: Option<Instant>,
    now: Instant,
    tick: Instant,
    unresolved: Option<(String, String)>,
    /// What ended it from outside the engine.
    ended: Option<Error>,
}

/// Header fields as the engine takes them, borrowed from [`Options`].
pub fn fields(options: &Options) -> Vec<(&str, &[u8])> {
    options.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

impl<'o, N: Names> Job<'o, N> {
    /// Opens the output of a download. `urls` are those of `options`, as `http:` URLs; `fields` come from [`fields`].
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::TooMany`], and those of opening a [`PartFile`](super::PartFile).
    pub fn new(
        options: &'o Options,
        urls: &[String],
        fields: &'o [(&'o str, &'o [u8])],
        observer: &'o mut dyn Observer,
        names: N,
    ) -> Result<Self, Error> {
        for (what, count, max) in [("URLs", urls.len(), SOURCES_MAX), ("header fields", fields.len(), HEADERS_MAX)] {
            if count > max {
                return Err(Error::TooMany { what, max });
            }
        }
        let source = |url: &String| Source::new(url).map_err(|why| Error::Url { url: url.clone(), why });
        let sources = urls.iter().map(source).collect::<Result<Vec<_>, _>>()?;
        let url = options.urls.first().map_or("", String::as_str);

        let (output, left) = Output::open(&options.target, url, options.resume, options.checksum.is_some())?;
        let state = match left {
            Left::State(state) => Some(*state),
            Left::Useless(reason) => {
                observer.observe(&Event::StartedOver(reason));
                None
            }
            Left::Nothing => None,
        };
        let missing = |state: &State| state.missing.iter().map(|range| range.end - range.start).sum::<u64>();
        let resumed = state.as_ref().map_or(0, |state| state.total - missing(state));
        let total = state.as_ref().map(|state| state.total);
        observer.observe(&Event::Started { url, target: &options.target, resumed, total });

        let connections = if options.target == Target::Stdout { 1 } else { options.connections };
        let slots = (0..connections).map(|_| Slot::EMPTY).collect();
        let timeout = Duration::from_micros(u64::try_from(options.timeout.as_micros()).unwrap_or(u64::MAX / 4));
        let defaults = fetch::Options::default();
        let engine_options = fetch::Options {
            retries: options.retries,
            connect_timeout: defaults.connect_timeout.min(timeout),
            idle_timeout: timeout,
            rate: options.rate.and_then(NonZeroU64::new),
            headers: fields,
            trust_mirrors: options.checksum.is_some(),
            seed: options.seed,
            ..defaults
        };
        Ok(Self {
            fetch: Fetch::new(engine_options, sources, output, slots, state),
            options,
            observer,
            names,
            scratch: vec![0; SCRATCH].into(),
            connections: Vec::with_capacity(connections.into()),
            resumed,
            started: None,
            now: EPOCH,
            tick: EPOCH,
            unresolved: None,
            ended: None,
        })
    }

    /// It needs no more turns: see [`finish`](Self::finish).
    pub fn is_over(&self) -> bool {
        self.ended.is_some() || self.fetch.is_closed()
    }

    /// Something is there that another run can go on from.
    fn is_resumable(&self) -> bool {
        let begun = self.fetch.progress(self.now).done > 0;
        begun && self.options.target != Target::Stdout && self.fetch.state().is_some()
    }

    /// Answers the engine's question for addresses. True: it has new ones to go on with.
    fn resolve(&mut self) -> bool {
        let Some((source, host, port)) = self.fetch.wanted() else { return false };
        let addresses = match self.names.addresses(host, port) {
            Ok(addresses) => addresses,
            Err(nb::Error::WouldBlock) => return false,
            Err(nb::Error::Other(why)) => {
                self.unresolved = Some((host.to_owned(), why));
                Vec::new()
            }
        };
        self.fetch.resolved(source, &addresses);
        true
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.fetch.next_event() {
            let url = |source: usize| self.fetch.sources().get(source).map_or("", Source::url);
            self.observer.observe(&match event {
                fetch::Event::Retry { connection, reason, wait } => Event::Retry {
                    connection: connection.into(),
                    reason,
                    wait: StdDuration::from_micros(wait.as_ticks()),
                },
                fetch::Event::SourceFailed { source, reason } => Event::SourceFailed { url: url(source), reason },
                fetch::Event::Redirected { source } => Event::Redirected(url(source)),
                fetch::Event::NoRanges => Event::NoRanges,
                fetch::Event::Changed => {
                    self.resumed = 0;
                    Event::Changed
                }
                _ => continue,
            });
        }
    }

    fn tell_progress(&mut self) {
        self.connections.clear();
        let connections = self.fetch.connections(self.now);
        self.connections.extend(connections.map(|one| Connection { activity: one.activity, rate: one.rate }));
        let fetch::Progress { done, total, rate, .. } = self.fetch.progress(self.now);
        self.observer.observe(&Event::Progress(Progress { done, total, rate, connections: &self.connections }));
    }

    /// Verifies the file and gives it its name; or saves what can be resumed, and says why it is not complete.
    ///
    /// # Errors
    /// Any [`Error`]. Nothing has the final name then.
    pub fn finish(self) -> Result<Summary, Error> {
        let outcome = self.fetch.outcome().map(|outcome| outcome.map_err(Failure::reason));
        let (state, resumable) = (self.fetch.state(), self.is_resumable());
        let mut output = self.fetch.into_sink();
        if let (Some(Ok(total)), None) = (outcome, &self.ended) {
            output.finish(total, self.options.checksum)?;
            let took = self.started.and_then(|start| self.now.checked_duration_since(start));
            let summary = Summary {
                bytes: total,
                resumed: self.resumed,
                took: StdDuration::from_micros(took.map_or(0, |took| took.as_ticks())),
                checksum: self.options.checksum,
                target: self.options.target.clone(),
            };
            self.observer.observe(&Event::Finished(&summary));
            return Ok(summary);
        }
        let target = self.options.target.clone();
        let url = self.options.urls.first().cloned().unwrap_or_default();
        let error = match (self.ended, outcome) {
            (Some(error), _) => error,
            (None, Some(Err(why @ Failure::Sink(())))) => output.take_trouble().unwrap_or(Error::Fetch { url, why }),
            (None, Some(Err(Failure::Resolve))) if self.unresolved.is_some() => {
                let (host, why) = self.unresolved.unwrap_or_default();
                Error::Unresolved { host, why }
            }
            (None, Some(Err(why))) => Error::Fetch { url, why },
            (None, _) => Error::Interrupted { target, resumable },
        };
        // Why it ended says more than why the rest could not be kept.
        let keep = resumable && !matches!(error, Error::Differs(_));
        let _ = if keep { output.save(state.as_ref(), self.now, true) } else { output.discard() };
        Err(error)
    }
}

impl<S: Stack, N: Names> Program<S> for Job<'_, N> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        self.started.get_or_insert(now);
        self.now = now;
        let mut next = self.fetch.turn(now, net, &mut self.scratch);
        self.tell_events();
        if self.fetch.outcome().is_none() && self.resolve() {
            next = Some(now);
        }
        if self.fetch.sink().is_save_due(now) {
            let state = self.fetch.state();
            if let Err(error) = self.fetch.sink().save(state.as_ref(), now, false) {
                self.ended = Some(error);
            }
        }
        if now >= self.tick {
            self.tick = now + TICK;
            self.tell_progress();
            if self.options.stop.load(Ordering::Relaxed) {
                let (target, resumable) = (self.options.target.clone(), self.is_resumable());
                self.ended = Some(Error::Interrupted { target, resumable });
            }
        }
        Some(next.map_or(self.tick, |next| next.min(self.tick)))
    }
}
