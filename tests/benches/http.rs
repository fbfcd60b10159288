//! HTTP clients beside each other in one run: a GET of 1 KiB over a connection that is kept, and a large body, both from
//! nginx on this machine: a bare socket, ours, ureq, reqwest, curl, and Python's `http.client` (urllib keeps no connections).
//!
//! ```text
//! cargo bench -p tidemill-tests --bench http
//! ```
//!
//! Names after `--` are those of the contenders that run. `TIDEMILL_BENCH_MIB` is the length of the body (1024). Each
//! contender runs [`ROUNDS`] times, in turns; the best counts, because nothing makes a run faster than it is. nginx has one
//! core and who asks it another: where the system puts them decides a round trip otherwise.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tidemill_host::http::{Opener, Proxies};
use tidemill_tests::e2e::{Content, Nginx, not_tested};

const ROUNDS: usize = 5;

/// Round trips in one run.
const TRIPS: u32 = 4000;

const SMALL: usize = 1024;

/// What is read at once.
const BLOCK: usize = 256 << 10;

type Contender<'a> = (&'static str, Box<dyn Fn() -> Option<Duration> + 'a>);

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// The best of each, in turns; of those named on the command line, if some are.
fn best(contenders: &[Contender<'_>]) -> Vec<(&'static str, Option<Duration>)> {
    let named: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runs = |name: &str| named.is_empty() || named.iter().any(|named| name.starts_with(named));
    let contenders: Vec<_> = contenders.iter().filter(|(name, _)| runs(name)).collect();
    let mut best: Vec<_> = contenders.iter().map(|(name, _)| (*name, None)).collect();
    for _ in 0..ROUNDS {
        for ((_, run), (_, best)) in contenders.iter().copied().zip(&mut best) {
            let took = run();
            *best = match (*best, took) {
                (Some(before), Some(took)) => Some(took.min(before)),
                (before, took) => before.or(took),
            };
        }
    }
    best
}

/// Runs a program that is to succeed; how long it took, start and all.
fn program(name: &str, args: &[&str]) -> Option<Duration> {
    let start = Instant::now();
    let run = Command::new(name).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).output().ok()?;
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    // Python says itself how long it took, without its start.
    let said = String::from_utf8_lossy(&run.stdout).trim().parse().ok().map(Duration::from_secs_f64);
    Some(said.unwrap_or_else(|| start.elapsed()))
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://").split('/').next().unwrap_or("")
}

fn raw_trips(url: &str) {
    let mut socket = TcpStream::connect(address(url)).unwrap();
    socket.set_nodelay(true).unwrap();
    let request = format!("GET /small HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: identity\r\n\r\n", address(url));
    let mut buf = vec![0; 16 << 10];
    for _ in 0..TRIPS {
        socket.write_all(request.as_bytes()).unwrap();
        let mut len = 0;
        loop {
            let count = socket.read(&mut buf[len..]).unwrap();
            assert!(count > 0, "the server closed the connection");
            len += count;
            let head = buf[..len].windows(4).position(|four| four == b"\r\n\r\n");
            if head.is_some_and(|at| len >= at + 4 + SMALL) {
                break;
            }
        }
    }
}

fn our_trips(opener: &Opener, url: &str) {
    for _ in 0..TRIPS {
        assert_eq!(opener.open(url).unwrap().read_all(SMALL).unwrap().len(), SMALL);
    }
}

fn ureq_trips(agent: &ureq::Agent, url: &str) {
    for _ in 0..TRIPS {
        assert_eq!(agent.get(url).call().unwrap().body_mut().read_to_vec().unwrap().len(), SMALL);
    }
}

fn reqwest_trips(client: &reqwest::blocking::Client, url: &str) {
    for _ in 0..TRIPS {
        assert_eq!(client.get(url).send().unwrap().bytes().unwrap().len(), SMALL);
    }
}

