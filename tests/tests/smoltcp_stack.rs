//! What the smoltcp stack adds beyond the conformance rows: bounds on every wait, spare sockets, reuse.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tidemill_core::net::smoltcp::Timeouts;
use tidemill_core::net::{Error, Handle, Interest, Stack, Token};
use tidemill_core::time::{Duration, Instant};
use tidemill_tests::wire::{Medium, Wire, addr, addr6};

const CLIENT: usize = 0;
const SERVER: usize = 1;
const PORT: u16 = 80;

fn wire<const N: usize>() -> Wire<N> {
    Wire::new(Medium::Ethernet, 1)
}

fn wait<const N: usize, T>(wire: &mut Wire<N>, mut call: impl FnMut(&mut Wire<N>) -> nb::Result<T, Error>) -> T {
    for _ in 0..20_000 {
        match call(wire) {
            Ok(value) => return value,
            Err(nb::Error::WouldBlock) => wire.step(),
            Err(error) => panic!("{error:?}"),
        };
    }
    panic!("still blocked");
}

/// A connection from client to server.
fn link<const N: usize>(wire: &mut Wire<N>, listener: Handle) -> (Handle, Handle) {
    let client = wire.ends[CLIENT].connect(addr(1, PORT)).expect("a free socket");
    wait(wire, |wire| wire.ends[CLIENT].connected(client));
    let (server, _) = wait(wire, |wire| wire.ends[SERVER].accept(listener));
    (client, server)
}

#[test]
fn a_handshake_left_half_open_gives_its_socket_back() {
    let mut wire = Wire::<2>::new(Medium::Ip, 1);
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 2).unwrap();
    let clients = [(); 2].map(|()| wire.ends[CLIENT].connect(addr(1, PORT)).unwrap());
    // The SYNs arrive; no answer gets through.
    wire.step();
    wire.cut = true;
    wire.run_for(Duration::from_secs(9));
    assert_eq!(wire.ends[SERVER].counters().half_open_expired, 0);
    wire.run_for(Duration::from_secs(2));
    assert_eq!(wire.ends[SERVER].counters().half_open_expired, 2);
    wire.cut = false;
    for client in clients {
        wire.ends[CLIENT].abort(client);
    }
    link(&mut wire, listener);
}

#[test]
fn a_full_backlog_delays_connections_and_refuses_none() {
    for (medium, at) in
        [(Medium::Ethernet, addr(1, PORT)), (Medium::Ip, addr(1, PORT)), (Medium::Ethernet, addr6(1, PORT))]
    {
        let mut wire = Wire::<8>::new(medium, 1);
        let listener = wire.ends[SERVER].listen(at, 1).unwrap();
        let clients: Vec<Handle> = (0..4).map(|_| wire.ends[CLIENT].connect(at).unwrap()).collect();
        for _ in 0..clients.len() {
            wait(&mut wire, |wire| wire.ends[SERVER].accept(listener));
        }
        for client in clients {
            wait(&mut wire, |wire| wire.ends[CLIENT].connected(client));
        }
    }
}

#[test]
fn sockets_in_time_wait_do_not_use_up_the_table() {
    let mut wire = wire::<2>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let mut ports = BTreeSet::new();
    for _ in 0..50 {
        let (client, server) = link(&mut wire, listener);
        ports.insert(wire.ends[CLIENT].local_addr(client).unwrap().port());
        wire.ends[CLIENT].close(client);
        wait(&mut wire, |wire| wire.ends[SERVER].recv(server, &mut [0; 8]));
        wire.ends[SERVER].close(server);
        wire.run_for(Duration::from_millis(20));
    }
    assert_eq!(ports.len(), 50, "every connection had a port of its own");
    assert!(wire.now.as_ticks() < 10_000_000, "faster than TIME-WAIT");
    assert!(wire.ends[CLIENT].counters().reclaimed > 40);
}

#[test]
fn data_not_read_outlives_time_wait() {
    let mut wire = wire::<2>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let (client, server) = link(&mut wire, listener);
    wire.ends[CLIENT].shutdown(client).unwrap();
    wait(&mut wire, |wire| wire.ends[SERVER].recv(server, &mut [0; 8]));
    wire.ends[SERVER].send(server, b"late reader").unwrap();
    wire.ends[SERVER].close(server);
    wire.run_for(Duration::from_secs(60));
    let mut buf = [0; 32];
    assert_eq!(wire.ends[CLIENT].recv(client, &mut buf), Ok(11));
    assert_eq!(wire.ends[CLIENT].recv(client, &mut buf), Ok(0));
    assert_eq!(wire.ends[SERVER].free_sockets(), 1);
}

