//! The way of a frame: from a card through links, and perhaps switches, to another card.

use smoltcp::phy::Medium;

use super::node::LEARNT_MAX;
use super::{FRAME_FAULTS_MAX, HostId, Mode, World};
use crate::event::What;
use crate::frame::Buffer;
use crate::link::{Chance, Passage, Verdict};
use crate::reset::{cut, destination};
use crate::trace::{Frame, Kind};

impl World {
    pub(super) fn arrive(&mut self, link: u32, frame: u32) {
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
        let what = Frame::Again(&frame.bytes, sent);
        match (kind, &slot.learnt) {
            (Kind::Arrived, Some(_)) => {
                self.record.pass(self.now, kind, to, Some(from), what);
                self.forward(to, from, frame);
            }
            (Kind::Arrived, None) => {
                self.record.add(self.now, kind, to, Some(from), what);
                slot.nic.deliver(frame);
                self.touch(to.0);
            }
            _ => {
                self.record.add(self.now, kind, to, Some(from), what);
                self.free.put(frame);
            }
        }
    }

    /// What a switch does: it learns behind which neighbour the sender is, and sends the frame on to where the receiver
    /// was last seen, or, if that is not known, to everybody else.
    fn forward(&mut self, switch: HostId, from: HostId, frame: Buffer) {
        let slot = &mut self.hosts[switch.0 as usize];
        let macs = frame
            .bytes
            .first_chunk::<12>()
            .and_then(|macs| Some((*macs.first_chunk::<6>()?, *macs.last_chunk::<6>()?)));
        let (Some(learnt), Some((target, source))) = (&mut slot.learnt, macs) else {
            self.free.put(frame);
            return;
        };
        if source[0] & 1 == 0 && (learnt.contains_key(&source) || learnt.len() < LEARNT_MAX) {
            learnt.insert(source, from.0);
        }
        let to = learnt.get(&target).copied();
        if to == Some(from.0) {
            // The receiver is where the frame came from: it has it already.
            self.free.put(frame);
        } else if let Some(&link) = to.and_then(|to| self.by_ends.get(&(switch.0, to))) {
            self.send(link, frame);
        } else {
            self.flood(switch, Some(from), frame);
        }
    }

    /// Finds the link, or on Ethernet the links, that lead to where the frame is going.
    pub(super) fn route(&mut self, from: HostId, frame: Buffer) {
        if self.addresses[from.0 as usize].is_none() {
            return self.flood(from, None, frame);
        }
        let to = match self.medium {
            Medium::Ip => destination(&frame.bytes).and_then(|address| self.by_address.get(&address).copied()),
            Medium::Ethernet => {
                if frame.bytes.first().is_some_and(|first| first & 1 == 1) {
                    return self.flood(from, None, frame);
                }
                frame.bytes.first_chunk::<6>().and_then(|mac| {
                    let [prefix @ .., a, b, c, d] = *mac;
                    (prefix == [2, 0]).then_some(u32::from_be_bytes([a, b, c, d]))
                })
            }
        };
        if let Some(&link) = to.and_then(|to| self.by_ends.get(&(from.0, to))) {
            self.send(link, frame);
        } else if let Some(link) = self.switch_of(from) {
            self.send(link, frame);
        } else {
            self.record.add(self.now, Kind::NoRoute, from, None, Frame::Bytes(&frame.bytes));
            self.free.put(frame);
        }
    }

    /// The link to the first switch that a host is joined to. O(neighbours) where there are switches.
    fn switch_of(&self, host: HostId) -> Option<u32> {
        if !self.any_switch {
            return None;
        }
        let neighbours = self.by_ends.range((host.0, 0)..=(host.0, u32::MAX));
        neighbours.filter(|((_, to), _)| self.hosts[*to as usize].learnt.is_some()).map(|(_, &link)| link).next()
    }

    /// Sends a frame to all neighbours but one, who know whether it is for them.
    fn flood(&mut self, from: HostId, except: Option<HostId>, frame: Buffer) {
        let mut next = 0;
        // By the number of the neighbour, so that no list of them has to be made.
        while let Some((&(_, to), &link)) = self.by_ends.range((from.0, next)..=(from.0, u32::MAX)).next() {
            if except != Some(HostId(to)) {
                let copy = self.free.copy(&frame);
                self.send(link, copy);
            }
            let Some(after) = to.checked_add(1) else { break };
            next = after;
        }
        self.free.put(frame);
    }

    /// Sends a frame into a link, or what a fault makes of it.
    fn send(&mut self, link: u32, frame: Buffer) {
        let direction = &mut self.directions[link as usize];
        if direction.resets > 0
            && let Some(resets) = cut(self.medium, &frame.bytes)
        {
            direction.resets -= 1;
            let (from, to) = (direction.from, direction.to);
            self.record.add(self.now, Kind::Reset, from, Some(to), Frame::Bytes(&frame.bytes));
            self.free.put(frame);
            // They are ours, not the hosts': no oracle hears of their being sent.
            self.record.forging = true;
            self.transmit(link, Buffer::unknown(resets.onward));
            if let Some(&back) = self.by_ends.get(&(to.0, from.0)) {
                self.transmit(back, Buffer::unknown(resets.back));
            }
            self.record.forging = false;
        } else {
            self.transmit(link, frame);
        }
    }

    fn transmit(&mut self, link: u32, mut frame: Buffer) {
        let direction = &mut self.directions[link as usize];
        let chance = match self.mode {
            Mode::Search => Chance::Seed(self.seed),
            Mode::Replay => Chance::Listed(self.seed),
            Mode::Healed => Chance::Healed(self.seed),
        };
        let number = direction.pipe.next_number();
        let verdict = direction.pipe.offer(chance, self.now, frame.bytes.len());
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
        let what = Frame::Bytes(&frame.bytes);
        let sent = if self.hosts[from.0 as usize].learnt.is_some() {
            self.record.pass(self.now, kind, from, Some(to), what)
        } else {
            self.record.add(self.now, kind, from, Some(to), what)
        };
        let Verdict::Arrives(Passage { at, again, damage, .. }) = verdict else {
            self.free.put(frame);
            return;
        };
        if let Some(damage) = damage {
            damage.inflict(&mut frame.bytes);
            frame.is_sound = false;
            self.record.add(self.now, Kind::Damaged, from, Some(to), Frame::Changed(&frame.bytes, sent));
        }
        if let Some(again) = again {
            let copy = self.free.copy(&frame);
            self.record.add(self.now, Kind::Duplicated, from, Some(to), Frame::Again(&copy.bytes, sent));
            let frame = self.wire.insert(copy, sent);
            self.queue.enter(again, What::Arrival { link, frame });
        }
        let frame = self.wire.insert(frame, sent);
        self.queue.enter(at, What::Arrival { link, frame });
    }
}
