//! Where the bytes go.

/// Takes a file's bytes at their offsets, in any order.
pub trait Sink {
    /// Why it could not; ends the download.
    type Error;

    /// Writes all of `data` at `offset`.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), Self::Error>;

    /// The length of the whole is known now, before the first byte is written; or, where the server does not tell it
    /// beforehand, after the last.
    fn set_len(&mut self, total: u64) -> Result<(), Self::Error>;

    /// The file has changed on the server: what was written so far belongs to another version, or may.
    fn restart(&mut self) -> Result<(), Self::Error>;
}
