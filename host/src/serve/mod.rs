//! A folder, served over HTTP: what `tidemill serve` runs.
//!
//! The server itself is [`tidemill_core::http::serve`]; here it gets a folder to serve, the system's sockets, and
//! `sendfile`. There are one or more workers, each a loop of its own with its own listener at the same address, among
//! which the kernel shares the connections out; nothing that is done for a request is done under a lock. All memory for
//! connections is taken when it is made: [`Server::memory`] tells how much. A file costs no memory however large it is, and
//! a connection no thread.
//!
//! | what | how |
//! |---|---|
//! | one version of a file | a strong entity tag of device, inode, length and time of change to the nanosecond; all preconditions in the order of RFC 9110 13.2.2 |
//! | ranges | one, or up to 16 in parts, joined where they overlap |
//! | `f.br`, `f.zst`, `f.gz` beside `f`, and not older | are sent in its place to who accepts that coding |
//! | a folder | its `index.html`, else a listing: HTML, or JSON for `?json` or by `Accept` |
//! | who may not see it ([`Options::auth`]) | 401, and a challenge for a name and a password |
//! | more connections, or more requests at once, than there is room for | 503 with `Retry-After` |
//! | `stop` of [`Server::run`] | who is being answered is answered; nobody else is accepted |
//! | [`Reloader::reload`] | the folder, the passwords, the certificate and the log are opened anew, and no connection is lost |
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
//! use std::{io::{Read, Write}, net::TcpStream, sync::Arc, thread};
//! use tidemill_host::serve::{Options, Server};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("tide.txt"), "high water")?;
//! let options = Options { max_connections: 10, ..Options::new(folder.path(), "127.0.0.1:0".parse()?) };
//! let mut server = Server::bind(&options, |served| println!("{} {}", served.status, served.head.target()))?;
//! let (address, waker, stop) = (server.local_addr(), server.waker(), Arc::new(AtomicBool::new(false)));
//! let thread = thread::spawn({
//!     let stop = stop.clone();
//!     move || server.run(&stop)
//! });
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"GET /tide.txt HTTP/1.0\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("high water"));
//!
//! stop.store(true, Relaxed);
//! waker.wake();
//! thread.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod coding;
mod folder;
mod json;
mod listing;
pub(crate) mod media;
mod page;
mod path;
mod root;
mod shared;
mod site;
mod worker;

pub use access::{AccessLog, Format};
pub use tidemill_core::http::serve::{Limits, Served};

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidemill_core::net;

use crate::net::Waker;
use crate::tls::{self, Identity};
use crate::words;
use shared::Shared;
use worker::Worker;

/// Descriptors that are neither a connection's socket nor its file.
const OTHER_DESCRIPTORS: u64 = 32;

/// The fewest connections that are worth a worker of their own.
const WORTH_A_WORKER: usize = 256;

/// What to serve, where, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder. Nothing outside of it is ever served.
    pub folder: PathBuf,
    /// Where to listen; port 0: the system chooses.
    pub bind: SocketAddr,
    /// How many connections are served at once, by all workers together; each has its equal share. One sixteenth more are
    /// told to come back later.
    pub max_connections: usize,
    /// How many loops serve, each on a thread; fewer if there are not 256 connections for each.
    pub workers: usize,
    /// How long a client may take, and how fast it is served.
    pub limits: Limits,
    /// How long answers that have begun may take once the server is to stop.
    pub drain: Duration,
    /// A certificate and its key, in PEM: then TLS is spoken, and nothing else.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may see it; `None`: everybody.
    pub auth: Option<Auth>,
    /// Names and values that every answer gets; together at most half a kilobyte.
    pub headers: Vec<(String, String)>,
    /// Where requests are logged.
    pub access_log: Option<AccessLog>,
    /// Whether `/metrics` tells the counters, in Prometheus' text format, instead of a file of that name.
    pub metrics: bool,
}

impl Options {
    /// This folder, there, for 1024 connections at once, by one worker; everything else as it is for most.
    pub fn new(folder: impl AsRef<Path>, bind: SocketAddr) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            bind,
            max_connections: 1024,
            workers: 1,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
            tls: None,
            auth: None,
            headers: Vec::new(),
            access_log: None,
            metrics: false,
        }
    }
}

/// Who may see what is served: basic authentication (RFC 7617), to be used under TLS.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// One `NAME:PASSWORD`.
    User(String),
    /// A file with a `NAME:PASSWORD` on each line; empty lines and those that begin with `#` are skipped.
    File(PathBuf),
}

/// Does not tell a password.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(_) => f.write_str("User(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Why there is no server, or no reload.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The folder cannot be opened, or is none.
    Folder(io::Error),
    /// The address cannot be listened at.
    Listen(net::Error),
    /// A file cannot be read, or written.
    File(PathBuf, io::Error),
    /// The certificate or the key cannot be used.
    Tls(tls::Error),
    /// Not `NAME:PASSWORD`, or none at all.
    Credentials,
    /// This header cannot be said, or is said by the server itself.
    Header(String),
    /// The system lacks something else, such as descriptors.
    System(io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(error) | Self::System(error) => f.write_str(&words::of_error(error)),
            Self::File(path, error) => write!(f, "{}: {}", path.display(), words::of_error(error)),
            Self::Listen(error) => f.write_str(&words::of_network(*error)),
            Self::Tls(error) => error.fmt(f),
            Self::Credentials => f.write_str("no NAME:PASSWORD to let in"),
            Self::Header(name) => write!(f, "not a header to be added: {name}"),
        }
    }
}

impl std::error::Error for Error {}

/// Has a running server open anew what may have changed.
#[derive(Clone, Debug)]
pub struct Reloader {
    asked: Arc<AtomicUsize>,
    waker: Waker,
}

