//! A scenario as a file: hosts and what they run, the links between them, what may go wrong, and what must hold.
//!
//! ```toml
//! about = "a client shouts at an echo over a bad link"
//!
//! [[host]]
//! name = "server"
//! echo = {}
//!
//! [[host]]
//! name = "client"
//! shout = { to = "server", size = "64KiB" }
//!
//! [[link]]
//! between = ["client", "server"]
//! latency = "20ms"
//! loss = "2%"
//!
//! [menu]
//! within = "2s"
//! hosts = ["server"]
//!
//! [must]
//! finish_within = "5min"
//! sometimes = ["crash", "lost"]
//! ```
//!
//! **`[[host]]`** is a host, in the order in which plans number them: its `name`; its `address`, if it matters; a `count`,
//! for `name1` to `nameN`; the `window` of its sockets (16 KiB); and one program:
//!
//! | program | what it does |
//! |---|---|
//! | `serve = { size, connections }` | an HTTP server of one file, for so many connections at once (24) |
//! | `download = { from, connections, receives_at_most }` | the engine of `tidemill get` over so many connections (4), with a journal that survives crashes; it may receive so many bytes, those received twice included |
//! | `echo = {}` | sends back what it gets |
//! | `shout = { to, size }` | sends so many bytes to an echo, and checks what comes back |
//! | `greet = {}` | answers to a name with a greeting |
//! | `visit = { to, times }` | says its name so many times, and checks each greeting |
//! | `club = {}` | serves pages over HTTP to who has logged in, by cookies, passwords and redirects |
//! | `member = { to, times }` | logs in so many times, and checks each page |
//! | `transmit = { size }` | sends so many bytes over its serial port, in blocks that are checked and sent again |
//! | `receive = { size }` | takes them, and checks every byte |
//! | `switch = {}` | none: it is no host but a switch, for `medium = "ethernet"`, which joins those that are linked to it |
//!
//! **`[[link]]`** joins two hosts, or all of a name that has a `count`, `between` them: `latency` (1ms), `jitter`, `rate`,
//! `queue` (256KiB), `loss`, `bursts = { begin, longest }`, `damage`, `reorder`, `duplicate`, `mtu`, as in
//! [`Link`]; with `one_way = true` from the first to the second alone; with `spoiled = true` each seed makes it worse in its
//! own way ([`draw_link`]).
//!
//! **`[[line]]`** is a serial line `between` two hosts that transmit or receive: `baud`, `bit_errors`, `lost`, `inserted`, as
//! in [`Line`].
//!
//! **`[menu]`** is what each seed may let go wrong: which `hosts` and `links` (from, to), `within` which time it begins,
//! `without` which of the [kinds](crate::fault::DRAWN); and after which time all `heals_after`. A **`[[fault]]`** happens
//! in every seed: it stands there as in a plan, see [`Fault`].
//!
//! **`[must]`** says what must hold: every program that has an end has come to a good one within the virtual time
//! `finish_within`; and, over all seeds of a sweep, each of `sometimes` was seen: see [`SOMETIMES`].
//!
//! ```
//! use tidemill_sim::check::check;
//! use tidemill_sim::scenario::Scenario;
//!
//! let echo = Scenario::builtin("echo").unwrap();
//! check(0..50, |world| echo.run(world));
//! ```

mod file;
mod meaning;
mod program;

use core::net::IpAddr;
use core::str::FromStr;
use std::cell::Cell;
use std::rc::Rc;

use tidemill_core::serve::Echo;
use tidemill_core::time::{Duration, EPOCH, Instant};

pub use file::ScenarioError;

use crate::fault::{Fault, Menu, draw_link};
use crate::host::{Tcp, Tuning};
use crate::link::Link;
use crate::mill::{self, Server as FileServer};
use crate::serial::Line;
use crate::trace::Kind;
use crate::world::{Boot, Error, HostId, World};
use meaning::Names;
use program::End;
use program::client::Client;
use program::club::{Club, Member};
use program::download::{Download, File as Kept};
use program::echo::{CHUNK, Shout};
use program::greet::{Visit, greet};
use program::serial::{Receive, Transmit};
use program::server::{BACKLOG, Server};

/// The scenarios that are built in: their names, and their files.
const BUILTIN: &[(&str, &str)] = &[
    ("download", include_str!("../../examples/download.toml")),
    ("echo", include_str!("../../examples/echo.toml")),
    ("greeting", include_str!("../../examples/greeting.toml")),
    ("crash-resume", include_str!("../../examples/crash-resume.toml")),
    ("thundering-herd", include_str!("../../examples/thundering-herd.toml")),
    ("club", include_str!("../../examples/club.toml")),
    ("lossy-serial", include_str!("../../examples/lossy-serial.toml")),
];

