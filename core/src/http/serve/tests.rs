//! What the server does to its peers, in virtual time, over wires that are buffers.

use super::*;
use crate::executor::Program as _;
use crate::net::{Interest, Token};
use crate::pool::Slot;
use crate::time::EPOCH;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// One connection between a client that the test plays and the server.
#[derive(Default)]
struct Peer {
    to_server: VecDeque<u8>,
    from_server: Vec<u8>,
    /// How many bytes the client's window still takes.
    room: usize,
    sends: usize,
    /// The client has ended its half.
    client_fin: bool,
    server_fin: bool,
    reset: bool,
    closed: bool,
    watch: Option<(Interest, Token)>,
}

#[derive(Default)]
struct Wires {
    peers: Vec<Peer>,
    backlog: VecDeque<usize>,
    listener: Option<Token>,
    ready: VecDeque<Token>,
}

const LISTEN: Handle = Handle::new(u16::MAX, 0);

impl Wires {
    fn peer(&mut self, socket: Handle) -> Result<&mut Peer, Error> {
        self.peers.get_mut(socket.index()).filter(|peer| !peer.closed).ok_or(Error::Stale)
    }

    /// Tells the watchers whose time has come.
    fn fire(&mut self) {
        if !self.backlog.is_empty() {
            self.ready.extend(self.listener.take());
        }
        for peer in &mut self.peers {
            let readable = !peer.to_server.is_empty() || peer.client_fin;
            let writable = peer.room > 0;
            let due = |(interest, _): &mut (Interest, Token)| match interest {
                Interest::Read => readable,
                Interest::Write => writable,
                Interest::Both => readable || writable,
            };
            self.ready.extend(peer.watch.take_if(due).map(|(_, token)| token));
        }
    }
}

impl Stack for Wires {
    fn listen(&mut self, _: SocketAddr, _: usize) -> Result<Handle, Error> {
        Ok(LISTEN)
    }
    fn accept(&mut self, _: Handle) -> nb::Result<(Handle, SocketAddr), Error> {
        let index = self.backlog.pop_front().ok_or(nb::Error::WouldBlock)?;
        Ok((Handle::new(index as u16, 0), SocketAddr::from(([10, 0, 0, 1], index as u16))))
    }
    fn connect(&mut self, _: SocketAddr) -> Result<Handle, Error> {
        Err(Error::Full)
    }
    fn connected(&mut self, _: Handle) -> nb::Result<(), Error> {
        Ok(())
    }
    fn recv(&mut self, socket: Handle, buf: &mut [u8]) -> nb::Result<usize, Error> {
        let peer = self.peer(socket)?;
        let count = buf.len().min(peer.to_server.len());
        if count == 0 && !peer.client_fin {
            return Err(nb::Error::WouldBlock);
        }
        buf.iter_mut().zip(peer.to_server.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }
    fn send(&mut self, socket: Handle, buf: &[u8]) -> nb::Result<usize, Error> {
        let peer = self.peer(socket)?;
        assert!(!peer.server_fin, "sent after the end");
        let count = buf.len().min(peer.room);
        if count == 0 {
            return Err(nb::Error::WouldBlock);
        }
        peer.room -= count;
        peer.sends += 1;
        peer.from_server.extend_from_slice(&buf[..count]);
        Ok(count)
    }
    fn shutdown(&mut self, socket: Handle) -> Result<(), Error> {
        self.peer(socket)?.server_fin = true;
        Ok(())
    }
    fn close(&mut self, socket: Handle) {
        if let Ok(peer) = self.peer(socket) {
            (peer.closed, peer.server_fin) = (true, true);
        }
    }
    fn abort(&mut self, socket: Handle) {
        if let Ok(peer) = self.peer(socket) {
            (peer.closed, peer.reset) = (true, true);
        }
    }
    fn local_addr(&self, _: Handle) -> Result<SocketAddr, Error> {
        Ok(SocketAddr::from(([10, 0, 0, 2], 80)))
    }
    fn watch(&mut self, socket: Handle, interest: Interest, token: Token) -> Result<(), Error> {
        if socket == LISTEN {
            self.listener = Some(token);
        } else {
            self.peer(socket)?.watch = Some((interest, token));
        }
        self.fire();
        Ok(())
    }
    fn next_ready(&mut self) -> Option<Token> {
        self.ready.pop_front()
    }
}

/// `/N` is a file of N bytes; `/cut` promises more than it has; `/folder` is one; there is nothing else.
#[derive(Default)]
struct Numbers {
    log: Vec<(u16, u64, bool)>,
}

fn byte(at: u64) -> u8 {
    b'a' + (at % 23) as u8
}

impl Content<Wires> for Numbers {
    /// How many bytes there really are.
    type File = u64;