#[test]
fn the_end_of_a_stream_outlives_time_wait() {
    let mut wire = wire::<2>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let (client, server) = link(&mut wire, listener);
    wire.ends[CLIENT].shutdown(client).unwrap();
    wait(&mut wire, |wire| wire.ends[SERVER].recv(server, &mut [0; 8]));
    wire.ends[SERVER].close(server);
    wire.run_for(Duration::from_secs(60));
    assert_eq!(wire.ends[CLIENT].recv(client, &mut [0; 8]), Ok(0));
    assert_eq!(wire.ends[CLIENT].send(client, b"x"), Err(nb::Error::Other(Error::Closed)));
}

#[test]
fn an_idle_connection_asks_for_nothing() {
    let mut wire = wire::<4>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 2).unwrap();
    link(&mut wire, listener);
    wire.run_for(Duration::from_secs(5));
    let now = wire.now;
    assert_eq!([wire.ends[CLIENT].next_deadline(now), wire.ends[SERVER].next_deadline(now)], [None, None]);
    assert!(!wire.step());
}

#[test]
fn a_silent_peer_ends_the_connection_and_an_idle_one_does_not() {
    let mut wire = wire::<4>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 2).unwrap();
    let (busy, _) = link(&mut wire, listener);
    let (idle, _) = link(&mut wire, listener);
    wire.run_for(Duration::from_secs(600));
    wire.cut = true;
    wire.ends[CLIENT].send(busy, b"anybody there?").unwrap();
    wire.run_for(Duration::from_secs(119));
    assert_eq!(wire.ends[CLIENT].recv(busy, &mut [0; 8]), Err(nb::Error::WouldBlock));
    wire.run_for(Duration::from_secs(2));
    assert_eq!(wire.ends[CLIENT].recv(busy, &mut [0; 8]), Err(nb::Error::Other(Error::TimedOut)));
    assert_eq!(wire.ends[CLIENT].send(busy, b"x"), Err(nb::Error::Other(Error::TimedOut)));
    assert_eq!(wire.ends[CLIENT].recv(idle, &mut [0; 8]), Err(nb::Error::WouldBlock));
}

#[test]
fn a_peer_that_sends_to_a_closed_socket_is_reset() {
    let mut wire = wire::<4>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 2).unwrap();
    let (client, server) = link(&mut wire, listener);
    wire.ends[CLIENT].close(client);
    wire.run_for(Duration::from_secs(1));
    wire.ends[SERVER].send(server, b"are you there?").unwrap();
    wire.run_for(Duration::from_secs(1));
    assert_eq!(wire.ends[SERVER].send(server, b"x"), Err(nb::Error::Other(Error::Reset)));
    assert_eq!(wire.ends[CLIENT].free_sockets(), 4);
}

#[test]
fn a_closed_socket_whose_peer_is_gone_comes_back() {
    let mut wire =
        Wire::<2>::with_timeouts(Medium::Ip, 3, Timeouts { stall: Duration::from_secs(30), ..Timeouts::default() });
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let (client, _) = link(&mut wire, listener);
    wire.cut = true;
    wire.ends[CLIENT].send(client, b"never acknowledged").unwrap();
    wire.ends[CLIENT].close(client);
    wire.run_for(Duration::from_secs(29));
    assert_eq!(wire.ends[CLIENT].free_sockets(), 1);
    wire.run_for(Duration::from_secs(3));
    assert_eq!(wire.ends[CLIENT].free_sockets(), 2);
}

#[test]
fn where_no_route_leads_is_unreachable() {
    let mut wire = wire::<2>();
    for nowhere in ["192.0.2.1:80", "10.0.0.1:80", "10.0.0.2:0", "224.0.0.1:80", "[2001:db8::1]:80"] {
        assert_eq!(wire.ends[CLIENT].connect(nowhere.parse().unwrap()), Err(Error::Unreachable), "{nowhere}");
    }
}

#[test]
fn tokens_come_out_without_waiting_for_the_next_poll() {
    let mut wire = wire::<2>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let (client, _) = link(&mut wire, listener);
    let stack = &mut wire.ends[CLIENT];
    stack.watch(client, Interest::Write, Token(1)).unwrap();
    stack.watch(client, Interest::Both, Token(2)).unwrap();
    assert_eq!([stack.next_ready(), stack.next_ready(), stack.next_ready()], [Some(Token(1)), Some(Token(2)), None]);
    stack.watch(client, Interest::Read, Token(3)).unwrap();
    assert_eq!(stack.next_ready(), None);
    stack.close(client);
    assert_eq!(stack.next_ready(), Some(Token(3)));
}

