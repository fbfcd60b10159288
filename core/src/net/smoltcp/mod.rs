//! TCP/IP where there is no operating system: [`Smoltcp`] puts smoltcp behind [`Stack`].
//!
//! Firmware and the simulator run this same code. The caller lends a device, a table of `N` sockets and their buffers;
//! nothing is allocated. A driver does three things in turn: [`Smoltcp::poll`] moves frames, the program uses the
//! [`Stack`], and [`Smoltcp::next_deadline`] says until when the driver may sleep if no frame comes. Between them the
//! stack adds what smoltcp leaves to its user:
//!
//! | file | what it adds |
//! |---|---|
//! | `slot` | who holds a socket; handles with generations; end of stream and failure, kept until `close` |
//! | `ready` | one-shot tokens for sockets that became ready |
//! | `datagram` | UDP sockets, which the caller adds; `no_datagram` stands there without the feature `udp` |
//! | `ports` | ephemeral ports that skip tuples in use, TIME-WAIT included |
//! | `demux` | which socket a frame is for; a full backlog drops connection requests where smoltcp would refuse them |
//! | `address` | addresses between core's types and smoltcp's |
//! | `work` | which sockets have something to do: only they cost time |
//!
//! A listener holds `backlog` sockets of the table, each listening at the same port; one that a peer takes is replaced
//! as soon as a socket is free. A socket its holder closed *lingers* in the table until its peer knows; when sockets
//! run short, those in TIME-WAIT go first, then the oldest. Every wait has an end: see [`Timeouts`]. The calls of
//! [`Stack`] take no time; what they start counts from the `now` of the last `poll`.
//!
//! [`Stack`]: super::Stack
//!
//! # Why smoltcp 0.13.1 and not 0.14.0
//! Loss recovery. 8 MiB through a link of 5 ms each way that drops frames at random, 64 KiB buffers, median of 10
//! seeds, in virtual seconds; `cargo bench -p tidemill-tests --bench smoltcp_loss` prints the table:
//!
//! | loss | control | 0.13.1 | 0.14.0 |
//! |---|---|---|---|
//! | none | `None` | 1.30 | 1.30 |
//! | none | `Reno` | 1.30 | 1.51 |
//! | 1 % | `None` | 2.23 | 3.85 |
//! | 1 % | `Reno` | 2.23 | 43.80 |
//! | 5 % | `None` | 5.51 | 49.77 |
//! | 5 % | `Reno` | 5.51 | 456.94 |
//!
//! The price: 0.13.1 holds the congestion window against what is still to be sent, not against what is in flight, so
//! `Reno` and `None` come out the same and only the peer's receive buffer bounds the rate. Before a link with a short
//! queue, give the receiver small buffers.
//!
//! # Example
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr};
//! use smoltcp::iface::{SocketSet, SocketStorage};
//! use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
//! use tidemill_core::net::smoltcp::{Config, Smoltcp, SocketBuffer};
//! use tidemill_core::net::{Error, Stack};
//! use tidemill_core::time::EPOCH;
//!
//! /// A cable that is plugged in nowhere.
//! struct Unplugged;
//! struct Never;
//! impl RxToken for Never {
//!     fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R { f(&[]) }
//! }
//! struct Lost;
//! impl TxToken for Lost {
//!     fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R { f(&mut [0; 1514][..len]) }
//! }
//! impl Device for Unplugged {
//!     type RxToken<'a> = Never;
//!     type TxToken<'a> = Lost;
//!     fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Never, Lost)> { None }
//!     fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Lost> { Some(Lost) }
//!     fn capabilities(&self) -> DeviceCapabilities {
//!         let mut caps = DeviceCapabilities::default();
//!         caps.medium = Medium::Ip;
//!         caps.max_transmission_unit = 1500;
//!         caps
//!     }
//! }
//!
//! let mut table = [SocketStorage::EMPTY; 2];
//! let mut memory = [[0; 2048 + 1024]; 2];
//! let buffers = memory.each_mut().map(|bytes| {
//!     let (rx, tx) = bytes.split_at_mut(2048);
//!     (SocketBuffer::new(rx), SocketBuffer::new(tx))
//! });
//! let addrs = [(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 24)];
//! let config = Config { addrs: &addrs, seed: 7, ..Config::default() };
//! let sets = table.each_mut().map(|place| SocketSet::new(core::slice::from_mut(place)));
//! let mut stack = Smoltcp::new(Unplugged, &config, sets, buffers)?;
//!
//! let mut now = EPOCH;
//! let socket = stack.connect("10.0.0.2:80".parse().unwrap()).unwrap();
//! while stack.connected(socket) == Err(nb::Error::WouldBlock) {
//!     stack.poll(now);
//!     now = stack.next_deadline(now).unwrap_or(now);
//! }
//! assert_eq!(stack.connected(socket), Err(nb::Error::Other(Error::TimedOut)));
//! # Ok::<(), tidemill_core::net::smoltcp::ConfigError>(())
//! ```

