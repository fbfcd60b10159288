//! HTTP/1.1 as it is seen on the wire: requests and their responses, put together from what is sent.
//!
//! Read from RFC 9112 and 9110, apart from the machines that are being watched.

use core::net::SocketAddr;
use core::str;
use std::collections::{BTreeMap, VecDeque};

use super::segment::{Segment, distance};
use super::{Oracle, Seen};

/// The longest head that is read; what is longer is not judged.
const HEAD_MAX: usize = 64 << 10;

/// Conversations remembered at most.
const TALKS_MAX: usize = 8192;

/// Holds true, for each connection to one port, that there is one response to each request and none besides, that a part
/// of a file is the part that was asked for, and that what is announced as a length is what a range says.
///
/// It reads what servers and clients *send*, in the order of their streams. A conversation whose beginning it did not see,
/// or that is no HTTP, it does not judge.
#[derive(Debug)]
pub struct Http {
    port: u16,
    talks: BTreeMap<(SocketAddr, SocketAddr), Talk>,
    requests: u64,
    responses: u64,
}

/// One connection.
#[derive(Debug)]
struct Talk {
    first: u32,
    up: Way,
    down: Way,
    /// What was asked and not answered yet.
    asked: VecDeque<Request>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Request {
    head: bool,
    range: Option<(u64, Option<u64>)>,
}

/// One direction: where its stream goes on, and in what.
#[derive(Debug, Default)]
struct Way {
    next: Option<u32>,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Head(Vec<u8>),
    Body(u64),
    /// A line that says how long the next chunk is.
    Size(Vec<u8>),
    /// A chunk, and the end of its line.
    Chunk(u64),
    Trailer(Vec<u8>),
    /// The rest is not looked at.
    Rest,
}

impl Default for Part {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Http {
    /// Watches connections to this port.
    pub fn new(port: u16) -> Self {
        Self { port, talks: BTreeMap::new(), requests: 0, responses: 0 }
    }

    /// How many requests it has seen whole, and how many final responses to them.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests, self.responses)
    }

    fn segment(&mut self, segment: &Segment<'_>) -> Result<(), String> {
        let upward = segment.to.port() == self.port;
        if !upward && segment.from.port() != self.port {
            return Ok(());
        }
        let ends = if upward { (segment.from, segment.to) } else { (segment.to, segment.from) };
        if segment.syn && upward && self.talks.get(&ends).is_none_or(|talk| talk.first != segment.seq) {
            if self.talks.len() >= TALKS_MAX {
                self.talks.clear();
            }
            let talk = Talk { first: segment.seq, up: Way::default(), down: Way::default(), asked: VecDeque::new() };
            self.talks.insert(ends, talk);
        }
        let Some(talk) = self.talks.get_mut(&ends) else { return Ok(()) };
        let way = if upward { &mut talk.up } else { &mut talk.down };
        if segment.syn {
            way.next.get_or_insert(segment.seq.wrapping_add(1));
            return Ok(());
        }
        let Some(next) = way.next else { return Ok(()) };
        let known = distance(segment.seq, next);
        // What was sent before is known; a gap is another oracle's business.
        let Ok(known) = usize::try_from(known) else { return Ok(()) };
        let Some(new) = segment.data.get(known..).filter(|new| !new.is_empty()) else { return Ok(()) };
        way.next = Some(next.wrapping_add(new.len() as u32));
        if upward {
            self.up(ends, new);
            return Ok(());
        }
        self.down(ends, new)
    }

    fn up(&mut self, ends: (SocketAddr, SocketAddr), mut data: &[u8]) {
        let Some(talk) = self.talks.get_mut(&ends) else { return };
        while let Some(head) = talk.up.part.take(&mut data) {
            let Some(head) = Head::read(&head) else {
                talk.up.part = Part::Rest;
                break;
            };
            self.requests += 1;
            talk.asked.push_back(Request { head: head.start.starts_with("HEAD "), range: head.range() });
            talk.up.part = head.body(Part::default());
        }
    }

