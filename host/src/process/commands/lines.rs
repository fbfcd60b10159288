//! The lines of a descriptor, as they come.

use std::io::{self, Read};

/// The longest line: the kernel takes no longer argument.
pub(super) const LINE_MAX: usize = 128 << 10;

/// Lines on their way in, however they are cut.
pub(super) struct Lines<R> {
    from: R,
    bytes: Vec<u8>,
    start: usize,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, bytes: Vec::new(), start: 0, ended: false }
    }

    pub(super) fn source(&self) -> &R {
        &self.from
    }

    /// Whether [`next`](Self::next) has to read before there is a line.
    pub(super) fn has_to_read(&self) -> bool {
        !self.ended && !self.bytes[self.start..].contains(&b'\n')
    }

    /// Whether there is no more.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.start == self.bytes.len()
    }

    /// Reads once. The line that is begun may not be longer than [`LINE_MAX`].
    pub(super) fn read(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let before = self.bytes.len();
        if before > LINE_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 128 KiB"));
        }
        self.bytes.resize(before + (64 << 10), 0);
        let read = self.from.read(&mut self.bytes[before..]);
        self.bytes.truncate(before + read.as_ref().unwrap_or(&0));
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => self.ended = read? == 0,
        }
        Ok(())
    }

    /// The next line that is there, without its end.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.start..];
        let length = match rest.iter().position(|&byte| byte == b'\n') {
            Some(length) => length,
            None if self.ended && !rest.is_empty() => rest.len(),
            None => return None,
        };
        let line = rest[..length].to_vec();
        self.start = (self.start + length + 1).min(self.bytes.len());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        for step in 1..20 {
            let mut lines = Lines::new(Slowly(b"ebb\n\nflow and\r\nlast", step));
            let mut seen = Vec::new();
            while !lines.is_over() {
                if lines.has_to_read() {
                    lines.read().unwrap();
                }
                seen.extend(lines.next());
            }
            assert_eq!(seen, [&b"ebb"[..], b"", b"flow and\r", b"last"]);
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = vec![b'x'; 2 * LINE_MAX];
        let mut lines = Lines::new(&endless[..]);
        assert!((0..4).any(|_| lines.read().is_err()));
    }
}