mod address;
mod config;
#[cfg(feature = "udp")]
mod datagram;
#[cfg(not(feature = "udp"))]
#[path = "no_datagram.rs"]
mod datagram;
mod demux;
mod ports;
mod ready;
mod slot;
mod stack;
mod work;

use self::demux::{Load, Once, Place, Shown, Table, load};
use self::ports::Ports;
use self::ready::Readiness;
use self::slot::{Role, Slot, is_spent, tcp, wipe};
use self::work::Work;
use super::{Error, Interest};
use crate::time::{Duration, EPOCH, Instant};
use smoltcp::iface::{Config as IfaceConfig, Interface, PollResult, SocketSet};
use smoltcp::phy::{Device, Medium, RxToken};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpListenEndpoint};

pub use self::config::{Config, ConfigError, Timeouts};
pub use self::datagram::DATAGRAM_SOCKETS_MAX;
pub use smoltcp::socket::tcp::{CongestionControl, SocketBuffer};
#[cfg(feature = "udp")]
pub use smoltcp::socket::udp::{PacketBuffer, PacketMetadata};

/// How many listeners one stack can hold.
pub const LISTENERS_MAX: usize = 4;

/// Frames taken in before the sockets get to answer; rounds of sending before frames are taken in again; and turns of
/// both within one `poll`. What is left over makes `next_deadline` say "now".
const INGRESS_MAX: usize = 256;
const EGRESS_MAX: usize = 64;
const TURNS_MAX: usize = 16;

/// When smoltcp says "now" though it was polled now (the device takes no frame, say), come back after this long.
const RETRY: Duration = Duration::from_micros(100);

/// What has happened since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Connections handed out by `accept`.
    pub accepted: u64,
    /// Handshakes of listeners given up unfinished.
    pub half_open_expired: u64,
    /// Lingering sockets cut short because sockets ran short.
    pub reclaimed: u64,
    /// Times that smoltcp wanted to be polled again at once without need.
    pub deferred: u64,
}

/// A listening port and how many sockets it keeps for connections to come.
#[derive(Clone, Copy)]
struct Listener {
    endpoint: Option<IpListenEndpoint>,
    backlog: usize,
    /// How many of its sockets hold a connection that is up.
    arrived: usize,
    generation: u16,
}

impl Listener {
    const NONE: Self = Self { endpoint: None, backlog: 0, arrived: 0, generation: 0 };

    fn has_port(&self, port: u16) -> bool {
        self.endpoint.is_some_and(|endpoint| endpoint.port == port)
    }
}

/// How sockets get buffers when they are first opened: see [`Smoltcp::make_buffers_late`].
#[derive(Clone, Copy, Debug)]
pub struct LateBuffers<'a> {
    /// Size of each receive buffer in bytes: the TCP window.
    pub receive_bytes: usize,
    /// Size of each send buffer in bytes.
    pub send_bytes: usize,
    /// Makes one of so many bytes.
    pub make: fn(usize) -> SocketBuffer<'a>,
}

