use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::*;

const ANY: &str = "127.0.0.1:0";

fn net(capacity: usize) -> Net {
    Net::new(capacity).unwrap()
}

/// Repeats a call, and waits for the network in between, for some seconds at most.
pub(crate) fn until_ready<T>(
    net: &mut Net,
    mut call: impl FnMut(&mut Net) -> nb::Result<T, Error>,
) -> Result<T, Error> {
    let give_up = net.now() + Duration::from_secs(20);
    loop {
        match call(net) {
            Ok(value) => return Ok(value),
            Err(nb::Error::Other(error)) => return Err(error),
            Err(nb::Error::WouldBlock) => {
                assert!(net.now() < give_up, "nothing happened");
                let soon = net.now() + Duration::from_millis(20);
                net.wait(Some(soon)).unwrap();
            }
        }
    }
}

/// A listener, and a connection's two ends: the one that connected, the one accepted.
fn pair(net: &mut Net) -> (Handle, Handle, Handle) {
    let listener = net.listen(ANY.parse().unwrap(), 8).unwrap();
    let client = net.connect(net.local_addr(listener).unwrap()).unwrap();
    let (server, peer) = until_ready(net, |net| net.accept(listener)).unwrap();
    until_ready(net, |net| net.connected(client)).unwrap();
    assert_eq!(net.local_addr(client), Ok(peer));
    (listener, client, server)
}

#[test]
fn end_of_stream_is_told_for_ever_and_the_other_half_still_works() {
    let mut net = net(3);
    let (_, client, server) = pair(&mut net);
    let mut buf = [0; 16];
    assert_eq!(net.recv(server, &mut buf), Err(nb::Error::WouldBlock));
    assert_eq!(net.recv(server, &mut []), Ok(0), "an empty buffer takes nothing and waits for nothing");
    assert_eq!(net.send(client, b"last words"), Ok(10));
    net.shutdown(client).unwrap();
    assert_eq!(net.send(client, b"more"), Err(nb::Error::Other(Error::Closed)));
    assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut buf)), Ok(10));
    for _ in 0..3 {
        assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut buf)), Ok(0));
    }
    assert_eq!(net.send(server, b"answer"), Ok(6));
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(6));
}

#[test]
fn a_reset_is_an_error_for_both_directions_whichever_hears_of_it_first() {
    for send_first in [false, true] {
        let mut net = net(3);
        let (_, client, server) = pair(&mut net);
        net.abort(client);
        if send_first {
            // The first send may still go through: the reset is on its way.
            let failed = until_ready(&mut net, |net| net.send(server, b"x").and(Err::<(), _>(nb::Error::WouldBlock)));
            assert_eq!(failed, Err(Error::Reset));
        }
        for _ in 0..3 {
            assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut [0; 4])), Err(Error::Reset));
        }
        assert_eq!(net.send(server, b"x"), Err(nb::Error::Other(Error::Reset)));
    }
}

#[test]
fn a_connection_nobody_listens_for_is_refused() {
    let mut net = net(2);
    let listener = net.listen(ANY.parse().unwrap(), 1).unwrap();
    let address = net.local_addr(listener).unwrap();
    net.close(listener);
    let client = net.connect(address).unwrap();
    net.watch(client, Interest::Write, Token(3)).unwrap();
    assert_eq!(until_ready(&mut net, |net| net.connected(client)), Err(Error::Refused));
    assert_eq!(net.next_ready(), Some(Token(3)));
    assert_eq!(net.connected(client), Err(nb::Error::Other(Error::Refused)), "the outcome stays");
    assert_eq!(net.recv(client, &mut [0; 4]), Err(nb::Error::Other(Error::Refused)));
}

#[test]
fn a_handle_used_after_close_is_stale_even_when_its_slot_has_another_socket() {
    let mut net = net(1);
    let first = net.listen(ANY.parse().unwrap(), 1).unwrap();
    assert_eq!(net.listen(ANY.parse().unwrap(), 1), Err(Error::Full));
    assert_eq!(net.send(first, b"x"), Err(nb::Error::Other(Error::NotConnected)), "a listener carries no data");
    net.close(first);
    let second = net.listen(ANY.parse().unwrap(), 1).unwrap();
    assert_eq!(second.index(), first.index());
    assert_eq!(net.accept(first).map(drop), Err(nb::Error::Other(Error::Stale)));
    assert_eq!(net.local_addr(first), Err(Error::Stale));
    assert_eq!(net.watch(first, Interest::Read, Token(0)), Err(Error::Stale));
    net.close(first);
    net.abort(first);
    assert!(net.local_addr(second).is_ok());
}

