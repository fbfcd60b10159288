//! What it costs to take a `Set-Cookie` field and to write a `Cookie` field, in a jar of 300 cookies, beside the crate
//! `cookie_store` and Python's `http.cookiejar`.
//!
//! `cargo bench -p tidemill-tests --bench cookies` prints nanoseconds for each: 30 hosts with 10 cookies, values of 8 to 64
//! bytes whose length changes from one to the next, attributes as servers send them; a third of the cookies are of the
//! domain, the others of the host. Every row is the best of rounds in which all take turns, and the fields that they write
//! are compared. Lifetimes are out of the comparison: all cookies have `Max-Age`.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidemill_core::cookie::{AnyDomain, Jar, Request};

const HOSTS: usize = 30;
const COOKIES: usize = 300;
const ROUNDS: usize = 15;

/// How often all fields are set, and all hosts asked, in a round.
const TURNS: usize = 20;

/// Each field with the number of the host that sends it; the values are others in each turn.
fn fields(turn: usize) -> Vec<(usize, String)> {
    let field = |index: usize| {
        let host = index % HOSTS;
        let mut state = (index * 2_654_435_761 + turn * 40_503) as u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        let length = 8 + random() as usize % 57;
        let value: String = (0..length).map(|_| char::from(b'a' + (random() % 26) as u8)).collect();
        let attributes = match index / HOSTS % 3 {
            0 => format!("; Path=/; Domain=example{host}.org; Max-Age=86400; Secure; SameSite=Lax"),
            1 => "; path=/; Max-Age=3600; HttpOnly".to_owned(),
            _ => "; Max-Age=86400; Path=/account; Secure; HttpOnly; SameSite=Strict".to_owned(),
        };
        (host, format!("name{}={value}{attributes}", index / HOSTS))
    };
    (0..COOKIES).map(field).collect()
}

fn host(index: usize) -> String {
    format!("www.example{index}.org")
}

/// The seconds that Python takes for each `Set-Cookie` and each `Cookie` field, on the same fields.
const PYTHON: &str = "
import sys, time, http.cookiejar as hc, urllib.request as ur, email.message as em
class Response:
    def __init__(self, field):
        self.message = em.Message()
        self.message['Set-Cookie'] = field
    def info(self): return self.message
jar, turns, hosts = hc.CookieJar(), [], []
for line in sys.stdin.read().splitlines():
    kind, number, field = line.split(' ', 2)
    if kind == 'turn': turns.append([])
    url = 'https://www.example%s.org/account' % number
    if kind == 'field': turns[-1].append((Response(field), ur.Request(url)))
    if kind == 'host': hosts.append(url)
sets, gets = [], []
for turn in turns:
    start = time.perf_counter()
    for response, request in turn: jar.extract_cookies(response, request)
    sets.append((time.perf_counter() - start) / len(turn))
    requests = [ur.Request(url) for url in hosts]
    start = time.perf_counter()
    for request in requests: jar.add_cookie_header(request)
    gets.append((time.perf_counter() - start) / len(requests))
assert len(jar) == 300 and len(requests[0].get_header('Cookie').split('; ')) == 10
print(min(sets) * 1e9, min(gets) * 1e9)
";

fn python(turns: &[Vec<(usize, String)>]) -> Option<[f64; 2]> {
    use std::io::Write;
    let mut text = Vec::new();
    for turn in turns {
        writeln!(text, "turn 0 -").ok()?;
        for (host, field) in turn {
            writeln!(text, "field {host} {field}").ok()?;
        }
    }
    for host in 0..HOSTS {
        writeln!(text, "host {host} -").ok()?;
    }
    let pipe = std::process::Stdio::piped;
    let mut child = Command::new("python3").args(["-c", PYTHON]).stdin(pipe()).stdout(pipe()).spawn().ok()?;
    child.stdin.take()?.write_all(&text).ok()?;
    let output = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    let mut numbers = output.split_whitespace().map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

fn main() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let turns: Vec<_> = (0..TURNS).map(fields).collect();
    let hosts: Vec<_> = (0..HOSTS).map(host).collect();
    let urls: Vec<_> = hosts.iter().map(|host| url::Url::parse(&format!("https://{host}/account")).unwrap()).collect();
    let requests: Vec<_> = hosts.iter().map(|host| Request::to("https", host, "/account")).collect();
    let (mut jar, mut out) = (Box::new(Jar::<COOKIES, 65536>::new()), [0; 4096]);
    let mut store = cookie_store::CookieStore::default();

    let mut times = [const { Vec::<f64>::new() }; 4];
    let timed = |count: usize, work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / (count * TURNS) as f64
    };
    for _ in 0..ROUNDS {
        times[0].push(timed(COOKIES, &mut || {
            for (host, field) in turns.iter().flatten() {
                black_box(jar.set(black_box(field.as_bytes()), &requests[*host], now, &AnyDomain)).unwrap();
            }
        }));
        times[1].push(timed(HOSTS, &mut || {
            for request in std::iter::repeat_n(&requests, TURNS).flatten() {
                black_box(jar.matching(black_box(request), now, &AnyDomain).write_to(&mut out)).unwrap();
            }
        }));
        times[2].push(timed(COOKIES, &mut || {
            for (host, field) in turns.iter().flatten() {
                black_box(store.parse(black_box(field), &urls[*host])).unwrap();
            }
        }));
        times[3].push(timed(HOSTS, &mut || {
            for url in std::iter::repeat_n(&urls, TURNS).flatten() {
                let pairs: Vec<_> =
                    store.get_request_values(black_box(url)).map(|(name, value)| format!("{name}={value}")).collect();
                black_box(pairs.join("; "));
            }
        }));
    }

    assert_eq!((jar.len(), store.iter_unexpired().count()), (COOKIES, COOKIES));
    for (request, url) in requests.iter().zip(&urls) {
        let field = jar.matching(request, now, &AnyDomain).write_to(&mut out).unwrap();
        let ours: BTreeSet<_> = std::str::from_utf8(field).unwrap().split("; ").map(str::to_owned).collect();
        let theirs = store.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        assert_eq!(ours, theirs.collect::<BTreeSet<_>>());
        assert_eq!(ours.len(), COOKIES / HOSTS);
    }

    let [set, get, store_set, store_get] = times.map(|times| times.into_iter().fold(f64::MAX, f64::min));
    println!("{:<16}{:>16}{:>10}{:>16}{:>10}", "", "Set-Cookie, ns", "to ours", "Cookie, ns", "to ours");
    let row = |name: &str, [a, b]: [f64; 2]| println!("{name:<16}{a:>16.0}{:>10.1}{b:>16.0}{:>10.1}", a / set, b / get);
    row("ours", [set, get]);
    row("cookie_store", [store_set, store_get]);
    match python(&turns) {
        Some(times) => row("http.cookiejar", times),
        None => println!("NOT MEASURED: http.cookiejar: no python3 here"),
    }
}
