//! Heads and bodies beside h11, Python's model of a sans-IO HTTP/1.1: what one takes and the other refuses is on a list, with
//! the reason. A difference that no entry explains fails, and so does an entry that explains none.
//!
//! h11 comes from PyPI: where it cannot be had within a minute, this says so and tests nothing.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tidemill_core::http::client::{self, Response};
use tidemill_core::http::server::{self, Request};

/// Which version the list of differences is about.
const H11: &str = "h11==0.16.0";

/// A message and what it is: `true`: a response.
type Case = (bool, Vec<u8>);

/// What is made of a message: its body, or nothing.
type Verdict = Option<Vec<u8>>;

/// A reason, whether we are the one who takes the message, and which messages it is about.
type Difference = (&'static str, bool, fn(&str, bool) -> bool);

fn has(message: &str, part: &str) -> bool {
    message.contains(part)
}

const DIFFERENCES: &[Difference] = &[
    ("a folded field has no place in HTTP/1.1 (RFC 9112, 5.2), and proxies disagree on it", false, |message, _| {
        has(message, "\r\n c\r\n") || has(message, "\r\n A: b\r\n\r\n")
    }),
    ("a line ends in CRLF, and a bare LF is where two readers part", false, |message, _| has(message, "A: b\nB: c")),
    (
        "no control but the tab stands in a value (RFC 9110, 5.5); h11 lets all but NUL, CR and LF through",
        false,
        |message, _| has(message, "A: \x01") || has(message, "A: \x7f") || has(message, "a\x01b"),
    ),
    ("a chunk's extension has no control, and its quoted string an end (RFC 9112, 7.1.1)", false, |message, _| {
        has(message, ";x=\x01") || has(message, ";x=\"\r")
    }),
    (
        "a request with both a coding and a length is how requests are smuggled (RFC 9112, 6.1)",
        false,
        |message, response| !response && has(message, "chunked\r\nContent-Length: 3"),
    ),
    ("a coding in a request of HTTP/1.0 is faulty framing (RFC 9112, 6.1)", false, |message, response| {
        !response && has(message, "HTTP/1.0") && has(&message.to_ascii_lowercase(), "transfer-encoding:")
    }),
    ("a host has no blank (RFC 9110, 7.2)", false, |message, _| has(message, "Host: a b")),
    ("a server of resources makes no tunnels", false, |message, _| message.starts_with("CONNECT")),
    ("versions are 1.0 and 1.1: to others the answer is 505", false, |message, _| {
        has(message, "HTTP/1.2") || has(message, "HTTP/2.0")
    }),
    ("a target is a path or a URL, without a fragment (RFC 9112, 3.2)", false, |message, _| {
        has(message, "GET a ") || has(message, "GET /#f ")
    }),
    ("a status is of one of five classes (RFC 9110, 15)", false, |message, _| message.starts_with("HTTP/1.1 600")),
    ("a length has 64 bits, even where there is no body", false, |message, _| has(message, ": 99999999999999999999\r")),
    ("a response under other codings is framed, and says so; h11 knows only chunked", true, |message, response| {
        response && (has(message, "gzip, chunked") || has(message, "xchunked"))
    }),
    ("one empty line before a message is overlooked (RFC 9112, 2.2)", true, |message, _| message.starts_with("\r\n")),
    (
        "a chunk's size may have zeros in front without end but for the limit of its line; h11 takes 20 digits",
        true,
        |message, _| has(message, "000000000000000000005"),
    ),
];

const STATUS_LINES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 204 x",
    "HTTP/1.1 304 x",
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.1 20 x",
    "HTTP/1.1 2000 x",
    "HTTP/1.1 099 x",
    "HTTP/1.1 600 x",
    "HTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK",
    "HTTP/1.1 101 x",
    "HTTP/2.0 200 OK",
    "HTTP/1.2 200 OK",
    "http/1.1 200 OK",
    "\r\nHTTP/1.1 200 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 200 \u{e9}",
    "HTTP/1.1 200 a\tb",
    "HTTP/1.1 200 a\x01b",
    "ICY 200 OK",
];

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1",
    "POST / HTTP/1.1",
    "GET / HTTP/1.0",
    "OPTIONS * HTTP/1.1",
    "GET http://h/ HTTP/1.1",
    "GET a HTTP/1.1",
    "CONNECT h:80 HTTP/1.1",
    "GET /#f HTTP/1.1",
    "GET /\u{e9} HTTP/1.1",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "GET /",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "G(T / HTTP/1.1",
    "\r\nGET / HTTP/1.1",
    "get / HTTP/1.1",
];

const FIELDS: &[&str] = &[
    "",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: 5, 6",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: +5",
    "Content-Length: -1",
    "Content-Length:",
    "Content-Length: 0x5",
    "Content-Length: 005",
    "Content-Length: 99999999999999999999",
    "Content-Length: 999999999999999999999",
    "Transfer-Encoding: chunked",
    "transfer-encoding:  CHUNKED ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "A : b",
    "A: b\r\n c",
    " A: b",
    "A: b\0c",
    "A: b\rc",
    "A: b\nB: c",
    "A: \u{e9}",
    "A:",
    ":b",
    "A",
    "A(: b",
    "A: \x7f",
    "A: \x01",
    "A: b\tc",
    "Connection: close",
];

