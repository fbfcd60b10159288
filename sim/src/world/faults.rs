//! What goes wrong: scheduled, drawn, begun, ended, healed.

use core::ops::RangeInclusive;

use tidemill_core::random::{below, draw};
use tidemill_core::time::{Duration, Instant};

use super::{Error, HostId, Mode, World, after};
use crate::event::What;
use crate::fault::{self, Fault, Menu};
use crate::order::Rule;
use crate::plan::Plan;
use crate::trace::{Frame, Kind};

impl World {
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
        if let Fault::Sched { host, nth, pick } = fault {
            self.hosts[host.0 as usize].nic.order().list(nth, pick);
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
        self.draw_faults_where(menu, |_| true)
    }

    /// As [`World::draw_faults`], without those for which `may` is false: what a program cannot survive, say.
    ///
    /// # Errors
    /// [`Error::UnknownHost`], [`Error::NoLink`].
    pub fn draw_faults_where(&mut self, menu: &Menu, may: impl Fn(&Fault) -> bool) -> Result<(), Error> {
        if self.mode != Mode::Search {
            return Ok(());
        }
        if fault::draws_order(self.seed) {
            self.shuffle_tasks();
        }
        let mut faults = fault::draw(self.seed, menu);
        faults.retain(may);
        faults.iter().try_for_each(|&fault| self.schedule(fault))?;
        self.drawn.extend(faults);
        Ok(())
    }

    /// How much the test should have of something that it may have less of when a failure is shrunk: clients, requests,
    /// the length of a file. The seed draws it, evenly, within `bounds`, and the plan lists it as a [`Fault::Size`]. What
    /// is drawn depends on how often this was called before, and on nothing else. To be called before the first step.
    ///
    /// ```
    /// use tidemill_sim::world::World;
    /// let mut world = World::new(7);
    /// let clients = world.size(1..=20);
    /// assert_eq!(World::replay(&world.plan()).size(1..=20), clients);
    /// ```
    pub fn size(&mut self, bounds: RangeInclusive<u64>) -> u64 {
        const DRAW_SIZE: u64 = 0x7369_7A65;
        let (least, most) = bounds.into_inner();
        let most = most.max(least);
        let nth = self.sizes;
        self.sizes += 1;
        if self.mode == Mode::Replay {
            let listed = self.listed.iter().find_map(|fault| match *fault {
                Fault::Size { nth: other, value } if other == nth => Some(value),
                _ => None,
            });
            return listed.unwrap_or(least).clamp(least, most);
        }
        let value = least + below(draw(self.seed, &[DRAW_SIZE, nth.into()]), (most - least).saturating_add(1));
        self.drawn.push(Fault::Size { nth, value });
        value
    }

    /// From now on the seed decides which of the ready tasks of a host is polled next; until then the one that has been
    /// ready longest is. Each choice that is not that one is a [`Fault::Sched`]. Nothing in a world that replays a plan,
    /// which has them already.
    pub fn shuffle_tasks(&mut self) {
        if self.mode == Mode::Search {
            self.order = Rule::Seed(self.seed);
            for host in &mut self.hosts {
                host.nic.order().set_rule(self.order);
            }
        }
    }

    /// Has [`World::plan`] list what happens to single frames, and which task was picked, too, from now on.
    pub fn keep_frame_faults(&mut self) {
        self.keeps_frame_faults = true;
    }

    /// What went wrong by chance: what was drawn, or the plan that is replayed. Of single frames' faults and of picks, which
    /// must have been asked for, it has the first 100,000.
    pub fn plan(&self) -> Plan {
        Plan { seed: self.seed, faults: self.drawn.clone() }
    }

    /// From now on nothing goes wrong: what does ends, what would does not begin, and hosts that are off boot. What a
    /// test waits for after this must come.
    pub fn heal(&mut self) {
        self.mode = Mode::Healed;
        self.listed.clear();
        self.order = Rule::Longest;
        for host in &mut self.hosts {
            host.nic.order().set_rule(Rule::Longest);
        }
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
        self.record.add(self.now, Kind::Healed, HostId::new(0), None, Frame::Len(0));
    }

