//! What the workers of one server share: the site, the log, and the counters.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_core::http::serve::Served;
use tidemill_core::time::Duration;

use super::access::{self, Format};
use super::site::Site;
use super::{Error, Options};
use crate::tls::Identity;

/// Who is told of each request.
pub(super) type Told = Box<dyn Fn(&Served<'_>) + Send + Sync>;

/// Shared by the workers of one server.
pub(super) struct Shared {
    site: Mutex<Arc<Site>>,
    /// Since the last reload; `None` before.
    identity: Mutex<Option<Identity>>,
    /// How often the site was replaced: cheaper to look at than the site.
    version: AtomicUsize,
    tallies: Box<[Tally]>,
    metrics: bool,
    told: Told,
    log: Option<(Mutex<File>, Format)>,
}

impl Shared {
    pub(super) fn new(options: &Options, workers: usize, told: Told) -> Result<Self, Error> {
        let log = options.access_log.as_ref().map(|log| {
            let file = open_log(&log.path).map_err(|error| Error::File(log.path.clone(), error))?;
            Ok((Mutex::new(file), log.format))
        });
        Ok(Self {
            site: Mutex::new(Arc::new(Site::open(options)?)),
            identity: Mutex::default(),
            version: AtomicUsize::new(0),
            tallies: (0..workers).map(|_| Tally::default()).collect(),
            metrics: options.metrics,
            told,
            log: log.transpose()?,
        })
    }

    /// Reads anew what may have changed. If anything cannot be had, all stays as it was.
    pub(super) fn reload(&self, options: &Options, identity: Option<Identity>) -> Result<(), Error> {
        let site = Arc::new(Site::open(options)?);
        if let (Some((file, _)), Some(log)) = (&self.log, &options.access_log) {
            // Moved away by who keeps logs: the next line goes to a new file.
            *lock(file) = open_log(&log.path).map_err(|error| Error::File(log.path.clone(), error))?;
        }
        *lock(&self.site) = site;
        *lock(&self.identity) = identity;
        self.version.fetch_add(1, Relaxed);
        Ok(())
    }

    pub(super) fn site(&self) -> Arc<Site> {
        lock(&self.site).clone()
    }

    /// Who the server is since the last reload, if it speaks TLS.
    pub(super) fn identity(&self) -> Option<Identity> {
        lock(&self.identity).clone()
    }

    /// Counts reloads.
    pub(super) fn version(&self) -> usize {
        self.version.load(Relaxed)
    }

    pub(super) fn serves_metrics(&self) -> bool {
        self.metrics
    }

    pub(super) fn tally(&self, worker: usize) -> &Tally {
        // There is one for each worker.
        &self.tallies[worker]
    }

    /// Tells of a request; what the access log is to have of it is appended to `lines`.
    pub(super) fn served(&self, served: &Served<'_>, lines: &mut String) {
        (self.told)(served);
        if let Some((_, format)) = &self.log {
            access::line(served, *format, lines);
        }
    }

    /// Writes whole lines. A log that cannot be written must not stop the server, and there is nobody to tell.
    pub(super) fn write_log(&self, lines: &str) {
        if let Some((file, _)) = &self.log {
            let _ = lock(file).write_all(lines.as_bytes());
        }
    }

    /// All counters, in Prometheus' text format.
    pub(super) fn metrics(&self) -> String {
        let mut out = String::with_capacity(4096);
        let sum = |of: &dyn Fn(&Tally) -> &AtomicU64| -> u64 {
            self.tallies.iter().map(|tally| of(tally).load(Relaxed)).sum()
        };
        // Writing to a string cannot fail.
        let mut help = |name: &str, kind: &str, what: &str| {
            let _ = writeln!(out, "# HELP tidemill_{name} {what}\n# TYPE tidemill_{name} {kind}");
            std::mem::take(&mut out)
        };
        let mut text = help("http_requests_total", "counter", "Requests answered, by the class of their status.");
        for class in 1..6 {
            let count = sum(&|tally| &tally.classes[class]);
            let _ = writeln!(text, "tidemill_http_requests_total{{code=\"{class}xx\"}} {count}");
        }
        let mut one = |name: &str, kind: &str, what: &str, value: u64| {
            text += &help(name, kind, what);
            let _ = writeln!(text, "tidemill_{name} {value}");
        };
        one("http_refused_total", "counter", "Requests answered with 503.", sum(&|tally| &tally.refused));
        one("http_aborted_total", "counter", "Answers cut off before their end.", sum(&|tally| &tally.aborted));
        one("http_body_bytes_total", "counter", "Bytes of bodies sent.", sum(&|tally| &tally.bytes));
        one("connections", "gauge", "Connections that are open.", sum(&|tally| &tally.connections));
        one("workers", "gauge", "Loops that serve.", self.tallies.len() as u64);
        one("reloads_total", "counter", "Reloads that succeeded.", self.version() as u64);
        text +=
            &help("http_request_duration_seconds", "histogram", "From a request's first byte to its answer's last.");
        let mut count = 0;
        for (at, bound) in BOUNDS.iter().enumerate() {
            count += sum(&|tally| &tally.durations[at]);
            let _ = writeln!(text, "tidemill_http_request_duration_seconds_bucket{{le=\"{bound}\"}} {count}");
        }
        count += sum(&|tally| &tally.durations[BOUNDS.len()]);
        let micros = sum(&|tally| &tally.micros);
        let _ = writeln!(text, "tidemill_http_request_duration_seconds_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "tidemill_http_request_duration_seconds_sum {}", micros as f64 / 1e6);
        let _ = writeln!(text, "tidemill_http_request_duration_seconds_count {count}");
        text
    }
}

/// Upper bounds of the durations that are counted apart, in seconds.
const BOUNDS: [f64; 8] = [0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// What one worker counts. Nobody else writes it, and it has cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    classes: [AtomicU64; 6],
    refused: AtomicU64,
    aborted: AtomicU64,
    bytes: AtomicU64,
    connections: AtomicU64,
    micros: AtomicU64,
    durations: [AtomicU64; BOUNDS.len() + 1],
}

impl Tally {
    pub(super) fn served(&self, served: &Served<'_>) {
        // With a single writer a load and a store are enough, and cost no lock of the bus.
        let add = |counter: &AtomicU64, by: u64| counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
        if let Some(class) = self.classes.get(usize::from(served.status / 100)) {
            add(class, 1);
        }
        add(&self.refused, u64::from(served.status == 503));
        add(&self.aborted, u64::from(!served.complete));
        add(&self.bytes, served.sent);
        let took = served.ended.checked_duration_since(served.began).unwrap_or(Duration::from_ticks(0)).as_ticks();
        add(&self.micros, took);
        let seconds = took as f64 / 1e6;
        add(&self.durations[BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(BOUNDS.len())], 1);
    }

    pub(super) fn connections(&self, open: usize) {
        self.connections.store(open as u64, Relaxed);
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// A worker that panicked has left nothing half done in these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
