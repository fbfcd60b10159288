use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

const CARRIERS: [Carrier; 2] = [Carrier::Stream, Carrier::Line];
const ROOM: usize = 600;

fn header(sequence: u16) -> Header {
    Header { kind: Kind::Data, flags: Flags::START.with(Flags::END), channel: 3, sequence }
}

/// Frames numbered from 0 with these payloads, one after the other on the wire.
fn wire(carrier: Carrier, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (sequence, payload) in payloads.iter().enumerate() {
        let mut frame = std::vec![0; carrier.encoded_max(payload.len())];
        let (first, second) = payload.split_at(payload.len() / 3);
        let len = encode(carrier, crc::software, header(sequence as u16), [first, second], &mut frame).unwrap();
        wire.extend_from_slice(&frame[..len]);
    }
    wire
}

type Outcome = Result<(Header, Vec<u8>), Error>;

/// What comes out of `wire` when it is cut into pieces of these lengths, over and over.
fn decode(carrier: Carrier, wire: &[u8], pieces: &[usize]) -> Vec<Outcome> {
    let mut decoder = Decoder::new(carrier, crc::software, [0; ROOM]);
    let mut outcomes = Vec::new();
    let mut rest = wire;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        rest = after;
        while let Some(outcome) = decoder.next(&mut piece) {
            outcomes.push(outcome.map(|frame| (frame.header, frame.payload.to_vec())));
        }
        assert!(piece.is_empty());
    }
    outcomes
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![1 => Just(0_u8), 1 => Just(255), 8 => any::<u8>()];
    let len = prop_oneof![Just(0..3_usize), Just(0..70), Just(230..270), Just(0..ROOM - OVERHEAD)];
    let payload = len.prop_flat_map(move |len| proptest::collection::vec(byte.clone(), len));
    proptest::collection::vec(payload, 0..12)
}

/// What happens to bytes on the way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Drop(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = prop_oneof![
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, len)| Damage::Drop(at, len)),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<usize>(), 1..400_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ];
    proptest::collection::vec(damage, 0..8)
}

fn damaged(mut wire: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let len = wire.len();
        if len == 0 {
            break;
        }
        match damage {
            Damage::Flip(at, bit) => wire[at % len] ^= 1 << bit,
            Damage::Drop(at, count) => drop(wire.drain(at % len..(at % len + count).min(len))),
            Damage::Insert(at, bytes) => drop(wire.splice(at % len..at % len, bytes.iter().copied())),
            Damage::Repeat(at, count) => {
                let block = wire[at % len..(at % len + count).min(len)].to_vec();
                drop(wire.splice(at % len..at % len, block));
            }
        }
    }
    wire
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_frames_in_any_pieces_come_out_as_they_went_in(
        payloads in payloads(),
        pieces in proptest::collection::vec(1..300_usize, 1..10),
    ) {
        for carrier in CARRIERS {
            let expected: Vec<Outcome> =
                payloads.iter().enumerate().map(|(n, payload)| Ok((header(n as u16), payload.clone()))).collect();
            let wire = wire(carrier, &payloads);
            prop_assert_eq!(&decode(carrier, &wire, &pieces), &expected);
            prop_assert_eq!(&decode(carrier, &wire, &[1]), &expected);
            prop_assert_eq!(&decode(carrier, &wire, &[usize::MAX]), &expected);
        }
    }

    /// What comes out is what was sent, and how the bytes were cut makes no difference.
    #[test]
    fn damage_costs_frames_but_makes_none(
        payloads in payloads(),
        damages in damages(),
        pieces in proptest::collection::vec(1..300_usize, 1..10),
    ) {
        for carrier in CARRIERS {
            let wire = damaged(wire(carrier, &payloads), &damages);
            let outcomes = decode(carrier, &wire, &pieces);
            prop_assert_eq!(&decode(carrier, &wire, &[usize::MAX]), &outcomes);
            for (header, payload) in outcomes.iter().flatten() {
                prop_assert_eq!(payload, &payloads[usize::from(header.sequence)]);
            }
            if carrier == Carrier::Stream {
                prop_assert!(outcomes.iter().filter(|outcome| outcome.is_err()).count() <= 1);
                prop_assert!(outcomes.iter().rev().skip(1).all(Result::is_ok));
            }
        }
    }

    /// Every frame is there that no damage touched, and whose delimiter before it was not touched.
    #[test]
    fn on_a_line_damage_costs_only_the_frames_it_hits(payloads in payloads(), flips in proptest::collection::vec((any::<usize>(), 0..8_u8), 0..4)) {
        let mut bytes = wire(Carrier::Line, &payloads);
        prop_assume!(!bytes.is_empty());
        let places: Vec<usize> = flips.iter().map(|(at, _)| at % bytes.len()).collect();
        let mut spared = VecDeque::new();
        let mut start = 0;
        for (n, payload) in payloads.iter().enumerate() {
            let end = start + wire(Carrier::Line, core::slice::from_ref(payload)).len();
            // Its number makes the frame another one, but not a longer one.
            let hit = |place: usize| (start.saturating_sub(1)..end + 2).contains(&place);
            if !places.iter().any(|&place| hit(place)) {
                spared.push_back(n);
            }
            start = end;
        }
        for (&place, (_, bit)) in places.iter().zip(&flips) {
            bytes[place] ^= 1 << bit;
        }
        for (header, _) in decode(Carrier::Line, &bytes, &[7]).into_iter().flatten() {
            if spared.front() == Some(&usize::from(header.sequence)) {
                spared.pop_front();
            }
        }
        prop_assert!(spared.is_empty(), "lost: {:?}", spared);
    }
}

