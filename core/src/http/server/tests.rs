//! Which requests are taken, which refused and how, and that it does not matter how their bytes are cut.

use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

type Decoder = Request<4096>;

/// Feeds pieces of the given sizes (the last repeats) until the request ends or fails: its body, and how many bytes were
/// left.
fn feed(decoder: &mut Decoder, input: &[u8], sizes: &[usize]) -> (Vec<u8>, Result<usize, Error>) {
    let (mut at, mut body) = (0, Vec::new());
    let mut sizes = sizes.iter().copied();
    let mut size = input.len().max(1);
    let left = loop {
        size = sizes.next().unwrap_or(size);
        let piece = &input[at..input.len().min(at + size)];
        match decoder.receive(piece) {
            Ok((taken, event)) => {
                at += taken;
                match event {
                    Event::Body(data) => body.extend_from_slice(data),
                    Event::End => break Ok(input.len() - at),
                    Event::NeedMore => {
                        assert_eq!(taken, piece.len(), "must take all before it asks for more");
                        if at == input.len() {
                            break decoder.end_of_stream().map(|()| 0);
                        }
                    }
                    Event::Head => {}
                }
            }
            Err(error) => break Err(error),
        }
    };
    (body, left)
}

fn request(input: &str) -> (Vec<u8>, Result<usize, Error>) {
    let whole = feed(&mut Decoder::new(), input.as_bytes(), &[]);
    assert_eq!(whole, feed(&mut Decoder::new(), input.as_bytes(), &[1]), "{input}");
    whole
}

fn refused(input: &str) -> Option<(Error, u16)> {
    request(input).1.err().map(|error| (error, error.status()))
}

fn post(fields: &str, body: &str) -> (Vec<u8>, Result<usize, Error>) {
    request(&["POST / HTTP/1.1\r\nHost: h\r\n", fields, "\r\n", body].concat())
}

