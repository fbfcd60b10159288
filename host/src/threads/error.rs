//! What can be refused.

use std::fmt;

use super::exception::Exception;

/// Why a task was not taken. Hands it back.
#[derive(Clone)]
#[non_exhaustive]
pub enum SubmitError<F> {
    /// As many tasks wait as may: wait until one is begun, or use `submit_blocking`.
    Full(F),
    /// The pool was shut down.
    ShutDown(F),
    /// The pool is broken: its initializer failed, or the system gives it no thread.
    Broken(F, Exception),
}

impl<F> SubmitError<F> {
    /// The task.
    pub fn into_inner(self) -> F {
        match self {
            Self::Full(f) | Self::ShutDown(f) | Self::Broken(f, _) => f,
        }
    }

    /// The same reason, for another thing.
    pub(crate) fn with<G>(self, other: impl FnOnce(F) -> G) -> SubmitError<G> {
        match self {
            Self::Full(f) => SubmitError::Full(other(f)),
            Self::ShutDown(f) => SubmitError::ShutDown(other(f)),
            Self::Broken(f, why) => SubmitError::Broken(other(f), why),
        }
    }
}

impl<F> std::error::Error for SubmitError<F> {}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::ShutDown(_) => f.write_str("ShutDown(..)"),
            Self::Broken(_, why) => write!(f, "Broken(.., {why:?})"),
        }
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the pool is full"),
            Self::ShutDown(_) => f.write_str("the pool is shut down"),
            Self::Broken(_, why) => why.fmt(f),
        }
    }
}

/// Why there is no such pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// It would have no worker.
    NoWorkers,
    /// More workers than [`WORKERS_MAX`](super::WORKERS_MAX).
    TooManyWorkers,
    /// No task could ever wait.
    NoCapacity,
    /// This process may not use this core.
    Core(usize),
}

impl std::error::Error for BuildError {}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => f.write_str("a pool needs at least one worker"),
            Self::TooManyWorkers => write!(f, "a pool has at most {} workers", super::WORKERS_MAX),
            Self::NoCapacity => f.write_str("the capacity must be at least one"),
            Self::Core(core) => write!(f, "core {core} is none this process may use"),
        }
    }
}
