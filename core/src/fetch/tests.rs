//! The engine against a scripted server: every kind of answer, one by one. Networks with faults are the simulator's.

use super::*;
use crate::net::{Error, Handle, Interest, Token};
use crate::time::Duration;
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::VecDeque;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const ETAG: &str = "ETag: \"v1\"\r\n";

/// What the server does after it has sent an answer's bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Then {
    Keep,
    Close,
    Reset,
    Stall,
}

struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

/// A request as the server sees it.
struct Ask {
    /// How many requests came before.
    number: usize,
    head: String,
}

impl Ask {
    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The asked range, end exclusive, of a file of this length.
    fn range(&self, len: usize) -> Option<Range<usize>> {
        let (from, to) = self.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let end = if to.is_empty() { len } else { to.parse::<usize>().unwrap() + 1 };
        Some(from.parse().unwrap()..end.min(len))
    }
}

#[derive(Default)]
struct Socket {
    inbox: Vec<u8>,
    outbox: VecDeque<u8>,
    then: Option<Then>,
    token: Option<Token>,
}

/// A network of one server, which answers at once. Each `recv` yields at most `gulp` bytes.
struct ScriptNet {
    sockets: Vec<Option<Socket>>,
    serve: Box<dyn FnMut(Ask) -> Answer>,
    asked: usize,
    gulp: usize,
    refuse: bool,
    /// Nobody answers the first connections, as many as this.
    silent: usize,
    ready: VecDeque<Token>,
}

impl ScriptNet {
    fn new(serve: impl FnMut(Ask) -> Answer + 'static) -> Self {
        Self {
            sockets: vec![],
            serve: Box::new(serve),
            asked: 0,
            gulp: 1000,
            refuse: false,
            silent: 0,
            ready: VecDeque::new(),
        }
    }

    fn socket(&mut self, handle: Handle) -> Result<&mut Socket, Error> {
        self.sockets.get_mut(handle.index()).and_then(Option::as_mut).ok_or(Error::Stale)
    }

    fn open(&self) -> usize {
        self.sockets.iter().flatten().count()
    }
}

impl Stack for ScriptNet {
    fn listen(&mut self, _: SocketAddr, _: usize) -> Result<Handle, Error> {
        Err(Error::Full)
    }
    fn accept(&mut self, _: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        Err(Error::Stale.into())
    }
    fn connect(&mut self, _: SocketAddr) -> Result<Handle, Error> {
        self.sockets.push(Some(Socket::default()));
        Ok(Handle::new(self.sockets.len() as u16 - 1, 0))
    }
    fn connected(&mut self, handle: Handle) -> nb::Result<(), Error> {
        let refuse = self.refuse;
        self.socket(handle)?;
        if handle.index() < self.silent {
            return Err(nb::Error::WouldBlock);
        }
        if refuse { Err(Error::Refused.into()) } else { Ok(()) }
    }
    fn recv(&mut self, handle: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let gulp = self.gulp;
        let socket = self.socket(handle)?;
        if socket.outbox.is_empty() {
            return match socket.then {
                Some(Then::Close) => Ok(0),
                Some(Then::Reset) => Err(Error::Reset.into()),
                _ => Err(nb::Error::WouldBlock),
            };
        }
        let count = buf.len().min(gulp).min(socket.outbox.len());
        for (to, byte) in buf.iter_mut().zip(socket.outbox.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }
    fn send(&mut self, handle: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        let number = self.asked;
        let socket = self.socket(handle)?;
        if matches!(socket.then, Some(Then::Reset)) {
            return Err(Error::Reset.into());
        }
        // Requests arrive in two parts.
        let count = if socket.inbox.is_empty() { buf.len().div_ceil(2) } else { buf.len() };
        socket.inbox.extend(&buf[..count]);
        if socket.inbox.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(core::mem::take(&mut socket.inbox)).unwrap();
            self.asked += 1;
            let answer = (self.serve)(Ask { number, head });
            let socket = self.socket(handle)?;
            socket.outbox.extend(answer.bytes);
            socket.then = Some(answer.then);
        }
        Ok(count)
    }
    fn shutdown(&mut self, _: Handle) -> Result<(), Error> {
        Ok(())
    }
    fn close(&mut self, handle: Handle) {
        self.sockets[handle.index()] = None;
    }
    fn abort(&mut self, handle: Handle) {
        self.close(handle);
    }
    fn local_addr(&self, _: Handle) -> Result<SocketAddr, Error> {
        Err(Error::Stale)
    }
    fn watch(&mut self, handle: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        if handle.index() < self.silent {
            return Ok(());
        }
        let socket = self.socket(handle)?;
        if interest == Interest::Read
            && socket.outbox.is_empty()
            && !matches!(socket.then, Some(Then::Close | Then::Reset))
        {
            socket.token = Some(token);
        } else {
            self.ready.push_back(token);
        }
        Ok(())
    }
    fn next_ready(&mut self) -> Option<Token> {
        self.ready.pop_front()
    }
}

