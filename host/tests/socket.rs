//! Python's `socket` in Rust, held against Python itself, and against the kernel where Python has no part.

use std::fs;
use std::io::{BufRead, IoSlice, IoSliceMut, Read, Seek, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tidemill_host::socket::{
    Address, Ancillary, Control, Errno, Error, Family, Flags, Hints, How, Kind, NameFlags, Server, Socket, cmsg_space,
    create_connection, create_server, getaddrinfo, getnameinfo, has_dualstack_ipv6, option,
};

const NONE: Flags = Flags::empty();
const SHORT: Duration = Duration::from_millis(60);

fn loopback() -> Address {
    (Ipv4Addr::LOCALHOST.into(), 0).into()
}

fn listener() -> (Socket, Address) {
    let socket = Socket::new(Family::Inet, Kind::Stream).unwrap();
    socket.bind(loopback()).unwrap();
    socket.listen(16).unwrap();
    let address = socket.getsockname().unwrap();
    (socket, address)
}

fn connected() -> (Socket, Socket) {
    let (server, address) = listener();
    let client = Socket::new(Family::Inet, Kind::Stream).unwrap();
    client.connect(address).unwrap();
    (client, server.accept().unwrap().0)
}

fn port(address: &Address) -> u16 {
    address.ip().unwrap().port()
}

/// A Python program, with what it reads from us already in its arguments. `None`, said aloud, where there is no Python.
fn python(program: &str, args: &[&str]) -> Option<Child> {
    let head = "import socket, sys, os, array\n";
    let child =
        Command::new("python3").args(["-c", &format!("{head}{program}")]).args(args).stdout(Stdio::piped()).spawn();
    match child {
        Ok(child) => Some(child),
        Err(error) => {
            eprintln!("NOT TESTED against Python: {error}");
            None
        }
    }
}

fn says(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn the_greeting_server_and_client_speak_with_pythons() {
    let (server, address) = listener();
    let client = "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\nprint(s.makefile().read())";
    let Some(child) = python(client, &[&port(&address).to_string()]) else { return };
    let (connection, _) = server.accept().unwrap();
    connection.sendall("Gezeitenmühle\n".as_bytes(), NONE).unwrap();
    connection.close();
    assert_eq!(says(child), "Gezeitenmühle");

    let program = "
s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)
c, a = s.accept(); f = c.makefile('rw'); f.write('who?\\n'); f.flush(); f.write(f.readline().upper()); f.flush()";
    let mut child = python(program, &[]).unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let socket = create_connection(("127.0.0.1", line.trim().parse().unwrap()), None, None).unwrap();
    let mut file = socket.makefile(100);
    let mut question = String::new();
    file.read_line(&mut question).unwrap();
    writeln!(file, "a miller").unwrap();
    file.flush().unwrap();
    let rest: Vec<_> = file.lines().map(Result::unwrap).collect();
    assert_eq!((question.as_str(), rest), ("who?\n", vec!["A MILLER".to_owned()]));
    child.wait().unwrap();
}

#[test]
fn datagrams_go_to_python_and_back() {
    let socket = Socket::new(Family::Inet, Kind::Datagram).unwrap();
    socket.bind(loopback()).unwrap();
    let program = "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'ping', ('127.0.0.1', int(sys.argv[1])))
print(s.recvfrom(9)[0].decode())";
    let Some(child) = python(program, &[&port(&socket.getsockname().unwrap()).to_string()]) else { return };
    let (data, from) = socket.recvfrom(100, NONE).unwrap();
    assert_eq!(data, b"ping");
    assert_eq!(socket.sendto(b"pong", NONE, from.unwrap()).unwrap(), 4);
    assert_eq!(says(child), "pong");
}

#[test]
fn connect_ex_returns_a_code_instead_of_an_error() {
    let (server, address) = listener();
    let new = || Socket::new(Family::Inet, Kind::Stream).unwrap();
    let client = new();
    assert_eq!(client.connect_ex(&address), 0);
    assert_eq!(client.connect_ex(&address), Errno::EISCONN as i32);

    let impatient = new();
    impatient.setblocking(false).unwrap();
    assert_eq!(impatient.connect_ex(&address), Errno::EINPROGRESS as i32);
    let gone = {
        let (server, address) = listener();
        drop(server);
        address
    };
    assert_eq!(new().connect_ex(&gone), Errno::ECONNREFUSED as i32);
    assert_eq!(new().connect_ex(Address::Unnamed), Errno::EAFNOSUPPORT as i32);
    assert_eq!(
        Socket::new(Family::Unix, Kind::Stream).unwrap().connect_ex(std::path::Path::new("/no/such/socket")),
        Errno::ENOENT as i32
    );
    drop(server);
}

#[test]
fn connecting_ends_with_its_time_limit() {
    // A listener whose queue is full does not answer.
    let server = Socket::new(Family::Inet, Kind::Stream).unwrap();
    server.bind(loopback()).unwrap();
    server.listen(0).unwrap();
    let address = server.getsockname().unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Family::Inet, Kind::Stream).unwrap();
        client.settimeout(Some(SHORT)).unwrap();
        let began = Instant::now();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            error => {
                assert_eq!(error, Err(Error::TimedOut));
                assert!(began.elapsed() >= SHORT);
                break;
            }
        }
        assert!(waiting.len() < 10);
    }
    let client = Socket::new(Family::Inet, Kind::Stream).unwrap();
    client.settimeout(Some(SHORT)).unwrap();
    assert_eq!(client.connect_ex(&address), Errno::EAGAIN as i32);
}

