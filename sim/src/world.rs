//! The world: hosts, the links between them, one virtual clock, and the loop that moves all three.
//!
//! A host is a name, an address and a *factory*: what makes its program anew at every boot. Between events nothing
//! runs. A step takes the earliest instant at which something happens, lets all of it happen, turns each host that was
//! touched once, and sends what they want sent. A host is touched by a frame, or when the time has come that it asked
//! for; an idle host costs nothing. Everything is decided by the world's seed, so a run can be repeated exactly.
//!
//! ```
//! use std::net::IpAddr;
//! use tidemill_core::time::{Duration, EPOCH, Instant};
//! use tidemill_sim::frame::Nic;
//! use tidemill_sim::link::Link;
//! use tidemill_sim::world::{Node, World};
//!
//! /// Sends one packet to a neighbour at boot, and counts what comes in.
//! struct Greeter(IpAddr, IpAddr, u32);
//!
//! impl Node for Greeter {
//!     fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
//!         while nic.receive_with(|_| ()).is_some() {
//!             self.2 += 1;
//!         }
//!         if let (EPOCH, IpAddr::V4(from), IpAddr::V4(to)) = (now, self.0, self.1) {
//!             nic.send_with(20, |packet| {
//!                 packet[..4].copy_from_slice(&[0x45, 0, 0, 20]);
//!                 packet[12..16].copy_from_slice(&from.octets());
//!                 packet[16..20].copy_from_slice(&to.octets());
//!             });
//!         }
//!         None
//!     }
//! }
//!
//! let mut world = World::new(7);
//! let a = world.node("a", [10, 0, 0, 1].into(), |boot| Box::new(Greeter(boot.address, boot.resolve("b").unwrap(), 0)))?;
//! let b = world.node("b", [10, 0, 0, 2].into(), |boot| Box::new(Greeter(boot.address, boot.resolve("a").unwrap(), 0)))?;
//! world.link(a, b, Link::new().latency(Duration::from_millis(3)))?;
//! while world.step()?.is_some() {}
//! assert_eq!(world.now(), EPOCH + Duration::from_millis(3));
//! assert_eq!(world.get::<Greeter>(b).map(|greeter| greeter.2), Some(1));
//! # Ok::<(), tidemill_sim::world::Error>(())
//! ```

use core::any::Any;
use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use smoltcp::phy::Medium;
use tidemill_core::random::draw;
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::clock::Clock;
use crate::event::{Queue, What};
use crate::fault::{self, Fault, Menu};
use crate::frame::{Nic, Slab};
use crate::link::{Chance, Link, Passage, Pipe, Verdict};
use crate::plan::Plan;
use crate::reset::{cut, destination};
use crate::trace::{Event, Frame, Kind, Trace};

/// How often a host may be turned within one instant before it counts as stuck.
pub const TURNS_PER_INSTANT_MAX: u32 = 1000;

/// Names a host of one world, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct HostId(u32);

impl HostId {
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Its number, from 0.
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Its hardware address in a world of Ethernet.
    pub const fn mac(self) -> [u8; 6] {
        let [a, b, c, d] = self.0.to_be_bytes();
        // Locally administered, and no group.
        [2, 0, a, b, c, d]
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

/// Why a world cannot do what was asked, or cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A host was turned [`TURNS_PER_INSTANT_MAX`] times without time going on: it keeps asking to be turned at once.
    Livelock {
        /// Its name.
        host: String,
        /// When.
        at: Instant,
    },
    /// Another host has this name.
    NameTaken(String),
    /// Another host has this address.
    AddressTaken(IpAddr),
    /// No host can have this address: it is a group's, or nobody's.
    NoHostAddress(IpAddr),
    /// The host is not of this world.
    UnknownHost(HostId),
    /// No link leads from the first host to the second.
    NoLink(HostId, HostId),
    /// A link from a host to itself: a stack does that without one.
    SelfLink(HostId),
    /// There are hosts already.
    NotEmpty,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livelock { host, at } => {
                write!(f, "host {host} was turned {TURNS_PER_INSTANT_MAX} times at {} us: it is stuck", at.as_ticks())
            }
            Self::NameTaken(name) => write!(f, "another host is called {name}"),
            Self::AddressTaken(address) => write!(f, "another host has the address {address}"),
            Self::NoHostAddress(address) => write!(f, "no host can have the address {address}"),
            Self::UnknownHost(host) => write!(f, "{host} is no host of this world"),
            Self::NoLink(from, to) => write!(f, "no link leads from {from} to {to}"),
            Self::SelfLink(host) => write!(f, "a link from {host} to itself"),
            Self::NotEmpty => f.write_str("there are hosts already"),
        }
    }
}

impl core::error::Error for Error {}

/// What a host is made of: anything that takes and sends frames.
///
/// [`World::host`] makes one of a program on a TCP/IP stack; implement it for what brings its own stack.
pub trait Node: Any {
    /// Does all that can be done at `now`: reads the frames that have arrived, sends others. Returns when it must be
    /// turned even if no frame arrives; `None`: never. A time not after `now` means once more at this instant.
    fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant>;
}

/// What a factory is told at each boot.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// Which host boots.
    pub host: HostId,
    /// How often it has booted before.
    pub epoch: u32,
    /// A seed that no other host, and no other boot of this one, has.
    pub seed: u64,
    /// The time.
    pub now: Instant,
    /// The host's address.
    pub address: IpAddr,
    /// What its frames are.
    pub medium: Medium,
    names: &'a BTreeMap<String, u32>,
    addresses: &'a [IpAddr],
}

impl Boot<'_> {
    /// The address of the host with this name. O(log hosts).
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.names.get(name).map(|&host| self.addresses[host as usize])
    }
}

