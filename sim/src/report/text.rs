//! The run as text: what it was, and every event on a line. What one wants to see first is what happened last.

use std::io::{self, Write};

use tidemill_core::time::Duration;

use super::{Story, arrives, seconds, span};
use crate::trace::{Event, Kind};

/// How many events come first, the last of the run.
const LAST: usize = 2_000;

/// Writes the run. O(events).
pub(super) fn write(story: &Story<'_>, out: &mut impl Write) -> io::Result<()> {
    head(story, out)?;
    let before = story.events.len().saturating_sub(LAST);
    let names = story.world.hosts().map(|host| story.name(host).chars().count()).max().unwrap_or(0);
    // Two names and what stands between them; one that is very long must not push the others off the screen.
    let width = (2 * names + 3).min(48);
    if before > 0 {
        writeln!(out, "\nThe last {LAST} events (those before are below)\n")?;
    } else {
        writeln!(out, "\nEvents\n")?;
    }
    (before..story.events.len()).try_for_each(|index| event(story, index, width, out))?;
    if before > 0 {
        writeln!(out, "\nThe first {before} events\n")?;
        (0..before).try_for_each(|index| event(story, index, width, out))?;
    }
    Ok(())
}

fn head(story: &Story<'_>, out: &mut impl Write) -> io::Result<()> {
    let (world, trace) = (story.world, story.world.trace());
    writeln!(out, "{}\n", story.why)?;
    writeln!(out, "seed    {}", story.plan.seed)?;
    writeln!(out, "hash    {:016x}", world.hash())?;
    writeln!(out, "events  {} in {} s of virtual time", trace.events(), seconds(world.now()))?;
    if trace.events() != story.events.len() as u64 {
        writeln!(out, "        {} of them were recorded and are below", story.events.len())?;
    }
    for (host, word) in world.hosts().zip(["hosts"].into_iter().chain(std::iter::repeat(""))) {
        let address = world.address(host).map_or_else(|_| String::new(), |address| address.to_string());
        writeln!(out, "{word:<8}{} {} {address}", host.index(), printable(story.name(host)))?;
    }
    writeln!(out, "\nHow often what happened\n")?;
    for kind in kinds(story.events) {
        writeln!(out, "{:>10}  {}", trace.count(kind), kind.words())?;
    }
    writeln!(out, "\nThe plan\n\n{}", story.plan.to_string().trim_end())
}

/// The kinds of these events, each once, by number.
pub(super) fn kinds(events: &[Event]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for event in events {
        if let Err(place) = kinds.binary_search_by_key(&(event.kind as u8), |&kind| kind as u8) {
            kinds.insert(place, event.kind);
        }
    }
    kinds
}

fn event(story: &Story<'_>, index: usize, width: usize, out: &mut impl Write) -> io::Result<()> {
    let event = &story.events[index];
    let (from, to) = story.way(index);
    let who = match to {
        Some(to) => format!("{} > {}", printable(story.name(from)), printable(story.name(to))),
        None => printable(story.name(from)),
    };
    write!(out, "{:>8} {:>13}  {who:<width$}  {}", event.number, seconds(event.at), event.kind.words())?;
    match event.kind {
        Kind::Boot => write!(out, " {}", event.len)?,
        Kind::Turn if event.len > 0 => write!(out, ", timer in {}", span(Duration::from_ticks(event.len.into())))?,
        Kind::Damaged => write!(out, ": {}", story.damage(index))?,
        _ => {}
    }
    if event.frame != event.number {
        write!(out, " (#{})", event.frame)?;
    }
    if arrives(event.kind) && story.damaged(index).is_some() {
        out.write_all(b", damaged")?;
    }
    if let Some(first) = story.original(index) {
        write!(out, ", a duplicate of #{}", story.events[first].number)?;
    }
    match story.line(index) {
        Some(line) => write!(out, ", {} B: {line}", event.len)?,
        None if event.len > 0 && !matches!(event.kind, Kind::Boot | Kind::Turn | Kind::Picked) => {
            write!(out, ", {} B", event.len)?;
        }
        None => {}
    }
    writeln!(out)
}

/// A name on one line: what would end or turn it is escaped.
fn printable(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hostile, named};
    use super::*;
    use crate::plan::Plan;

    fn text(story: &Story<'_>) -> String {
        let mut out = Vec::new();
        write(story, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_event_is_on_a_line_and_the_last_ones_come_first() {
        let (world, plan) = hostile();
        let text = text(&Story::new(&world, &plan, "the file is wrong"));
        let numbers = text.lines().skip_while(|line| !line.starts_with("The last ")).filter_map(|line| {
            let mut words = line.split_whitespace();
            let number = words.next()?.parse::<u64>().ok()?;
            words.next()?.contains('.').then_some(number)
        });
        let all = world.trace().events();
        assert!(all > 2_100, "{all}");
        let expected: Vec<u64> = (all - 2_000..all).chain(0..all - 2_000).collect();
        assert_eq!(numbers.collect::<Vec<u64>>(), expected);
    }

    #[test]
    fn the_head_says_what_it_was() {
        let (world, plan) = hostile();
        let text = text(&Story::new(&world, &plan, "the file is wrong"));
        assert!(text.starts_with("the file is wrong\n\nseed    7\nhash    "), "{text:.80}");
        for part in
            ["\nhosts   0 server 10.0.0.", "\n        1 client 10.0.0.", "kind = \"pause\"", "         2  link down\n"]
        {
            assert!(text.contains(part), "{part} in {text:.1500}");
        }
        let sent = world.trace().count(Kind::Sent);
        assert!(text.contains(&format!("{sent:>10}  frame sent\n")));
    }

    #[test]
    fn what_arrives_damaged_or_twice_says_so() {
        let (world, plan) = hostile();
        let text = text(&Story::new(&world, &plan, ""));
        let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count() as u64;
        let (twice, off) = (lines(", a duplicate of #"), lines("host is off ("));
        assert!((1..=world.trace().count(Kind::Duplicated)).contains(&twice), "{twice}, {off}");
        assert!(lines("), damaged, ") > 0);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        let world = named("two\nlines", "\u{1b}[31m");
        let plan = Plan::default();
        let text = text(&Story::new(&world, &plan, ""));
        assert!(text.contains("two\\nlines"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("frame dropped: no route, 20 B: no packet we know, 20 B"), "{text}");
    }
}
