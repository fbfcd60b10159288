//! Responses on which clients disagree, row by row: what ureq, reqwest, curl and CPython make of each was recorded, and what
//! we make of it was decided and is held here. Servers that read one of these otherwise than a proxy before them let
//! responses be smuggled, so whatever can be read in two ways is an error, unless it is harmless and common.

use super::*;
use std::string::{String, ToString};
use std::vec::Vec;

/// What is made of a response to GET: status and body, or an error, after which the body so far counts.
fn made_of(input: &[u8]) -> (Result<u16, Error>, String, Response<8192>) {
    let (mut response, mut rest, mut body) = (Response::new(), input, Vec::new());
    let outcome = loop {
        let event =
            if rest.is_empty() { response.end_of_stream().map(|event| (0, event)) } else { response.receive(rest) };
        match event {
            Ok((taken, event)) => {
                rest = &rest[taken..];
                match event {
                    Event::Body(data) => body.extend_from_slice(data),
                    Event::End => break Ok(response.head().status()),
                    Event::Head | Event::NeedMore => {}
                }
            }
            Err(error) => break Err(error),
        }
    };
    (outcome, String::from_utf8(body).unwrap(), response)
}

fn ok(fields: &str, body: &str) -> (Result<u16, Error>, String) {
    let (outcome, body, _) = made_of(["HTTP/1.1 200 OK\r\n", fields, "\r\n", body].concat().as_bytes());
    (outcome, body)
}

fn chunked(body: &str) -> (Result<u16, Error>, String) {
    ok("Transfer-Encoding: chunked\r\n", body)
}

fn hello() -> (Result<u16, Error>, String) {
    (Ok(200), "hello".to_string())
}

const CHUNKED_HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

#[test]
fn a_chunk_size_is_digits_only() {
    for size in ["+5", " 5", "0x5", "5 5", "", "-5"] {
        let refused = chunked(&[size, "\r\nhello\r\n0\r\n\r\n"].concat()).0;
        assert_eq!(refused, Err(Error::Chunked(chunked::Error::Size)), "{size}");
    }
    assert_eq!(chunked("5\nhello\r\n0\r\n\r\n").0, Err(Error::Chunked(chunked::Error::LineEnd)));
}

#[test]
fn a_chunk_extension_may_be_long_but_not_endless() {
    let extended = |len: usize| chunked(&["5;", &"x".repeat(len - 1), "\r\nhello\r\n0\r\n\r\n"].concat());
    assert_eq!((extended(60), extended(1024)), (hello(), hello()));
    assert_eq!(extended(1025).0, Err(Error::Chunked(chunked::Error::ExtensionTooLong)));
    let many = |count: usize| {
        chunked(&[&["1;", &"x".repeat(1023), "\r\na\r\n"].concat().repeat(count), "0\r\n\r\n"].concat()).0
    };
    assert_eq!(many(16), Ok(200));
    assert_eq!(many(17), Err(Error::Chunked(chunked::Error::ExtensionsTooLong)));
}

#[test]
fn a_chunks_data_ends_in_a_line_end() {
    let (refused, body) = chunked("5\r\nhelloXX0\r\n\r\n");
    assert_eq!((refused, body.as_str()), (Err(Error::Chunked(chunked::Error::LineEnd)), "hello"));
}

#[test]
fn a_coding_beats_a_length_and_the_connection_ends_after_it() {
    for fields in ["Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked"]
    {
        let input = ["HTTP/1.1 200 OK\r\n", fields, "\r\n\r\n", CHUNKED_HELLO].concat();
        let (outcome, body, response) = made_of(input.as_bytes());
        assert_eq!(((outcome, body), response.reusable()), (hello(), false));
    }
    let old =
        ["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKED_HELLO].concat();
    let (outcome, body, response) = made_of(old.as_bytes());
    assert_eq!(((outcome, body), response.reusable()), (hello(), false));
}

#[test]
fn a_length_is_one_number_however_often_it_is_told() {
    assert_eq!(ok("Content-Length: 5, 5\r\n", "hello"), hello());
    assert_eq!(ok("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), hello());
    for fields in ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: -1\r\n"] {
        assert_eq!(ok(fields, "hello!").0, Err(Error::ContentLength), "{fields}");
    }
}

#[test]
fn a_body_under_a_coding_that_is_not_undone_says_so() {
    for (codings, wire, framing) in
        [("gzip, chunked", CHUNKED_HELLO, Framing::Chunked), ("xchunked", "hello", Framing::UntilClose)]
    {
        let input = ["HTTP/1.1 200 OK\r\nTransfer-Encoding: ", codings, "\r\n\r\n", wire].concat();
        let (outcome, body, response) = made_of(input.as_bytes());
        assert_eq!((outcome, body), hello(), "{codings}");
        assert_eq!((response.head().framing(), response.head().transfer_coded()), (framing, true), "{codings}");
    }
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for fields in ["A : b\r\n", "A: b\r\n c\r\n", " A: b\r\n", "A: b\0c\r\n", "A: b\rc\r\n", "A: b\n"] {
        assert_eq!(ok(fields, "").0, Err(Error::MalformedHead), "{fields:?}");
    }
}

#[test]
fn a_short_body_is_an_error_and_what_came_counts() {
    assert_eq!(
        ok("Content-Length: 10\r\n", "hello"),
        (Err(Error::Incomplete { missing: Some(5) }), "hello".to_string())
    );
}

#[test]
fn thirty_early_hints_are_not_too_many_and_endless_ones_are() {
    let hints = |count| {
        [
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(count).as_str(),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ]
        .concat()
    };
    assert_eq!(made_of(hints(30).as_bytes()).0, Ok(200));
    assert_eq!(made_of(hints(65).as_bytes()).0, Err(Error::TooManyInterim));
}

#[test]
fn each_limit_of_a_head_has_its_own_error() {
    assert_eq!(ok(&["Content-Length: 0\r\n", &"A: b\r\n".repeat(99)].concat(), "").0, Ok(200));
    assert_eq!(ok(&"A: b\r\n".repeat(101), "").0, Err(Error::TooManyFields));
    assert_eq!(ok(&["A: ", &"b".repeat(65536), "\r\n"].concat(), "").0, Err(Error::HeadTooLarge));
    let line = ["HTTP/1.1 200 ", &"b".repeat(65536), "\r\n\r\n"].concat();
    assert_eq!(made_of(line.as_bytes()).0, Err(Error::StatusLineTooLong));
}
