//! What the malformed, the odd and the cut-up response come to.

use super::*;
use crate::http::fields::LOOKED_AT;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

type Decoder = Response<4096>;

/// All that a response comes to.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    status: u16,
    body: Vec<u8>,
    /// How many bytes were left over at the end, or how it failed.
    left: Result<usize, Error>,
    reusable: bool,
}

/// Feeds pieces of the given sizes (the last repeats), then the end of the stream.
fn feed(decoder: &mut Decoder, input: &[u8], sizes: &[usize]) -> Outcome {
    let (mut at, mut body) = (0, Vec::new());
    let mut sizes = sizes.iter().copied();
    let mut size = input.len().max(1);
    let left = loop {
        size = sizes.next().unwrap_or(size);
        let piece = &input[at..input.len().min(at + size)];
        let event = if piece.is_empty() {
            decoder.end_of_stream()
        } else {
            decoder.receive(piece).map(|(taken, event)| {
                assert!(event != Event::NeedMore || taken == piece.len(), "must take all before it asks for more");
                at += taken;
                event
            })
        };
        match event {
            Ok(Event::Body(data)) => {
                assert!(!data.is_empty());
                body.extend_from_slice(data);
            }
            Ok(Event::End) => break Ok(input.len() - at),
            Ok(Event::NeedMore | Event::Head) => {}
            Err(error) => break Err(error),
        }
    };
    assert_eq!(decoder.body_received(), body.len() as u64);
    Outcome { status: decoder.head().status(), body, left, reusable: decoder.reusable() }
}

/// What a response to GET comes to, whole and byte by byte alike.
fn response(input: &[u8]) -> Outcome {
    let whole = feed(&mut Decoder::new(), input, &[]);
    assert_eq!(whole, feed(&mut Decoder::new(), input, &[1]), "{}", String::from_utf8_lossy(input));
    whole
}

fn ok(fields: &str, body: &str) -> Outcome {
    response([b"HTTP/1.1 200 OK\r\n", fields.as_bytes(), b"\r\n", body.as_bytes()].concat().as_slice())
}

const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

#[test]
fn a_body_ends_with_its_length_its_last_chunk_or_the_connection() {
    for (fields, body, reusable) in [
        ("Content-Length: 5\r\n", "hello", true),
        ("Transfer-Encoding: chunked\r\n", HELLO, true),
        ("", "hello", false),
    ] {
        let outcome = ok(fields, body);
        assert_eq!(outcome, Outcome { status: 200, body: b"hello".to_vec(), left: Ok(0), reusable });
    }
}