type Factory = Box<dyn FnMut(Boot<'_>) -> Box<dyn Node>>;

struct Host {
    name: String,
    factory: Factory,
    /// `None` while it is off.
    node: Option<Box<dyn Node>>,
    nic: Nic,
    boots: u32,
    clock: Clock,
    /// When it wants to be turned, by its own clock.
    due: Option<Instant>,
    /// The one entry for it in the queue that counts; never later than `due`. Others are left over, and ignored.
    queued: Option<Instant>,
    touched: bool,
    /// Pauses under way; they may overlap.
    pauses: u32,
    /// It was switched on meanwhile.
    boots_late: bool,
    /// Times under way in which its card sends nothing.
    stalls: u32,
    /// How long its turns take, by each fault under way that makes it slow; the longest counts.
    slow: Vec<Duration>,
    busy_until: Instant,
    turned_at: Instant,
    turns: u32,
}

struct Direction {
    from: HostId,
    to: HostId,
    pipe: Pipe,
    /// Connections still to be cut by [`Fault::Reset`].
    resets: u32,
}

/// A world of simulated hosts. See the [module](self).
pub struct World {
    seed: u64,
    now: Instant,
    medium: Medium,
    hosts: Vec<Host>,
    names: BTreeMap<String, u32>,
    addresses: Vec<IpAddr>,
    by_address: BTreeMap<IpAddr, u32>,
    directions: Vec<Direction>,
    by_ends: BTreeMap<(u32, u32), u32>,
    faults: Vec<Fault>,
    /// Which of them have begun and not ended.
    running: BTreeSet<u32>,
    mode: Mode,
    /// What a plan lists, until the first step.
    listed: Vec<Fault>,
    /// What the seed has drawn.
    drawn: Vec<Fault>,
    keeps_frame_faults: bool,
    marks: BTreeMap<&'static str, bool>,
    queue: Queue,
    wire: Slab,
    free: Vec<Vec<u8>>,
    touched: Vec<u32>,
    trace: Trace,
}

/// What decides about frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// The seed, and faults that are scheduled.
    Search,
    /// Faults that are scheduled alone.
    Replay,
    /// Nothing goes wrong any more.
    Healed,
}

/// Most faults of single frames that a plan keeps.
const FRAME_FAULTS_MAX: usize = 100_000;

/// What the draws of a boot are for, as the first word of their key.
const DRAW_BOOT: u64 = 0x626F_6F74;

impl World {
    /// An empty world at time 0. Its hosts exchange IP packets: no address resolution.
    pub fn new(seed: u64) -> Self {
        Self::with_medium(seed, Medium::Ip)
    }

    /// An empty world at time 0 whose hosts exchange Ethernet frames, and so must find each other's hardware addresses.
    pub fn ethernet(seed: u64) -> Self {
        Self::with_medium(seed, Medium::Ethernet)
    }

    /// An empty world at time 0 in which what the plan lists goes wrong, and nothing else is left to chance but jitter.
    pub fn replay(plan: &Plan) -> Self {
        Self { mode: Mode::Replay, listed: plan.faults.clone(), ..Self::new(plan.seed) }
    }

    /// Has hosts exchange Ethernet frames; for a world that has none yet.
    ///
    /// # Errors
    /// [`Error::NotEmpty`].
    pub fn use_ethernet(&mut self) -> Result<(), Error> {
        if !self.hosts.is_empty() {
            return Err(Error::NotEmpty);
        }
        self.medium = Medium::Ethernet;
        Ok(())
    }

    fn with_medium(seed: u64, medium: Medium) -> Self {
        Self {
            seed,
            now: EPOCH,
            medium,
            hosts: Vec::new(),
            names: BTreeMap::new(),
            addresses: Vec::new(),
            by_address: BTreeMap::new(),
            directions: Vec::new(),
            by_ends: BTreeMap::new(),
            faults: Vec::new(),
            running: BTreeSet::new(),
            mode: Mode::Search,
            listed: Vec::new(),
            drawn: Vec::new(),
            keeps_frame_faults: false,
            marks: BTreeMap::new(),
            queue: Queue::default(),
            wire: Slab::default(),
            free: Vec::new(),
            touched: Vec::new(),
            trace: Trace::new(seed),
        }
    }

    /// Adds a host that brings its own stack; it boots at the next step.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::AddressTaken`], [`Error::NoHostAddress`].
    pub fn node(
        &mut self,
        name: &str,
        address: IpAddr,
        factory: impl FnMut(Boot<'_>) -> Box<dyn Node> + 'static,
    ) -> Result<HostId, Error> {
        if self.names.contains_key(name) {
            return Err(Error::NameTaken(name.into()));
        }
        if self.by_address.contains_key(&address) {
            return Err(Error::AddressTaken(address));
        }
        if !smoltcp::wire::IpAddress::from(address).is_unicast() {
            return Err(Error::NoHostAddress(address));
        }
        let host = self.hosts.len() as u32;
        self.names.insert(name.into(), host);
        self.by_address.insert(address, host);
        self.addresses.push(address);
        self.hosts.push(Host {
            name: name.into(),
            factory: Box::new(factory),
            node: None,
            nic: Nic::new(self.medium),
            boots: 0,
            clock: Clock::new(),
            due: None,
            queued: None,
            touched: false,
            pauses: 0,
            boots_late: false,
            stalls: 0,
            slow: Vec::new(),
            busy_until: EPOCH,
            turned_at: EPOCH,
            turns: 0,
        });
        self.queue.enter(self.now, What::Boot { host });
        Ok(HostId::new(host))
    }

    /// Joins two hosts, both ways alike. Between hosts that are joined already, changes what the link is like.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::SelfLink`].
    pub fn link(&mut self, a: HostId, b: HostId, link: Link) -> Result<(), Error> {
        self.link_one_way(a, b, link)?;
        self.link_one_way(b, a, link)
    }

    /// Lets frames pass from one host to another, or changes how they pass; for links that differ by direction.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::SelfLink`].
    pub fn link_one_way(&mut self, from: HostId, to: HostId, link: Link) -> Result<(), Error> {
        self.known(from)?;
        self.known(to)?;
        if from == to {
            return Err(Error::SelfLink(from));
        }
        if let Some(&index) = self.by_ends.get(&(from.0, to.0)) {
            self.directions[index as usize].pipe.set_params(link);
        } else {
            self.by_ends.insert((from.0, to.0), self.directions.len() as u32);
            let pipe = Pipe::new(link, u64::from(from.0) << 32 | u64::from(to.0));
            self.directions.push(Direction { from, to, pipe, resets: 0 });
        }
        Ok(())
    }

    /// Lets a fault happen when its time comes; at once if that has passed. What is to happen to a frame that was sent
    /// already never does.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::NoLink`].
    pub fn schedule(&mut self, fault: Fault) -> Result<(), Error> {
        if let Some(host) = fault.host() {
            self.known(host)?;
        }
        if let Some((from, to)) = fault.link() {
            let link = self.direction(from, to)?;
            if matches!(fault, Fault::Outage { .. }) {
                self.direction(to, from)?;
            }
            if let Some(of_frame) = fault.of_frame() {
                self.directions[link as usize].pipe.list(of_frame);
            }
        }
        if let Some(at) = fault.at() {
            self.queue.enter(at.max(self.now), What::Fault { index: self.faults.len() as u32 });
            self.faults.push(fault);
        }
        Ok(())
    }

    /// Schedules what the seed draws from this menu: see [`fault::draw`]. Nothing in a world that replays a plan, which has
    /// them already.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::NoLink`].
    pub fn draw_faults(&mut self, menu: &Menu) -> Result<(), Error> {
        if self.mode != Mode::Search {
            return Ok(());
        }
        let faults = fault::draw(self.seed, menu);
        faults.iter().try_for_each(|&fault| self.schedule(fault))?;
        self.drawn.extend(faults);
        Ok(())
    }

    /// Has [`World::plan`] list what happens to single frames, too, from now on.
    pub fn keep_frame_faults(&mut self) {
        self.keeps_frame_faults = true;
    }

    /// What went wrong by chance: what was drawn, or the plan that is replayed. Of single frames' faults, which must have
    /// been asked for, it has the first 100,000.
    pub fn plan(&self) -> Plan {
        Plan { seed: self.seed, faults: self.drawn.clone() }
    }

    /// Says that `what` should be so in some worlds of a sweep, and whether it is so in this one, now.
    /// [`check`](crate::check::check) fails when it never was: a test of what never happens proves nothing.
    pub fn sometimes(&mut self, what: &'static str, is_so: bool) {
        *self.marks.entry(what).or_default() |= is_so;
    }

    /// What [`World::sometimes`] was told.
    pub fn marks(&self) -> &BTreeMap<&'static str, bool> {
        &self.marks
    }

