//! `tidemill serve` against the clients that people use, clients that mean ill, and thousands that do nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{FileExt, symlink};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use tidemill_host::socket::{Family, Kind, Socket};
use tidemill_tests::e2e::{Content, Outcome, Serving, Tidemill, not_tested};

const MIB: u64 = 1 << 20;

/// What `curl` prints and does, with `-sS` and these arguments.
fn curl(tidemill: &Tidemill, args: &[&str]) -> Outcome {
    tidemill.run_program("curl", &[&["-sS", "--max-time", "20"], args].concat())
}

fn text(outcome: &Outcome) -> &str {
    std::str::from_utf8(&outcome.succeeded().stdout).unwrap()
}

#[test]
fn curl_gets_files_and_ranges_of_them_and_resumes() {
    let (serving, tidemill) = (Serving::new(&[]), Tidemill::new());
    let content = Content::new(1, 20 * MIB + 1);
    content.write(&serving.path("f"));
    let url = serving.url("f");

    curl(&tidemill, &["-o", "f", &url]).succeeded();
    content.assert_in(&tidemill.path("f"));

    let of = |range: &str| curl(&tidemill, &["-r", range, &url]).succeeded().stdout.clone();
    let len = content.len;
    assert!(of("0-0") == content.bytes(0..1));
    assert!(of("1000000-3000000") == content.bytes(1_000_000..3_000_001));
    assert!(of("-7") == content.bytes(len - 7..len));
    assert!(of(&format!("{}-", len - 3)) == content.bytes(len - 3..len));
    let code = ["-o", "beyond", "-w", "%{http_code}", "-r", &format!("{len}-"), &url];
    assert_eq!(text(&curl(&tidemill, &code)), "416");

    fs::write(tidemill.path("half"), content.bytes(0..len / 2)).unwrap();
    curl(&tidemill, &["-C", "-", "-o", "half", &url]).succeeded();
    content.assert_in(&tidemill.path("half"));
}