fn raw_body(url: &str, len: u64) {
    let mut socket = TcpStream::connect(address(url)).unwrap();
    write!(socket, "GET /large HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address(url)).unwrap();
    let mut buf = vec![0; BLOCK];
    let mut got = 0;
    loop {
        match socket.read(&mut buf).unwrap() {
            0 => break,
            count => got += count as u64,
        }
    }
    assert!(got > len);
}

fn drain(mut from: impl Read, len: u64) {
    let mut buf = vec![0; BLOCK];
    let mut got = 0;
    loop {
        match from.read(&mut buf).unwrap() {
            0 => break,
            count => got += count as u64,
        }
    }
    assert_eq!(got, len);
}

const PYTHON_TRIPS: &str = "
import http.client, sys, time
c = http.client.HTTPConnection(sys.argv[1]); n = int(sys.argv[2]); t = time.perf_counter()
for _ in range(n):
    c.request('GET', '/small'); r = c.getresponse(); assert len(r.read()) == 1024
print(time.perf_counter() - t)";

const PYTHON_BODY: &str = "
import sys, time, urllib.request
t = time.perf_counter(); n = 0
with urllib.request.urlopen(sys.argv[1]) as r:
    b = bytearray(262144)
    while k := r.readinto(b): n += k
assert n == int(sys.argv[2])
print(time.perf_counter() - t)";

fn main() {
    let mib: u64 = std::env::var("TIDEMILL_BENCH_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let len = mib << 20;
    // Children stay where who starts them was pinned.
    pin(0);
    let nginx = Nginx::new();
    pin(1);
    Content::new(1, SMALL as u64).write(&nginx.path("small"));
    Content::new(2, len).write(&nginx.path("large"));
    let (small, large) = (nginx.url("small"), nginx.url("large"));

    let opener = Opener::builder().proxies(Proxies::none()).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("urls");
    let urls = (0..TRIPS).fold(String::new(), |mut text, _| {
        let _ = writeln!(text, "url = \"{small}\"\noutput = \"/dev/null\"");
        text
    });
    std::fs::write(&list, urls).unwrap();
    let (list, trips, bytes) = (list.display().to_string(), TRIPS.to_string(), len.to_string());

    let round_trips: Vec<Contender<'_>> = vec![
        ("bare socket", Box::new(|| Some(timed(|| raw_trips(&small))))),
        ("ours", Box::new(|| Some(timed(|| our_trips(&opener, &small))))),
        ("ureq", Box::new(|| Some(timed(|| ureq_trips(&agent, &small))))),
        ("reqwest", Box::new(|| Some(timed(|| reqwest_trips(&client, &small))))),
        ("curl", Box::new(|| program("curl", &["-s", "-q", "--noproxy", "*", "-K", &list]))),
        ("CPython http.client", Box::new(|| program("python3", &["-c", PYTHON_TRIPS, address(&small), &trips]))),
    ];
    println!("GET of 1 KiB, microseconds each, best of {ROUNDS} runs of {TRIPS}:");
    for (name, took) in best(&round_trips) {
        match took {
            Some(took) => println!("  {name:<20} {:8.1}", took.as_secs_f64() * 1e6 / f64::from(TRIPS)),
            None => not_tested(name),
        }
    }

    let bodies: Vec<Contender<'_>> = vec![
        ("bare socket", Box::new(|| Some(timed(|| raw_body(&large, len))))),
        ("ours", Box::new(|| Some(timed(|| drain(opener.open(&large).unwrap(), len))))),
        ("reqwest", Box::new(|| Some(timed(|| drain(client.get(&large).send().unwrap(), len))))),
        ("ureq", Box::new(|| Some(timed(|| drain(agent.get(&large).call().unwrap().body_mut().as_reader(), len))))),
        ("curl", Box::new(|| program("curl", &["-s", "-q", "--noproxy", "*", "-o", "/dev/null", &large]))),
        ("CPython urlopen", Box::new(|| program("python3", &["-c", PYTHON_BODY, &large, &bytes]))),
    ];
    println!("Body of {mib} MiB, GB/s, best of {ROUNDS}:");
    for (name, took) in best(&bodies) {
        match took {
            Some(took) => println!("  {name:<20} {:8.2}", len as f64 / 1e9 / took.as_secs_f64()),
            None => not_tested(name),
        }
    }
}