#[test]
fn transfer_encoding_overrides_length_and_the_connection_is_not_reused() {
    let outcome = ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", HELLO);
    assert_eq!((outcome.body, outcome.left, outcome.reusable), (b"hello".to_vec(), Ok(0), false));
    let old = response(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!((old.left, old.reusable), (Ok(0), false));
}

#[test]
fn a_body_under_another_transfer_coding_is_framed_and_flagged() {
    for (codings, framing, body) in
        [("gzip, chunked", Framing::Chunked, HELLO), ("xchunked", Framing::UntilClose, "hello")]
    {
        let mut decoder = Decoder::new();
        let input = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: ", codings.as_bytes(), b"\r\n\r\n", body.as_bytes()];
        let outcome = feed(&mut decoder, &input.concat(), &[]);
        assert_eq!((outcome.body, outcome.left), (b"hello".to_vec(), Ok(0)));
        assert_eq!(decoder.head().framing(), framing);
        assert!(decoder.head().transfer_coded());
    }
    assert_eq!(ok("Transfer-Encoding: chunked, chunked\r\n", HELLO).left, Err(Error::TransferEncoding));
}

#[test]
fn behaviour_53_malformed_chunks_are_errors() {
    let error = ok("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n").left;
    assert_eq!(error, Err(Error::Chunked(chunked::Error::Size)));
}

#[test]
fn behaviour_54_a_cut_body_is_incomplete_and_what_came_is_kept() {
    let cut = ok("Content-Length: 10\r\n", "hello");
    assert_eq!((cut.body, cut.left), (b"hello".to_vec(), Err(Error::Incomplete { missing: Some(5) })));
    for body in ["5\r\nhello\r\n", "9\r\nhello", "5\r\nhello\r\n0\r\n"] {
        let cut = ok("Transfer-Encoding: chunked\r\n", body);
        assert_eq!((cut.body, cut.left), (b"hello".to_vec(), Err(Error::Incomplete { missing: None })));
    }
    assert_eq!(response(b"HTTP/1.1 200 OK\r\n").left, Err(Error::Incomplete { missing: None }));
    assert_eq!(response(b"HTTP/1.1 103 \r\n\r\n").left, Err(Error::Incomplete { missing: None }));
    assert_eq!(response(b"").left, Err(Error::NoResponse));
}

#[test]
fn behaviour_55_contradictory_lengths_are_errors() {
    assert_eq!(ok("Content-Length: 5, 5\r\n", "hello").left, Ok(0));
    assert_eq!(ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello").left, Err(Error::ContentLength));
    assert_eq!(ok("Content-Length: +5\r\n", "hello").left, Err(Error::ContentLength));
}

#[test]
fn behaviour_56_no_body_where_none_can_be_and_the_next_response_begins_at_once() {
    let next = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for status in ["204 No Content", "304 Not Modified"] {
        let first = ["HTTP/1.1 ", status, "\r\nContent-Length: 5\r\n\r\n"].concat();
        let outcome = response(&[first.as_bytes(), next].concat());
        assert_eq!((outcome.body.len(), outcome.left, outcome.reusable), (0, Ok(next.len()), true));
    }
    let mut decoder = Decoder::new();
    decoder.start(Asked::Head);
    let outcome = feed(&mut decoder, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP", &[]);
    assert_eq!((outcome.left, outcome.reusable), (Ok(4), true));
    assert_eq!(decoder.head().content_length(), Some(5));
    decoder.start(Asked::Resource);
    assert_eq!(feed(&mut decoder, next, &[]).body, b"hi");
}

#[test]
fn behaviour_56_interim_responses_are_skipped_up_to_a_number_and_101_surfaces() {
    let interim = |count| {
        [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(count).as_slice(), b"HTTP/1.1 204 \r\n\r\n"].concat()
    };
    assert_eq!(response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n").status, 204);
    assert_eq!(response(&interim(64)).status, 204);
    assert_eq!(response(&interim(65)).left, Err(Error::TooManyInterim));
    assert_eq!(response(b"HTTP/1.1 101 \r\n\r\n").left, Err(Error::SwitchedProtocols));
}

#[test]
fn behaviour_56_what_was_asked_for_switches_and_what_follows_is_left() {
    let switched = |asked, input: &[u8]| {
        let mut outcomes = [&[][..], &[1]].map(|sizes| {
            let mut decoder = Decoder::new();
            decoder.start(asked);
            let outcome = feed(&mut decoder, input, sizes);
            assert!(!decoder.reusable() || !decoder.head().switched());
            (decoder.head().switched(), outcome.status, outcome.left)
        });
        assert_eq!(outcomes[0], outcomes[1]);
        core::mem::replace(&mut outcomes[0], (false, 0, Ok(0)))
    };
    let upgrade = b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nhello";
    assert_eq!(switched(Asked::Upgrade, upgrade), (true, 101, Ok(5)));
    assert_eq!(switched(Asked::Upgrade, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), (false, 200, Ok(0)));
    let tunnel = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: x, chunked\r\n\r\n\x16\x03";
    assert_eq!(switched(Asked::Tunnel, tunnel), (true, 200, Ok(2)), "both fields are to be ignored");
    let refused = b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(switched(Asked::Tunnel, refused), (false, 407, Ok(0)));
    assert_eq!(switched(Asked::Tunnel, b"HTTP/1.1 101 \r\n\r\n").2, Err(Error::SwitchedProtocols));
}

#[test]
fn a_server_that_waits_for_the_body_is_heard() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.receive(b"HTTP/1.1 103 x\r\n\r\n"), Ok((18, Event::NeedMore)));
    assert!(!decoder.continued());
    assert_eq!(decoder.receive(b"HTTP/1.1 100 Continue\r\n\r\n"), Ok((25, Event::NeedMore)));
    assert!(decoder.continued());
    assert_eq!(feed(&mut decoder, b"HTTP/1.1 204 x\r\n\r\n", &[]).status, 204);
    decoder.start(Asked::Resource);
    assert!(!decoder.continued());
}

#[test]
fn behaviour_52_trailers_are_kept_apart_from_the_head_if_they_fit() {
    let input =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: head\r\n\r\n2\r\nhi\r\n0\r\nA: tail\r\nB:\r\n\r\n";
    for sizes in [&[][..], &[1]] {
        let mut decoder = Decoder::new();
        feed(&mut decoder, input, sizes);
        assert!(decoder.trailers().unwrap().iter().eq([("A", &b"tail"[..]), ("B", b"")]));
        assert_eq!(decoder.head().header("a"), Some(&b"head"[..]));
        decoder.start(Asked::Resource);
        assert!(decoder.trailers().is_none());
        assert_eq!(feed(&mut decoder, b"HTTP/1.1 204 x\r\n\r\n", &[]).status, 204);
        assert_eq!(decoder.trailers().unwrap().iter().count(), 0);
    }
    let mut small = Response::<60>::new();
    let (mut at, _) = small.receive(input).unwrap();
    while at < input.len() {
        at += small.receive(&input[at..]).unwrap().0;
    }
    assert_eq!(small.receive(b""), Ok((0, Event::End)));
    assert!(small.trailers().is_none(), "the head left four bytes for them");
}

#[test]
#[expect(clippy::disallowed_types, reason = "a ratio of counts, looked at by nobody else")]
fn a_head_costs_the_same_for_each_byte_however_it_drips_in() {
    let steps = |lines: usize, size: usize| {
        let head = [b"HTTP/1.1 204 x\r\n", "Name: some value\r\n".repeat(lines).as_bytes(), b"\r\n"].concat();
        LOOKED_AT.with(|count| count.set(0));
        assert_eq!(feed(&mut Decoder::new(), &head, &[size]).status, 204);
        LOOKED_AT.with(core::cell::Cell::get) as f64 / head.len() as f64
    };
    for size in [1, 7, 4000] {
        let (few, many) = (steps(9, size), steps(90, size));
        assert!(many <= few * 1.1 && many < 8.0, "{few} and {many} steps for each byte, in pieces of {size}");
    }
}

#[test]
fn behaviour_57_malformed_heads_are_errors() {
    for fields in
        ["A : b\r\n", " A: b\r\n", "A: b\r\n c\r\n", "A: b\0c\r\n", "A: b\rc\r\n", "A\r\n", ": b\r\n", "A: b\n"]
    {
        assert_eq!(ok(fields, "").left, Err(Error::MalformedHead), "{fields:?}");
    }
    for line in
        ["HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "ICY 200 OK", "HTTP/1.1  200"]
    {
        assert_eq!(response([line, "\r\n\r\n"].concat().as_bytes()).left, Err(Error::MalformedHead), "{line}");
    }
    assert_eq!(response(b"HTTP/2.0 200 OK\r\n\r\n").left, Err(Error::Version));
}

#[test]
fn behaviour_57_odd_heads_are_taken() {
    let mut decoder = Decoder::new();
    let input = b"\r\nHTTP/1.1 200 D\xe9j\xe0 vu\r\nLatin: \xe9\r\nEmpty:\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(feed(&mut decoder, input, &[]).left, Ok(0));
    let head = decoder.head();
    assert_eq!(head.reason(), b"D\xe9j\xe0 vu");
    assert_eq!(
        (head.header("LATIN"), head.header("empty"), head.header("x")),
        (Some(&b"\xe9"[..]), Some(&b""[..]), None)
    );
    assert_eq!(head.headers().count(), 3);
    assert_eq!(response(b"HTTP/1.1 204\r\n\r\n").status, 204);
}

#[test]
fn behaviour_57_too_many_fields_and_too_large_a_head_are_told_apart() {
    assert_eq!(ok(&"A: b\r\n".repeat(100), "").left, Ok(0));
    assert_eq!(ok(&"A: b\r\n".repeat(101), "").left, Err(Error::TooManyFields));
    assert_eq!(ok(&["A: ", &"b".repeat(4096), "\r\n"].concat(), "").left, Err(Error::HeadTooLarge));
    let line = ["HTTP/1.1 200 ", &"b".repeat(4096), "\r\n\r\n"].concat();
    assert_eq!(response(line.as_bytes()).left, Err(Error::StatusLineTooLong));
}

#[test]
fn behaviour_58_the_connection_is_kept_if_both_sides_want_it() {
    assert!(!ok("Content-Length: 0\r\nConnection: Upgrade, close\r\n", "").reusable);
    assert!(!response(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").reusable);
    assert!(response(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n").reusable);
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.receive(b"\r\n\r\n"), Err(Error::MalformedHead));
    assert_eq!(decoder.receive(b"HTTP/1.1 200 OK\r\n\r\n"), Err(Error::MalformedHead));
    assert_eq!(decoder.end_of_stream(), Err(Error::MalformedHead));
}

/// Bytes that are a response more often than chance would have it.
fn responses() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(&[
            "HTTP/1.1 200 OK\r\n", "HTTP/1.0 206 \r\n", "HTTP/1.1 103 x\r\n", "HTTP/1.1 304 x\r\n", "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n", "Connection: close\r\n", "\r\n", "\r\n", "\r\n",
            "5\r\nhello\r\n", "3;a=\"b\"\r\nabc\r\n", "0\r\n\r\n", "A: b\r\n", "hello", "\n", "\r",
        ][..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..10)).prop_map(|(started, pieces)| {
        let start: &[u8] = if started { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_outcome_is_the_same(input in responses(), sizes in prop::collection::vec(1_usize..12, 1..40)) {
        let whole = feed(&mut Decoder::new(), &input, &[]);
        prop_assert_eq!(&feed(&mut Decoder::new(), &input, &sizes), &whole);
        prop_assert_eq!(&feed(&mut Decoder::new(), &input, &[1]), &whole);
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
        feed(&mut Decoder::new(), &input, &[]);
    }
}