#[test]
fn connecting_to_a_full_unix_listener_waits_for_its_turn_or_its_time_limit() {
    let server = Socket::new(Family::Unix, Kind::Stream).unwrap();
    server.bind(Address::Unnamed).unwrap();
    server.listen(0).unwrap();
    let address = server.getsockname().unwrap();
    let new = || {
        let socket = Socket::new(Family::Unix, Kind::Stream).unwrap();
        socket.settimeout(Some(SHORT)).unwrap();
        socket
    };
    let first = new();
    first.connect(&address).unwrap();
    assert_eq!(new().connect(&address), Err(Error::TimedOut));
    let next = new();
    next.settimeout(Some(Duration::from_secs(20))).unwrap();
    let accepting = thread::spawn(move || {
        thread::sleep(SHORT);
        let first = server.accept().unwrap();
        let next = server.accept().unwrap();
        (first, next)
    });
    next.connect(&address).unwrap();
    accepting.join().unwrap();
}

#[test]
fn a_time_limit_of_zero_never_waits_and_a_timeout_is_told_from_would_block() {
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    assert_eq!((a.gettimeout(), a.getblocking()), (None, true));
    a.settimeout(Some(Duration::ZERO)).unwrap();
    assert_eq!((a.gettimeout(), a.getblocking()), (Some(Duration::ZERO), false));
    assert_eq!(a.recv(1, NONE), Err(Error::WouldBlock));
    a.settimeout(Some(SHORT)).unwrap();
    assert!(a.getblocking());
    let began = Instant::now();
    assert_eq!(a.recv(1, NONE), Err(Error::TimedOut));
    assert!(began.elapsed() >= SHORT);
    a.setblocking(true).unwrap();
    assert_eq!(a.gettimeout(), None);
    assert_eq!(a.recv(1, Flags::MSG_DONTWAIT), Err(Error::WouldBlock), "for this call alone");
    let waiting = thread::spawn(move || a.recv(1, NONE));
    thread::sleep(SHORT);
    b.send(b"x", NONE).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), b"x");
    let io: std::io::Error = Error::TimedOut.into();
    assert_eq!(io.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn sendall_counts_its_time_limit_for_the_whole() {
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    a.settimeout(Some(Duration::from_millis(200))).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Somebody takes a little, again and again, so that no single wait is long.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                b.recv(1000, NONE).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let result = a.sendall(&vec![0; 64 << 20], NONE);
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(result, Err(Error::TimedOut));
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn recv_of_nothing_is_empty_and_after_the_peers_shutdown_it_is_empty_for_ever() {
    let (a, b) = connected();
    assert_eq!(a.recv(0, NONE).unwrap(), b"");
    b.sendall(b"last", NONE).unwrap();
    b.shutdown(How::Write).unwrap();
    assert_eq!(a.recv(100, NONE).unwrap(), b"last");
    for _ in 0..3 {
        assert_eq!(a.recv(100, NONE).unwrap(), b"");
    }
    assert_eq!(a.sendall(b"still", NONE), Ok(()));
    assert_eq!(b.recv(100, Flags::MSG_PEEK).unwrap(), b"still");
    assert_eq!(b.recv(100, NONE).unwrap(), b"still");
}

#[test]
fn shutdown_of_what_is_not_connected_is_an_error() {
    let socket = Socket::new(Family::Inet, Kind::Stream).unwrap();
    assert_eq!(socket.shutdown(How::Both), Err(Error::Os(Errno::ENOTCONN)));
    assert_eq!(socket.getpeername(), Err(Error::Os(Errno::ENOTCONN)));
    let (listening, _) = listener();
    assert_eq!(listening.recv(1, NONE), Err(Error::Os(Errno::ENOTCONN)));
}

#[test]
fn shutdown_wakes_a_call_that_waits_in_another_thread() {
    let (a, b) = connected();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| a.recv(1, NONE));
        thread::sleep(SHORT);
        a.shutdown(How::Read).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), b"");
    });
    drop(b);
}

