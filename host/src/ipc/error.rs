//! Why a call failed.

use std::{fmt, io};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Why a call failed. Each variant names what the caller can do. It can be what a process returns.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// The other end was closed, and all that it sent has been received. Python's `EOFError`.
    EndOfFile,
    /// The other end is gone: what is sent reaches nobody. Or it went without closing, because its process died: what it had
    /// sent whole has been received. Python's `BrokenPipeError`.
    BrokenPipe,
    /// This end is no longer of use: a message was longer than its receiver would take.
    Closed,
    /// This end of a pipe that goes one way only receives, or only sends.
    WrongWay,
    /// The part to send is not within the bytes.
    OutOfRange,
    /// The message is this long, more than may be sent; or more than was asked for, and then the connection is of no more use.
    TooLong(usize),
    /// The message that came is this long, more than there is room for. It is still there. Python's `BufferTooShort`.
    BufferTooShort(usize),
    /// The value cannot be encoded, or what came is no such value (it is gone, and the next can be received). In
    /// postcard's words.
    Value(String),
    /// What is made of descriptors was to travel where none can: as an item of a queue, over the network.
    CannotTravel,
    /// What came is not what it should be: the other side is broken, or hostile.
    Damaged,
    /// The other side has not proved that it has the key. Python's `AuthenticationError`.
    Denied,
    /// Not in time.
    TimedOut,
    /// There is no room in the queue, or there was none in time: try again later.
    Full,
    /// There is no item in the queue, or there was none in time: try again later.
    Empty,
    /// The queue was shut down.
    ShutDown,
    /// `task_done` was called more often than items were put.
    TooManyDone,
    /// This thread holds the lock already.
    Owner,
    /// Who held the lock died: what it was about to change may be half changed. The lock is free again.
    HolderDied,
    /// A bounded semaphore was released more often than acquired.
    Released,
    /// The barrier was broken: somebody did not come in time, or broke it.
    BrokenBarrier,
    /// A size that makes no sense: none at all, or more than can be.
    Config,
    /// What the system says.
    Os(#[serde(with = "number")] Errno),
}

/// An `errno` among bytes.
mod number {
    use super::{Deserialize, Errno, Serialize};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: serde::Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        (*errno as i32).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        Ok(Errno::from_raw(i32::deserialize(from)?))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndOfFile => "end of file",
            Self::BrokenPipe => "broken pipe",
            Self::Closed => "the connection is closed",
            Self::WrongWay => "this end of the pipe only receives, or only sends",
            Self::OutOfRange => "part out of range",
            Self::TooLong(len) => return write!(f, "a message of {len} bytes is too long"),
            Self::BufferTooShort(len) => return write!(f, "a message of {len} bytes does not fit"),
            Self::Value(why) => return write!(f, "a value that cannot be encoded or decoded: {why}"),
            Self::CannotTravel => "descriptors cannot travel this way",
            Self::Damaged => "what came is damaged",
            Self::Denied => "authentication failed",
            Self::TimedOut => "timed out",
            Self::Full => "the queue is full",
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue is shut down",
            Self::TooManyDone => "task_done() called too many times",
            Self::Owner => "this thread holds the lock already",
            Self::HolderDied => "who held the lock died",
            Self::Released => "semaphore released too many times",
            Self::BrokenBarrier => "the barrier is broken",
            Self::Config => "a size that makes no sense",
            Self::Os(errno) => return f.write_str(&crate::words::of_number(*errno as i32)),
        })
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EPIPE | Errno::ECONNRESET => Self::BrokenPipe,
            Errno::EAGAIN | Errno::ETIMEDOUT => Self::TimedOut,
            errno => Self::Os(errno),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::Os(Errno::EINVAL), |code| Errno::from_raw(code).into())
    }
}

impl From<crate::socket::Error> for Error {
    fn from(error: crate::socket::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<postcard::Error> for Error {
    fn from(error: postcard::Error) -> Self {
        Self::Value(error.to_string())
    }
}
