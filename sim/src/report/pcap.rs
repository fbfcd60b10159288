//! The run as a capture in the pcapng format (draft-ietf-opsawg-pcapng), for Wireshark and its kin.
//!
//! Each end of each link is an interface, named `here~there`: a frame is there as it left, and again as it came in. What
//! is dropped is on an interface of its own, `here~there dropped`, at the end where it was dropped. Each packet has a
//! comment that says what became of it. Virtual time counts from 1970.
//!
//! Two display filters to begin with: `frame.comment contains "dropped"`, and `frame.interface_name contains "client~"`
//! for one end alone, without which a frame that arrives is told twice and looks retransmitted.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use smoltcp::phy::Medium;

use super::{Story, arrives, dropped};
use crate::trace::{Event, Kind};
use crate::world::HostId;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;

/// Options of any block.
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
/// Of a section header.
const APPLICATION: u16 = 4;
/// Of an interface.
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
/// Of a packet.
const FLAGS: u16 = 2;

/// In the flags of a packet.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

const LINKTYPE_ETHERNET: u32 = 1;
const LINKTYPE_RAW: u32 = 101;

/// Longest text of an option, in bytes: its length has 16 bits, and nobody reads more.
const TEXT_MAX: usize = 16 << 10;

/// Where a packet is seen: at a host, on the link to another, and whether it was dropped there.
type Interface = (HostId, Option<HostId>, bool);

/// Writes the run. O(events · log interfaces).
pub(super) fn write(story: &Story<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut interfaces = BTreeMap::new();
    for interface in story.events.iter().filter_map(interface) {
        interfaces.insert(interface, 0);
    }
    section(story, out)?;
    let medium = story.world.medium();
    for (number, (&interface, id)) in interfaces.iter_mut().enumerate() {
        *id = number as u32;
        describe(story, medium, interface, out)?;
    }
    names(story, out)?;
    for (index, event) in story.events.iter().enumerate() {
        if let Some(interface) = interface(event) {
            packet(story, index, interfaces[&interface], out)?;
        }
    }
    Ok(())
}

/// Where the frame of an event is seen; `None` when there is none, or it is one seen already.
fn interface(event: &Event) -> Option<Interface> {
    match event.kind {
        Kind::Sent | Kind::Arrived => Some((event.host, event.peer, false)),
        Kind::Reset => Some((event.host, event.peer, true)),
        kind => dropped(kind).map(|_| (event.host, event.peer, true)),
    }
}

fn section(story: &Story<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut block = Block::new(SECTION_HEADER);
    block.word(0x1A2B_3C4D).half(1).half(0);
    // The length of the section is not told.
    block.word(u32::MAX).word(u32::MAX);
    block.text(APPLICATION, concat!("tidemill-sim ", env!("CARGO_PKG_VERSION")));
    block.text(COMMENT, &format!("seed {}, hash {:016x}: {}", story.plan.seed, story.world.hash(), story.why));
    block.write(out)
}

fn describe(story: &Story<'_>, medium: Medium, (host, peer, lost): Interface, out: &mut impl Write) -> io::Result<()> {
    let linktype = if medium == Medium::Ethernet { LINKTYPE_ETHERNET } else { LINKTYPE_RAW };
    let peer = peer.map_or("nowhere", |peer| story.name(peer));
    let mut block = Block::new(INTERFACE_DESCRIPTION);
    // No limit to the length of a packet.
    block.word(linktype).word(0);
    block.text(NAME, &format!("{}~{peer}{}", story.name(host), if lost { " dropped" } else { "" }));
    // Nanoseconds, as 10^-9 s.
    block.option(RESOLUTION, &[9]);
    block.write(out)
}