    fn open(&mut self, head: &Head<'_>) -> Result<Opened<u64>, Refusal> {
        let (len, file) = match &head.path()[1..] {
            "cut" => (5_000, 3_000),
            "folder" | "/folder" => return Err(Refusal::Folder),
            number => number.parse().map(|len| (len, len)).map_err(|_| Refusal::Status(404))?,
        };
        Ok(Opened {
            file,
            len,
            etag: "\"v\"".try_into().unwrap(),
            modified: None,
            content_type: "text/plain",
            encoding: None,
        })
    }

    fn read(&mut self, file: &mut u64, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let count = buf.len().min(file.saturating_sub(offset) as usize);
        (0..count).for_each(|at| buf[at] = byte(offset + at as u64));
        Ok(count)
    }

    fn transmit(
        &mut self,
        file: &mut u64,
        net: &mut Wires,
        socket: Handle,
        at: u64,
        len: u64,
    ) -> nb::Result<u64, Error> {
        let end = (at + len).min(*file).min(at + 700);
        let bytes: Vec<u8> = (at..end).map(byte).collect();
        Ok(if bytes.is_empty() { 0 } else { net.send(socket, &bytes)? as u64 })
    }

    fn unix_time(&self, _: Instant) -> Option<u64> {
        None
    }

    fn served(&mut self, served: &Served<'_>) {
        self.log.push((served.status, served.sent, served.complete));
    }
}

/// A server with places for `N - 1` connections, `N` desks, and its peers.
struct Scene<const N: usize> {
    server: Server<Numbers, Slots<u64, N>, [u8; 2048], Vec<Desk<256>>, u64, 256>,
    wires: Wires,
    now: Instant,
    next: Option<Instant>,
}

fn scene<const N: usize>(limits: Limits) -> Scene<N> {
    scene_with_desks(N, limits)
}

fn scene_with_desks<const N: usize>(desks: usize, limits: Limits) -> Scene<N> {
    let slots = [const { Slot::EMPTY }; N];
    let desks = (0..desks).map(|_| Desk::EMPTY).collect();
    let mut server = server(Files::new(Numbers::default(), [0; 2048], desks, limits), slots);
    let mut wires = Wires::default();
    server.listen(&mut wires, SocketAddr::from(([0; 4], 80)), 4).unwrap();
    Scene { server, wires, now: EPOCH + Duration::from_secs(100), next: None }
}

impl<const N: usize> Scene<N> {
    /// Somebody connects and says this.
    fn connect(&mut self, says: &str) -> usize {
        let peer = Peer { room: usize::MAX, to_server: says.bytes().collect(), ..Peer::default() };
        self.wires.peers.push(peer);
        let index = self.wires.peers.len() - 1;
        self.wires.backlog.push_back(index);
        self.settle();
        index
    }

    fn say(&mut self, peer: usize, text: &str) {
        self.wires.peers[peer].to_server.extend(text.bytes());
        self.settle();
    }

