//! A host that runs a [`Program`] on the TCP/IP stack that firmware ships.
//!
//! [`World::host`] takes what makes the program; the world supplies the stack and turns both. A program is turned when
//! a socket it watches became ready or when the time it asked for has come, as on every other world.
//!
//! ```
//! use tidemill_core::executor::Program;
//! use tidemill_core::net::{Handle, Interest, Stack, Token};
//! use tidemill_core::time::{Duration, EPOCH, Instant};
//! use tidemill_sim::{link::Link, world::World};
//!
//! /// Accepts one connection, and notes when.
//! #[derive(Default)]
//! struct Server(Option<Handle>, Option<Instant>);
//! impl<S: Stack> Program<S> for Server {
//!     fn turn(&mut self, now: Instant, net: &mut S) -> Option<Instant> {
//!         while net.next_ready().is_some() {}
//!         let listener = *self.0.get_or_insert_with(|| net.listen("0.0.0.0:80".parse().unwrap(), 4).unwrap());
//!         match net.accept(listener) {
//!             Ok(_) => self.1 = Some(now),
//!             Err(_) => net.watch(listener, Interest::Read, Token(0)).unwrap(),
//!         }
//!         None
//!     }
//! }
//!
//! /// Connects at boot.
//! struct Client(std::net::IpAddr);
//! impl<S: Stack> Program<S> for Client {
//!     fn turn(&mut self, _: Instant, net: &mut S) -> Option<Instant> {
//!         net.connect((self.0, 80).into()).unwrap();
//!         None
//!     }
//! }
//!
//! let mut world = World::new(7);
//! let server = world.host("server", [10, 0, 0, 1], |_| Server::default())?;
//! let client = world.host("client", [10, 0, 0, 2], |boot| Client(boot.resolve("server").unwrap()))?;
//! world.link(client, server, Link::new().latency(Duration::from_millis(20)))?;
//! world.run_until(EPOCH + Duration::from_secs(1))?;
//! // SYN, SYN and ACK, ACK: three times 20 ms.
//! assert_eq!(world.program::<Server>(server).unwrap().1, Some(EPOCH + Duration::from_millis(60)));
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```

use core::net::{IpAddr, SocketAddr};
use core::ops::{Deref, DerefMut};

use smoltcp::iface::SocketSet;
use tidemill_core::executor::Program;
use tidemill_core::net::smoltcp::{
    Config, CongestionControl, LateBuffers, PacketBuffer, PacketMetadata, Smoltcp, SocketBuffer, Timeouts,
};
use tidemill_core::net::{Datagrams, Error as NetError, Handle, Interest, Stack, Token};
use tidemill_core::time::{EPOCH, Instant};

use crate::frame::Nic;
use crate::world::{Boot, Error, HostId, Node, World};

/// How many sockets a host has unless it is tuned; its listeners' spare ones, and those that are closing, count.
pub const SOCKETS: usize = 16;

/// How many datagrams a socket's buffer holds at most.
const DATAGRAMS: usize = 16;

/// The TCP/IP stack of a simulated host, of `N` sockets: the one that firmware ships, and the world's say in which of
/// the program's ready tasks is polled next.
pub struct Tcp<const N: usize = SOCKETS> {
    stack: Smoltcp<'static, Nic, N>,
    /// How many UDP sockets it gets when it is first asked for one, and how much each of their buffers holds.
    datagrams: usize,
    datagram_bytes: usize,
}

/// For one socket.
fn set() -> SocketSet<'static> {
    SocketSet::new(Vec::with_capacity(1))
}

impl<const N: usize> Deref for Tcp<N> {
    type Target = Smoltcp<'static, Nic, N>;

    fn deref(&self) -> &Self::Target {
        &self.stack
    }
}

impl<const N: usize> DerefMut for Tcp<N> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.stack
    }
}

impl<const N: usize> Stack for Tcp<N> {
    fn listen(&mut self, local: SocketAddr, backlog: usize) -> Result<Handle, NetError> {
        self.stack.listen(local, backlog)
    }
    fn accept(&mut self, listener: Handle) -> nb::Result<(Handle, SocketAddr), NetError> {
        self.stack.accept(listener)
    }
    fn connect(&mut self, remote: SocketAddr) -> Result<Handle, NetError> {
        self.stack.connect(remote)
    }
    fn connected(&mut self, socket: Handle) -> nb::Result<(), NetError> {
        self.stack.connected(socket)
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, NetError> {
        self.stack.recv(socket, buf)
    }
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, NetError> {
        self.stack.send(socket, buf)
    }
    fn shutdown(&mut self, socket: Handle) -> Result<(), NetError> {
        self.stack.shutdown(socket)
    }
    fn close(&mut self, socket: Handle) {
        self.stack.close(socket);
    }
    fn abort(&mut self, socket: Handle) {
        self.stack.abort(socket);
    }
    fn local_addr(&self, socket: Handle) -> Result<SocketAddr, NetError> {
        self.stack.local_addr(socket)
    }
    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), NetError> {
        self.stack.watch(socket, interest, token)
    }
    fn next_ready(&mut self) -> Option<Token> {
        self.stack.next_ready()
    }
    fn pick(&mut self, ready: impl FnOnce() -> u32) -> u32 {
        self.stack.device_mut().order().pick(ready)
    }
}

impl<const N: usize> Datagrams for Tcp<N> {
    fn bind(&mut self, local: SocketAddr) -> Result<Handle, NetError> {
        let bytes = self.datagram_bytes;
        let packets = || PacketBuffer::new(vec![PacketMetadata::EMPTY; DATAGRAMS], vec![0; bytes]);
        for _ in 0..std::mem::take(&mut self.datagrams) {
            // More than it can have, it does without.
            let _ = self.stack.add_datagram_socket(set(), packets(), packets());
        }
        self.stack.bind(local)
    }
    fn recv_from(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<(usize, SocketAddr), NetError> {
        self.stack.recv_from(socket, buf)
    }
    fn send_to(&mut self, socket: Handle, buf: &[u8], to: SocketAddr) -> nb::Result<(), NetError> {
        self.stack.send_to(socket, buf, to)
    }
}

/// What the stack of a host is like.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Receive buffer of each socket in bytes: the TCP window.
    pub receive_bytes: usize,
    /// Send buffer of each socket in bytes.
    pub send_bytes: usize,
    /// How many UDP sockets it has: at most 4.
    pub datagram_sockets: usize,
    /// Receive buffer, and send buffer, of each of them in bytes.
    pub datagram_bytes: usize,
    /// How the sending rate answers to loss.
    pub congestion: CongestionControl,
    /// How long peers are waited for.
    pub timeouts: Timeouts,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            receive_bytes: 16 << 10,
            send_bytes: 16 << 10,
            datagram_sockets: 2,
            datagram_bytes: 4 << 10,
            congestion: CongestionControl::Reno,
            timeouts: Timeouts::default(),
        }
    }
}

/// A stack for the host that boots.
fn stack<const N: usize>(boot: &Boot<'_>, tuning: &Tuning) -> Tcp<N> {
    let config = Config {
        mac: boot.host.mac(),
        // Every address is a neighbour's: who reaches whom is for the links to say.
        addrs: &[(boot.address, 0)],
        gateways: &[],
        seed: boot.seed,
        congestion: tuning.congestion,
        timeouts: tuning.timeouts,
    };
    let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
    let buffers = core::array::from_fn(|_| (buffer(0), buffer(0)));
    let sets = core::array::from_fn(|_| set());
    // The world takes unicast addresses only, there is one of them, and `HostId::mac` is no group's.
    let mut stack = Smoltcp::new(Nic::new(boot.medium), &config, sets, buffers).expect("a valid configuration");
    let (receive_bytes, send_bytes) = (tuning.receive_bytes, tuning.send_bytes);
    stack.make_buffers_late(LateBuffers { receive_bytes, send_bytes, make: buffer });
    Tcp { stack, datagrams: tuning.datagram_sockets, datagram_bytes: tuning.datagram_bytes }
}

/// A program and its stack, as one node of a world.
struct Native<P, const N: usize> {
    stack: Tcp<N>,
    program: P,
    /// When the program wants to be turned.
    due: Option<Instant>,
}

impl<P: Program<Tcp<N>> + 'static, const N: usize> Node for Native<P, N> {
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
        core::mem::swap(self.stack.device_mut(), nic);
        self.stack.poll(now);
        if self.stack.has_ready() || self.due.is_some_and(|due| due <= now) {
            self.due = self.program.turn(now, &mut self.stack);
            self.stack.poll(now);
        }
        let program = if self.stack.has_ready() { Some(now) } else { self.due };
        let next = self.stack.next_deadline(now).into_iter().chain(program).min();
        core::mem::swap(self.stack.device_mut(), nic);
        next
    }

    fn in_use(&self) -> Option<usize> {
        Some(N - self.stack.free_sockets())
    }
}

/// A stack whose program is elsewhere: [`World::lend`] brings them together.
struct Open<const N: usize> {
    stack: Tcp<N>,
    due: Option<Instant>,
    /// The program has something to do.
    waiting: bool,
}

impl<const N: usize> Node for Open<N> {
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
        core::mem::swap(self.stack.device_mut(), nic);
        self.stack.poll(now);
        self.waiting = self.stack.has_ready() || self.due.is_some_and(|due| due <= now);
        // The lender comes back at once; until then there is nothing to wake it for.
        let program = if self.waiting { None } else { self.due };
        let next = self.stack.next_deadline(now).into_iter().chain(program).min();
        core::mem::swap(self.stack.device_mut(), nic);
        next
    }

    fn in_use(&self) -> Option<usize> {
        Some(N - self.stack.free_sockets())
    }
}

impl World {
    /// Adds a host with a stack of `N` sockets and no program: the caller keeps that, and lends it after each step.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::AddressTaken`], [`Error::NoHostAddress`].
    pub fn open_host<const N: usize>(
        &mut self,
        name: &str,
        address: impl Into<IpAddr>,
        tuning: Tuning,
    ) -> Result<HostId, Error> {
        self.node(name, address.into(), move |boot| {
            Box::new(Open { stack: stack::<N>(&boot, &tuning), due: Some(EPOCH), waiting: false })
        })
    }

    /// Turns a program on the stack of an open host, if that has something for it to do, and returns whether it had. To
    /// be called after each step. After a crash of the host the program finds a new stack, where its sockets are
    /// unknown. A host that is off, or not open with `N` sockets, never has anything to do.
    pub fn lend<const N: usize>(&mut self, host: HostId, program: &mut impl Program<Tcp<N>>) -> bool {
        let Ok(now) = self.host_now(host) else { return false };
        if !self.get::<Open<N>>(host).is_some_and(|open| open.waiting) {
            return false;
        }
        let turned = self.lend_node(host, |open: &mut Open<N>, nic| {
            open.waiting = false;
            core::mem::swap(open.stack.device_mut(), nic);
            open.due = program.turn(now, &mut open.stack);
            core::mem::swap(open.stack.device_mut(), nic);
        });
        turned.is_some()
    }

    /// Adds a host that runs what `make` gives at each boot; it boots at the next step.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::AddressTaken`], [`Error::NoHostAddress`].
    pub fn host<P: Program<Tcp> + 'static>(
        &mut self,
        name: &str,
        address: impl Into<IpAddr>,
        make: impl FnMut(Boot<'_>) -> P + 'static,
    ) -> Result<HostId, Error> {
        self.tuned_host::<P, SOCKETS>(name, address, Tuning::default(), make)
    }

    /// Adds a host whose stack is tuned and has `N` sockets. See [`World::host`]; its program cannot be looked at.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::AddressTaken`], [`Error::NoHostAddress`].
    pub fn tuned_host<P: Program<Tcp<N>> + 'static, const N: usize>(
        &mut self,
        name: &str,
        address: impl Into<IpAddr>,
        tuning: Tuning,
        mut make: impl FnMut(Boot<'_>) -> P + 'static,
    ) -> Result<HostId, Error> {
        self.node(name, address.into(), move |boot| {
            Box::new(Native { stack: stack::<N>(&boot, &tuning), program: make(boot), due: Some(EPOCH) })
        })
    }

    /// The program of a host, to read its results; `None` when the host is off or runs another type.
    pub fn program<P: Program<Tcp> + 'static>(&self, host: HostId) -> Option<&P> {
        self.get::<Native<P, SOCKETS>>(host).map(|native| &native.program)
    }

    /// The program of a host, to change it from outside; it is turned at the next step.
    pub fn program_mut<P: Program<Tcp> + 'static>(&mut self, host: HostId) -> Option<&mut P> {
        let native = self.get_mut::<Native<P, SOCKETS>>(host)?;
        native.due = Some(EPOCH);
        Some(&mut native.program)
    }

    /// The stack under a host's program, to look at its counters; `None` as for [`World::program`].
    pub fn stack<P: Program<Tcp> + 'static>(&self, host: HostId) -> Option<&Tcp> {
        self.get::<Native<P, SOCKETS>>(host).map(|native| &native.stack)
    }
}
