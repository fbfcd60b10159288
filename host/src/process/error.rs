//! Why a process was not started, or cannot be asked.

use std::{fmt, io};

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The function is not registered: name it in [`register!`](crate::register).
    NotRegistered(&'static str),
    /// The arguments cannot travel, in postcard's words.
    Encoding(String),
    /// This process is daemonic: it may have no children.
    Daemon,
    /// A process with other threads does not fork by itself: a lock that one of them holds would stay held for ever. Use
    /// another start method.
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// The start method was set before.
    AlreadySet,
    /// The handle belongs to the process that started the child, and this is another.
    NotMine,
    /// It is still running.
    Running,
    /// A pool cannot have so many of these: none, or too many.
    Setting(&'static str),
    /// What the system says.
    Os(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered(name) => write!(f, "{name} is not registered"),
            Self::Encoding(why) => write!(f, "arguments cannot travel: {why}"),
            Self::Daemon => f.write_str("daemonic processes may have no children"),
            Self::Threads { threads } => write!(f, "a process with {threads} threads does not fork"),
            Self::AlreadySet => f.write_str("the start method has been set"),
            Self::NotMine => f.write_str("not a child of this process"),
            Self::Running => f.write_str("the process is still running"),
            Self::Setting(what) => write!(f, "{what} is out of range"),
            Self::Os(error) => f.write_str(&crate::words::of_error(error)),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Os(error)
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Os(errno.into())
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Os(errno.into())
    }
}

impl From<crate::socket::Error> for Error {
    fn from(error: crate::socket::Error) -> Self {
        Self::Os(error.into())
    }
}