/// Bytes, how often they were thrown away, and which bytes were written twice.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    len: Option<u64>,
    restarts: u32,
    full_at: Option<u64>,
}

impl Sink for Memory {
    type Error = &'static str;
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Self::Error> {
        let (from, to) = (offset as usize, offset as usize + data.len());
        if self.full_at.is_some_and(|full| to as u64 > full) {
            return Err("full");
        }
        self.bytes.resize(self.bytes.len().max(to), 0);
        self.bytes[from..to].copy_from_slice(data);
        Ok(())
    }
    fn set_len(&mut self, total: u64) -> Result<(), Self::Error> {
        self.len = Some(total);
        Ok(())
    }
    fn restart(&mut self) -> Result<(), Self::Error> {
        self.bytes.clear();
        self.restarts += 1;
        Ok(())
    }
}

fn file(len: usize, version: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ version).collect()
}

fn answer(status: &str, fields: &str, body: &[u8]) -> Answer {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    Answer { bytes, then: Then::Keep }
}

/// An honest answer with ranges and a strong validator.
fn ranged(ask: &Ask, data: &[u8], etag: &str) -> Answer {
    let unchanged = ask.field("if-range").is_none_or(|tag| etag.contains(tag));
    match ask.range(data.len()) {
        Some(range) if unchanged && range.start < data.len() => {
            let fields = format!("{etag}Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, data.len());
            answer("206 Partial Content", &fields, &data[range])
        }
        Some(_) if unchanged => {
            answer("416 Range Not Satisfiable", &format!("Content-Range: bytes */{}\r\n", data.len()), b"")
        }
        _ => answer("200 OK", etag, data),
    }
}

type TestFetch = Fetch<'static, Memory, Vec<Slot<2048>>, 2048, 4>;

fn fetch_with(connections: usize, options: Options<'static>, state: Option<State>) -> TestFetch {
    let slots = (0..connections).map(|_| Slot::EMPTY).collect();
    let source = Source::new("http://192.0.2.1/f").unwrap();
    Fetch::new(Options { split_min: 1000, ..options }, [source], Memory::default(), slots, state)
}

fn fetch(connections: usize) -> TestFetch {
    fetch_with(connections, Options::default(), None)
}

/// Turns it until it has closed; the time it took.
fn run(fetch: &mut TestFetch, net: &mut ScriptNet) -> Duration {
    let mut now = EPOCH;
    let mut scratch = vec![0; 4096];
    for _ in 0..100_000 {
        let next = fetch.turn(now, net, &mut scratch);
        if fetch.is_closed() {
            assert_eq!(net.open(), 0, "a socket was left open");
            return now.checked_duration_since(EPOCH).unwrap();
        }
        now = next.expect("nothing to wait for, and not done").max(now);
    }
    panic!("never ends");
}

fn assert_whole(fetch: &mut TestFetch, data: &[u8]) {
    assert_eq!(fetch.outcome().map(|outcome| outcome.map_err(Failure::reason)), Some(Ok(data.len() as u64)));
    assert!(fetch.sink().bytes == data, "the bytes differ");
    assert_eq!(fetch.sink().len, Some(data.len() as u64));
}

fn events(fetch: &mut TestFetch) -> Vec<Event> {
    core::iter::from_fn(|| fetch.next_event()).collect()
}

#[test]
fn a_file_comes_whole_over_any_number_of_connections() {
    for len in [0, 1, 999, 1000, 1001, 65_536, 300_000] {
        for connections in [1, 2, 3, 8] {
            let data = file(len, 0);
            let served = data.clone();
            let mut net = ScriptNet::new(move |ask| ranged(&ask, &served, ETAG));
            let mut fetch = fetch(connections);
            run(&mut fetch, &mut net);
            assert_whole(&mut fetch, &data);
        }
    }
}

#[test]
fn the_first_request_is_the_only_one_that_finds_out_what_the_server_can_do() {
    let data = file(500, 0);
    let mut net = ScriptNet::new(move |ask| {
        assert_eq!(ask.number, 0);
        assert_eq!(ask.field("range"), Some("bytes=0-"));
        assert_eq!(ask.field("accept-encoding"), Some("identity"));
        ranged(&ask, &data, ETAG)
    });
    run(&mut fetch(4), &mut net);
}

#[test]
fn every_later_request_carries_the_validator() {
    let data = file(100_000, 0);
    let mut net = ScriptNet::new(move |ask| {
        assert_eq!(ask.field("if-range"), (ask.number > 0).then_some("\"v1\""));
        ranged(&ask, &data, ETAG)
    });
    run(&mut fetch(4), &mut net);
    assert!(net.asked >= 4);
}

#[test]
fn a_server_without_ranges_gives_a_single_stream() {
    let data = file(100_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |_| answer("200 OK", "", &served));
    let mut fetch = fetch(8);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(net.asked, 1);
    assert_eq!(events(&mut fetch), [Event::NoRanges]);
    assert_eq!(fetch.state(), None);
}

#[test]
fn a_chunked_answer_tells_its_length_at_the_end() {
    let data = file(70_000, 0);
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in data.chunks(4096) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let mut net = ScriptNet::new(move |_| Answer { bytes: bytes.clone(), then: Then::Keep });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
}

#[test]
fn a_connection_that_ends_ends_a_body_without_a_length() {
    let data = file(5000, 0);
    let mut bytes = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    bytes.extend(&data);
    let mut net = ScriptNet::new(move |_| Answer { bytes: bytes.clone(), then: Then::Close });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
}

#[test]
fn a_file_that_changes_midway_is_begun_anew() {
    let (old, new) = (file(100_000, 0), file(90_000, 0x55));
    let served = new.clone();
    let mut net = ScriptNet::new(move |ask| match ask.number {
        0..=2 => ranged(&ask, &old, ETAG),
        _ => ranged(&ask, &served, "ETag: \"v2\"\r\n"),
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &new);
    assert!(events(&mut fetch).contains(&Event::Changed));
}

#[test]
fn a_change_that_keeps_the_length_and_ignores_if_range_is_noticed() {
    let (old, new) = (file(100_000, 0), file(100_000, 0x55));
    let served = new.clone();
    let mut net = ScriptNet::new(move |mut ask| {
        ask.head = ask.head.replace("If-Range", "X");
        let etag = if ask.number < 2 { ETAG } else { "ETag: \"v2\"\r\n" };
        ranged(&ask, if ask.number < 2 { &old } else { &served }, etag)
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &new);
}

#[test]
fn a_file_that_never_stays_the_same_is_given_up() {
    let data = file(100_000, 0);
    let mut net = ScriptNet::new(move |ask| {
        let etag = format!("ETag: \"v{}\"\r\n", ask.number);
        ranged(&ask, &data, &etag)
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_eq!(fetch.outcome(), Some(Err(&Failure::Changing)));
}

#[test]
fn connections_cut_at_any_byte_lose_nothing() {
    for then in [Then::Close, Then::Reset] {
        let data = file(200_000, 0);
        let served = data.clone();
        let mut net = ScriptNet::new(move |ask| {
            let mut answer = ranged(&ask, &served, ETAG);
            let cut = 150 + ask.number * 7919 % 20_000;
            answer.bytes.truncate(cut);
            Answer { then, ..answer }
        });
        let mut fetch = fetch(4);
        run(&mut fetch, &mut net);
        assert_whole(&mut fetch, &data);
    }
}

#[test]
fn a_server_that_stalls_is_left_and_asked_again() {
    let data = file(50_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| {
        let mut answer = ranged(&ask, &served, ETAG);
        if ask.number == 0 {
            answer.bytes.truncate(10_000);
            answer.then = Then::Stall;
        }
        answer
    });
    let mut fetch = fetch_with(1, Options { idle_timeout: Duration::from_secs(7), ..Options::default() }, None);
    let took = run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(9));
    assert!(matches!(events(&mut fetch)[..], [Event::Retry { reason: Failure::Stalled, .. }]));
}

#[test]
fn a_server_that_stalls_for_ever_is_given_up_with_the_reason() {
    let mut net = ScriptNet::new(|_| Answer { bytes: vec![], then: Then::Stall });
    let mut fetch = fetch_with(3, Options { retries: 2, ..Options::default() }, None);
    run(&mut fetch, &mut net);
    assert_eq!(fetch.outcome(), Some(Err(&Failure::Stalled)));
}

#[test]
fn a_body_shorter_than_its_content_length_fails_in_the_end() {
    let mut net = ScriptNet::new(|_| {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec();
        Answer { bytes, then: Then::Close }
    });
    let mut fetch = fetch(2);
    run(&mut fetch, &mut net);
    assert_eq!(fetch.outcome(), Some(Err(&Failure::Http(client::Error::Incomplete { missing: Some(95) }))));
}

#[test]
fn a_body_longer_than_its_content_length_ends_at_its_length() {
    let mut net = ScriptNet::new(|_| {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlonger than that".to_vec();
        Answer { bytes, then: Then::Keep }
    });
    let mut fetch = fetch(2);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, b"long");
}

#[test]
fn a_range_other_than_the_one_asked_for_is_refused() {
    for fields in ["Content-Range: bytes 1-4/5\r\n", "Content-Range: bytes 0-9/10\r\n", "Content-Range: x\r\n", ""] {
        let mut net = ScriptNet::new(move |_| answer("206 Partial Content", fields, b"abcd"));
        let mut fetch = fetch(2);
        run(&mut fetch, &mut net);
        assert_eq!(fetch.outcome(), Some(Err(&Failure::Range)), "{fields}");
    }
}

#[test]
fn a_server_that_stops_serving_ranges_still_gives_the_file() {
    let data = file(100_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| match ask.number {
        0 | 1 => ranged(&ask, &served, ETAG),
        _ => answer("200 OK", ETAG, &served),
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(fetch.sink().restarts, 0);
}

#[test]
fn a_range_of_unknown_total_falls_back_to_the_whole() {
    let data = file(3000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| match ask.range(3000) {
        Some(_) => answer("206 Partial Content", "Content-Range: bytes 0-2999/*\r\n", &served),
        None => answer("200 OK", "", &served),
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
}

#[test]
fn statuses_that_pass_are_waited_for_and_others_end_it() {
    let statuses = [(500, true), (503, true), (429, true), (408, true), (404, false), (403, false), (410, false)];
    for ((status, passes), connections) in statuses.into_iter().flat_map(|status| [(status, 1), (status, 4)]) {
        let data = file(2000, 0);
        let served = data.clone();
        let mut net = ScriptNet::new(move |ask| match ask.number {
            0 => answer(&format!("{status} X"), "Retry-After: 20\r\n", b"sorry"),
            _ => ranged(&ask, &served, ETAG),
        });
        let mut fetch = fetch(connections);
        let took = run(&mut fetch, &mut net);
        if passes {
            assert_whole(&mut fetch, &data);
            assert!(took >= Duration::from_secs(20), "Retry-After was not waited for");
        } else {
            assert_eq!(fetch.outcome(), Some(Err(&Failure::Status(status))));
            assert_eq!(net.asked, 1);
        }
    }
}

#[test]
fn a_server_that_wants_fewer_connections_gets_fewer() {
    let data = file(200_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| match ask.number {
        1..=3 => answer("503 Busy", "", b""),
        _ => ranged(&ask, &served, ETAG),
    });
    let mut fetch = fetch(4);
    let took = run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(took, Duration::from_ticks(0), "the connection that was served did not wait");
}

#[test]
fn a_refused_first_connection_ends_it_at_once() {
    let mut net = ScriptNet::new(|_| unreachable!());
    net.refuse = true;
    let mut fetch = fetch(4);
    assert_eq!(run(&mut fetch, &mut net), Duration::from_ticks(0));
    assert_eq!(fetch.outcome(), Some(Err(&Failure::Net(Error::Refused))));
}

#[test]
fn redirects_lead_to_the_file_and_secrets_stay_behind() {
    let data = file(2000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| {
        assert_eq!(ask.field("x-mine"), Some("1"));
        match ask.number {
            0 => {
                assert_eq!(ask.field("authorization"), Some("secret"));
                answer("302 Found", "Location: /g\r\n", b"moved")
            }
            1 => {
                assert!(ask.head.starts_with("GET /g "));
                assert_eq!(ask.field("authorization"), Some("secret"));
                answer("307 Temporary", "Location: http://192.0.2.9:81/h?x\r\n", b"")
            }
            _ => {
                assert!(ask.head.starts_with("GET /h?x "));
                assert_eq!(ask.field("host"), Some("192.0.2.9:81"));
                assert_eq!(ask.field("authorization"), None);
                ranged(&ask, &served, ETAG)
            }
        }
    });
    const SECRETS: &[(&str, &[u8])] = &[("Authorization", b"secret"), ("X-Mine", b"1")];
    let mut fetch = fetch_with(2, Options { headers: SECRETS, ..Options::default() }, None);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(fetch.sources()[0].url(), "http://192.0.2.9:81/h?x");
}

#[test]
fn redirects_that_lead_nowhere_say_so() {
    for (location, failure) in [
        ("Location: /f\r\n", Failure::Redirects),
        ("Location: ftp://h/\r\n", Failure::Scheme),
        ("Location: file:///etc/passwd\r\n", Failure::Scheme),
        ("Location: http://a b/\r\n", Failure::Location),
        ("", Failure::Location),
    ] {
        let mut net = ScriptNet::new(move |_| answer("301 Moved", location, b""));
        let mut fetch = fetch(1);
        run(&mut fetch, &mut net);
        assert_eq!(fetch.outcome(), Some(Err(&failure)), "{location}");
    }
}

#[test]
fn a_sink_that_fails_ends_it_with_its_error() {
    let data = file(100_000, 0);
    let mut net = ScriptNet::new(move |ask| ranged(&ask, &data, ETAG));
    let mut fetch = fetch(4);
    fetch.sink().full_at = Some(60_000);
    run(&mut fetch, &mut net);
    assert_eq!(fetch.outcome(), Some(Err(&Failure::Sink("full"))));
}

#[test]
fn a_mirror_with_another_file_is_left_out() {
    let data = file(4_000_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| match ask.field("host") {
        Some("192.0.2.2") => ranged(&ask, &file(3_999_000, 0), "ETag: \"other\"\r\n"),
        _ => ranged(&ask, &served, ETAG),
    });
    let slots = (0..4).map(|_| Slot::EMPTY).collect();
    let sources = ["http://192.0.2.1/f", "http://192.0.2.2/f"].map(|url| Source::new(url).unwrap());
    let options = Options { split_min: 1000, ..Options::default() };
    let mut fetch: TestFetch = Fetch::new(options, sources, Memory::default(), slots, None);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(events(&mut fetch), [Event::SourceFailed { source: 1, reason: Failure::Mirror }]);
}

/// Whether a mirror that answers with these fields, beside a first source that answers with `first`, is used.
fn mirror_is_used(first: &'static str, mirror: &'static str, trust_mirrors: bool) -> bool {
    let data = file(4_000_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| {
        let fields = if ask.field("host") == Some("192.0.2.2") { mirror } else { first };
        ranged(&ask, &served, fields)
    });
    let slots = (0..4).map(|_| Slot::EMPTY).collect();
    let sources = ["http://192.0.2.1/f", "http://192.0.2.2/f"].map(|url| Source::new(url).unwrap());
    let options = Options { split_min: 1000, trust_mirrors, ..Options::default() };
    let mut fetch: TestFetch = Fetch::new(options, sources, Memory::default(), slots, None);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    !events(&mut fetch).contains(&Event::SourceFailed { source: 1, reason: Failure::Mirror })
}

#[test]
fn a_mirror_must_show_that_its_file_is_the_same() {
    const DATED: &str = "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const SAME_DATE: &str = "ETag: \"mine\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert!(mirror_is_used(ETAG, ETAG, false));
    assert!(mirror_is_used(DATED, SAME_DATE, false), "mirrors make tags of their own");
    assert!(!mirror_is_used(ETAG, "ETag: \"mine\"\r\n", false), "the same length is not enough");
    assert!(!mirror_is_used("", "", false), "nothing is said");
    assert!(mirror_is_used(ETAG, "ETag: \"mine\"\r\n", true), "unless the sum of the whole is checked");
}

#[test]
fn a_rate_limit_is_kept_over_all_connections() {
    let data = file(1_000_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| ranged(&ask, &served, ETAG));
    let mut fetch = fetch_with(4, Options { rate: NonZeroU64::new(100_000), ..Options::default() }, None);
    let took = run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert!(net.asked < 20, "{} requests: connections rob each other of work that only the limit holds up", net.asked);
    assert!(took > Duration::from_millis(9_800) && took < Duration::from_millis(10_300), "took {took}");
}

#[test]
fn a_name_is_asked_for_and_its_absence_ends_it() {
    let data = file(2000, 0);
    let served = data.clone();
    for known in [true, false] {
        let served = served.clone();
        let mut net = ScriptNet::new(move |ask| ranged(&ask, &served, ETAG));
        let source = Source::new("http://name.example:8080/f").unwrap();
        let slots = (0..2).map(|_| Slot::EMPTY).collect();
        let mut fetch: TestFetch = Fetch::new(Options::default(), [source], Memory::default(), slots, None);
        assert_eq!(fetch.turn(EPOCH, &mut net, &mut [0; 1500]), None);
        assert_eq!(fetch.wanted(), Some((0, "name.example", 8080)));
        let addresses = [SocketAddr::from(([192, 0, 2, 1], 8080))];
        fetch.resolved(0, if known { &addresses } else { &[] });
        run(&mut fetch, &mut net);
        if known {
            assert_whole(&mut fetch, &data);
        } else {
            assert_eq!(fetch.outcome(), Some(Err(&Failure::Resolve)));
        }
    }
}

#[test]
fn an_address_that_does_not_answer_costs_a_quarter_of_a_second() {
    let data = file(2000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| ranged(&ask, &served, ETAG));
    net.silent = 1;
    let source = Source::new("http://name.example/f").unwrap();
    let slots = (0..1).map(|_| Slot::EMPTY).collect();
    let mut fetch: TestFetch = Fetch::new(Options::default(), [source], Memory::default(), slots, None);
    fetch.resolved(0, &[1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 80))));
    let took = run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(took, Duration::from_millis(250));
}

#[test]
fn no_address_that_answers_is_a_timeout() {
    let mut net = ScriptNet::new(|_| unreachable!());
    net.silent = 100;
    let options = Options { retries: 0, connect_timeout: Duration::from_secs(3), ..Options::default() };
    let mut fetch = fetch_with(2, options, None);
    let took = run(&mut fetch, &mut net);
    assert_eq!(fetch.outcome(), Some(Err(&Failure::ConnectTimeout)));
    assert_eq!(took, Duration::from_secs(3));
}

#[test]
fn more_connections_do_not_mean_more_tries_of_a_server_that_is_away() {
    let mut net = ScriptNet::new(|_| unreachable!());
    net.silent = 100;
    let options = Options { retries: 2, ..Options::default() };
    let took = run(&mut fetch_with(8, options, None), &mut net);
    // Three times ten seconds, and two pauses of at most half a second and a second.
    assert!(took > Duration::from_secs(30) && took < Duration::from_millis(31_600), "took {took}");
    assert_eq!(net.sockets.len(), 3);
}

#[test]
fn a_stream_without_any_validator_is_begun_anew_where_it_may_be_another() {
    let data = file(100_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| match ask.number {
        0 | 1 => ranged(&ask, &served, ETAG),
        _ => answer("200 OK", "", &served),
    });
    let mut fetch = fetch(4);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(fetch.sink().restarts, 1);
}

/// A state with these bytes of a file still missing.
fn state(total: u64, missing: &[Range<u64>], tag: &str) -> State {
    let validator = Validator::Etag(heapless::String::try_from(tag).unwrap());
    State { total, validator, missing: missing.iter().cloned().collect() }
}

#[test]
fn a_resumed_download_fetches_only_what_is_missing() {
    let data = file(100_000, 0);
    let served = data.clone();
    let mut net = ScriptNet::new(move |ask| {
        assert_eq!(ask.field("if-range"), Some("\"v1\""));
        ranged(&ask, &served, ETAG)
    });
    let mut fetch = fetch_with(4, Options::default(), Some(state(100_000, &[10..2000, 50_000..60_000], "\"v1\"")));
    fetch.sink().bytes = data.clone();
    fetch.sink().bytes[10..2000].fill(0);
    fetch.sink().bytes[50_000..60_000].fill(0);
    fetch.sink().len = Some(100_000);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &data);
    assert_eq!(fetch.progress(EPOCH).received, 11_990);
}

#[test]
fn a_resumed_download_of_a_replaced_file_of_the_same_length_is_begun_anew() {
    let new = file(100_000, 0x55);
    let served = new.clone();
    let mut net = ScriptNet::new(move |ask| ranged(&ask, &served, "ETag: \"v2\"\r\n"));
    let mut fetch =
        fetch_with(4, Options::default(), Some(state(100_000, &[50_000..60_000, 70_000..70_001], "\"v1\"")));
    fetch.sink().bytes = file(100_000, 0);
    run(&mut fetch, &mut net);
    assert_whole(&mut fetch, &new);
    assert_eq!(fetch.sink().restarts, 1);
}

#[test]
fn a_weak_validator_cannot_be_resumed_from() {
    let data = file(100_000, 0);
    let mut net = ScriptNet::new(move |ask| {
        let mut answer = ranged(&ask, &data, "ETag: W/\"v1\"\r\n");
        answer.bytes.truncate(30_000);
        Answer { then: Then::Stall, ..answer }
    });
    let mut fetch = fetch(2);
    let mut scratch = [0; 4096];
    fetch.turn(EPOCH, &mut net, &mut scratch);
    assert!(fetch.progress(EPOCH).done > 0);
    assert_eq!(fetch.state(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the server says, in whatever pieces: an end with the right bytes or a reason, and no panic.
    #[test]
    fn any_mix_of_misbehaviour_ends_with_the_file_or_a_reason(
        len in 0..60_000usize,
        connections in 1..7usize,
        gulp in 1..3000usize,
        deeds in proptest::collection::vec((0..12u8, 0..70_000usize), 1..40),
    ) {
        let data = file(len, 0);
        let served = data.clone();
        let mut net = ScriptNet::new(move |ask| {
            let (deed, at) = deeds[ask.number % deeds.len()];
            let mut answer = ranged(&ask, &served, ETAG);
            match deed {
                0 => { answer.bytes.truncate(at); answer.then = Then::Close; }
                1 => { answer.bytes.truncate(at); answer.then = Then::Reset; }
                2 => { answer.bytes.truncate(at); answer.then = Then::Stall; }
                3 => answer = super::tests::answer("503 Busy", "", b""),
                4 => answer = super::tests::answer("200 OK", ETAG, &served),
                5 if at % 8 == 0 => answer.bytes = at.to_string().into_bytes(),
                6 => answer.then = Then::Close,
                _ => {}
            }
            answer
        });
        net.gulp = gulp;
        let mut fetch = fetch_with(connections, Options { retries: 20, ..Options::default() }, None);
        run(&mut fetch, &mut net);
        if fetch.outcome().is_some_and(|outcome| outcome.is_ok()) {
            assert_whole(&mut fetch, &data);
        }
    }
}