#[test]
fn a_frame_that_lies_whole_in_the_input_is_not_copied() {
    let wire = wire(Carrier::Stream, &[b"mill".to_vec()]);
    let mut decoder = Decoder::new(Carrier::Stream, crc::software, [0; 16]);
    let mut input = &wire[..];
    let frame = decoder.next(&mut input).unwrap().unwrap();
    assert_eq!(frame.payload.as_ptr(), wire[HEADER_LEN..].as_ptr());
}

#[test]
fn an_oversized_frame_on_a_line_is_one_error_and_its_tail_is_no_frame() {
    let inner = wire(Carrier::Line, &[b"tail".to_vec()]);
    // The tail of the large frame, cut anywhere, would be a frame in itself.
    let mut large = std::vec![7; 2 * ROOM];
    large.extend_from_slice(&inner[..inner.len() - 1]);
    let bytes = [wire(Carrier::Line, &[large]), wire(Carrier::Line, &[b"next".to_vec()])].concat();
    for piece in [1, 16, 700, usize::MAX] {
        let outcomes = decode(Carrier::Line, &bytes, &[piece]);
        assert_eq!(outcomes[0], Err(Error { at: ROOM, why: Why::TooLong }));
        assert_eq!(outcomes[1], Ok((header(0), b"next".to_vec())));
        assert_eq!(outcomes.len(), 2);
    }
}

#[test]
fn a_stream_says_what_is_wrong_with_it_and_where_and_then_nothing_more() {
    let good = wire(Carrier::Stream, &[b"mill".to_vec(), b"pond".to_vec()]);
    let cases = [
        (0, 0x20, Error { at: 0, why: Why::Version }),
        (0, 0x1F, Error { at: 0, why: Why::Kind }),
        (1, 0x83, Error { at: 1, why: Why::Flags }),
        (6, 0x04, Error { at: 5, why: Why::TooLong }),
        (8, 0x00, Error { at: 12, why: Why::Checksum }),
        (12, 0x00, Error { at: 12, why: Why::Checksum }),
    ];
    for (at, byte, error) in cases {
        let mut wire = good.clone();
        wire[at] = byte;
        for piece in [1, usize::MAX] {
            assert_eq!(decode(Carrier::Stream, &wire, &[piece]), [Err(error)]);
        }
    }
}

#[test]
fn on_a_line_zeros_between_frames_are_nothing_and_what_is_short_is_an_error() {
    let frame = wire(Carrier::Line, &[b"mill".to_vec()]);
    let bytes = [&[0, 0, 0], &frame[..], &[0], &[2, 9, 0], &[9, 9, 0], &frame].concat();
    let outcomes = decode(Carrier::Line, &bytes, &[3]);
    let short = Err(Error { at: 1, why: Why::Length });
    assert_eq!(outcomes, [Ok((header(0), b"mill".to_vec())), short.clone(), short, Ok((header(0), b"mill".to_vec()))]);
}
