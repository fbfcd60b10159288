//! Two smoltcp stacks joined by a cable, in virtual time: the least world that TCP can live in.
//!
//! A frame takes [`LATENCY`] from end to end, in order, and is never lost, unless the cable is [cut](Wire::cut). Time
//! moves only in [`Wire::step`], straight to whatever is due next.
//!
//! ```
//! use tidemill_core::net::Stack;
//! use tidemill_tests::wire::{Medium, Wire, addr};
//! let mut wire = Wire::<4>::new(Medium::Ethernet, 7);
//! wire.ends[1].listen(addr(1, 80), 1).unwrap();
//! let socket = wire.ends[0].connect(addr(1, 80)).unwrap();
//! while wire.ends[0].connected(socket).is_err() {
//!     wire.step();
//! }
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use smoltcp::iface::SocketSet;
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use std::collections::VecDeque;
use tidemill_core::net::smoltcp::{Config, PacketBuffer, PacketMetadata, Smoltcp, SocketBuffer, Timeouts};
use tidemill_core::time::{Duration, EPOCH, Instant};

pub use smoltcp::phy::Medium;

/// How long a frame takes.
pub const LATENCY: Duration = Duration::from_micros(500);

/// The size of each socket's buffers: small enough to fill, and no multiple of a segment.
pub const BUFFER: usize = 10_000;

/// One end of the cable: frames that came in, frames to go out.
pub struct Port {
    medium: Medium,
    /// Frames smoltcp has not taken yet.
    pub inbox: VecDeque<Vec<u8>>,
    /// Frames smoltcp has sent.
    pub outbox: VecDeque<Vec<u8>>,
    /// Set to take no frame from smoltcp, as a card whose ring is full.
    pub full: bool,
}

/// A stack with `N` sockets at one end of the cable.
pub type End<const N: usize> = Smoltcp<'static, Port, N>;

/// The world: two ends and what is between them.
pub struct Wire<const N: usize> {
    /// The stacks, at 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2.
    pub ends: [End<N>; 2],
    /// The time.
    pub now: Instant,
    /// Set to lose every frame sent from now on.
    pub cut: bool,
    /// Frames under way: when each arrives, at which end, and its bytes.
    pub flying: VecDeque<(Instant, usize, Vec<u8>)>,
}

/// The IPv4 address of an end, with a port.
pub fn addr(end: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, end + 1), port))
}

/// The IPv6 address of an end, with a port.
pub fn addr6(end: u16, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, end + 1), port))
}

impl<const N: usize> Wire<N> {
    /// Two stacks that have not spoken yet.
    pub fn new(medium: Medium, seed: u64) -> Self {
        Self::with_timeouts(medium, seed, Timeouts::default())
    }

    /// As [`Wire::new`], with these timeouts at both ends.
    ///
    /// # Panics
    /// Never: the configuration is sound.
    pub fn with_timeouts(medium: Medium, seed: u64, timeouts: Timeouts) -> Self {
        let end = |index: u8| {
            let port = Port { medium, inbox: VecDeque::new(), outbox: VecDeque::new(), full: false };
            let addrs: [(IpAddr, u8); 2] = [(addr(index, 0).ip(), 24), (addr6(u16::from(index), 0).ip(), 64)];
            let config = Config {
                mac: [2, 0, 0, 0, 0, index],
                addrs: &addrs,
                seed: seed * 2 + u64::from(index),
                timeouts,
                ..Config::default()
            };
            let buffers =
                core::array::from_fn(|_| (SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER])));
            let sets = core::array::from_fn(|_| SocketSet::new(vec![]));
            let mut end = Smoltcp::new(port, &config, sets, buffers).expect("sound addresses");
            let packets = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 8], vec![0; BUFFER]);
            for _ in 0..2 {
                end.add_datagram_socket(SocketSet::new(vec![]), packets(), packets()).expect("room for two");
            }
            end
        };
        Self { ends: [end(0), end(1)], now: EPOCH, cut: false, flying: VecDeque::new() }
    }

    /// Lets both ends send, then moves on to the next event; false if there is none ever. Time moves at most by
    /// 100 ms, so that a caller who waits for a time gets to see it pass.
    pub fn step(&mut self) -> bool {
        for from in 0..2 {
            self.ends[from].poll(self.now);
            while let Some(frame) = self.ends[from].device_mut().outbox.pop_front() {
                if !self.cut {
                    self.flying.push_back((self.now + LATENCY, 1 - from, frame));
                }
            }
        }
        let arrival = self.flying.front().map(|&(at, ..)| at);
        let due = self.ends.iter_mut().filter_map(|end| end.next_deadline(self.now)).chain(arrival).min();
        self.now = due.map_or(self.now, |due| due.min(self.now + Duration::from_millis(100)));
        while self.flying.front().is_some_and(|&(at, ..)| at <= self.now) {
            if let Some((_, to, frame)) = self.flying.pop_front() {
                self.ends[to].device_mut().inbox.push_back(frame);
            }
        }
        for end in &mut self.ends {
            end.poll(self.now);
        }
        due.is_some()
    }

    /// Steps until nothing is due within `span`, or that much has passed.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            if !self.step() {
                self.now = end;
            }
        }
    }
}

/// A received frame.
pub struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame to send.
pub struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Room<'_>)> {
        let frame = self.inbox.pop_front()?;
        Some((Received(frame), Room(&mut self.outbox)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Room<'_>> {
        (!self.full).then_some(Room(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = self.medium;
        caps.max_transmission_unit = 1514;
        caps
    }
}
