use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use tidemill_core::http::redirect::Refused;
use tidemill_core::net::TlsError;

use super::*;
use crate::tls::Identity;
use crate::tls::tests::Authority;

/// A server that answers each request by a function, and remembers what was asked.
struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(usize, String)>>>,
}

/// What a request is answered with; nothing: the connection is closed.
type Answer = dyn Fn(&str) -> String + Send + Sync;

impl Scripted {
    fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(answer, None)
    }

    fn secure(identity: Identity, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(answer, Some(identity))
    }

    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
        let (log, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (log, answer, identity) = (Arc::clone(&log), Arc::clone(&answer), identity.clone());
                std::thread::spawn(move || match identity {
                    Some(identity) => {
                        let tls = ServerConnection::new(Arc::clone(&identity.0)).unwrap();
                        converse(StreamOwned::new(tls, stream), number, &log, &*answer);
                    }
                    None => converse(stream, number, &log, &*answer),
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests, whole, in order.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }

    /// On how many connections they came.
    fn connections(&self) -> usize {
        self.asked.lock().unwrap().iter().map(|(number, _)| number + 1).max().unwrap_or(0)
    }
}

fn converse(mut stream: impl Read + Write, number: usize, log: &Mutex<Vec<(usize, String)>>, answer: &Answer) {
    let mut text: Vec<u8> = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let head = text.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let field = |head: &str, name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        if let Some(at) = head {
            let head = String::from_utf8_lossy(&text[..at]).into_owned();
            let length: usize = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
            let chunked = field(&head, "transfer-encoding").is_some();
            let end = if chunked { text.ends_with(b"0\r\n\r\n").then_some(text.len()) } else { Some(at + length) };
            if let Some(end) = end.filter(|end| text.len() >= *end) {
                let request = String::from_utf8_lossy(&text[..end]).into_owned();
                text.drain(..end);
                let reply = answer(&request);
                log.lock().unwrap().push((number, request));
                let reply: Vec<u8> = reply.chars().map(|c| c as u8).collect();
                if reply.is_empty() || stream.write_all(&reply).is_err() {
                    return;
                }
                continue;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => text.extend_from_slice(&piece[..count]),
        }
    }
}

fn ok(body: &str) -> String {
    with("200 OK", "", body)
}

fn with(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.chars().count())
}

fn redirect(status: u16, to: &str) -> String {
    with(&format!("{status} Moved"), &format!("Location: {to}\r\n"), "moved")
}

fn path_of(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or("")
}

fn field<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    let line = request.lines().skip(1).find(|line| {
        line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && line[name.len()..].starts_with(':')
    })?;
    Some(line[name.len() + 1..].trim())
}

fn opener() -> Opener {
    Opener::builder().proxies(Proxies::none()).build()
}

fn body(mut response: Response) -> String {
    response.read_all(1 << 20).unwrap().into_iter().map(char::from).collect()
}

