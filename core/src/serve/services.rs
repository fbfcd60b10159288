//! Two talks that every network has: an echo, and lines that are answered.

use super::collect::{Collector, Terminator};
use super::{Talk, Wire};
use crate::net::{Error, Stack};

/// Sends back what it gets (RFC 862), up to `N` bytes at a time, and ends when its peer has and all is sent.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Echo<const N: usize> {
    bytes: [u8; N],
    start: usize,
    end: usize,
    ended: bool,
}

impl<const N: usize> Echo<N> {
    /// Before the first byte.
    pub const fn new() -> Self {
        const { assert!(N > 0) };
        Self { bytes: [0; N], start: 0, end: 0, ended: false }
    }
}

impl<const N: usize> Default for Echo<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Talk for Echo<N> {
    type Error = Error;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
        loop {
            while self.start < self.end {
                self.start += wire.send(&self.bytes[self.start..self.end])?;
            }
            if self.ended {
                return Ok(());
            }
            let count = wire.recv(&mut self.bytes)?;
            (self.start, self.end, self.ended) = (0, count, count == 0);
        }
    }
}

/// What a line is answered with: bytes that are put behind each other, in a buffer of fixed size.
#[derive(Debug)]
pub struct Reply<'a> {
    bytes: &'a mut heapless::vec::VecView<u8>,
    last: bool,
}

impl Reply<'_> {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::TooLong`]: there is no room for all of them, and none was appended.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes).map_err(|_| Error::TooLong)
    }

    /// The connection ends once this has been sent.
    pub fn end(&mut self) {
        self.last = true;
    }
}

/// Answers each line of up to `N` bytes, its end included, by what `answer` makes of it; answers have up to `N` bytes as
/// well. Lines end in LF or CR LF, which `answer` does not get to see. A line that is too long, or an error of `answer`,
/// cuts the connection.
#[derive(Debug)]
pub struct Lines<F, const N: usize> {
    answer: F,
    line: Collector<N>,
    reply: heapless::Vec<u8, N>,
    sent: usize,
    last: bool,
    /// What was received and is not part of a line yet.
    input: heapless::Vec<u8, 64>,
}

impl<F, const N: usize> Lines<F, N>
where
    F: FnMut(&[u8], &mut Reply<'_>) -> Result<(), Error>,
{
    /// Before the first line.
    pub const fn new(answer: F) -> Self {
        Self {
            answer,
            line: Collector::new(Terminator::Bytes(b"\n")),
            reply: heapless::Vec::new(),
            sent: 0,
            last: false,
            input: heapless::Vec::new(),
        }
    }
}

impl<F, const N: usize> Talk for Lines<F, N>
where
    F: FnMut(&[u8], &mut Reply<'_>) -> Result<(), Error>,
{
    type Error = Error;

    fn turn<S: Stack>(&mut self, wire: &mut Wire<'_, S>) -> nb::Result<(), Error> {
        loop {
            while self.sent < self.reply.len() {
                self.sent += wire.send(&self.reply[self.sent..])?;
            }
            if self.last {
                return Ok(());
            }
            if self.input.is_empty() {
                let mut piece = [0; 64];
                let count = wire.recv(&mut piece)?;
                if count == 0 {
                    return Ok(());
                }
                // It is as long as the piece at most.
                let _ = self.input.extend_from_slice(&piece[..count]);
            }
            let (taken, whole) = self.line.take(&self.input).map_err(|_| Error::TooLong)?;
            self.input.drain(..taken);
            if !whole {
                continue;
            }
            self.reply.clear();
            self.sent = 0;
            let line = self.line.message();
            let mut reply = Reply { bytes: self.reply.as_mut_view(), last: false };
            (self.answer)(line.strip_suffix(b"\r").unwrap_or(line), &mut reply)?;
            self.last = reply.last;
            self.line.next(Terminator::Bytes(b"\n"));
        }
    }
}
