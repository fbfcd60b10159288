//! Events in order of time, then priority, then entry: Python's `sched.scheduler` in slots of the caller's.
//!
//! An action is any value: a function, a message, an index. Whoever runs the scheduler says what to do with it, and may
//! enter and cancel other events while doing so. Time and delay are handed in, so that the same schedule runs on a
//! microcontroller's tick, on a host's clock, and in no time at all in a test. This is the example of Python's manual:
//!
//! ```
//! use tidemill_core::sched::{Scheduler, Slot};
//! use tidemill_core::time::{Duration, EPOCH};
//!
//! let mut scheduler = Scheduler::new([const { Slot::EMPTY }; 8]);
//! scheduler.enter(Duration::from_secs(10), 1, "default").unwrap();
//! // Despite having a higher priority, "keyword" runs after "positional", as it is due later.
//! scheduler.enter(Duration::from_secs(5), 2, "positional").unwrap();
//! scheduler.enter(Duration::from_secs(5), 1, "keyword").unwrap();
//! scheduler.enter_abs(EPOCH + Duration::from_secs(1), 0, "first").unwrap();
//!
//! let now = std::cell::Cell::new(EPOCH);
//! let mut seen = Vec::new();
//! scheduler
//!     .run(|| now.get(), |delay| now.set(now.get() + delay), |_, event| {
//!         seen.push((event.time.as_ticks() / 1_000_000, event.action));
//!         Ok::<(), ()>(())
//!     })
//!     .unwrap();
//! assert_eq!(seen, [(1, "first"), (5, "keyword"), (5, "positional"), (10, "default")]);
//! ```
//!
//! For time-outs, most of which are cancelled and whose order hardly matters, take the [`timer`](crate::timer) wheel.
//!
//! Interrupts: not to be touched from one; a scheduler has a single owner.

use crate::executor::TICK;
use crate::time::{Duration, EPOCH, Instant};
use core::marker::PhantomData;

/// How many children a node of the heap has. Two compare least, four lie in fewer cache lines and move least; see
/// `tests/benches/heart.rs`.
const ARITY: usize = 4;

const NONE: u32 = u32::MAX;

/// Room for one event: 32 bytes, and the action.
#[derive(Debug)]
pub struct Slot<A> {
    /// What stands at this place of the heap. Unrelated to the rest of the slot.
    key: Key,
    generation: u32,
    /// Where in the heap this slot's event stands, or the next free slot.
    at: u32,
    action: Option<A>,
}

impl<A> Slot<A> {
    /// A free slot, to build arrays from: `[const { Slot::EMPTY }; 8]`.
    pub const EMPTY: Self = Self {
        key: Key { time: [0; 2], priority: 0, entry: [0; 2], slot: NONE },
        generation: 0,
        at: NONE,
        action: None,
    };
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What events are ordered by: field by field. In halves, so that a 32-bit target pads nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    time: [u32; 2],
    priority: i32,
    /// How many were entered before.
    entry: [u32; 2],
    slot: u32,
}

/// Names an event of one scheduler. `Copy`; stale once the event was run or cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct EventId {
    index: u32,
    generation: u32,
}

/// An event that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<A> {
    /// When it was to run.
    pub time: Instant,
    /// The lower, the earlier among those of the same time.
    pub priority: i32,
    /// What was entered.
    pub action: A,
}

/// Every slot has an event: here is the action back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<A>(pub A);

impl<A> core::error::Error for Full<A> {}

impl<A> core::fmt::Debug for Full<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<A> core::fmt::Display for Full<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the scheduler is full")
    }
}

/// Events in slots of the caller's. See the [module](self).
///
/// A heap with the events' places in it: entering, cancelling and running take O(log N).
#[derive(Debug)]
pub struct Scheduler<A, B> {
    slots: B,
    free: u32,
    len: u32,
    entered: u64,
    now: Instant,
    slot: PhantomData<Slot<A>>,
}

