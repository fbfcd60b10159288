//! Where one message of a stream ends: asynchat's terminators.

/// What ends a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[doc(alias = "set_terminator")]
pub enum Terminator {
    /// These bytes, at most 8; they are no part of the message. `b"\r\n"` for lines.
    Bytes(&'static [u8]),
    /// So many bytes have come. 0: at once, and the message is empty.
    Count(usize),
}

/// A message is longer than there is room for. What came of it is dropped; the stream has lost its beat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Overlong;

impl core::fmt::Display for Overlong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a message is longer than there is room for")
    }
}

impl core::error::Error for Overlong {}

/// Puts messages of up to `N` bytes, their terminators included, together from a stream that comes in any pieces. The
/// terminator may be changed between two messages.
///
/// ```
/// use tidemill_core::serve::{Collector, Terminator};
/// let mut heads = Collector::<16>::new(Terminator::Bytes(b"\r\n"));
/// assert_eq!(heads.take(b"LEN 3"), Ok((5, false)));
/// assert_eq!(heads.take(b"\r\nabc"), Ok((2, true)));
/// assert_eq!(heads.message(), b"LEN 3");
/// heads.next(Terminator::Count(3));
/// assert_eq!(heads.take(b"abc"), Ok((3, true)));
/// assert_eq!(heads.message(), b"abc");
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[doc(alias = "async_chat")]
pub struct Collector<const N: usize> {
    bytes: heapless::Vec<u8, N>,
    terminator: Terminator,
}

impl<const N: usize> Collector<N> {
    /// Before the first message.
    pub const fn new(terminator: Terminator) -> Self {
        Self { bytes: heapless::Vec::new(), terminator }
    }

    /// Takes bytes up to the end of the message: how many, and whether it is whole. What it did not take is the next
    /// one's: look at [`message`](Self::message), then [`next`](Self::next). O(n) in what it takes.
    ///
    /// # Errors
    /// [`Overlong`].
    #[doc(alias = "collect_incoming_data")]
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, bool), Overlong> {
        if self.is_whole() {
            return Ok((0, true));
        }
        for (at, &byte) in input.iter().enumerate() {
            if self.bytes.push(byte).is_err() {
                self.bytes.clear();
                return Err(Overlong);
            }
            if self.is_whole() {
                return Ok((at + 1, true));
            }
        }
        Ok((input.len(), false))
    }

    /// The message without its terminator, as far as it has come.
    pub fn message(&self) -> &[u8] {
        match self.terminator {
            Terminator::Bytes(end) => self.bytes.strip_suffix(end).unwrap_or(&self.bytes),
            Terminator::Count(_) => &self.bytes,
        }
    }

    /// Whether nothing of a message has come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the message, and waits for one that ends so.
    #[doc(alias = "found_terminator")]
    pub fn next(&mut self, terminator: Terminator) {
        self.bytes.clear();
        self.terminator = terminator;
    }

    fn is_whole(&self) -> bool {
        match self.terminator {
            Terminator::Bytes(end) => !end.is_empty() && self.bytes.ends_with(end),
            Terminator::Count(count) => self.bytes.len() >= count,
        }
    }
}
