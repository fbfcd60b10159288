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

mod error;
mod faults;
mod node;
mod record;
#[cfg(test)]
mod tests;
mod wire;

pub use error::Error;
pub use node::{Boot, FLASH_MAX, Flash, FlashFull, HostId, Node};

use core::any::Any;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use smoltcp::phy::Medium;
use tidemill_core::random::draw;
use tidemill_core::time::{Duration, EPOCH, Instant};

use crate::clock::Clock;
use crate::event::{Queue, What};
use crate::fault::Fault;
use crate::frame::{Free, Nic, Slab};
use crate::link::{Link, Pipe};
use crate::oracle::{Oracle, Wire};
use crate::order::Rule;
use crate::plan::Plan;
use crate::trace::{Event, Frame, Kind, Trace};
use node::{Direction, Host, Switch};
use record::Record;

/// How often a host may be turned within one instant before it counts as stuck.
pub const TURNS_PER_INSTANT_MAX: u32 = 1000;

/// A world of simulated hosts. See the [module](self).
pub struct World {
    seed: u64,
    now: Instant,
    medium: Medium,
    hosts: Vec<Host>,
    names: BTreeMap<String, u32>,
    addresses: Vec<Option<IpAddr>>,
    by_address: BTreeMap<IpAddr, u32>,
    directions: Vec<Direction>,
    by_ends: BTreeMap<(u32, u32), u32>,
    faults: Vec<Fault>,
    /// Which of them have begun and not ended.
    running: BTreeSet<u32>,
    mode: Mode,
    order: Rule,
    any_switch: bool,
    /// How often it was asked for a size.
    sizes: u32,
    counts_use: bool,
    /// What a plan lists, until the first step.
    listed: Vec<Fault>,
    /// What the seed has drawn.
    drawn: Vec<Fault>,
    keeps_frame_faults: bool,
    marks: BTreeMap<&'static str, bool>,
    queue: Queue,
    wire: Slab,
    free: Free,
    touched: Vec<u32>,
    record: Record,
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
        Self { mode: Mode::Replay, order: Rule::Listed, listed: plan.faults.clone(), ..Self::new(plan.seed) }
    }

    /// Has hosts exchange Ethernet frames; for a world that has none yet.
    ///
    /// # Errors
    /// [`Error::NotEmpty`].
    pub fn use_ethernet(&mut self) -> Result<(), Error> {
        if !self.hosts.is_empty() {
            return Err(Error::NotEmpty);
        }
        (self.medium, self.record.medium) = (Medium::Ethernet, Medium::Ethernet);
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
            order: Rule::Longest,
            any_switch: false,
            sizes: 0,
            counts_use: false,
            listed: Vec::new(),
            drawn: Vec::new(),
            keeps_frame_faults: false,
            marks: BTreeMap::new(),
            queue: Queue::default(),
            wire: Slab::default(),
            free: Free::default(),
            touched: Vec::new(),
            record: Record::new(Trace::new(seed), medium),
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
        if self.by_address.contains_key(&address) {
            return Err(Error::AddressTaken(address));
        }
        if !smoltcp::wire::IpAddress::from(address).is_unicast() {
            return Err(Error::NoHostAddress(address));
        }
        let host = self.add(name, Some(address), Box::new(factory))?;
        self.by_address.insert(address, host.0);
        Ok(host)
    }

    /// Adds a host without an address, which brings its own stack: whatever it sends goes to the one host it is joined to.
    ///
    /// # Errors
    /// [`Error::NameTaken`].
    pub fn device(
        &mut self,
        name: &str,
        factory: impl FnMut(Boot<'_>) -> Box<dyn Node> + 'static,
    ) -> Result<HostId, Error> {
        self.add(name, None, Box::new(factory))
    }

    /// Adds a switch for a world of Ethernet: it learns where hosts are from what they send, and forwards to there. It is
    /// linked and fails as hosts do; what it has learnt is lost with its power. A host sends to whom it has no link
    /// through the first switch that it is joined to.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::NotEthernet`].
    pub fn switch(&mut self, name: &str) -> Result<HostId, Error> {
        if self.medium != Medium::Ethernet {
            return Err(Error::NotEthernet);
        }
        let switch = self.add(name, None, Box::new(|_| Box::new(Switch)))?;
        self.hosts[switch.0 as usize].learnt = Some(BTreeMap::new());
        self.any_switch = true;
        Ok(switch)
    }

    fn add(&mut self, name: &str, address: Option<IpAddr>, factory: node::Factory) -> Result<HostId, Error> {
        if self.names.contains_key(name) {
            return Err(Error::NameTaken(name.into()));
        }
        let host = self.hosts.len() as u32;
        self.names.insert(name.into(), host);
        self.addresses.push(address);
        let mut nic = Nic::new(self.medium);
        nic.order().begin(self.order, host);
        self.hosts.push(Host {
            name: name.into(),
            factory,
            node: None,
            nic,
            flash: Flash::default(),
            learnt: None,
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
            in_use_max: 0,
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
        let joined = self.by_ends.contains_key(&(from.0, to.0)) || self.by_ends.contains_key(&(to.0, from.0));
        if self.any_switch && !joined && self.switched(from, to) {
            return Err(Error::SwitchLoop(from, to));
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

    /// Whether two switches reach each other through links between switches. O(links).
    fn switched(&self, from: HostId, to: HostId) -> bool {
        let is_switch = |host: u32| self.hosts[host as usize].learnt.is_some();
        if !is_switch(from.0) || !is_switch(to.0) {
            return false;
        }
        let (mut seen, mut left) = (BTreeSet::from([from.0]), vec![from.0]);
        while let Some(at) = left.pop() {
            for &(one, other) in self.by_ends.keys().filter(|ends| ends.0 == at || ends.1 == at) {
                let next = if one == at { other } else { one };
                if is_switch(next) && seen.insert(next) {
                    left.push(next);
                }
            }
        }
        seen.contains(&to.0)
    }

    /// Has an oracle watch what happens from now on. Its first objection ends the next step with [`Error::Broken`].
    pub fn watch(&mut self, oracle: impl Oracle) {
        self.record.watch(Box::new(oracle));
    }

    /// What an oracle of this type has noted, if one watches. O(oracles).
    pub fn oracle<O: Oracle>(&self) -> Option<&O> {
        self.record.oracle()
    }

    /// Has the [`Wire`] monitor watch, unless it does already. [`check`](crate::check::check) does this in every world.
    pub fn watch_wire(&mut self) {
        if self.oracle::<Wire>().is_none() {
            self.watch(Wire::default());
        }
    }

    /// Counts from now on how much of what they have a fixed number of hosts use at most: see [`World::in_use_max`].
    /// Makes each turn slower.
    pub fn count_use(&mut self) {
        self.counts_use = true;
    }

    /// How many sockets a host uses now; `None`: it is off, or does not count.
    pub fn in_use(&self, host: HostId) -> Option<usize> {
        self.hosts.get(host.0 as usize)?.node.as_ref()?.in_use()
    }

    /// The most it has used at the end of a turn since [`World::count_use`].
    pub fn in_use_max(&self, host: HostId) -> Option<usize> {
        self.hosts.get(host.0 as usize).map(|slot| slot.in_use_max)
    }

    /// What survives a host's crashes.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn flash(&self, host: HostId) -> Result<&Flash, Error> {
        self.known(host)?;
        Ok(&self.hosts[host.0 as usize].flash)
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
        self.record.trace.hash()
    }

    /// What has happened.
    pub fn trace(&self) -> &Trace {
        &self.record.trace
    }

    /// What has happened, to have it recorded.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.record.trace
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
    /// [`Error::UnknownHost`], [`Error::NoAddress`].
    pub fn address(&self, host: HostId) -> Result<IpAddr, Error> {
        self.known(host)?;
        self.addresses[host.0 as usize].ok_or(Error::NoAddress(host))
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
    /// [`Error::Livelock`], [`Error::Broken`]; the world can only be looked at then. At the first step of a world that replays a plan, those
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
        self.record.objection().map_or(Ok(Some(at)), Err)
    }

    /// Steps once, unless nothing happens until `deadline`; returns whether it did.
    ///
    /// # Errors
    /// Those of [`World::step`].
    pub fn step_until(&mut self, deadline: Instant) -> Result<bool, Error> {
        if self.queue.next_at().is_none_or(|at| at > deadline) {
            return Ok(false);
        }
        self.step().map(|_| true)
    }

    /// Steps to `deadline`, and sets the clock to it.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn run_until(&mut self, deadline: Instant) -> Result<(), Error> {
        while self.step_until(deadline)? {}
        self.now = self.now.max(deadline);
        Ok(())
    }

    /// Steps until `done`; returns whether it came to be before `deadline` passed or nothing was left to happen.
    ///
    /// # Errors
    /// [`Error::Livelock`].
    pub fn run_until_done(&mut self, deadline: Instant, mut done: impl FnMut(&Self) -> bool) -> Result<bool, Error> {
        while !done(self) {
            if !self.step_until(deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What runs on a host, if it is on and of this type, with its card, for a turn outside of the run loop.
    pub(crate) fn lend_node<N: Node, R>(
        &mut self,
        host: HostId,
        turn: impl FnOnce(&mut N, &mut Nic) -> R,
    ) -> Option<R> {
        self.get_mut::<N>(host)?;
        let slot = &mut self.hosts[host.0 as usize];
        let node = (slot.node.as_deref_mut()? as &mut dyn Any).downcast_mut()?;
        let result = turn(node, &mut slot.nic);
        self.note_picks(host.0);
        Some(result)
    }

    /// Tells which tasks were picked out of turn.
    fn note_picks(&mut self, host: u32) {
        let order = self.hosts[host as usize].nic.order();
        if order.picked.is_empty() {
            return;
        }
        let mut picked = std::mem::take(&mut order.picked);
        let id = HostId::new(host);
        for &(nth, pick) in &picked {
            self.record.add(self.now, Kind::Picked, id, None, Frame::Len(pick as usize));
            if self.keeps_frame_faults && self.mode == Mode::Search && self.drawn.len() < FRAME_FAULTS_MAX {
                self.drawn.push(Fault::Sched { host: id, nth, pick });
            }
        }
        picked.clear();
        self.hosts[host as usize].nic.order().picked = picked;
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
        // A switch has none, and does not ask.
        let address = self.addresses[host as usize].unwrap_or(core::net::Ipv4Addr::UNSPECIFIED.into());
        let boot = Boot {
            host: HostId::new(host),
            epoch: slot.boots,
            seed: draw(self.seed, &[DRAW_BOOT, u64::from(host), u64::from(slot.boots)]),
            now: slot.clock.reads(self.now),
            address,
            medium: self.medium,
            flash: &slot.flash,
            names: &self.names,
            addresses: &self.addresses,
        };
        slot.node = Some((slot.factory)(boot));
        slot.boots += 1;
        self.record.add(self.now, Kind::Boot, HostId::new(host), None, Frame::Len(slot.boots as usize));
        self.touch(host);
    }

    fn crash(&mut self, host: HostId) -> bool {
        let slot = &mut self.hosts[host.0 as usize];
        if slot.node.take().is_none() {
            return false;
        }
        slot.nic.clear(&mut self.free);
        slot.due = None;
        if let Some(learnt) = &mut slot.learnt {
            learnt.clear();
        }
        self.record.add(self.now, Kind::Crash, host, None, Frame::Len(0));
        true
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
        slot.nic.swap_free(&mut self.free);
        let now = slot.clock.reads(self.now);
        slot.due = node.turn(now, &mut slot.nic).map(|due| due.max(now));
        // Its timer, by its own clock; one at once is the next microsecond's.
        let timer = slot.due.map_or(0, |due| (due - now).as_ticks().clamp(1, u32::MAX.into()));
        self.record.add(self.now, Kind::Turn, HostId::new(host), None, Frame::Len(timer as usize));
        slot.nic.swap_free(&mut self.free);
        if self.counts_use {
            slot.in_use_max = slot.in_use_max.max(node.in_use().unwrap_or(0));
        }
        if let Some(why) = slot.nic.failure() {
            return Err(Error::Machine { host: slot.name.clone(), why: why.into() });
        }
        self.note_picks(host);
        let slot = &mut self.hosts[host as usize];
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
}

/// A time after another; the end of time if there is none.
fn after(now: Instant, span: Duration) -> Instant {
    Instant::from_ticks(now.as_ticks().saturating_add(span.as_ticks()))
}
