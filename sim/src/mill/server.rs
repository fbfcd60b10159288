//! The server of a simulated download.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tidemill_core::executor::Program;
use tidemill_core::http::serve::{self, Connection, Content as Serve, Desk, Files, Limits, Opened, Refusal, Served};
use tidemill_core::http::server::Head;
use tidemill_core::net::{Error, Handle, Stack};
use tidemill_core::pool::Slot;
use tidemill_core::time::Instant;

use super::{Content, Scenario};

/// The longest head of a request, in bytes.
const HEAD: usize = 4096;

/// Bytes made at a time for a socket. Those that it has no room for were made in vain, so it is little.
const CHUNK: usize = 1024;

/// How many connections wait to be accepted, at most.
pub(super) const BACKLOG: usize = 8;

type Core = serve::Server<Mine, Box<[Slot<Connection<()>>]>, Box<[u8]>, Box<[Desk<HEAD>]>, (), HEAD>;

/// Core's HTTP server over one file of seeded bytes.
pub(crate) struct Server {
    core: Core,
    local: IpAddr,
    listens: bool,
}

impl Server {
    /// With places for so many connections at once, on all addresses of one kind.
    pub(crate) fn new(scenario: &Scenario, ipv6: bool, connections: usize) -> Self {
        let local = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let mine = Mine {
            path: scenario.path.clone(),
            size: scenario.size,
            seed: scenario.seed,
            content: Content::new(scenario.seed),
        };
        let slots: Box<[_]> = (0..connections).map(|_| Slot::EMPTY).collect();
        let desks = (0..connections).map(|_| Desk::EMPTY).collect();
        let files = Files::new(mine, vec![0; CHUNK].into(), desks, Limits::default());
        Self { core: serve::server(files, slots), local, listens: false }
    }
}

impl<S: Stack> Program<S> for Server {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        if !self.listens {
            // The host has just booted: nobody else listens, and no socket is taken.
            self.listens = self.core.listen(net, (self.local, 80).into(), BACKLOG).is_ok();
        }
        self.core.turn(now, net)
    }
}

/// The one file.
struct Mine {
    path: String,
    size: u64,
    seed: u64,
    content: Content,
}

impl<S: Stack> Serve<S> for Mine {
    type File = ();

    fn open(&mut self, head: &Head<'_>) -> Result<Opened<()>, Refusal> {
        if head.path() != self.path {
            return Err(Refusal::Status(404));
        }
        let mut etag = heapless::String::new();
        // Two numbers of at most 16 digits, and 3 more characters, always fit.
        let _ = core::fmt::write(&mut etag, format_args!("\"{:x}-{:x}\"", self.seed, self.size));
        Ok(Opened {
            file: (),
            len: self.size,
            etag,
            modified: None,
            content_type: "application/octet-stream",
            encoding: None,
        })
    }

    fn read(&mut self, (): &mut (), offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buf.len().min(left);
        self.content.read(offset, &mut buf[..count]);
        Ok(count)
    }

    fn transmit(&mut self, (): &mut (), net: &mut S, socket: Handle, offset: u64, len: u64) -> nb::Result<u64, Error> {
        let mut chunk = [0; CHUNK];
        let count = usize::try_from(len).map_or(CHUNK, |len| len.min(CHUNK));
        self.content.read(offset, &mut chunk[..count]);
        net.send(socket, &chunk[..count]).map(|sent| sent as u64)
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        None
    }

    fn served(&mut self, _: &Served<'_>) {}
}
