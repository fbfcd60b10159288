//! Frames between two processes: ours and ours, and ours and the Python of `frame/peer.py`, over pseudo-terminals, Unix
//! sockets and pipes.

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use tidemill_core::frame::Carrier;
use tidemill_core::frame::connection::{Connection, Error};
use tidemill_core::frame::link::{Config, Endpoint, Event, Post, Reliable, Subject};
use tidemill_core::time::{Clock, Duration, EPOCH, Instant};

/// A file descriptor as a wire.
struct Wire(File);

#[derive(Debug)]
struct Failed(std::io::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl embedded_io::Error for Failed {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl ErrorType for Wire {
    type Error = Failed;
}

impl Wire {
    fn ready(&self, flags: PollFlags) -> Result<bool, Failed> {
        let mut fds = [PollFd::new(self.0.as_fd(), flags)];
        // A millisecond of sleep, so that whoever turns does not burn.
        let count = poll(&mut fds, PollTimeout::from(1_u8)).map_err(|errno| Failed(errno.into()))?;
        Ok(count > 0)
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failed> {
        match std::io::Read::read(&mut self.0, buf) {
            // A pseudo-terminal or a socket whose other end is gone.
            Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EIO | nix::libc::ECONNRESET)) => Ok(0),
            result => result.map_err(Failed),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Failed> {
        std::io::Write::write(&mut self.0, buf).map_err(Failed)
    }

    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, Failed> {
        self.ready(PollFlags::POLLIN)
    }
}

impl WriteReady for Wire {
    fn write_ready(&mut self) -> Result<bool, Failed> {
        self.ready(PollFlags::POLLOUT)
    }
}

struct Wall(std::time::Instant);

impl Clock for Wall {
    fn now(&self) -> Instant {
        EPOCH + Duration::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

type End = Connection<'static, Wire, Wall, Vec<u8>, 4, 4, Reliable>;

fn end(wire: impl Into<OwnedFd>, carrier: Carrier, reliable: bool, key: Option<&'static [u8]>) -> End {
    let mut nonce = [0; 16];
    std::io::Read::read_exact(&mut File::open("/dev/urandom").expect("random numbers"), &mut nonce)
        .expect("16 of them");
    let reorder = if reliable { 16_384 } else { 0 };
    let (payload_max, window, transmit) = (1_000, 20_000, 20_000);
    let config = Config { reliable, key, nonce, payload_max, window, transmit, reorder, ..Config::new(carrier) };
    let endpoint = Endpoint::reliable(config, vec![0; config.memory(4)]).expect("a configuration");
    let wire = Wire(File::from(wire.into()));
    Connection::new(wire, Wall(std::time::Instant::now()), endpoint, vec![0; 4096], vec![0; 4096])
}

/// A pseudo-terminal that passes every byte as it is.
fn raw_pty() -> (OwnedFd, OwnedFd) {
    let pty = openpty(None, None).expect("a pseudo-terminal");
    let mut settings = tcgetattr(&pty.slave).expect("its settings");
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).expect("raw");
    (pty.master, pty.slave)
}

fn python(carrier: Carrier, reliable: bool, key: Option<&str>, theirs: OwnedFd) -> Child {
    let peer = format!("{}/frame/peer.py", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").args([&peer, "echo"]);
    command.arg(if carrier == Carrier::Line { "line" } else { "stream" });
    command.args(reliable.then_some("--reliable")).args(key.map(|key| format!("--key={key}")));
    let again = theirs.try_clone().expect("another descriptor");
    command.stdin(Stdio::from(again)).stdout(Stdio::from(theirs)).spawn().expect("a process")
}

/// This program again, which then runs `echo_child` and nothing else.
fn ours(carrier: Carrier, reliable: bool, key: Option<&str>, theirs: OwnedFd) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "echo_child", "--ignored", "--nocapture"]);
    let how =
        format!("{}{}", if carrier == Carrier::Line { "line" } else { "stream" }, if reliable { "!" } else { "" });
    command.env("FRAME_ECHO", how).env("FRAME_KEY", key.unwrap_or("-"));
    // What the harness prints is not for the wire.
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn().expect("a process")
}

/// The child of `ours`: answers until its peer parts.
#[test]
#[ignore = "a child of the other tests"]
fn echo_child() {
    let Ok(how) = std::env::var("FRAME_ECHO") else { return };
    let carrier = if how.starts_with("line") { Carrier::Line } else { Carrier::Stream };
    let key = std::env::var("FRAME_KEY").expect("a key or -");
    let key = (key != "-").then(|| &*key.into_bytes().leak());
    let wire = std::io::stdin().as_fd().try_clone_to_owned().expect("the wire");
    let mut end = end(wire, carrier, how.ends_with('!'), key);
    let mut closed = false;
    while end.link().ended().is_none() {
        let _ = end.turn();
        for channel in 0..4 {
            let mut link = end.link();
            let Some(message) = link.peek(channel) else { continue };
            let (subject, mut payload) = (message.subject, message.payload.to_vec());
            link.pop(channel);
            let post = match subject {
                Subject::Request { id, .. } => {
                    payload.reverse();
                    Post::Response(id)
                }
                _ => Post::Data,
            };
            let mut offset = 0;
            loop {
                match end.link().send(channel, post, &payload, offset) {
                    Ok(next) if next == payload.len() => break,
                    Ok(next) => offset = next,
                    Err(nb::Error::WouldBlock) => drop(end.turn()),
                    Err(nb::Error::Other(error)) => panic!("{error}"),
                }
            }
        }
        if end.link().peer_closed() && !closed {
            end.link().close();
            closed = true;
        }
    }
    assert_eq!(end.link().ended(), Some(None));
}

/// Turns until `done` gives something; gives up after ten seconds.
fn until<R>(end: &mut End, mut done: impl FnMut(&mut End) -> Option<R>) -> R {
    let begun = std::time::Instant::now();
    loop {
        if let Some(result) = done(end) {
            return result;
        }
        assert!(begun.elapsed().as_secs() < 20, "nothing happens: {:?}", end.link().ended());
        end.turn().expect("the wire works");
    }
}

/// Messages of many sizes on every channel, a request, and an orderly end.
fn converse(mut end: End, mut child: Child) {
    until(&mut end, |end| end.link().is_open().then_some(()));
    for (number, len) in [0, 1, 7, 250, 255, 988, 1000, 4096, 19_000].into_iter().enumerate() {
        let channel = number as u8 % 4;
        let message: Vec<u8> = (0..len).map(|at| (at * number) as u8).collect();
        let mut offset = 0;
        until(&mut end, |end| match end.link().send(channel, Post::Data, &message, offset) {
            Ok(next) => {
                offset = next;
                (next == len).then_some(())
            }
            Err(nb::Error::WouldBlock) => None,
            Err(error) => panic!("{error:?}"),
        });
        let back = until(&mut end, |end| end.link().peek(channel).map(|message| message.payload.to_vec()));
        assert_eq!(back, message);
        end.link().pop(channel);
    }
    let call = end.link().call(2, Some(Duration::from_secs(20))).expect("a slot");
    end.link().send(2, Post::Request(call), b"how high?", 0).expect("room");
    let answer = until(&mut end, |end| end.link().peek(2).map(|message| (message.subject, message.payload.to_vec())));
    assert_eq!(answer, (Subject::Response(call), b"?hgih woh".to_vec()));
    end.link().pop(2);
    end.link().close();
    let why = until(&mut end, |end| end.link().ended());
    assert_eq!(why, None);
    // The last confirmation.
    let _ = end.turn();
    drop(end);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn ours_and_python_over_a_unix_socket() {
    for key in [None, Some("sesame"), Some("")] {
        for reliable in [false, true] {
            let (mine, theirs) = UnixStream::pair().expect("sockets");
            let child = python(Carrier::Stream, reliable, key, theirs.into());
            converse(end(mine, Carrier::Stream, reliable, key.map(str::as_bytes)), child);
        }
    }
}

#[test]
fn ours_and_python_over_a_pty() {
    for reliable in [false, true] {
        let (mine, theirs) = raw_pty();
        let child = python(Carrier::Line, reliable, Some("sesame"), theirs);
        converse(end(mine, Carrier::Line, reliable, Some(b"sesame")), child);
    }
}

#[test]
fn ours_and_ours_over_a_pty_and_a_unix_socket() {
    for reliable in [false, true] {
        let (mine, theirs) = raw_pty();
        let child = ours(Carrier::Line, reliable, Some("sesame"), theirs);
        converse(end(mine, Carrier::Line, reliable, Some(b"sesame")), child);
        let (mine, theirs) = UnixStream::pair().expect("sockets");
        let child = ours(Carrier::Stream, reliable, None, theirs.into());
        converse(end(mine, Carrier::Stream, reliable, None), child);
    }
}

#[test]
fn another_key_is_denied_at_both_ends() {
    let (mine, theirs) = UnixStream::pair().expect("sockets");
    let mut child = python(Carrier::Stream, false, Some("other"), theirs.into());
    let mut end = end(mine, Carrier::Stream, false, Some(b"sesame"));
    let denied = tidemill_core::frame::link::Error::Denied;
    assert!(matches!(end.open(), Err(Error::Link(error)) if error == denied));
    assert!(!child.wait().expect("it ends").success());
}

#[test]
fn a_peer_that_is_killed_is_a_broken_pipe() {
    let (mine, theirs) = UnixStream::pair().expect("sockets");
    let mut child = python(Carrier::Stream, false, None, theirs.into());
    let mut end = end(mine, Carrier::Stream, false, None);
    end.open().expect("a peer");
    assert_eq!(end.link().poll_event(), Some(Event::Opened));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let broken = tidemill_core::frame::link::Error::BrokenPipe;
    assert!(matches!(end.recv_bytes(None), Err(Error::Link(error)) if error == broken));
}
