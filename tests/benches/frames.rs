//! What a frame costs, beside the frames people use today, in one process.
//!
//! `cargo bench -p tidemill-tests --bench frames` prints, for messages of 64 bytes and of 64 KiB, nanoseconds and GB/s to
//! write one and to find it again, medians over rounds in which all take turns; then round trips of 64 bytes between two
//! threads over a Unix socket. Checksums are the processor's unless said otherwise. `LengthDelimitedCodec`, postcard and
//! bincode have none. CPython's `Connection` is measured where there is a Python 3.13.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use embedded_io::{ErrorType, Read, Write};
use serde::{Deserialize, Serialize, Serializer};
use tidemill_core::frame::connection::Connection;
use tidemill_core::frame::link::{Config, Endpoint};
use tidemill_core::frame::{Carrier, Checksum, Decoder, Flags, Header, Kind, crc, encode};
use tidemill_core::time::{Clock, EPOCH, Instant as Ticks};
use tidemill_host::frame::checksum;
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};

fn rounds() -> usize {
    std::env::var("TIDEMILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(9)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds of each of `count` calls.
fn each(count: usize, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / count as f64
}

/// Bytes that postcard writes as bytes, not one by one.
#[derive(Deserialize)]
struct Blob<'a>(#[serde(borrow)] &'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Nanoseconds to write a message and to find it again, so many times.
type Row<'a> = (&'static str, Box<dyn FnMut(usize) -> (f64, f64) + 'a>);

fn tidemill<'a, const ROOM: usize>(name: &'static str, carrier: Carrier, sum: Checksum, payload: &'a [u8]) -> Row<'a> {
    let header = Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 0, sequence: 0 };
    let mut wire = vec![0; carrier.encoded_max(payload.len())];
    let mut decoder = Decoder::new(carrier, sum, vec![0; ROOM]);
    let run = move |count| {
        let mut len = 0;
        let encoded = each(count, || {
            len = encode(carrier, sum, black_box(header), [black_box(payload), &[]], black_box(&mut wire)).unwrap();
        });
        let decoded = each(count, || {
            let mut input = black_box(&wire[..len]);
            let frame = decoder.next(&mut input).unwrap().unwrap();
            assert_eq!(black_box(frame.payload).len(), payload.len());
        });
        (encoded, decoded)
    };
    (name, Box::new(run))
}

fn by_hand(payload: &[u8]) -> Row<'_> {
    let mut plain = vec![0; payload.len() + 4];
    let mut wire = vec![0; cobs::max_encoding_length(plain.len()) + 1];
    let mut buffer = wire.clone();
    let run = move |count| {
        let mut len = 0;
        let encoded = each(count, || {
            let payload = black_box(payload);
            plain[..payload.len()].copy_from_slice(payload);
            plain[payload.len()..].copy_from_slice(&checksum(0, payload).to_le_bytes());
            len = cobs::encode(&plain, black_box(&mut wire));
            wire[len] = 0;
        });
        let decoded = each(count, || {
            // An accumulator collects bytes up to the delimiter, and unstuffs them where they are.
            let end = black_box(&wire).iter().position(|&byte| byte == 0).unwrap();
            buffer[..end].copy_from_slice(&wire[..end]);
            let found = cobs::decode_in_place(&mut buffer[..end]).unwrap();
            let (message, sum) = buffer[..found].split_last_chunk::<4>().unwrap();
            assert_eq!(checksum(0, black_box(message)), u32::from_le_bytes(*sum));
        });
        (encoded, decoded)
    };
    ("cobs and crc32c by hand", Box::new(run))
}

fn postcard<const ROOM: usize>(payload: &[u8]) -> Row<'_> {
    let mut wire = vec![0; payload.len() + payload.len() / 254 + 16];
    let mut accumulator = Box::new(postcard::accumulator::CobsAccumulator::<ROOM>::new());
    let run = move |count| {
        let mut len = 0;
        let encoded = each(count, || {
            len = postcard::to_slice_cobs(&Blob(black_box(payload)), black_box(&mut wire)).unwrap().len();
        });
        let decoded = each(count, || {
            let fed = accumulator.feed_ref::<Blob<'_>>(black_box(&wire[..len]));
            let postcard::accumulator::FeedResult::Success { data, .. } = fed else { panic!("it is whole") };
            assert_eq!(black_box(data.0).len(), payload.len());
        });
        (encoded, decoded)
    };
    ("postcard to_slice_cobs, CobsAccumulator", Box::new(run))
}