/// What a sweep can be asked to have seen, in a scenario's `sometimes`.
pub const SOMETIMES: &[(&str, Kind)] = &[
    ("crash", Kind::Crash),
    ("pause", Kind::Paused),
    ("slow", Kind::Slowed),
    ("stall", Kind::Stalled),
    ("clock", Kind::ClockSet),
    ("outage", Kind::LinkDown),
    ("squeeze", Kind::Squeezed),
    ("reset", Kind::Reset),
    ("lost", Kind::DroppedLoss),
    ("damaged", Kind::Damaged),
    ("duplicated", Kind::Duplicated),
    ("queue-full", Kind::DroppedQueue),
    ("card-full", Kind::DroppedCard),
    ("too-long", Kind::DroppedLong),
    ("link-down", Kind::DroppedDown),
    ("host-off", Kind::NobodyHome),
];

const HTTP: u16 = 80;
const ECHO: u16 = 7;
const GREETING: u16 = 4000;

/// Sockets of a host with one connection at a time; of one with few; of one with many.
const FEW: usize = 8;
const SOME: usize = 32;
const MANY: usize = 128;

/// A scenario: what a file says, checked. See the [module](self).
#[derive(Clone, Debug)]
pub struct Scenario {
    about: String,
    ethernet: bool,
    hosts: Vec<Host>,
    links: Vec<(usize, usize, Link, bool)>,
    lines: Vec<(usize, usize, Line)>,
    menu: Option<Menu>,
    /// Kinds on the menu that are not drawn.
    without: Vec<&'static str>,
    heals_after: Option<Duration>,
    faults: Vec<Fault>,
    finish_within: Duration,
    sometimes: Vec<(&'static str, Kind)>,
}

#[derive(Clone, Debug)]
struct Host {
    name: String,
    address: IpAddr,
    tuning: Tuning,
    runs: Program,
}

/// What a host runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Program {
    Serve { size: u64, connections: usize },
    Download { from: usize, connections: usize, receives_at_most: u64 },
    Echo,
    Shout { to: usize, size: u64 },
    Greet,
    Visit { to: usize, times: u64 },
    Club,
    Member { to: usize, times: u64 },
    Transmit { size: u64 },
    Receive { size: u64 },
    Switch,
}

impl Program {
    /// It has a serial port, and no network.
    fn is_serial(self) -> bool {
        matches!(self, Self::Transmit { .. } | Self::Receive { .. })
    }

    /// It comes to an end.
    fn ends(self) -> bool {
        !matches!(self, Self::Serve { .. } | Self::Echo | Self::Greet | Self::Club | Self::Switch)
    }
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let file = file::read(text)?;
        Names::new(text, &file)?.scenario(file)
    }
}

impl Scenario {
    /// The built-in scenario of this name.
    pub fn builtin(name: &str) -> Option<Self> {
        // A test reads every one of them.
        Self::builtin_text(name)?.parse().ok()
    }