#[test]
fn the_descriptor_closes_when_the_socket_and_its_files_are_gone() {
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    let number = a.as_raw_fd();
    let mut file = a.makefile(10);
    let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    a.close();
    assert_eq!(fs::read_link(format!("/proc/self/fd/{number}")).unwrap(), link, "the file keeps it open");
    file.write_all(b"flushed at the end").unwrap();
    drop(file);
    assert_ne!(fs::read_link(format!("/proc/self/fd/{number}")).ok(), Some(link));
    assert_eq!(b.recv(100, NONE).unwrap(), b"flushed at the end");
    assert_eq!(b.recv(100, NONE).unwrap(), b"");
    // The other way round: the file goes first.
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    drop(a.makefile(10));
    a.send(b"x", NONE).unwrap();
    assert_eq!(b.recv(9, NONE).unwrap(), b"x");
}

#[test]
fn a_timeout_on_a_makefile_is_an_error_and_so_is_reading_on() {
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    a.settimeout(Some(SHORT)).unwrap();
    let mut file = a.makefile(10);
    b.send(b"half a li", NONE).unwrap();
    let mut line = String::new();
    assert_eq!(file.read_line(&mut line).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    b.send(b"ne\n", NONE).unwrap();
    assert_eq!(file.read_line(&mut line).unwrap_err().kind(), std::io::ErrorKind::Other);
    file.write_all(b"it can be written").unwrap();
}

#[test]
fn sendfile_sends_a_part_and_leaves_the_file_behind_it() {
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let (a, b) = connected();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        (&b).read_to_end(&mut all).unwrap();
        all
    });
    assert_eq!(a.sendfile(&mut file, 0, Some(10)).unwrap(), 10);
    assert_eq!(file.stream_position().unwrap(), 10);
    a.settimeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(a.sendfile(&mut file, 1_000_000, None).unwrap(), 2_000_000);
    assert_eq!(file.stream_position().unwrap(), 3_000_000);
    assert_eq!(a.sendfile(&mut file, 5_000_000, None).unwrap(), 0, "beyond the end there is nothing");
    assert_eq!(a.sendfile(&mut tempfile::tempfile().unwrap(), 0, None).unwrap(), 0);
    drop(a);
    assert!(reading.join().unwrap() == [&content[..10], &content[1_000_000..]].concat());
}

#[test]
fn sendfile_copies_what_the_kernel_cannot_send_and_refuses_what_is_no_stream() {
    let (from, into) = std::io::pipe().unwrap();
    let writing = thread::spawn(move || { &into }.write_all(&vec![7; 400_000]));
    let (a, b) = connected();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        (&b).read_to_end(&mut all).unwrap();
        all
    });
    let mut pipe = fs::File::from(OwnedFd::from(from));
    assert_eq!(a.sendfile(&mut pipe, 0, Some(150_000)).unwrap(), 150_000);
    drop(a);
    assert_eq!(reading.join().unwrap(), vec![7; 150_000]);
    drop(pipe);
    assert!(writing.join().unwrap().is_err());

    let mut file = tempfile::tempfile().unwrap();
    let datagrams = Socket::new(Family::Inet, Kind::Datagram).unwrap();
    assert_eq!(datagrams.sendfile(&mut file, 0, None), Err(Error::Kind));
    let (a, _b) = connected();
    a.setblocking(false).unwrap();
    assert_eq!(a.sendfile(&mut file, 0, None), Err(Error::Kind));
}

