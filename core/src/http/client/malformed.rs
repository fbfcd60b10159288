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

/// What was answered to GET, and what we make of it: the body, or the error and how much of the body counts all the same.
type Row<'a> = (&'a str, Result<&'a str, (Error, &'a str)>);

const fn size(error: chunked::Error) -> Result<&'static str, (Error, &'static str)> {
    Err((Error::Chunked(error), ""))
}

const MALFORMED: Result<&str, (Error, &str)> = Err((Error::MalformedHead, ""));
const LENGTH: Result<&str, (Error, &str)> = Err((Error::ContentLength, ""));
const CODING: Result<&str, (Error, &str)> = Err((Error::TransferEncoding, ""));
const CUT: Error = Error::Incomplete { missing: None };

/// `CH` stands for a head whose body is chunked, `OK` for a status line, `/` for a line end.
const ROWS: [Row<'_>; 46] = [
    ("CH+5/hello/0//", size(chunked::Error::Size)),
    ("CH-5/hello/0//", size(chunked::Error::Size)),
    ("CH 5/hello/0//", size(chunked::Error::Size)),
    ("CH0x5/hello/0//", size(chunked::Error::Size)),
    ("CH5 5/hello/0//", size(chunked::Error::Size)),
    ("CH/hello/0//", size(chunked::Error::Size)),
    ("CHFFFFFFFFFFFFFFFFF/hello/0//", size(chunked::Error::SizeOverflow)),
    ("CH00000000000000000005/hello/0//", Ok("hello")),
    ("CH5 /hello/0//", Ok("hello")),
    ("CH5;name=value;and=another-one-that-makes-it-sixty-bytes-long-or-more/hello/0//", Ok("hello")),
    ("CH5;a=\"x;y\"/hello/0//", Ok("hello")),
    ("CH5\nhello/0//", size(chunked::Error::LineEnd)),
    ("CH5\rXhello/0//", size(chunked::Error::LineEnd)),
    ("CH5/helloXX0//", Err((Error::Chunked(chunked::Error::LineEnd), "hello"))),
    ("CH5/hello/0/A: b//", Ok("hello")),
    ("CH5/hello/", Err((CUT, "hello"))),
    ("CH5/hel", Err((CUT, "hel"))),
    ("CH5/hello/0/", Err((CUT, "hello"))),
    ("OKTransfer-Encoding: chunked/Content-Length: 3//5/hello/0//", Ok("hello")),
    ("OKContent-Length: 3/Transfer-Encoding: chunked//5/hello/0//", Ok("hello")),
    ("OKTransfer-Encoding: chunked, chunked//5/hello/0//", CODING),
    ("OKTransfer-Encoding: chunked/Transfer-Encoding: chunked//5/hello/0//", CODING),
    ("OKTransfer-Encoding: chunked, gzip//hello", CODING),
    ("OKTransfer-Encoding://hello", CODING),
    ("OKTransfer-Encoding: gzip, chunked//5/hello/0//", Ok("hello")),
    ("OKTransfer-Encoding: xchunked//hello", Ok("hello")),
    ("HTTP|1.0 200 OK/Transfer-Encoding: chunked//5/hello/0//", Ok("hello")),
    ("OKContent-Length: 5/Content-Length: 6//hello!", LENGTH),
    ("OKContent-Length: 5/Content-Length: 5//hello", Ok("hello")),
    ("OKContent-Length: 5, 5//hello", Ok("hello")),
    ("OKContent-Length: 5, 6//hello!", LENGTH),
    ("OKContent-Length: +5//hello", LENGTH),
    ("OKContent-Length: -1//hello", LENGTH),
    ("OKContent-Length: //hello", LENGTH),
    ("OKContent-Length: 18446744073709551616//hello", LENGTH),
    ("OKContent-Length: 10//hello", Err((Error::Incomplete { missing: Some(5) }, "hello"))),
    ("OK/hello", Ok("hello")),
    ("OKA : b//", MALFORMED),
    ("OKA: b/ c//", MALFORMED),
    ("OK A: b//", MALFORMED),
    ("OKA: b\0c//", MALFORMED),
    ("OKA: b\rc//", MALFORMED),
    ("OKA: b\n/", MALFORMED),
    ("OKA//", MALFORMED),
    ("HTTP|1.1 99 OK//", MALFORMED),
    ("HTTP|2.0 200 OK//", Err((Error::Version, ""))),
];

#[test]
fn each_of_forty_nine_malformed_responses_is_made_of_what_was_decided() {
    let written = |row: &str| {
        let whole = row.replacen("CH", "OKTransfer-Encoding: chunked//", 1).replacen("OK", "HTTP|1.1 200 OK/", 1);
        let whole = if row.starts_with("HTTP") { row.to_string() } else { whole };
        whole.replace('/', "\r\n").replace('|', "/")
    };
    let mut rows: Vec<_> = ROWS.iter().map(|(row, made)| (written(row), *made)).collect();
    // Three that are too long to be written down.
    rows.push((written("HTTP|1.1 103 x//").repeat(30) + &written("OKContent-Length: 0//"), Ok("")));
    rows.push((written("OK") + &"A: b\r\n".repeat(101) + "\r\n", Err((Error::TooManyFields, ""))));
    rows.push((written("OKA: ") + &"b".repeat(65536) + "\r\n\r\n", Err((Error::HeadTooLarge, ""))));
    assert_eq!(rows.len(), 49);
    for (response, made) in rows {
        let (outcome, body, _) = made_of(response.as_bytes());
        let expected = (made.map(|_| 200).map_err(|(error, _)| error), made.unwrap_or_else(|(_, body)| body));
        assert_eq!((outcome, body.as_str()), expected, "{:?}", &response[..response.len().min(200)]);
    }
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
