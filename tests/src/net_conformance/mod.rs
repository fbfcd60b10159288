//! What every [`Stack`] must do, row by row of the table in [`tidemill_core::net`].
//!
//! A stack under test brings a [`Pair`]: two ends that can reach each other, and a way to let time pass. The macro
//! [`net_conformance!`](crate::net_conformance!) turns each row into a test of its own:
//!
//! ```text
//! tidemill_tests::net_conformance!(OsPair::new);
//! ```

#![allow(missing_docs, reason = "a row's name is its sentence")]

mod nal;

pub use nal::*;

use core::net::SocketAddr;
use tidemill_core::net::{Datagrams, Error, Handle, Interest, Stack, Token};

/// Two ends of a network, of one kind of stack (they may be the same stack).
pub trait Pair {
    /// What is tested.
    type Stack: Stack + Datagrams;

    /// The end that connects.
    fn client(&mut self) -> &mut Self::Stack;
    /// The end that listens.
    fn server(&mut self) -> &mut Self::Stack;
    /// Lets bytes move and time pass: at least a millisecond, or until the next event.
    fn settle(&mut self);
    /// Where the server may listen, at a port of its choice.
    fn server_addr(&self) -> SocketAddr;
    /// An address of the server where nobody listens.
    fn refused_addr(&self) -> SocketAddr;
    /// An address that never answers, if this world has one whose silence is noticed in good time.
    fn silent_addr(&self) -> Option<SocketAddr>;
    /// How many sockets the client has, if a test can use them up.
    fn client_sockets(&self) -> Option<usize>;
}

/// How often to settle before a test gives up.
const PATIENCE: usize = 20_000;

/// Settles until `call` does not block.
fn wait<P: Pair, T>(pair: &mut P, mut call: impl FnMut(&mut P) -> nb::Result<T, Error>) -> Result<T, Error> {
    for _ in 0..PATIENCE {
        match call(pair) {
            Ok(value) => return Ok(value),
            Err(nb::Error::Other(error)) => return Err(error),
            Err(nb::Error::WouldBlock) => pair.settle(),
        }
    }
    panic!("still blocked after {PATIENCE} turns");
}

fn settle_a_while<P: Pair>(pair: &mut P) {
    for _ in 0..50 {
        pair.settle();
    }
}

fn listen<P: Pair>(pair: &mut P, backlog: usize) -> (Handle, SocketAddr) {
    let addr = pair.server_addr();
    let listener = pair.server().listen(addr, backlog).expect("a free port");
    let local = pair.server().local_addr(listener).expect("a listener has an address");
    (listener, SocketAddr::new(addr.ip(), local.port()))
}

/// A connection: the client's and the server's handle.
struct Link {
    client: Handle,
    server: Handle,
}

fn connect_to<P: Pair>(pair: &mut P, listener: Handle, addr: SocketAddr) -> Link {
    let client = pair.client().connect(addr).expect("a free socket");
    wait(pair, |pair| pair.client().connected(client)).expect("the server listens");
    let (server, peer) = wait(pair, |pair| pair.server().accept(listener)).expect("the client has connected");
    assert_eq!(pair.client().local_addr(client), Ok(peer), "accept tells the client's address");
    assert_eq!(pair.server().local_addr(server), Ok(addr));
    Link { client, server }
}

fn link<P: Pair>(pair: &mut P) -> Link {
    let (listener, addr) = listen(pair, 2);
    connect_to(pair, listener, addr)
}

fn client_reads<P: Pair>(pair: &mut P, socket: Handle, expected: &[u8]) {
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let mut buf = [0; 100];
        let read = wait(pair, |pair| pair.client().recv(socket, &mut buf)).expect("data");
        assert_ne!(read, 0, "the stream ended after {} bytes", got.len());
        got.extend_from_slice(&buf[..read]);
    }
    assert_eq!(got, expected);
}

fn server_sends<P: Pair>(pair: &mut P, socket: Handle, bytes: &[u8]) {
    let mut sent = 0;
    while sent < bytes.len() {
        sent += wait(pair, |pair| pair.server().send(socket, &bytes[sent..])).expect("the connection is up");
    }
}