#[test]
fn a_port_in_use_towards_a_peer_is_skipped_when_the_range_comes_round() {
    let mut wire = Wire::<2>::new(Medium::Ip, 1);
    wire.cut = true;
    let stack = &mut wire.ends[CLIENT];
    let held = stack.connect(addr(1, PORT)).unwrap();
    let port = stack.local_addr(held).unwrap().port();
    let mut met = 0;
    for _ in 0..=u16::MAX - 49_152 {
        let other = stack.connect(addr(1, PORT)).unwrap();
        met += usize::from(stack.local_addr(other).unwrap().port() == port);
        stack.abort(other);
        stack.poll(wire.now);
        stack.device_mut().outbox.clear();
    }
    assert_eq!(met, 0);
    stack.abort(held);
}

#[test]
fn a_device_that_takes_no_frame_is_asked_again_but_not_at_once() {
    let mut wire = wire::<2>();
    let listener = wire.ends[SERVER].listen(addr(1, PORT), 1).unwrap();
    let (client, server) = link(&mut wire, listener);
    wire.ends[CLIENT].device_mut().full = true;
    wire.ends[CLIENT].send(client, b"patience").unwrap();
    assert_eq!(wire.ends[CLIENT].next_deadline(wire.now), Some(wire.now), "there is something to send");
    wire.ends[CLIENT].poll(wire.now);
    let again = wire.ends[CLIENT].next_deadline(wire.now).expect("it is still to be sent");
    assert!(again > wire.now);
    assert_eq!(wire.ends[CLIENT].counters().deferred, 1);
    wire.ends[CLIENT].device_mut().full = false;
    assert_eq!(wait(&mut wire, |wire| wire.ends[SERVER].recv(server, &mut [0; 16])), 8);
}

#[test]
fn the_table_and_the_listeners_have_an_end() {
    let mut wire = wire::<8>();
    let stack = &mut wire.ends[SERVER];
    let listeners: Vec<Handle> = (1..=4).map(|port| stack.listen(addr(1, port), 1).unwrap()).collect();
    assert_eq!(stack.listen(addr(1, 5), 1), Err(Error::Full));
    assert_eq!(stack.free_sockets(), 4);
    for listener in listeners {
        stack.close(listener);
    }
    assert_eq!(stack.free_sockets(), 8);
    assert!(stack.listen(addr(1, 5), 100).is_ok(), "a backlog is at most the table");
    assert_eq!(stack.free_sockets(), 0);
    assert_eq!(stack.connect(addr(0, 80)), Err(Error::Full));
}

#[test]
fn a_turn_of_the_clock_backwards_is_no_turn() {
    let mut wire = wire::<2>();
    wire.run_for(Duration::from_secs(1));
    wire.ends[CLIENT].connect(addr(1, PORT)).unwrap();
    wire.ends[CLIENT].poll(Instant::from_ticks(0));
    assert!(wire.ends[CLIENT].next_deadline(Instant::from_ticks(0)) >= Some(wire.now));
}

/// One step of a random life. Numbers choose among the handles there are.
#[derive(Clone, Debug)]
enum Op {
    Listen,
    Connect,
    Accept(usize),
    Send(usize, usize),
    Recv(usize),
    Shutdown(usize),
    Close(usize),
    Abort(usize),
    Watch(usize, bool),
    Steps(usize),
    Cut(bool),
    Wait,
}

fn op() -> impl Strategy<Value = (usize, Op)> {
    let op = prop_oneof![
        1 => Just(Op::Listen),
        4 => Just(Op::Connect),
        4 => any::<usize>().prop_map(Op::Accept),
        4 => (any::<usize>(), 0..20_000_usize).prop_map(|(which, len)| Op::Send(which, len)),
        4 => any::<usize>().prop_map(Op::Recv),
        2 => any::<usize>().prop_map(Op::Shutdown),
        3 => any::<usize>().prop_map(Op::Close),
        2 => any::<usize>().prop_map(Op::Abort),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, write)| Op::Watch(which, write)),
        8 => (1..12_usize).prop_map(Op::Steps),
        1 => any::<bool>().prop_map(Op::Cut),
        1 => Just(Op::Wait),
    ];
    (0..2_usize, op)
}

/// What the test knows of one end.
#[derive(Default)]
struct Known {
    live: Vec<Handle>,
    dead: Vec<Handle>,
    /// The watch that has not fired yet, and whether it is for writing.
    watches: BTreeMap<Handle, (Token, bool)>,
    /// Tokens that have come out.
    due: BTreeSet<Token>,
}

impl Known {
    fn pick(&self, which: usize) -> Option<Handle> {
        (!self.live.is_empty()).then(|| self.live[which % self.live.len()])
    }

