//! What can be refused on a link, and why one has ended.

use core::fmt;

/// Why something was refused, or why a link has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The configuration makes no sense, or the memory is too small for it: a mistake of the caller.
    Config,
    /// Either end has no such channel: a mistake of the caller.
    NoChannel,
    /// The message is longer than the peer can hold: send it in several.
    TooLong,
    /// Every slot for calls is taken: wait for an answer, or give one up.
    Full,
    /// No such call: it was answered, has expired or was given up.
    Stale,
    /// This end is closing, or the link has ended with a goodbye of both.
    Closed,
    /// The wire has ended without a goodbye, or before all was sent: what was in flight may be lost.
    BrokenPipe,
    /// The peer was not heard in time.
    TimedOut,
    /// The stream is damaged: where frames begin is not known any more.
    Damaged(crate::frame::Error),
    /// The peer has sent more than it had credit for: it is broken, or hostile.
    Overrun,
    /// The ends do not fit together: other features, or sizes that are too small.
    Incompatible,
    /// One end has not proved that it has the key.
    Denied,
    /// The peer has begun anew: what was in flight is lost. So must we.
    Restarted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "configuration makes no sense",
            Self::NoChannel => "no such channel",
            Self::TooLong => "message too long",
            Self::Full => "every call is taken",
            Self::Stale => "no such call",
            Self::Closed => "link closed",
            Self::BrokenPipe => "broken pipe",
            Self::TimedOut => "peer not heard in time",
            Self::Damaged(error) => return write!(f, "stream damaged: {error}"),
            Self::Overrun => "peer sent more than it may",
            Self::Incompatible => "peer speaks differently",
            Self::Denied => "authentication failed",
            Self::Restarted => "peer began anew",
        })
    }
}

impl core::error::Error for Error {}