#[test]
fn a_message_is_gathered_from_buffers_and_scattered_into_others_in_order() {
    let (a, b) = Socket::socketpair(Kind::Datagram).unwrap();
    let parts = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"twothree")];
    assert_eq!(a.sendmsg(&parts, &[], NONE, None).unwrap(), 11);
    let (mut first, mut second) = ([0; 4], [0; 100]);
    let mut into = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let received = b.recvmsg_into(&mut into, 0, NONE).unwrap();
    assert_eq!((received.bytes, received.truncated), (11, false));
    assert_eq!((&first, &second[..7]), (b"onet", b"wothree".as_slice()));
}

#[test]
fn a_datagram_that_is_cut_says_so() {
    let (a, b) = Socket::socketpair(Kind::Datagram).unwrap();
    a.send(b"0123456789", NONE).unwrap();
    let (data, received) = b.recvmsg(4, 0, NONE).unwrap();
    assert_eq!((data.as_slice(), received.truncated), (b"0123".as_slice(), true));
    a.send(b"0123456789", NONE).unwrap();
    let (data, received) = b.recvmsg(4, 0, Flags::MSG_TRUNC).unwrap();
    assert_eq!((data.as_slice(), received.bytes, received.truncated), (b"0123".as_slice(), 4, true));
    a.send(b"0123456789", NONE).unwrap();
    let mut four = [0; 4];
    assert_eq!(b.recv_into(&mut four, Flags::MSG_TRUNC).unwrap(), 10);
    a.send(b"0123456789", NONE).unwrap();
    assert_eq!(b.recvfrom_into(&mut four, NONE).unwrap(), (4, None), "the sender has no name");
}

#[test]
fn descriptors_travel_to_python_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = Socket::new(Family::Unix, Kind::Stream).unwrap();
    server.bind(path.as_path()).unwrap();
    server.listen(1).unwrap();
    let program = "
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
data, fds, flags, _ = socket.recv_fds(s, 100, 4)
os.write(fds[0], b'from python')
r, w = os.pipe(); os.write(w, b'in a pipe'); os.close(w)
socket.send_fds(s, [b'take'], [r]); print(data.decode(), len(fds))";
    let Some(child) = python(program, &[path.to_str().unwrap()]) else { return };
    let (connection, _) = server.accept().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    assert_eq!(connection.send_fds(b"here", &[file.as_fd(), server.as_fd()]).unwrap(), 4);
    let (data, mut descriptors) = connection.recv_fds(100, 4).unwrap();
    assert_eq!((data.as_slice(), descriptors.len()), (b"take".as_slice(), 1));
    assert_eq!(says(child), "here 2");
    let mut text = String::new();
    fs::File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "in a pipefrom python");
}

#[test]
fn descriptors_that_did_not_fit_are_closed_and_those_that_did_are_close_on_exec() {
    let (a, b) = Socket::socketpair(Kind::SeqPacket).unwrap();
    let file = tempfile::tempfile().unwrap();
    let before = open_descriptors();
    for _ in 0..20 {
        a.send_fds(b"x", &[file.as_fd(); 9]).unwrap();
        let (_, received) = b.recvmsg(1, cmsg_space(2 * 4), NONE).unwrap();
        assert!(received.control_truncated);
        let [Control::Descriptors(descriptors)] = received.control.as_slice() else { panic!("{received:?}") };
        assert_eq!(descriptors.len(), 2);
        for descriptor in descriptors {
            let flags = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap();
            let bits = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
            assert_ne!(u32::from_str_radix(&bits, 8).unwrap() & 0o2_000_000, 0, "close-on-exec");
        }
        // No room at all.
        a.send_fds(b"x", &[file.as_fd(); 9]).unwrap();
        assert!(b.recvmsg(1, 0, NONE).unwrap().1.control_truncated);
        // Never received.
        a.send_fds(b"x", &[file.as_fd(); 9]).unwrap();
        assert_eq!(b.recv(1, NONE).unwrap(), b"x");
    }
    // Other tests of this process open some, too; these would be 600.
    assert!(open_descriptors() < before + 200);
    assert_eq!(a.send_fds(b"x", &[file.as_fd(); 254]), Err(Error::Os(Errno::EINVAL)));
}

