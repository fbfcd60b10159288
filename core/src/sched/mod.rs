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
//! A sampler every 10 ms, and a monitor that each sample puts off and that reports when one is late:
//!
//! ```
//! use tidemill_core::sched::{Scheduler, Slot};
//! use tidemill_core::time::{Duration, Instant};
//!
//! enum Action { Sample(u32), Late }
//! let [period, allowed] = [10, 12].map(Duration::from_millis);
//!
//! let mut scheduler = Scheduler::new([const { Slot::EMPTY }; 2]);
//! scheduler.enter(period, 0, Action::Sample(1)).unwrap();
//! let mut monitor = scheduler.enter(allowed, 1, Action::Late).unwrap();
//! let mut late = Vec::new();
//! while let Some(now) = scheduler.next_deadline().filter(|&now| now < Instant::from_ticks(80_000)) {
//!     scheduler
//!         .advance(now, |scheduler, event| {
//!             match event.action {
//!                 Action::Sample(number) => {
//!                     // The fourth takes too long.
//!                     let next = event.time + if number == 4 { Duration::from_millis(25) } else { period };
//!                     scheduler.cancel(monitor);
//!                     scheduler.enter_abs(next, 0, Action::Sample(number + 1)).unwrap();
//!                     monitor = scheduler.enter_abs(event.time + allowed, 1, Action::Late).unwrap();
//!                 }
//!                 Action::Late => late.push(event.time.as_ticks() / 1_000),
//!             }
//!             Ok::<(), ()>(())
//!         })
//!         .unwrap();
//! }
//! assert_eq!(late, [52]);
//! ```
//!
//! For time-outs, most of which are cancelled and whose order hardly matters, take the [`timer`](crate::timer) wheel.
//!
//! Interrupts: not to be touched from one; a scheduler has a single owner.

use crate::executor::TICK;
use crate::log::trace;
use crate::time::{Duration, EPOCH, Instant};
use core::marker::PhantomData;

const NONE: u32 = u32::MAX;

/// How many places of the heap are below each: as fast to look through as two, and half as deep.
const BELOW: u32 = 4;

/// Room for one event: 32 bytes, and the action.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot<A> {
    /// What stands at this place of the heap. Unrelated to the rest of this slot: so a move in the heap is a few words,
    /// and the event stays where it is.
    heap: Place,
    priority: i32,
    /// How many were entered before.
    entry: Halves,
    generation: u32,
    /// Where in the heap this slot's event stands, or the next free slot.
    at: u32,
    action: Option<A>,
}

impl<A> Slot<A> {
    /// A free slot, to build arrays from: `[const { Slot::EMPTY }; 8]`.
    pub const EMPTY: Self = Self {
        heap: Place { time: Halves([0; 2]), index: NONE },
        priority: 0,
        entry: Halves([0; 2]),
        generation: 0,
        at: NONE,
        action: None,
    };

    /// What events at the same time are ordered by. No two are equal: each has its own entry.
    fn order(&self) -> (i32, u64) {
        (self.priority, self.entry.whole())
    }
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A place of the heap: which slot's event stands there, and when that is to run. So that of two events which run at
/// different times nothing else need be looked at.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Place {
    time: Halves,
    index: u32,
}

impl Place {
    fn time(self) -> u64 {
        self.time.whole()
    }
}

/// A number of 64 bits that is aligned to four bytes, so that a 32-bit target pads nothing.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Halves([u32; 2]);

impl Halves {
    fn of(whole: u64) -> Self {
        Self([whole as u32, (whole >> 32) as u32])
    }

    fn whole(self) -> u64 {
        let Self([low, high]) = self;
        u64::from(high) << 32 | u64::from(low)
    }
}

/// Names an event of one scheduler. `Copy`; stale once the event was run or cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EventId {
    index: u32,
    generation: u32,
}

