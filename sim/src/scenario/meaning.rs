//! What a scenario's tables mean: each name is a host of the file, what is joined can be joined, and what is wrong is told
//! with its line.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use toml::Spanned;

use super::file::{self, File};
use super::program::greet::NAME_MAX;
use super::{Host, Program, SOMETIMES, Scenario, ScenarioError};
use crate::fault::{DRAWN, Menu};
use crate::host::Tuning;
use crate::link::Link;
use crate::serial::Line;
use crate::world::{HostId, World};

/// The hosts that a name of the file stands for, and the file's text to say where something is wrong.
pub(super) struct Names<'t> {
    text: &'t str,
    hosts: BTreeMap<String, core::ops::Range<usize>>,
    /// How many hosts there are.
    all: usize,
}

impl<'t> Names<'t> {
    pub(super) fn new(text: &'t str, file: &File) -> Result<Self, ScenarioError> {
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

    pub(super) fn scenario(&self, file: File) -> Result<Scenario, ScenarioError> {
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