/// Sends until the client's buffers and the peer's are full.
fn fill<P: Pair>(pair: &mut P, socket: Handle) {
    let mut blocked = 0;
    while blocked < 200 {
        match pair.client().send(socket, &[7; 4096]) {
            Ok(_) => blocked = 0,
            Err(nb::Error::WouldBlock) => {
                blocked += 1;
                pair.settle();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub fn no_data_no_room_and_no_connection_would_block<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 2);
    assert_eq!(pair.server().accept(listener), Err(nb::Error::WouldBlock));
    let link = connect_to(pair, listener, addr);
    assert_eq!(pair.server().accept(listener), Err(nb::Error::WouldBlock));
    assert_eq!(pair.client().recv(link.client, &mut [0; 8]), Err(nb::Error::WouldBlock));
    fill(pair, link.client);
    assert_eq!(pair.client().send(link.client, b"x"), Err(nb::Error::WouldBlock));
}

pub fn the_end_of_a_stream_is_zero_for_ever_and_comes_after_the_data<P: Pair>(pair: &mut P) {
    let link = link(pair);
    server_sends(pair, link.server, b"last words");
    pair.server().shutdown(link.server).unwrap();
    settle_a_while(pair);
    client_reads(pair, link.client, b"last words");
    for _ in 0..3 {
        let mut buf = [0; 8];
        assert_eq!(wait(pair, |pair| pair.client().recv(link.client, &mut buf)), Ok(0));
    }
    // The other half still works.
    assert_eq!(wait(pair, |pair| pair.client().send(link.client, b"bye")), Ok(3));
    let mut buf = [0; 8];
    assert_eq!(wait(pair, |pair| pair.server().recv(link.server, &mut buf)), Ok(3));
    pair.client().shutdown(link.client).unwrap();
    assert_eq!(wait(pair, |pair| pair.server().recv(link.server, &mut buf)), Ok(0));
    settle_a_while(pair);
    assert_eq!(pair.client().recv(link.client, &mut buf), Ok(0));
    assert_eq!(pair.server().recv(link.server, &mut buf), Ok(0));
}

pub fn a_reset_is_told_as_such<P: Pair>(pair: &mut P) {
    let link = link(pair);
    pair.server().abort(link.server);
    let mut buf = [0; 8];
    assert_eq!(wait(pair, |pair| pair.client().recv(link.client, &mut buf)), Err(Error::Reset));
}

pub fn nobody_listening_is_refused<P: Pair>(pair: &mut P) {
    let addr = pair.refused_addr();
    let outcome = match pair.client().connect(addr) {
        Ok(socket) => {
            let outcome = wait(pair, |pair| pair.client().connected(socket));
            assert_eq!(pair.client().connected(socket), Err(nb::Error::Other(Error::Refused)), "the outcome stays");
            outcome
        }
        Err(error) => Err(error),
    };
    assert_eq!(outcome, Err(Error::Refused));
}

pub fn nobody_answering_times_out<P: Pair>(pair: &mut P) {
    let Some(addr) = pair.silent_addr() else { return };
    let socket = pair.client().connect(addr).unwrap();
    assert_eq!(wait(pair, |pair| pair.client().connected(socket)), Err(Error::TimedOut));
    assert_eq!(pair.client().connected(socket), Err(nb::Error::Other(Error::TimedOut)), "the outcome stays");
}

pub fn sending_after_shutdown_is_closed_and_reading_goes_on<P: Pair>(pair: &mut P) {
    let link = link(pair);
    assert_eq!(wait(pair, |pair| pair.client().send(link.client, b"question")), Ok(8));
    pair.client().shutdown(link.client).unwrap();
    assert_eq!(pair.client().send(link.client, b"more"), Err(nb::Error::Other(Error::Closed)));
    let mut buf = [0; 32];
    assert_eq!(wait(pair, |pair| pair.server().recv(link.server, &mut buf)), Ok(8));
    assert_eq!(wait(pair, |pair| pair.server().recv(link.server, &mut buf)), Ok(0));
    server_sends(pair, link.server, b"answer");
    client_reads(pair, link.client, b"answer");
    assert_eq!(pair.client().send(link.client, b"more"), Err(nb::Error::Other(Error::Closed)));
}

pub fn a_handle_is_stale_once_closed_and_reaches_no_later_socket<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 2);
    let old = connect_to(pair, listener, addr);
    pair.client().close(old.client);
    pair.server().close(old.server);
    settle_a_while(pair);
    let new: Vec<Link> = (0..3).map(|_| connect_to(pair, listener, addr)).collect();
    let stale = Error::Stale;
    let client = pair.client();
    assert_eq!(client.connected(old.client), Err(stale.into()));
    assert_eq!(client.recv(old.client, &mut [0; 8]), Err(stale.into()));
    assert_eq!(client.send(old.client, b"x"), Err(stale.into()));
    assert_eq!(client.shutdown(old.client), Err(stale));
    assert_eq!(client.accept(old.client), Err(stale.into()));
    assert_eq!(client.local_addr(old.client), Err(stale));
    assert_eq!(client.watch(old.client, Interest::Both, Token(1)), Err(stale));
    client.close(old.client);
    client.abort(old.client);
    for link in new {
        server_sends(pair, link.server, b"alive");
        client_reads(pair, link.client, b"alive");
    }
    pair.server().close(listener);
    assert_eq!(pair.server().accept(listener), Err(stale.into()));
}

