//! How a process ended.

use std::fmt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exit {
    /// By itself, with this code: 0 when its function returned, 1 when it returned an error or panicked, or what it gave
    /// to `std::process::exit`.
    Code(i32),
    /// A signal killed it.
    Signal(Signal),
    /// It is gone, and nobody can say how: the fork server died before it could tell, or another part of this program
    /// waited for the process.
    Unknown,
}

impl Exit {
    /// As Python has it: a signal is a negative number; 255 if nobody knows.
    pub fn exitcode(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => -(signal as i32),
            Self::Unknown => 255,
        }
    }

    /// Whether its function returned, and no error.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// From [`exitcode`](Self::exitcode).
    pub(super) fn from_exitcode(code: i32) -> Self {
        match Signal::try_from(-code) {
            Ok(signal) if code < 0 => Self::Signal(signal),
            _ => Self::Code(code),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by {signal}"),
            Self::Unknown => f.write_str("ended, nobody knows how"),
        }
    }
}

/// Why the function of a process has no result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// It returned an error; in its words.
    Failed(String),
    /// It panicked.
    Panicked {
        /// With these words.
        message: String,
        /// At this place, `file:line:column`.
        location: String,
    },
    /// Its arguments or its result could not travel.
    Encoding(String),
    /// The child has no such function: it is another program than its parent.
    NotRegistered(String),
    /// The process ended before the function did.
    Died {
        /// As [`Exit::exitcode`] says.
        exitcode: i32,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Panicked { message, location } => write!(f, "panicked at {location}: {message}"),
            Self::Encoding(why) => write!(f, "arguments or result cannot travel: {why}"),
            Self::NotRegistered(name) => write!(f, "{name} is not registered in the child"),
            Self::Died { exitcode } => write!(f, "the process died: {}", Exit::from_exitcode(*exitcode)),
        }
    }
}

impl std::error::Error for Failure {}
