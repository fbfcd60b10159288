//! How a process ended.

use std::fmt;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::threads::{Exception, Location};

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
    /// A worker of a pool ended in the middle of this task. The pool goes on.
    WorkerDied {
        /// As [`Exit::exitcode`] says.
        exitcode: i32,
        /// The function that it ran.
        function: String,
        /// Which of the pool's tasks it was, in the order in which they were submitted, from 0.
        task: u64,
    },
    /// The task took longer than it may; its worker was killed.
    TimedOut,
    /// The task was [killed](super::ProcessPool::kill), and its worker with it.
    Killed,
    /// The pool was terminated, or takes no more work.
    ShutDown,
    /// The pool is broken, and why.
    Broken(String),
}

impl Failure {
    /// What a task of a pool failed with; `None`: it is of threads, or its pool broke before it could run.
    pub fn of(exception: &Exception) -> Option<&Self> {
        std::error::Error::source(exception)?.downcast_ref()
    }

    /// How the process ended whose death this is.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Died { exitcode } | Self::WorkerDied { exitcode, .. } => Some(Exit::from_exitcode(*exitcode)),
            _ => None,
        }
    }
}

/// For the future of whoever waits for it.
impl From<Failure> for Exception {
    fn from(failure: Failure) -> Self {
        let (message, place) = match &failure {
            Failure::Panicked { message, location } => (message.clone(), place(location)),
            Failure::Broken(why) => return Self::broken(why),
            other => (other.to_string(), None),
        };
        Self::elsewhere(failure, &message, place)
    }
}

/// From `file:line:column`.
fn place(location: &str) -> Option<Location> {
    let mut parts = location.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Location { file: parts.next()?.into(), line, column })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Panicked { message, location } => write!(f, "panicked at {location}: {message}"),
            Self::Encoding(why) => write!(f, "arguments or result cannot travel: {why}"),
            Self::NotRegistered(name) => write!(f, "{name} is not registered in the child"),
            Self::Died { exitcode } => write!(f, "the process died: {}", Exit::from_exitcode(*exitcode)),
            Self::WorkerDied { exitcode, function, task } => {
                write!(f, "the worker died in task {task}, {function}: {}", Exit::from_exitcode(*exitcode))
            }
            Self::TimedOut => f.write_str("it took longer than it may, and was killed"),
            Self::Killed => f.write_str("it was killed"),
            Self::ShutDown => f.write_str("the pool is shut down"),
            Self::Broken(why) => write!(f, "the pool is broken: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
