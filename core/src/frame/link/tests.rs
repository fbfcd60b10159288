use super::*;
use crate::frame::{crc, encode};
use crate::random::{below, draw};
use crate::time::Duration;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

type End = Endpoint<'static, Vec<u8>, 3, 4, Reliable>;

fn config(carrier: Carrier, reliable: bool, nonce: u8) -> Config<'static> {
    Config {
        reliable,
        payload_max: 100,
        window: 600,
        transmit: 2_000,
        reorder: if reliable { 3_000 } else { 0 },
        nonce: [nonce; 16],
        ..Config::new(carrier)
    }
}

fn end(config: Config<'static>) -> End {
    End::reliable(config, vec![0; config.memory(3)]).unwrap()
}

/// What happens to bytes that one end wrote.
type Harm = std::boxed::Box<dyn FnMut(usize, &mut Vec<u8>)>;

/// Two ends and the wires between them.
struct Pair {
    ends: [End; 2],
    now: Instant,
    /// What may happen to the bytes that were written by either.
    wire: Harm,
    /// How many bytes are taken at a time.
    piece: usize,
    /// How long a byte takes.
    byte_us: u64,
}

impl Pair {
    fn new(ours: Config<'static>, theirs: Config<'static>) -> Self {
        Self {
            ends: [end(ours), end(theirs)],
            now: EPOCH,
            wire: std::boxed::Box::new(|_, _| {}),
            piece: usize::MAX,
            byte_us: 0,
        }
    }

    fn open(carrier: Carrier, reliable: bool) -> Self {
        let mut pair = Self::new(config(carrier, reliable, 1), config(carrier, reliable, 2));
        pair.run();
        for end in &mut pair.ends {
            assert_eq!(end.link().poll_event(), Some(Event::Opened));
        }
        pair
    }

    fn link(&mut self, end: usize) -> Link<'_> {
        self.ends[end].link()
    }

    /// Carries what there is to carry, one turn each way. Whether there was anything.
    fn carry(&mut self) -> bool {
        let mut any = false;
        for from in 0..2 {
            let mut bytes = Vec::new();
            loop {
                let mut link = self.ends[from].link();
                let shown = link.poll_output(self.now);
                if shown.is_empty() {
                    break;
                }
                let count = shown.len().min(self.piece);
                bytes.extend_from_slice(&shown[..count]);
                link.wrote(count);
            }
            any |= !bytes.is_empty();
            self.now += Duration::from_micros(self.byte_us * bytes.len() as u64);
            (self.wire)(from, &mut bytes);
            for piece in bytes.chunks(self.piece.min(1 << 20)) {
                self.ends[1 - from].link().handle_input(self.now, piece);
            }
        }
        any
    }

    /// Until nothing more happens at this time.
    fn run(&mut self) {
        while self.carry() {}
    }

    /// To the next time at which something is due. Whether there is one.
    fn sleep(&mut self) -> bool {
        let next = (0..2).filter_map(|end| self.ends[end].link().poll_timeout()).min();
        if let Some(next) = next {
            self.now = self.now.max(next);
        }
        next.is_some()
    }

    fn events(&mut self, end: usize) -> Vec<Event> {
        core::iter::from_fn(|| self.ends[end].link().poll_event()).collect()
    }

    fn send(&mut self, end: usize, channel: u8, payload: &[u8]) {
        let mut offset = 0;
        loop {
            match self.link(end).send(channel, Post::Data, payload, offset) {
                Ok(end) if end == payload.len() => break,
                Ok(end) => offset = end,
                Err(nb::Error::WouldBlock) => assert!(self.carry(), "nobody reads"),
                Err(nb::Error::Other(error)) => panic!("{error}"),
            }
        }
    }

    fn receive(&mut self, end: usize, channel: u8) -> Option<Vec<u8>> {
        let mut link = self.ends[end].link();
        let payload = link.peek(channel)?.payload.to_vec();
        link.pop(channel);
        Some(payload)
    }
}

/// A message that tells its number, channel and length in every place.
fn message(channel: u8, number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| draw(u64::from(channel), &[u64::from(number), at as u64]) as u8).collect()
}

const KINDS: [(Carrier, bool); 4] =
    [(Carrier::Stream, false), (Carrier::Line, false), (Carrier::Stream, true), (Carrier::Line, true)];

