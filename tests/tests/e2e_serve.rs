//! `tidemill serve` against the clients that people use, clients that mean ill, and thousands that do nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, symlink};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tidemill_tests::e2e::{Content, Outcome, Serving, Tidemill};

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
