//! Bytes to frames: any split gives the same, what comes out encodes to bytes that give it again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use tidemill_core::frame::{Carrier, Decoder, Error, Header, OVERHEAD, crc, encode};

fn decode(carrier: Carrier, wire: &[u8], pieces: &[u8]) -> Vec<Result<(Header, Vec<u8>), Error>> {
    let mut decoder = Decoder::new(carrier, crc::software, [0; 200]);
    let mut outcomes = Vec::new();
    let mut rest = wire;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let len = pieces.next().map_or(rest.len(), |&len| usize::from(len).clamp(1, rest.len()));
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        while let Some(outcome) = decoder.next(&mut piece) {
            outcomes.push(outcome.map(|frame| (frame.header, frame.payload.to_vec())));
        }
        assert!(piece.is_empty());
    }
    outcomes
}

fuzz_target!(|input: (bool, bool, Vec<u8>, Vec<u8>)| {
    let (line, mend, mut wire, pieces) = input;
    let carrier = if line { Carrier::Line } else { Carrier::Stream };
    // Checksums that fit, or nothing gets past them.
    if mend && !line {
        let mut at = 0;
        while let Some(head) = wire.get(at + 5..at + 8) {
            let end = at + 8 + usize::from(head[0]) + usize::from(head[1]) * 256;
            if end + 4 > wire.len() {
                break;
            }
            let sum = crc::software(0, &wire[at..end]);
            wire[end..end + 4].copy_from_slice(&sum.to_le_bytes());
            at = end + 4;
        }
    }
    let outcomes = decode(carrier, &wire, &pieces);
    assert_eq!(outcomes, decode(carrier, &wire, &[]));
    for (header, payload) in outcomes.into_iter().flatten() {
        assert!(payload.len() <= 200 - OVERHEAD);
        let mut again = vec![0; carrier.encoded_max(payload.len())];
        let len = encode(carrier, crc::software, header, [&payload, &[]], &mut again).expect("room");
        assert_eq!(decode(carrier, &again[..len], &[]), [Ok((header, payload))]);
    }
});