fn length_delimited(payload: &[u8]) -> Row<'_> {
    let mut codec = LengthDelimitedCodec::new();
    let owned = Bytes::copy_from_slice(payload);
    let run = move |count| {
        let mut wire = BytesMut::with_capacity(payload.len() + 4);
        let encoded = each(count, || {
            wire.clear();
            codec.encode(black_box(owned.clone()), black_box(&mut wire)).unwrap();
        });
        // What was written is read, from a buffer that has it whole.
        let mut all = BytesMut::with_capacity(count * wire.len());
        (0..count).for_each(|_| all.extend_from_slice(&wire));
        let decoded = each(count, || {
            let frame = codec.decode(black_box(&mut all)).unwrap().unwrap();
            assert_eq!(black_box(frame).len(), payload.len());
        });
        (encoded, decoded)
    };
    ("tokio-util LengthDelimitedCodec", Box::new(run))
}

/// What cannot be done without: one copy and one checksum to write, one checksum to read.
fn floor(payload: &[u8]) -> Row<'_> {
    let mut wire = vec![0; payload.len()];
    let run = move |count| {
        let encoded = each(count, || {
            wire.copy_from_slice(black_box(payload));
            black_box(checksum(0, black_box(&wire)));
        });
        let decoded = each(count, || {
            black_box(checksum(0, black_box(payload)));
        });
        (encoded, decoded)
    };
    ("memcpy and crc32c", Box::new(run))
}

fn codecs<const LEN: usize, const ROOM: usize>(count: usize) {
    // Random bytes: one in 256 is a zero.
    let payload: Vec<u8> = (0..LEN as u64).map(|at| tidemill_core::random::mix(at) as u8).collect();
    let mut rows: Vec<Row<'_>> = vec![
        floor(&payload),
        tidemill::<ROOM>("tidemill stream", Carrier::Stream, checksum, &payload),
        tidemill::<ROOM>("tidemill stream, table of 1 KiB", Carrier::Stream, crc::software, &payload),
        tidemill::<ROOM>("tidemill line", Carrier::Line, checksum, &payload),
        length_delimited(&payload),
        postcard::<ROOM>(&payload),
        by_hand(&payload),
    ];
    let mut times = vec![(Vec::new(), Vec::new()); rows.len()];
    for _ in 0..rounds() {
        for ((_, run), (encoded, decoded)) in rows.iter_mut().zip(&mut times) {
            let (one, other) = run(count);
            encoded.push(one);
            decoded.push(other);
        }
    }
    println!("\na message of {LEN} bytes{:>32}{:>12}{:>12}{:>10}", "write, ns", "find, ns", "both, ns", "GB/s");
    for ((name, _), (encoded, decoded)) in rows.iter().zip(times) {
        let (encoded, decoded) = (median(encoded), median(decoded));
        let both = encoded + decoded;
        println!("  {name:<42}{encoded:>11.1}{decoded:>12.1}{both:>12.1}{:>10.2}", LEN as f64 / both);
    }
}

/// A Unix socket as a wire.
struct Wire(UnixStream);