#[test]
fn credentials_are_vouched_for() {
    let (a, b) = Socket::socketpair(Kind::Datagram).unwrap();
    b.setsockopt(option::PassCred, &true).unwrap();
    a.send(b"x", NONE).unwrap();
    let me = std::process::id() as i32;
    let room = cmsg_space(12);
    let (_, received) = b.recvmsg(1, room, NONE).unwrap();
    let [Control::Credentials { pid, uid, gid }] = received.control[..] else { panic!("{received:?}") };
    assert_eq!(pid, me);
    a.sendmsg(&[IoSlice::new(b"y")], &[Ancillary::Credentials { pid, uid, gid }], NONE, None).unwrap();
    let (_, again) = b.recvmsg(1, room, NONE).unwrap();
    assert!(matches!(again.control[..], [Control::Credentials { pid, .. }] if pid == me), "{again:?}");
}

#[test]
fn a_datagram_says_when_and_where_it_arrived() {
    for (family, ip) in [(Family::Inet, Ipv4Addr::LOCALHOST.into()), (Family::Inet6, Ipv6Addr::LOCALHOST.into())] {
        let socket = Socket::new(family, Kind::Datagram).unwrap();
        let any: SocketAddr = match family {
            Family::Inet => (Ipv4Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        if let Err(error) = socket.bind(any) {
            eprintln!("NOT TESTED over {family:?}: {error}");
            continue;
        }
        socket.setsockopt(option::ReceiveTimestampns, &true).unwrap();
        match family {
            Family::Inet => socket.setsockopt(option::Ipv4PacketInfo, &true).unwrap(),
            _ => socket.setsockopt(option::Ipv6RecvPacketInfo, &true).unwrap(),
        }
        let before = SystemTime::now();
        let sender = UdpSocket::bind((ip, 0)).unwrap();
        sender.send_to(b"tide", (ip, port(&socket.getsockname().unwrap()))).unwrap();
        let (_, received) = socket.recvmsg(10, 200, NONE).unwrap();
        assert_eq!(received.address, Some(sender.local_addr().unwrap().into()));
        let (mut when, mut wher) = (None, None);
        for control in received.control {
            match control {
                Control::Timestamp(at) => when = Some(at),
                Control::PacketInfo { interface, to } => wher = Some((interface, to)),
                other => panic!("{other:?}"),
            }
        }
        // The kernel's clock is coarser than ours.
        let when = when.unwrap() + Duration::from_millis(20);
        assert!(before <= when && when < SystemTime::now() + Duration::from_secs(5));
        assert_eq!(wher.unwrap(), (1, ip), "the loopback interface is the first");
    }
}

#[test]
fn a_server_of_both_families_takes_both_and_one_of_ipv6_only_does_not() {
    if !has_dualstack_ipv6() {
        eprintln!("NOT TESTED: no IPv6 here");
        return;
    }
    let any: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    let both = create_server(any, Server { dual_stack: true, ..Server::default() }).unwrap();
    let at = port(&both.getsockname().unwrap());
    let client = create_connection(("127.0.0.1", at), None, None).unwrap();
    let (_, peer) = both.accept().unwrap();
    assert_eq!(peer.to_string(), format!("[::ffff:127.0.0.1]:{}", port(&client.getsockname().unwrap())));
    let only = create_server(any, Server::default()).unwrap();
    let at = port(&only.getsockname().unwrap());
    let refused = create_connection(("127.0.0.1", at), None, None).unwrap_err();
    assert_eq!(refused, Error::Os(Errno::ECONNREFUSED));
    assert!(create_connection(("::1", at), None, None).is_ok());
    let v4: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    assert_eq!(create_server(v4, Server { dual_stack: true, ..Server::default() }).unwrap_err(), Error::Family);
}

#[test]
fn a_servers_address_is_reused_at_once_but_its_port_is_never_shared_by_default() {
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let first = create_server(any, Server::default()).unwrap();
    let address = first.getsockname().unwrap().ip().unwrap();
    let client = TcpStream::connect(address).unwrap();
    assert_eq!(create_server(address, Server::default()).unwrap_err(), Error::Os(Errno::EADDRINUSE));
    // This end closes first, so its connection stays in TIME-WAIT at this very port.
    drop(first.accept().unwrap());
    drop((client, first));
    create_server(address, Server::default()).unwrap();
    let shared = Server { reuse_port: true, ..Server::default() };
    let a = create_server(any, shared).unwrap();
    let b = create_server(a.getsockname().unwrap().ip().unwrap(), shared).unwrap();
    assert_eq!(a.getsockname(), b.getsockname());
}

#[test]
fn what_is_accepted_waits_for_ever_and_is_not_inherited() {
    let (server, address) = listener();
    server.settimeout(Some(SHORT)).unwrap();
    assert!(matches!(server.accept(), Err(Error::TimedOut)));
    let client = Socket::new(Family::Inet, Kind::Stream).unwrap();
    client.connect(&address).unwrap();
    let (accepted, peer) = server.accept().unwrap();
    assert_eq!(peer, client.getsockname().unwrap());
    assert_eq!(accepted.getpeername().unwrap(), peer);
    assert_eq!(accepted.gettimeout(), None);
    let sockets = [accepted, client, server];
    let numbers: Vec<String> = sockets.iter().map(|socket| socket.as_raw_fd().to_string()).collect();
    let child = Command::new("sh")
        .args(["-c", "for n in \"$@\"; do [ ! -e /proc/self/fd/$n ] || readlink /proc/self/fd/$n; done", "sh"])
        .args(&numbers)
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&child.stdout).contains("socket:"), "{child:?}");
}