    /// Cuts every link between a host of `a` and one of `b`, both ways, from `at` on for so long; at once if that has
    /// passed. Hosts of the same group still reach each other.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn partition(&mut self, a: &[HostId], b: &[HostId], at: Instant, lasts: Duration) -> Result<(), Error> {
        self.partition_one_way(a, b, at, lasts)?;
        self.partition_one_way(b, a, at, lasts)
    }

    /// As [`World::partition`], but what the hosts of `to` send still reaches those of `from`.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn partition_one_way(
        &mut self,
        from: &[HostId],
        to: &[HostId],
        at: Instant,
        lasts: Duration,
    ) -> Result<(), Error> {
        from.iter().chain(to).try_for_each(|&host| self.known(host))?;
        for &from in from {
            for &to in to {
                if self.direction(from, to).is_ok() {
                    self.schedule(Fault::Silence { link: (from, to), at, lasts })?;
                }
            }
        }
        Ok(())
    }

    /// Sets a host's clock ahead of the world's, and has it run fast or slow by so many millionths from now on: at most
    /// half as fast again, or half as slow.
    ///
    /// # Errors
    /// [`Error::UnknownHost`].
    pub fn set_clock(&mut self, host: HostId, ahead: Duration, ppm: i32) -> Result<(), Error> {
        self.known(host)?;
        let clock = &mut self.hosts[host.0 as usize].clock;
        clock.step(self.now, ahead);
        clock.drift(self.now, ppm);
        self.clock_changed(host);
        Ok(())
    }

    pub(super) fn begin(&mut self, index: u32) {
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
                self.record.add(self.now, Kind::Squeezed, from, Some(to), Frame::Len(0));
                lasts
            }
            Fault::Pause { host, lasts, .. } => {
                self.hosts[host.0 as usize].pauses += 1;
                self.record.add(self.now, Kind::Paused, host, None, Frame::Len(0));
                lasts
            }
            Fault::Slow { host, lasts, turn, .. } => {
                self.hosts[host.0 as usize].slow.push(turn);
                self.record.add(self.now, Kind::Slowed, host, None, Frame::Len(0));
                lasts
            }
            Fault::Stall { host, lasts, .. } => {
                self.hosts[host.0 as usize].stalls += 1;
                self.record.add(self.now, Kind::Stalled, host, None, Frame::Len(0));
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
            // They are the link's to see to, or the host's, and have no time at which they begin.
            Fault::Sched { .. }
            | Fault::Size { .. }
            | Fault::Drop { .. }
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

    pub(super) fn end(&mut self, fault: Fault) {
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
                self.record.add(self.now, Kind::Unsqueezed, from, Some(to), Frame::Len(0));
            }
            Fault::Pause { host, .. } => {
                let slot = &mut self.hosts[host.0 as usize];
                slot.pauses -= 1;
                if slot.pauses == 0 {
                    let late = std::mem::take(&mut slot.boots_late);
                    self.record.add(self.now, Kind::Resumed, host, None, Frame::Len(0));
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
                self.record.add(self.now, Kind::Quickened, host, None, Frame::Len(0));
            }
            Fault::Stall { host, .. } => {
                self.hosts[host.0 as usize].stalls -= 1;
                self.record.add(self.now, Kind::Unstalled, host, None, Frame::Len(0));
                // What its card holds is sent after a turn.
                self.touch(host.0);
            }
            // The others have no end.
            _ => {}
        }
    }

    fn clock_changed(&mut self, host: HostId) {
        self.record.add(self.now, Kind::ClockSet, host, None, Frame::Len(0));
        self.enter_timer(host.0);
    }

    fn set_down(&mut self, (from, to): (HostId, HostId), down: bool) {
        let link = self.by_ends[&(from.0, to.0)];
        let direction = &mut self.directions[link as usize];
        direction.pipe.set_down(down);
        let kind = if down { Kind::LinkDown } else { Kind::LinkUp };
        self.record.add(self.now, kind, direction.from, Some(direction.to), Frame::Len(0));
    }
}
