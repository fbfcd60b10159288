//! One loop: a network, a listener, and the connections that came through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use socket2::{Domain, Protocol, SockRef, Type};
use tidemill_core::executor::{self, Program as _};
use tidemill_core::http::serve::{self, Connection, Desk, Files};
use tidemill_core::net::{Handle, Stack as _};
use tidemill_core::pool::Slot;
use tidemill_core::time::{Clock as _, Duration};

use super::folder::{Folder, Page};
use super::shared::Shared;
use super::{Error, Options};
use crate::net::{MAX_SOCKETS, Net, Waker, failure};
use crate::socket::Socket;
use crate::tls::Identity;

/// The longest head of a request, in bytes.
const HEAD: usize = 8 * 1024;

/// An answer up to this size goes out in one call.
const SCRATCH: usize = 64 * 1024;

/// How many connections are answered, or read from, at once; the others wait for a request.
pub(super) const DESKS: usize = 1024;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

type Slots = Box<[Slot<Connection<Page>>]>;
type Desks = Box<[Desk<HEAD>]>;

/// A loop that serves.
pub(super) struct Worker {
    net: Net,
    program: serve::Server<Folder, Slots, Box<[u8]>, Desks, Page, HEAD>,
    shared: Arc<Shared>,
    local: SocketAddr,
    listener: Handle,
    slots: usize,
    version: usize,
    drain: Duration,
}

impl Worker {
    /// Listens; `one_of_many`: others listen at the same address.
    pub(super) fn new(
        number: usize,
        bind: SocketAddr,
        one_of_many: bool,
        slots: usize,
        options: &Options,
        shared: &Arc<Shared>,
        identity: Option<&Identity>,
    ) -> Result<Self, Error> {
        let slots = slots.min(MAX_SOCKETS - 1);
        let mut net = Net::new(slots + 1).map_err(Error::System)?;
        let socket = listen(bind, number, one_of_many).map_err(|error| Error::Listen(failure(&error)))?;
        let listener = net.adopt(socket, identity).map_err(Error::Listen)?;
        let storage: Slots = std::iter::repeat_with(|| Slot::EMPTY).take(slots).collect();
        let desks: Desks = std::iter::repeat_with(|| Desk::EMPTY).take(slots.min(DESKS)).collect();
        let folder = Folder::new(shared.clone(), number);
        let files = Files::new(folder, vec![0; SCRATCH].into_boxed_slice(), desks, options.limits);
        let mut program = serve::server(files, storage);
        program.listen_on(&mut net, listener);
        let local = net.local_addr(listener).map_err(Error::Listen)?;
        let drain = Duration::from_ticks(u64::try_from(options.drain.as_micros()).unwrap_or(u64::MAX >> 1));
        let version = shared.version();
        Ok(Self { net, program, shared: shared.clone(), local, listener, slots, version, drain })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn places(&self) -> usize {
        self.program.places()
    }

    pub(super) fn memory(&self) -> usize {
        let desks = self.slots.min(DESKS) * size_of::<Desk<HEAD>>();
        self.slots * size_of::<Slot<Connection<Page>>>() + desks + SCRATCH
    }

    pub(super) fn waker(&self) -> Waker {
        self.net.waker()
    }

    /// Serves until `stop`, then drains. `reload` is asked after each turn, and does what there is to do.
    pub(super) fn run(&mut self, stop: &AtomicBool, mut reload: impl FnMut()) -> io::Result<()> {
        loop {
            let (shared, version) = (&self.shared, self.version);
            executor::run(&mut self.net, &mut self.program, |program| {
                let connections = program.connections();
                program.service().content().turned(connections);
                reload();
                stop.load(Relaxed) || shared.version() != version
            })?;
            if stop.load(Relaxed) {
                break;
            }
            self.version = self.shared.version();
            if let Some(identity) = self.shared.identity() {
                // It listens, and under TLS: whether it does never changes.
                let _ = self.net.set_identity(self.listener, &identity);
            }
        }
        // Who has connected was promised an answer.
        self.program.accept_all(self.net.now(), &mut self.net);
        self.program.stop(&mut self.net);
        let end = self.net.now() + self.drain;
        loop {
            let next = self.program.turn(self.net.now(), &mut self.net);
            let connections = self.program.connections();
            self.program.service().content().turned(connections);
            if connections == 0 || self.net.now() >= end {
                return Ok(());
            }
            self.net.wait(Some(next.map_or(end, |next| next.min(end))))?;
        }
    }
}

/// A socket that listens there. The kernel shares connections out among those that say so; the first says so only once it
/// has the address, or it would share one with a server of somebody else.
fn listen(bind: SocketAddr, number: usize, one_of_many: bool) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    SockRef::from(&socket).set_reuse_port(number > 0)?;
    socket.bind(&bind.into())?;
    socket.set_reuse_port(one_of_many)?;
    socket.listen(BACKLOG)?;
    Ok(Socket::from_descriptor(socket.into())?)
}