fn http_error(result: Result<Response, UrlError>) -> HttpError {
    match result {
        Err(UrlError::Http(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn behaviour_59_what_urllib_sends_and_says_is_sent_and_said() {
    let server = Scripted::new(|request| match path_of(request) {
        "/none" => with("404 Not Found", "", "nothing here"),
        _ => ok("high water\nlow water"),
    });
    let opener = opener();
    let mut response = opener.open(&server.url("/a?b#c")).unwrap();
    assert_eq!((response.status, response.reason.as_str(), response.length()), (200, "OK", Some(20)));
    assert_eq!((response.url.clone(), response.header("content-LENGTH")), (server.url("/a?b#c"), Some("20")));
    assert_eq!(response.readline().unwrap(), b"high water\n");
    assert_eq!(response.read_up_to(3).unwrap(), b"low");
    assert_eq!(body(response), " water");
    assert_eq!(body(opener.open(Request::new(&server.url("/")).unwrap().data("x=1")).unwrap()).len(), 20);
    let mut error = http_error(opener.open(&server.url("/none")));
    assert_eq!(error.to_string(), "the server answered 404 Not Found");
    assert_eq!((error.status(), error.read_all(99).unwrap()), (404, b"nothing here".to_vec()));

    let asked = server.asked();
    assert!(asked[0].starts_with("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:"), "{}", asked[0]);
    assert_eq!(field(&asked[0], "accept-encoding"), Some("identity"));
    assert!(field(&asked[0], "user-agent").unwrap().starts_with("tidemill/"));
    assert!(asked[1].starts_with("POST / ") && asked[1].ends_with("\r\n\r\nx=1"));
    assert_eq!(field(&asked[1], "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(field(&asked[1], "content-length"), Some("3"));
    assert_eq!(server.connections(), 1, "the connection is kept");
}

#[test]
fn behaviour_59_a_redirect_never_leads_to_a_file() {
    for to in ["file:///etc/passwd", "data:,x", "ftp://h/"] {
        let server = Scripted::new(move |_| redirect(302, to));
        let error = http_error(opener().open(&server.url("/")));
        assert_eq!((error.status(), error.refused()), (302, Some(Refused::Scheme)), "{to}");
    }
}

#[test]
fn behaviour_60_methods_and_bodies_through_redirects() {
    let server = Scripted::new(|request| match path_of(request).strip_prefix("/to/") {
        Some(status) => redirect(status.parse().unwrap(), "/end"),
        None => ok("end"),
    });
    for (status, method, expected, sent) in [
        (301, "POST", "GET", false),
        (302, "POST", "GET", false),
        (303, "PUT", "GET", false),
        (307, "POST", "POST", true),
        (308, "PUT", "PUT", true),
        (302, "HEAD", "HEAD", false),
    ] {
        let mut request = Request::new(&server.url(&format!("/to/{status}"))).unwrap().method(method);
        if method != "HEAD" {
            request = request.data("tide").header("Content-Type", "text/x");
        }
        let response = opener().open(request).unwrap();
        assert_eq!(response.url, server.url("/end"));
        let last = server.asked().pop().unwrap();
        assert!(last.starts_with(&format!("{expected} /end ")), "{status} {method}: {last}");
        assert_eq!((last.ends_with("\r\n\r\ntide"), field(&last, "content-type").is_some()), (sent, sent), "{last}");
    }
    let streamed = Data::from_reader(&b"once"[..], None);
    let error = http_error(opener().open(Request::new(&server.url("/to/307")).unwrap().data(streamed)));
    assert_eq!(error.status(), 307, "what was read from a reader cannot be sent again");
}

#[test]
fn behaviour_60_where_locations_lead() {
    let server = Scripted::new(|request| match path_of(request) {
        "/relative/a" => redirect(302, "b c"),
        "/relative/b%20c" => ok("blank"),
        "/loop" => redirect(302, "/loop"),
        path => match path.strip_prefix("/hop/") {
            Some(hop) => redirect(302, &format!("/hop/{}", hop.parse::<u32>().unwrap() + 1)),
            None => ok(path),
        },
    });
    let response = opener().open(&server.url("/relative/a#top")).unwrap();
    assert_eq!(response.url, server.url("/relative/b%20c#top"));
    assert_eq!(body(response), "blank");
    assert_eq!(http_error(opener().open(&server.url("/loop"))).refused(), Some(Refused::Loop));
    assert_eq!(http_error(opener().open(&server.url("/hop/0"))).refused(), Some(Refused::TooMany));
    assert_eq!(server.asked().iter().filter(|request| path_of(request).starts_with("/hop/")).count(), 11);
}

#[test]
fn behaviour_61_credentials_and_cookies_stay_with_their_origin() {
    let other = Scripted::new(|_| ok("other"));
    let to = other.url("/b");
    let server = Scripted::new(move |request| match path_of(request) {
        "/away" => redirect(302, &to),
        "/near" => redirect(302, "/end"),
        _ => ok("end"),
    });
    let secret = |path| {
        let request = Request::new(&server.url(path)).unwrap();
        request.header("Authorization", "x").header("Cookie", "y=z").header("Proxy-Authorization", "p").header("A", "b")
    };
    opener().open(secret("/away")).unwrap();
    let away = other.asked().pop().unwrap();
    for name in ["authorization", "cookie", "proxy-authorization"] {
        assert_eq!(field(&away, name), None, "{away}");
    }
    assert_eq!(field(&away, "a"), Some("b"));
    opener().open(secret("/near")).unwrap();
    let near = server.asked().pop().unwrap();
    assert_eq!((field(&near, "authorization"), field(&near, "cookie")), (Some("x"), Some("y=z")));
}

#[test]
fn behaviour_61_a_password_in_a_url_stays_with_its_origin_when_another_asks() {
    let challenge = || with("401 No", "WWW-Authenticate: Basic realm=\"r\"\r\n", "who?");
    let other = Scripted::new(move |_| challenge());
    let to = other.url("/b");
    let server = Scripted::new(move |request| match (path_of(request), field(request, "authorization")) {
        ("/away", _) => redirect(302, &to),
        ("/near", _) => redirect(302, "/end"),
        (_, Some("Basic dTpw")) => ok("in"),
        _ => challenge(),
    });
    let open = |path| opener().open(&format!("http://u:p@{}{path}", server.address));
    assert_eq!(http_error(open("/away")).status(), 401);
    assert!(other.asked().iter().all(|request| field(request, "authorization").is_none()), "{:?}", other.asked());
    assert_eq!(body(open("/near").unwrap()), "in");
}

/// It may be meant for whoever asks next.
#[test]
fn what_came_unasked_over_a_kept_connection_answers_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sent, came) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(first.read(&mut head).unwrap() > 0);
        first.write_all(ok("1").as_bytes()).unwrap();
        came.recv().unwrap();
        first.write_all(ok("unasked").as_bytes()).unwrap();
        (first, listener)
    });
    let opener = opener();
    assert_eq!(body(opener.open(&url).unwrap()), "1");
    sent.send(()).unwrap();
    let (first, listener) = server.join().unwrap();
    let server = std::thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        let give_up = Instant::now() + Duration::from_secs(10);
        while Instant::now() < give_up {
            if let Ok((mut second, _)) = listener.accept() {
                assert!(second.read(&mut [0; 4096]).unwrap() > 0);
                second.write_all(ok("2").as_bytes()).unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(body(opener.open(&url).unwrap()), "2");
    server.join().unwrap();
    drop(first);
}

#[test]
fn behaviour_61_what_is_no_redirect_is_an_error() {
    let server = Scripted::new(|request| match path_of(request) {
        "/none" => with("302 Found", "", ""),
        path => redirect(path[1..].parse().unwrap(), "/x"),
    });
    assert_eq!(http_error(opener().open(&server.url("/none"))).refused(), Some(Refused::NoLocation));
    for status in [300, 304, 305] {
        let error = http_error(opener().open(&server.url(&format!("/{status}"))));
        assert_eq!((error.status(), error.refused()), (status, None));
    }
}

#[test]
fn cookies_are_kept_through_redirects_and_for_the_next_request() {
    let server = Scripted::new(|request| match path_of(request) {
        "/login" => {
            with("302 Found", "Location: /home\r\nSet-Cookie: id=17; Path=/\r\nSet-Cookie: bad=1; Domain=org\r\n", "")
        }
        _ => ok("home"),
    });
    let jar = CookieJar::new();
    let opener = Opener::builder().proxies(Proxies::none()).cookies(CookieProcessor::new(jar.clone())).build();
    opener.open(&server.url("/login")).unwrap();
    opener.open(&server.url("/again")).unwrap();
    let asked = server.asked();
    assert_eq!(field(&asked[0], "cookie"), None);
    assert!(asked[1..].iter().all(|request| field(request, "cookie") == Some("id=17")));
    assert_eq!(jar.with(|jar| jar.len()), 1);
}

#[test]
fn names_and_passwords_are_given_when_asked_for_and_only_once() {
    let server = Scripted::new(|request| match (path_of(request), field(request, "authorization")) {
        ("/basic", Some("Basic dTpwQHg=")) => ok("in"),
        ("/digest", Some(given)) if given.starts_with("Digest ") && given.contains("algorithm=SHA-256") => ok("in"),
        ("/digest", _) => with(
            "401 No",
            "WWW-Authenticate: Basic realm=\"r\"\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5, Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n",
            "",
        ),
        _ => with("401 No", "WWW-Authenticate: Basic realm=\"r\"\r\n", "who?"),
    });
    let with_user = |user: &str, path| format!("http://{user}@{}{path}", server.address);
    assert_eq!(body(opener().open(&with_user("u:p%40x", "/basic")).unwrap()), "in");
    assert_eq!(field(&server.asked()[0], "authorization"), None, "nothing is given unasked");
    assert_eq!(body(opener().open(&with_user("u:p", "/digest")).unwrap()), "in");
    let before = server.asked().len();
    let error = http_error(opener().open(&with_user("u:wrong", "/basic")));
    assert_eq!((error.status(), body(error.into_response())), (401, "who?".into()));
    assert_eq!(server.asked().len(), before + 2, "one try");
    let mut passwords = PasswordManager::new();
    passwords.add_password(Some("r"), &server.url("/"), "u", "p@x");
    let known = Opener::builder().proxies(Proxies::none()).passwords(passwords).build();
    assert_eq!(body(known.open(&server.url("/basic")).unwrap()), "in");
    assert_eq!(http_error(opener().open(&server.url("/basic"))).status(), 401);
}

#[test]
fn a_kept_connection_that_was_given_up_is_replaced_once_where_that_is_harmless() {
    // Every second request of a connection finds it closed.
    let server = Scripted::new(|request| if path_of(request) == "/first" { ok("1") } else { String::new() });
    let opener = opener();
    assert_eq!(body(opener.open(&server.url("/first")).unwrap()), "1");
    let error = opener.open(&server.url("/second")).unwrap_err();
    assert!(matches!(error, UrlError::Protocol(_) | UrlError::Net(_)), "{error:?}");
    assert_eq!(server.asked().len(), 3, "once more, and then it is an error");
    assert_eq!(body(opener.open(&server.url("/first")).unwrap()), "1");
    opener.open(Request::new(&server.url("/second")).unwrap().data("x")).unwrap_err();
    assert_eq!(server.asked().len(), 5, "a POST is not sent twice");
}

#[test]
fn what_is_read_to_its_end_gives_its_connection_back_and_what_is_dropped_does_not() {
    let server = Scripted::new(|_| ok(&"x".repeat(100_000)));
    let opener = opener();
    for _ in 0..3 {
        assert_eq!(body(opener.open(&server.url("/")).unwrap()).len(), 100_000);
    }
    assert_eq!(server.connections(), 1);
    drop(opener.open(&server.url("/")).unwrap());
    drop(opener.open(&server.url("/")).unwrap());
    assert_eq!(server.connections(), 2);
}

#[test]
fn bodies_end_as_they_said_they_would() {
    let server = Scripted::new(|request| match path_of(request) {
        "/chunked" => {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n water\r\n0\r\nT: 1\r\n\r\n"
                .into()
        }
        "/short" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello".into(),
        "/nothing" => with("204 No Content", "", ""),
        _ => "HTTP/1.0 200 OK\r\n\r\nto the end".into(),
    });
    let opener = opener();
    for _ in 0..2 {
        assert_eq!(body(opener.open(&server.url("/chunked")).unwrap()), "hello water");
    }
    assert_eq!(opener.open(&server.url("/nothing")).unwrap().status, 204);
    assert_eq!(server.connections(), 1);
    let short = Request::new(&server.url("/short")).unwrap().timeout(Duration::from_millis(300));
    let mut response = opener.open(short).unwrap();
    let mut all = Vec::new();
    let error = UrlError::from(response.read_to_end(&mut all).unwrap_err());
    assert_eq!(all, b"hello", "what came is kept");
    // The server of this test does not close: silence is an error of its own.
    assert!(matches!(error, UrlError::Timeout(Phase::Idle)), "{error:?}");
}

#[test]
fn less_than_was_promised_is_too_short_and_makes_no_file() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let error = urlretrieve(&url, &path, |_, _, _| (), None).unwrap_err();
    assert!(matches!(error, UrlError::ContentTooShort { got: 5, missing: Some(5) }), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_url_is_retrieved_into_a_file_and_the_hook_is_told() {
    let server = Scripted::new(|_| with("200 OK", "X-Tide: high\r\n", "water"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let mut told = Vec::new();
    let headers = urlretrieve(&server.url("/"), &path, |count, _, total| told.push((count, total)), None).unwrap();
    assert_eq!(headers.get("x-tide"), Some("high"));
    assert_eq!(std::fs::read(&path).unwrap(), b"water");
    assert_eq!(told, [(0, Some(5)), (1, Some(5))]);
}

#[test]
fn each_wait_has_an_end_of_its_own() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let timeouts = |idle, total| Timeouts { idle, total, ..Timeouts::default() };
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(20));
    for (timeouts, phase) in [(timeouts(short, None), Phase::Idle), (timeouts(long, Some(short)), Phase::Total)] {
        let opener = Opener::builder().proxies(Proxies::none()).timeouts(timeouts).build();
        let began = Instant::now();
        let error = opener.open(&url).unwrap_err();
        assert!(matches!(error, UrlError::Timeout(told) if told == phase), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // Something each 20 ms is no silence, and yet has an end.
    let drip = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", drip.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = drip.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let opener =
        Opener::builder().proxies(Proxies::none()).timeouts(timeouts(long, Some(Duration::from_millis(300)))).build();
    let error = opener.open(&url).unwrap().read_all(1 << 20).unwrap_err();
    assert!(matches!(error, UrlError::Timeout(Phase::Total)), "{error:?}");
}

#[test]
fn contents_are_unpacked_as_they_are_read_and_only_when_asked_for() {
    let text = "high water, low water; ".repeat(500);
    let latin = |bytes: Vec<u8>| bytes.into_iter().map(char::from).collect::<String>();
    let deflated = |text: &str| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        latin(encoder.finish().unwrap())
    };
    let zlib = |text: &str| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        latin(encoder.finish().unwrap())
    };
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        latin(encoder.finish().unwrap())
    };
    let zstd = latin(ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest));
    let bomb = gzip(&vec![0; 64 << 20]);
    let packed = [
        ("/gzip", "gzip", gzip(text.as_bytes())),
        ("/deflate", "deflate", zlib(&text)),
        ("/raw", "deflate", deflated(&text)),
        ("/zstd", "zstd", zstd),
        ("/bomb", "gzip", bomb),
        ("/unknown", "br", "as it is".into()),
        ("/broken", "gzip", "no gzip".into()),
    ];
    let server = Scripted::new(move |request| {
        let (_, coding, body) = packed.iter().find(|(path, ..)| *path == path_of(request)).unwrap();
        with("200 OK", &format!("Content-Encoding: {coding}\r\n"), body)
    });
    let get = |path: &str| opener().open(Request::new(&server.url(path)).unwrap().compressed()).unwrap();
    for path in ["/gzip", "/deflate", "/raw", "/zstd"] {
        let response = get(path);
        assert_eq!((response.header("content-encoding"), response.length()), (None, None));
        assert_eq!(body(response), text, "{path}");
    }
    assert_eq!(field(&server.asked()[0], "accept-encoding"), Some("gzip, deflate, zstd"));
    let response = get("/unknown");
    assert_eq!(response.header("content-encoding"), Some("br"));
    assert_eq!(body(response), "as it is");
    let mut response = get("/bomb");
    assert_eq!(response.read_up_to(10).unwrap(), [0; 10]);
    assert!(matches!(response.read_all(1 << 20), Err(UrlError::Io(_))), "there is more than was allowed");
    assert!(matches!(get("/broken").read_all(100), Err(UrlError::Io(_))));
    let plain = opener().open(&server.url("/gzip")).unwrap();
    assert_eq!(plain.header("content-encoding"), Some("gzip"), "not asked for, not undone");
}

#[test]
fn data_comes_from_readers_too() {
    let server = Scripted::new(|_| ok(""));
    let post = |data| opener().open(Request::new(&server.url("/")).unwrap().data(data)).map(drop);
    post(Data::from_reader(&b"sized"[..], Some(5))).unwrap();
    post(Data::from_reader(&b"in chunks"[..], None)).unwrap();
    assert!(matches!(post(Data::from_reader(&b"less"[..], Some(5))), Err(UrlError::Io(_))));
    let asked = server.asked();
    assert!(asked[0].contains("\r\nContent-Length: 5\r\n") && asked[0].ends_with("\r\n\r\nsized"));
    assert!(asked[1].ends_with("\r\n\r\n9\r\nin chunks\r\n0\r\n\r\n"), "{}", asked[1]);
}

#[test]
fn proxies_are_asked_for_whole_urls_and_for_tunnels() {
    let authority = Authority::new();
    let secure = Scripted::secure(authority.localhost(), |_| ok("secure"));
    let target = secure.address;
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://who:knows@{}", listener.local_addr().unwrap());
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).is_ok_and(|count| count == 1) { text.push(byte[0]) } else { break }
            }
            let request = String::from_utf8_lossy(&text).into_owned();
            log.lock().unwrap().push(request.clone());
            if request.starts_with("CONNECT refused") {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
            } else if request.starts_with("CONNECT") {
                let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n");
                let server = TcpStream::connect(target).unwrap();
                let (mut up, mut down) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut stream, &mut up));
                std::thread::spawn(move || {
                    let mut server = server;
                    std::io::copy(&mut server, &mut down)
                });
            } else {
                let _ = stream.write_all(ok("through the proxy").as_bytes());
            }
        }
    });
    let opener = Opener::builder()
        .proxies(Proxies::all(Proxy::new(&proxy).unwrap()).bypass("direct.example"))
        .trust(authority.trust())
        .build();
    assert_eq!(body(opener.open("http://far.example/a?b").unwrap()), "through the proxy");
    assert_eq!(body(opener.open(&format!("https://localhost:{}/", target.port())).unwrap()), "secure");
    assert!(matches!(opener.open("https://refused/"), Err(UrlError::Proxy(_))));
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET http://far.example/a?b HTTP/1.1\r\nHost: far.example\r\n"));
    assert!(asked[1].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", target.port())));
    assert!(asked.iter().all(|request| field(request, "proxy-authorization") == Some("Basic d2hvOmtub3dz")));
    assert_eq!(field(&secure.asked()[0], "proxy-authorization"), None, "the server learns nothing of it");
}