    fn down(&mut self, ends: (SocketAddr, SocketAddr), mut data: &[u8]) -> Result<(), String> {
        let Some(talk) = self.talks.get_mut(&ends) else { return Ok(()) };
        while let Some(head) = talk.down.part.take(&mut data) {
            let status = Head::read(&head).and_then(|head| Some((head.status()?, head)));
            let Some((status, head)) = status else {
                talk.down.part = Part::Rest;
                break;
            };
            // More is to come; and a server may say that it has waited in vain.
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let Some(request) = talk.asked.pop_front() else {
                // It may refuse what it has not read to the end.
                let begun = !matches!(&talk.up.part, Part::Head(head) if head.is_empty());
                talk.down.part = Part::Rest;
                return if begun || status == 408 { Ok(()) } else { Err(format!("a response {status} to no request")) };
            };
            self.responses += 1;
            if status == 206 {
                head.is_part(&request)?;
            }
            talk.down.part = if request.head || status == 204 || status == 304 {
                Part::default()
            } else if status == 101 {
                Part::Rest
            } else {
                head.body(Part::Rest)
            };
        }
        Ok(())
    }
}

impl Oracle for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        if !seen.is_sent() || seen.forged {
            return Ok(());
        }
        let Some(segment) = Segment::read(seen.medium, seen.frame) else { return Ok(()) };
        self.segment(&segment).map_err(|why| format!("{} {} > {}: {why}", seen.host, segment.from, segment.to))
    }
}

impl Part {
    /// Takes bytes of the stream, up to the end of a head, which is returned.
    fn take(&mut self, data: &mut &[u8]) -> Option<Vec<u8>> {
        while let Some((&byte, rest)) = data.split_first() {
            match self {
                Self::Rest => *data = &[],
                Self::Body(left) | Self::Chunk(left) => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                    *data = &data[len..];
                    *left -= len as u64;
                    if *left == 0 {
                        *self = if matches!(self, Self::Body(_)) { Self::default() } else { Self::Size(Vec::new()) };
                    }
                }
                Self::Head(line) | Self::Size(line) | Self::Trailer(line) => {
                    *data = rest;
                    line.push(byte);
                    if line.len() > HEAD_MAX {
                        *self = Self::Rest;
                    } else if byte == b'\n'
                        && let Some(head) = self.line_ended()
                    {
                        return Some(head);
                    }
                }
            }
        }
        None
    }

    fn line_ended(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Head(head) if head.ends_with(b"\r\n\r\n") => return Some(std::mem::take(head)),
            Self::Size(line) => {
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                let size = str::from_utf8(&line[..digits]).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
                *self = match size {
                    Some(0) => Self::Trailer(Vec::new()),
                    Some(size) => Self::Chunk(size.saturating_add(2)),
                    None => Self::Rest,
                };
            }
            Self::Trailer(line) if line == b"\r\n" => *self = Self::default(),
            Self::Trailer(line) => line.clear(),
            _ => {}
        }
        None
    }
}

/// A head, as text.
struct Head<'h> {
    start: &'h str,
    fields: &'h str,
}

impl<'h> Head<'h> {
    fn read(head: &'h [u8]) -> Option<Self> {
        let (start, fields) = str::from_utf8(head).ok()?.split_once("\r\n")?;
        Some(Self { start, fields })
    }

    fn field(&self, name: &str) -> Option<&'h str> {
        let fields = self.fields.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    fn status(&self) -> Option<u16> {
        self.start.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }

    /// The one range that is asked for, from the start of the file.
    fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, if last.is_empty() { None } else { Some(last.parse().ok()?) }))
    }

    /// What follows the head; `open` if it does not say.
    fn body(&self, open: Part) -> Part {
        if self.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Part::Size(Vec::new());
        }
        match self.field("content-length").map(str::parse) {
            Some(Ok(0)) => Part::default(),
            Some(Ok(len)) => Part::Body(len),
            Some(Err(_)) => Part::Rest,
            None => open,
        }
    }

    /// Whether this answer with a part of a file is the part that was asked for.
    fn is_part(&self, request: &Request) -> Result<(), String> {
        let Some((first, last)) = request.range else {
            return Err("a part of a file, and nobody asked for one".into());
        };
        let said = self.field("content-range").unwrap_or_default();
        let range = said.strip_prefix("bytes ").and_then(|said| said.split_once('/')).and_then(|(range, _)| {
            let (first, last) = range.split_once('-')?;
            Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
        });
        let Some((from, to)) = range else { return Err(format!("a part of a file that says {said:?}")) };
        if from != first || to < from || last.is_some_and(|last| to > last) {
            let last = last.map(|last| last.to_string()).unwrap_or_default();
            return Err(format!("bytes {from}-{to} of a file, asked for {first}-{last}"));
        }
        match self.field("content-length").map(str::parse::<u64>) {
            Some(Ok(len)) if len != to - from + 1 => Err(format!("bytes {from}-{to} of a file in a body of {len}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: (&str, &str) = ("10.0.0.1:1000", "10.0.0.2:80");

    /// A conversation, in pieces of `step` bytes: `>` is the client's, `<` the server's.
    fn talk(lines: &[&str], step: usize) -> Result<Http, String> {
        let (client, server): (SocketAddr, SocketAddr) = (ENDS.0.parse().unwrap(), ENDS.1.parse().unwrap());
        let mut http = Http::new(80);
        let mut next = [100_u32, 500];
        let mut say = |up: bool, syn: bool, data: &[u8]| {
            let (from, to) = if up { (client, server) } else { (server, client) };
            let seq = &mut next[usize::from(up)];
            let segment = Segment {
                from,
                to,
                seq: *seq,
                ack: (!syn || !up).then_some(1),
                syn,
                fin: false,
                rst: false,
                window: 100,
                scale: None,
                data,
            };
            *seq += segment.len();
            // Sent twice: the second time it is known.
            http.segment(&segment).and_then(|()| http.segment(&segment))
        };
        say(true, true, b"")?;
        say(false, true, b"")?;
        for line in lines {
            let (up, text) = (line.starts_with('>'), line[1..].replace('\n', "\r\n"));
            text.as_bytes().chunks(step).try_for_each(|piece| say(up, false, piece))?;
        }
        Ok(http)
    }

    #[test]
    fn right_conversations_pass_however_they_are_cut() {
        let lines = [
            ">GET /a HTTP/1.1\nHost: b\n\n",
            ">HEAD /a HTTP/1.1\nHost: b\n\n",
            "<HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "<HTTP/1.1 200 OK\nContent-Length: 5\n\n",
            ">POST /a HTTP/1.1\nContent-Length: 3\n\nabcGET /b HTTP/1.1\nRange: bytes=5-9\n\n",
            "<HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4;x=y\nHTTP\n0\nA: b\n\n",
            "<HTTP/1.1 206 Partial Content\nContent-Range: bytes 5-7/8\nContent-Length: 3\n\nabc",
        ];
        for step in [1, 2, 7, 1000] {
            assert_eq!(talk(&lines, step).unwrap().counts(), (4, 4), "{step}");
        }
    }

    #[test]
    fn each_offence_is_told() {
        let ask = ">GET /a HTTP/1.1\nRange: bytes=5-9\n\n";
        for (lines, what) in [
            (&["<HTTP/1.1 200 OK\nContent-Length: 0\n\n"][..], "a response 200 to no request"),
            (&[ask, "<HTTP/1.1 200 OK\nContent-Length: 1\n\naHTTP/1.1 200 OK\n\n"], "a response 200 to no request"),
            (&[ask, "<HTTP/1.1 206 P\nContent-Range: bytes 4-9/10\n\n"], "bytes 4-9 of a file, asked for 5-9"),
            (&[ask, "<HTTP/1.1 206 P\nContent-Range: bytes 5-10/11\n\n"], "bytes 5-10 of a file, asked for 5-9"),
            (
                &[ask, "<HTTP/1.1 206 P\nContent-Range: bytes 5-6/10\nContent-Length: 3\n\n"],
                "bytes 5-6 of a file in a body of 3",
            ),
            (&[ask, "<HTTP/1.1 206 P\n\n"], "a part of a file that says \"\""),
            (&[">GET / HTTP/1.1\n\n", "<HTTP/1.1 206 P\n\n"], "a part of a file, and nobody asked for one"),
        ] {
            assert_eq!(talk(lines, 3).unwrap_err(), what);
        }
    }

    #[test]
    fn a_refusal_of_what_is_not_read_to_the_end_and_what_is_no_http_are_not_judged() {
        for lines in [
            &[">GET / HT", "<HTTP/1.1 431 Too large\n\n"][..],
            &["<HTTP/1.1 408 Request Timeout\n\n"],
            &["<SSH-2.0\n\n", ">GET / HTTP/1.1\n\n"],
        ] {
            talk(lines, 2).unwrap();
        }
    }
}
