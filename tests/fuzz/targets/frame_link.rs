//! Two ends of a link and a wire that does anything: no panic, nothing held beyond what was agreed, and what is delivered
//! was sent. Raw frames with right checksums go to one end besides.
#![no_main]
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tidemill_core::frame::link::{Config, Endpoint, Post, Reliable, Subject};
use tidemill_core::frame::{Carrier, crc};
use tidemill_core::time::{Duration, EPOCH};

#[derive(Arbitrary, Debug)]
enum Step {
    Send { end: bool, channel: u8, len: u16 },
    Call { channel: u8, timeout_ms: u16 },
    Receive { end: bool, channel: u8 },
    Carry { end: bool, count: u8 },
    Harm { end: bool, at: u8, flip: u8, drop: u8, repeat: u8 },
    Forge { end: bool, kind: u8, flags: u8, channel: u8, sequence: u16, payload: Vec<u8> },
    Raw { end: bool, bytes: Vec<u8> },
    Wait { ms: u16 },
    Close { end: bool },
    Gone { end: bool },
}

fuzz_target!(|input: (bool, bool, bool, Vec<Step>)| {
    let (line, reliable, key, steps) = input;
    let carrier = if line { Carrier::Line } else { Carrier::Stream };
    let config = |nonce| Config {
        reliable,
        payload_max: 80,
        window: 300,
        transmit: 700,
        reorder: if reliable { 600 } else { 0 },
        nonce: [nonce; 16],
        key: key.then_some(b"key"),
        keep_alive: Some(Duration::from_secs(20)),
        ..Config::new(carrier)
    };
    let size = config(0).memory(3);
    let mut ends = [1, 2].map(|nonce| Endpoint::<_, 3, 2, Reliable>::reliable(config(nonce), vec![0; size]).expect("fits"));
    let mut now = EPOCH;
    let mut forged = false;
    let mut sent = [const { Vec::new() }; 2];
    let mut wires: [Vec<u8>; 2] = Default::default();
    for step in steps {
        now += Duration::from_micros(100);
        match step {
            Step::Send { end, channel, len } => {
                let from = usize::from(end);
                let payload: Vec<u8> = (0..len % 320).map(|at| (at as usize + sent[from].len()) as u8).collect();
                let mut offset = 0;
                while let Ok(next) = ends[from].link().send(channel % 4, Post::Data, &payload, offset) {
                    offset = next;
                    if offset == payload.len() {
                        sent[from].push(payload);
                        break;
                    }
                }
            }
            Step::Call { channel, timeout_ms } => {
                let mut link = ends[0].link();
                if let Ok(call) = link.call(channel % 4, Some(Duration::from_millis(timeout_ms.into()))) {
                    let _ = link.send(channel % 4, Post::Request(call), b"request", 0);
                }
            }
            Step::Receive { end, channel } => {
                let mut link = ends[usize::from(end)].link();
                let mut answer = None;
                if let Some(message) = link.peek(channel) {
                    assert!(message.payload.len() <= 300);
                    match message.subject {
                        Subject::Request { id, .. } => answer = Some(id),
                        Subject::Data => {
                            assert!(forged || sent[usize::from(!end)].iter().any(|sent| sent == message.payload));
                        }
                        _ => {}
                    }
                    link.pop(channel);
                }
                if let Some(id) = answer {
                    let _ = link.send(channel, Post::Response(id), b"response", 0);
                }
            }
            Step::Carry { end, count } => {
                let from = usize::from(end);
                let mut link = ends[from].link();
                let output = link.poll_output(now);
                let count = output.len().min(usize::from(count) + 1);
                wires[from].extend_from_slice(&output[..count]);
                link.wrote(count);
                let bytes = std::mem::take(&mut wires[from]);
                ends[1 - from].link().handle_input(now, &bytes);
            }
            Step::Harm { end, at, flip, drop, repeat } => {
                let from = usize::from(end);
                let mut link = ends[from].link();
                let output = link.poll_output(now);
                let count = output.len();
                wires[from].extend_from_slice(output);
                link.wrote(count);
                // A stream is not harmed: it only may end.
                if line && !wires[from].is_empty() {
                    let wire = &mut wires[from];
                    let at = usize::from(at) % wire.len();
                    wire[at] ^= flip;
                    let block = wire[at..].iter().copied().take(usize::from(repeat)).collect::<Vec<u8>>();
                    wire.splice(at..at, block);
                    wire.drain(at..(at + usize::from(drop)).min(wire.len()));
                }
            }
            Step::Forge { end, kind, flags, channel, sequence, payload } => {
                forged = true;
                let mut frame = vec![1 << 4 | kind % 11, flags & 15, channel % 4];
                frame.extend_from_slice(&(sequence % 40).to_le_bytes());
                frame.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
                frame.extend_from_slice(&payload);
                let sum = crc::software(0, &frame);
                frame.extend_from_slice(&sum.to_le_bytes());
                if !line {
                    ends[usize::from(end)].link().handle_input(now, &frame);
                }
            }
            Step::Raw { end, bytes } => {
                forged = true;
                ends[usize::from(end)].link().handle_input(now, &bytes);
            }
            Step::Wait { ms } => {
                now += Duration::from_millis(ms.into());
                for end in &mut ends {
                    let mut link = end.link();
                    let _ = link.poll_timeout();
                    let _ = link.poll_output(now);
                    while link.poll_event().is_some() {}
                }
            }
            Step::Close { end } => ends[usize::from(end)].link().close(),
            Step::Gone { end } => ends[usize::from(end)].link().handle_end(),
        }
    }
});