    /// From now on nothing goes wrong: what does ends, what would does not begin, and hosts that are off boot. What a
    /// test waits for after this must come.
    pub fn heal(&mut self) {
        self.mode = Mode::Healed;
        self.listed.clear();
        for index in std::mem::take(&mut self.running) {
            self.end(self.faults[index as usize]);
        }
        for direction in &mut self.directions {
            direction.resets = 0;
        }
        for host in 0..self.hosts.len() as u32 {
            if self.hosts[host as usize].node.is_none() {
                self.queue.enter(self.now, What::Boot { host });
            }
        }
        self.trace.add(self.now, Kind::Healed, HostId::new(0), None, Frame::Len(0));
    }

    /// Cuts every link between a host of `a` and one of `b`, both ways, from `at` on for so long; at once if that has
    /// passed. Hosts of the same group still reach each other.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn partition(&mut self, a: &[HostId], b: &[HostId], at: Instant, lasts: Duration) -> Result<(), Error> {
        a.iter().chain(b).try_for_each(|&host| self.known(host))?;
        for &from in a {
            for &to in b {
                for link in [(from, to), (to, from)] {
                    if self.direction(link.0, link.1).is_ok() {
                        self.schedule(Fault::Silence { link, at, lasts })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time by a host's own clock.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn host_now(&self, host: HostId) -> Result<Instant, Error> {
        self.known(host)?;
        Ok(self.hosts[host.0 as usize].clock.reads(self.now))
    }

    /// The seed of every draw.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash of all that has happened.
    pub fn hash(&self) -> u64 {
        self.trace.hash()
    }

    /// What has happened.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What has happened, to have it recorded.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// The name of a host.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn name(&self, host: HostId) -> Result<&str, Error> {
        self.known(host)?;
        Ok(&self.hosts[host.0 as usize].name)
    }

    /// The address of a host.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn address(&self, host: HostId) -> Result<IpAddr, Error> {
        self.known(host)?;
        Ok(self.addresses[host.0 as usize])
    }

    /// All hosts, in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len() as u32).map(HostId)
    }

    /// What the hosts exchange: IP packets, or Ethernet frames.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// One event in words, with the names of its hosts.
    pub fn describe(&self, event: &Event) -> String {
        let name = |host: HostId| self.name(host).map_or_else(|_| host.to_string(), str::to_owned);
        event.describe(&name(event.host), event.peer.map(name).as_deref())
    }

    /// What runs on a host, if it is on and of this type.
    pub fn get<N: Node>(&self, host: HostId) -> Option<&N> {
        (self.hosts.get(host.0 as usize)?.node.as_deref()? as &dyn Any).downcast_ref()
    }

    /// What runs on a host, to change it from outside. The host is turned at the next step.
    pub fn get_mut<N: Node>(&mut self, host: HostId) -> Option<&mut N> {
        let index = host.0 as usize;
        (self.hosts.get(index)?.node.as_deref()? as &dyn Any).downcast_ref::<N>()?;
        self.hosts[index].due = Some(EPOCH);
        self.enter_timer(host.0);
        (self.hosts[index].node.as_deref_mut()? as &mut dyn Any).downcast_mut()
    }

    /// Lets everything happen that happens at the next instant, and returns it; `None` when nothing will ever happen.
    ///
    /// # Errors
    /// [`Error::Livelock`]; the world can only be looked at then. At the first step of a world that replays a plan, those
    /// of [`World::schedule`].
    pub fn step(&mut self) -> Result<Option<Instant>, Error> {
        for fault in std::mem::take(&mut self.listed) {
            self.schedule(fault)?;
            self.drawn.push(fault);
        }
        let Some(at) = self.queue.next_at() else { return Ok(None) };
        self.now = at;
        while let Some(what) = self.queue.pop_until(at) {
            self.happen(what);
        }
        let mut touched = std::mem::take(&mut self.touched);
        // In the order of the hosts, not of the events: what a host does depends on the instant alone.
        touched.sort_unstable();
        for &host in &touched {
            self.turn(host)?;
        }
        touched.clear();
        self.touched = touched;
        Ok(Some(at))
    }