#[test]
fn detach_leaves_the_descriptor_open_and_from_descriptor_takes_it() {
    let (a, b) = connected();
    a.settimeout(Some(SHORT)).unwrap();
    let number = a.as_raw_fd();
    let descriptor = a.detach().unwrap();
    assert_eq!(descriptor.as_raw_fd(), number);
    let again = Socket::from_descriptor(descriptor).unwrap();
    assert_eq!((again.family(), again.kind(), again.protocol()), (Family::Inet, Kind::Stream, Ok(6)));
    assert_eq!(again.gettimeout(), Some(Duration::ZERO), "its descriptor does not wait");
    b.send(b"x", NONE).unwrap();
    again.setblocking(true).unwrap();
    assert_eq!(again.recv(1, NONE).unwrap(), b"x");
    // While a file lives, the socket has a second descriptor.
    let mut file = again.makefile(1);
    let second = Socket::from_descriptor(again.detach().unwrap()).unwrap();
    file.write_all(b"one").unwrap();
    file.flush().unwrap();
    second.sendall(b"two", NONE).unwrap();
    assert_eq!(b.recv(6, Flags::MSG_WAITALL).unwrap(), b"onetwo");
    let file = tempfile::tempfile().unwrap();
    assert_eq!(Socket::from_descriptor(file.into()).unwrap_err(), Error::Os(Errno::ENOTSOCK));
}

