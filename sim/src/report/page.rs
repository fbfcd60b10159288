//! The run as a page: one file that holds its style, its program and its data, and fetches nothing.
//!
//! The data is JSON, a list per column rather than an object per event, with numbers that grow told as differences: two
//! hundred thousand events are some megabytes, and are read in a fraction of a second. Columns of the events: `t` µs since
//! the one before, `k` kind, `h` host, `p` peer or -1, `l` bytes, `f` how many events ago its frame was first seen.
//! Columns of the TCP segments among the frames: `i` events since the one before, `w` flow, `d` whether it goes from the
//! flow's first end, `g` flags, `s` sequence, `a` acknowledgement, `n` window, `c` bytes of data.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::decode::Packet;
use super::text::kinds;
use super::{Story, arrives, dropped};
use crate::trace::Kind;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const PROGRAM: &str = include_str!("page.js");

/// How many events the page has at most: the last ones.
const EVENTS_MAX: usize = 1 << 18;

/// How many bytes of frames the page has at most, for those who want to see them; each frame gets the same share.
const BYTES_MAX: usize = 6 << 20;

/// Writes the page; alone, with the command that replays it, or beside the other files. O(events).
pub(super) fn write(story: &Story<'_>, replay: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    // Text, then `{{name}}` and text, again and again.
    for part in PAGE.split("{{") {
        let text = match part.split_once("}}") {
            Some(("style", text)) => out.write_all(STYLE.as_bytes()).map(|()| text)?,
            Some(("program", text)) => out.write_all(PROGRAM.as_bytes()).map(|()| text)?,
            Some(("data", text)) => data(story, replay, out).map(|()| text)?,
            _ => part,
        };
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn data(story: &Story<'_>, replay: Option<&str>, out: &mut impl Write) -> io::Result<()> {
    let (world, trace) = (story.world, story.world.trace());
    let start = story.events.len().saturating_sub(EVENTS_MAX);
    write!(out, "{{\"why\":{},\"seed\":\"{}\",", Text(story.why), story.plan.seed)?;
    write!(out, "\"replay\":{},\"alone\":{},", Text(replay.unwrap_or("./repro.sh")), replay.is_some())?;
    write!(out, "\"hash\":\"{:016x}\",\"plan\":{},", world.hash(), Text(&story.plan.to_string()))?;
    write!(out, "\"now\":{},\"events\":{},", world.now().as_ticks(), trace.events())?;
    write!(out, "\"first\":{},", story.events.get(start).map_or(0, |event| event.number))?;
    out.write_all(b"\"hosts\":")?;
    list(out, world.hosts(), |out, host| {
        let address = world.address(host).map_or_else(|_| String::new(), |address| address.to_string());
        write!(out, "[{},{}]", Text(story.name(host)), Text(&address))
    })?;
    out.write_all(b",\"kinds\":")?;
    list(out, kinds(story.events), |out, kind| {
        write!(out, "[{},{},\"{}\",{}]", kind as u8, Text(kind.words()), class(kind), trace.count(kind))
    })?;
    out.write_all(b",\"flows\":")?;
    list(out, &story.flows.all, |out, flow| write!(out, "[\"{}\",\"{}\"]", flow.ends[0], flow.ends[1]))?;
    events(story, start, out)?;
    segments(story, start, out)?;
    others(story, start, out)?;
    damages(story, start, out)?;
    bytes(story, start, out)?;
    out.write_all(b"}")
}

/// What the page draws for a kind.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Sent => "sent",
        Kind::Arrived => "arrived",
        Kind::Reset => "cut",
        Kind::Damaged => "damaged",
        Kind::Duplicated => "duplicated",
        Kind::Turn => "turn",
        Kind::Boot => "boot",
        Kind::Crash => "crash",
        Kind::Paused => "pause",
        Kind::Resumed => "resume",
        Kind::LinkDown => "down",
        Kind::LinkUp => "up",
        kind if arrives(kind) => "refused",
        kind if dropped(kind).is_some() => "dropped",
        _ => "other",
    }
}

fn events(story: &Story<'_>, start: usize, out: &mut impl Write) -> io::Result<()> {
    let events = &story.events[start..];
    let mut last = 0;
    out.write_all(b",\"t\":")?;
    list(out, events, |out, event| {
        let micros = event.at.as_ticks();
        write!(out, "{}", micros - std::mem::replace(&mut last, micros))
    })?;
    out.write_all(b",\"k\":")?;
    list(out, events, |out, event| write!(out, "{}", event.kind as u8))?;
    out.write_all(b",\"h\":")?;
    list(out, events, |out, event| write!(out, "{}", event.host.index()))?;
    out.write_all(b",\"p\":")?;
    list(out, events, |out, event| match event.peer {
        Some(peer) => write!(out, "{}", peer.index()),
        None => out.write_all(b"-1"),
    })?;
    out.write_all(b",\"l\":")?;
    list(out, events, |out, event| write!(out, "{}", event.len))?;
    out.write_all(b",\"f\":")?;
    list(out, events, |out, event| write!(out, "{}", event.number - event.frame))
}