#[test]
fn an_address_in_use_is_told() {
    let mut net = net(2);
    let first = net.listen(ANY.parse().unwrap(), 1).unwrap();
    assert_eq!(net.listen(net.local_addr(first).unwrap(), 1), Err(Error::AddressInUse));
    assert_eq!(net.room(), 1, "a listen that failed holds no socket");
}

#[test]
fn a_watcher_hears_once_at_once_if_it_is_ready_and_the_last_one_counts() {
    let mut net = net(3);
    let (_, client, server) = pair(&mut net);
    assert_eq!(net.recv(server, &mut [0; 4]), Err(nb::Error::WouldBlock));
    net.watch(server, Interest::Read, Token(1)).unwrap();
    net.watch(server, Interest::Read, Token(2)).unwrap();
    assert_eq!(net.next_ready(), None);
    net.send(client, b"tide").unwrap();
    net.wait(None).unwrap();
    assert_eq!(net.next_ready(), Some(Token(2)));
    assert_eq!(net.next_ready(), None);
    net.watch(server, Interest::Both, Token(3)).unwrap();
    assert_eq!(net.next_ready(), Some(Token(3)), "there is something to read still");
    assert_eq!(net.recv(server, &mut [0; 2]), Ok(2));
    assert_eq!(net.recv(server, &mut [0; 9]), Ok(2));
    net.watch(server, Interest::Read, Token(4)).unwrap();
    assert_eq!(net.next_ready(), None);
}

#[test]
fn a_full_socket_takes_more_once_its_peer_has_read() {
    let mut net = net(3);
    let (_, client, server) = pair(&mut net);
    let block = vec![7; 1 << 16];
    let mut sent = 0;
    while let Ok(count) = net.send(client, &block) {
        sent += count;
    }
    net.watch(client, Interest::Write, Token(9)).unwrap();
    assert_eq!(net.next_ready(), None);
    let mut read = 0;
    let mut buf = vec![0; 1 << 16];
    while read < sent {
        read += until_ready(&mut net, |net| net.recv(server, &mut buf)).unwrap();
    }
    assert_eq!(read, sent);
    until_ready(&mut net, |net| net.next_ready().ok_or(nb::Error::WouldBlock)).unwrap();
    assert!(net.send(client, &block).is_ok());
}

#[test]
fn a_watcher_of_a_full_socket_is_not_spun_by_the_end_of_the_peers_half() {
    let mut net = net(3);
    let (_, client, server) = pair(&mut net);
    net.shutdown(server).unwrap();
    let block = vec![7; 1 << 16];
    while net.send(client, &block).is_ok() {}
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut [0; 1])), Ok(0));
    net.watch(client, Interest::Write, Token(9)).unwrap();
    while net.next_ready().is_some() {
        net.watch(client, Interest::Write, Token(9)).unwrap();
    }
    let soon = net.now() + Duration::from_millis(20);
    while net.now() < soon {
        net.wait(Some(soon)).unwrap();
        assert_eq!(net.next_ready(), None);
    }
}

#[test]
fn a_wait_ends_on_time_to_the_fraction_of_a_millisecond() {
    let net = &mut net(1);
    for micros in [0, 300, 1_000, 5_700] {
        let until = net.now() + Duration::from_micros(micros);
        let mut waits = 0;
        while net.now() < until {
            net.wait(Some(until)).unwrap();
            waits += 1;
        }
        assert!(waits <= 2, "{waits} waits for {micros} µs: that is spinning");
    }
}

#[test]
fn another_thread_ends_a_wait_without_end() {
    let mut net = net(1);
    let waker = net.waker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(StdDuration::from_millis(10));
        waker.wake();
        waker.wake();
    });
    net.wait(None).unwrap();
    thread.join().unwrap();
    net.waker().wake();
    net.wait(None).unwrap();
    let start = StdInstant::now();
    let soon = net.now() + Duration::from_millis(10);
    net.wait(Some(soon)).unwrap();
    assert!(start.elapsed() >= StdDuration::from_millis(9), "a wake-up that was taken does not count again");
}

