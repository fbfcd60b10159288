//! Text put together in a caller's buffer.

use core::fmt::{self, Display, Write};

use super::Error;

/// Displays `value` into `buffer` and returns the text: what [`quote`](super::quote), [`urlunsplit`](super::urlunsplit)
/// and their kin give, without a heap.
///
/// ```
/// use tidemill_core::url::{quote, write_in};
///
/// let mut buffer = [0; 8];
/// assert_eq!(write_in(&quote("a b", ""), &mut buffer)?, "a%20b");
/// # Ok::<(), tidemill_core::url::Error>(())
/// ```
///
/// # Errors
/// [`Error::Full`], after which `buffer` holds scraps.
pub fn write_in<'o>(value: &(impl Display + ?Sized), buffer: &'o mut [u8]) -> Result<&'o str, Error> {
    let mut out = Writer { buffer, len: 0 };
    out.display(value)?;
    out.finish()
}

/// Text under construction: `buffer[..len]`, always UTF-8.
pub(super) struct Writer<'o> {
    pub(super) buffer: &'o mut [u8],
    pub(super) len: usize,
}

impl<'o> Writer<'o> {
    pub(super) fn put(&mut self, text: &str) -> Result<(), Error> {
        let end = self.len + text.len();
        self.buffer.get_mut(self.len..end).ok_or(Error::Full)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }

    /// Nothing displayed here fails but for want of room.
    pub(super) fn display(&mut self, value: &(impl Display + ?Sized)) -> Result<(), Error> {
        write!(self, "{value}").map_err(|_| Error::Full)
    }

    pub(super) fn finish(self) -> Result<&'o str, Error> {
        // Only whole strings were put and only cuts beside ASCII characters were made, so this never fails.
        core::str::from_utf8(&self.buffer[..self.len]).map_err(|_| Error::Full)
    }
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text).map_err(|_| fmt::Error)
    }
}
