//! Responses, cut anywhere: the same events as whole, and no panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::http::client::{Event, Response};

/// What is seen of a response that comes in pieces of this size.
fn decode(input: &[u8], piece: usize) -> (u16, Vec<u8>, String) {
    let mut response = Response::<1024>::new();
    let mut body = Vec::new();
    for part in input.chunks(piece) {
        let mut rest = part;
        loop {
            match response.receive(rest) {
                Ok((taken, event)) => {
                    rest = &rest[taken..];
                    match event {
                        Event::NeedMore => break,
                        Event::Body(data) => body.extend_from_slice(data),
                        Event::Head => assert!(response.head().headers().count() <= 100),
                        Event::End => return (response.head().status(), body, "end".into()),
                    }
                }
                Err(error) => return (response.head().status(), body, format!("{error:?}")),
            }
        }
    }
    let end = response.end_of_stream();
    (response.head().status(), body, format!("{end:?}"))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    if bytes.is_empty() {
        return;
    }
    assert_eq!(decode(bytes, bytes.len()), decode(bytes, usize::from(piece).max(1)));
});
