//! What a site needs beside its files: codings, passwords, headers, logs, counters, reloads, TLS, and several workers.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tidemill_host::net::Waker;
use tidemill_host::serve::{AccessLog, Auth, Error, Format, Options, Reloader, Server};

/// A server on a thread of its own, over a folder with one file, in another folder that it does not serve.
struct Scene {
    outer: tempfile::TempDir,
    address: SocketAddr,
    waker: Waker,
    reloader: Reloader,
    reloads: mpsc::Receiver<Result<(), Error>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn serve(options: impl FnOnce(&Path, Options) -> Options) -> Scene {
    let outer = tempfile::tempdir().unwrap();
    let public = outer.path().join("public");
    fs::create_dir(&public).unwrap();
    fs::write(public.join("tide.txt"), "high water").unwrap();
    let options = options(outer.path(), Options::new(&public, "127.0.0.1:0".parse().unwrap()));
    let mut server = Server::bind(&options, |_| ()).unwrap();
    let (tell, reloads) = mpsc::channel();
    server.on_reload(move |result| tell.send(result).unwrap());
    let (address, waker, reloader) = (server.local_addr(), server.waker(), server.reloader());
    let stop = Arc::new(AtomicBool::new(false));
    let thread = thread::spawn({
        let stop = stop.clone();
        move || server.run(&stop).unwrap()
    });
    Scene { outer, address, waker, reloader, reloads, stop, thread: Some(thread) }
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

    fn public(&self, name: &str) -> PathBuf {
        self.outer.path().join("public").join(name)
    }

    fn reload(&self) -> Result<(), Error> {
        self.reloader.reload();
        self.reloads.recv_timeout(Duration::from_secs(20)).expect("it reloads")
    }

    fn get(&self, path: &str, fields: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        ask(&mut stream, "GET", path, fields)
    }
}

fn ask(stream: &mut (impl Read + Write), method: &str, path: &str, fields: &str) -> Answer {
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}Connection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    Answer { status: head[9..12].parse().unwrap(), head, body: all.split_off(end) }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Bytes that say where they stand.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn behaviours_47_to_49_ranges_of_a_file_of_1024() {
    let scene = serve(|_, options| options);
    let file = pattern(1024);
    fs::write(scene.public("f"), &file).unwrap();
    let range = |range: &str| scene.get("/f", &format!("Range: {range}\r\n"));
    for (asked, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=-5", 1019, 1024),
        ("bytes=-2000", 0, 1024),
        ("bytes=5-", 5, 1024),
        ("bytes=1023-2000", 1023, 1024),
        ("BYTES=0-1", 0, 2),
        ("bytes= 0-1", 0, 2),
        ("bytes=0-1,2000-3000", 0, 2),
        ("bytes=0-9,5-20", 0, 21),
        ("bytes=0-99999999999999999999", 0, 1024),
    ] {
        let answer = range(asked);
        let told = format!("bytes {start}-{}/1024", end - 1);
        assert_eq!((answer.status, answer.field("Content-Range")), (206, Some(&*told)), "{asked}");
        assert!(answer.body == file[start..end], "{asked}");
    }
    for asked in ["bytes=1024-", "bytes=-0", "bytes=99999999999999999999-"] {
        let answer = range(asked);
        assert_eq!((answer.status, answer.field("Content-Range")), (416, Some("bytes */1024")), "{asked}");
    }
    let many = format!("bytes={}", ["0-"; 20].join(","));
    for asked in ["bytes=5-2", "bytes=abc", "bytes=--5", "bytes=+1-2", "items=0-1", "bytes=", &many] {
        let answer = range(asked);
        assert!(answer.status == 200 && answer.body == file, "{asked}: {}", answer.head);
    }
    let parts = range("bytes=0-0,2-3");
    assert_eq!((parts.status, parts.field("Content-Range")), (206, None));
    let boundary = parts.field("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: std::ops::Range<usize>| {
        let told = format!("Content-Range: bytes {}-{}/1024", range.start, range.end - 1);
        let head = format!("\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n{told}\r\n\r\n");
        [head.as_bytes(), &file[range]].concat()
    };
    let expected = [part(0..1), part(2..4), format!("\r\n--{boundary}--\r\n").into_bytes()].concat();
    assert_eq!(parts.body, expected);
    assert_eq!(parts.field("Content-Length"), Some(&*expected.len().to_string()));
}

#[test]
fn behaviours_50_and_51_conditions_in_order_and_an_empty_file() {
    let scene = serve(|_, options| options);
    let file = pattern(1024);
    fs::write(scene.public("f"), &file).unwrap();
    let first = scene.get("/f", "");
    let (tag, date) = (first.field("ETag").unwrap(), first.field("Last-Modified").unwrap());
    let (weak, later) = (format!("W/{tag}"), "Fri, 31 Dec 2099 23:59:59 GMT");
    let earlier = "Sun, 06 Nov 1994 08:49:37 GMT";
    let status = |fields: &[&str]| scene.get("/f", &(fields.join("\r\n") + "\r\n")).status;
    let range = "Range: bytes=0-0";
    for (if_range, expected) in
        [(tag, 206), (date, 206), (&*weak, 200), ("\"other\"", 200), (later, 200), (earlier, 200)]
    {
        assert_eq!(status(&[range, &format!("If-Range: {if_range}")]), expected, "{if_range}");
    }
    assert_eq!(status(&["If-None-Match: *"]), 304);
    assert_eq!(status(&["If-Match: \"zz\""]), 412);
    assert_eq!(status(&["If-Match: \"zz\"", "If-None-Match: *", range]), 412, "If-Match comes first");
    assert_eq!(status(&[&format!("If-Unmodified-Since: {earlier}"), "If-None-Match: *"]), 412);
    assert_eq!(status(&[&format!("If-Match: {tag}"), &format!("If-Unmodified-Since: {earlier}")]), 200);
    assert_eq!(status(&["If-None-Match: \"x\"", &format!("If-Modified-Since: {date}")]), 200);
    assert_eq!(status(&[&format!("If-Modified-Since: {date}"), range]), 304, "and Range last");
    let mut stream = TcpStream::connect(scene.address).unwrap();
    let head = ask(&mut stream, "HEAD", "/f", "Range: bytes=0-0\r\n");
    assert_eq!((head.status, head.body.len(), head.field("Content-Length")), (200, 0, Some("1024")));

    fs::write(scene.public("empty"), "").unwrap();
    let empty = scene.get("/empty", "");
    assert_eq!((empty.status, empty.field("Content-Length"), empty.body.len()), (200, Some("0"), 0));
    let none = scene.get("/empty", "Range: bytes=0-\r\n");
    assert_eq!((none.status, none.field("Content-Range")), (416, Some("bytes */0")));
}

#[test]
fn a_file_in_a_coding_beside_it_is_sent_to_who_takes_it_unless_it_is_older() {
    let scene = serve(|_, options| options);
    fs::write(scene.public("page.html"), "plain").unwrap();
    for (suffix, text) in [("gz", "as gzip"), ("br", "as brotli"), ("zst", "as zstd")] {
        fs::write(scene.public(&format!("page.html.{suffix}")), text).unwrap();
    }
    let get = |accepted: &str| scene.get("/page.html", &format!("Accept-Encoding: {accepted}\r\n"));
    for (accepted, coding, text) in [
        ("gzip, deflate, br, zstd", "br", "as brotli"),
        ("gzip, zstd", "zstd", "as zstd"),
        ("gzip", "gzip", "as gzip"),
        ("br;q=0.1, gzip;q=0.9", "gzip", "as gzip"),
    ] {
        let answer = get(accepted);
        assert_eq!((answer.field("Content-Encoding"), answer.text()), (Some(coding), text), "{accepted}");
        assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    }
    let plain = get("identity");
    assert_eq!((plain.field("Content-Encoding"), plain.text()), (None, "plain"));
    assert_eq!(scene.get("/page.html", "").text(), "plain");
    let coded = get("br");
    let tag = coded.field("ETag").unwrap();
    assert_ne!(plain.field("ETag"), Some(tag), "another coding, another tag");
    let part = scene.get("/page.html", &format!("Accept-Encoding: br\r\nRange: bytes=3-\r\nIf-Range: {tag}\r\n"));
    assert_eq!((part.status, part.text(), part.field("Content-Encoding")), (206, "brotli", Some("br")));
    // The page is changed, and those beside it are not made anew.
    fs::write(scene.public("page.html"), "newer").unwrap();
    let later = SystemTime::now() + Duration::from_secs(10);
    fs::File::options().append(true).open(scene.public("page.html")).unwrap().set_modified(later).unwrap();
    assert_eq!(get("gzip, br").text(), "newer");
}

#[test]
fn a_folder_is_listed_in_json_for_programs() {
    let scene = serve(|_, options| options);
    fs::create_dir_all(scene.public("sub/\"deep\" <b>")).unwrap();
    fs::write(scene.public("sub/a b.txt"), "tide").unwrap();
    for (path, accept) in [("/sub/?json", "*/*"), ("/sub/", "application/json")] {
        let answer = scene.get(path, &format!("Accept: {accept}\r\n"));
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/json")));
        let json: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!((&json["path"], &json["complete"]), (&"/sub/".into(), &true.into()));
        let names: Vec<_> =
            json["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["\"deep\" <b>", "a b.txt"]);
        let file = &json["entries"][1];
        assert_eq!((&file["type"], &file["size"], &file["href"]), (&"file".into(), &4.into(), &"./a%20b.txt".into()));
        assert!(json["entries"][0].get("size").is_none() && json["entries"][0]["type"] == "folder");
    }
    let html = scene.get("/sub/", "Accept: text/html, application/json;q=0.9\r\n");
    assert!(html.text().starts_with("<!DOCTYPE html>"));
    let empty = serve(|_, options| options);
    fs::remove_file(empty.public("tide.txt")).unwrap();
    let json: Value = serde_json::from_str(empty.get("/?json", "").text()).unwrap();
    assert_eq!(json["entries"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_password_lets_in_and_headers_are_said_to_all() {
    let scene = serve(|_, options| Options {
        auth: Some(Auth::User("ada:tide:mill".to_owned())),
        headers: vec![("Cache-Control".to_owned(), "no-store".to_owned())],
        metrics: true,
        ..options
    });
    for path in ["/tide.txt", "/", "/nothing", "/metrics", "/../etc"] {
        let refused = scene.get(path, "");
        assert_eq!((refused.status, refused.field("Cache-Control")), (401, Some("no-store")), "{path}");
        assert!(refused.field("WWW-Authenticate").unwrap().starts_with("Basic realm="));
    }
    // "ada:tide:mill"
    let right = "Authorization: Basic YWRhOnRpZGU6bWlsbA==\r\n";
    let answer = scene.get("/tide.txt", right);
    assert_eq!((answer.status, answer.text(), answer.field("Cache-Control")), (200, "high water", Some("no-store")));
    assert_eq!(scene.get("/nothing", right).status, 404);
}

#[test]
fn requests_are_logged_in_either_format_and_counted() {
    for format in [Format::Common, Format::Json] {
        let mut scene = serve(|outer, options| Options {
            access_log: Some(AccessLog { path: outer.join("log"), format }),
            metrics: true,
            ..options
        });
        scene.get("/tide.txt?a\"b", "User-Agent: \"mill\"\r\n");
        scene.get("/nothing", "");
        let metrics = scene.get("/metrics", "");
        let text = metrics.text();
        for line in [
            "tidemill_http_requests_total{code=\"2xx\"} 1",
            "tidemill_http_requests_total{code=\"4xx\"} 1",
            "tidemill_http_body_bytes_total 10",
            "tidemill_http_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "# TYPE tidemill_connections gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let named = |line: &str| line.starts_with("# ") || line.starts_with("tidemill_") && line.contains(' ');
        assert!(text.lines().all(named) && text.ends_with('\n'), "{text}");
        scene.end();
        let log = fs::read_to_string(scene.outer.path().join("log")).unwrap();
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 3, "{log}");
        if format == Format::Json {
            let json: Value = serde_json::from_str(lines[0]).unwrap();
            assert_eq!((&json["target"], &json["status"]), (&"/tide.txt?a\"b".into(), &200.into()));
            assert_eq!((&json["user_agent"], &json["sent"]), (&"\"mill\"".into(), &10.into()));
        } else {
            let (who, rest) = lines[0].split_once(" - - [").unwrap();
            let (when, rest) = rest.split_once("] ").unwrap();
            assert_eq!((who, rest), ("127.0.0.1", "\"GET /tide.txt?a\\x22b HTTP/1.1\" 200 10"));
            let shape: String = when.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
            let month = &when[3..6];
            assert!(month.chars().all(char::is_alphabetic), "{when}");
            assert_eq!(shape.replace(month, "Mon"), "00/Mon/0000:00:00:00 +0000");
        }
    }
}

#[test]
fn a_reload_opens_anew_what_changed_and_what_cannot_be_had_stays() {
    let scene = serve(|outer, options| {
        fs::write(outer.join("users"), "# who may\nada:one\n").unwrap();
        Options {
            auth: Some(Auth::File(outer.join("users"))),
            access_log: Some(AccessLog { path: outer.join("log"), format: Format::Common }),
            workers: 2,
            ..options
        }
    });
    // "ada:one", "ada:two"
    let [one, two] = ["YWRhOm9uZQ==", "YWRhOnR3bw=="].map(|user| format!("Authorization: Basic {user}\r\n"));
    let (users, log) = (scene.outer.path().join("users"), scene.outer.path().join("log"));
    assert_eq!((scene.get("/tide.txt", &one).status, scene.get("/tide.txt", &two).status), (200, 401));
    // A connection that lives through all of it.
    let mut kept = TcpStream::connect(scene.address).unwrap();
    write!(kept, "GET /tide.txt HTTP/1.1\r\nHost: h\r\n{one}\r\n").unwrap();
    assert!(kept.read(&mut [0; 1024]).unwrap() > 0);

    fs::write(&users, "no password\n").unwrap();
    assert!(matches!(scene.reload(), Err(Error::Credentials)));
    assert_eq!(scene.get("/tide.txt", &one).status, 200);

    // A new folder at the same place, a new password, and the log moved away.
    fs::rename(scene.public(""), scene.outer.path().join("old")).unwrap();
    fs::create_dir(scene.public("")).unwrap();
    fs::write(scene.public("tide.txt"), "low water").unwrap();
    fs::write(&users, "ada:two\n").unwrap();
    fs::rename(&log, scene.outer.path().join("log.1")).unwrap();
    scene.reload().unwrap();
    // Each worker takes it up in its next turn.
    let settled = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        let found: Vec<_> = (0..8).map(|_| scene.get("/tide.txt", &two)).collect();
        found.iter().all(|answer| answer.status == 200 && answer.text() == "low water")
    });
    assert!(settled);
    assert_eq!(scene.get("/tide.txt", &one).status, 401);
    let answer = ask(&mut kept, "GET", "/tide.txt", &two);
    assert_eq!(answer.text(), "low water");
    let logged = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        fs::read_to_string(&log).is_ok_and(|log| log.contains("\" 401 "))
    });
    assert!(logged, "a new file was begun");
}

