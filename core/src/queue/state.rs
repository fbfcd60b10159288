//! What both kinds of queue keep beside the items, and who must be woken when.
//!
//! The rule that no wake-up is lost: **while there are items, there are as many getters on their way as there are items,
//! or nobody waits**; the same of putters and free places. An item that comes sends one getter on its way, which takes
//! its name off the list. A getter on its way finds an item, or finds that somebody was faster and goes back on the list,
//! or [leaves](State::leave), and then sends another one. One that gets what it wants though nobody sent it takes its
//! name off the list, too: else the next item would send one who does not come.
//!
//! Nothing here wakes: it returns whom to wake, so that a lock can be given back first.

use super::error::TooManyDone;
use super::order::Order;
use super::waiters::{Name, Waiters};
use crate::log::trace;

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct State<O, K, const W: usize> {
    pub(super) items: O,
    pub(super) getters: Waiters<K, W>,
    pub(super) putters: Waiters<K, W>,
    pub(super) joiners: Waiters<K, W>,
    /// Put, but not yet done. With a put every nanosecond it would take 584 years to overflow.
    unfinished: u64,
    shut_down: bool,
}

/// Why nothing was put or got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Refusal {
    /// Full or empty.
    NotNow,
    ShutDown,
}

impl<O, K, const W: usize> State<O, K, W> {
    pub(super) const fn new(items: O) -> Self {
        Self {
            items,
            getters: Waiters::new(),
            putters: Waiters::new(),
            joiners: Waiters::new(),
            unfinished: 0,
            shut_down: false,
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        self.unfinished == 0
    }
}

impl<O: Order, K: Name, const W: usize> State<O, K, W> {
    /// Returns the getter that is to be woken.
    pub(super) fn put(&mut self, item: O::Item) -> Result<Option<K>, (Refusal, O::Item)> {
        if self.shut_down {
            return Err((Refusal::ShutDown, item));
        }
        self.items.push(item).map_err(|item| (Refusal::NotNow, item))?;
        self.unfinished = self.unfinished.saturating_add(1);
        Ok(self.getters.pop())
    }

    /// As `put`, by one who may be waiting. The item is taken only on success.
    pub(super) fn put_from(&mut self, item: &mut Option<O::Item>, name: &K) -> Result<Option<K>, Refusal> {
        let getter = match item.take().map(|item| self.put(item)) {
            Some(Err((Refusal::NotNow, back))) => {
                *item = Some(back);
                return Err(Refusal::NotNow);
            }
            Some(Err((refusal, back))) => {
                *item = Some(back);
                Err(refusal)
            }
            Some(Ok(getter)) => Ok(getter),
            None => Ok(None),
        };
        self.putters.remove(name);
        getter
    }

    /// Returns an item and the putter that is to be woken.
    pub(super) fn get(&mut self) -> Result<(O::Item, Option<K>), Refusal> {
        match self.items.pop() {
            Some(item) => Ok((item, self.putters.pop())),
            None if self.shut_down => Err(Refusal::ShutDown),
            None => Err(Refusal::NotNow),
        }
    }

    /// As `get`, by one who may be waiting.
    pub(super) fn get_by(&mut self, name: &K) -> Result<(O::Item, Option<K>), Refusal> {
        let result = self.get();
        if !matches!(result, Err(Refusal::NotNow)) {
            self.getters.remove(name);
        }
        result
    }

    /// Returns the joiners, who are to be woken if this was the last.
    pub(super) fn task_done(&mut self) -> Result<Waiters<K, W>, TooManyDone> {
        self.unfinished = self.unfinished.checked_sub(1).ok_or(TooManyDone)?;
        Ok(if self.is_joined() { self.joiners.take_all() } else { Waiters::new() })
    }

    /// Returns who is to be woken. `immediate` drops the items.
    pub(super) fn shutdown(&mut self, immediate: bool) -> [Waiters<K, W>; 3] {
        trace!("queue shut down with {} items", self.items.len());
        self.shut_down = true;
        if immediate {
            while self.items.pop().is_some() {
                // Fewer, if `task_done` was called before the item was got.
                self.unfinished = self.unfinished.saturating_sub(1);
            }
        }
        let joiners = if self.is_joined() { self.joiners.take_all() } else { Waiters::new() };
        [self.getters.take_all(), self.putters.take_all(), joiners]
    }

    /// Forgets one who does not wait any more. Returns the getter and the putter that are to be woken in its place, in
    /// case that it was on its way.
    pub(super) fn leave(&mut self, name: &K) -> [Option<K>; 2] {
        self.getters.remove(name);
        self.putters.remove(name);
        self.joiners.remove(name);
        let getter = if self.items.is_empty() { None } else { self.getters.pop() };
        let putter = if self.items.is_full() { None } else { self.putters.pop() };
        [getter, putter]
    }
}