/// Sends `lens` messages from end 0 on three channels; end 1 reads them now and then. What arrived, by channel.
fn converse(pair: &mut Pair, lens: &[(u8, usize)], seed: u64, turns_max: usize) -> [Vec<Vec<u8>>; 3] {
    let mut waiting: [VecDeque<Vec<u8>>; 3] = Default::default();
    for (number, &(channel, len)) in lens.iter().enumerate() {
        waiting[usize::from(channel)].push_back(message(channel, number as u32, len));
    }
    let mut arrived: [Vec<Vec<u8>>; 3] = Default::default();
    let mut offsets = [0; 3];
    let mut quiet = 0;
    for turn in 0..turns_max as u64 {
        for channel in 0..3_u8 {
            let which = usize::from(channel);
            while let Some(first) = waiting[which].front() {
                match pair.ends[0].link().send(channel, Post::Data, first, offsets[which]) {
                    Ok(offset) if offset == first.len() => {
                        waiting[which].pop_front();
                        offsets[which] = 0;
                    }
                    Ok(offset) => offsets[which] = offset,
                    Err(nb::Error::WouldBlock) => break,
                    Err(nb::Error::Other(error)) => panic!("{error}"),
                }
            }
            // Channel 2 is read slowly.
            if below(draw(seed, &[turn, which as u64]), if channel == 2 { 40 } else { 3 }) == 0 {
                while let Some(payload) = pair.receive(1, channel) {
                    arrived[which].push(payload);
                }
            }
        }
        if pair.carry() {
            quiet = 0;
        } else {
            quiet += 1;
            pair.sleep();
        }
        if quiet > 20 && waiting.iter().all(VecDeque::is_empty) {
            break;
        }
    }
    assert!(
        waiting.iter().all(VecDeque::is_empty),
        "not all could be sent: {:?}",
        waiting.each_ref().map(VecDeque::len)
    );
    for channel in 0..3 {
        while let Some(payload) = pair.receive(1, channel) {
            arrived[usize::from(channel)].push(payload);
        }
    }
    arrived
}

fn sent(lens: &[(u8, usize)], channel: u8) -> Vec<Vec<u8>> {
    let numbered = lens.iter().enumerate().filter(|(_, (on, _))| *on == channel);
    numbered.map(|(number, &(channel, len))| message(channel, number as u32, len)).collect()
}

fn lens() -> impl Strategy<Value = Vec<(u8, usize)>> {
    let len = prop_oneof![Just(0..8_usize), Just(0..120), Just(300..584)].prop_flat_map(|range| range);
    proptest::collection::vec((0..3_u8, len), 1..40)
}

/// Bit errors, losses, insertions and repeated blocks, each once in `rate` bytes.
fn noise(seed: u64, rate: u64) -> impl FnMut(usize, &mut Vec<u8>) {
    let mut number = 0;
    move |from, bytes| {
        let mut at = 0;
        while at < bytes.len() {
            number += 1;
            let bits = draw(seed, &[from as u64, number]);
            if below(bits, rate) == 0 {
                let bits = draw(bits, &[]);
                let count = 1 + below(draw(bits, &[1]), 20) as usize;
                match bits % 4 {
                    0 => bytes[at] ^= 1 << (bits >> 8 & 7),
                    1 => drop(bytes.drain(at..(at + count).min(bytes.len()))),
                    2 => drop(bytes.splice(at..at, (0..count).map(|n| draw(bits, &[n as u64]) as u8))),
                    _ => {
                        let block = bytes[at.saturating_sub(count * 20)..at].to_vec();
                        at += block.len();
                        drop(bytes.splice(at - block.len()..at - block.len(), block));
                    }
                }
            }
            at += 1;
        }
    }
}