pub fn no_socket_left_is_full<P: Pair>(pair: &mut P) {
    let Some(count) = pair.client_sockets() else { return };
    let (_, addr) = listen(pair, 2);
    let sockets: Vec<Handle> = (0..count).map(|_| pair.client().connect(addr).unwrap()).collect();
    assert_eq!(pair.client().connect(addr), Err(Error::Full));
    pair.client().abort(sockets[0]);
    settle_a_while(pair);
    assert!(pair.client().connect(addr).is_ok());
}

pub fn a_zero_length_call_is_zero_and_changes_nothing<P: Pair>(pair: &mut P) {
    let link = link(pair);
    assert_eq!(pair.client().recv(link.client, &mut []), Ok(0));
    assert_eq!(pair.client().send(link.client, &[]), Ok(0));
    assert_eq!(pair.client().recv(link.client, &mut [0; 8]), Err(nb::Error::WouldBlock), "no end of stream");
    server_sends(pair, link.server, b"data");
    settle_a_while(pair);
    assert_eq!(pair.client().recv(link.client, &mut []), Ok(0));
    client_reads(pair, link.client, b"data");
    fill(pair, link.client);
    assert_eq!(pair.client().send(link.client, &[]), Ok(0));
}

pub fn an_address_is_listened_at_once<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 1);
    assert_eq!(pair.server().listen(addr, 1), Err(Error::AddressInUse));
    pair.server().close(listener);
    settle_a_while(pair);
    assert!(pair.server().listen(addr, 1).is_ok());
}

pub fn data_on_a_listener_is_not_connected<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 1);
    assert_eq!(pair.server().send(listener, b"x"), Err(nb::Error::Other(Error::NotConnected)));
    assert_eq!(pair.server().recv(listener, &mut [0; 8]), Err(nb::Error::Other(Error::NotConnected)));
    let link = connect_to(pair, listener, addr);
    assert_eq!(pair.server().accept(link.server), Err(nb::Error::Other(Error::NotConnected)));
}

/// Tokens of one end that came out while settling.
fn tokens<P: Pair>(pair: &mut P, mut stack: impl FnMut(&mut P) -> &mut P::Stack, token: Token) -> usize {
    let mut count = 0;
    for _ in 0..50 {
        pair.settle();
        while let Some(ready) = stack(pair).next_ready() {
            count += usize::from(ready == token);
        }
    }
    count
}