#[test]
fn bodies_end_with_their_length_or_last_chunk_and_the_next_request_begins_there() {
    assert_eq!(post("", "GET"), (Vec::new(), Ok(3)));
    assert_eq!(post("Content-Length: 5\r\n", "helloGET"), (b"hello".to_vec(), Ok(3)));
    assert_eq!(post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\nGET"), (b"hello".to_vec(), Ok(3)));
    assert_eq!(post("Content-Length: 5\r\n", "he").1, Err(Error::Incomplete { missing: Some(3) }));
    assert_eq!(request("").1, Ok(0));
    assert_eq!(request("\r\n").1, Ok(0), "old clients send it after a body");
    assert_eq!(request("GET").1, Err(Error::Incomplete { missing: None }));

    let mut decoder = Decoder::new();
    let two = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
    let (_, left) = feed(&mut decoder, two, &[]);
    decoder.start();
    assert_eq!(feed(&mut decoder, &two[two.len() - left.unwrap()..], &[]).1, Ok(0));
    assert_eq!(decoder.head().path(), "/2");
}

#[test]
fn behaviour_55_framing_that_can_be_read_in_two_ways_is_refused() {
    for (fields, error, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Error::TransferEncoding, 400),
        ("Transfer-Encoding: chunked, chunked\r\n", Error::TransferEncoding, 400),
        ("Transfer-Encoding: chunked, gzip\r\n", Error::TransferEncoding, 400),
        ("Transfer-Encoding: gzip, chunked\r\n", Error::UnknownCoding, 501),
        ("Transfer-Encoding: xchunked\r\n", Error::UnknownCoding, 501),
        ("Content-Length: 5,6\r\n", Error::ContentLength, 400),
        ("Content-Length: +5\r\n", Error::ContentLength, 400),
        ("Content-Length: 18446744073709551616\r\n", Error::ContentLength, 400),
    ] {
        let refused = post(fields, "").1.unwrap_err();
        assert_eq!((refused, refused.status()), (error, status), "{fields}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Some((Error::TransferEncoding, 400)));
    let (_, bad_chunk) = post("Transfer-Encoding: chunked\r\n", "+5\r\n");
    assert_eq!(bad_chunk, Err(Error::Chunked(chunked::Error::Size)));
}

#[test]
fn a_client_that_waits_to_send_its_body_is_heard() {
    let expects = |version: &str, expect: &str| {
        let mut decoder = Decoder::new();
        let head =
            ["POST / HTTP/", version, "\r\nHost: h\r\nContent-Length: 1\r\nExpect: ", expect, "\r\n\r\n"].concat();
        decoder.receive(head.as_bytes()).unwrap();
        let expects = decoder.expects_continue();
        feed(&mut decoder, b"x", &[]).1.unwrap();
        assert!(!decoder.expects_continue(), "the body is here");
        expects
    };
    assert!(expects("1.1", "100-Continue"));
    assert!(!expects("1.0", "100-continue"), "old clients do not know what they say");
    assert!(!expects("1.1", "200-ok"));
    assert_eq!(CONTINUE, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[test]
fn behaviour_52_trailers_are_kept_apart_from_the_head() {
    let mut decoder = Decoder::new();
    let input = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: x\r\n\r\n";
    assert_eq!(feed(&mut decoder, input, &[1]).1, Ok(0));
    assert!(decoder.trailers().unwrap().iter().eq([("Host", &b"x"[..])]));
    assert_eq!(decoder.head().host(), Some(&b"h"[..]));
}

#[test]
fn a_host_is_needed_once_from_http_1_1_on() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Some((Error::Host, 400)));
    assert_eq!(refused("GET / HTTP/1.0\r\n\r\n"), None);
    for hosts in ["Host: a\r\nHost: a", "Host: a, b", "Host: a/b", "Host: u@h", "Host: a b"] {
        assert_eq!(refused(&["GET / HTTP/1.1\r\n", hosts, "\r\n\r\n"].concat()), Some((Error::Host, 400)), "{hosts}");
    }
    for hosts in ["Host:", "Host: [::1]:80", "Host: a.example:8080"] {
        assert_eq!(refused(&["GET / HTTP/1.1\r\n", hosts, "\r\n\r\n"].concat()), None, "{hosts}");
    }
}

#[test]
fn targets_are_paths_or_urls() {
    for (line, host, path, query) in [
        ("GET /a/b?c?d", "h", "/a/b", Some("c?d")),
        ("GET //a", "h", "//a", None),
        ("GET http://x:1/a?", "x:1", "/a", Some("")),
        ("GET HTTP://x?q", "x", "/", Some("q")),
        ("GET https://x", "x", "/", None),
        ("OPTIONS *", "h", "*", None),
    ] {
        let mut decoder = Decoder::new();
        let input = [line, " HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(feed(&mut decoder, input.as_bytes(), &[]).1, Ok(0), "{line}");
        let head = decoder.head();
        assert_eq!((head.host(), head.path(), head.query()), (Some(host.as_bytes()), path, query), "{line}");
    }
    for line in [
        "GET *",
        "GET a",
        "CONNECT h:80",
        "GET ftp://x/",
        "GET http:///a",
        "GET http://u@x/",
        "GET /a#b",
        "GET /\u{e9}",
    ] {
        assert_eq!(refused(&[line, " HTTP/1.1\r\nHost: h\r\n\r\n"].concat()), Some((Error::Target, 400)), "{line}");
    }
}

#[test]
fn behaviour_57_malformed_heads_are_refused() {
    for fields in ["A : b\r\n", " A: b\r\n", "A: b\r\n c\r\n", "A: b\0c\r\n", "A: b\rc\r\n", "A\r\n", "A: b\n"] {
        assert_eq!(post(fields, "").1, Err(Error::MalformedHead), "{fields:?}");
    }
    for line in ["GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /", "G(T / HTTP/1.1", "GET / HTTX/1.1", " GET / HTTP/1.1"] {
        assert_eq!(refused(&[line, "\r\nHost: h\r\n\r\n"].concat()), Some((Error::MalformedHead, 400)), "{line}");
    }
    for line in ["GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9"] {
        assert_eq!(refused(&[line, "\r\nHost: h\r\n\r\n"].concat()), Some((Error::Version, 505)), "{line}");
    }
    assert_eq!(refused("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), None);
    assert_eq!(refused("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), Some((Error::MalformedHead, 400)));
}

#[test]
fn behaviour_57_each_limit_has_its_status() {
    let long = "a".repeat(4096);
    assert_eq!(refused(&["GET /", &long].concat()), Some((Error::RequestLineTooLong, 414)));
    assert_eq!(refused(&["GET / HTTP/1.1\r\nA: ", &long].concat()), Some((Error::HeadTooLarge, 431)));
    assert_eq!(post(&"A: b\r\n".repeat(99), "").1, Ok(0));
    let many = post(&"A: b\r\n".repeat(100), "").1.unwrap_err();
    assert_eq!((many, many.status()), (Error::TooManyFields, 431));
}

#[test]
fn behaviour_58_keep_alive() {
    for (input, keep) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.1\r\n\r\n", false),
    ] {
        let mut decoder = Decoder::new();
        let _ = feed(&mut decoder, input.as_bytes(), &[]);
        assert_eq!(decoder.keep_alive(), keep, "{input}");
    }
}

/// Bytes that are a request more often than chance would have it.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(&[
            "GET /a HTTP/1.1\r\n", "POST / HTTP/1.0\r\n", "Host: h\r\n", "Host: h\r\n", "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "\r\n", "\r\n", "\r\n", "5\r\nhello\r\n",
            "3;a=\"b\"\r\nabc\r\n", "0\r\n\r\n", "A: b\r\n", "hello", "\n", "\r",
        ][..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..10)).prop_map(|(started, pieces)| {
        let start: &[u8] = if started { b"PUT / HTTP/1.1\r\nHost: h\r\n" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_outcome_is_the_same(input in requests(), sizes in prop::collection::vec(1_usize..12, 1..40)) {
        let whole = feed(&mut Decoder::new(), &input, &[]);
        prop_assert_eq!(&feed(&mut Decoder::new(), &input, &sizes), &whole);
        prop_assert_eq!(&feed(&mut Decoder::new(), &input, &[1]), &whole);
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..300), line in any::<String>()) {
        let _ = feed(&mut Decoder::new(), &input, &[]);
        let mut decoder = Decoder::new();
        let _ = feed(&mut decoder, ["GET ", &line, " HTTP/1.1\r\nHost: h\r\nRange: ", &line, "\r\n\r\n"].concat().as_bytes(), &[]);
        respond(&decoder.head(), &Resource { len: 10, etag: &line, modified: Some(0) });
    }
}
