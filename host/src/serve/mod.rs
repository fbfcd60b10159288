//! A folder, served over HTTP: what `tidemill serve` runs.
//!
//! The server itself is [`tidemill_core::http::serve`]; here it gets a folder to serve, the system's sockets, and
//! `sendfile`. All memory for its connections is taken when it is made: [`Server::memory`] tells how much. A file costs
//! no memory however large it is, and a connection no thread.
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

mod folder;
mod listing;
pub(crate) mod media;
mod path;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use folder::{Folder, Page};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidemill_core::executor::{self, Program as _};
use tidemill_core::http::serve::{self, Connection, Desk, Files};
pub use tidemill_core::http::serve::{Limits, Served};
use tidemill_core::net;
use tidemill_core::pool::Slot;
use tidemill_core::time::{Clock, Duration};

use crate::net::{MAX_SOCKETS, Net, Waker};
use crate::words;

/// The longest head of a request, in bytes.
const HEAD: usize = 8 * 1024;

/// An answer up to this size goes out in one call.
const SCRATCH: usize = 64 * 1024;

/// How many connections are answered, or read from, at once; the others wait for a request.
const DESKS: usize = 1024;

/// How many connections may wait to be accepted.
const BACKLOG: usize = 1024;

/// Descriptors that are neither a connection's socket nor its file.
const OTHER_DESCRIPTORS: u64 = 32;

/// How long answers that have begun may take once the server is to stop.
const FAREWELL: Duration = Duration::from_secs(3);

type Slots = Box<[Slot<Connection<Page>>]>;
type Desks = Box<[Desk<HEAD>]>;

/// What to serve, where, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder. Nothing outside of it is ever served.
    pub folder: PathBuf,
    /// Where to listen; port 0: the system chooses.
    pub bind: SocketAddr,
    /// How many connections are served at once. One sixteenth more are told to come back later.
    pub max_connections: usize,
    /// How long a client may take, and how fast it is served.
    pub limits: Limits,
}

impl Options {
    /// This folder, there, for 1024 connections at once.
    pub fn new(folder: impl AsRef<Path>, bind: SocketAddr) -> Self {
        let folder = folder.as_ref().to_owned();
        Self { folder, bind, max_connections: 1024, limits: Limits::default() }
    }
}

/// Why there is no server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The folder cannot be opened, or is none.
    Folder(io::Error),
    /// The address cannot be listened at.
    Listen(net::Error),
    /// The system lacks something else, such as descriptors.
    System(io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(error) | Self::System(error) => f.write_str(&words::of_error(error)),
            Self::Listen(error) => f.write_str(&words::of_network(*error)),
        }
    }
}

impl std::error::Error for Error {}

/// A folder being served. See the [module](self).
pub struct Server {
    net: Net,
    program: serve::Server<Folder, Slots, Box<[u8]>, Desks, Page, HEAD>,
    local: SocketAddr,
    slots: usize,
}

impl Server {
    /// Opens the folder and listens; connections wait until [`run`](Self::run). `log` is told of each request.
    ///
    /// The process's limit on descriptors is raised as far as it may be; if it allows fewer connections than asked for,
    /// [`max_connections`](Self::max_connections) tells how many.
    ///
    /// # Errors
    /// [`Error`].
    pub fn bind(options: &Options, log: impl FnMut(&Served<'_>) + Send + 'static) -> Result<Self, Error> {
        let folder = Folder::open(&options.folder, Box::new(log)).map_err(Error::Folder)?;
        let wanted = options.max_connections.max(1);
        let wanted = wanted.saturating_add(wanted.div_ceil(15));
        let descriptors = raise_descriptor_limit().map_err(Error::System)?;
        // A connection holds a socket and, while it is answered, a file.
        let affordable = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
        let slots = wanted.min(affordable).clamp(2, MAX_SOCKETS - 1);
        let mut net = Net::new(slots + 1).map_err(Error::System)?;
        let storage: Slots = std::iter::repeat_with(|| Slot::EMPTY).take(slots).collect();
        let desks: Desks = std::iter::repeat_with(|| Desk::EMPTY).take(slots.min(DESKS)).collect();
        let files = Files::new(folder, vec![0; SCRATCH].into_boxed_slice(), desks, options.limits);
        let mut program = serve::server(files, storage);
        let local = program.listen(&mut net, options.bind, BACKLOG).map_err(Error::Listen)?;
        Ok(Self { net, program, local, slots })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many connections are served at once.
    pub fn max_connections(&self) -> usize {
        serve::places(self.slots)
    }

    /// How many bytes are kept for connections, used or not; the system's socket buffers come on top.
    pub fn memory(&self) -> usize {
        self.slots * size_of::<Slot<Connection<Page>>>() + self.slots.min(DESKS) * size_of::<Desk<HEAD>>() + SCRATCH
    }

    /// What makes [`run`](Self::run) look at `stop`; may be used from a signal handler.
    pub fn waker(&self) -> Waker {
        self.net.waker()
    }

    /// Serves until `stop` is true, which it looks at when its [`waker`](Self::waker) is used. Then answers that have
    /// begun may take three seconds more.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        executor::run(&mut self.net, &mut self.program, |_| stop.load(Relaxed))?;
        self.program.stop(&mut self.net);
        let end = self.net.now() + FAREWELL;
        while self.program.connections() > 0 && self.net.now() < end {
            let next = self.program.turn(self.net.now(), &mut self.net);
            if self.program.connections() > 0 {
                self.net.wait(Some(next.map_or(end, |next| next.min(end))))?;
            }
        }
        Ok(())
    }
}

/// The most descriptors that this process may have from now on.
fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Ok(hard);
    }
    Ok(soft)
}
