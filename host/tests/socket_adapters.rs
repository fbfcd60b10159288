//! Sockets as what other code wants them to be: `embedded_io`, and members of the readiness loop.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use embedded_io::{Error as _, ErrorKind, Read, ReadReady, Write, WriteReady};
use tidemill_core::net::{Datagrams, Error as NetError, Interest, Stack, Token};
use tidemill_host::net::Net;
use tidemill_host::socket::{Address, Error, Family, Flags, Kind, Socket, create_connection};

/// What knows of sockets nothing but that bytes go in and out.
fn echo_line<T: Read + Write>(io: &mut T) -> Result<usize, T::Error> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        if io.read(&mut byte)? == 0 {
            break;
        }
        line.push(byte[0]);
    }
    io.write_all(&line)?;
    io.flush()?;
    Ok(line.len())
}

#[test]
fn a_socket_is_an_embedded_io_that_waits_as_it_was_told() {
    let (mut a, mut b) = Socket::socketpair(Kind::Stream).unwrap();
    assert!(!a.read_ready().unwrap() && a.write_ready().unwrap());
    b.sendall(b"tide\nmill", Flags::empty()).unwrap();
    assert!(a.read_ready().unwrap());
    assert_eq!(echo_line(&mut a), Ok(5));
    assert_eq!(b.recv(100, Flags::empty()).unwrap(), b"tide\n");
    assert_eq!((a.read(&mut []), a.write(&[])), (Ok(0), Ok(0)), "nothing is asked for, and nothing waited for");

    a.settimeout(Some(Duration::from_millis(10))).unwrap();
    let mut buf = [0; 8];
    assert_eq!(a.read(&mut buf), Ok(4));
    assert_eq!(a.read(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
    b.setblocking(false).unwrap();
    while b.write(&[0; 4096]).is_ok() {}
    assert!(!b.write_ready().unwrap());
    assert_eq!(b.write(b"x"), Err(Error::WouldBlock));
    drop(a);
    assert_eq!(b.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(echo_line(&mut b).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

fn bound(kind: Kind) -> (Socket, SocketAddr) {
    let socket = Socket::new(Family::Inet, kind).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
    let Address::Inet(address) = socket.getsockname().unwrap() else { panic!("an internet address") };
    (socket, address.into())
}

#[test]
fn listeners_connections_and_datagram_sockets_join_the_readiness_loop() {
    let mut net = Net::new(8).unwrap();
    let (listener, address) = bound(Kind::Stream);
    listener.listen(4).unwrap();
    let listener = net.adopt(listener, None).unwrap();
    assert_eq!(net.local_addr(listener), Ok(address));
    let connection = create_connection(("127.0.0.1", address.port()), Some(Duration::from_secs(5)), None).unwrap();
    let connection = net.adopt(connection, None).unwrap();
    let (accepted, _) = nb::block!(net.accept(listener)).unwrap();
    assert_eq!(net.send(connection, b"tide"), Ok(4));
    net.watch(accepted, Interest::Read, Token(1)).unwrap();
    while net.next_ready() != Some(Token(1)) {
        net.wait(None).unwrap();
    }
    let mut buf = [0; 8];
    assert_eq!(nb::block!(net.recv(accepted, &mut buf)), Ok(4));
    assert_eq!(net.recv(accepted, &mut buf), Err(nb::Error::WouldBlock), "it does not wait, whatever it did before");

    let (datagrams, address) = bound(Kind::Datagram);
    let datagrams = net.adopt(datagrams, None).unwrap();
    let other = net.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    net.send_to(other, b"mill", address).unwrap();
    net.watch(datagrams, Interest::Read, Token(2)).unwrap();
    while net.next_ready() != Some(Token(2)) {
        net.wait(None).unwrap();
    }
    assert_eq!(net.recv_from(datagrams, &mut buf).map(|(len, _)| len), Ok(4));
}

#[test]
fn what_is_none_of_these_is_refused_and_a_full_loop_says_so() {
    let mut net = Net::new(1).unwrap();
    let (unix, _other) = Socket::socketpair(Kind::Stream).unwrap();
    assert_eq!(net.adopt(unix, None), Err(NetError::Unreachable));
    let (neither, _) = bound(Kind::Stream);
    assert_eq!(net.adopt(neither, None), Err(NetError::NotConnected));
    let [(first, _), (second, _)] = [(); 2].map(|()| bound(Kind::Datagram));
    assert!(net.adopt(first, None).is_ok());
    assert_eq!(net.adopt(second, None), Err(NetError::Full));
}
