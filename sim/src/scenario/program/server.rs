//! A server: any number of connections at once, each answered on its own.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tidemill_core::executor::Program;
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::time::{Duration, Instant};

/// How many connections wait to be accepted, at most.
pub(in crate::scenario) const BACKLOG: usize = 8;

/// How long a peer may say nothing, and take nothing, until it counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done with one connection.
pub(in crate::scenario) trait Answer: Default {
    /// Reads and answers what can be, and counts in `moved` each time something was. An error, or none, once the
    /// connection is over.
    fn turn<S: Stack>(&mut self, net: &mut S, socket: Handle, moved: &mut bool) -> nb::Result<(), Option<Error>>;

    /// What it waits for when it can do nothing.
    fn waits_for(&self) -> Interest;
}

struct Connection<A> {
    socket: Handle,
    answer: A,
    until: Instant,
}

/// Accepts connections, and answers on each.
pub(in crate::scenario) struct Server<A> {
    local: SocketAddr,
    listener: Option<Handle>,
    connections: Vec<Connection<A>>,
}

impl<A: Answer> Server<A> {
    /// On all of its host's addresses of this kind.
    pub(in crate::scenario) fn new(ipv6: bool, port: u16) -> Self {
        let local = if ipv6 { (Ipv6Addr::UNSPECIFIED, port).into() } else { (Ipv4Addr::UNSPECIFIED, port).into() };
        Self { local, listener: None, connections: Vec::new() }
    }
}

impl<A: Answer, S: Stack> Program<S> for Server<A> {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        if self.listener.is_none() {
            // The host has just booted: nobody else listens, and no socket is taken.
            self.listener = net.listen(self.local, BACKLOG).ok();
        }
        if let Some(listener) = self.listener {
            while let Ok((socket, _)) = net.accept(listener) {
                self.connections.push(Connection { socket, answer: A::default(), until: now + PATIENCE });
            }
            let _ = net.watch(listener, Interest::Read, Token(0));
        }
        self.connections.retain_mut(|connection| {
            let mut moved = false;
            let result = connection.answer.turn(net, connection.socket, &mut moved);
            if moved {
                connection.until = now + PATIENCE;
            }
            match result {
                Err(nb::Error::WouldBlock) if now < connection.until => {
                    // It is open: it has not failed.
                    let _ = net.watch(connection.socket, connection.answer.waits_for(), Token(0));
                    true
                }
                Ok(()) => {
                    net.close(connection.socket);
                    false
                }
                Err(_) => {
                    net.abort(connection.socket);
                    false
                }
            }
        });
        self.connections.iter().map(|connection| connection.until).min()
    }
}