/// A TCP/IP stack of `N` sockets over the device `D`. See the [module](self).
///
/// `poll` and `next_deadline` take O(sockets that were used, got a frame or are due), and a frame O(N) to find its socket among
/// numbers that lie side by side; `accept` and the opening calls O(N); all others O(1) besides the bytes they copy.
/// Nothing here may be touched from an interrupt.
pub struct Smoltcp<'a, D: Device, const N: usize> {
    device: D,
    iface: Interface,
    table: Table<'a, N>,
    work: Work<N>,
    listeners: [Listener; LISTENERS_MAX],
    ready: Readiness<N>,
    listeners_ready: Readiness<LISTENERS_MAX>,
    datagrams: [Option<datagram::Slot<'a>>; DATAGRAM_SOCKETS_MAX],
    datagrams_ready: datagram::Ready,
    ports: Ports,
    late: Option<LateBuffers<'a>>,
    congestion: CongestionControl,
    timeouts: Timeouts,
    now: Instant,
    /// Sockets were used since the last poll, so smoltcp may rightly have something to send now.
    used: bool,
    /// The last poll ran into its bounds.
    unfinished: bool,
    /// And its last turn of sending, too.
    unsent: bool,
    counters: Counters,
}

impl<'a, D: Device, const N: usize> Smoltcp<'a, D, N> {
    /// A stack of `N` sockets. Each needs a set of its own, which is empty and has room for it: `SocketSet::new` over one
    /// element of an array of `SocketStorage`, as the [module](self) shows, or over a `Vec` with smoltcp's `alloc`.
    /// `buffers` are each socket's receive and send buffer; the receive buffer is the TCP window.
    ///
    /// # Errors
    /// [`ConfigError`].
    ///
    /// # Panics
    /// If one of the `sets` has no room.
    pub fn new(
        mut device: D,
        config: &Config<'_>,
        sets: [SocketSet<'a>; N],
        buffers: [(SocketBuffer<'a>, SocketBuffer<'a>); N],
    ) -> Result<Self, ConfigError> {
        const {
            assert!(
                N > 0 && N + LISTENERS_MAX + DATAGRAM_SOCKETS_MAX < u16::MAX as usize,
                "a handle's index is 16 bits wide"
            );
        }
        let mac = EthernetAddress(config.mac);
        let hardware = match device.capabilities().medium {
            Medium::Ethernet if !mac.is_unicast() => return Err(ConfigError::Mac),
            Medium::Ethernet => HardwareAddress::Ethernet(mac),
            Medium::Ip => HardwareAddress::Ip,
        };
        let mut settings = IfaceConfig::new(hardware);
        settings.random_seed = config.seed;
        let mut iface = Interface::new(settings, &mut device, instant(EPOCH));
        config.set_addresses(&mut iface)?;
        let mut sets = sets.into_iter();
        let slots = buffers.map(|(rx, tx)| {
            let socket = new_socket(rx, tx);
            // There are as many as buffers.
            Slot::new(sets.next().unwrap_or_else(|| SocketSet::new(&mut [][..])), socket)
        });
        Ok(Self {
            device,
            iface,
            table: Table::new(slots),
            work: Work::new(),
            listeners: [Listener::NONE; LISTENERS_MAX],
            ready: Readiness::new(),
            listeners_ready: Readiness::new(),
            datagrams: [const { None }; DATAGRAM_SOCKETS_MAX],
            datagrams_ready: datagram::Ready::new(),
            ports: Ports::new(config.seed),
            late: None,
            congestion: config.congestion,
            timeouts: config.timeouts,
            now: EPOCH,
            used: false,
            unfinished: false,
            unsent: false,
            counters: Counters::default(),
        })
    }

    /// Has sockets without buffers get theirs when they are first opened: where there is an allocator, a socket that nobody
    /// uses then takes no room.
    pub fn make_buffers_late(&mut self, late: LateBuffers<'a>) {
        self.late = Some(late);
    }

    /// Takes in and sends out frames until there is nothing more to do at `now`, within fixed bounds. A `now` before
    /// the last one counts as the last one.
    pub fn poll(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.used = false;
        self.unfinished = true;
        self.iface.poll_maintenance(instant(self.now));
        self.work.add_due(self.now);
        for turn in 0..TURNS_MAX {
            let mut busy = self.take_in();
            busy |= self.observe();
            // What could be sent has been sent in the turn before, unless that ran into its bound.
            let sent = if turn == 0 || busy || self.unsent { self.send_out() } else { false };
            if !busy && !sent {
                self.unfinished = false;
                break;
            }
        }
        self.end_datagrams();
        self.wake_watchers();
    }

    /// When `poll` must be called even if no frame comes and nobody uses a socket; never before `now`. `None`: only
    /// those can bring more.
    pub fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let now = self.now.max(now);
        if self.unfinished {
            return Some(now);
        }
        // Right after a poll "now" means that smoltcp cannot do what it wants; asking again at once would spin.
        let stuck = now == self.now && !self.used;
        for n in 0..self.work.len() {
            let index = self.work.nth(n);
            let due = self.deadline(index).map(|at| if stuck && at <= now { self.defer() } else { at });
            self.work.set_due(index, due);
        }
        if !self.used {
            self.work.clear();
        }
        let datagrams = self.datagrams_deadline(now).map(|at| if stuck && at <= now { self.defer() } else { at });
        self.work.earliest().into_iter().chain(datagrams).min().map(|at| at.max(now))
    }

