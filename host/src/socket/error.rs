//! Why a call on a socket failed.

use std::io;

use nix::errno::Errno;

use crate::words;

/// Why a call on a socket failed. Each variant names what the caller can do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The socket does not wait, and there is nothing to do yet: try again when it is ready. Python's `BlockingIOError`.
    WouldBlock,
    /// The socket's own time limit is over (`settimeout`); what was done until then is not undone. The kernel giving up
    /// on a peer is [`Error::Os`] with `ETIMEDOUT`.
    TimedOut,
    /// The path or name of a Unix address is longer than the 107 bytes there is room for, or empty where it may not be.
    PathLength {
        /// How long it is.
        bytes: usize,
    },
    /// A path with a NUL in it, which no file can have.
    PathNul {
        /// Where the NUL is.
        at: usize,
    },
    /// An address of another family than the socket's.
    Family,
    /// The call is not for this type of socket, or not for one that does not wait.
    Kind,
    /// A name has no address, or an address no name; in the resolver's words. Another try later may do.
    Lookup(String),
    /// What the kernel says.
    Os(Errno),
}

impl Error {
    /// The number that [`connect_ex`](super::Socket::connect_ex) gives for it.
    pub(super) fn number(&self) -> i32 {
        match self {
            // As Python has it: no number of its own for a time limit.
            Self::WouldBlock | Self::TimedOut => Errno::EAGAIN as i32,
            Self::PathLength { .. } => Errno::ENAMETOOLONG as i32,
            Self::Family => Errno::EAFNOSUPPORT as i32,
            Self::PathNul { .. } | Self::Kind | Self::Lookup(_) => Errno::EINVAL as i32,
            Self::Os(errno) => *errno as i32,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the call would wait"),
            Self::TimedOut => f.write_str("timed out"),
            Self::PathLength { bytes } => write!(f, "a Unix address of {bytes} bytes: there is room for 1 to 107"),
            Self::PathNul { at } => write!(f, "NUL in a path at byte {at}"),
            Self::Family => f.write_str("the address is of another family than the socket"),
            Self::Kind => f.write_str("not for this kind of socket"),
            Self::Lookup(why) => f.write_str(why),
            Self::Os(errno) => f.write_str(&words::of_number(*errno as i32)),
        }
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        if errno == Errno::EAGAIN { Self::WouldBlock } else { Self::Os(errno) }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::Os(Errno::EINVAL), |code| Errno::from_raw(code).into())
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::WouldBlock => io::ErrorKind::WouldBlock,
            Error::TimedOut => io::ErrorKind::TimedOut,
            Error::Os(errno) => return Self::from_raw_os_error(*errno as i32),
            Error::Lookup(_) => io::ErrorKind::NotFound,
            Error::PathLength { .. } | Error::PathNul { .. } | Error::Family | Error::Kind => {
                io::ErrorKind::InvalidInput
            }
        };
        Self::new(kind, error)
    }
}