    fn bury(&mut self, handle: Handle) {
        self.live.retain(|&live| live != handle);
        self.dead.push(handle);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_with_errors_and_frames_of_noise_panic_nobody(
        ip in any::<bool>(),
        v6 in any::<bool>(),
        errors in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut wire = Wire::<2>::new(if ip { Medium::Ip } else { Medium::Ethernet }, 1);
        let at = if v6 { addr6(1, PORT) } else { addr(1, PORT) };
        wire.ends[SERVER].listen(at, 1).unwrap();
        wire.ends[CLIENT].connect(at).unwrap();
        for _ in 0..20 {
            let mut short = Vec::new();
            for (_, _, frame) in wire.flying.iter_mut().filter(|(_, to, frame)| *to == SERVER && !frame.is_empty()) {
                for (place, error) in &errors {
                    let place = place.index(frame.len());
                    frame[place] ^= error;
                }
                short.push(frame[..cut.index(frame.len())].to_vec());
            }
            let now = wire.now;
            short.push(noise.clone());
            wire.flying.extend(short.into_iter().map(|frame| (now, SERVER, frame)));
            wire.step();
        }
    }

    #[test]
    fn no_life_of_sockets_panics_revives_a_handle_or_loses_a_token(ops in prop::collection::vec(op(), 1..120)) {
        let mut wire = wire::<4>();
        let mut known = [Known::default(), Known::default()];
        let mut tokens = 0;
        for (end, op) in ops {
            let (stack, mine) = (&mut wire.ends[end], &mut known[end]);
            let born = match op {
                Op::Listen => stack.listen(addr(end as u8, PORT), 2).ok(),
                Op::Connect => stack.connect(addr(1 - end as u8, PORT)).ok(),
                Op::Accept(which) => mine.pick(which).and_then(|handle| stack.accept(handle).ok()).map(|(handle, _)| handle),
                Op::Send(which, len) => {
                    if let Some(handle) = mine.pick(which) {
                        let sent = stack.send(handle, &vec![1; len]);
                        prop_assert!(sent != Ok(0) || len == 0);
                    }
                    None
                }
                Op::Recv(which) => {
                    let _ = mine.pick(which).map(|handle| stack.recv(handle, &mut [0; 5_000]));
                    None
                }
                Op::Shutdown(which) => {
                    let _ = mine.pick(which).map(|handle| stack.shutdown(handle));
                    None
                }
                Op::Close(which) | Op::Abort(which) => {
                    if let Some(handle) = mine.pick(which) {
                        if matches!(op, Op::Close(_)) { stack.close(handle) } else { stack.abort(handle) }
                        mine.bury(handle);
                    }
                    None
                }
                Op::Watch(which, write) => {
                    if let Some(handle) = mine.pick(which) {
                        tokens += 1;
                        let interest = if write { Interest::Write } else { Interest::Read };
                        prop_assert_eq!(stack.watch(handle, interest, Token(tokens)), Ok(()));
                        mine.watches.insert(handle, (Token(tokens), write));
                    }
                    None
                }
                Op::Steps(count) => {
                    for _ in 0..count {
                        wire.step();
                    }
                    None
                }
                Op::Cut(cut) => {
                    wire.cut = cut;
                    None
                }
                Op::Wait => {
                    wire.run_for(Duration::from_secs(30));
                    None
                }
            };
            if let Some(handle) = born {
                prop_assert!(!mine.live.contains(&handle) && !mine.dead.contains(&handle), "a handle came twice");
                mine.live.push(handle);
            }
            for (stack, known) in wire.ends.iter_mut().zip(&mut known) {
                for &handle in &known.dead {
                    prop_assert_eq!(stack.recv(handle, &mut [0; 8]), Err(nb::Error::Other(Error::Stale)));
                    stack.abort(handle);
                }
                while let Some(token) = stack.next_ready() {
                    prop_assert!(known.due.insert(token), "a token came twice");
                    known.watches.retain(|_, &mut (watched, _)| watched != token);
                }
            }
        }
        wire.step();
        for (stack, known) in wire.ends.iter_mut().zip(&mut known) {
            while let Some(token) = stack.next_ready() {
                prop_assert!(known.due.insert(token), "a token came twice");
                known.watches.retain(|_, &mut (watched, _)| watched != token);
            }
            for (&handle, &(token, write)) in &known.watches {
                prop_assert!(known.live.contains(&handle), "{token:?} was lost when its socket was closed");
                let connecting = matches!(stack.connected(handle), Err(nb::Error::WouldBlock));
                let blocked = if write {
                    connecting || matches!(stack.send(handle, b"x"), Err(nb::Error::WouldBlock | nb::Error::Other(Error::NotConnected)))
                } else {
                    connecting || matches!(stack.recv(handle, &mut [0; 8]), Err(nb::Error::WouldBlock | nb::Error::Other(Error::NotConnected)))
                };
                prop_assert!(blocked, "{token:?} did not come though its socket is ready");
            }
        }
    }
}
