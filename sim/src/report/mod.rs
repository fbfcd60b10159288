//! What one sees of a run that failed: a folder with the same events as text, as a capture for Wireshark, and as a page.
//!
//! | file | what it is |
//! |---|---|
//! | `trace.txt` | every event on a line, the last ones first |
//! | `world.pcapng` | every frame at either end of its link, with a comment on what became of it |
//! | `report.html` | a ladder of all hosts to look around in; one file, nothing is fetched |
//!
//! The world must have captured its trace from before it ran. Frames are joined to what became of them by
//! [`Event::frame`]; nothing is guessed.
//!
//! ```
//! use tidemill_core::fetch::Options;
//! use tidemill_sim::mill::{Mill, Scenario};
//! use tidemill_sim::plan::Plan;
//! use tidemill_sim::report;
//!
//! let scenario: Scenario = "sim://mill/64KiB?rtt=40ms&loss=2%&seed=7".parse()?;
//! let mut mill = Mill::<40>::new(&scenario);
//! mill.world_mut().trace_mut().capture(0..u64::MAX);
//! mill.download(&scenario, 4, Options::default())?;
//! let folder = std::env::temp_dir().join(format!("tidemill-report-{}", std::process::id()));
//! let plan = Plan { seed: 7, faults: vec![] };
//! report::write(mill.world(), &plan, "it took too long", &folder)?;
//! assert!(std::fs::read_to_string(folder.join("trace.txt"))?.contains("it took too long"));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod page;
mod pcap;
mod text;

use core::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tidemill_core::time::{Duration, Instant};

use crate::plan::Plan;
use crate::trace::{Event, Kind};
use crate::world::{HostId, World};
use decode::{Flows, Packet, Place, decode};

/// Writes what was captured of a run into a folder, which is made if it is not there.
///
/// `why` is what the run failed with. Events beyond [`RECORDED_MAX`](crate::trace::RECORDED_MAX), and the bytes of frames
/// beyond [`CAPTURED_MAX`](crate::trace::CAPTURED_MAX), are not there to be shown, and the files say so.
///
/// # Errors
/// What the file system says.
pub fn write(world: &World, plan: &Plan, why: &str, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let story = Story::new(world, plan, why);
    write_file(&folder.join("trace.txt"), |out| text::write(&story, out))?;
    write_file(&folder.join("world.pcapng"), |out| pcap::write(&story, out))?;
    write_file(&folder.join("report.html"), |out| page::write(&story, None, out))
}

/// Writes the capture alone, as [`write()`] does.
///
/// # Errors
/// What the file system says.
pub fn write_capture(world: &World, plan: &Plan, why: &str, path: &Path) -> io::Result<()> {
    write_file(path, |out| pcap::write(&Story::new(world, plan, why), out))
}

/// Writes the page alone, as [`write()`] does; `replay` is the command that it says replays the run, for there is no script
/// beside it.
///
/// # Errors
/// What the file system says.
pub fn write_page(world: &World, plan: &Plan, why: &str, replay: &str, path: &Path) -> io::Result<()> {
    write_file(path, |out| page::write(&Story::new(world, plan, why), Some(replay), out))
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(&mut out)?;
    out.flush()
}

/// No event.
const NONE: u32 = u32::MAX;

/// A run, with its frames read and joined to what became of them.
struct Story<'a> {
    world: &'a World,
    plan: &'a Plan,
    why: &'a str,
    events: &'a [Event],
    /// By event: what its frame is, for one that is first seen there.
    packets: Vec<Option<(Packet, Place)>>,
    flows: Flows,
    /// By event: the next that tells of the same frame, or [`NONE`].
    next: Vec<u32>,
}

impl<'a> Story<'a> {
    /// O(events · log connections).
    fn new(world: &'a World, plan: &'a Plan, why: &'a str) -> Self {
        let events = world.trace().recorded();
        let mut story = Self {
            world,
            plan,
            why,
            events,
            packets: Vec::new(),
            flows: Flows::default(),
            next: vec![NONE; events.len()],
        };
        for event in events {
            let bytes = world.trace().frame(event).filter(|_| event.frame == event.number);
            let packet = bytes.map(|bytes| {
                let packet = decode(world.medium(), bytes);
                let place =
                    if let Packet::Tcp(segment) = &packet { story.flows.place(segment) } else { Place::default() };
                (packet, place)
            });
            story.packets.push(packet);
        }
        // Backwards, so that each chain is in the order of events.
        for index in (0..events.len()).rev() {
            let first = story.first(index);
            if first != index {
                story.next[index] = story.next[first];
                story.next[first] = index as u32;
            }
        }
        story
    }

    /// The event in which the frame of this one was first seen; itself if that was not recorded.
    fn first(&self, index: usize) -> usize {
        let event = &self.events[index];
        // Events are recorded without gaps.
        (event.number.checked_sub(event.frame)).and_then(|back| index.checked_sub(back as usize)).unwrap_or(index)
    }

    /// The events that tell of the same frame after this one, in order.
    fn after(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let next = move |&index: &usize| Some(self.next[index]).filter(|&next| next != NONE).map(|next| next as usize);
        core::iter::successors(next(&index), next)
    }