    /// When a socket wants to be looked at: smoltcp's wish, or the end of what is waited for.
    fn deadline(&mut self, index: usize) -> Option<Instant> {
        let slot = &self.table.slots[index];
        let own = self.timeouts.deadline(slot);
        let stack = self.iface.poll_at(instant(self.now), &slot.set).map(ticks);
        stack.into_iter().chain(own).min()
    }

    /// When the UDP sockets want to be looked at.
    fn datagrams_deadline(&mut self, now: Instant) -> Option<Instant> {
        let mut earliest = None;
        for slot in self.datagrams.iter().flatten() {
            if let Some(at) = self.iface.poll_at(instant(now), slot.set()).map(ticks) {
                earliest = Some(earliest.map_or(at, |earliest: Instant| earliest.min(at)));
            }
        }
        earliest
    }

    /// When to come back for what smoltcp cannot do now.
    fn defer(&mut self) -> Instant {
        self.counters.deferred += 1;
        self.now + RETRY
    }

    /// Whether [`Stack::next_ready`](super::Stack::next_ready) has a token: the driver's program has something to do.
    pub fn has_ready(&self) -> bool {
        self.ready.any() || self.listeners_ready.any() || self.datagrams_ready.any()
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, to move frames in and out of it.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many sockets `connect`, `listen` and `accept` have left without cutting a lingering one short. O(N).
    pub fn free_sockets(&self) -> usize {
        (0..N).filter(|&index| self.is_free(index)).count()
    }

    fn socket(&self, index: usize) -> &Socket<'a> {
        self.table.slots[index].socket()
    }