impl<A, B: AsRef<[Slot<A>]> + AsMut<[Slot<A>]>> Scheduler<A, B> {
    /// A scheduler over these slots, whatever was in them, at [`EPOCH`]. At most 2^32 - 1 are used. O(N).
    #[doc(alias = "scheduler")]
    pub fn new(mut slots: B) -> Self {
        let all = slots.as_mut();
        let count = all.len().min(NONE as usize) as u32;
        for (slot, next) in all.iter_mut().zip(1..=count) {
            *slot = Slot { at: if next < count { next } else { NONE }, ..Slot::EMPTY };
        }
        let free = if count == 0 { NONE } else { 0 };
        Self { slots, free, len: 0, entered: 0, now: EPOCH, slot: PhantomData }
    }

    /// Enters an event at `time`; one that has passed runs at once. Lower priorities run first. O(log N).
    ///
    /// # Errors
    /// [`Full`] hands the action back.
    #[doc(alias = "enterabs")]
    pub fn enter_abs(&mut self, time: Instant, priority: i32, action: A) -> Result<EventId, Full<A>> {
        let index = self.free;
        let Some(slot) = self.slots.as_mut().get_mut(index as usize) else { return Err(Full(action)) };
        self.free = slot.at;
        slot.action = Some(action);
        let id = EventId { index, generation: slot.generation };
        let key = Key { time: halves(time.as_ticks()), priority, entry: halves(self.entered), slot: index };
        self.entered += 1;
        self.len += 1;
        self.sift_up(self.len as usize - 1, key);
        Ok(id)
    }

    /// Enters an event `delay` after the time at which the scheduler was last run. O(log N).
    ///
    /// # Errors
    /// [`Full`] hands the action back.
    pub fn enter(&mut self, delay: Duration, priority: i32, action: A) -> Result<EventId, Full<A>> {
        let time = self.now.as_ticks().saturating_add(delay.as_ticks());
        self.enter_abs(Instant::from_ticks(time), priority, action)
    }

    /// Takes an event out and returns its action; `None`: it was run or cancelled before. O(log N).
    pub fn cancel(&mut self, id: EventId) -> Option<A> {
        let slot = self.slots.as_ref().get(id.index as usize)?;
        if slot.generation != id.generation || slot.action.is_none() {
            return None;
        }
        self.remove(slot.at as usize).map(|event| event.action)
    }

    /// Whether no event is queued.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many events are queued.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// How many events can be queued.
    pub fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// The time at which the scheduler was last run.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When the next event is to run. O(1).
    pub fn next_deadline(&self) -> Option<Instant> {
        Some(whole(self.first()?.time))
    }

    /// The queued events in the order in which they would run. O(N) for each step.
    pub fn queue(&self) -> impl Iterator<Item = Event<&A>> {
        let keys = self.slots.as_ref().get(..self.len as usize).unwrap_or_default();
        let next = move |after: Option<Key>| keys.iter().map(|slot| slot.key).filter(|&key| Some(key) > after).min();
        core::iter::successors(next(None), move |&key| next(Some(key))).filter_map(|key| {
            let action = self.slots.as_ref().get(key.slot as usize)?.action.as_ref()?;
            Some(Event { time: whole(key.time), priority: key.priority, action })
        })
    }

    /// Takes the next event that is due at `now`. What it leads to may be entered and cancelled before the next call.
    /// O(log N).
    pub fn next_due(&mut self, now: Instant) -> Option<Event<A>> {
        self.now = self.now.max(now);
        if whole(self.first()?.time) > now {
            return None;
        }
        self.remove(0)
    }

    /// Runs all that is due at `now`, also what is entered meanwhile, and returns when the next event is. An event that
    /// enters itself again without delay keeps it from returning.
    ///
    /// # Errors
    /// That of the first action that fails; it is gone, all others are still queued.
    pub fn advance<E>(
        &mut self,
        now: Instant,
        mut act: impl FnMut(&mut Self, Event<A>) -> Result<(), E>,
    ) -> Result<Option<Instant>, E> {
        while let Some(event) = self.next_due(now) {
            act(self, event)?;
        }
        Ok(self.next_deadline())
    }

