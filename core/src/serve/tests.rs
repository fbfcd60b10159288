use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// All messages that end in LF, put together from pieces.
fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, Overlong> {
    let mut collector = Collector::<16>::new(Terminator::Bytes(b"\r\n"));
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (taken, whole) = collector.take(rest)?;
            rest = &rest[taken..];
            if whole {
                found.push(collector.message().to_vec());
                collector.next(Terminator::Bytes(b"\r\n"));
            }
        }
    }
    Ok(found)
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_its_lines_are_the_same(
        bytes in prop::collection::vec(prop::sample::select(&b"\r\nab"[..]), 0..200),
        cut in 1..20_usize,
    ) {
        let whole = lines(&[&bytes]);
        let cut: Vec<_> = bytes.chunks(cut).collect();
        prop_assert_eq!(lines(&cut), whole);
    }
}

#[test]
fn a_line_that_fits_to_the_byte_is_whole_and_a_longer_one_is_told() {
    assert_eq!(lines(&[b"12345678901234\r\n"]), Ok(std::vec![b"12345678901234".to_vec()]));
    assert_eq!(lines(&[b"123456789012345\r\n"]), Err(Overlong));
    assert_eq!(lines(&[b"\r\n\r", b"\na\rb\n\r\n"]), Ok(std::vec![b"".to_vec(), b"".to_vec(), b"a\rb\n".to_vec()]));
}

#[test]
fn a_count_of_none_is_a_message_at_once_and_a_terminator_of_none_never() {
    let mut collector = Collector::<4>::new(Terminator::Count(0));
    assert_eq!((collector.take(b"x"), collector.message()), (Ok((0, true)), &b""[..]));
    collector.next(Terminator::Count(2));
    assert_eq!((collector.take(b"xyz"), collector.message()), (Ok((2, true)), &b"xy"[..]));
    collector.next(Terminator::Bytes(b""));
    assert_eq!(collector.take(b"xyz"), Ok((3, false)));
    assert_eq!(collector.take(b"xyz"), Err(Overlong));
}