#[test]
fn a_listener_without_room_rests_until_a_socket_is_closed() {
    let mut net = net(3);
    let (listener, client, server) = pair(&mut net);
    let outside = std::net::TcpStream::connect(net.local_addr(listener).unwrap()).unwrap();
    let full = until_ready(&mut net, |net| net.accept(listener).map(drop));
    assert_eq!(full, Err(Error::Full));
    net.watch(listener, Interest::Read, Token(5)).unwrap();
    assert_eq!(net.next_ready(), None, "ready, it would spin");
    net.close(client);
    assert_eq!(net.next_ready(), Some(Token(5)));
    assert_eq!(net.accept(listener).unwrap().1, outside.local_addr().unwrap());
    net.close(server);
}

#[test]
fn a_file_is_sent_from_an_offset_and_its_end_is_told() {
    let mut net = net(3);
    let (_, client, server) = pair(&mut net);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    assert_eq!(net.sendfile(server, file.as_fd(), 4, 100), Ok(6));
    assert_eq!(net.sendfile(server, file.as_fd(), 10, 1), Ok(0));
    let mut buf = [0; 16];
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(6));
    assert_eq!(&buf[..6], b"456789");
    net.close(server);
    assert_eq!(net.sendfile(server, file.as_fd(), 0, 1), Err(nb::Error::Other(Error::Stale)));
}

#[test]
fn an_accepted_connection_needs_no_poller_until_it_is_waited_for() {
    let mut net = net(6);
    let (listener, client, server) = pair(&mut net);
    let polled = |net: &Net, socket| net.sockets.get(socket).unwrap().polled;
    // What comes and goes at once is found without it, and so is what comes after nothing was there.
    assert_eq!(net.recv(server, &mut [0; 4]), Err(nb::Error::WouldBlock));
    assert_eq!(net.send(client, b"tide"), Ok(4));
    assert_eq!(until_ready(&mut net, |net| net.recv(server, &mut [0; 9])), Ok(4));
    assert_eq!(net.send(server, b"mill"), Ok(4));
    assert!(!polled(&net, server) && polled(&net, client));
    // What came before it was waited for is told all the same: bytes, and an end.
    assert_eq!(net.recv(server, &mut [0; 4]), Err(nb::Error::WouldBlock));
    net.send(client, b"more").unwrap();
    net.watch(server, Interest::Read, Token(5)).unwrap();
    assert!(polled(&net, server));
    net.wait(None).unwrap();
    assert_eq!(net.next_ready(), Some(Token(5)));
    assert_eq!(net.recv(server, &mut [0; 9]), Ok(4));
    let second = net.connect(net.local_addr(listener).unwrap()).unwrap();
    let (other, _) = until_ready(&mut net, |net| net.accept(listener)).unwrap();
    assert_eq!(net.recv(other, &mut [0; 4]), Err(nb::Error::WouldBlock));
    net.close(second);
    net.watch(other, Interest::Read, Token(6)).unwrap();
    while net.next_ready() != Some(Token(6)) {
        net.wait(None).unwrap();
    }
    assert_eq!(net.recv(other, &mut [0; 4]), Ok(0));
}

#[test]
fn what_was_held_back_for_the_end_goes_out_with_it() {
    let mut net = net(6);
    let (listener, client, server) = pair(&mut net);
    net.send_more(server, b"tide").unwrap();
    net.shutdown(server).unwrap();
    let mut buf = [0; 9];
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(4));
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(0));
    net.close(client);
    let client = net.connect(net.local_addr(listener).unwrap()).unwrap();
    let (server, _) = until_ready(&mut net, |net| net.accept(listener)).unwrap();
    until_ready(&mut net, |net| net.connected(client)).unwrap();
    net.cork(server);
    net.send(server, b"mill").unwrap();
    net.close(server);
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(4));
    assert_eq!(until_ready(&mut net, |net| net.recv(client, &mut buf)), Ok(0));
}

#[test]
fn descriptors_are_given_back() {
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut net = net(8);
    let listener = net.listen(ANY.parse().unwrap(), 8).unwrap();
    let address = net.local_addr(listener).unwrap();
    let rounds = |net: &mut Net| {
        for _ in 0..50 {
            let client = net.connect(address).unwrap();
            let (server, _) = until_ready(net, |net| net.accept(listener)).unwrap();
            net.close(client);
            net.abort(server);
        }
    };
    rounds(&mut net);
    let before = count();
    rounds(&mut net);
    // Other tests of this process open and close descriptors meanwhile.
    assert!(count() < before + 50);
    assert_eq!(net.room(), 7);
}
