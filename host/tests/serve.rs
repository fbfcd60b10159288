//! The file server from outside: what its clients get, and what they cannot get.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidemill_core::time::Duration as Ticks;
use tidemill_host::net::Waker;
use tidemill_host::serve::{Limits, Options, Server};

/// A server on a thread of its own, for `outer/public`; beside that folder lies what must not be found.
struct Scene {
    outer: tempfile::TempDir,
    address: SocketAddr,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    log: Log,
}

/// Status, target, bytes sent, and whether that was all.
type Log = Arc<Mutex<Vec<(u16, String, u64, bool)>>>;

const SECRET: &str = "the secret beside the folder";

fn serve(options: impl FnOnce(Options) -> Options) -> Scene {
    let scene = tempfile::tempdir().unwrap();
    let public = scene.path().join("public");
    fs::create_dir_all(public.join("sub/deep")).unwrap();
    fs::create_dir(scene.path().join("public-not")).unwrap();
    fs::write(scene.path().join("secret"), SECRET).unwrap();
    fs::write(scene.path().join("public-not/secret"), SECRET).unwrap();
    fs::write(public.join("tide.txt"), "high water").unwrap();
    fs::write(public.join("sub/low.txt"), "low water").unwrap();
    let log = Log::default();
    let options = options(Options::new(&public, "127.0.0.1:0".parse().unwrap()));
    let mut server = Server::bind(&options, {
        let log = log.clone();
        move |served| {
            let line = (served.status, served.head.target().to_owned(), served.sent, served.complete);
            log.lock().unwrap().push(line);
        }
    })
    .unwrap();
    let (address, waker, stop) = (server.local_addr(), server.waker(), Arc::new(AtomicBool::new(false)));
    let thread = thread::spawn({
        let stop = stop.clone();
        move || server.run(&stop).unwrap()
    });
    Scene { outer: scene, address, waker, stop, thread: Some(thread), log }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.end();
    }
}