    /// Steps to `deadline`, and sets the clock to it.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn run_until(&mut self, deadline: Instant) -> Result<(), Error> {
        while self.queue.next_at().is_some_and(|at| at <= deadline) {
            self.step()?;
        }
        self.now = self.now.max(deadline);
        Ok(())
    }

    /// Steps until `done`; returns whether it came to be before `deadline` passed or nothing was left to happen.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn run_until_done(&mut self, deadline: Instant, mut done: impl FnMut(&Self) -> bool) -> Result<bool, Error> {
        while !done(self) {
            if self.queue.next_at().is_none_or(|at| at > deadline) {
                return Ok(false);
            }
            self.step()?;
        }
        Ok(true)
    }

    fn known(&self, host: HostId) -> Result<(), Error> {
        if (host.0 as usize) < self.hosts.len() { Ok(()) } else { Err(Error::UnknownHost(host)) }
    }

    fn direction(&self, from: HostId, to: HostId) -> Result<u32, Error> {
        self.by_ends.get(&(from.0, to.0)).copied().ok_or(Error::NoLink(from, to))
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrival { link, frame } => self.arrive(link, frame),
            What::Timer { host } => {
                let slot = &mut self.hosts[host as usize];
                if slot.queued == Some(self.now) {
                    slot.queued = None;
                    match slot.due {
                        Some(due) if slot.clock.when(due) <= self.now => self.touch(host),
                        Some(_) => self.enter_timer(host),
                        None => {}
                    }
                }
            }
            What::Boot { host } => self.boot(host),
            What::Fault { index } => self.begin(index),
            What::Over { index } => {
                // Unless it has ended before its time.
                if self.running.remove(&index) {
                    self.end(self.faults[index as usize]);
                }
            }
            What::Free { host } => self.touch(host),
        }
    }

    fn touch(&mut self, host: u32) {
        let slot = &mut self.hosts[host as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched.push(host);
        }
    }

    /// Sees to it that the host is looked at when it is due. An entry that is earlier already will do: it looks again.
    fn enter_timer(&mut self, host: u32) {
        let slot = &mut self.hosts[host as usize];
        let Some(due) = slot.due else { return };
        let due = slot.clock.when(due).max(self.now);
        if slot.queued.is_none_or(|queued| due < queued) {
            slot.queued = Some(due);
            self.queue.enter(due, What::Timer { host });
        }
    }

    fn boot(&mut self, host: u32) {
        let slot = &mut self.hosts[host as usize];
        if slot.node.is_some() {
            return;
        }
        if slot.pauses > 0 {
            slot.boots_late = true;
            return;
        }
        let boot = Boot {
            host: HostId::new(host),
            epoch: slot.boots,
            seed: draw(self.seed, &[DRAW_BOOT, u64::from(host), u64::from(slot.boots)]),
            now: slot.clock.reads(self.now),
            address: self.addresses[host as usize],
            medium: self.medium,
            names: &self.names,
            addresses: &self.addresses,
        };
        slot.node = Some((slot.factory)(boot));
        slot.boots += 1;
        self.trace.add(self.now, Kind::Boot, HostId::new(host), None, Frame::Len(slot.boots as usize));
        self.touch(host);
    }

    fn crash(&mut self, host: HostId) -> bool {
        let slot = &mut self.hosts[host.0 as usize];
        if slot.node.take().is_none() {
            return false;
        }
        slot.nic.clear(&mut self.free);
        slot.due = None;
        self.trace.add(self.now, Kind::Crash, host, None, Frame::Len(0));
        true
    }

    fn begin(&mut self, index: u32) {
        if self.mode == Mode::Healed {
            return;
        }
        let fault = self.faults[index as usize];
        let lasts = match fault {
            Fault::Crash { host, off_for, .. } => {
                if self.crash(host)
                    && let Some(off_for) = off_for
                {
                    self.queue.enter(after(self.now, off_for), What::Boot { host: host.0 });
                }
                return;
            }
            Fault::Outage { link: (a, b), lasts, .. } => {
                for ends in [(a, b), (b, a)] {
                    self.set_down(ends, true);
                }
                lasts
            }
            Fault::Silence { link, lasts, .. } => {
                self.set_down(link, true);
                lasts
            }
            Fault::Squeeze { link: (from, to), lasts, rate_bps, .. } => {
                let link = self.by_ends[&(from.0, to.0)];
                self.directions[link as usize].pipe.squeeze(rate_bps, true);
                self.trace.add(self.now, Kind::Squeezed, from, Some(to), Frame::Len(0));
                lasts
            }
            Fault::Pause { host, lasts, .. } => {
                self.hosts[host.0 as usize].pauses += 1;
                self.trace.add(self.now, Kind::Paused, host, None, Frame::Len(0));
                lasts
            }
            Fault::Slow { host, lasts, turn, .. } => {
                self.hosts[host.0 as usize].slow.push(turn);
                self.trace.add(self.now, Kind::Slowed, host, None, Frame::Len(0));
                lasts
            }
            Fault::Stall { host, lasts, .. } => {
                self.hosts[host.0 as usize].stalls += 1;
                self.trace.add(self.now, Kind::Stalled, host, None, Frame::Len(0));
                lasts
            }
            Fault::ClockStep { host, ahead, .. } => {
                self.hosts[host.0 as usize].clock.step(self.now, ahead);
                return self.clock_changed(host);
            }
            Fault::ClockDrift { host, ppm, .. } => {
                self.hosts[host.0 as usize].clock.drift(self.now, ppm);
                return self.clock_changed(host);
            }
            Fault::Reset { link: (from, to), .. } => {
                self.directions[self.by_ends[&(from.0, to.0)] as usize].resets += 1;
                return;
            }
            // They are the link's to see to, and have no time at which they begin.
            Fault::Drop { .. }
            | Fault::Flip { .. }
            | Fault::Cut { .. }
            | Fault::Delay { .. }
            | Fault::Duplicate { .. } => {
                return;
            }
        };
        self.running.insert(index);
        self.queue.enter(after(self.now, lasts), What::Over { index });
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Outage { link: (a, b), .. } => {
                for ends in [(a, b), (b, a)] {
                    self.set_down(ends, false);
                }
            }
            Fault::Silence { link, .. } => self.set_down(link, false),
            Fault::Squeeze { link: (from, to), rate_bps, .. } => {
                let link = self.by_ends[&(from.0, to.0)];
                self.directions[link as usize].pipe.squeeze(rate_bps, false);
                self.trace.add(self.now, Kind::Unsqueezed, from, Some(to), Frame::Len(0));
            }
            Fault::Pause { host, .. } => {
                let slot = &mut self.hosts[host.0 as usize];
                slot.pauses -= 1;
                if slot.pauses == 0 {
                    let late = std::mem::take(&mut slot.boots_late);
                    self.trace.add(self.now, Kind::Resumed, host, None, Frame::Len(0));
                    if late {
                        self.boot(host.0);
                    }
                    self.touch(host.0);
                }
            }
            Fault::Slow { host, turn, .. } => {
                let slot = &mut self.hosts[host.0 as usize];
                if let Some(index) = slot.slow.iter().position(|&slow| slow == turn) {
                    slot.slow.swap_remove(index);
                }
                self.trace.add(self.now, Kind::Quickened, host, None, Frame::Len(0));
            }
            Fault::Stall { host, .. } => {
                self.hosts[host.0 as usize].stalls -= 1;
                self.trace.add(self.now, Kind::Unstalled, host, None, Frame::Len(0));
                // What its card holds is sent after a turn.
                self.touch(host.0);
            }
            // The others have no end.
            _ => {}
        }
    }

    fn clock_changed(&mut self, host: HostId) {
        self.trace.add(self.now, Kind::ClockSet, host, None, Frame::Len(0));
        self.enter_timer(host.0);
    }

    fn set_down(&mut self, (from, to): (HostId, HostId), down: bool) {
        let link = self.by_ends[&(from.0, to.0)];
        let direction = &mut self.directions[link as usize];
        direction.pipe.set_down(down);
        let kind = if down { Kind::LinkDown } else { Kind::LinkUp };
        self.trace.add(self.now, kind, direction.from, Some(direction.to), Frame::Len(0));
    }

    fn arrive(&mut self, link: u32, frame: u32) {
        let direction = &mut self.directions[link as usize];
        direction.pipe.arrived();
        let (from, to) = (direction.from, direction.to);
        let (frame, sent) = self.wire.remove(frame);
        let slot = &mut self.hosts[to.0 as usize];
        let kind = match &slot.node {
            None => Kind::NobodyHome,
            Some(_) if !slot.nic.has_room() => Kind::DroppedCard,
            Some(_) => Kind::Arrived,
        };
        self.trace.add(self.now, kind, to, Some(from), Frame::Again(&frame, sent));
        if kind == Kind::Arrived {
            slot.nic.deliver(frame);
            self.touch(to.0);
        } else {
            self.free.push(frame);
        }
    }

    fn turn(&mut self, host: u32) -> Result<(), Error> {
        let slot = &mut self.hosts[host as usize];
        slot.touched = false;
        if slot.pauses > 0 {
            return Ok(());
        }
        if self.now < slot.busy_until {
            self.queue.enter(slot.busy_until, What::Free { host });
            return Ok(());
        }
        // It may have crashed after it was touched.
        let Some(node) = &mut slot.node else { return Ok(()) };
        if slot.turned_at < self.now {
            (slot.turned_at, slot.turns) = (self.now, 0);
        }
        slot.turns += 1;
        if slot.turns > TURNS_PER_INSTANT_MAX {
            return Err(Error::Livelock { host: slot.name.clone(), at: self.now });
        }
        self.trace.add(self.now, Kind::Turn, HostId::new(host), None, Frame::Len(0));
        slot.nic.swap_free(&mut self.free);
        let now = slot.clock.reads(self.now);
        slot.due = node.turn(now, &mut slot.nic).map(|due| due.max(now));
        slot.nic.swap_free(&mut self.free);
        if let Some(&turn) = slot.slow.iter().max() {
            slot.busy_until = after(self.now, turn);
        }
        if slot.stalls == 0 {
            while let Some(frame) = self.hosts[host as usize].nic.take_sent() {
                self.route(HostId::new(host), frame);
            }
        } else if slot.nic.is_full() && slot.due == Some(now) {
            // It has more to send, and is turned when the card takes it.
            slot.due = None;
        }
        self.enter_timer(host);
        Ok(())
    }

    /// Finds the link, or on Ethernet the links, that lead to where the frame is going.
    fn route(&mut self, from: HostId, frame: Vec<u8>) {
        let to = match self.medium {
            Medium::Ip => destination(&frame).and_then(|address| self.by_address.get(&address).copied()),
            Medium::Ethernet => {
                if frame.first().is_some_and(|first| first & 1 == 1) {
                    return self.flood(from, frame);
                }
                frame.first_chunk::<6>().and_then(|mac| {
                    let [prefix @ .., a, b, c, d] = *mac;
                    (prefix == [2, 0]).then_some(u32::from_be_bytes([a, b, c, d]))
                })
            }
        };
        if let Some(&link) = to.and_then(|to| self.by_ends.get(&(from.0, to))) {
            self.send(link, frame);
        } else {
            self.trace.add(self.now, Kind::NoRoute, from, None, Frame::Bytes(&frame));
            self.free.push(frame);
        }
    }

    /// Sends a frame to a group: to all neighbours, who know whether it is for them.
    fn flood(&mut self, from: HostId, frame: Vec<u8>) {
        let links: Vec<u32> = self.by_ends.range((from.0, 0)..=(from.0, u32::MAX)).map(|(_, &link)| link).collect();
        for link in links {
            let mut copy = self.free.pop().unwrap_or_default();
            copy.clone_from(&frame);
            self.send(link, copy);
        }
        self.free.push(frame);
    }

    /// Sends a frame into a link, or what a fault makes of it.
    fn send(&mut self, link: u32, frame: Vec<u8>) {
        let direction = &mut self.directions[link as usize];
        if direction.resets > 0
            && let Some(resets) = cut(self.medium, &frame)
        {
            direction.resets -= 1;
            let (from, to) = (direction.from, direction.to);
            self.trace.add(self.now, Kind::Reset, from, Some(to), Frame::Bytes(&frame));
            self.free.push(frame);
            self.transmit(link, resets.onward);
            if let Some(&back) = self.by_ends.get(&(to.0, from.0)) {
                self.transmit(back, resets.back);
            }
        } else {
            self.transmit(link, frame);
        }
    }

    fn transmit(&mut self, link: u32, mut frame: Vec<u8>) {
        let direction = &mut self.directions[link as usize];
        let chance = match self.mode {
            Mode::Search => Chance::Seed(self.seed),
            Mode::Replay => Chance::Listed(self.seed),
            Mode::Healed => Chance::Healed(self.seed),
        };
        let number = direction.pipe.next_number();
        let verdict = direction.pipe.offer(chance, self.now, frame.len());
        if self.keeps_frame_faults && self.mode == Mode::Search {
            let room = FRAME_FAULTS_MAX.saturating_sub(self.drawn.len());
            let ends = (direction.from, direction.to);
            self.drawn.extend(verdict.faults().map(|fault| fault.on(ends, number)).take(room));
        }
        let kind = match verdict {
            Verdict::Arrives(_) => Kind::Sent,
            Verdict::Down => Kind::DroppedDown,
            Verdict::TooLong => Kind::DroppedLong,
            Verdict::QueueFull => Kind::DroppedQueue,
            Verdict::Lost => Kind::DroppedLoss,
        };
        let (from, to) = (direction.from, direction.to);
        let sent = self.trace.add(self.now, kind, from, Some(to), Frame::Bytes(&frame));
        let Verdict::Arrives(Passage { at, again, damage, .. }) = verdict else {
            self.free.push(frame);
            return;
        };
        if let Some(damage) = damage {
            damage.inflict(&mut frame);
            self.trace.add(self.now, Kind::Damaged, from, Some(to), Frame::Changed(&frame, sent));
        }
        if let Some(again) = again {
            let mut copy = self.free.pop().unwrap_or_default();
            copy.clone_from(&frame);
            self.trace.add(self.now, Kind::Duplicated, from, Some(to), Frame::Again(&copy, sent));
            let frame = self.wire.insert(copy, sent);
            self.queue.enter(again, What::Arrival { link, frame });
        }
        let frame = self.wire.insert(frame, sent);
        self.queue.enter(at, What::Arrival { link, frame });
    }
}

