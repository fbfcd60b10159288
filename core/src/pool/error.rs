//! What can be refused, and why there may be no result.

use core::fmt;

/// Why a task was not taken. Hands it back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SubmitError<T> {
    /// Every slot is taken: take a result, or wait until a task ends.
    Full(T),
    /// The pool was shut down.
    ShutDown(T),
}

impl<T> SubmitError<T> {
    /// The task.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(task) | Self::ShutDown(task) => task,
        }
    }
}

impl<T> core::error::Error for SubmitError<T> {}

impl<T> fmt::Debug for SubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for SubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the pool is full",
            Self::ShutDown(_) => "the pool is shut down",
        })
    }
}

/// Why a task has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure<E> {
    /// The task failed with this.
    Failed(E),
    /// It was cancelled or aborted.
    Cancelled,
    /// There was no result in time. It may still come.
    TimedOut,
    /// No such task: the id is from another pool, or its result has been taken.
    Stale,
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Failure<E> {}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::TimedOut => f.write_str("the task did not end in time"),
            Self::Stale => f.write_str("no such task"),
        }
    }
}

/// No such task: the id is from another pool, or the result has been taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stale;

impl core::error::Error for Stale {}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such task")
    }
}

/// Why a callback was not added. Hands it back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CallbackError<F> {
    /// The task has as many callbacks as its slot has room for.
    Full(F),
    /// No such task.
    Stale(F),
}

impl<F> core::error::Error for CallbackError<F> {}

impl<F> fmt::Debug for CallbackError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Stale(_) => "Stale(..)",
        })
    }
}

impl<F> fmt::Display for CallbackError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the task has no room for another callback",
            Self::Stale(_) => "no such task",
        })
    }
}