fn segments(story: &Story<'_>, start: usize, out: &mut impl Write) -> io::Result<()> {
    let segments = || {
        story.packets[start..].iter().enumerate().filter_map(|(index, packet)| match packet {
            Some((Packet::Tcp(segment), place)) => Some((index, segment, place)),
            _ => None,
        })
    };
    out.write_all(b",\"tcp\":{\"i\":")?;
    let mut last = 0;
    list(out, segments(), |out, (index, ..)| write!(out, "{}", index - std::mem::replace(&mut last, index)))?;
    out.write_all(b",\"w\":")?;
    list(out, segments(), |out, (_, _, place)| write!(out, "{}", place.flow))?;
    out.write_all(b",\"d\":")?;
    list(out, segments(), |out, (_, segment, place)| {
        let ends = &story.flows.all[place.flow as usize].ends;
        write!(out, "{}", u8::from(segment.from == ends[0]))
    })?;
    out.write_all(b",\"g\":")?;
    list(out, segments(), |out, (_, segment, _)| write!(out, "{}", segment.flags))?;
    out.write_all(b",\"s\":")?;
    list(out, segments(), |out, (_, _, place)| write!(out, "{}", place.seq))?;
    out.write_all(b",\"a\":")?;
    list(out, segments(), |out, (_, _, place)| write!(out, "{}", place.ack))?;
    out.write_all(b",\"n\":")?;
    list(out, segments(), |out, (_, segment, _)| write!(out, "{}", segment.window))?;
    out.write_all(b",\"c\":")?;
    list(out, segments(), |out, (_, segment, _)| write!(out, "{}", segment.len))?;
    out.write_all(b",\"o\":")?;
    let options = segments().filter(|(_, segment, _)| !segment.options.is_empty());
    list(out, options, |out, (index, segment, _)| write!(out, "[{index},{}]", Text(segment.options.trim_start())))?;
    out.write_all(b"}")
}

/// Packets that are no TCP: the words, each once, and which event has which.
fn others(story: &Story<'_>, start: usize, out: &mut impl Write) -> io::Result<()> {
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order = Vec::new();
    let mut uses = Vec::new();
    for (index, packet) in story.packets[start..].iter().enumerate() {
        if let Some((Packet::Other(text), _)) = packet {
            let number = *words.entry(text).or_insert_with(|| {
                order.push(text);
                order.len() - 1
            });
            uses.push((index, number));
        }
    }
    out.write_all(b",\"words\":")?;
    list(out, order, |out, text| write!(out, "{}", Text(text)))?;
    out.write_all(b",\"others\":")?;
    list(out, uses, |out, (index, number)| write!(out, "[{index},{number}]"))
}

fn damages(story: &Story<'_>, start: usize, out: &mut impl Write) -> io::Result<()> {
    let damaged = (start..story.events.len()).filter(|&index| story.events[index].kind == Kind::Damaged);
    out.write_all(b",\"damages\":")?;
    list(out, damaged, |out, index| write!(out, "[{},{}]", index - start, Text(&story.damage(index))))
}

/// The first bytes of each frame, where it is first seen and where it is damaged, in base64 one after another.
fn bytes(story: &Story<'_>, start: usize, out: &mut impl Write) -> io::Result<()> {
    let frames = || {
        story.events[start..].iter().enumerate().filter_map(|(index, event)| {
            let shown = event.frame == event.number || event.kind == Kind::Damaged;
            Some((index, story.world.trace().frame(event).filter(|_| shown)?))
        })
    };
    let each = BYTES_MAX / frames().count().max(1);
    write!(out, ",\"each\":{each},\"seen\":")?;
    let mut last = 0;
    list(out, frames(), |out, (index, _)| write!(out, "{}", index - std::mem::replace(&mut last, index)))?;
    out.write_all(b",\"bytes\":\"")?;
    let mut shown = frames().flat_map(|(_, frame)| &frame[..frame.len().min(each)]).copied();
    while let Some(first) = shown.next() {
        out.write_all(&base64(first, shown.next(), shown.next()))?;
    }
    out.write_all(b"\"")
}

