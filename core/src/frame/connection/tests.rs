use super::*;
use crate::frame::Carrier;
use crate::frame::link::{self, Config};
use crate::time::{EPOCH, Instant};
use embedded_io::ErrorType;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::vec;
use std::vec::Vec;

/// One direction of a wire between threads: the bytes, and whether either end is gone.
#[derive(Default)]
struct Half {
    bytes: Mutex<(VecDeque<u8>, bool)>,
    changed: Condvar,
}

struct Pipe {
    from: Arc<Half>,
    to: Arc<Half>,
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for half in [&self.from, &self.to] {
            half.bytes.lock().unwrap().1 = true;
            half.changed.notify_all();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gone")
    }
}

impl core::error::Error for Gone {}

impl embedded_io::Error for Gone {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::BrokenPipe
    }
}

impl ErrorType for Pipe {
    type Error = Gone;
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Gone> {
        let held = self.from.bytes.lock().unwrap();
        let mut held = self.from.changed.wait_while(held, |(bytes, gone)| bytes.is_empty() && !*gone).unwrap();
        let count = buf.len().min(held.0.len());
        buf.iter_mut().zip(held.0.drain(..count)).for_each(|(to, byte)| *to = byte);
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Gone> {
        let mut held = self.to.bytes.lock().unwrap();
        if held.1 {
            return Err(Gone);
        }
        // In small pieces, as a UART does.
        let count = buf.len().min(7);
        held.0.extend(&buf[..count]);
        self.to.changed.notify_all();
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Gone> {
        Ok(())
    }
}

impl ReadReady for Pipe {
    fn read_ready(&mut self) -> Result<bool, Gone> {
        let held = self.from.bytes.lock().unwrap();
        Ok(!held.0.is_empty() || held.1)
    }
}

impl WriteReady for Pipe {
    fn write_ready(&mut self) -> Result<bool, Gone> {
        Ok(true)
    }
}

/// A clock that goes on whenever it is looked at.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Instant {
        EPOCH + Duration::from_micros(self.0.fetch_add(100, Ordering::Relaxed))
    }
}

type End = Connection<'static, Pipe, Ticking, Vec<u8>, 2, 1>;

fn pair(carrier: Carrier) -> (End, End) {
    let halves = [Arc::new(Half::default()), Arc::new(Half::default())];
    let end = |number: usize| {
        let io = Pipe { from: halves[number].clone(), to: halves[1 - number].clone() };
        let config = Config { nonce: [number as u8; 16], payload_max: 64, window: 512, ..Config::new(carrier) };
        let endpoint = Endpoint::new(config, vec![0; config.memory(2)]).unwrap();
        Connection::new(io, Ticking::default(), endpoint, vec![0; 100], vec![0; 300])
    };
    (end(0), end(1))
}

/// One end here, the other in a thread of its own.
fn between<R: Send + 'static>(
    carrier: Carrier,
    there: impl FnOnce(End) -> R + Send + 'static,
    here: impl FnOnce(End),
) -> R {
    let (mut mine, mut theirs) = pair(carrier);
    let thread = std::thread::spawn(move || {
        theirs.open().unwrap();
        there(theirs)
    });
    mine.open().unwrap();
    here(mine);
    thread.join().unwrap()
}

#[test]
fn messages_go_both_ways_and_a_close_is_an_end_of_file() {
    for carrier in [Carrier::Stream, Carrier::Line] {
        between(
            carrier,
            |mut echo| {
                while let Ok(message) = echo.recv_bytes(None) {
                    let message = message.to_vec();
                    echo.send_bytes(&message, 0, None).unwrap();
                }
                assert_eq!(echo.recv_bytes(None), Err(Error::EndOfFile));
                echo.close()
            },
            |mut end| {
                for len in (0..490).step_by(7) {
                    let message: Vec<u8> = (0..len).map(|at| (at * len) as u8).collect();
                    end.send_bytes(&message, 0, None).unwrap();
                    assert_eq!(end.recv_bytes(Some(len)), Ok(&message[..]));
                }
                end.close().unwrap();
            },
        )
        .unwrap();
    }
}