    fn socket_mut(&mut self, index: usize) -> &mut Socket<'a> {
        self.table.slots[index].socket_mut()
    }

    /// Takes in a batch of frames; whether there was one.
    fn take_in(&mut self) -> bool {
        let now = instant(self.now);
        let caps = self.device.capabilities();
        for taken in 0..INGRESS_MAX {
            let Some((rx, tx)) = self.device.receive(now) else { return taken > 0 };
            let meta = rx.meta();
            let place = rx.consume(|bytes| {
                let carried = load(caps.medium, bytes);
                let place = self.table.place(&self.listeners, carried);
                let mut none = SocketSet::new(&mut [][..]);
                let set = match place {
                    Place::Socket(index) => &mut self.table.slots[index].set,
                    Place::Port(port) => {
                        let mut held = self.datagrams.iter_mut().flatten();
                        held.find(|slot| slot.port() == port).map_or(&mut none, datagram::Slot::set_mut)
                    }
                    Place::Interface => &mut none,
                    Place::Dropped => return place,
                };
                let mut once = Once { frame: Some((Shown { bytes, meta }, tx)), caps: &caps };
                self.iface.poll_ingress_single(now, &mut once, set);
                if matches!(carried, Load::Other) && caps.medium == Medium::Ethernet {
                    // It may have told where a neighbour is, for whom sockets are waiting.
                    self.work.add_all();
                }
                place
            });
            if let Place::Socket(index) = place {
                self.work.add(index);
                self.table.note(index);
                self.table.slots[index].observe_connecting();
            }
        }
        true
    }

    /// Lets every socket that has work send what it may, a frame each in turn; whether one did.
    fn send_out(&mut self) -> bool {
        self.unsent = false;
        for round in 0..EGRESS_MAX {
            let mut sent = false;
            for n in 0..self.work.len() {
                let set = &mut self.table.slots[self.work.nth(n)].set;
                sent |= self.iface.poll_egress(instant(self.now), &mut self.device, set) != PollResult::None;
            }
            for slot in self.datagrams.iter_mut().flatten().filter(|slot| slot.has_unsent()) {
                sent |= self.iface.poll_egress(instant(self.now), &mut self.device, slot.set_mut()) != PollResult::None;
            }
            if !sent {
                return round > 0;
            }
        }
        self.unsent = true;
        true
    }

    /// Sees what became of the sockets that have work, ends the waits that are over, and refills the listeners; whether
    /// a socket has anything to send because of it.
    fn observe(&mut self) -> bool {
        let now = self.now;
        let (mut acted, mut listeners) = (false, false);
        for n in 0..self.work.len() {
            let index = self.work.nth(n);
            let slot = &mut self.table.slots[index];
            listeners |= !slot.is_held();
            if slot.role == Role::Free {
                continue;
            }
            slot.observe_connecting();
            if slot.observe(now) {
                // Whoever waits to write learns of the end too, once; a task that goes on writing is not woken again.
                self.ready.fire(index);
            }
            let over = self.timeouts.deadline(slot).is_some_and(|deadline| deadline <= now);
            let socket = tcp(&mut slot.set);
            match slot.role {
                Role::Free => {}
                Role::Spare { .. } => {
                    self.counters.half_open_expired += u64::from(over);
                    if over || !socket.is_open() {
                        wipe(socket);
                        slot.role = Role::Free;
                    }
                }
                Role::Connecting | Role::Up => {
                    if over {
                        socket.abort();
                        acted = true;
                        // In TIME-WAIT nothing failed; the socket is cut off to keep what is still to be read.
                        if !(slot.eof && slot.shut) {
                            slot.failed = Some(Error::TimedOut);
                        }
                    } else if socket.state() == State::Closed && slot.failed.is_none() && !(slot.eof && slot.shut) {
                        slot.failed = Some(Error::Reset);
                    }
                }
                Role::Lingering => {
                    let unheard = socket.can_recv() && socket.send_queue() == 0;
                    if socket.state() == State::Closed {
                        if over || socket.remote_endpoint().is_none() {
                            wipe(socket);
                            slot.role = Role::Free;
                        }
                    } else if over || unheard {
                        // The peer sends to nobody: tell it (RFC 9293, 3.10.7.1 on data after close).
                        socket.abort();
                        acted = true;
                    }
                }
            }
        }
        if listeners {
            for listener in 0..LISTENERS_MAX {
                self.refill(listener);
                let arrived = (0..N).filter(|&index| self.has_arrived(index, listener)).count();
                self.listeners[listener].arrived = arrived;
            }
        }
        acted
    }

    /// Queues the tokens of the sockets that have become ready for what their watchers wait for.
    fn wake_watchers(&mut self) {
        for n in 0..self.work.len() {
            self.wake_if_ready(self.work.nth(n));
        }
        for index in 0..LISTENERS_MAX {
            self.wake_listener_if_ready(index);
        }
        self.wake_datagrams();
    }

    fn wake_if_ready(&mut self, index: usize) {
        if let Some(interest) = self.ready.armed(index) {
            let slot = &self.table.slots[index];
            let ready = match interest {
                Interest::Read => slot.can_read(),
                Interest::Write => slot.can_write(),
                Interest::Both => slot.can_read() || slot.can_write(),
            };
            if ready || !slot.is_held() {
                self.ready.fire(index);
            }
        }
    }

    fn is_free(&self, index: usize) -> bool {
        self.table.slots[index].role == Role::Free && self.ready.is_idle(index)
    }

    /// A free socket, or the lingering one that misses least by being cut short: in TIME-WAIT or with all data
    /// acknowledged before others (and only those if `gently`), then the oldest.
    fn allocate(&mut self, gently: bool) -> Option<usize> {
        if let Some(index) = (0..N).find(|&index| self.is_free(index)) {
            return Some(index);
        }
        let rank = |index: &usize| (!is_spent(self.socket(*index).state()), self.table.slots[*index].since);
        let index = (0..N)
            .filter(|&index| self.table.slots[index].role == Role::Lingering && self.ready.is_idle(index))
            .filter(|index| !gently || !rank(index).0)
            .min_by_key(rank)?;
        wipe(self.socket_mut(index));
        self.table.slots[index].role = Role::Free;
        self.counters.reclaimed += 1;
        Some(index)
    }

    fn is_spare_of(&self, index: usize, listener: usize) -> bool {
        self.table.slots[index].role == Role::Spare { listener }
    }

    /// Whether it holds a connection of the listener that is up.
    fn has_arrived(&self, index: usize, listener: usize) -> bool {
        self.is_spare_of(index, listener) && self.socket(index).may_send()
    }

    /// Gives the listener sockets up to its backlog. Cuts a lingering socket short only if none is left listening.
    fn refill(&mut self, listener: usize) {
        let Listener { endpoint: Some(endpoint), backlog, .. } = self.listeners[listener] else { return };
        let spares = (0..N).filter(|&index| self.is_spare_of(index, listener)).count();
        for _ in spares..backlog {
            let free = (0..N).find(|&index| self.is_free(index));
            let index = match free {
                Some(index) => index,
                None if self.table.listening(listener).is_none() => match self.allocate(true) {
                    Some(index) => index,
                    None => return,
                },
                None => return,
            };
            self.open(index, Role::Spare { listener }, |socket, _| socket.listen(endpoint).is_ok());
        }
    }

    /// Opens the closed socket of a free slot; false if smoltcp would not.
    fn open(
        &mut self,
        index: usize,
        role: Role,
        how: impl FnOnce(&mut Socket<'a>, &mut smoltcp::iface::Context) -> bool,
    ) -> bool {
        let slot = &mut self.table.slots[index];
        let socket = slot.socket_mut();
        if let Some(LateBuffers { receive_bytes, send_bytes, make }) = self.late
            && socket.recv_capacity() == 0
        {
            *socket = new_socket(make(receive_bytes), make(send_bytes));
        }
        // smoltcp keeps the congestion window of the connection before; setting the algorithm starts it afresh.
        socket.set_congestion_control(self.congestion);
        if !how(socket, self.iface.context()) {
            return false;
        }
        slot.occupy(role, self.now);
        self.table.note(index);
        self.touch(index);
        true
    }

    /// Notes that a socket was used: it has work.
    fn touch(&mut self, index: usize) {
        self.work.add(index);
        self.used = true;
    }
}

fn new_socket<'a>(receive: SocketBuffer<'a>, send: SocketBuffer<'a>) -> Socket<'a> {
    let mut socket = Socket::new(receive, send);
    socket.set_nagle_enabled(false);
    socket
}

/// smoltcp's time in ours.
fn ticks(at: smoltcp::time::Instant) -> Instant {
    Instant::from_ticks(u64::try_from(at.total_micros()).unwrap_or(0))
}

/// Our time in smoltcp's. Both count microseconds; smoltcp's is signed.
fn instant(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_ticks()).unwrap_or(i64::MAX))
}