#[test]
fn several_workers_share_one_address_and_nobody_else_gets_it() {
    let scene = serve(|_, options| Options { workers: 2, metrics: true, ..options });
    let all: Vec<_> = (0..64).map(|_| TcpStream::connect(scene.address).unwrap()).collect();
    for mut stream in all {
        assert_eq!(ask(&mut stream, "GET", "/tide.txt", "").text(), "high water");
    }
    let metrics = scene.get("/metrics", "");
    assert!(metrics.text().contains("\ntidemill_workers 2\n") && metrics.text().contains("code=\"2xx\"} 64\n"));
    let again = Options { workers: 2, ..Options::new(scene.public(""), scene.address) };
    for workers in [1, 2] {
        let second = Server::bind(&Options { workers, ..again.clone() }, |_| ());
        assert!(matches!(second, Err(Error::Listen(tidemill_core::net::Error::AddressInUse))));
    }
}

/// A certificate for `localhost`, and what trusts it.
fn certificate(outer: &Path, name: &str) -> (PathBuf, PathBuf, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (outer.join(format!("{name}.pem")), outer.join(format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (certificate, key, config.with_root_certificates(roots).with_no_client_auth())
}

fn get_secure(address: SocketAddr, client: &rustls::ClientConfig, path: &str) -> std::io::Result<Vec<u8>> {
    let name = "localhost".try_into().unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = rustls::StreamOwned::new(tls, socket);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    Ok(all)
}

#[test]
fn under_tls_all_is_the_same_and_a_reload_brings_the_new_certificate() {
    let mut client = None;
    let scene = serve(|outer, options| {
        let (certificate, key, config) = certificate(outer, "own");
        client = Some(config);
        Options { tls: Some((certificate, key)), ..options }
    });
    let client = client.unwrap();
    let big = pattern(3_000_000);
    fs::write(scene.public("big"), &big).unwrap();
    let small = get_secure(scene.address, &client, "/tide.txt").unwrap();
    assert!(small.starts_with(b"HTTP/1.1 200 OK\r\n") && small.ends_with(b"high water"));
    assert!(get_secure(scene.address, &client, "/big").unwrap().ends_with(&big));
    // Who does not speak it gets nothing, and hurts nobody.
    let mut plain = TcpStream::connect(scene.address).unwrap();
    plain.write_all(b"GET /tide.txt HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.windows(5).any(|five| five == b"water"));

    let (_, _, other) = certificate(scene.outer.path(), "own");
    assert!(get_secure(scene.address, &other, "/tide.txt").is_err(), "not before the reload");
    scene.reload().unwrap();
    let taken_up = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        get_secure(scene.address, &other, "/tide.txt").is_ok_and(|answer| answer.ends_with(b"high water"))
    });
    assert!(taken_up);
    assert!(get_secure(scene.address, &client, "/tide.txt").is_err());
}
