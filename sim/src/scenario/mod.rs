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
//! `without` which kinds of [`DRAWN`]; and after which time all `heals_after`. A **`[[fault]]`** happens in every seed: it
//! stands there as in a plan, see [`Fault`].
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
mod program;

use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tidemill_core::serve::Echo;
use tidemill_core::time::{Duration, EPOCH, Instant};
use toml::Spanned;

pub use file::ScenarioError;

use crate::fault::{DRAWN, Fault, Menu, draw_link};
use crate::host::{Tcp, Tuning};
use crate::link::Link;
use crate::mill::{self, Server as FileServer};
use crate::serial::Line;
use crate::trace::Kind;
use crate::world::{Boot, Error, HostId, World};
use file::File;
use program::End;
use program::client::Client;
use program::club::{Club, Member};
use program::download::{Download, File as Kept};
use program::echo::{CHUNK, Shout};
use program::greet::{NAME_MAX, Visit, greet};
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

    /// The names of its hosts, in the order in which plans number them.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
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

/// The hosts that a name of the file stands for, and the file's text to say where something is wrong.
struct Names<'t> {
    text: &'t str,
    hosts: BTreeMap<String, core::ops::Range<usize>>,
    /// How many hosts there are.
    all: usize,
}

impl<'t> Names<'t> {
    fn new(text: &'t str, file: &File) -> Result<Self, ScenarioError> {
        let mut names = Self { text, hosts: BTreeMap::new(), all: 0 };
        for host in &file.hosts {
            let name = host.name.get_ref();
            let fits = (1..=NAME_MAX).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic());
            if !fits {
                let why = format!("a host's name has 1 to {NAME_MAX} letters, digits and signs, and no space");
                return Err(names.wrong(&host.name, why));
            }
            let hosts = names.all..names.all + host.count.unwrap_or(1) as usize;
            names.all = hosts.end;
            if names.hosts.insert(name.clone(), hosts).is_some() {
                return Err(names.wrong(&host.name, format!("there is another host {name:?}")));
            }
        }
        Ok(names)
    }

    fn wrong<T>(&self, at: &Spanned<T>, why: impl Into<String>) -> ScenarioError {
        ScenarioError::at(self.text, &at.span(), why)
    }

    /// The one of those that there are which has this name.
    fn one_of<T: Copy>(
        &self,
        all: &[T],
        name_of: impl Fn(T) -> &'static str,
        name: &Spanned<String>,
        otherwise: &str,
    ) -> Result<T, ScenarioError> {
        all.iter().copied().find(|&each| name_of(each) == name.get_ref()).ok_or_else(|| {
            let known = all.iter().map(|&each| name_of(each)).collect::<Vec<_>>().join(", ");
            self.wrong(name, format!("{:?} {otherwise}: there is {known}", name.get_ref()))
        })
    }

    /// The hosts with this name.
    fn find(&self, name: &Spanned<String>) -> Result<core::ops::Range<usize>, ScenarioError> {
        self.hosts.get(name.get_ref()).cloned().ok_or_else(|| {
            let known = self.hosts.keys().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            self.wrong(name, format!("there is no host {:?}: there is {known}", name.get_ref()))
        })
    }

    /// The one host with this name, which runs what is wanted.
    fn server(&self, file: &File, name: &Spanned<String>, runs: &str) -> Result<usize, ScenarioError> {
        let hosts = self.find(name)?;
        let table = file.hosts.iter().find(|host| host.name.get_ref() == name.get_ref());
        let right = table.is_some_and(|host| match runs {
            "serve" => host.serve.is_some(),
            "echo" => host.echo.is_some(),
            "club" => host.club.is_some(),
            _ => host.greet.is_some(),
        });
        if !right || hosts.len() != 1 {
            return Err(self.wrong(name, format!("{:?} is not one host with {runs} = {{ … }}", name.get_ref())));
        }
        Ok(hosts.start)
    }

    fn pairs(&self, [a, b]: &[Spanned<String>; 2]) -> Result<Vec<(usize, usize)>, ScenarioError> {
        let (of_a, of_b) = (self.find(a)?, self.find(b)?);
        if of_a == of_b && of_a.len() == 1 {
            return Err(self.wrong(b, "a link leads to another host"));
        }
        Ok(of_a.flat_map(|a| of_b.clone().map(move |b| (a, b))).filter(|(a, b)| a != b).collect())
    }

    fn program(&self, file: &File, host: &file::Host) -> Result<Program, ScenarioError> {
        let mut programs = Vec::new();
        if let Some(serve) = &host.serve {
            programs.push(Program::Serve { size: serve.size, connections: serve.connections });
        }
        if let Some(download) = &host.download {
            let from = self.server(file, &download.from, "serve")?;
            let (connections, receives_at_most) = (download.connections, download.receives_at_most);
            programs.push(Program::Download { from, connections, receives_at_most });
        }
        if host.echo.is_some() {
            programs.push(Program::Echo);
        }
        if let Some(shout) = &host.shout {
            programs.push(Program::Shout { to: self.server(file, &shout.to, "echo")?, size: shout.size });
        }
        if host.greet.is_some() {
            programs.push(Program::Greet);
        }
        if let Some(visit) = &host.visit {
            programs.push(Program::Visit { to: self.server(file, &visit.to, "greet")?, times: visit.times.into() });
        }
        if host.club.is_some() {
            programs.push(Program::Club);
        }
        if let Some(member) = &host.member {
            programs.push(Program::Member { to: self.server(file, &member.to, "club")?, times: member.times.into() });
        }
        if let Some(transmit) = &host.transmit {
            programs.push(Program::Transmit { size: transmit.size });
        }
        if let Some(receive) = &host.receive {
            programs.push(Program::Receive { size: receive.size });
        }
        if host.switch.is_some() {
            programs.push(Program::Switch);
        }
        let wrong = |why| self.wrong(&host.name, format!("host {:?} runs {why}", host.name.get_ref()));
        match programs[..] {
            [program] => Ok(program),
            [] => Err(wrong(
                "nothing: give it one of serve, download, echo, shout, greet, visit, club, member, transmit, receive, switch",
            )),
            _ => Err(wrong("several programs: give it one")),
        }
    }

    fn hosts(&self, file: &File) -> Result<Vec<Host>, ScenarioError> {
        let mut hosts = Vec::new();
        let mut taken = BTreeMap::new();
        for table in &file.hosts {
            let runs = self.program(file, table)?;
            let count = table.count.unwrap_or(1);
            if let Some(address) = table.address.as_ref().filter(|_| count > 1) {
                return Err(self.wrong(address, "several hosts cannot have one address"));
            }
            if let Some(address) = table.address.as_ref().filter(|_| runs.is_serial() || runs == Program::Switch) {
                return Err(self.wrong(address, "a host with a serial port has no address, nor has a switch"));
            }
            if runs == Program::Switch && file.medium != file::Medium::Ethernet {
                return Err(self.wrong(&table.name, "a switch is one of Ethernet: begin with medium = \"ethernet\""));
            }
            let Ok(window @ 256..=0x10_0000) = usize::try_from(table.window) else {
                return Err(self.wrong(&table.name, "a window has 256 bytes to 1MiB"));
            };
            let tuning = Tuning { receive_bytes: window, send_bytes: window, ..Tuning::default() };
            for n in 0..count {
                let name = table.name.get_ref();
                let name = if table.count.is_some() { format!("{name}{}", n + 1) } else { name.clone() };
                // 10.0.0.1 and on, in the order of the hosts.
                let [_, b, c, d] = (hosts.len() as u32 + 1).to_be_bytes();
                let address = table.address.as_ref().map_or(Ipv4Addr::new(10, b, c, d).into(), |each| *each.get_ref());
                if !smoltcp::wire::IpAddress::from(address).is_unicast() {
                    let place = table.address.as_ref().map_or(table.name.span(), Spanned::span);
                    return Err(ScenarioError::at(
                        self.text,
                        &place,
                        format!("no host can have the address {address}"),
                    ));
                }
                if let Some(other) = taken.insert(address, name.clone()) {
                    return Err(self.wrong(&table.name, format!("{other:?} has the address {address}, too")));
                }
                hosts.push(Host { name, address, tuning, runs });
            }
        }
        Ok(hosts)
    }

    fn scenario(&self, file: File) -> Result<Scenario, ScenarioError> {
        let hosts = self.hosts(&file)?;
        let mut links = Vec::new();
        for table in &file.links {
            for (a, b) in self.pairs(&table.between)? {
                links.push((a, b, link(table), table.spoiled));
                if !table.one_way {
                    links.push((b, a, link(table), table.spoiled));
                }
            }
        }
        let mut lines: Vec<(usize, usize, Line)> = Vec::new();
        for table in &file.lines {
            let (of_a, of_b) = (self.find(&table.between[0])?, self.find(&table.between[1])?);
            let (a, b) = (of_a.start, of_b.start);
            let taken = |host: usize| lines.iter().any(|line| line.0 == host || line.1 == host);
            if !hosts[a].runs.is_serial()
                || !hosts[b].runs.is_serial()
                || a == b
                || taken(a)
                || taken(b)
                || of_a.len() + of_b.len() > 2
            {
                let why = "a line joins two hosts that transmit or receive, each of which has one line";
                return Err(self.wrong(&table.between[0], why));
            }
            let line = Line::new(table.baud).bit_error_ppm(table.bit_errors.unwrap_or(0));
            lines.push((a, b, line.lost_ppm(table.lost.unwrap_or(0)).inserted_ppm(table.inserted.unwrap_or(0))));
        }
        for (table, serial) in file.links.iter().flat_map(|table| table.between.iter().map(move |name| (table, name))) {
            if self.find(serial)?.any(|host| hosts[host].runs.is_serial()) {
                return Err(self.wrong(&table.between[0], "a host with a serial port is joined by a [[line]]"));
            }
        }
        let joined = |(a, b): &(usize, usize)| lines.iter().any(|line| (line.0, line.1) == (*a, *b));
        let linked = |(a, b): &(usize, usize)| {
            links.iter().any(|(from, to, ..)| (from, to) == (a, b)) || joined(&(*a, *b)) || joined(&(*b, *a))
        };
        let id = |index: usize| HostId::new(index as u32);
        let menu = match &file.menu {
            None => None,
            Some(menu) => {
                let mut on_menu = Menu { horizon: menu.within, hosts: Vec::new(), links: Vec::new() };
                for name in &menu.hosts {
                    on_menu.hosts.extend(self.find(name)?.map(id));
                }
                for ends in &menu.links {
                    for (a, b) in self.pairs(ends)? {
                        // An outage is of both ways.
                        if !linked(&(a, b)) || !linked(&(b, a)) {
                            let names = (ends[0].get_ref(), ends[1].get_ref());
                            let why = format!("no [[link]] joins {:?} and {:?}, both ways", names.0, names.1);
                            return Err(self.wrong(&ends[0], why));
                        }
                        on_menu.links.push((id(a), id(b)));
                    }
                }
                Some(on_menu)
            }
        };
        for fault in &file.faults {
            let index = |host: HostId| host.index() as usize;
            let of_link = fault.get_ref().link().map(|(a, b)| (index(a), index(b)));
            let unknown = fault.get_ref().host().is_some_and(|host| index(host) >= self.all);
            if unknown || of_link.is_some_and(|ends| !linked(&ends)) {
                let why = format!("there is no such host or link: hosts are numbered 0 to {}", self.all - 1);
                return Err(self.wrong(fault, why));
            }
        }
        let without = file.menu.iter().flat_map(|menu| &menu.without);
        let without = without.map(|kind| self.one_of(&DRAWN, |known| known, kind, "is nothing that is drawn"));
        let without = without.collect::<Result<_, _>>()?;
        let sometimes = file.must.sometimes.iter();
        let sometimes = sometimes.map(|what| self.one_of(SOMETIMES, |known| known.0, what, "is nothing one can see"));
        let sometimes = sometimes.collect::<Result<_, _>>()?;
        if !hosts.iter().any(|host| host.runs.ends()) {
            let why =
                "nothing here comes to an end: one host must download, shout, visit, be a member, transmit or receive"
                    .into();
            return Err(ScenarioError { line: None, why });
        }
        let scenario = Scenario {
            about: file.about,
            ethernet: file.medium == file::Medium::Ethernet,
            hosts,
            links,
            lines,
            menu,
            without,
            heals_after: file.menu.and_then(|menu| menu.heals_after),
            faults: file.faults.into_iter().map(Spanned::into_inner).collect(),
            finish_within: file.must.finish_within,
            sometimes,
        };
        // What only a world sees, as switches in a circle, is wrong in each seed: better said now.
        match scenario.build(&mut World::new(0)) {
            Ok(_) => Ok(scenario),
            Err(error) => Err(ScenarioError { line: None, why: error.to_string() }),
        }
    }
}

fn link(table: &file::LinkTable) -> Link {
    let mut link = Link::new();
    if let Some(latency) = table.latency {
        link = link.latency(latency);
    }
    if let Some(jitter) = table.jitter {
        link = link.jitter(jitter);
    }
    if let Some(rate) = table.rate {
        link = link.rate_bps(rate);
    }
    if let Some(queue) = table.queue {
        link = link.queue_bytes(queue);
    }
    if let Some(loss) = table.loss {
        link = link.loss_ppm(loss);
    }
    if let Some(bursts) = &table.bursts {
        link = link.bursts(bursts.begin, bursts.longest);
    }
    if let Some(damage) = table.damage {
        link = link.damage_ppm(damage);
    }
    if let Some(reorder) = table.reorder {
        link = link.reorder_ppm(reorder);
    }
    if let Some(duplicate) = table.duplicate {
        link = link.duplicate_ppm(duplicate);
    }
    if let Some(mtu) = table.mtu {
        link = link.mtu(usize::try_from(mtu).unwrap_or(usize::MAX));
    }
    link
}

#[cfg(test)]
mod tests;