pub fn a_watch_fires_when_data_comes_and_not_again<P: Pair>(pair: &mut P) {
    let link = link(pair);
    pair.client().watch(link.client, Interest::Read, Token(5)).unwrap();
    assert_eq!(tokens(pair, P::client, Token(5)), 0, "nothing has come");
    server_sends(pair, link.server, b"data");
    assert_eq!(tokens(pair, P::client, Token(5)), 1);
    assert_eq!(tokens(pair, P::client, Token(5)), 0, "one-shot");
    pair.client().watch(link.client, Interest::Read, Token(6)).unwrap();
    assert_eq!(tokens(pair, P::client, Token(6)), 1, "ready already");
}

pub fn a_watch_fires_when_there_is_room_again<P: Pair>(pair: &mut P) {
    let link = link(pair);
    pair.client().watch(link.client, Interest::Write, Token(5)).unwrap();
    assert_eq!(tokens(pair, P::client, Token(5)), 1);
    fill(pair, link.client);
    pair.client().watch(link.client, Interest::Write, Token(6)).unwrap();
    assert_eq!(tokens(pair, P::client, Token(6)), 0, "full");
    let mut buf = vec![0; 1 << 16];
    let mut drained = 0;
    while drained < 50 {
        match pair.server().recv(link.server, &mut buf) {
            Ok(_) => drained = 0,
            Err(_) => drained += 1,
        }
        pair.settle();
    }
    assert_eq!(tokens(pair, P::client, Token(6)), 1);
}

pub fn a_watch_fires_for_a_connection_an_end_and_a_failure<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 2);
    pair.server().watch(listener, Interest::Read, Token(1)).unwrap();
    let client = pair.client().connect(addr).unwrap();
    pair.client().watch(client, Interest::Write, Token(2)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..100 {
        pair.settle();
        seen.extend(std::iter::from_fn(|| pair.client().next_ready()));
        seen.extend(std::iter::from_fn(|| pair.server().next_ready()));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [Token(1), Token(2)]);
    let (server, _) = pair.server().accept(listener).unwrap();
    pair.client().watch(client, Interest::Read, Token(3)).unwrap();
    pair.server().shutdown(server).unwrap();
    assert_eq!(tokens(pair, P::client, Token(3)), 1, "the end of the stream");
    let refused = pair.refused_addr();
    if let Ok(socket) = pair.client().connect(refused) {
        pair.client().watch(socket, Interest::Write, Token(4)).unwrap();
        assert_eq!(tokens(pair, P::client, Token(4)), 1, "the refusal");
    }
    let reset = connect_to(pair, listener, addr);
    pair.client().watch(reset.client, Interest::Read, Token(5)).unwrap();
    pair.server().abort(reset.server);
    assert_eq!(tokens(pair, P::client, Token(5)), 1, "the reset");
}