    fn name(&self, host: HostId) -> &str {
        // The events are of this world.
        self.world.name(host).unwrap_or("?")
    }

    /// The frame of an event in words, as it was sent; `None` when there is none, or its bytes were not kept.
    fn line(&self, index: usize) -> Option<String> {
        self.packets[self.first(index)].as_ref().map(|(packet, place)| decode::line(packet, *place))
    }

    /// Whence and whither the frame of an event goes, or which way a link leads.
    fn way(&self, index: usize) -> (HostId, Option<HostId>) {
        let event = &self.events[index];
        match event.peer {
            Some(peer) if arrives(event.kind) => (peer, Some(event.host)),
            peer => (event.host, peer),
        }
    }

    /// What becomes of the frame of this event, in words; empty for an event that has none.
    fn fate(&self, index: usize) -> String {
        let event = &self.events[index];
        let mut words = match (event.kind, dropped(event.kind)) {
            (Kind::Sent, _) => "sent".to_owned(),
            (Kind::Arrived, _) => self.received(index),
            (Kind::Reset, _) => "dropped: its connection was cut, and a reset went to either end".into(),
            (_, Some(why)) => format!("dropped: {why}"),
            _ => return String::new(),
        };
        if arrives(event.kind) {
            let sent = &self.events[self.first(index)];
            if sent.number == event.number {
                _ = write!(words, ", sent before the record begins (#{})", event.frame);
            } else {
                _ = write!(words, ", sent {} before (#{})", span(event.at - sent.at), sent.number);
            }
            if let Some(damaged) = self.damaged(index) {
                _ = write!(words, ", damaged: {}", self.damage(damaged));
            }
        }
        if event.kind == Kind::Sent {
            let mut ends = 0;
            for later in self.after(index) {
                let then = &self.events[later];
                words += ", ";
                match then.kind {
                    Kind::Damaged => _ = write!(words, "damaged: {}", self.damage(later)),
                    Kind::Duplicated => words += "duplicated",
                    kind => {
                        let what = dropped(kind).map_or_else(|| "received".to_owned(), |why| format!("dropped: {why}"));
                        let late = then.at - event.at;
                        _ = write!(words, "{what} {} later (#{})", span(late), then.number);
                        ends += 1;
                    }
                }
            }
            if ends == 0 {
                words += ", still under way when the record ends";
            }
        }
        words
    }

    fn received(&self, index: usize) -> String {
        let original =
            self.original(index).map(|first| format!("received, a duplicate of #{}", self.events[first].number));
        original.unwrap_or_else(|| "received".into())
    }

    /// The event in which the frame of this one arrived, if this one tells that it did so again.
    fn original(&self, index: usize) -> Option<usize> {
        let mut arrivals = self.after(self.first(index)).filter(|&other| arrives(self.events[other].kind));
        arrivals.next().filter(|&first| first < index && arrives(self.events[index].kind))
    }

    /// The event in which the frame of this one was damaged before.
    fn damaged(&self, index: usize) -> Option<usize> {
        self.after(self.first(index)).find(|&other| self.events[other].kind == Kind::Damaged && other < index)
    }

    /// What happened to a frame that was damaged in this event.
    fn damage(&self, index: usize) -> String {
        let bytes = |index: usize| self.world.trace().frame(&self.events[index]);
        let (Some(before), Some(after)) = (bytes(self.first(index)), bytes(index)) else {
            return "bytes not kept".into();
        };
        if after.len() < before.len() {
            return format!("cut from {} to {} B", before.len(), after.len());
        }
        match before.iter().zip(after).position(|(before, after)| before != after) {
            Some(byte) => format!("byte {byte} is {:#04x}, was {:#04x}", after[byte], before[byte]),
            None => "nothing one can see".into(),
        }
    }
}

/// Whether the frame of such an event has reached the far end: then its host is the receiver.
fn arrives(kind: Kind) -> bool {
    matches!(kind, Kind::Arrived | Kind::NobodyHome | Kind::DroppedCard)
}

/// Why a frame was dropped, for a kind that says so.
fn dropped(kind: Kind) -> Option<&'static str> {
    kind.words().strip_prefix("frame dropped: ")
}