/// An event that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
/// A heap, four wide, with the events' places in it: entering, cancelling and running take O(log N).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    #[inline]
    pub fn enter_abs(&mut self, time: Instant, priority: i32, action: A) -> Result<EventId, Full<A>> {
        let index = self.free;
        let Some(slot) = self.slots.as_mut().get_mut(index as usize) else { return Err(Full(action)) };
        self.free = slot.at;
        slot.action = Some(action);
        slot.priority = priority;
        slot.entry = Halves::of(self.entered);
        let id = EventId { index, generation: slot.generation };
        trace!("event {}.{}: entered for {}", index, id.generation, time.as_ticks());
        self.entered += 1;
        self.len += 1;
        rise(self.slots.as_mut(), self.len - 1, Place { time: Halves::of(time.as_ticks()), index });
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
        trace!("event {}.{}: cancelled", id.index, id.generation);
        self.remove(slot.at).map(|event| event.action)
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
        let first = self.slots.as_ref().first().filter(|_| self.len != 0)?;
        Some(Instant::from_ticks(first.heap.time()))
    }

    /// The queued events in the order in which they would run. O(N) for each step.
    pub fn queue(&self) -> impl Iterator<Item = Event<&A>> {
        let slots = self.slots.as_ref();
        let queued = slots.iter().take(self.len as usize).filter_map(|Slot { heap, .. }| {
            let slot = slots.get(heap.index as usize)?;
            Some(((heap.time(), slot.order()), slot))
        });
        let next =
            move |after| queued.clone().filter(|(order, _)| Some(*order) > after).min_by_key(|(order, _)| *order);
        core::iter::successors(next(None), move |(order, _)| next(Some(*order))).filter_map(|((time, _), slot)| {
            let time = Instant::from_ticks(time);
            Some(Event { time, priority: slot.priority, action: slot.action.as_ref()? })
        })
    }

    /// Takes the next event that is due at `now`. What it leads to may be entered and cancelled before the next call.
    /// O(log N).
    pub fn next_due(&mut self, now: Instant) -> Option<Event<A>> {
        self.now = self.now.max(now);
        let time = self.next_deadline()?;
        if time > now {
            return None;
        }
        trace!("event due at {}: run at {}", time.as_ticks(), now.as_ticks());
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

    /// Takes out what stands at this place of the heap.
    fn remove(&mut self, at: u32) -> Option<Event<A>> {
        let slots = self.slots.as_mut();
        let last = self.len.checked_sub(1)?;
        let moved = slots.get(last as usize)?.heap;
        let place = slots.get(at as usize)?.heap;
        let slot = slots.get_mut(place.index as usize)?;
        let action = slot.action.take()?;
        let event = Event { time: Instant::from_ticks(place.time()), priority: slot.priority, action };
        slot.generation = slot.generation.wrapping_add(1);
        slot.at = self.free;
        self.free = place.index;
        self.len = last;
        if at != last {
            let hole = sink(slots, last, at);
            rise(slots, hole, moved);
        }
        Some(event)
    }
}

/// Moves the least below a hole into it, until the hole is at the bottom of a heap of `len`; returns where. Whoever is to
/// fill it came from the bottom and hardly rises, so that this compares less than to look for its place on the way down.
fn sink<A>(slots: &mut [Slot<A>], len: u32, mut hole: u32) -> u32 {
    loop {
        let first = BELOW * hole + 1;
        let end = first + BELOW;
        let at = if end <= len
            && let Some([a, b, c, d]) = slots.get(first as usize..end as usize)
        {
            let ab = least(slots, (first, a.heap.time()), (first + 1, b.heap.time()));
            let cd = least(slots, (first + 2, c.heap.time()), (first + 3, d.heap.time()));
            least(slots, ab, cd).0
        } else {
            // At the bottom there may be fewer.
            let mut at = (NONE, u64::MAX);
            for other in first..len {
                let Some(slot) = slots.get(other as usize) else { break };
                let other = (other, slot.heap.time());
                at = if at.0 == NONE { other } else { least(slots, at, other) };
            }
            at.0
        };
        let Some(&Slot { heap, .. }) = slots.get(at as usize) else { return hole };
        put(slots, hole, heap);
        hole = at;
    }
}

/// Which of two places is to run first, the second being behind the first in the heap.
fn least<A>(slots: &[Slot<A>], one: (u32, u64), other: (u32, u64)) -> (u32, u64) {
    let index = |(at, _): (u32, u64)| slots.get(at as usize).map_or(NONE, |slot| slot.heap.index);
    if one.1 < other.1 || one.1 == other.1 && !is_before(slots, index(other), index(one)) { one } else { other }
}

/// Puts an event into a hole, or as far above as it belongs.
fn rise<A>(slots: &mut [Slot<A>], mut hole: u32, place: Place) {
    let time = place.time();
    while let Some(below) = hole.checked_sub(1) {
        let above = below / BELOW;
        let Some(&Slot { heap: parent, .. }) = slots.get(above as usize) else { break };
        if parent.time() < time || parent.time() == time && !is_before(slots, place.index, parent.index) {
            break;
        }
        put(slots, hole, parent);
        hole = above;
    }
    put(slots, hole, place);
}

fn put<A>(slots: &mut [Slot<A>], at: u32, place: Place) {
    if let Some(slot) = slots.get_mut(at as usize) {
        slot.heap = place;
    }
    if let Some(slot) = slots.get_mut(place.index as usize) {
        slot.at = at;
    }
}

/// Whether, of two events at the same time, the one is to run first.
#[cold]
#[inline(never)]
fn is_before<A>(slots: &[Slot<A>], index: u32, other: u32) -> bool {
    match (slots.get(index as usize), slots.get(other as usize)) {
        (Some(one), Some(other)) => one.order() < other.order(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