#[test]
fn sockets_of_std_become_ours_and_ours_become_stds() {
    let (a, b) = connected();
    let mut stream = TcpStream::try_from(a).unwrap();
    stream.write_all(b"std").unwrap();
    assert_eq!(b.recv(3, NONE).unwrap(), b"std");
    let back = Socket::try_from(stream).unwrap();
    assert_eq!(UdpSocket::try_from(back.try_clone().unwrap()).unwrap_err(), Error::Kind);
    assert_eq!(std::os::unix::net::UnixStream::try_from(back).unwrap_err(), Error::Family);
    let (unix, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let unix = Socket::try_from(unix).unwrap();
    assert_eq!((unix.family(), unix.kind()), (Family::Unix, Kind::Datagram));
}

#[test]
fn literal_addresses_need_no_resolver() {
    let hints = Hints { numeric: true, ..Hints::default() };
    let ways = getaddrinfo(Some("::1"), Some("53"), hints).unwrap();
    assert!(ways.iter().all(|way| way.family == Family::Inet6 && way.address.to_string() == "[::1]:53"));
    assert_eq!(ways.iter().map(|way| way.kind).collect::<Vec<_>>(), [Kind::Stream, Kind::Datagram, Kind::Raw]);
    assert!(matches!(getaddrinfo(Some("localhost"), None, hints), Err(Error::Lookup(_))));
    let passive = Hints { passive: true, family: Some(Family::Inet), kind: Some(Kind::Stream), numeric: true };
    assert_eq!(getaddrinfo(None, Some("80"), passive).unwrap()[0].address.to_string(), "0.0.0.0:80");
    let numbers = NameFlags { numeric_host: true, numeric_service: true, ..NameFlags::default() };
    let names = getnameinfo("[::1]:443".parse().unwrap(), numbers).unwrap();
    assert_eq!(names, ("::1".to_owned(), "443".to_owned()));
}

#[test]
fn names_are_looked_up_and_what_is_no_name_is_told() {
    let ways = getaddrinfo(Some("localhost"), None, Hints { kind: Some(Kind::Stream), ..Hints::default() }).unwrap();
    assert!(ways.iter().all(|way| way.address.ip().unwrap().ip().is_loopback()) && !ways.is_empty());
    let error = getaddrinfo(Some("no-such-host.invalid"), None, Hints::default()).unwrap_err();
    assert!(matches!(&error, Error::Lookup(why) if !why.is_empty()), "{error:?}");
    for odd in ["a\0b", &"x".repeat(5000)] {
        assert!(matches!(getaddrinfo(Some(odd), None, Hints::default()), Err(Error::Lookup(_))));
    }
    let required = NameFlags { name_required: true, ..NameFlags::default() };
    assert!(matches!(getnameinfo("192.0.2.1:80".parse().unwrap(), required), Err(Error::Lookup(_))));
}

#[test]
fn an_address_that_the_kernel_could_not_hold_is_refused_before_it_is_asked() {
    let unix = Socket::new(Family::Unix, Kind::Stream).unwrap();
    let path = |length: usize| Address::Path(format!("/tmp/{}", "x".repeat(length - 5)).into());
    assert_eq!(unix.bind(path(108)), Err(Error::PathLength { bytes: 108 }));
    assert_eq!(unix.bind(Address::Path("".into())), Err(Error::PathLength { bytes: 0 }));
    assert_eq!(unix.bind(Address::Path("/tmp/a\0b".into())), Err(Error::PathNul { at: 6 }));
    assert_eq!(unix.bind(Address::Abstract(vec![b'x'; 108])), Err(Error::PathLength { bytes: 108 }));
    assert_eq!(unix.bind(loopback()), Err(Error::Family));
    assert_eq!(unix.connect(path(107)), Err(Error::Os(Errno::ENOENT)), "107 fit");
    unix.bind(Address::Abstract([b"tidemill-", [0, 255].as_slice(), &[b'x'; 96]].concat())).unwrap();
    let inet = Socket::new(Family::Inet, Kind::Stream).unwrap();
    assert_eq!(inet.bind((Ipv6Addr::LOCALHOST.into(), 0)), Err(Error::Family));
    assert_eq!(
        Socket::new(Family::Inet, Kind::SeqPacket).unwrap_err(),
        Error::Os(Errno::ESOCKTNOSUPPORT),
        "the kernel knows which kinds a family has"
    );
}

#[test]
fn abstract_names_reach_python_and_unnamed_sockets_are_unnamed() {
    let server = Socket::new(Family::Unix, Kind::SeqPacket).unwrap();
    let name = format!("tidemill-test-{}", std::process::id());
    server.bind(Address::Abstract(name.clone().into())).unwrap();
    server.listen(1).unwrap();
    let program = "
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('\\0' + sys.argv[1])
s.send(b'one'); s.send(b'two'); print(repr(s.getpeername()), s.recv(99).decode())";
    let Some(child) = python(program, &[&name]) else { return };
    let (connection, peer) = server.accept().unwrap();
    assert_eq!(peer, Address::Unnamed);
    assert_eq!(connection.recv(99, NONE).unwrap(), b"one", "messages are not merged");
    assert_eq!(connection.recv(99, NONE).unwrap(), b"two");
    connection.send(b"three", NONE).unwrap();
    assert_eq!(says(child), format!("b'\\x00{name}' three"));
    let auto = Socket::new(Family::Unix, Kind::Datagram).unwrap();
    auto.bind(Address::Unnamed).unwrap();
    assert!(matches!(auto.getsockname().unwrap(), Address::Abstract(name) if name.len() == 5));
}

#[test]
fn an_echo_request_of_icmp_is_answered() {
    let socket = match Socket::with_protocol(Family::Inet, Kind::Raw, 1) {
        Err(Error::Os(Errno::EPERM)) => {
            eprintln!("NOT TESTED: raw sockets need a privilege");
            return;
        }
        socket => socket.unwrap(),
    };
    socket.settimeout(Some(Duration::from_secs(10))).unwrap();
    let id = (std::process::id() as u16).to_be_bytes();
    let mut request = [8, 0, 0, 0, id[0], id[1], 0, 1, b't', b'i', b'd', b'e'];
    let mut sum: u32 = request.as_chunks().0.iter().map(|&pair| u32::from(u16::from_be_bytes(pair))).sum();
    sum = (sum & 0xffff) + (sum >> 16);
    request[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    socket.sendto(&request, NONE, loopback()).unwrap();
    loop {
        let (packet, from) = socket.recvfrom(1500, NONE).unwrap();
        let header = usize::from(packet[0] & 15) * 4;
        let message = &packet[header..];
        if message[0] == 0 && message[4..6] == id {
            assert_eq!((&message[8..], from), (b"tide".as_slice(), Some(loopback())));
            return;
        }
    }
}

#[test]
fn options_have_the_types_of_their_values() {
    let socket = Socket::new(Family::Inet, Kind::Stream).unwrap();
    assert!(!socket.getsockopt(option::KeepAlive).unwrap());
    socket.setsockopt(option::KeepAlive, &true).unwrap();
    assert!(socket.getsockopt(option::KeepAlive).unwrap());
    socket.setsockopt(option::RcvBuf, &100_000).unwrap();
    assert_eq!(socket.getsockopt(option::RcvBuf).unwrap(), 200_000, "Linux doubles it");
    assert_eq!(socket.getsockopt(option::SocketError).unwrap(), 0);
    let unix = Socket::new(Family::Unix, Kind::Stream).unwrap();
    assert_eq!(unix.setsockopt(option::TcpNoDelay, &true), Err(Error::Os(Errno::EOPNOTSUPP)));
}

#[test]
fn to_send_to_a_peer_that_has_gone_is_an_error_and_no_signal() {
    if std::env::var_os("TIDEMILL_SIGPIPE").is_none() {
        // In a process of its own, in which the signal kills.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "to_send_to_a_peer_that_has_gone_is_an_error_and_no_signal"])
            .env("TIDEMILL_SIGPIPE", "1")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    #[expect(unsafe_code, reason = "sets a signal back to what it was before Rust's runtime")]
    // SAFETY: the default action is no handler that could do anything unsafe.
    unsafe { nix::sys::signal::signal(nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl) }
        .unwrap();
    let (a, b) = Socket::socketpair(Kind::Stream).unwrap();
    drop(b);
    let broken = Error::Os(Errno::EPIPE);
    assert_eq!(a.send(b"x", NONE), Err(broken.clone()));
    assert_eq!(a.sendall(b"x", NONE), Err(broken.clone()));
    assert_eq!(a.sendmsg(&[IoSlice::new(b"x")], &[], NONE, None), Err(broken));
    assert_eq!(a.makefile(1).write_all(b"xx").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_signal_neither_ends_a_call_nor_makes_it_longer() {
    extern "C" fn nothing(_: i32) {}
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "installs a handler that does nothing, so that calls are interrupted")]
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
    let (a, b) = connected();
    let limit = Duration::from_millis(300);
    a.settimeout(Some(limit)).unwrap();
    let me = pthread_self();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                pthread_kill(me, Signal::SIGUSR2).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let began = Instant::now();
        assert_eq!(a.recv(1, NONE), Err(Error::TimedOut));
        let took = began.elapsed();
        assert!(took >= limit && took < limit * 10, "{took:?}");
        // Without a limit, too.
        a.settimeout(None).unwrap();
        scope.spawn(|| {
            thread::sleep(SHORT);
            b.send(b"x", NONE).unwrap();
        });
        assert_eq!(a.recv(1, NONE).unwrap(), b"x");
        let (server, address) = listener();
        let client = Socket::new(Family::Inet, Kind::Stream).unwrap();
        client.connect(&address).unwrap();
        server.accept().unwrap();
        done.store(true, Ordering::Relaxed);
    });
}