#[test]
fn curl_asks_for_heads_and_versions_and_keeps_its_connection() {
    let (serving, tidemill) = (Serving::new(&[]), Tidemill::new());
    let content = Content::new(2, 12_345);
    content.write(&serving.path("f"));
    content.write(&serving.path("g"));
    let url = serving.url("f");

    let head = curl(&tidemill, &["-I", &url]);
    let head = text(&head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-length: 12345\r\n"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();

    let code = |field: &str| {
        let run = curl(&tidemill, &["-o", "out", "-w", "%{http_code} %{size_download}", "-H", field, &url]);
        text(&run).to_owned()
    };
    assert_eq!(code(&format!("If-None-Match: {tag}")), "304 0");
    assert_eq!(code("If-None-Match: \"other\""), "200 12345");
    assert_eq!(code("If-Match: \"other\""), "412 0");

    let both = ["-w", "%{num_connects}\n", "-o", "f", &url, "-o", "g", &serving.url("g")];
    assert_eq!(text(&curl(&tidemill, &both)), "1\n0\n", "the second file came over the first connection");
    content.assert_in(&tidemill.path("f"));
    content.assert_in(&tidemill.path("g"));
    assert_eq!(text(&curl(&tidemill, &["-o", "out", "-w", "%{http_code}", &serving.url("none")])), "404");
    let post = ["-d", "x=y", "-o", "out", "-w", "%{http_code}", &url];
    assert_eq!(text(&curl(&tidemill, &post)), "405");
}

#[test]
fn wget_aria2_and_our_own_client_get_the_file() {
    let (serving, tidemill) = (Serving::new(&[]), Tidemill::new());
    let content = Content::new(3, 64 * MIB + 5);
    content.write(&serving.path("f"));
    let url = serving.url("f");

    fs::write(tidemill.path("f"), content.bytes(0..10 * MIB)).unwrap();
    tidemill.run_program("wget", &["-q", "-c", &url]).succeeded();
    content.assert_in(&tidemill.path("f"));

    let aria = ["-q", "-x8", "-s8", "-k1M", "--no-conf", "--file-allocation=none", "-o", "aria", &url];
    tidemill.run_program("aria2c", &aria).succeeded();
    content.assert_in(&tidemill.path("aria"));

    let get = ["get", &url, "-n", "8", "-q", "-o", "own", "--checksum", &content.checksum()];
    tidemill.run(&get).succeeded();
    content.assert_in(&tidemill.path("own"));
    for len in [0, 1] {
        let content = Content::new(4, len);
        content.write(&serving.path("small"));
        tidemill.run(&["get", &serving.url("small"), "-n", "8", "-q"]).succeeded();
        content.assert_in(&tidemill.path("small"));
    }
}

/// Sends a request as it is, and reads all that comes.
fn ask(serving: &Serving, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A server may close hard on what it refuses.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let serving = Serving::new(&[]);
    let www = serving.path("");
    fs::write(www.parent().unwrap().join("secret"), "the secret").unwrap();
    fs::create_dir(www.join("inside")).unwrap();
    fs::write(www.join("inside/f"), "no secret").unwrap();
    symlink("../secret", www.join("link")).unwrap();
    symlink("..", www.join("up")).unwrap();
    symlink("/", www.join("top")).unwrap();
    symlink("inside/f", www.join("good")).unwrap();
    for target in [
        "/../secret",
        "/inside/../../secret",
        "/%2e%2e/secret",
        "/%2E%2E%2Fsecret",
        "/..%2fsecret",
        "/.%2e/secret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "/..\\secret",
        "/..;/secret",
        "/%c0%ae%c0%ae/secret",
        "/.%00./secret",
        "/inside/f%00/../../../secret",
        "/link",
        "/link%00",
        "/up/secret",
        "/top/etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "../secret",
        "http://h/../secret",
        "file:///etc/passwd",
        "*",
    ] {
        let answer = ask(&serving, format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(!answer.contains("the secret") && !answer.contains("root:"), "{target}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
    }
    let good = ask(&serving, b"GET /good HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(good.ends_with("no secret"), "a link within the folder is fine: {good}");
}

#[test]
fn what_is_no_request_gets_an_answer_or_an_end_and_hurts_nobody() {
    let serving = Serving::new(&[]);
    Content::new(5, 10).write(&serving.path("f"));
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000));
    for request in [
        "\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        &long,
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ] {
        let answer = ask(&serving, request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let answer = ask(&serving, b"GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn two_thousand_idle_connections_and_a_slow_reader_leave_room_for_one_that_asks() {
    // Ours count, too.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8192)), hard).unwrap();
    let (serving, tidemill) = (Serving::new(&["--max-connections", "2500"]), Tidemill::new());
    let content = Content::new(6, 64 * MIB);
    content.write(&serving.path("f"));

    let mut slow = TcpStream::connect(serving.address()).unwrap();
    slow.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 1000]).unwrap();
    let idle: Vec<TcpStream> = (0..2000)
        .map(|number| {
            let mut stream = TcpStream::connect(serving.address()).unwrap();
            // Half of them have begun to ask.
            if number % 2 == 0 {
                stream.write_all(b"GET /f HTTP/1.1\r\nHo").unwrap();
            }
            stream
        })
        .collect();
    let start = Instant::now();
    tidemill.run(&["get", &serving.url("f"), "-q", "-n", "4"]).succeeded();
    let took = start.elapsed();
    content.assert_in(&tidemill.path("f"));
    assert!(took < Duration::from_secs(3), "{took:?}");
    // Nobody has been sent away meanwhile.
    for mut stream in idle {
        stream.set_nonblocking(true).unwrap();
        let error = stream.read(&mut [0]).expect_err("still open");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    assert!(serving.peak() < 64 << 10, "{} KiB", serving.peak());
}

/// Raises our own limit on descriptors; how many we may have.
fn descriptors(wanted: u64) -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Root may raise the hard one, too.
    if setrlimit(Resource::RLIMIT_NOFILE, wanted.max(soft), wanted.max(hard)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.clamp(soft, hard), hard).unwrap();
    }
    getrlimit(Resource::RLIMIT_NOFILE).unwrap().0
}

/// As many as asked for where `TIDEMILL_STRESS` is set and the system allows it, else `few`.
fn many(wanted: u64, few: u64) -> usize {
    let all = std::env::var_os("TIDEMILL_STRESS").is_some();
    let count = if all { wanted } else { few };
    // The server has a few more: for those that it turns away, and for files.
    let may = descriptors(count + count / 10 + 2_000);
    if may < count + count / 10 + 2_000 {
        not_tested(&format!("{count} connections: {may} descriptors are all that the system allows"));
    }
    count.min(may.saturating_sub(500)) as usize
}

/// Loopback has 28,000 ports for each address: a few clients' addresses for many connections.
fn connect_from(number: usize, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Family::Inet, Kind::Stream).unwrap();
    let own = Ipv4Addr::new(127, 0, 0, 2 + (number / 10_000) as u8);
    socket.bind((own.into(), 0)).unwrap();
    socket.connect(to).unwrap();
    TcpStream::try_from(socket).unwrap()
}

#[test]
fn idle_connections_cost_next_to_nothing() {
    let count = many(20_000, 4_000);
    // One worker, so that all of its places can be taken.
    let serving = Serving::new(&["--max-connections", "20000", "--workers", "1"]);
    let count = count.min(serving.max_connections() as usize);
    let (before, start) = (serving.resident(), Instant::now());
    Content::new(8, 100).write(&serving.path("f"));
    let idle: Vec<TcpStream> = (0..count)
        .map(|number| {
            let mut stream = connect_from(number, serving.address());
            stream.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).unwrap() > 100);
            stream
        })
        .collect();
    let resident = serving.resident();
    let each = (resident - before) as f64 / count as f64;
    println!("{count} idle connections: {resident} KiB, of which {each:.2} each");
    assert!(resident < 64 << 10, "{resident} KiB");
    // They are alive; but a machine that is slow enough gets them to where the server lets go of who is idle.
    if start.elapsed() > Duration::from_secs(50) {
        return not_tested("idle connections: it took too long to make them");
    }
    for mut stream in idle.into_iter().step_by(500) {
        stream.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 100);
    }
}

