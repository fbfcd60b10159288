//! Blocks over a serial line, each checked, acknowledged, and sent again until it is: the simplest protocol that holds.
//!
//! A block is a mark, a number, the length of its bytes, the bytes, and a check over all but the mark. An answer is a block
//! without bytes. Whoever reads looks for a mark, and takes what follows if the check is right; if not, it looks for the
//! next mark after this one. What [`Transmit`] and [`Receive`] show here, a protocol of frames does better: it takes their
//! place, over the same [`Port`].

use std::collections::VecDeque;

use tidemill_core::time::{Duration, EPOCH, Instant};

use super::End;
use crate::mill::Content;
use crate::serial::{Port, Program};
use crate::trace::Hash64;

const MARK: u8 = 0xA5;

/// Most bytes of a block.
const BLOCK: usize = 32;

/// What stands before a block's bytes: mark, number, length; and after them: the check.
const HEAD: usize = 6;
const CHECK: usize = 4;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut hash = Hash64::new();
    hash.bytes(bytes);
    (hash.value() as u32).to_le_bytes()
}

fn block(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![MARK];
    block.extend(number.to_le_bytes());
    // At most BLOCK.
    block.push(bytes.len() as u8);
    block.extend(bytes);
    block.extend(check(&block[1..]));
    block
}

/// What has come and is not understood yet.
#[derive(Default)]
struct Heard(VecDeque<u8>);

impl Heard {
    /// The number and the bytes of the next block that is whole and right.
    fn next(&mut self, port: &mut Port<'_>) -> Option<(u32, Vec<u8>)> {
        let mut buffer = [0; 64];
        loop {
            match port.read(&mut buffer) {
                0 => break,
                read => self.0.extend(&buffer[..read]),
            }
        }
        while !self.0.is_empty() {
            let bytes = &*self.0.make_contiguous();
            if let [MARK, a, b, c, d, len, rest @ ..] = bytes
                && usize::from(*len) <= BLOCK
            {
                let len = usize::from(*len);
                // What looks like a block and never ends is one that was damaged: the next try brings more bytes.
                let (inside, sum) = (rest.get(..len)?, rest.get(len..len + CHECK)?);
                if check(&bytes[1..HEAD + len]) == sum {
                    let found = (u32::from_le_bytes([*a, *b, *c, *d]), inside.to_vec());
                    self.0.drain(..HEAD + len + CHECK);
                    return Some(found);
                }
            } else if bytes[0] == MARK && bytes.len() < HEAD {
                return None;
            }
            self.0.pop_front();
        }
        None
    }
}

/// Sends what is left to be sent.
fn send(left: &mut Vec<u8>, port: &mut Port<'_>) {
    let sent = port.write(left);
    left.drain(..sent);
}

/// Sends so many bytes in blocks, the next one once the last is acknowledged.
pub(in crate::scenario) struct Transmit {
    content: Content,
    total: u64,
    number: u32,
    again: Instant,
    heard: Heard,
    end: End,
}

impl Transmit {
    pub(in crate::scenario) fn new(seed: u64, total: u64, end: End) -> Self {
        Self { content: Content::new(seed), total, number: 0, again: EPOCH, heard: Heard::default(), end }
    }
}

impl Program for Transmit {
    fn turn(&mut self, now: Instant, port: &mut Port<'_>) -> Option<Instant> {
        while let Some((number, _)) = self.heard.next(port) {
            if number == self.number {
                self.number += 1;
                self.again = now;
            }
        }
        let start = u64::from(self.number) * BLOCK as u64;
        if start >= self.total {
            self.end.come(Ok(()));
            return None;
        }
        if now >= self.again {
            let mut bytes = [0; BLOCK];
            let bytes = &mut bytes[..(self.total - start).min(BLOCK as u64) as usize];
            self.content.read(start, bytes);
            // A card that is stalled and full takes a part, or nothing; the next try takes its place.
            send(&mut block(self.number, bytes), port);
            self.again = now + PATIENCE;
        }
        Some(self.again)
    }
}

/// Takes so many bytes in blocks, acknowledges each, and checks every byte.
pub(in crate::scenario) struct Receive {
    content: Content,
    total: u64,
    received: u64,
    heard: Heard,
    end: End,
}

impl Receive {
    pub(in crate::scenario) fn new(seed: u64, total: u64, end: End) -> Self {
        Self { content: Content::new(seed), total, received: 0, heard: Heard::default(), end }
    }
}

impl Program for Receive {
    fn turn(&mut self, _: Instant, port: &mut Port<'_>) -> Option<Instant> {
        while let Some((number, bytes)) = self.heard.next(port) {
            let start = u64::from(number) * BLOCK as u64;
            // One that was acknowledged already is so again: the acknowledgement was lost.
            if start <= self.received {
                send(&mut block(number, &[]), port);
            }
            if start != self.received || bytes.is_empty() {
                continue;
            }
            if let Some(at) = self.content.first_difference(start, &bytes) {
                self.end.come(Err(format!("byte {at} is wrong")));
            }
            self.received += bytes.len() as u64;
        }
        if self.received >= self.total {
            self.end.come(Ok(()));
        }
        None
    }
}