/// The hosts' addresses and names.
fn names(story: &Story<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut block = Block::new(NAME_RESOLUTION);
    for host in story.world.hosts() {
        // It is a host of this world.
        let Ok(address) = story.world.address(host) else { continue };
        let (kind, mut record) = match address {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        // The name ends with a zero, so it has none; an empty one is none.
        let name = cut(story.name(host)).replace('\0', "?");
        if !name.is_empty() {
            record.extend(name.as_bytes());
            record.push(0);
            block.option(kind, &record);
        }
    }
    block.has_options = false;
    block.half(0).half(0);
    block.write(out)
}

fn packet(story: &Story<'_>, index: usize, interface: u32, out: &mut impl Write) -> io::Result<()> {
    let event = &story.events[index];
    let nanos = event.at.as_ticks().saturating_mul(1_000);
    let bytes = story.world.trace().frame(event);
    let mut block = Block::new(ENHANCED_PACKET);
    block.word(interface).word((nanos >> 32) as u32).word(nanos as u32);
    let kept = bytes.unwrap_or_default();
    block.word(kept.len() as u32).word(event.len).padded(kept);
    let gone = if bytes.is_none() { "; its bytes were not kept" } else { "" };
    block.text(COMMENT, &format!("#{}: {}{gone}", event.number, story.fate(index)));
    let way = if arrives(event.kind) { INBOUND } else { OUTBOUND };
    block.option(FLAGS, &way.to_le_bytes());
    block.write(out)
}

/// A block under construction, little-endian.
struct Block {
    kind: u32,
    body: Vec<u8>,
    has_options: bool,
}

impl Block {
    fn new(kind: u32) -> Self {
        Self { kind, body: Vec::with_capacity(256), has_options: false }
    }

    fn half(&mut self, half: u16) -> &mut Self {
        self.body.extend(half.to_le_bytes());
        self
    }

    fn word(&mut self, word: u32) -> &mut Self {
        self.body.extend(word.to_le_bytes());
        self
    }

    /// Adds bytes, and zeros up to a whole word.
    fn padded(&mut self, bytes: &[u8]) -> &mut Self {
        self.body.extend(bytes);
        self.body.resize(self.body.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an option, or a record of the same form; its value must be shorter than 64 KiB.
    fn option(&mut self, code: u16, value: &[u8]) {
        self.has_options = true;
        self.half(code).half(value.len() as u16).padded(value);
    }

    fn text(&mut self, code: u16, text: &str) {
        self.option(code, cut(text).as_bytes());
    }

    fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        if self.has_options {
            self.half(END_OF_OPTIONS).half(0);
        }
        let len = (self.body.len() as u32 + 12).to_le_bytes();
        out.write_all(&self.kind.to_le_bytes())?;
        out.write_all(&len)?;
        out.write_all(&self.body)?;
        out.write_all(&len)
    }
}

/// As much of a text as an option takes.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hostile, named};
    use super::*;
    use crate::plan::Plan;

    /// Takes so many bytes off the front.
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (head, rest) = bytes.split_at(count);
        *bytes = rest;
        head
    }

    fn word(bytes: &mut &[u8]) -> u32 {
        u32::from_le_bytes(take(bytes, 4).try_into().unwrap())
    }

    fn half(bytes: &mut &[u8]) -> u16 {
        u16::from_le_bytes(take(bytes, 2).try_into().unwrap())
    }

    /// The blocks of a file: kind and body; both lengths and the alignment are checked.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let (kind, len) = (word(&mut file), word(&mut file));
            assert_eq!(len % 4, 0);
            let body = take(&mut file, len as usize - 12);
            assert_eq!(word(&mut file), len, "the length is told again at the end");
            blocks.push((kind, body));
        }
        blocks
    }

    /// The options at the end of a block, or records.
    fn options(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
        let mut options = Vec::new();
        loop {
            let (code, len) = (half(&mut bytes), half(&mut bytes) as usize);
            if code == 0 {
                assert_eq!((len, bytes.len()), (0, 0), "the end is the end");
                return options;
            }
            let value = take(&mut bytes, len.next_multiple_of(4));
            assert!(value[len..].iter().all(|&byte| byte == 0));
            options.push((code, &value[..len]));
        }
    }

    fn file(story: &Story<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        write(story, &mut out).unwrap();
        out
    }

    fn text(options: &[(u16, &[u8])], code: u16) -> String {
        let option = options.iter().find(|option| option.0 == code).expect("it has the option");
        String::from_utf8(option.1.to_vec()).unwrap()
    }

    #[test]
    fn every_frame_is_at_its_interface_with_its_time_bytes_way_and_fate() {
        let (world, plan) = hostile();
        let story = Story::new(&world, &plan, "the file is wrong");
        let file = file(&story);
        let blocks = blocks(&file);
        assert_eq!(blocks[0].0, 0x0A0D_0D0A);
        assert_eq!(blocks[0].1[..8], [0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0]);
        assert!(text(&options(&blocks[0].1[16..]), COMMENT).ends_with(": the file is wrong"));
        let interfaces: Vec<String> = blocks
            .iter()
            .filter(|block| block.0 == INTERFACE_DESCRIPTION)
            .map(|(_, body)| {
                assert_eq!(body[..8], [101, 0, 0, 0, 0, 0, 0, 0]);
                let options = options(&body[8..]);
                assert!(options.contains(&(RESOLUTION, &[9])));
                text(&options, NAME)
            })
            .collect();
        assert_eq!(interfaces, ["server~client", "server~client dropped", "client~server", "client~server dropped"]);
        let records: Vec<_> = blocks.iter().filter(|block| block.0 == NAME_RESOLUTION).collect();
        assert_eq!(records.len(), 1);
        assert_eq!(options(records[0].1)[1].1[4..], *b"client\0");

        let mut packets = blocks.iter().filter(|block| block.0 == ENHANCED_PACKET);
        let (mut inbound, mut lost) = (0, 0);
        for (index, event) in story.events.iter().enumerate().filter(|(_, event)| interface(event).is_some()) {
            let mut body = packets.next().expect("each frame is a packet").1;
            let name = &interfaces[word(&mut body) as usize];
            let nanos = u64::from(word(&mut body)) << 32 | u64::from(word(&mut body));
            assert_eq!(nanos, event.at.as_ticks() * 1_000);
            let (kept, len) = (word(&mut body), word(&mut body));
            assert_eq!((kept, len), (event.len, event.len));
            let bytes = take(&mut body, (kept as usize).next_multiple_of(4));
            assert_eq!(Some(&bytes[..kept as usize]), world.trace().frame(event));
            let options = options(body);
            assert_eq!(text(&options, COMMENT), format!("#{}: {}", event.number, story.fate(index)));
            let here = if event.host.index() == 0 { "server~client" } else { "client~server" };
            assert!(name.starts_with(here));
            assert_eq!(name.ends_with("dropped"), !matches!(event.kind, Kind::Sent | Kind::Arrived));
            let way = if matches!(event.kind, Kind::Arrived | Kind::NobodyHome | Kind::DroppedCard) { 1 } else { 2 };
            assert!(options.contains(&(FLAGS, &[way, 0, 0, 0])));
            inbound += usize::from(way == 1);
            lost += usize::from(name.ends_with("dropped"));
        }
        assert!(packets.next().is_none());
        assert!(inbound > 300 && lost > 20, "{inbound}, {lost}");
    }

    #[test]
    fn names_and_reasons_of_any_length_and_kind_fit() {
        let world = named(&"\0long é".repeat(20_000), "");
        let plan = Plan::default();
        let why = "ü".repeat(100_000);
        let story = Story::new(&world, &plan, &why);
        let file = file(&story);
        let blocks = blocks(&file);
        assert_eq!(blocks.iter().filter(|block| block.0 == ENHANCED_PACKET).count(), 2);
        let comment = text(&options(&blocks[0].1[16..]), COMMENT);
        assert!((TEXT_MAX - 1..=TEXT_MAX).contains(&comment.len()));
        assert!(blocks.iter().filter(|block| block.0 == INTERFACE_DESCRIPTION).count() == 2);
    }
}
