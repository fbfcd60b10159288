//! Chunked bodies, cut anywhere: the same data, trailers and end as whole, and nothing taken behind the end.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::http::chunked::{Decoder, Error, Event};

/// The data and the lines behind it, how much of the input that took, and whether it was all.
fn decode(input: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>, usize, Result<bool, Error>) {
    let (mut decoder, mut data, mut trailers, mut taken) = (Decoder::new(), Vec::new(), Vec::new(), 0);
    for part in input.chunks(piece) {
        let mut rest = part;
        loop {
            match decoder.receive(rest) {
                Ok((count, event)) => {
                    rest = &rest[count..];
                    taken += count;
                    match event {
                        Event::NeedMore => break,
                        Event::Data(bytes) => data.extend_from_slice(bytes),
                        Event::Trailers(lines) => trailers.extend_from_slice(lines),
                        Event::End => return (data, trailers, taken, Ok(true)),
                    }
                }
                Err(error) => return (data, trailers, taken, Err(error)),
            }
        }
    }
    (data, trailers, taken, Ok(decoder.is_done()))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    if bytes.is_empty() {
        return;
    }
    let (data, trailers, taken, end) = decode(bytes, bytes.len());
    let (data_again, trailers_again, taken_again, end_again) = decode(bytes, usize::from(piece).max(1));
    // What stands before an error may have been handed out or not.
    if end.is_ok() {
        assert_eq!((&trailers, taken), (&trailers_again, taken_again));
    }
    assert_eq!((&data, end), (&data_again, end_again));
    assert!(data.len() + trailers.len() <= bytes.len());
    if end == Ok(true) {
        assert_eq!(decode(&bytes[..taken], 1), (data, trailers, taken, Ok(true)));
    }
});
