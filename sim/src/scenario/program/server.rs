//! A server: core's, on all of its host's addresses of one kind.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tidemill_core::executor::Program;
use tidemill_core::net::Stack;
use tidemill_core::pool::Slot;
use tidemill_core::serve::{self, Patience, Session, Sessions, Talk};
use tidemill_core::time::Instant;

/// How many connections wait to be accepted, at most.
pub(in crate::scenario) const BACKLOG: usize = 8;

type Core<T> = serve::Server<Session<T>, Box<[Slot<Session<T>>]>, Sessions<fn(SocketAddr) -> T>>;

/// Accepts connections, and talks on each.
pub(in crate::scenario) struct Server<T> {
    core: Core<T>,
    local: SocketAddr,
    listens: bool,
}

impl<T: Talk> Server<T> {
    /// For so many connections at once, each of which gets a talk that `make` makes.
    pub(in crate::scenario) fn new(ipv6: bool, port: u16, connections: usize, make: fn(SocketAddr) -> T) -> Self {
        let local = if ipv6 { (Ipv6Addr::UNSPECIFIED, port).into() } else { (Ipv4Addr::UNSPECIFIED, port).into() };
        let slots = (0..connections).map(|_| Slot::EMPTY).collect();
        Self { core: Core::new(Sessions::new(make, Patience::default()), slots), local, listens: false }
    }
}

impl<T: Talk, S: Stack> Program<S> for Server<T> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        if !self.listens {
            // The host has just booted: nobody else listens, and no socket is taken.
            self.listens = self.core.listen(net, self.local, BACKLOG).is_ok();
        }
        self.core.turn(now, net)
    }
}