    /// The file of the built-in scenario of this name.
    pub fn builtin_text(name: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|(each, _)| *each == name).map(|&(_, text)| text)
    }

    /// The names of all that are built in.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|&(name, _)| name)
    }

    /// What it is about, in a line.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Builds it in an empty world and runs it: what [`check`](crate::check::check) checks.
    ///
    /// # Errors
    /// What did not hold.
    pub fn run(&self, world: &mut World) -> Result<(), String> {
        self.build(world).map_err(|error| error.to_string()).and_then(|ends| self.finish(world, &ends))
    }

    /// Adds what there is; returns the programs that come to an end.
    fn build(&self, world: &mut World) -> Result<Ends, Error> {
        if self.ethernet {
            world.use_ethernet()?;
        }
        let mut ends = Ends { open: Rc::default(), each: Vec::new() };
        let ids = self.hosts.iter().map(|host| self.add(host, world, &mut ends)).collect::<Result<Vec<_>, _>>()?;
        for &(from, to, link, spoiled) in &self.links {
            // Both ways of a link are spoiled alike, and each link in its own way.
            let key = world.seed() ^ (from.min(to) as u64) << 48 ^ (from.max(to) as u64) << 32;
            let link = if spoiled { draw_link(key, link) } else { link };
            world.link_one_way(ids[from], ids[to], link)?;
        }
        for &(a, b, line) in &self.lines {
            world.serial_line(ids[a], ids[b], line)?;
        }
        if let Some(menu) = &self.menu {
            world.draw_faults_where(menu, |fault| !self.without.contains(&fault.kind()))?;
        }
        self.faults.iter().try_for_each(|&fault| world.schedule(fault))?;
        Ok(ends)
    }

    fn add(&self, host: &Host, world: &mut World, ends: &mut Ends) -> Result<HostId, Error> {
        let (seed, ipv6) = (world.seed(), host.address.is_ipv6());
        let server = |index: usize, port: u16| (self.hosts[index].address, port).into();
        match host.runs {
            Program::Serve { size, connections } => {
                let file = mill::Scenario::of_file("/file", size, seed);
                let make = move |_: Boot<'_>| FileServer::new(&file, ipv6, connections);
                if connections + BACKLOG <= SOME {
                    tuned::<_, SOME>(world, host, make)
                } else {
                    tuned::<_, MANY>(world, host, make)
                }
            }
            Program::Download { from, connections, receives_at_most } => {
                let (server, file, end) = (server(from, HTTP), Kept::new(seed), ends.add(&host.name));
                let make = move |boot: Boot<'_>| {
                    let (file, journal, end) = (Rc::clone(&file), boot.flash.clone(), end.clone());
                    Download::new(server, connections, receives_at_most, boot.seed, file, journal, end)
                };
                // A connection that was closed keeps its socket for a while.
                if 2 * connections <= FEW {
                    tuned::<_, FEW>(world, host, make)
                } else if 2 * connections <= SOME {
                    tuned::<_, SOME>(world, host, make)
                } else {
                    tuned::<_, MANY>(world, host, make)
                }
            }
            Program::Echo => tuned::<_, SOME>(world, host, move |_| {
                Server::new(ipv6, ECHO, SOME - BACKLOG, |_| Echo::<CHUNK>::new())
            }),
            Program::Greet => {
                tuned::<_, SOME>(world, host, move |_| Server::new(ipv6, GREETING, SOME - BACKLOG, |_| greet()))
            }
            Program::Club => {
                tuned::<_, SOME>(world, host, move |_| Server::new(ipv6, HTTP, SOME - BACKLOG, |_| Club::default()))
            }
            Program::Member { to, times } => {
                let (server, end) = (server(to, HTTP), ends.add(&host.name));
                tuned::<_, FEW>(world, host, move |boot| {
                    Client::new(server, Member::new(times, seed), boot.seed, boot.now, end.clone())
                })
            }
            Program::Shout { to, size } => {
                let (server, end) = (server(to, ECHO), ends.add(&host.name));
                tuned::<_, FEW>(world, host, move |boot| {
                    Client::new(server, Shout::new(seed, size), boot.seed, boot.now, end.clone())
                })
            }
            Program::Transmit { size } => {
                let end = ends.add(&host.name);
                world.serial_host(&host.name, move |_| Transmit::new(seed, size, end.clone()))
            }
            Program::Receive { size } => {
                let end = ends.add(&host.name);
                world.serial_host(&host.name, move |_| Receive::new(seed, size, end.clone()))
            }
            Program::Switch => world.switch(&host.name),
            Program::Visit { to, times } => {
                let (server, end, name) = (server(to, GREETING), ends.add(&host.name), host.name.clone());
                tuned::<_, FEW>(world, host, move |boot| {
                    Client::new(server, Visit::new(&name, times), boot.seed, boot.now, end.clone())
                })
            }
        }
    }

    /// Runs it to its end, and says what did not hold.
    fn finish(&self, world: &mut World, ends: &Ends) -> Result<(), String> {
        let deadline = after(self.finish_within);
        let heals_at = self.heals_after.map(after).filter(|&at| at < deadline);
        let all = |_: &World| ends.open.get() == 0;
        let mut done = world.run_until_done(heals_at.unwrap_or(deadline), all).map_err(|error| error.to_string())?;
        if !done && heals_at.is_some() {
            world.heal();
            done = world.run_until_done(deadline, all).map_err(|error| error.to_string())?;
        }
        for &(what, kind) in &self.sometimes {
            world.sometimes(what, world.trace().count(kind) > 0);
        }
        for (name, end) in &ends.each {
            match end.outcome() {
                Some(Err(why)) => return Err(format!("{name}: {why}")),
                None if !done => {
                    let limit = std::time::Duration::from_micros(self.finish_within.as_ticks());
                    return Err(format!("{name} did not finish within {limit:?}"));
                }
                Some(Ok(())) | None => {}
            }
        }
        Ok(())
    }
}

/// The time after so long.
fn after(span: Duration) -> Instant {
    EPOCH + span
}

fn tuned<P: tidemill_core::executor::Program<Tcp<N>> + 'static, const N: usize>(
    world: &mut World,
    host: &Host,
    make: impl FnMut(Boot<'_>) -> P + 'static,
) -> Result<HostId, Error> {
    world.tuned_host::<P, N>(&host.name, host.address, host.tuning, make)
}

/// The programs that come to an end, and how many have not.
struct Ends {
    open: Rc<Cell<usize>>,
    each: Vec<(String, End)>,
}

impl Ends {
    fn add(&mut self, name: &str) -> End {
        let end = End::new(&self.open);
        self.each.push((name.into(), end.clone()));
        end
    }
}

#[cfg(test)]
mod tests;