impl ErrorType for Wire {
    type Error = embedded_io::ErrorKind;
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        self.0.read(buf).map_err(|_| embedded_io::ErrorKind::Other)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        self.0.write(buf).map_err(|_| embedded_io::ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Nothing here waits for a time.
struct Still;

impl Clock for Still {
    fn now(&self) -> Ticks {
        EPOCH
    }
}

type End = Connection<'static, Wire, Still, Vec<u8>, 1, 0>;

fn end(socket: UnixStream, number: u8) -> End {
    let config = Config { nonce: [number; 16], checksum, window: 1 << 16, ..Config::new(Carrier::Stream) };
    let endpoint = Endpoint::new(config, vec![0; config.memory(1)]).unwrap();
    Connection::new(Wire(socket), Still, endpoint, vec![0; 4096], vec![0; 64])
}

const TRIPS: usize = 20_000;

/// Microseconds of a round trip at the median: `echo` in a thread of its own, `trip` here.
fn trips(echo: impl FnOnce(UnixStream) + Send + 'static, make: impl FnOnce(UnixStream) -> Box<dyn FnMut()>) -> f64 {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let thread = thread::spawn(move || echo(theirs));
    let mut trip = make(ours);
    (0..1_000).for_each(|_| trip());
    let time = |trip: &mut dyn FnMut()| {
        let start = Instant::now();
        trip();
        start.elapsed().as_nanos() as f64 / 1_000.0
    };
    let times = (0..TRIPS).map(|_| time(&mut trip)).collect();
    drop(trip);
    thread.join().unwrap();
    median(times)
}

const PYTHON: &str = "
import os, time
from multiprocessing import Pipe
ours, theirs = Pipe()
if os.fork() == 0:
    ours.close()
    try:
        while True: theirs.send_bytes(theirs.recv_bytes())
    except EOFError: os._exit(0)
theirs.close()
message, trips = bytes(64), []
for _ in range(10_000):
    start = time.perf_counter_ns()
    ours.send_bytes(message)
    ours.recv_bytes()
    trips.append(time.perf_counter_ns() - start)
print(sorted(trips)[5_000] / 1_000)
";

fn socket() {
    println!("\nround trip of 64 bytes between two threads over a Unix socket, µs at the median");
    let print = |name: &str, time: f64| println!("  {name:<42}{time:>11.2}");
    let raw = |mut socket: UnixStream| {
        let mut buffer = [0; 64];
        while socket.read_exact(&mut buffer).is_ok() && socket.write_all(&buffer).is_ok() {}
    };
    print(
        "read and write, no frames",
        trips(raw, |mut socket| {
            let mut buffer = [7; 64];
            Box::new(move || {
                socket.write_all(&buffer).unwrap();
                socket.read_exact(&mut buffer).unwrap();
            })
        }),
    );
    let echo = |socket| {
        let mut end = end(socket, 1);
        end.open().unwrap();
        let mut message = [0; 64];
        while end.recv_bytes_into(&mut message, 0).is_ok() && end.send_bytes(&message, 0, None).is_ok() {}
    };
    print(
        "tidemill Connection",
        trips(echo, |socket| {
            let mut end = end(socket, 2);
            end.open().unwrap();
            let message = [7; 64];
            Box::new(move || {
                end.send_bytes(&message, 0, None).unwrap();
                assert_eq!(end.recv_bytes(None).unwrap().len(), 64);
            })
        }),
    );
    let bincoded = |socket: UnixStream| {
        let (mut from, mut to) = (std::io::BufReader::new(socket.try_clone().unwrap()), socket);
        while let Ok(message) = bincode::deserialize_from::<_, Vec<u8>>(&mut from) {
            if to.write_all(&bincode::serialize(&message).unwrap()).is_err() {
                return;
            }
        }
    };
    print(
        "bincode, a buffered reader",
        trips(bincoded, |socket| {
            let (mut from, mut to) = (std::io::BufReader::new(socket.try_clone().unwrap()), socket);
            let message = vec![7_u8; 64];
            Box::new(move || {
                to.write_all(&bincode::serialize(&message).unwrap()).unwrap();
                assert_eq!(bincode::deserialize_from::<_, Vec<u8>>(&mut from).unwrap().len(), 64);
            })
        }),
    );
    match tidemill_tests::python().and_then(|name| Command::new(name).args(["-c", PYTHON]).output().ok()) {
        Some(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("  {:<42}{:>11}", "CPython Connection, two processes", text.trim());
        }
        None => println!("NOT MEASURED: CPython: no Python 3.13 here"),
    }
}

fn main() {
    codecs::<64, 128>(20_000);
    codecs::<65_536, 70_000>(200);
    socket();
}