impl Reloader {
    /// Has the folder, the passwords, the certificate and the log opened anew. If any cannot be had, all stays as it was.
    /// From any thread, and from a signal handler.
    pub fn reload(&self) {
        self.asked.fetch_add(1, Relaxed);
        self.waker.wake();
    }
}

/// A folder being served. See the [module](self).
pub struct Server {
    options: Options,
    shared: Arc<Shared>,
    /// The first one runs where [`run`](Self::run) is called.
    workers: Vec<Worker>,
    reloads_asked: Arc<AtomicUsize>,
    reloaded: Box<dyn FnMut(Result<(), Error>) + Send>,
}

impl Server {
    /// Opens the folder and listens; connections wait until [`run`](Self::run). `told` is told of each request, by each
    /// worker's thread.
    ///
    /// The process's limit on descriptors is raised as far as it may be, by root beyond its hard limit; if it allows fewer
    /// connections than asked for, [`max_connections`](Self::max_connections) tells how many.
    ///
    /// # Errors
    /// [`Error`].
    pub fn bind(options: &Options, told: impl Fn(&Served<'_>) + Send + Sync + 'static) -> Result<Self, Error> {
        let wanted = options.max_connections.max(1);
        let count = options.workers.min(wanted / WORTH_A_WORKER).max(1);
        let shared = Arc::new(Shared::new(options, count, Box::new(told))?);
        let identity = identity(options)?;
        let share = wanted.div_ceil(count);
        let share = share.saturating_add(share.div_ceil(15));
        // A connection holds a socket and, while it is answered, a file.
        let each = (share as u64).saturating_add(worker::DESKS as u64);
        let descriptors = raise_descriptor_limit(each.saturating_mul(count as u64).saturating_add(OTHER_DESCRIPTORS));
        let descriptors = descriptors.map_err(Error::System)?;
        let affordable = descriptors.saturating_sub(OTHER_DESCRIPTORS) / count as u64;
        let affordable = affordable.saturating_sub(worker::DESKS as u64).max(affordable / 2);
        let slots = share.min(usize::try_from(affordable).unwrap_or(usize::MAX)).max(2);
        let mut workers = Vec::with_capacity(count);
        let mut bind = options.bind;
        for number in 0..count {
            let worker = Worker::new(number, bind, count > 1, slots, options, &shared, identity.as_ref())?;
            // The others listen where the first one does.
            bind = worker.local_addr();
            workers.push(worker);
        }
        let options = options.clone();
        Ok(Self { options, shared, workers, reloads_asked: Arc::default(), reloaded: Box::new(drop) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        // There is at least one worker.
        self.workers[0].local_addr()
    }

    /// How many connections are served at once.
    pub fn max_connections(&self) -> usize {
        self.workers.iter().map(Worker::places).sum()
    }

    /// How many bytes are kept for connections, used or not; the system's socket buffers come on top.
    pub fn memory(&self) -> usize {
        self.workers.iter().map(Worker::memory).sum()
    }

    /// What makes [`run`](Self::run) look at `stop`; may be used from a signal handler.
    pub fn waker(&self) -> Waker {
        self.workers[0].waker()
    }

    /// What makes [`run`](Self::run) open anew what may have changed.
    pub fn reloader(&self) -> Reloader {
        Reloader { asked: self.reloads_asked.clone(), waker: self.waker() }
    }

    /// Has `told` told of each reload, by the thread that runs the server.
    pub fn on_reload(&mut self, told: impl FnMut(Result<(), Error>) + Send + 'static) {
        self.reloaded = Box::new(told);
    }

    /// Serves until `stop` is true, which it looks at when its [`waker`](Self::waker) is used; and then as long as it takes
    /// to answer who is being answered, but not longer than [`Options::drain`].
    ///
    /// # Errors
    /// The system refuses to wait, or a thread.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let Self { options, shared, workers, reloads_asked, reloaded } = self;
        let Some((first, others)) = workers.split_first_mut() else { return Ok(()) };
        let wakers: Vec<_> = others.iter().map(Worker::waker).collect();
        let wake = || wakers.iter().for_each(Waker::wake);
        // Beside `stop`: the first worker may also end because it failed.
        let end = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut result = Ok(());
            for worker in others {
                let thread = std::thread::Builder::new().name("tidemill-serve".into());
                match thread.spawn_scoped(scope, move || worker.run(end, || ())) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => result = Err(error),
                }
            }
            let mut done = 0;
            let reload = || {
                let asked = reloads_asked.load(Relaxed);
                if std::mem::replace(&mut done, asked) != asked {
                    reloaded(identity(options).and_then(|identity| shared.reload(options, identity)));
                    wake();
                }
                if stop.load(Relaxed) {
                    // All begin to drain at once.
                    end.store(true, Relaxed);
                    wake();
                }
            };
            if result.is_ok() {
                result = first.run(end, reload);
            }
            end.store(true, Relaxed);
            wake();
            threads.into_iter().fold(result, |result, thread| {
                result.and(thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked"))))
            })
        })
    }
}

fn identity(options: &Options) -> Result<Option<Identity>, Error> {
    let identity = options.tls.as_ref().map(|(certificate, key)| Identity::from_pem_files(certificate, key));
    identity.transpose().map_err(Error::Tls)
}

/// The most descriptors that this process may have from now on: as many as it may have at all, or `wanted` where that is
/// more and the process has the right to raise that bound.
fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    for limit in [hard.max(wanted), hard] {
        if limit > soft && setrlimit(Resource::RLIMIT_NOFILE, limit, limit).is_ok() {
            return Ok(limit);
        }
    }
    Ok(soft)
}