/// One to three bytes as four letters (RFC 4648, section 4).
fn base64(first: u8, second: Option<u8>, third: Option<u8>) -> [u8; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u32::from_be_bytes([0, first, second.unwrap_or(0), third.unwrap_or(0)]);
    let letter = |shift: u32| LETTERS[(bits >> shift & 63) as usize];
    [
        letter(18),
        letter(12),
        if second.is_some() { letter(6) } else { b'=' },
        if third.is_some() { letter(0) } else { b'=' },
    ]
}

/// A list in JSON.
fn list<W: Write, T>(
    out: &mut W,
    items: impl IntoIterator<Item = T>,
    mut item: impl FnMut(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (number, each) in items.into_iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        item(out, each)?;
    }
    out.write_all(b"]")
}

/// A text in JSON, in which nothing is left that could end the script it stands in.
struct Text<'a>(&'a str);

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", c as u32)?,
                c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hostile, named};
    use super::*;
    use crate::plan::Plan;

    fn page(story: &Story<'_>) -> String {
        let mut out = Vec::new();
        write(story, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What stands between the tags of the data.
    fn data_of(page: &str) -> &str {
        let start = page.find("id=\"data\">").expect("it has data") + 10;
        &page[start..start + page[start..].find("</script>").expect("it ends")]
    }

    #[test]
    fn the_page_has_its_style_its_program_and_its_data_and_fetches_nothing() {
        let (world, plan) = hostile();
        let page = page(&Story::new(&world, &plan, "the file is wrong"));
        assert!(!page.contains("{{") && page.contains(STYLE) && page.contains(PROGRAM));
        assert!(data_of(&page).trim_start().starts_with("{\"why\":\"the file is wrong\",\"seed\":\"7\""));
        for outside in ["src=", "href=", "url(", "@import", "http:", "https:", "fetch(", "import("] {
            assert!(!PAGE.contains(outside) && !STYLE.contains(outside) && !PROGRAM.contains(outside), "{outside}");
        }
        assert!(PAGE.contains("default-src 'none'"));
    }

    #[test]
    fn no_name_and_no_reason_can_end_the_data_or_begin_markup() {
        let evil = "</script><script>alert(\"1\")</script><!-- &amp; \\ \u{7} \u{2028}";
        let world = named(evil, "\"},{\"");
        let plan = Plan::default();
        let page = page(&Story::new(&world, &plan, evil));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        let data = data_of(&page);
        assert!(!data.contains(['<', '>', '&', '\u{7}', '\u{2028}']));
        let text = r#""\u003c/script\u003e\u003cscript\u003ealert(\"1\")\u003c/script\u003e\u003c!-- \u0026amp; \\ \u0007 \u2028""#;
        assert!(data.contains(&format!("{{\"why\":{text},")), "{data:.300}");
        assert!(
            data.contains(&format!("\"hosts\":[[{text},\"10.0.0.1\"],[\"\\\"}},{{\\\"\",\"10.0.0.2\"]]")),
            "{data:.900}"
        );
    }

    #[test]
    fn every_column_has_an_entry_for_every_event() {
        let (world, plan) = hostile();
        let story = Story::new(&world, &plan, "");
        let page = page(&story);
        let data = data_of(&page);
        let column = |name: &str| {
            let start = data.find(&format!("\"{name}\":[")).expect("it has the column") + name.len() + 4;
            let column = &data[start..start + data[start..].find(']').expect("it ends")];
            column.split(',').map(|entry| entry.parse::<i64>().expect("a number")).collect::<Vec<_>>()
        };
        for name in ["t", "k", "h", "p", "l", "f"] {
            assert_eq!(column(name).len(), story.events.len(), "{name}");
        }
        let last = story.events.last().expect("there are events");
        assert_eq!(column("t").iter().sum::<i64>(), last.at.as_ticks() as i64);
        let segments = story.packets.iter().flatten().filter(|(packet, _)| matches!(packet, Packet::Tcp(_))).count();
        for name in ["i", "w", "d", "g", "s", "a", "n", "c"] {
            assert_eq!(column(name).len(), segments, "{name}");
        }
    }

    #[test]
    fn bytes_are_written_in_the_letters_of_the_standard() {
        let text = |bytes: &[u8]| {
            let groups = bytes.chunks(3).flat_map(|part| base64(part[0], part.get(1).copied(), part.get(2).copied()));
            String::from_utf8(groups.collect()).unwrap()
        };
        for (bytes, letters) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(text(bytes.as_bytes()), letters);
        }
        assert_eq!(text(&[0xFF, 0xEF, 0xBE]), "/+++");
    }
}