impl Scene {
    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    fn public(&self, name: impl AsRef<Path>) -> PathBuf {
        self.outer.path().join("public").join(name)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Says this on a new connection, and listens to the end.
    fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        Answer::read_all(&mut stream)
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, fields: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n"))
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read_all(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        Self::split(&all).0
    }

    /// The first answer of these, by its length, and how long it is.
    fn split(bytes: &[u8]) -> (Self, usize) {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Self { status, head, body: Vec::new() };
        let length: usize = answer.field("Content-Length").map_or(0, |length| length.parse().unwrap());
        // One to HEAD tells a length and has no body.
        let length = if bytes.len() == end { 0 } else { length };
        answer.body = bytes[end..end + length].to_vec();
        (answer, end + length)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Bytes that say where they stand.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let scene = serve(|options| options);
    symlink("../secret", scene.public("link")).unwrap();
    symlink(scene.outer.path().join("secret"), scene.public("absolute-link")).unwrap();
    symlink("..", scene.public("up")).unwrap();
    symlink("../..", scene.public("sub/up")).unwrap();
    symlink("/", scene.public("root")).unwrap();
    symlink("/proc/self/cwd", scene.public("cwd")).unwrap();
    let secret = scene.outer.path().join("secret");
    let absolute = secret.to_str().unwrap();
    let mut paths: Vec<String> = Vec::new();
    // Every spelling of ".." that some decoder somewhere takes for it, between every spelling of "/".
    for up in [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "..;",
        "..%00",
        "%uff0e%uff0e",
        "...",
        "%2e.%2f..",
        "%20..",
    ] {
        for slash in ["/", "//", "%2f", "%5c", "\\", "%252f", "%c0%af", "/./"] {
            paths.push(format!("/{up}{slash}secret"));
            paths.push(format!("/sub{slash}{up}{slash}{up}{slash}secret"));
        }
    }
    for path in [
        "link",
        "absolute-link",
        "up/secret",
        "sub/up/secret",
        "up/public-not/secret",
        "cwd/secret",
        "../public-not/secret",
    ] {
        paths.push(format!("/{path}"));
        paths.push(format!("/{path}/"));
        paths.push(format!("/{path}%00.txt"));
    }
    for prefix in [
        "",
        "/",
        "/root",
        "//",
        "/%2f",
        "/.",
        "/./",
        "/file://",
        "/tide.txt/..",
        "/tide.txt/../..",
        "http://h",
        "http://h/..",
        "http://h//",
    ] {
        paths.push(format!("{prefix}{absolute}"));
    }
    assert!(paths.len() >= 200, "{}", paths.len());
    for path in paths {
        for method in ["GET", "HEAD"] {
            let answer = scene.ask(format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
            assert!(matches!(answer.status, 400 | 404), "{path} was answered with {}", answer.status);
            assert!(!answer.text().contains(SECRET), "{path} leads out");
        }
    }
    assert_eq!(scene.get("/tide.txt").text(), "high water", "and the server still works");
}

#[test]
fn a_folder_is_listed_and_its_links_lead_to_its_files_whatever_their_names_are() {
    let scene = serve(|options| options);
    let names: &[&[u8]] = &[
        b"plain.txt",
        b"with space",
        b"<script>alert(1)",
        b"quote\"and'",
        b"percent%2e",
        b"question?mark#hash",
        b"javascript:alert(1)",
        b"back\\slash",
        b"new\nline",
        b"\xff\xfe",
        "größer".as_bytes(),
        b"..dots",
    ];
    let folder = scene.public("names");
    fs::create_dir(&folder).unwrap();
    for name in names {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    symlink("/etc/passwd", folder.join("outside")).unwrap();
    symlink("plain.txt", folder.join("inside")).unwrap();
    let page = scene.get("/names/");
    assert_eq!((page.status, page.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let page = page.text();
    assert!(!page.contains("<script") && !page.contains("outside"));
    let links: Vec<_> = page.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), names.len() + 2, "and one to the folder above, and the link that stays inside");
    let mut found: Vec<_> = links
        .iter()
        .filter(|link| **link != "../")
        .map(|link| {
            let answer = scene.get(&format!("/names/{}", link.strip_prefix("./").unwrap()));
            assert_eq!(answer.status, 200, "{link}");
            answer.body
        })
        .collect();
    found.sort();
    let mut expected: Vec<_> = names.iter().map(|name| name.to_vec()).chain([b"plain.txt".to_vec()]).collect();
    expected.sort();
    assert_eq!(found, expected);

    let redirect = scene.get("/names?a");
    assert_eq!((redirect.status, redirect.field("Location")), (301, Some("./names/?a")));
    fs::write(folder.join("index.html"), "<p>index").unwrap();
    assert_eq!(scene.get("/names/").text(), "<p>index");
    assert_eq!(scene.get("/tide.txt/").status, 404);
}

#[test]
fn a_huge_folder_is_listed_in_part() {
    let scene = serve(|options| options);
    let folder = scene.public("huge");
    fs::create_dir(&folder).unwrap();
    for at in 0..4_200 {
        fs::write(folder.join(format!("{at:0>200}")), "").unwrap();
    }
    let page = scene.get("/huge/");
    assert!(page.body.len() < 600_000 && page.text().ends_with("more than fits on this page.\n"));
}

#[test]
fn what_is_no_file_is_not_opened_and_what_may_not_be_read_is_refused() {
    let scene = serve(|options| options);
    nix::unistd::mkfifo(&scene.public("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(scene.get("/pipe").status, 403);
    assert_eq!(scene.get("/nothing").status, 404);
    assert_eq!(scene.ask("DELETE /tide.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").status, 405);
    assert_eq!(scene.ask("GET /tide.txt HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(scene.ask("GET /tide.txt HTTP/2.0\r\nHost: h\r\n\r\n").status, 505);
    assert_eq!(scene.ask(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9_000))).status, 414);
    assert_eq!(scene.ask(format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(9_000))).status, 431);
    assert_eq!(scene.get("/tide.txt").status, 200);
}

#[test]
fn a_version_of_a_file_is_told_by_its_tag_and_a_range_only_of_that_version() {
    let scene = serve(|options| options);
    let first = scene.get("/tide.txt");
    let tag = first.field("ETag").unwrap();
    assert_eq!(scene.get_with("/tide.txt", &format!("If-None-Match: {tag}\r\n")).status, 304);
    let date = first.field("Last-Modified").unwrap();
    assert_eq!(scene.get_with("/tide.txt", &format!("If-Modified-Since: {date}\r\n")).status, 304);
    let range = format!("Range: bytes=5-\r\nIf-Range: {tag}\r\n");
    let part = scene.get_with("/tide.txt", &range);
    assert_eq!(
        (part.status, part.field("Content-Range"), part.text()),
        (206, Some("bytes 5-9/10"), "water".to_owned())
    );
    // The same length, by way of a rename.
    fs::write(scene.public("new"), "late water").unwrap();
    fs::rename(scene.public("new"), scene.public("tide.txt")).unwrap();
    let whole = scene.get_with("/tide.txt", &range);
    assert_eq!((whole.status, whole.text()), (200, "late water".to_owned()));
    assert_ne!(whole.field("ETag"), Some(tag));
    let none = scene.get_with("/tide.txt", "Range: bytes=10-\r\n");
    assert_eq!((none.status, none.field("Content-Range")), (416, Some("bytes */10")));
}

#[test]
fn pipelined_requests_of_one_connection_are_answered_in_order() {
    let scene = serve(|options| options);
    let big = pattern(300_000);
    fs::write(scene.public("big"), &big).unwrap();
    let mut stream = scene.connect();
    let mut expected: Vec<&[u8]> = Vec::new();
    let mut requests = Vec::new();
    for (path, body) in
        [("/tide.txt", &b"high water"[..]), ("/big", &big), ("/sub/low.txt", b"low water")].iter().cycle().take(60)
    {
        write!(requests, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        expected.push(body);
    }
    let mut sender = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        // In odd pieces.
        for piece in requests.chunks(37) {
            sender.write_all(piece).unwrap();
        }
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    sender.join().unwrap();
    let mut rest = &all[..];
    for body in expected {
        let (answer, len) = Answer::split(rest);
        assert!(answer.status == 200 && answer.body == body);
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
}

#[test]
fn a_big_file_arrives_whole_and_in_ranges() {
    let scene = serve(|options| options);
    let big = pattern(48 << 20);
    fs::write(scene.public("big.bin"), &big).unwrap();
    let whole = scene.get("/big.bin");
    assert_eq!(whole.field("Content-Type"), Some("application/octet-stream"));
    assert!(whole.body == big);
    for (start, end) in [(0, 1), (4_095, 4_097), (1 << 20, 40 << 20), (big.len() - 70_000, big.len())] {
        let part = scene.get_with("/big.bin", &format!("Range: bytes={start}-{}\r\n", end - 1));
        assert!(part.status == 206 && part.body == big[start..end], "{start}-{end}");
    }
    // Five gigabytes, nearly all of them a hole.
    let sparse = fs::File::create(scene.public("sparse")).unwrap();
    sparse.set_len(5 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (5 << 30) - 3).unwrap();
    let tail = scene.get_with("/sparse", "Range: bytes=-5\r\n");
    assert_eq!((tail.body, tail.head.contains("bytes 5368709115-5368709119/5368709120")), (b"\0\0end".to_vec(), true));
}

#[test]
fn a_file_cut_short_while_it_is_sent_ends_in_a_reset() {
    let scene = serve(|options| options);
    let file = fs::File::create(scene.public("shrinks")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut stream = scene.connect();
    stream.write_all(b"GET /shrinks HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    file.set_len(1 << 20).unwrap();
    let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let log = scene.log.lock().unwrap();
    assert!(matches!(&log[..], [(200, _, sent, false)] if *sent < 1 << 30), "{log:?}");
}

#[test]
fn slow_readers_hold_nobody_up_and_are_cut_off() {
    let stall = Ticks::from_secs(2);
    let scene = serve(|options| Options { limits: Limits { stall, ..Limits::default() }, ..options });
    let file = fs::File::create(scene.public("big")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut slow: Vec<_> = (0..50).map(|_| scene.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(scene.get("/tide.txt").text(), "high water");
    }
    assert!(start.elapsed() < Duration::from_millis(1_800), "{:?}", start.elapsed());
    thread::sleep(Duration::from_millis(2_300));
    for stream in &mut slow {
        assert!(std::io::copy(stream, &mut std::io::sink()).is_err(), "cut off with a reset");
    }
}

#[test]
fn half_a_head_is_not_waited_for() {
    let limits = Limits { head: Ticks::from_millis(1_000), first_byte: Ticks::from_millis(150), ..Limits::default() };
    let scene = serve(|options| Options { limits, ..options });
    let mut mute = scene.connect();
    let mut slow = scene.connect();
    let start = Instant::now();
    slow.write_all(b"GET /tide.txt HTTP/1.1\r\nHo").unwrap();
    assert_eq!(mute.read(&mut [0; 9]).unwrap(), 0);
    assert!(start.elapsed() < Duration::from_millis(900));
    let answer = Answer::read_all(&mut slow);
    assert_eq!(answer.status, 408);
    assert!((Duration::from_millis(950)..Duration::from_secs(3)).contains(&start.elapsed()));
}

#[test]
fn two_thousand_idle_connections_leave_room_for_one_that_asks() {
    let scene = serve(|options| Options { max_connections: 2_100, ..options });
    let mut idle: Vec<_> = (0..2_000).map(|_| scene.connect()).collect();
    for stream in idle.iter_mut().step_by(2) {
        stream.write_all(b"GET /tide.txt HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    for stream in idle.iter_mut().step_by(2) {
        let mut buf = [0; 1024];
        assert!(stream.read(&mut buf).unwrap() > 0);
    }
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(scene.get("/tide.txt").text(), "high water");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // And the idle ones are alive.
    for stream in idle.iter_mut().step_by(100) {
        stream.write_all(b"GET /sub/low.txt HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(Answer::read_all(stream).text(), "low water");
    }
}

#[test]
fn beyond_its_connections_it_says_503_and_idle_ones_make_room() {
    let scene = serve(|options| Options { max_connections: 15, ..options });
    let mut busy: Vec<_> = (0..15).map(|_| scene.connect()).collect();
    for stream in &mut busy {
        stream.write_all(b"GET ").unwrap();
    }
    // As long as the server has not read all of that, one of them counts as idle, and a newcomer is served.
    let answer = (0..100).map(|_| scene.get("/tide.txt")).find(|answer| answer.status != 200).unwrap();
    assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("1")));
    // Answered, they are idle: now a newcomer takes the place of one.
    for stream in &mut busy {
        stream.write_all(b"/tide.txt HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    let newcomers: Vec<_> = (0..5)
        .map(|_| {
            thread::spawn({
                let address = scene.address;
                move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.write_all(b"GET /tide.txt HTTP/1.0\r\n\r\n").unwrap();
                    Answer::read_all(&mut stream).status
                }
            })
        })
        .collect();
    for newcomer in newcomers {
        assert_eq!(newcomer.join().unwrap(), 200);
    }
}

#[test]
fn a_limited_rate_is_that_of_each_connection() {
    let rate = NonZeroU64::new(2_000_000);
    let scene = serve(|options| Options { limits: Limits { rate, ..Limits::default() }, ..options });
    fs::write(scene.public("big"), pattern(2_000_000)).unwrap();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(scene.get("/big").body.len(), 2_000_000));
        }
    });
    let took = start.elapsed();
    assert!((Duration::from_millis(850)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[test]
fn stopped_it_finishes_what_it_has_begun() {
    let mut scene = serve(|options| options);
    let big = pattern(20 << 20);
    fs::write(scene.public("big"), &big).unwrap();
    let mut idle = scene.connect();
    idle.write_all(b"GET /tide.txt HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let mut stream = scene.connect();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    scene.end();
    assert!(reader.join().unwrap().ends_with(&big));
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert!(TcpStream::connect(scene.address).is_err());
}

#[test]
fn what_was_asked_is_told_to_the_log() {
    let mut scene = serve(|options| options);
    scene.get("/tide.txt?low");
    scene.get("/nothing");
    scene.end();
    let log = scene.log.lock().unwrap();
    assert_eq!(*log, [(200, "/tide.txt?low".to_owned(), 10, true), (404, "/nothing".to_owned(), 0, true)]);
}