/// A time in seconds.
fn seconds(at: Instant) -> String {
    let micros = at.as_ticks();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A span with its unit.
fn span(span: Duration) -> String {
    let micros = span.as_ticks();
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{}.{:03} ms", micros / 1_000, micros % 1_000),
        _ => format!("{}.{:06} s", micros / 1_000_000, micros % 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use crate::frame::Nic;
    use crate::link::Link;
    use crate::mill::{Mill, Scenario};
    use crate::world::Node;
    use core::ops::Range;
    use tidemill_core::fetch::Options;
    use tidemill_core::time::EPOCH;

    /// A download of 500 kB to which everything happens, and its plan.
    pub(super) fn hostile() -> (World, Plan) {
        recorded(0..u64::MAX)
    }

    /// The same, of which these events are recorded.
    fn recorded(numbers: Range<u64>) -> (World, Plan) {
        let link = Link::new()
            .loss_ppm(20_000)
            .damage_ppm(20_000)
            .reorder_ppm(20_000)
            .duplicate_ppm(20_000)
            .rate_bps(20_000_000)
            .queue_bytes(40_000);
        let (rtt, seed) = (Duration::from_millis(20), 7);
        let scenario = Scenario { host: "mill".into(), path: "/file".into(), size: 500_000, rtt, link, seed };
        let mut mill = Mill::<32>::new(&scenario);
        mill.world_mut().trace_mut().capture(numbers);
        let (server, client) = (mill.server(), mill.client());
        let at = |millis| EPOCH + Duration::from_millis(millis);
        let lasts = Duration::from_millis(30);
        let faults = vec![
            Fault::Outage { link: (client, server), at: at(1_465), lasts },
            Fault::Reset { link: (server, client), at: at(1_445) },
            Fault::Pause { host: client, at: at(2_460), lasts },
            Fault::Crash { host: server, at: at(25), off_for: Some(lasts) },
        ];
        for &fault in &faults {
            mill.world_mut().schedule(fault).unwrap();
        }
        let end = mill.download(&scenario, 4, Options::default()).unwrap();
        assert_eq!(end.outcome, Some(Ok(500_000)));
        (mill.into_world(), Plan { seed, faults })
    }

    /// Sends a packet to nobody when time begins.
    struct Lost;

    impl Node for Lost {
        fn turn(&mut self, now: Instant, nic: &mut Nic) -> Option<Instant> {
            if now == EPOCH {
                nic.send_with(20, |packet| packet[0] = 0x45);
            }
            None
        }
    }

    /// Two hosts with these names that send to nobody.
    pub(super) fn named(a: &str, b: &str) -> World {
        let mut world = World::new(7);
        world.trace_mut().capture(0..u64::MAX);
        world.node(a, [10, 0, 0, 1].into(), |_| Box::new(Lost)).unwrap();
        world.node(b, [10, 0, 0, 2].into(), |_| Box::new(Lost)).unwrap();
        while world.step().unwrap().is_some() {}
        world
    }

    #[test]
    fn every_frame_is_joined_to_its_end() {
        let (world, plan) = hostile();
        let story = Story::new(&world, &plan, "");
        let mut arrivals = 0;
        for (index, event) in story.events.iter().enumerate() {
            for later in story.after(index).filter(|_| story.first(index) == index) {
                assert_eq!(story.first(later), index);
                arrivals += usize::from(arrives(story.events[later].kind));
            }
            assert!(story.after(index).is_sorted());
            assert_eq!(event.kind == Kind::Sent, story.fate(index).starts_with("sent"));
        }
        assert_eq!(arrivals, story.events.iter().filter(|event| arrives(event.kind)).count());
    }

    #[test]
    fn what_becomes_of_a_frame_is_told_in_words() {
        let (world, plan) = hostile();
        let story = Story::new(&world, &plan, "");
        let fates: Vec<String> = (0..story.events.len()).map(|index| story.fate(index)).collect();
        for words in [
            "dropped: lost",
            "dropped: link down",
            "dropped: queue full",
            "dropped: its connection was cut, and a reset went to either end",
            "dropped: host is off, sent 1",
            ", damaged: byte ",
            ", damaged: cut from ",
            ", duplicated, received ",
            "received, a duplicate of #",
            "received, sent 1",
        ] {
            assert!(fates.iter().any(|fate| fate.contains(words)), "{words}");
        }
    }

    #[test]
    fn a_record_that_begins_late_says_what_it_does_not_know() {
        let (world, plan) = recorded(700..1_500);
        let story = Story::new(&world, &plan, "");
        let fates: Vec<String> = (0..story.events.len()).map(|index| story.fate(index)).collect();
        for words in ["received, sent before the record begins (#6", "sent, still under way when the record ends"] {
            assert!(fates.iter().any(|fate| fate.contains(words)), "{words}");
        }
        for (fate, event) in fates.iter().zip(story.events) {
            assert!(!fate.ends_with(&format!("before (#{})", event.number)), "{fate}");
        }
        let whole = hostile();
        let whole = Story::new(&whole.0, &plan, "");
        let known = story.events.iter().position(|event| event.kind == Kind::Arrived && event.frame >= 700).unwrap();
        assert_eq!(story.fate(known), whole.fate(known + 700));
    }

    #[test]
    fn a_trace_that_was_not_captured_makes_an_empty_report() {
        let mut world = World::new(1);
        world.node("alone", [10, 0, 0, 1].into(), |_| Box::new(Lost)).unwrap();
        while world.step().unwrap().is_some() {}
        let folder = std::env::temp_dir().join(format!("tidemill-report-empty-{}", std::process::id()));
        write(&world, &Plan::default(), "nothing", &folder).unwrap();
        assert!(fs::read_to_string(folder.join("trace.txt")).unwrap().starts_with("nothing\n"));
        fs::remove_dir_all(folder).unwrap();
    }
}
