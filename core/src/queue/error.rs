//! What can be refused.

use core::fmt;

/// Why an item was not put. Hands it back, if it was given away (`T` is the item), else it is where it was (`T` is `()`).
///
/// Interrupts: yes; a plain value.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PutError<T = ()> {
    /// There is no room, or there was none in time: try again later, or drop the item.
    Full(T),
    /// The queue was shut down: it will never take anything again.
    ShutDown(T),
    /// Another core, or what this interrupt has interrupted, is at the queue: try again. Only of [`Shared`](super::Shared).
    Busy(T),
}

impl<T> PutError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) | Self::Busy(item) => item,
        }
    }
}

impl<T> core::error::Error for PutError<T> {}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
            Self::Busy(_) => "Busy(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue is shut down",
            Self::Busy(_) => "the queue is in use",
        })
    }
}

/// Why there is no item.
///
/// Interrupts: yes; a plain value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or there was none in time: try again later.
    Empty,
    /// The queue was shut down and is empty: there will never be one again.
    ShutDown,
    /// Another core, or what this interrupt has interrupted, is at the queue: try again. Only of [`Shared`](super::Shared).
    Busy,
}

impl core::error::Error for GetError {}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue is shut down",
            Self::Busy => "the queue is in use",
        })
    }
}

/// The queue was shut down.
///
/// Interrupts: yes; a plain value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ShutDown;

impl core::error::Error for ShutDown {}

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

/// `task_done` was called more often than items were put.
///
/// Interrupts: yes; a plain value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyDone;

impl core::error::Error for TooManyDone {}

impl fmt::Display for TooManyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done() called too many times")
    }
}