#[test]
fn https_is_held_to_its_name_and_connections_are_kept() {
    let authority = Authority::new();
    let server = Scripted::secure(authority.localhost(), |_| ok(&"secure".repeat(20_000)));
    let opener = Opener::builder().proxies(Proxies::none()).trust(authority.trust()).build();
    let url = format!("https://localhost:{}/", server.address.port());
    for _ in 0..2 {
        assert_eq!(body(opener.open(&url).unwrap()).len(), 120_000);
    }
    assert_eq!(server.connections(), 1);
    let stranger = Opener::builder().proxies(Proxies::none()).trust(Authority::new().trust()).build();
    let told = |result: Result<Response, UrlError>| match result {
        Err(UrlError::Net(tidemill_core::net::Error::Tls(why))) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(stranger.open(&url)), TlsError::UnknownIssuer);
}

#[test]
fn files_and_data_need_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("high water.txt");
    std::fs::write(&path, "water").unwrap();
    let url = format!("file://{}/high%20water.txt", folder.path().display());
    let response = opener().open(&url).unwrap();
    assert_eq!((response.length(), response.headers.content_type()), (Some(5), "text/plain".into()));
    assert_eq!(body(response), "water");
    for bad in [format!("file://far.example{}", path.display()), "file:///no/such".into(), "file:///".into()] {
        assert!(opener().open(&bad).is_err(), "{bad}");
    }
    for (url, kind, text) in [
        ("data:,a%20b", "text/plain;charset=US-ASCII", "a b"),
        ("data:text/html;base64,aGk=", "text/html", "hi"),
        ("data:text/html;base64,aGk", "text/html", "hi"),
    ] {
        let response = opener().open(url).unwrap();
        assert_eq!((response.header("content-type"), body(opener().open(url).unwrap()).as_str()), (Some(kind), text));
    }
    assert!(opener().open("data:no comma").is_err() && opener().open("data:;base64,!").is_err());
    assert!(matches!(opener().open("gopher://h/"), Err(UrlError::UnknownScheme(scheme)) if scheme == "gopher"));
    let only = Opener::builder().only_http().build();
    assert!(matches!(only.open(&url), Err(UrlError::UnknownScheme(_))));
}