    /// As [`advance`](Self::advance), by one [`TICK`].
    ///
    /// # Errors
    /// That of the first action that fails; it is gone, all others are still queued.
    pub fn tick<E>(&mut self, act: impl FnMut(&mut Self, Event<A>) -> Result<(), E>) -> Result<Option<Instant>, E> {
        self.advance(Instant::from_ticks(self.now.as_ticks().saturating_add(TICK.as_ticks())), act)
    }

    /// Runs all events, each at its time, until none is left. `time` says what time it is; `delay` waits, or returns early
    /// if events may have been entered meanwhile. After each action it is called with zero, so that others can run.
    ///
    /// # Errors
    /// That of the first action that fails; it is gone, all others are still queued, and it may be run again.
    pub fn run<E>(
        &mut self,
        mut time: impl FnMut() -> Instant,
        mut delay: impl FnMut(Duration),
        mut act: impl FnMut(&mut Self, Event<A>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(next) = self.next_deadline() {
            let now = time();
            match self.next_due(now) {
                Some(event) => {
                    act(self, event)?;
                    delay(Duration::from_ticks(0));
                }
                None => delay(Duration::from_ticks(next.as_ticks().saturating_sub(now.as_ticks()))),
            }
        }
        Ok(())
    }

    fn first(&self) -> Option<Key> {
        if self.len == 0 { None } else { Some(self.slots.as_ref().first()?.key) }
    }

    /// Takes out what stands at this place of the heap.
    fn remove(&mut self, place: usize) -> Option<Event<A>> {
        let last = (self.len as usize).checked_sub(1)?;
        let slots = self.slots.as_mut();
        let moved = slots.get(last)?.key;
        let key = slots.get(place)?.key;
        self.len -= 1;
        let slot = slots.get_mut(key.slot as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.at = self.free;
        self.free = key.slot;
        let action = slot.action.take()?;
        if place != last {
            let parent = place.checked_sub(1).and_then(|below| slots.get(below / ARITY));
            if parent.is_some_and(|parent| moved < parent.key) {
                self.sift_up(place, moved);
            } else {
                self.sift_down(place, moved);
            }
        }
        Some(Event { time: whole(key.time), priority: key.priority, action })
    }

    fn put(slots: &mut [Slot<A>], place: usize, key: Key) {
        if let Some(slot) = slots.get_mut(place) {
            slot.key = key;
        }
        if let Some(slot) = slots.get_mut(key.slot as usize) {
            slot.at = place as u32;
        }
    }

    /// Puts `key` at this place or above.
    fn sift_up(&mut self, mut place: usize, key: Key) {
        let slots = self.slots.as_mut();
        while let Some(below) = place.checked_sub(1) {
            let Some(&Slot { key: parent, .. }) = slots.get(below / ARITY) else { break };
            if parent <= key {
                break;
            }
            Self::put(slots, place, parent);
            place = below / ARITY;
        }
        Self::put(slots, place, key);
    }

    /// Puts `key` at this place or below.
    fn sift_down(&mut self, mut place: usize, key: Key) {
        let slots = self.slots.as_mut();
        let len = self.len as usize;
        loop {
            let first = place * ARITY + 1;
            let Some(children) = slots.get(first..len.min(first + ARITY)) else { break };
            let Some((child, least)) = (first..).zip(children.iter().map(|slot| slot.key)).min_by_key(|&(_, key)| key)
            else {
                break;
            };
            if key <= least {
                break;
            }
            Self::put(slots, place, least);
            place = child;
        }
        Self::put(slots, place, key);
    }
}

/// Most significant first, as arrays are compared.
fn halves(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

fn whole([high, low]: [u32; 2]) -> Instant {
    Instant::from_ticks(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests;