pub fn bytes_arrive_whole_and_in_order<P: Pair>(pair: &mut P) {
    let link = link(pair);
    let bytes: Vec<u8> = (0..300_007_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (mut sent, mut got, mut buf) = (0, Vec::new(), [0; 777]);
    for _ in 0..PATIENCE {
        while let Ok(n @ 1..) = pair.server().send(link.server, &bytes[sent..]) {
            sent += n;
        }
        while let Ok(n @ 1..) = pair.client().recv(link.client, &mut buf) {
            got.extend_from_slice(&buf[..n]);
        }
        if got.len() == bytes.len() {
            break;
        }
        pair.settle();
    }
    assert!(got == bytes, "{} of {} bytes arrived", got.len(), bytes.len());
}

pub fn closing_sends_what_was_written_then_ends_the_stream<P: Pair>(pair: &mut P) {
    let link = link(pair);
    assert_eq!(wait(pair, |pair| pair.server().send(link.server, b"then goodbye")), Ok(12));
    pair.server().close(link.server);
    client_reads(pair, link.client, b"then goodbye");
    let mut buf = [0; 8];
    assert_eq!(wait(pair, |pair| pair.client().recv(link.client, &mut buf)), Ok(0));
}

pub fn connections_wait_to_be_accepted<P: Pair>(pair: &mut P) {
    let (listener, addr) = listen(pair, 2);
    let clients: Vec<Handle> = (0..2).map(|_| pair.client().connect(addr).unwrap()).collect();
    for &client in &clients {
        wait(pair, |pair| pair.client().connected(client)).unwrap();
        wait(pair, |pair| pair.client().send(client, b"hello")).unwrap();
    }
    settle_a_while(pair);
    for _ in 0..2 {
        let (server, _) = wait(pair, |pair| pair.server().accept(listener)).unwrap();
        let mut buf = [0; 8];
        assert_eq!(wait(pair, |pair| pair.server().recv(server, &mut buf)), Ok(5));
    }
    assert_eq!(pair.server().accept(listener), Err(nb::Error::WouldBlock));
}

/// Two sockets for datagrams, and the address of the server's.
fn bound<P: Pair>(pair: &mut P) -> (Handle, Handle, SocketAddr) {
    let addr = pair.server_addr();
    let server = pair.server().bind(addr).expect("a free port");
    let local = pair.server().local_addr(server).expect("it is bound");
    assert_ne!(local.port(), 0);
    let client = pair.client().bind(SocketAddr::new(unspecified(addr), 0)).expect("a free port");
    (client, server, SocketAddr::new(addr.ip(), local.port()))
}

fn unspecified(like: SocketAddr) -> core::net::IpAddr {
    if like.is_ipv4() { core::net::Ipv4Addr::UNSPECIFIED.into() } else { core::net::Ipv6Addr::UNSPECIFIED.into() }
}

pub fn datagrams_arrive_whole_and_apart_and_can_be_answered<P: Pair>(pair: &mut P) {
    let (client, server, addr) = bound(pair);
    let mut buf = [0; 2000];
    assert_eq!(pair.server().recv_from(server, &mut buf), Err(nb::Error::WouldBlock));
    for len in [3, 0, 1200] {
        wait(pair, |pair| pair.client().send_to(client, &[7; 1200][..len], addr)).unwrap();
    }
    let mut peer = addr;
    for len in [3, 0, 1200] {
        let (received, from) = wait(pair, |pair| pair.server().recv_from(server, &mut buf)).unwrap();
        assert_eq!((received, &buf[..len]), (len, &[7; 1200][..len]));
        peer = from;
    }
    wait(pair, |pair| pair.server().send_to(server, b"answer", peer)).unwrap();
    assert_eq!(wait(pair, |pair| pair.client().recv_from(client, &mut buf)), Ok((6, addr)));
    assert_eq!(&buf[..6], b"answer");
    assert_eq!(pair.client().recv_from(client, &mut buf), Err(nb::Error::WouldBlock));
}

pub fn a_datagram_that_does_not_fit_is_cut_and_its_length_told<P: Pair>(pair: &mut P) {
    let (client, server, addr) = bound(pair);
    for text in [&b"too long for it"[..], b"next"] {
        wait(pair, |pair| pair.client().send_to(client, text, addr)).unwrap();
    }
    let mut buf = [0; 4];
    assert_eq!(wait(pair, |pair| pair.server().recv_from(server, &mut buf)).map(|(len, _)| len), Ok(15));
    assert_eq!(&buf, b"too ");
    assert_eq!(wait(pair, |pair| pair.server().recv_from(server, &mut buf)).map(|(len, _)| len), Ok(4));
    assert_eq!(&buf, b"next");
    let endless = vec![0; 66_000];
    assert_eq!(pair.client().send_to(client, &endless, addr), Err(nb::Error::Other(Error::TooLong)));
}

pub fn a_watch_fires_when_a_datagram_comes_and_when_one_can_be_sent<P: Pair>(pair: &mut P) {
    let (client, server, addr) = bound(pair);
    // What was believed to be there at first is found not to be.
    assert_eq!(pair.server().recv_from(server, &mut [0; 8]), Err(nb::Error::WouldBlock));
    pair.server().watch(server, Interest::Read, Token(5)).unwrap();
    assert_eq!(tokens(pair, P::server, Token(5)), 0, "nothing has come");
    wait(pair, |pair| pair.client().send_to(client, b"x", addr)).unwrap();
    assert_eq!(tokens(pair, P::server, Token(5)), 1);
    assert_eq!(tokens(pair, P::server, Token(5)), 0, "one-shot");
    pair.client().watch(client, Interest::Write, Token(6)).unwrap();
    assert_eq!(tokens(pair, P::client, Token(6)), 1);
}

pub fn datagram_sockets_and_others_are_told_apart_and_grow_stale<P: Pair>(pair: &mut P) {
    let (client, server, addr) = bound(pair);
    assert_eq!(pair.server().bind(addr), Err(Error::AddressInUse));
    let not = Err(nb::Error::Other(Error::NotConnected));
    assert_eq!(pair.server().recv(server, &mut [0; 8]), not);
    assert_eq!(pair.server().send(server, b"x"), not);
    assert_eq!(pair.server().accept(server), Err(nb::Error::Other(Error::NotConnected)));
    assert_eq!(pair.server().shutdown(server), Err(Error::NotConnected));
    let (listener, _) = listen(pair, 1);
    assert_eq!(pair.server().send_to(listener, b"x", addr), Err(nb::Error::Other(Error::NotConnected)));
    assert_eq!(pair.server().recv_from(listener, &mut [0; 8]), Err(nb::Error::Other(Error::NotConnected)));
    // What was sent goes out though the socket is closed at once.
    wait(pair, |pair| pair.client().send_to(client, b"bye", addr)).unwrap();
    pair.client().close(client);
    assert_eq!(wait(pair, |pair| pair.server().recv_from(server, &mut [0; 8])).map(|(len, _)| len), Ok(3));
    settle_a_while(pair);
    let other = pair.client().bind(SocketAddr::new(unspecified(addr), 0)).unwrap();
    let stale = nb::Error::Other(Error::Stale);
    assert_eq!(pair.client().send_to(client, b"x", addr), Err(stale));
    assert_eq!(pair.client().recv_from(client, &mut [0; 8]), Err(stale));
    assert_eq!(pair.client().watch(client, Interest::Read, Token(1)), Err(Error::Stale));
    wait(pair, |pair| pair.client().send_to(other, b"x", addr)).unwrap();
    pair.server().close(server);
    settle_a_while(pair);
    assert!(pair.server().bind(addr).is_ok(), "its port is free again");
}

/// One test for each row, on a new pair made by `$make`.
#[macro_export]
macro_rules! net_conformance {
    ($make:expr) => {
        $crate::net_conformance!(@each $make;
            no_data_no_room_and_no_connection_would_block,
            the_end_of_a_stream_is_zero_for_ever_and_comes_after_the_data,
            a_reset_is_told_as_such,
            nobody_listening_is_refused,
            nobody_answering_times_out,
            sending_after_shutdown_is_closed_and_reading_goes_on,
            a_handle_is_stale_once_closed_and_reaches_no_later_socket,
            no_socket_left_is_full,
            a_zero_length_call_is_zero_and_changes_nothing,
            an_address_is_listened_at_once,
            data_on_a_listener_is_not_connected,
            a_watch_fires_when_data_comes_and_not_again,
            a_watch_fires_when_there_is_room_again,
            a_watch_fires_for_a_connection_an_end_and_a_failure,
            bytes_arrive_whole_and_in_order,
            closing_sends_what_was_written_then_ends_the_stream,
            connections_wait_to_be_accepted,
            datagrams_arrive_whole_and_apart_and_can_be_answered,
            a_datagram_that_does_not_fit_is_cut_and_its_length_told,
            a_watch_fires_when_a_datagram_comes_and_when_one_can_be_sent,
            datagram_sockets_and_others_are_told_apart_and_grow_stale,
            embedded_nal_carries_an_echo,
            embedded_nal_carries_datagrams,
            embedded_nal_tells_a_refusal_and_the_socket_is_as_new,
        );
    };
    (@each $make:expr; $($row:ident,)*) => {
        $(#[test]
        fn $row() {
            $crate::net_conformance::$row(&mut $make());
        })*
    };
}
