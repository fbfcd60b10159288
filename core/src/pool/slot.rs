//! One slot: a task while it lives, then what became of it.

use super::callback::Callbacks;
use crate::future::State;
use crate::list::{Node, Nodes};

/// Room for one task and, once it has ended, for its result: 24 bytes and the larger of the two, of which 16 are for
/// the task's deadline. `C` keeps its callbacks.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot<T, O = (), E = (), C = ()> {
    pub(super) node: Node,
    pub(super) generation: u32,
    pub(super) content: Content<T, O, E>,
    pub(super) callbacks: C,
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Content<T, O, E> {
    Free,
    Live(Meta, T),
    Done(Meta, O),
    Failed(Meta, E),
    Cancelled(Meta),
}

/// What is known of an occupied slot. It fills the gap between the tag of [`Content`] and the task.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Meta {
    pub(super) place: Place,
    pub(super) priority: u8,
    /// Nobody will ask for the result.
    pub(super) detached: bool,
}

impl Meta {
    /// Of one that has ended and has called all its callbacks.
    pub(super) const ENDED: Self = Self { place: Place::Ended, priority: 0, detached: false };
}

/// Which list a slot is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Place {
    /// Pending: in the queue of its priority, until there is a worker.
    Queued,
    /// Pending: it has a worker, and is in the ready queue for its first poll.
    Fresh,
    /// Running: in the ready queue.
    Ready,
    /// Running: in the wheel, and to be woken by its deadline or by somebody.
    Timed,
    /// Running: in no list; being polled, or to be woken by somebody.
    Idle,
    /// Ended: in the list of those whose callbacks are still to be called.
    Called,
    /// Ended: in no list.
    Ended,
}

impl Place {
    pub(super) fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::Fresh)
    }
}

impl<T, O, E> Content<T, O, E> {
    pub(super) fn meta(&mut self) -> Option<&mut Meta> {
        match self {
            Self::Free => None,
            Self::Live(meta, _) | Self::Done(meta, _) | Self::Failed(meta, _) | Self::Cancelled(meta) => Some(meta),
        }
    }

    pub(super) fn state(&self) -> Option<State> {
        Some(match self {
            Self::Free => return None,
            Self::Live(Meta { place, .. }, _) if place.is_pending() => State::Pending,
            Self::Live(..) => State::Running,
            Self::Done(..) => State::Done,
            Self::Failed(..) => State::Failed,
            Self::Cancelled(_) => State::Cancelled,
        })
    }
}

impl<T, O, E> Slot<T, O, E> {
    /// A free slot without callbacks, to build arrays from: `[const { Slot::EMPTY }; 8]`.
    pub const EMPTY: Self = Self::with_callbacks();
}

impl<T, O, E, C: Callbacks> Slot<T, O, E, C> {
    /// A free slot whose tasks may have callbacks: `[const { Slot::with_callbacks() }; 8]`.
    pub const fn with_callbacks() -> Self {
        Self { node: Node::EMPTY, generation: 0, content: Content::Free, callbacks: C::EMPTY }
    }
}

impl<T, O, E, C: Callbacks> Default for Slot<T, O, E, C> {
    fn default() -> Self {
        Self::with_callbacks()
    }
}

impl<T, O, E, C> Nodes for [Slot<T, O, E, C>] {
    fn node(&mut self, index: u32) -> Option<&mut Node> {
        Some(&mut self.get_mut(index as usize)?.node)
    }
}
