//! Collecting a head: bytes arrive in any pieces, and each is looked at once.
//!
//! A parser that starts again at byte 0 whenever more arrives costs the square of the head's size when it drips in byte
//! by byte. Here only the end of each line is looked for as it arrives; the head is parsed once, when it is whole.

use super::fields::{Fields, line_end};

/// Why a head cannot be collected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum HeadError {
    /// The first line alone is larger than the buffer.
    LineTooLong,
    /// The head is larger than the buffer.
    TooLarge,
    /// A line ended in a bare LF, or the head began with more than one empty line.
    Malformed,
}

/// A buffer that fills with one head, up to and with its empty line.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct HeadBuffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
    /// Where the line now arriving began.
    line: usize,
    /// Where the first header line begins; 0 until the first line is whole.
    fields: usize,
    /// One empty line before the head is tolerated (RFC 9112 2.2), and was seen.
    skipped: bool,
    /// How many bytes of trailers lie behind the head.
    trailers: usize,
    /// There was no room for all of them.
    trailers_cut: bool,
}

impl<const N: usize> HeadBuffer<N> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0, line: 0, fields: 0, skipped: false, trailers: 0, trailers_cut: false }
    }

    /// Forgets the head.
    pub(super) fn clear(&mut self) {
        (self.len, self.line, self.fields, self.skipped) = (0, 0, 0, false);
        (self.trailers, self.trailers_cut) = (0, false);
    }

    /// Whether no byte of a head has arrived; a stray empty line before it is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes bytes up to the end of the head. Returns how many it took, and whether the head is whole; when it is not,
    /// it took all.
    pub(super) fn receive(&mut self, input: &[u8]) -> Result<(usize, bool), HeadError> {
        let mut taken = 0;
        while taken < input.len() {
            let rest = &input[taken..];
            let line_end = line_end(rest);
            let take = line_end.unwrap_or(rest.len());
            let Some(room) = self.bytes.get_mut(self.len..self.len + take) else {
                return Err(if self.fields == 0 { HeadError::LineTooLong } else { HeadError::TooLarge });
            };
            room.copy_from_slice(&rest[..take]);
            self.len += take;
            taken += take;
            if line_end.is_none() {
                break;
            }
            let line = &self.bytes[self.line..self.len];
            if !line.ends_with(b"\r\n") {
                return Err(HeadError::Malformed);
            }
            if line.len() > 2 {
                if self.fields == 0 {
                    self.fields = self.len;
                }
                self.line = self.len;
            } else if self.fields > 0 {
                return Ok((taken, true));
            } else if self.skipped {
                return Err(HeadError::Malformed);
            } else {
                (self.len, self.skipped) = (0, true);
            }
        }
        Ok((taken, false))
    }

    /// Keeps lines that came behind the body, as long as there is room.
    pub(super) fn keep_trailers(&mut self, lines: &[u8]) {
        let at = self.len + self.trailers;
        match self.bytes.get_mut(at..at + lines.len()) {
            Some(room) if !self.trailers_cut => {
                room.copy_from_slice(lines);
                self.trailers += lines.len();
            }
            _ => self.trailers_cut = true,
        }
    }

    /// Those lines, if there was room for all.
    pub(super) fn trailers(&self) -> Option<Fields<'_>> {
        (!self.trailers_cut).then(|| Fields::new(&self.bytes[self.len..self.len + self.trailers]))
    }

    /// All bytes of the head.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The first line, without its end.
    pub(super) fn first_line(&self) -> &[u8] {
        self.bytes[..self.fields].trim_ascii_end()
    }

    /// The header lines, with the empty line that ends them.
    pub(super) fn field_lines(&self) -> &[u8] {
        &self.bytes[self.fields..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_drips_in_is_whole_at_its_last_byte() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut buffer = HeadBuffer::<64>::new();
        for (at, byte) in head.iter().enumerate() {
            let whole = at + 1 == head.len();
            assert_eq!(buffer.receive(&[*byte]), Ok((1, whole)));
        }
        assert_eq!(buffer.first_line(), b"GET / HTTP/1.1");
        assert_eq!(buffer.field_lines(), b"Host: a\r\n\r\n");
    }

    #[test]
    fn what_follows_the_head_is_left() {
        let mut buffer = HeadBuffer::<64>::new();
        assert_eq!(buffer.receive(b"A\r\n\r\nbody"), Ok((5, true)));
    }

    #[test]
    fn a_head_may_fill_the_buffer_and_not_exceed_it() {
        assert_eq!(HeadBuffer::<10>::new().receive(b"A\r\nB: c\r\n\r\n"), Err(HeadError::TooLarge));
        assert_eq!(HeadBuffer::<11>::new().receive(b"A\r\nB: c\r\n\r\n"), Ok((11, true)));
        assert_eq!(HeadBuffer::<2>::new().receive(b"A\r\n\r\n"), Err(HeadError::LineTooLong));
    }

    #[test]
    fn bare_line_feeds_and_a_second_empty_line_are_refused() {
        assert_eq!(HeadBuffer::<64>::new().receive(b"A\n"), Err(HeadError::Malformed));
        assert_eq!(HeadBuffer::<64>::new().receive(b"\r\n\r\n"), Err(HeadError::Malformed));
    }
}
