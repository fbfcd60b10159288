//! Why bytes are no frame.

use core::fmt;

/// Bytes that are no frame. On a stream it is the end of it; on a line the next delimiter begins anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    /// At which byte of the frame, counted from its header.
    pub at: usize,
    /// What is wrong there.
    pub why: Why,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Why {
    /// A version that is not spoken here.
    Version,
    /// A kind that this version does not have.
    Kind,
    /// A flag that this version does not have.
    Flags,
    /// The payload is longer than was agreed.
    TooLong,
    /// A line's delimiter comes too early or too late for the length in the header.
    Length,
    /// The checksum is another one.
    Checksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            Why::Version => "unknown version",
            Why::Kind => "unknown kind",
            Why::Flags => "unknown flag",
            Why::TooLong => "payload too long",
            Why::Length => "wrong length",
            Why::Checksum => "wrong checksum",
        })?;
        write!(f, " at byte {} of a frame", self.at)
    }
}

impl core::error::Error for Error {}