const CHUNKS: &[&str] = &[
    "5\r\nhello\r\n0\r\n\r\n",
    "5 \t\r\nhello\r\n0\r\n\r\n",
    "5;x\r\nhello\r\n0\r\n\r\n",
    "5;x=\"a;b\"\r\nhello\r\n0\r\n\r\n",
    "5;x=\"\r\nhello\r\n0\r\n\r\n",
    "5;x=\x01\r\nhello\r\n0\r\n\r\n",
    "00000000000000000005\r\nhello\r\n0\r\n\r\n",
    "000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nA b\r\n\r\n",
    "5\r\nhello\r\n0\r\n A: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: \x01\r\n\r\n",
    "5\r\nhello\r\n",
    "5\r\nhel",
    "FFFFFFFFFFFFFFFFF\r\nhello",
    "A\r\nhellohello\r\na\r\nhellohello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\n",
];

/// Every line with every field and two bodies, and every chunked body: as text, in which a byte is a character.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let bytes = |text: &str| text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    for (lines, host, is_response) in [(STATUS_LINES, "", true), (REQUEST_LINES, "Host: h\r\n", false)] {
        let mut add = |line: &str, host: &str, fields: &str, body: &str| {
            let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
            cases.push((is_response, bytes(&[line, "\r\n", host, &fields, "\r\n", body].concat())));
        };
        for line in lines {
            for fields in FIELDS {
                for body in ["hello", "hell", CHUNKS[0]] {
                    add(line, host, fields, body);
                }
            }
            add(line, "", "", "");
            add(line, "Host: h\r\nHost: h\r\n", "", "");
            add(line, "Host:\r\n", "", "");
            add(line, "Host: a b\r\n", "", "");
        }
        for body in CHUNKS {
            add(lines[0], host, "Transfer-Encoding: chunked", body);
        }
    }
    cases
}

fn ours((is_response, message): &Case) -> Verdict {
    let (mut body, mut rest) = (Vec::new(), &message[..]);
    let (mut response, mut request) = (Response::<4096>::new(), Request::<4096>::new());
    loop {
        let (taken, ended) = if *is_response {
            let (taken, event) = match rest {
                [] => (0, response.end_of_stream().ok()?),
                _ => response.receive(rest).ok()?,
            };
            if let client::Event::Body(data) = event {
                body.extend_from_slice(data);
            }
            (taken, event == client::Event::End)
        } else {
            let (taken, event) = request.receive(rest).ok()?;
            if let server::Event::Body(data) = event {
                body.extend_from_slice(data);
            }
            if event == server::Event::NeedMore && rest.len() == taken {
                return None;
            }
            (taken, event == server::Event::End)
        };
        rest = &rest[taken..];
        if ended {
            return Some(body);
        }
    }
}

/// A Python that has h11: the machine's, with h11 from PyPI in a folder of ours if it has none.
fn python() -> Option<Command> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(H11);
    let python = || {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &folder).stderr(Stdio::null());
        command
    };
    let has_it = || {
        let check = format!("import h11; assert h11.__version__ == '{}'", &H11["h11==".len()..]);
        python().args(["-c", &check]).status().is_ok_and(|status| status.success())
    };
    if !has_it() {
        let install = ["60", "python3", "-m", "pip", "install", "--quiet", "--no-deps", "--target"];
        let mut pip = Command::new("timeout");
        pip.args(install).arg(&folder).arg(H11).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    }
    has_it().then(python)
}

fn theirs(mut python: Command, cases: &[Case]) -> Vec<Verdict> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/h11_verdicts.py");
    let mut child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>();
    let lines: Vec<_> = cases
        .iter()
        .map(|(is_response, message)| (if *is_response { "response" } else { "request" }, hex(message)))
        .collect();
    std::thread::spawn(move || lines.iter().for_each(|(kind, hex)| writeln!(input, "{kind} {hex}").unwrap()));
    let output = child.wait_with_output().unwrap();
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            line.strip_prefix("ok ")
                .or((line == "ok").then_some(""))
                .map(|hex| hex.as_bytes().chunks(2).map(byte).collect())
        })
        .collect()
}

#[test]
fn every_head_and_body_but_the_listed_is_taken_or_refused_as_by_h11() {
    let Some(python) = python() else {
        std::io::stderr().write_all(format!("\nNOT TESTED: HTTP beside h11: no {H11} to be had\n").as_bytes()).unwrap();
        return;
    };
    let cases = cases();
    let theirs = theirs(python, &cases);
    assert_eq!(theirs.len(), cases.len());
    let (mut unexplained, mut used, mut differing) = (Vec::new(), vec![0; DIFFERENCES.len()], 0);
    for (case, theirs) in cases.iter().zip(theirs) {
        let ours = ours(case);
        if ours == theirs {
            continue;
        }
        differing += 1;
        let text: String = case.1.iter().map(|byte| char::from(*byte)).collect();
        let explains = |(_, we_take, about): &Difference| *we_take == ours.is_some() && about(&text, case.0);
        match DIFFERENCES.iter().position(explains) {
            Some(index) if ours.is_some() != theirs.is_some() => used[index] += 1,
            _ => unexplained.push(format!("{text:?}: ours {:?}, theirs {:?}", ours.is_some(), theirs.is_some())),
        }
    }
    assert!(unexplained.is_empty(), "{}:\n{}", unexplained.len(), unexplained.join("\n"));
    let useless: Vec<_> =
        DIFFERENCES.iter().zip(&used).filter(|(_, used)| **used == 0).map(|(entry, _)| entry.0).collect();
    assert!(useless.is_empty(), "explain nothing: {useless:?}");
    let says = format!(
        "\nh11: {} of {} messages decided alike, {differing} by {} listed reasons otherwise\n",
        cases.len() - differing,
        cases.len(),
        DIFFERENCES.len()
    );
    std::io::stderr().write_all(says.as_bytes()).unwrap();
}