#[test]
fn behaviour_128_offset_and_size_are_checked() {
    between(
        Carrier::Stream,
        |mut end| {
            assert_eq!(end.recv_bytes(None), Ok(&b"cde"[..]));
            assert_eq!(end.recv_bytes(None), Ok(&b"f"[..]));
            assert_eq!(end.recv_bytes(None), Ok(&b""[..]));
        },
        |mut end| {
            end.send_bytes(b"abcdef", 2, Some(3)).unwrap();
            end.send_bytes(b"abcdef", 5, None).unwrap();
            end.send_bytes(b"abcdef", 6, None).unwrap();
            assert_eq!(end.send_bytes(b"abcdef", 7, None), Err(Error::OutOfRange));
            assert_eq!(end.send_bytes(b"abcdef", 4, Some(3)), Err(Error::OutOfRange));
        },
    );
}

#[test]
fn behaviour_129_what_is_longer_than_wanted_ends_the_reading() {
    between(
        Carrier::Stream,
        |mut end| {
            assert_eq!(end.recv_bytes(Some(4)), Err(Error::TooLong(5)));
            assert_eq!(end.recv_bytes(None), Err(Error::Link(link::Error::Closed)));
        },
        |mut end| {
            end.send_bytes(b"seven", 0, None).unwrap();
            end.send_bytes(b"eight", 0, None).unwrap();
        },
    );
}

#[test]
fn behaviour_130_what_does_not_fit_is_still_there() {
    between(
        Carrier::Stream,
        |mut end| {
            let mut buf = [b'.'; 8];
            assert_eq!(end.recv_bytes_into(&mut buf, 2), Ok(5));
            assert_eq!(&buf, b"..seven.");
            assert_eq!(end.recv_bytes_into(&mut buf, 4), Err(Error::BufferTooShort(5)));
            assert_eq!(end.recv_bytes_into(&mut buf, 9), Err(Error::OutOfRange));
            assert_eq!(end.recv_bytes(None), Ok(&b"eight"[..]));
        },
        |mut end| {
            end.send_bytes(b"seven", 0, None).unwrap();
            end.send_bytes(b"eight", 0, None).unwrap();
        },
    );
}

#[test]
fn behaviour_131_poll_waits_and_is_true_at_the_end() {
    let (mut mine, mut theirs) = pair(Carrier::Stream);
    while mine.turn().unwrap() | theirs.turn().unwrap() {}
    assert_eq!(mine.poll(Duration::from_millis(2)), Ok(false));
    theirs.try_send_bytes(b"tide").unwrap();
    while theirs.turn().unwrap() {}
    assert_eq!(mine.poll(Duration::from_millis(0)), Ok(true));
    assert_eq!(mine.try_recv_bytes(None), Ok(&b"tide"[..]));
    assert_eq!(mine.try_recv_bytes(None), Err(nb::Error::WouldBlock));
    drop(theirs);
    assert_eq!(mine.poll(Duration::from_millis(1000)), Ok(true));
    assert_eq!(mine.try_recv_bytes(None), Err(nb::Error::Other(Error::Link(link::Error::BrokenPipe))));
}

#[test]
fn behaviour_132_a_peer_that_is_gone_is_told_apart_from_one_that_has_closed() {
    between(Carrier::Stream, drop, |mut end| {
        assert_eq!(end.recv_bytes(None), Err(Error::Link(link::Error::BrokenPipe)));
        assert!(end.send_bytes(b"?", 0, None).is_err());
    });
    between(
        Carrier::Stream,
        |mut end| {
            end.send_bytes(b"last", 0, None).unwrap();
            end.close().unwrap();
            assert_eq!(end.send_bytes(b"?", 0, None), Err(Error::Link(link::Error::Closed)));
        },
        |mut end| {
            assert_eq!(end.recv_bytes(None), Ok(&b"last"[..]));
            assert_eq!(end.recv_bytes(None), Err(Error::EndOfFile));
            end.close().unwrap();
        },
    );
}

#[cfg(feature = "serde")]
#[test]
fn values_arrive_as_what_they_were() {
    between(
        Carrier::Line,
        |mut end| {
            assert_eq!(end.recv::<(u32, Option<i8>, [u16; 3])>(), Ok((7, Some(-1), [1, 2, 3])));
            assert_eq!(end.recv::<bool>(), Err(Error::Value));
            assert_eq!(end.recv::<u8>(), Ok(9));
        },
        |mut end| {
            end.send(&(7_u32, Some(-1_i8), [1_u16, 2, 3])).unwrap();
            end.send(&9_u8).unwrap();
            end.send(&9_u8).unwrap();
            assert_eq!(end.send(&[[7_u8; 32]; 10]), Err(Error::Value));
        },
    );
}