/// A time after another; the end of time if there is none.
fn after(now: Instant, span: Duration) -> Instant {
    Instant::from_ticks(now.as_ticks().saturating_add(span.as_ticks()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `burst` packets to `peer` at boot and answers none; notes when each packet came.
    struct Talker {
        address: IpAddr,
        peer: IpAddr,
        burst: usize,
        arrivals: Vec<Instant>,
        boot_seed: u64,
        epoch: u32,
    }

    const LEN: usize = 100;

    fn packet(bytes: &mut [u8], from: IpAddr, to: IpAddr) {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("tests use IPv4") };
        bytes[..4].copy_from_slice(&[0x45, 0, 0, LEN as u8]);
        bytes[12..16].copy_from_slice(&from.octets());
        bytes[16..20].copy_from_slice(&to.octets());
    }

    impl Node for Talker {
        fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
            while nic.receive_with(|_| ()).is_some() {
                self.arrivals.push(now);
            }
            for _ in 0..std::mem::take(&mut self.burst) {
                nic.send_with(LEN, |bytes| packet(bytes, self.address, self.peer));
            }
            None
        }
    }

    fn talker(world: &mut World, name: &str, last: u8, peer: &'static str, burst: usize) -> HostId {
        let make = move |boot: Boot<'_>| -> Box<dyn Node> {
            let peer = boot.resolve(peer).unwrap_or(IpAddr::from([9, 9, 9, 9]));
            let (boot_seed, epoch) = (boot.seed, boot.epoch);
            Box::new(Talker { address: boot.address, peer, burst, arrivals: vec![], boot_seed, epoch })
        };
        world.node(name, [10, 0, 0, last].into(), make).expect("name and address are free")
    }

    fn pair(seed: u64, burst: usize, link: Link) -> (World, HostId, HostId) {
        let mut world = World::new(seed);
        let a = talker(&mut world, "a", 1, "b", burst);
        let b = talker(&mut world, "b", 2, "a", 0);
        world.link(a, b, link).expect("both are hosts");
        (world, a, b)
    }

    fn at(ticks: u64) -> Instant {
        Instant::from_ticks(ticks)
    }

    fn finish(world: &mut World) {
        while world.step().expect("nothing is stuck").is_some() {}
    }

    fn kinds(world: &World) -> Vec<Kind> {
        world.trace().recorded().iter().map(|event| event.kind).collect()
    }

    #[test]
    fn frames_cross_a_link_at_its_rate_in_order() {
        // 100 bytes at 8 Mbit/s take 100 µs.
        let (mut world, _, b) = pair(7, 5, Link::new().latency(Duration::from_micros(50)).rate_bps(8_000_000));
        finish(&mut world);
        let arrivals = &world.get::<Talker>(b).expect("b is on").arrivals;
        assert_eq!(*arrivals, [at(150), at(250), at(350), at(450), at(550)]);
    }

    #[test]
    fn the_same_seed_gives_the_same_hash_and_another_does_not() {
        let hash = |seed| {
            let (mut world, ..) = pair(seed, 500, Link::new().loss_ppm(100_000).jitter(Duration::from_millis(1)));
            finish(&mut world);
            world.hash()
        };
        assert_eq!(hash(7), hash(7));
        assert_ne!(hash(7), hash(8));
    }

    #[test]
    fn another_host_elsewhere_does_not_change_what_happens_on_a_link() {
        let arrivals = |crowd: u8| {
            let (mut world, _, b) = pair(7, 500, Link::new().loss_ppm(100_000).jitter(Duration::from_millis(1)));
            for n in 0..crowd {
                talker(&mut world, &format!("crowd {n}"), 100 + n, "a", 3);
            }
            finish(&mut world);
            world.get::<Talker>(b).expect("b is on").arrivals.clone()
        };
        assert_eq!(arrivals(0), arrivals(20));
    }

    #[test]
    fn an_idle_world_has_no_events_and_its_clock_still_runs() {
        let (mut world, ..) = pair(7, 0, Link::new());
        world.run_until(EPOCH + Duration::from_hours(1000)).expect("nothing is stuck");
        assert_eq!(world.now(), EPOCH + Duration::from_hours(1000));
        // Two boots, two turns.
        assert_eq!(world.trace().events(), 4);
    }

    #[test]
    fn a_frame_without_a_route_is_dropped_and_told() {
        let mut world = World::new(7);
        talker(&mut world, "a", 1, "nobody", 1);
        world.trace_mut().record(0..10);
        finish(&mut world);
        assert_eq!(kinds(&world), [Kind::Boot, Kind::Turn, Kind::NoRoute]);
    }

    #[test]
    fn a_crash_loses_the_program_and_a_restart_makes_it_anew_with_another_seed() {
        let (mut world, a, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
        world.schedule(Fault::Crash { host: b, at: at(20_000), off_for: Some(Duration::from_millis(5)) }).unwrap();
        world.run_until(at(15_000)).unwrap();
        let before = world.get::<Talker>(b).expect("it is on");
        let (seed, epoch) = (before.boot_seed, before.epoch);
        assert_eq!(before.arrivals.len(), 1);
        world.run_until(at(21_000)).unwrap();
        assert!(world.get::<Talker>(b).is_none());
        world.run_until(at(30_000)).unwrap();
        let after = world.get::<Talker>(b).expect("it is on again");
        assert_eq!((epoch, after.epoch), (0, 1));
        assert_ne!(after.boot_seed, seed);
        assert!(after.arrivals.is_empty());
        assert_ne!(world.get::<Talker>(a).expect("it is on").boot_seed, seed);
    }

    #[test]
    fn a_frame_to_a_host_that_is_off_is_gone() {
        let (mut world, _, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
        world.schedule(Fault::Crash { host: b, at: at(5_000), off_for: Some(Duration::from_millis(20)) }).unwrap();
        world.trace_mut().record(0..100);
        finish(&mut world);
        assert!(kinds(&world).contains(&Kind::NobodyHome));
        assert!(world.get::<Talker>(b).expect("it is on again").arrivals.is_empty());
    }

    #[test]
    fn a_crashed_host_stays_off_when_nothing_switches_it_on() {
        let (mut world, _, b) = pair(7, 0, Link::new());
        world.schedule(Fault::Crash { host: b, at: at(5), off_for: None }).unwrap();
        world.schedule(Fault::Crash { host: b, at: at(6), off_for: Some(Duration::from_millis(20)) }).unwrap();
        finish(&mut world);
        assert!(world.get::<Talker>(b).is_none());
    }

    #[test]
    fn an_outage_drops_what_is_sent_meanwhile_and_not_what_is_under_way() {
        let (mut world, a, b) = pair(7, 1, Link::new().latency(Duration::from_millis(10)));
        let outage = |at, lasts| Fault::Outage { link: (a, b), at, lasts: Duration::from_millis(lasts) };
        world.schedule(outage(at(5_000), 10)).unwrap();
        world.schedule(outage(at(12_000), 10)).unwrap();
        for (time, send) in [(11_000, 1), (16_000, 1), (23_000, 1)] {
            world.run_until(at(time)).unwrap();
            world.get_mut::<Talker>(a).expect("it is on").burst = send;
        }
        finish(&mut world);
        assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(10_000), at(33_000)]);
    }

    #[test]
    fn a_silence_stops_one_direction_alone() {
        let (mut world, a, b) = pair(7, 1, Link::new());
        world.schedule(Fault::Silence { link: (a, b), at: EPOCH, lasts: Duration::from_millis(20) }).unwrap();
        world.run_until(at(5_000)).unwrap();
        for host in [a, b] {
            world.get_mut::<Talker>(host).expect("it is on").burst = 1;
        }
        world.run_until(at(20_000)).unwrap();
        world.get_mut::<Talker>(a).expect("it is on").burst = 1;
        finish(&mut world);
        let arrivals = |host| world.get::<Talker>(host).expect("it is on").arrivals.clone();
        assert_eq!((arrivals(a), arrivals(b)), (vec![at(6_000)], vec![at(21_000)]));
    }

    #[test]
    fn a_partition_cuts_between_its_groups_and_heals() {
        let mut world = World::new(7);
        let hosts = [1, 2, 3].map(|n| talker(&mut world, &format!("h{n}"), n, if n == 1 { "h3" } else { "h1" }, 0));
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            world.link(hosts[one], hosts[other], Link::new()).unwrap();
        }
        world.partition(&hosts[..2], &hosts[2..], at(10), Duration::from_millis(10)).unwrap();
        let send = |world: &mut World, host: HostId| world.get_mut::<Talker>(host).expect("it is on").burst = 1;
        world.run_until(at(1_000)).unwrap();
        // From the first to the third: cut. From the second to the first: not.
        send(&mut world, hosts[0]);
        send(&mut world, hosts[1]);
        world.run_until(at(11_000)).unwrap();
        send(&mut world, hosts[0]);
        finish(&mut world);
        let arrivals = hosts.map(|host| world.get::<Talker>(host).expect("it is on").arrivals.clone());
        assert_eq!(arrivals, [vec![at(2_000)], vec![], vec![at(12_000)]]);
        assert_eq!(
            world.partition(&hosts, &[HostId::new(9)], at(0), Duration::from_ticks(1)),
            Err(Error::UnknownHost(HostId::new(9)))
        );
    }

    #[test]
    fn a_host_that_stands_still_finds_what_came_meanwhile() {
        let (mut world, a, b) = pair(7, 1, Link::new());
        for (from, lasts) in [(500, 5), (2_000, 6)] {
            let lasts = Duration::from_millis(lasts);
            world.schedule(Fault::Pause { host: b, at: at(from), lasts }).unwrap();
        }
        world.run_until(at(7_500)).unwrap();
        world.get_mut::<Talker>(a).expect("it is on").burst = 1;
        finish(&mut world);
        assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(8_000), at(8_500)]);

        // Switched on meanwhile, it boots only when it goes on: nobody is there before.
        let (mut world, a, b) = pair(7, 0, Link::new());
        world.schedule(Fault::Crash { host: b, at: at(1), off_for: Some(Duration::from_millis(2)) }).unwrap();
        world.schedule(Fault::Pause { host: b, at: at(1_000), lasts: Duration::from_millis(9) }).unwrap();
        for time in [5_000, 10_000] {
            world.run_until(at(time)).unwrap();
            world.get_mut::<Talker>(a).expect("it is on").burst = 1;
        }
        finish(&mut world);
        assert_eq!(world.get::<Talker>(b).expect("it is on").arrivals, [at(11_000)]);

        let mut world = World::new(7);
        let host = world.node("clock", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap();
        world.schedule(Fault::Pause { host, at: at(2_500_000), lasts: Duration::from_secs(5) }).unwrap();
        world.run_until(at(9_000_000)).unwrap();
        // At 0, 1 and 2 s; at 7.5 s, late; at 8.5 s.
        assert_eq!(world.get::<Ticker>(host).map(|ticker| ticker.1), Some(5));
    }

    /// Asks to be turned every `period`, or at once when that is 0.
    struct Ticker(Duration, u64);

    impl Node for Ticker {
        fn turn(&mut self, now: Instant, _: &mut Nic) -> Option<Instant> {
            self.1 += 1;
            Some(now + self.0)
        }
    }

    #[test]
    fn a_host_is_turned_when_it_asked_to_be() {
        let mut world = World::new(7);
        let host = world.node("clock", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap();
        world.run_until(EPOCH + Duration::from_secs(60)).unwrap();
        assert_eq!(world.get::<Ticker>(host).map(|ticker| ticker.1), Some(61));
    }

    #[test]
    fn a_host_that_never_lets_time_pass_is_named() {
        let mut world = World::new(7);
        world.node("stuck", [10, 0, 0, 1].into(), |_| Box::new(Ticker(Duration::from_ticks(0), 0))).unwrap();
        let error = world.run_until(at(1)).unwrap_err();
        assert_eq!(error, Error::Livelock { host: "stuck".into(), at: EPOCH });
        assert_eq!(error.to_string(), "host stuck was turned 1000 times at 0 us: it is stuck");
    }

    #[test]
    fn names_and_addresses_are_given_once_and_links_join_two_hosts_of_the_world() {
        let mut world = World::new(7);
        let a = talker(&mut world, "a", 1, "b", 0);
        let again = |world: &mut World, name: &str, last: u8| {
            world.node(name, [10, 0, 0, last].into(), |_| Box::new(Ticker(Duration::from_secs(1), 0)))
        };
        assert_eq!(again(&mut world, "a", 2), Err(Error::NameTaken("a".into())));
        assert_eq!(again(&mut world, "b", 1), Err(Error::AddressTaken([10, 0, 0, 1].into())));
        for nowhere in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
            let nowhere: IpAddr = nowhere.parse().unwrap();
            let error = world.node("c", nowhere, |_| Box::new(Ticker(Duration::from_secs(1), 0))).unwrap_err();
            assert_eq!(error, Error::NoHostAddress(nowhere));
        }
        let stranger = HostId::new(5);
        assert_eq!(world.link(a, a, Link::new()), Err(Error::SelfLink(a)));
        assert_eq!(world.link(a, stranger, Link::new()), Err(Error::UnknownHost(stranger)));
        let b = again(&mut world, "b", 2).unwrap();
        assert_eq!(world.schedule(Fault::Reset { link: (a, b), at: EPOCH }), Err(Error::NoLink(a, b)));
        assert_eq!(
            world.schedule(Fault::Crash { host: stranger, at: EPOCH, off_for: None }),
            Err(Error::UnknownHost(stranger))
        );
    }

    /// Sends one frame to a hardware address, and counts what comes in.
    struct Shouter(Option<[u8; 6]>, u32);

    impl Node for Shouter {
        fn turn(&mut self, _: Instant, nic: &mut Nic) -> Option<Instant> {
            while nic.receive_with(|_| ()).is_some() {
                self.1 += 1;
            }
            if let Some(to) = self.0.take() {
                nic.send_with(64, |frame| frame[..6].copy_from_slice(&to));
            }
            None
        }
    }

    #[test]
    fn on_ethernet_a_frame_goes_to_its_hardware_address_and_a_broadcast_to_every_neighbour() {
        for (to, received) in [([0xFF; 6], [1, 1]), (HostId::new(2).mac(), [0, 1]), ([2, 0, 0, 0, 0, 9], [0, 0])] {
            let mut world = World::ethernet(7);
            let host = |world: &mut World, name: &str, last: u8, to: Option<[u8; 6]>| {
                world.node(name, [10, 0, 0, last].into(), move |_| Box::new(Shouter(to, 0))).unwrap()
            };
            let from = host(&mut world, "from", 1, Some(to));
            let near = [host(&mut world, "b", 2, None), host(&mut world, "c", 3, None)];
            for neighbour in near {
                world.link(from, neighbour, Link::new()).unwrap();
            }
            finish(&mut world);
            assert_eq!(near.map(|host| world.get::<Shouter>(host).map_or(0, |node| node.1)), received);
        }
    }

    #[test]
    fn two_runs_that_part_show_the_first_event_that_differs() {
        let run = |late: bool, record| {
            let (mut world, a, b) = pair(7, 300, Link::new());
            world.trace_mut().record(record);
            world.run_until(at(900)).unwrap();
            if late {
                world.link_one_way(a, b, Link::new().latency(Duration::from_millis(2))).unwrap();
            }
            world.get_mut::<Talker>(a).expect("it is on").burst = 300;
            finish(&mut world);
            world
        };
        let range = run(false, 0..0).trace().divergence(run(true, 0..0).trace()).expect("they part");
        let (one, other) = (run(false, range.clone()), run(true, range));
        let (one, other) = (one.trace().recorded(), other.trace().recorded());
        let first = one.iter().zip(other).find(|(one, other)| one != other).expect("it is in the range");
        assert_eq!((first.0.kind, first.1.kind, first.0.at), (Kind::Arrived, Kind::Arrived, at(1_900)));
        assert_eq!(first.1.at, at(2_900));
    }

    #[test]
    fn what_becomes_of_a_frame_names_the_event_in_which_it_was_sent() {
        let link = Link::new().damage_ppm(300_000).reorder_ppm(300_000).duplicate_ppm(300_000).loss_ppm(100_000);
        let (mut world, ..) = pair(7, 200, link);
        world.trace_mut().capture(0..u64::MAX);
        finish(&mut world);
        let events = world.trace().recorded();
        let bytes = |n: usize| world.trace().frame(&events[n]);
        let (mut whole, mut twice) = (0, 0);
        for sent in events.iter().filter(|event| event.kind == Kind::Sent) {
            assert_eq!(sent.frame, sent.number);
            let same: Vec<usize> = (sent.number as usize + 1..events.len())
                .filter(|&n| events[n].frame == sent.number && events[n].number != sent.number)
                .collect();
            let of = |kind| same.iter().copied().filter(move |&n| events[n].kind == kind);
            let arrivals: Vec<usize> = of(Kind::Arrived).collect();
            assert_eq!(arrivals.len(), 1 + of(Kind::Duplicated).count());
            let seen = of(Kind::Damaged).next().unwrap_or(sent.number as usize);
            assert!(arrivals.iter().all(|&n| bytes(n) == bytes(seen)));
            whole += usize::from(seen == sent.number as usize);
            twice += arrivals.len() - 1;
        }
        assert!((80..180).contains(&whole) && (20..100).contains(&twice), "{whole} whole, {twice} twice");
    }

    #[test]
    fn an_event_is_told_in_words() {
        let (mut world, ..) = pair(7, 1, Link::new());
        world.trace_mut().record(3..4);
        finish(&mut world);
        let line = world.describe(&world.trace().recorded()[0]);
        assert!(line.starts_with("#3 0.000000 s a ~ b: frame sent, 100 B ["), "{line}");
    }
}