    /// Turns the server until it has nothing to do at this time.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.wires.fire();
            self.next = self.server.turn(self.now, &mut self.wires);
            if self.next.is_none_or(|next| next > self.now) && self.wires.ready.is_empty() {
                return;
            }
        }
        panic!("the server spins");
    }

    /// Lets this time pass, with every turn the server asks for.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next.filter(|&next| next <= end) {
            self.now = next;
            self.settle();
        }
        self.now = end;
    }

    fn heard(&self, peer: usize) -> &str {
        core::str::from_utf8(&self.wires.peers[peer].from_server).unwrap()
    }

    fn peer(&mut self, peer: usize) -> &mut Peer {
        &mut self.wires.peers[peer]
    }

    fn statuses(&self, peer: usize) -> Vec<&str> {
        self.heard(peer).split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn body(len: u64) -> String {
    (0..len).map(|at| char::from(byte(at))).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let requests = [get("/5"), get("/nothing"), get("/3000"), get("/0"), get("/1")].concat();
    let mut whole = scene::<2>(Limits::default());
    let peer = whole.connect(&requests);
    assert_eq!(whole.statuses(peer), ["200", "404", "200", "200", "200"]);
    assert!(whole.heard(peer).contains(&format!("\r\n\r\n{}HTTP/1.1 404", body(5))));
    assert!(whole.heard(peer).contains(&format!("\r\n\r\n{}HTTP/1.1 200", body(3000))));
    assert_eq!(
        whole.server.service().content().log,
        [(200, 5, true), (404, 0, true), (200, 3000, true), (200, 0, true), (200, 1, true)]
    );

    let mut cut = scene::<2>(Limits::default());
    let other = cut.connect("");
    for byte in requests.bytes() {
        cut.say(other, &char::from(byte).to_string());
    }
    assert_eq!(cut.heard(other), whole.heard(peer));
    cut.peer(other).client_fin = true;
    cut.settle();
    assert!(cut.peer(other).closed && !cut.peer(other).reset);
    assert_eq!(cut.server.connections(), 0);
}

#[test]
fn a_small_file_goes_out_with_its_head_in_one_call() {
    let mut scene = scene::<2>(Limits::default());
    let peer = scene.connect(&get("/1000"));
    assert_eq!((scene.peer(peer).sends, scene.statuses(peer)), (1, vec!["200"]));
}

#[test]
fn an_answer_arrives_whole_through_the_smallest_window() {
    let mut scene = scene::<2>(Limits::default());
    let peer = scene.connect("");
    scene.peer(peer).room = 0;
    scene.say(peer, &[get("/1000"), get("/5000")].concat());
    while scene.peer(peer).from_server.len() < 6_000 || !scene.heard(peer).ends_with(&body(5000)) {
        scene.peer(peer).room = 7;
        scene.settle();
    }
    assert!(scene.heard(peer).contains(&format!("\r\n\r\n{}HTTP/1.1 200", body(1000))));
}

#[test]
fn who_asks_without_end_leaves_the_turn_to_others() {
    let mut scene = scene::<3>(Limits::default());
    let (flood, other) = (scene.connect(""), scene.connect(""));
    scene.peer(flood).to_server.extend(get("/1").repeat(5_000).bytes());
    scene.peer(other).to_server.extend(get("/1").bytes());
    scene.wires.fire();
    scene.server.turn(scene.now, &mut scene.wires);
    assert_eq!(scene.statuses(other).len(), 1);
    assert!((1..1_000).contains(&scene.statuses(flood).len()), "{}", scene.statuses(flood).len());
    scene.settle();
    assert_eq!(scene.statuses(flood).len(), 5_000);
}

#[test]
fn whatever_is_refused_is_told_why_and_heard_out() {
    let long = "a".repeat(300);
    for (status, request) in [
        ("400", "GET / HTTP/1.1\r\n\r\n".to_string()),
        ("400", "GET /5 HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n".to_string()),
        ("414", format!("GET /{long}")),
        ("431", format!("GET / HTTP/1.1\r\nHost: h\r\nA: {long}\r\n\r\n")),
        ("501", "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".to_string()),
        ("505", "GET / HTTP/3.0\r\n\r\n".to_string()),
        ("405", "POST /5 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf".to_string()),
    ] {
        let mut scene = scene::<2>(Limits::default());
        let peer = scene.connect(&request);
        assert_eq!(scene.statuses(peer), [status], "{request}");
        assert!(scene.heard(peer).contains("\r\nConnection: close\r\n"), "{request}");
        scene.say(peer, &long);
        assert!(scene.peer(peer).server_fin && !scene.peer(peer).closed, "it might not have read the answer yet");
        scene.peer(peer).client_fin = true;
        scene.settle();
        assert!(scene.peer(peer).closed && !scene.peer(peer).reset);
    }
}

#[test]
fn a_peer_that_never_ends_is_not_heard_out_for_ever() {
    let mut scene = scene::<2>(Limits::default());
    let peer = scene.connect("BAD\r\n\r\n");
    assert_eq!(scene.statuses(peer), ["400"]);
    scene.pass(SECOND);
    assert!(!scene.peer(peer).closed);
    scene.pass(SECOND);
    assert!(scene.peer(peer).closed);
    let peer = scene.connect("BAD\r\n\r\n");
    for _ in 0..1030 {
        scene.say(peer, &"x".repeat(1024));
    }
    assert!(scene.peer(peer).closed, "more than a megabyte is no leftover");
}

#[test]
fn a_request_with_a_body_that_has_arrived_does_not_cost_the_connection() {
    let mut scene = scene::<2>(Limits::default());
    let post = "POST /5 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
    let peer = scene.connect(&[post, &get("/5")].concat());
    assert_eq!(scene.statuses(peer), ["405", "200"]);
}

#[test]
fn silence_ends_a_connection_and_a_slow_head_is_told_so() {
    let mut scene = scene::<4>(Limits::default());
    let mute = scene.connect("");
    let slow = scene.connect("GET ");
    let idle = scene.connect(&get("/5"));
    scene.pass(SECOND * 9);
    assert_eq!(scene.server.connections(), 3);
    scene.pass(SECOND);
    assert!(scene.peer(mute).closed && scene.heard(mute).is_empty());
    for _ in 0..4 {
        scene.pass(SECOND);
        scene.say(slow, "x");
    }
    assert_eq!(scene.statuses(slow).len(), 0);
    scene.pass(SECOND);
    assert_eq!(scene.statuses(slow), ["408"], "each byte in time, and the head too late");
    scene.pass(SECOND * 44);
    assert!(!scene.peer(idle).closed);
    scene.pass(SECOND);
    assert!(scene.peer(idle).closed && !scene.peer(idle).reset);
    assert_eq!((scene.server.connections(), scene.next), (0, None));
}

#[test]
fn who_does_not_read_is_cut_off_and_costs_nobody_else_anything() {
    let mut scene = scene::<3>(Limits::default());
    let stuck = scene.connect("");
    scene.peer(stuck).room = 1_000;
    scene.say(stuck, &get("/9000000000"));
    for _ in 0..3 {
        scene.pass(SECOND * 20);
        scene.peer(stuck).room = 1;
        let other = scene.connect(&get("/5"));
        assert_eq!(scene.statuses(other), ["200"]);
        scene.peer(other).client_fin = true;
        scene.settle();
    }
    assert!(!scene.peer(stuck).closed, "a byte in twenty seconds is slow, but not dead");
    scene.pass(SECOND * 30);
    assert!(scene.peer(stuck).reset);
    assert!(matches!(scene.server.service().content().log.last(), Some((200, 1..1_003, false))));
}

#[test]
fn a_file_that_became_shorter_ends_in_a_reset_and_not_in_a_short_answer() {
    let mut scene = scene::<2>(Limits::default());
    let peer = scene.connect(&get("/cut"));
    assert!(scene.peer(peer).reset);
    assert_eq!(scene.server.service().content().log, [(200, 3_000, false)]);
}

#[test]
fn beyond_its_places_it_says_503_and_beyond_its_slots_it_lets_wait() {
    let mut scene = scene::<3>(Limits::default());
    let busy: Vec<_> = (0..2).map(|_| scene.connect("GET ")).collect();
    let told = scene.connect(&get("/5"));
    assert_eq!(scene.statuses(told), ["503"]);
    assert!(scene.heard(told).contains("\r\nRetry-After: 1\r\n"));
    let waits = scene.connect(&get("/5"));
    assert_eq!(scene.heard(waits), "");
    for peer in busy {
        scene.say(peer, "/5 HTTP/1.0\r\n\r\n");
        scene.peer(peer).client_fin = true;
        scene.settle();
    }
    assert_eq!(scene.statuses(waits), ["503"], "the first slot that became free was a spare one");
    for peer in [told, waits] {
        scene.peer(peer).client_fin = true;
        scene.settle();
    }
    let next = scene.connect(&get("/5"));
    assert_eq!(scene.statuses(next), ["200"]);
}

#[test]
fn an_idle_connection_gives_its_place_to_one_that_asks() {
    let mut scene = scene::<3>(Limits::default());
    let idle: Vec<_> = (0..3).map(|_| scene.connect(&get("/5"))).collect();
    let waits = scene.connect(&get("/7"));
    assert_eq!(scene.heard(waits), "", "they have just been served");
    scene.pass(SECOND);
    assert_eq!(scene.statuses(waits), ["200"]);
    assert!(idle.iter().any(|&peer| !scene.wires.peers[peer].closed), "no more than needed");
    assert_eq!(scene.server.connections(), 2, "and the spare slot is free again");
}

#[test]
fn a_folder_without_its_slash_is_redirected_and_never_to_another_host() {
    for path in ["/folder?a=b", "//folder?a=b"] {
        let mut scene = scene::<2>(Limits::default());
        let peer = scene.connect(&get(path));
        assert_eq!(scene.statuses(peer), ["301"]);
        assert!(scene.heard(peer).contains("\r\nLocation: ./folder/?a=b\r\n"));
    }
}

#[test]
fn a_head_request_gets_no_body_not_even_of_an_error() {
    let mut scene = scene::<2>(Limits::default());
    let heads = "HEAD /5 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /x HTTP/1.1\r\nHost: h\r\n\r\n";
    let peer = scene.connect(heads);
    assert_eq!(scene.statuses(peer), ["200", "404"]);
    assert!(scene.heard(peer).ends_with("\r\n\r\n"));
    assert!(scene.heard(peer).contains("\r\nContent-Length: 5\r\n"));
}

#[test]
fn a_limited_rate_is_kept_in_time() {
    let mut scene = scene::<3>(Limits { rate: NonZeroU64::new(1_000), ..Limits::default() });
    let peer = scene.connect(&get("/60000"));
    scene.pass(SECOND * 30);
    let half = scene.heard(peer).len();
    assert!((29_000..32_000).contains(&half), "{half}");
    scene.pass(SECOND * 31);
    assert!(scene.heard(peer).ends_with(&body(60_000)));
}

#[test]
fn stopped_it_ends_what_has_begun_and_closes_the_rest() {
    let mut scene = scene::<4>(Limits::default());
    let idle = scene.connect(&get("/5"));
    let busy = scene.connect("");
    scene.peer(busy).room = 500;
    scene.say(busy, &get("/9000"));
    scene.server.stop(&mut scene.wires);
    scene.settle();
    assert!(scene.peer(idle).closed && !scene.peer(busy).closed);
    scene.peer(busy).room = usize::MAX;
    scene.settle();
    assert!(scene.heard(busy).ends_with(&body(9_000)) && scene.peer(busy).closed);
    let late = scene.connect(&get("/5"));
    assert_eq!((scene.server.connections(), scene.heard(late)), (0, ""));
}

/// What a client may say, from the sensible to the hostile.
fn saying() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..3_000_u32).prop_map(|len| get(&format!("/{len}")).into_bytes()),
        2 => Just(b"HEAD /9 HTTP/1.1\r\nHost: h\r\nRange: bytes=1-\r\n\r\n".to_vec()),
        2 => Just(b"GET /9 HTTP/1.1\r\nHost: h\r\nRange: bytes=1-3\r\n\r\n".to_vec()),
        2 => Just(b"GET /900 HTTP/1.1\r\nHost: h\r\nRange: bytes=1-3,5-800\r\n\r\n".to_vec()),
        1 => Just(b"BREW /9 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"GET /cut HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..400),
    ]
}

