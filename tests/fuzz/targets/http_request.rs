//! Requests, cut anywhere, and the answers to them.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::http::server::{Event, Request, Resource, respond};

fn decode(input: &[u8], piece: usize) -> Vec<String> {
    let mut request = Request::<1024>::new();
    let mut seen = Vec::new();
    for part in input.chunks(piece) {
        let mut rest = part;
        loop {
            match request.receive(rest) {
                Ok((taken, event)) => {
                    rest = &rest[taken..];
                    match event {
                        Event::NeedMore => break,
                        Event::Body(_) => {}
                        Event::Head => {
                            let resource = Resource { len: 1000, etag: "\"x\"", modified: Some(1_000_000_000) };
                            let response = respond(&request.head(), &resource);
                            let mut out = [0; 1024];
                            let len = response.write_head(&mut out, Some(1_100_000_000), "text/plain", true, &[]);
                            seen.push(format!("{} {:?}", response.status, len.map(|len| out[..len].to_vec())));
                        }
                        Event::End => request.start(),
                    }
                }
                Err(error) => {
                    assert!((400..600).contains(&error.status()));
                    seen.push(format!("{error:?}"));
                    return seen;
                }
            }
        }
    }
    seen
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    if bytes.is_empty() {
        return;
    }
    assert_eq!(decode(bytes, bytes.len()), decode(bytes, usize::from(piece).max(1)));
});
