//! A simulated download: a server with one file, a client, and the network between them, as a `sim:` URL says.
//!
//! The client's program stays with the caller, who lends it to [`Mill::step`]: whatever downloads over a [`Stack`]
//! downloads from here as it does from the world outside, and a command can draw its progress between two steps.
//!
//! ```
//! use std::net::SocketAddr;
//! use tidemill_core::executor::Program;
//! use tidemill_core::net::{Handle, Interest, Stack, Token};
//! use tidemill_core::time::Instant;
//! use tidemill_sim::mill::{Mill, Scenario};
//!
//! /// Asks for the file, and counts the bytes of the answer up to its end.
//! struct Get {
//!     server: SocketAddr,
//!     socket: Option<Handle>,
//!     asked: bool,
//!     received: usize,
//!     ended: bool,
//! }
//! impl<S: Stack> Program<S> for Get {
//!     fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
//!         while net.next_ready().is_some() {}
//!         let server = self.server;
//!         let socket = *self.socket.get_or_insert_with(|| net.connect(server).unwrap());
//!         if !self.asked && net.connected(socket).is_ok() {
//!             net.send(socket, b"GET /64KiB HTTP/1.1\r\nHost: mill\r\nConnection: close\r\n\r\n").unwrap();
//!             self.asked = true;
//!         }
//!         while let (false, Ok(count)) = (self.ended, net.recv(socket, &mut [0; 2048])) {
//!             self.received += count;
//!             self.ended = count == 0;
//!         }
//!         if !self.ended {
//!             let interest = if self.asked { Interest::Read } else { Interest::Write };
//!             net.watch(socket, interest, Token(0)).unwrap();
//!         }
//!         None
//!     }
//! }
//!
//! let scenario: Scenario = "sim://mill/64KiB?rtt=40ms&loss=1%&rate=50mbps&seed=7".parse().unwrap();
//! let mut mill = Mill::<16>::new(&scenario);
//! let mut get = Get { server: mill.server_address(), socket: None, asked: false, received: 0, ended: false };
//! while !get.ended && mill.step(&mut get)?.is_some() {}
//! assert!(get.received > 64 << 10);
//! println!("{} us of virtual time, hash {:016x}", mill.now().as_ticks(), mill.hash());
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```
//!
//! [`Stack`]: tidemill_core::net::Stack

mod content;
mod download;
mod scenario;
mod server;

pub use content::Content;
pub(crate) use download::Checked;
pub use download::End;
pub(crate) use scenario::{RATES, SHARES, SIZES, TIMES, Units, quantity};
pub use scenario::{Scenario, ScenarioError};
pub(crate) use server::Server;

use core::borrow::BorrowMut;
use core::net::{Ipv4Addr, SocketAddr};

use tidemill_core::executor::Program;
use tidemill_core::time::{Duration, Instant};

use crate::host::{Tcp, Tuning};
use crate::world::{Error, HostId, World};

/// Where the server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Where the client is.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// How much of the file one connection may have under way, in bytes: the client's windows, the server's send buffers.
/// The usual window of a host that does not scale it. With 256 KiB, four connections overrun the usual queue, smoltcp
/// loses many frames of one window, and waits a second for each: 16 MiB at 40 ms and 50 Mbit/s took 4.9 s, not 2.9 s.
const WINDOW: usize = 64 << 10;

/// Bytes of requests that one connection may have under way.
const REQUESTS: usize = 8 << 10;

/// A simulated download. See the [module](self).
///
/// Either host has `N` sockets. A connection that was closed keeps its socket for a while, and the server's listener
/// has 8: twice the client's connections and 8 are enough. The world is its own, or, as `W` says, somebody else's.
pub struct Mill<const N: usize, W = World> {
    world: W,
    server: HostId,
    client: HostId,
}

impl<const N: usize> Mill<N> {
    /// The scenario in a world of its own seed, at time 0. O(N).
    pub fn new(scenario: &Scenario) -> Self {
        let Ok(mill) = Self::within(World::new(scenario.seed), scenario) else {
            // The world is new, and the names and addresses are two of each.
            unreachable!("two hosts and a link make a world")
        };
        mill
    }
}

impl<const N: usize, W: BorrowMut<World>> Mill<N, W> {
    /// The scenario in a world that is there already. The scenario's seed is that of its file alone. O(N).
    ///
    /// # Errors
    /// [`Error::NameTaken`] (of `server` and `client`), [`Error::AddressTaken`] (of 10.0.0.1 and 10.0.0.2).
    pub fn within(mut world: W, scenario: &Scenario) -> Result<Self, Error> {
        const { assert!(N > server::BACKLOG, "the listener takes sockets") }
        let (to_client, to_server) = (
            Tuning { receive_bytes: REQUESTS, send_bytes: WINDOW, ..Tuning::default() },
            Tuning { receive_bytes: WINDOW, send_bytes: REQUESTS, ..Tuning::default() },
        );
        let served = scenario.clone();
        let make = move |_: crate::world::Boot<'_>| Server::new(&served, false, N - server::BACKLOG);
        let within = world.borrow_mut();
        let server = within.tuned_host::<Server, N>("server", SERVER, to_client, make)?;
        let client = within.open_host::<N>("client", CLIENT, to_server)?;
        // An odd microsecond goes to the way there.
        let back = scenario.rtt.as_ticks() / 2;
        let there = scenario.rtt.as_ticks() - back;
        within.link_one_way(client, server, scenario.link.latency(Duration::from_ticks(there)))?;
        within.link_one_way(server, client, scenario.link.latency(Duration::from_ticks(back)))?;
        Ok(Self { world, server, client })
    }

    /// Where the server listens: what the host's name in the scenario's URL resolves to.
    pub fn server_address(&self) -> SocketAddr {
        (SERVER, 80).into()
    }

    /// Lets happen what happens next, and turns the client's program if that concerns it; returns the time, or `None`
    /// when nothing will ever happen. It must be the same program each time.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn step(&mut self, client: &mut impl Program<Tcp<N>>) -> Result<Option<Instant>, Error> {
        let at = self.world_mut().step()?;
        let host = self.client;
        self.world_mut().lend(host, client);
        Ok(at)
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.world().now()
    }

    /// The hash of all that has happened.
    pub fn hash(&self) -> u64 {
        self.world().hash()
    }

    /// The server, to let faults happen to it.
    pub fn server(&self) -> HostId {
        self.server
    }

    /// The client.
    pub fn client(&self) -> HostId {
        self.client
    }

    /// The world of both.
    pub fn world(&self) -> &World {
        self.world.borrow()
    }

    /// The world of both, when the download is over.
    pub fn into_world(self) -> W {
        self.world
    }

    /// The world of both, to schedule faults in.
    pub fn world_mut(&mut self) -> &mut World {
        self.world.borrow_mut()
    }
}