/// Whether `some` is `all` with some left out.
fn is_part_of(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn on_a_good_wire_every_message_arrives_once_and_in_order(lens in lens(), piece in 1..200_usize, seed in any::<u64>()) {
        for (carrier, reliable) in KINDS {
            let mut pair = Pair::open(carrier, reliable);
            pair.piece = piece;
            let arrived = converse(&mut pair, &lens, seed, 5_000);
            for channel in 0..3 {
                prop_assert_eq!(&arrived[usize::from(channel)], &sent(&lens, channel));
            }
            prop_assert_eq!(pair.link(1).stats(), Stats::default());
        }
    }

    #[test]
    fn on_a_bad_line_what_arrives_was_sent_in_order_and_once(lens in lens(), seed in any::<u64>(), rate in 20..5_000_u64) {
        let mut pair = Pair::open(Carrier::Line, false);
        pair.wire = std::boxed::Box::new(noise(seed, rate));
        let arrived = converse(&mut pair, &lens, seed, 50_000);
        for channel in 0..3 {
            prop_assert!(is_part_of(&arrived[usize::from(channel)], &sent(&lens, channel)));
        }
    }

    #[test]
    fn a_reliable_link_delivers_everything_once_over_a_bad_line(lens in lens(), seed in any::<u64>(), rate in 200..5_000_u64) {
        let mut pair = Pair::new(config(Carrier::Line, true, 1), config(Carrier::Line, true, 2));
        pair.wire = std::boxed::Box::new(noise(seed, rate));
        let arrived = converse(&mut pair, &lens, seed, 50_000);
        for channel in 0..3 {
            prop_assert_eq!(&arrived[usize::from(channel)], &sent(&lens, channel));
        }
    }

    #[test]
    fn whatever_comes_in_nothing_breaks(
        frames in proptest::collection::vec((0..11_u8, any::<u8>(), 0..4_u8, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..200),
        reliable in any::<bool>(),
    ) {
        let mut pair = Pair::open(Carrier::Stream, reliable);
        for (kind, flags, channel, sequence, payload) in frames {
            let len = payload.len();
            let mut bytes = vec![1 << 4 | kind, flags & 15, channel];
            bytes.extend_from_slice(&(sequence % 40).to_le_bytes());
            bytes.extend_from_slice(&(len as u32).to_le_bytes()[..3]);
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(&crc::software(0, &bytes).to_le_bytes());
            pair.now += Duration::from_millis(1);
            pair.ends[1].link().handle_input(pair.now, &bytes);
            pair.run();
            let _ = pair.events(1);
            for channel in 0..3 {
                let _ = pair.receive(1, channel);
            }
        }
    }
}

/// One bit in ten thousand is wrong, on a line of 115,200 baud; a thousand seeds.
#[test]
fn a_serial_line_with_bit_errors_delivers_everything_once_under_a_thousand_seeds() {
    let mut repeated = 0;
    for seed in 0..1_000 {
        let mut pair = Pair::new(config(Carrier::Line, true, 1), config(Carrier::Line, true, 2));
        let mut number = 0;
        pair.wire = std::boxed::Box::new(move |from, bytes| {
            for byte in bytes {
                for bit in 0..8 {
                    number += 1;
                    if below(draw(seed, &[from as u64, number]), 10_000) == 0 {
                        *byte ^= 1 << bit;
                    }
                }
            }
        });
        pair.byte_us = 87;
        let lens: Vec<(u8, usize)> =
            (0..30).map(|n| (below(draw(seed, &[n, 1]), 3) as u8, below(draw(seed, &[n, 2]), 400) as usize)).collect();
        let arrived = converse(&mut pair, &lens, seed, 50_000);
        for channel in 0..3 {
            assert_eq!(arrived[usize::from(channel)], sent(&lens, channel), "seed {seed}");
        }
        repeated += pair.link(0).stats().repeated;
    }
    assert!(repeated > 1_000, "the line was good: {repeated}");
}

#[test]
fn a_channel_that_nobody_reads_stops_no_other() {
    for (carrier, reliable) in KINDS {
        let mut pair = Pair::open(carrier, reliable);
        let stuck = loop {
            if let Err(error) = pair.link(0).send(0, Post::Data, &[7; 90], 0) {
                break error;
            }
            pair.run();
        };
        assert_eq!(stuck, nb::Error::WouldBlock);
        for number in 0..100 {
            let payload = message(1, number, 90);
            pair.send(0, 1, &payload);
            pair.run();
            assert_eq!(pair.receive(1, 1), Some(payload));
        }
        assert_eq!(pair.receive(1, 0), Some(vec![7; 90]));
        while pair.receive(1, 0).is_some() {}
        pair.run();
        assert!(pair.events(0).contains(&Event::Writable(0)));
        pair.send(0, 0, &[8]);
        pair.run();
        assert_eq!(pair.receive(1, 0), Some(vec![8]));
    }
}

#[test]
fn messages_keep_their_boundaries_also_empty_ones() {
    let mut pair = Pair::open(Carrier::Stream, false);
    for payload in [&b"one"[..], b"", b"three"] {
        pair.send(0, 0, payload);
    }
    pair.run();
    assert_eq!(pair.events(1), [Event::Readable(0)]);
    for payload in [&b"one"[..], b"", b"three"] {
        assert_eq!(pair.receive(1, 0).as_deref(), Some(payload));
    }
    assert_eq!(pair.receive(1, 0), None);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut pair = Pair::open(Carrier::Stream, false);
    let refused = |result: nb::Result<usize, Error>| result.unwrap_err();
    assert_eq!(refused(pair.link(0).send(0, Post::Data, &[0; 585], 0)), nb::Error::Other(Error::TooLong));
    assert_eq!(refused(pair.link(0).send(3, Post::Data, b"", 0)), nb::Error::Other(Error::NoChannel));
    assert_eq!(refused(pair.link(0).send(0, Post::Request(CallId(7)), b"", 0)), nb::Error::Other(Error::Stale));
    pair.link(0).close();
    assert_eq!(refused(pair.link(0).send(0, Post::Data, b"", 0)), nb::Error::Other(Error::Closed));
    let mut lonely = end(config(Carrier::Stream, false, 1));
    assert_eq!(refused(lonely.link().send(0, Post::Data, b"", 0)), nb::Error::WouldBlock);
}

#[test]
fn a_request_is_answered() {
    for (carrier, reliable) in KINDS {
        let mut pair = Pair::open(carrier, reliable);
        let call = pair.link(0).call(1, Some(Duration::from_millis(50))).unwrap();
        pair.link(0).send(1, Post::Request(call), b"?", 0).unwrap();
        pair.run();
        let mut link = pair.link(1);
        let Some(Message { subject: Subject::Request { id, timeout }, payload: b"?" }) = link.peek(1) else { panic!() };
        assert!(timeout.is_some_and(|timeout| (50..=51).contains(&(timeout.as_ticks() / 1000))));
        link.pop(1);
        link.send(1, Post::Failure(id), b"no", 0).unwrap();
        pair.run();
        let mut link = pair.link(0);
        assert_eq!(link.peek(1), Some(Message { subject: Subject::Failure(call), payload: b"no" }));
        link.pop(1);
        assert_eq!(link.peek(1), None);
        assert!(!link.cancel(call));
    }
}

#[test]
fn a_call_expires_and_its_late_answer_is_dropped() {
    let mut pair = Pair::open(Carrier::Stream, false);
    let call = pair.link(0).call(1, Some(Duration::from_millis(50))).unwrap();
    pair.link(0).send(1, Post::Request(call), b"?", 0).unwrap();
    pair.run();
    assert!(pair.sleep());
    pair.run();
    assert_eq!(pair.now, EPOCH + Duration::from_millis(50));
    assert_eq!(pair.events(0), [Event::Expired(call)]);
    pair.run();
    let mut link = pair.link(1);
    let Some(Message { subject: Subject::Request { id, .. }, .. }) = link.peek(1) else { panic!() };
    link.pop(1);
    assert_eq!(link.peek(1), Some(Message { subject: Subject::Cancelled(id), payload: b"" }));
    link.pop(1);
    link.send(1, Post::Response(id), b"late", 0).unwrap();
    link.send(1, Post::Data, b"next", 0).unwrap();
    pair.run();
    assert_eq!(pair.link(0).peek(1), Some(Message { subject: Subject::Data, payload: b"next" }));
    assert_eq!(pair.link(0).stats().stray, 1);
}

#[test]
fn calls_are_bounded_and_their_ids_do_not_come_back() {
    let mut pair = Pair::open(Carrier::Stream, false);
    let calls: Vec<CallId> = (0..4).map(|_| pair.link(0).call(0, None).unwrap()).collect();
    assert_eq!(pair.link(0).call(0, None), Err(Error::Full));
    assert!(pair.link(0).cancel(calls[2]));
    assert!(!pair.link(0).cancel(calls[2]));
    pair.run();
    let next = pair.link(0).call(0, None).unwrap();
    assert!(!calls.contains(&next));
}

#[test]
fn a_close_loses_nothing() {
    for (carrier, reliable) in KINDS {
        let mut pair = Pair::open(carrier, reliable);
        for number in 0..4 {
            pair.send(0, 0, &message(0, number, 100));
        }
        pair.link(0).close();
        pair.run();
        assert!(pair.events(1).contains(&Event::PeerClosed));
        // The other half is still open.
        pair.send(1, 2, b"answer");
        pair.run();
        assert_eq!(pair.receive(0, 2).as_deref(), Some(&b"answer"[..]));
        pair.link(1).close();
        pair.run();
        assert_eq!(pair.link(0).ended(), Some(None));
        assert_eq!(pair.link(1).ended(), Some(None));
        for number in 0..4 {
            assert_eq!(pair.receive(1, 0), Some(message(0, number, 100)));
        }
        pair.link(1).handle_end();
        assert_eq!(pair.link(1).ended(), Some(None));
        assert!(!pair.sleep(), "something is still due");
    }
}

#[test]
fn a_goodbye_that_is_lost_is_said_again() {
    for reliable in [false, true] {
        for lost in 0..12 {
            let mut pair = Pair::open(Carrier::Line, reliable);
            pair.send(0, 0, b"last");
            pair.run();
            let mut written = 0;
            pair.wire = std::boxed::Box::new(move |_, bytes| {
                if !bytes.is_empty() {
                    written += 1;
                    if lost == written || lost == 11 && written < 6 {
                        bytes.clear();
                    }
                }
            });
            pair.link(0).close();
            pair.link(1).close();
            for _ in 0..30 {
                pair.run();
                pair.sleep();
            }
            assert_eq!(pair.link(0).ended(), Some(None), "{reliable} {lost}");
            assert_eq!(pair.link(1).ended(), Some(None), "{reliable} {lost}");
        }
    }
}

#[test]
fn a_wire_that_ends_without_a_goodbye_is_a_broken_pipe() {
    let mut pair = Pair::open(Carrier::Stream, false);
    pair.send(0, 0, b"arrived");
    pair.run();
    pair.link(1).handle_end();
    assert_eq!(pair.link(1).ended(), Some(Some(Error::BrokenPipe)));
    assert_eq!(pair.link(1).send(0, Post::Data, b"", 0), Err(nb::Error::Other(Error::BrokenPipe)));
    assert_eq!(pair.receive(1, 0).as_deref(), Some(&b"arrived"[..]));
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let keep_alive = Some(Duration::from_secs(1));
    let alive = |nonce| Config { keep_alive, ..config(Carrier::Stream, false, nonce) };
    let mut pair = Pair::new(alive(1), alive(2));
    for _ in 0..20 {
        pair.run();
        assert!(pair.sleep());
    }
    assert!(pair.now > EPOCH + Duration::from_secs(5));
    assert_eq!(pair.link(0).ended(), None);
    pair.wire = std::boxed::Box::new(|_, bytes| bytes.clear());
    let silent = pair.now;
    while pair.link(0).ended().is_none() {
        pair.run();
        pair.sleep();
    }
    assert_eq!(pair.link(0).ended(), Some(Some(Error::TimedOut)));
    assert!(pair.now <= silent + Duration::from_secs(4));
}

#[test]
fn hellos_that_are_lost_are_said_again() {
    for lost in 0..6 {
        let mut pair = Pair::new(config(Carrier::Line, false, 1), config(Carrier::Line, false, 2));
        let mut turn = 0;
        pair.wire = std::boxed::Box::new(move |_, bytes| {
            if !bytes.is_empty() {
                turn += 1;
                if turn == lost {
                    bytes.clear();
                }
            }
        });
        for _ in 0..4 {
            pair.run();
            pair.sleep();
        }
        assert!(pair.link(0).is_open() && pair.link(1).is_open(), "{lost}");
    }
}

#[test]
fn ends_that_do_not_fit_together_say_so_at_both() {
    let mut pair = Pair::new(config(Carrier::Stream, true, 1), config(Carrier::Stream, false, 2));
    pair.run();
    for end in 0..2 {
        assert_eq!(pair.link(end).ended(), Some(Some(Error::Incompatible)));
    }
}

#[test]
fn a_peer_that_begins_anew_is_not_taken_for_the_old_one() {
    let mut pair = Pair::open(Carrier::Line, false);
    pair.ends[1] = end(config(Carrier::Line, false, 3));
    pair.run();
    assert_eq!(pair.link(0).ended(), Some(Some(Error::Restarted)));
}

#[test]
fn a_peer_that_overruns_its_credit_is_cut_off() {
    let mut pair = Pair::open(Carrier::Stream, false);
    let whole = Flags::START.with(Flags::END);
    for sequence in 0..8 {
        let header = crate::frame::Header { kind: Kind::Data, flags: whole, channel: 0, sequence };
        let mut bytes = [0; 112];
        let len = encode(Carrier::Stream, crc::software, header, [&[0; 100], &[]], &mut bytes).unwrap();
        let now = pair.now;
        pair.link(1).handle_input(now, &bytes[..len]);
    }
    assert_eq!(pair.link(1).ended(), Some(Some(Error::Overrun)));
}

#[test]
fn what_makes_no_sense_is_no_configuration() {
    let good = config(Carrier::Line, false, 1);
    let made = |config: Config<'static>, memory| End::reliable(config, vec![0; memory]).map(|_| ());
    assert_eq!(made(good, good.memory(3)), Ok(()));
    assert_eq!(made(good, good.memory(3) - 1), Err(Error::Config));
    assert_eq!(made(Config { window: 63, ..good }, 1 << 20), Err(Error::Config));
    assert_eq!(made(Config { payload_max: 15, ..good }, 1 << 20), Err(Error::Config));
    assert_eq!(made(Config { transmit: 40, ..good }, 1 << 20), Err(Error::Config));
}

#[cfg(feature = "auth")]
mod auth {
    use super::*;

    fn with_key(key: &'static [u8], nonce: u8) -> Config<'static> {
        Config { key: Some(key), ..config(Carrier::Stream, false, nonce) }
    }

    #[test]
    fn the_same_key_opens_also_an_empty_one() {
        for key in [&b"secret"[..], b"", &[7; 100]] {
            let mut pair = Pair::new(with_key(key, 1), with_key(key, 2));
            pair.run();
            assert!(pair.link(0).is_open() && pair.link(1).is_open());
        }
    }

    #[test]
    fn another_key_or_none_is_denied_at_both_ends() {
        for other in [with_key(b"other", 2), with_key(b"", 2), config(Carrier::Stream, false, 2)] {
            let mut pair = Pair::new(with_key(b"secret", 1), other);
            pair.run();
            for end in 0..2 {
                assert_eq!(pair.link(end).ended(), Some(Some(Error::Denied)));
            }
        }
    }

    #[test]
    fn what_we_say_sent_back_to_us_opens_nothing() {
        let mut end = end(with_key(b"secret", 1));
        for _ in 0..4 {
            let mut link = end.link();
            let bytes = link.poll_output(EPOCH).to_vec();
            link.wrote(bytes.len());
            link.handle_input(EPOCH, &bytes);
        }
        assert_eq!(end.link().ended(), Some(Some(Error::Denied)));
    }

    #[test]
    fn nothing_long_is_read_before_the_proof() {
        let mut end = end(with_key(b"secret", 1));
        let header = crate::frame::Header { kind: Kind::Data, flags: Flags::NONE, channel: 0, sequence: 0 };
        end.link().handle_input(EPOCH, &header.emit(65));
        let too_long = crate::frame::Error { at: 5, why: crate::frame::Why::TooLong };
        assert_eq!(end.link().ended(), Some(Some(Error::Damaged(too_long))));
    }

    #[test]
    fn a_proof_is_what_python_computes() {
        let mut pair = Pair::new(with_key(b"secret", 1), with_key(b"secret", 2));
        let mut last = Vec::new();
        for from in [0, 1] {
            last = pair.link(from).poll_output(EPOCH).to_vec();
            pair.link(from).wrote(last.len());
            pair.link(1 - from).handle_input(EPOCH, &last);
        }
        let hex: Vec<_> = last[40..72].iter().map(|byte| std::format!("{byte:02x}")).collect();
        assert_eq!(hex.concat(), PROOF);
    }

    // import hmac; f = lambda n: bytes([1, 2, 3, 0, 100, 0, 0, 0, 88, 2, 0, 0]) + bytes([n]) * 16
    // hmac.new(b"secret", b"tidemill frame 1" + f(2) + f(1), "sha256").hexdigest()
    const PROOF: &str = "0fbc22dc3682eb6b159f613c129ea5f2a18cb64f85063419202c0076ece9321a";
}
