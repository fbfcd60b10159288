//! Frames damaged at random, and how many of them pass for whole: `cargo run --release -p tidemill-tests --example
//! frame_damage -- 100000000 [SEED]` prints it. What damages them is bit errors, bursts, losses, insertions and pieces of
//! other frames.
//!
//! CRC-32C lets one in 2^32 pass of what is damaged beyond its guarantees, so of 10^8 none is expected to: the chance is
//! `reached the checksum` over 2^32.

use tidemill_core::frame::{Carrier, Decoder, Flags, Header, Kind, Why, encode};
use tidemill_core::random::mix;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let (count, seed) = (args.next().unwrap_or(1_000_000_u64), args.next().unwrap_or(1));
    let mut draws = Draws(mix(seed));
    let mut decoder = Decoder::new(Carrier::Line, checksum, [0_u8; 128]);
    let (mut unhurt, mut checksums, mut others, mut passed) = (0_u64, 0_u64, 0_u64, 0_u64);
    // One that was sent before, of which pieces get into others: also whole.
    let mut before = (Vec::new(), header_of_none(), Vec::new());
    for number in 0..count {
        let mut payload = [0; 64];
        let len = draws.below(65);
        // Zeros are what stuffing is about.
        let mask = [u64::MAX, 0x00FF_00FF_00FF_00FF, 0x0101_0101_0101_0101][draws.below(3)];
        for word in payload.chunks_mut(8) {
            word.copy_from_slice(&(draws.next() & mask).to_le_bytes());
        }
        let flags = Flags((draws.next() & 15) as u8);
        let header = Header { kind: Kind::Data, flags, channel: draws.next() as u8, sequence: draws.next() as u16 };
        let mut wire = [0; 128];
        let wire_len = encode(Carrier::Line, checksum, header, [&payload[..len], &[]], &mut wire).expect("room");
        let mut hurt = wire[..wire_len].to_vec();
        damage(&mut draws, &mut hurt, &before.0);
        if hurt == wire[..wire_len] {
            unhurt += 1;
            continue;
        }
        // Ends what the damage left open.
        hurt.push(0);
        let mut input = &hurt[..];
        while let Some(outcome) = decoder.next(&mut input) {
            match outcome {
                Ok(frame) if frame.header == header && frame.payload == &payload[..len] => {}
                Ok(frame) if frame.header == before.1 && frame.payload == before.2 => {}
                Ok(frame) => {
                    passed += 1;
                    println!("passed: number {number}: {frame:?} for {header:?} {:?}", &payload[..len]);
                }
                Err(error) if error.why == Why::Checksum => checksums += 1,
                Err(_) => others += 1,
            }
        }
        if number % 97 == 0 {
            before = (wire[..wire_len].to_vec(), header, payload[..len].to_vec());
        }
    }
    let hurt = count - unhurt;
    println!(
        "{hurt} damaged frames: {checksums} reached the checksum and failed it, {others} failed before, {passed} passed"
    );
}

fn header_of_none() -> Header {
    Header { kind: Kind::Pong, flags: Flags::NONE, channel: 0, sequence: 0 }
}

fn checksum(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }
}

fn damage(draws: &mut Draws, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=draws.below(3) {
        let at = draws.below(bytes.len());
        match draws.below(8) {
            // Independent bit errors.
            0..=2 => {
                for _ in 0..=draws.below(8) {
                    let at = draws.below(bytes.len());
                    bytes[at] ^= 1 << draws.below(8);
                }
            }
            // A burst.
            3 => {
                for _ in 0..=draws.below(12) {
                    let end = bytes.len();
                    bytes[(at + draws.below(12)) % end] = draws.next() as u8;
                }
            }
            // Two bytes change places.
            4 => {
                let with = draws.below(bytes.len());
                bytes.swap(at, with);
            }
            // A byte is lost and, later, another is made up.
            5 => {
                bytes.remove(at);
                let at = draws.below(bytes.len() + 1);
                bytes.insert(at, draws.next() as u8);
            }
            6 => bytes.insert(at, draws.next() as u8),
            // A piece of another frame.
            _ => {
                for (byte, &with) in bytes.iter_mut().zip(other).skip(at).take(1 + draws.below(20)) {
                    *byte = with;
                }
            }
        }
    }
}