/// How long the slowest hundredth of so many requests took at least, each on a connection of its own.
fn p99(serving: &Serving, requests: usize) -> Duration {
    let mut times: Vec<_> = (0..requests)
        .map(|_| {
            let start = Instant::now();
            let answer = ask(serving, b"GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[requests * 99 / 100]
}

#[test]
fn thousands_of_half_open_heads_hold_up_nobody() {
    let count = many(10_000, 4_000);
    let serving = Serving::new(&["--max-connections", "11000"]);
    // Who is let in besides needs a place, too.
    let count = count.min(serving.max_connections() as usize - 50);
    Content::new(9, 1000).write(&serving.path("f"));
    let before = p99(&serving, 2_000);
    let mut slow: Vec<_> = (0..count)
        .map(|number| {
            let mut stream = connect_from(number, serving.address());
            stream.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let during = p99(&serving, 2_000);
    println!("p99 {before:?} alone, {during:?} beside {count} half-open heads");
    // They drip on, as they do; some have been told to go.
    for stream in slow.iter_mut().step_by(7) {
        let _ = stream.write_all(b"x");
    }
    // What else the machine does falls on either: so only what would be a hang is one here.
    assert!(during < before * 2 + Duration::from_millis(250), "{before:?}, {during:?}");
    assert!(serving.resident() < 64 << 10, "{} KiB", serving.resident());
}

#[test]
fn terminated_amid_a_hundred_downloads_it_loses_none() {
    let mut serving = Serving::new(&[]);
    let content = Content::new(10, 4 * MIB);
    content.write(&serving.path("f"));
    let begun = Arc::new(Barrier::new(101));
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let (address, begun) = (serving.address(), begun.clone());
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
                stream.write_all(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
                let mut all = vec![0; 1];
                stream.read_exact(&mut all).unwrap();
                begun.wait();
                thread::sleep(Duration::from_millis(100));
                stream.read_to_end(&mut all).unwrap();
                all.ends_with(&content.bytes(content.len - 1000..content.len)) && all.len() as u64 > content.len
            })
        })
        .collect();
    begun.wait();
    serving.signal(Signal::SIGTERM);
    assert_eq!(readers.into_iter().map(|reader| reader.join().unwrap()).filter(|&whole| whole).count(), 100);
    assert!(serving.ended());
    assert!(TcpStream::connect(serving.address()).is_err());
}

#[test]
fn the_command_line_has_passwords_headers_logs_counters_and_reloads() {
    let tidemill = Tidemill::new();
    let (users, log) = (tidemill.path("users"), tidemill.path("log"));
    fs::write(&users, "ada:one\n").unwrap();
    let users_at = format!("@{}", users.display());
    let serving = Serving::new(&[
        "--auth",
        &users_at,
        "--header",
        "X-Mill: tide",
        "--access-log",
        log.to_str().unwrap(),
        "--metrics",
        "--workers",
        "2",
    ]);
    Content::new(11, 10).write(&serving.path("f"));
    let code = |user: &str| {
        let run = curl(&tidemill, &["-u", user, "-o", "out", "-w", "%{http_code} %header{x-mill}", &serving.url("f")]);
        text(&run).to_owned()
    };
    let is = |found: &str, status: &str| found.starts_with(status);
    assert!(is(&code("ada:one"), "200") && is(&code("ada:two"), "401"));
    let head = curl(&tidemill, &["-u", "ada:one", "-I", &serving.url("f")]);
    assert!(text(&head).contains("X-Mill: tide\r\n"));
    fs::write(&users, "ada:two\n").unwrap();
    fs::rename(&log, tidemill.path("log.1")).unwrap();
    serving.signal(Signal::SIGHUP);
    let start = Instant::now();
    while !(0..4).all(|_| is(&code("ada:two"), "200")) {
        assert!(start.elapsed() < Duration::from_secs(20), "it reloads");
    }
    assert!(is(&code("ada:one"), "401"));
    let counters = curl(&tidemill, &["-u", "ada:two", &serving.url("metrics")]);
    assert!(text(&counters).contains("\ntidemill_reloads_total 1\n"));
    let old = fs::read_to_string(tidemill.path("log.1")).unwrap();
    let new = fs::read_to_string(&log).unwrap();
    assert!(old.starts_with("127.0.0.1 - - [") && old.contains("\"GET /f HTTP/1.1\" 401 0\n"), "{old}");
    assert!(new.contains("\"GET /f HTTP/1.1\" 200 10\n"), "{new}");
}

#[test]
fn a_range_may_lie_beyond_four_gigabytes() {
    let (serving, tidemill) = (Serving::new(&[]), Tidemill::new());
    let (content, at) = (Content::new(7, MIB), (4 << 30) - MIB / 2);
    let file = File::create(serving.path("f")).unwrap();
    file.set_len(5 << 30).unwrap();
    file.write_all_at(&content.bytes(0..MIB), at).unwrap();
    let range = format!("{at}-{}", at + MIB - 1);
    assert!(curl(&tidemill, &["-r", &range, &serving.url("f")]).succeeded().stdout == content.bytes(0..MIB));
    assert_eq!(curl(&tidemill, &["-r", "-10", &serving.url("f")]).succeeded().stdout, [0; 10]);
    let head = curl(&tidemill, &["-I", &serving.url("f")]);
    assert!(text(&head).contains("5368709120"), "{}", text(&head));
}