#[test]
fn of_many_who_begin_and_go_no_further_the_oldest_makes_room() {
    let mut scene = scene_with_desks::<32>(4, Limits::default());
    let slow: Vec<_> = (0..10).map(|_| scene.connect("GET /5 HT")).collect();
    for round in 0..20 {
        let peer = scene.connect(&get("/5"));
        assert_eq!(scene.statuses(peer), ["200"], "{round}");
        scene.peer(peer).client_fin = true;
        scene.settle();
    }
    let statuses: Vec<_> = slow.iter().map(|&peer| scene.statuses(peer).concat()).collect();
    assert_eq!(statuses[..7], ["503"; 7], "all but the youngest, less one for whoever is served");
    assert_eq!(statuses[7..], [""; 3]);
    scene.say(slow[9], "TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(scene.statuses(slow[9]), ["200"], "who goes on is served");
    scene.pass(SECOND * 200);
    assert_eq!((scene.server.connections(), scene.server.idle()), (0, 0));
}

#[test]
fn with_every_desk_busy_sending_a_newcomer_is_told_to_come_back() {
    let mut scene = scene_with_desks::<32>(2, Limits::default());
    let stuck: Vec<_> = (0..2)
        .map(|_| {
            let peer = scene.connect("");
            scene.peer(peer).room = 500;
            scene.say(peer, &get("/9000"));
            peer
        })
        .collect();
    let told = scene.connect(&get("/5"));
    assert_eq!(scene.statuses(told), ["503"]);
    assert!(scene.heard(told).contains("\r\nRetry-After: 1\r\n") && scene.peer(told).server_fin);
    for peer in stuck {
        scene.peer(peer).room = usize::MAX;
        scene.settle();
        assert!(scene.heard(peer).ends_with(&body(9_000)));
    }
    let next = scene.connect(&get("/5"));
    assert_eq!(scene.statuses(next), ["200"]);
}

#[test]
fn behaviour_49_several_ranges_come_in_parts_through_any_window() {
    let request = "GET /5000 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-0, 2-3,100-2999,-1\r\n\r\n";
    for window in [usize::MAX, 700, 7] {
        let mut scene = scene::<2>(Limits::default());
        let peer = scene.connect("");
        scene.peer(peer).room = 0;
        scene.say(peer, request);
        for _ in 0..20_000 / window.min(700) {
            scene.peer(peer).room = window;
            scene.settle();
        }
        assert_eq!(scene.statuses(peer), ["206"]);
        let (head, body_heard) = scene.heard(peer).split_once("\r\n\r\n").unwrap();
        let length: usize = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert_eq!(length, body_heard.len());
        let boundary = head.split("multipart/byteranges; boundary=").nth(1).unwrap().lines().next().unwrap();
        let parts: Vec<_> = body_heard.split(&format!("\r\n--{boundary}")).skip(1).collect();
        let all = body(5_000);
        for (part, range) in parts.iter().zip([0..1, 2..4, 100..3_000, 4_999..5_000]) {
            let (head, bytes) = part.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Range: bytes {}-{}/5000", range.start, range.end - 1)), "{head}");
            assert_eq!(bytes, &all[range]);
        }
        assert_eq!((parts.len(), parts[4]), (5, "--\r\n"));
        // And the connection is at its next request.
        scene.peer(peer).room = usize::MAX;
        scene.say(peer, &get("/5"));
        assert_eq!(scene.statuses(peer), ["206", "200"]);
    }
}

proptest! {
    /// However what a client says is cut, it hears the same; and whoever it is, it is gone in the end.
    #[test]
    fn cuts_change_nothing_and_nobody_stays_for_ever(
        sayings in prop::collection::vec(saying(), 1..8),
        pieces in prop::collection::vec(1..200_usize, 1..20),
        windows in prop::collection::vec(1..2_000_usize, 1..20),
    ) {
        let said = sayings.concat();
        let mut whole = scene::<2>(Limits::default());
        let at_once = whole.connect("");
        whole.peer(at_once).to_server.extend(&said);
        whole.settle();

        let mut cut = scene::<2>(Limits::default());
        let in_pieces = cut.connect("");
        cut.peer(in_pieces).room = 0;
        let (mut rest, mut pieces, mut windows) = (&said[..], pieces.iter().cycle(), windows.iter().cycle());
        for _ in 0..20_000 {
            let (piece, left) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
            rest = left;
            cut.peer(in_pieces).to_server.extend(piece);
            cut.peer(in_pieces).room = *windows.next().unwrap();
            cut.settle();
            if rest.is_empty() && cut.peer(in_pieces).room > 0 {
                break;
            }
        }
        prop_assert_eq!(&cut.peer(in_pieces).from_server, &whole.peer(at_once).from_server);
        prop_assert!(whole.peer(at_once).from_server.is_empty() || whole.heard(at_once).starts_with("HTTP/1.1 "));

        for scene in [&mut whole, &mut cut] {
            scene.pass(SECOND * 200);
            prop_assert_eq!((scene.server.connections(), scene.server.idle(), scene.next), (0, 0, None));
        }
    }
}
