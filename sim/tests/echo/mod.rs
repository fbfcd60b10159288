//! Two small programs to test worlds with: a server that sends back what it gets, and a client that checks it.

use std::net::{IpAddr, SocketAddr};

use tidemill_core::executor::Program;
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::random::mix;
use tidemill_core::time::{Duration, EPOCH, Instant};
use tidemill_sim::link::Link;
use tidemill_sim::world::{HostId, World};

const PORT: u16 = 7;

/// How often a client asks again for a socket to read or write; far beyond any round trip, so that a lost wake-up
/// shows as a late end.
const NEVER: Duration = Duration::from_hours(10);

struct Echoing {
    socket: Handle,
    buffer: Vec<u8>,
    ended: bool,
}

/// Sends back what it gets on any number of connections.
#[derive(Default)]
pub(crate) struct Server {
    listener: Option<Handle>,
    connections: Vec<Echoing>,
    pub(crate) failures: Vec<Error>,
}

impl<S: Stack> Program<S> for Server {
    fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        let any = SocketAddr::from(([0, 0, 0, 0], PORT));
        let listener = *self.listener.get_or_insert_with(|| net.listen(any, 4).expect("the port is free"));
        while let Ok((socket, _)) = net.accept(listener) {
            self.connections.push(Echoing { socket, buffer: vec![], ended: false });
        }
        net.watch(listener, Interest::Read, Token(0)).expect("it listens");
        let failures = &mut self.failures;
        self.connections.retain_mut(|connection| match connection.pump(net) {
            Ok(()) => true,
            Err(error) => {
                failures.extend(error);
                net.close(connection.socket);
                false
            }
        });
        None
    }
}

impl Echoing {
    /// Moves bytes until it would block; an error, or none, when the connection is over.
    fn pump<S: Stack>(&mut self, net: &mut S) -> Result<(), Option<Error>> {
        let mut chunk = [0; 4096];
        loop {
            while !self.buffer.is_empty() {
                match net.send(self.socket, &self.buffer) {
                    Ok(sent) => drop(self.buffer.drain(..sent)),
                    Err(nb::Error::WouldBlock) => return Ok(net.watch(self.socket, Interest::Write, Token(1))?),
                    Err(nb::Error::Other(error)) => return Err(Some(error)),
                }
            }
            if self.ended {
                return Err(None);
            }
            match net.recv(self.socket, &mut chunk) {
                Ok(0) => self.ended = true,
                Ok(received) => self.buffer.extend(&chunk[..received]),
                Err(nb::Error::WouldBlock) => return Ok(net.watch(self.socket, Interest::Read, Token(1))?),
                Err(nb::Error::Other(error)) => return Err(Some(error)),
            }
        }
    }
}

/// Sends `total` bytes to a server, ends its half, and checks that they come back.
pub(crate) struct Client {
    server: SocketAddr,
    total: u64,
    socket: Option<Handle>,
    sent: u64,
    shut: bool,
    pub(crate) received: u64,
    pub(crate) outcome: Option<(Instant, Result<(), Error>)>,
}

impl Client {
    pub(crate) fn new(server: IpAddr, total: u64) -> Self {
        let server = (server, PORT).into();
        Self { server, total, socket: None, sent: 0, shut: false, received: 0, outcome: None }
    }

    fn pump<S: Stack>(&mut self, net: &mut S) -> nb::Result<(), Error> {
        let socket = match self.socket {
            Some(socket) => socket,
            None => *self.socket.insert(net.connect(self.server)?),
        };
        net.connected(socket)?;
        let mut chunk = [0; 4096];
        loop {
            let mut stuck = true;
            if self.sent < self.total {
                let len = (self.total - self.sent).min(4096) as usize;
                for (n, byte) in chunk[..len].iter_mut().enumerate() {
                    *byte = mix(self.sent + n as u64) as u8;
                }
                match net.send(socket, &chunk[..len]) {
                    Ok(sent) => (self.sent, stuck) = (self.sent + sent as u64, false),
                    Err(nb::Error::WouldBlock) => {}
                    Err(error) => return Err(error),
                }
            } else if !self.shut {
                net.shutdown(socket)?;
                self.shut = true;
            }
            match net.recv(socket, &mut chunk) {
                Ok(0) => {
                    assert_eq!(self.received, self.total, "the stream ended early");
                    return Ok(());
                }
                Ok(received) => {
                    for byte in &chunk[..received] {
                        assert_eq!(*byte, mix(self.received) as u8, "byte {} is wrong", self.received);
                        self.received += 1;
                    }
                    stuck = false;
                }
                Err(nb::Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
            if stuck {
                return Err(nb::Error::WouldBlock);
            }
        }
    }
}

impl<S: Stack> Program<S> for Client {
    fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
        while net.next_ready().is_some() {}
        if self.outcome.is_some() {
            return None;
        }
        match self.pump(net) {
            Err(nb::Error::WouldBlock) => {
                let interest = if self.sent < self.total { Interest::Both } else { Interest::Read };
                let socket = self.socket.expect("it blocks on a socket");
                net.watch(socket, interest, Token(0)).expect("it is open");
                return Some(now + NEVER);
            }
            Err(nb::Error::Other(error)) => self.outcome = Some((now, Err(error))),
            Ok(()) => self.outcome = Some((now, Ok(()))),
        }
        if let Some(socket) = self.socket {
            net.close(socket);
        }
        None
    }
}

/// A world of one client, one server and a link, and how the transfer of `total` bytes goes.
pub(crate) struct Echo {
    pub(crate) world: World,
    pub(crate) client: HostId,
    pub(crate) server: HostId,
}

impl Echo {
    pub(crate) fn new(world: World, link: Link, total: u64) -> Self {
        Self::at(world, link, total, [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()])
    }

    pub(crate) fn at(mut world: World, link: Link, total: u64, [server, client]: [IpAddr; 2]) -> Self {
        let server = world.host("server", server, |_| Server::default()).expect("the world is empty");
        let make = move |boot: tidemill_sim::world::Boot<'_>| {
            Client::new(boot.resolve("server").expect("there is a server"), total)
        };
        let client = world.host("client", client, make).expect("the address is free");
        world.link(client, server, link).expect("both are hosts");
        Self { world, client, server }
    }

    /// Runs until the client is done or ten virtual minutes have passed.
    pub(crate) fn run(&mut self) -> Option<(Instant, Result<(), Error>)> {
        let client = self.client;
        let outcome = |world: &World| world.program::<Client>(client).and_then(|client| client.outcome);
        self.world
            .run_until_done(EPOCH + Duration::from_minutes(10), |world| outcome(world).is_some())
            .expect("no host is stuck");
        outcome(&self.world)
    }
}