#[test]
fn a_refused_connection_and_an_unknown_host_are_told_apart() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = opener().open(&format!("http://{nobody}/")).unwrap_err();
    assert!(matches!(error, UrlError::Net(tidemill_core::net::Error::Refused)), "{error:?}");
    let error = opener().open("http://no-such-host.invalid/").unwrap_err();
    assert!(matches!(error, UrlError::Resolve { .. } | UrlError::Timeout(Phase::Connect)), "{error:?}");
    let by_proxy = Opener::builder().proxies(Proxies::all(Proxy::new(&nobody.to_string()).unwrap())).build();
    for url in ["http://far.example/", "https://far.example/"] {
        let told = by_proxy.open(url).unwrap_err().to_string();
        assert_eq!(told, format!("proxy: {nobody}: connection refused"));
    }
}

#[test]
fn a_head_that_could_be_broken_apart_is_never_sent() {
    let server = Scripted::new(|_| ok(""));
    for request in [
        Request::new(&server.url("/")).unwrap().header("A", "b\r\nC: d"),
        Request::new(&server.url("/")).unwrap().header("A b", "c"),
        Request::new(&server.url("/")).unwrap().method("GET / HTTP/1.1\r\n"),
    ] {
        assert!(matches!(opener().open(request), Err(UrlError::Protocol(_))));
    }
    assert_eq!(server.asked().len(), 0);
}
