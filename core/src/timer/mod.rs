//! A timer wheel: thousands of timers, each started, moved or cancelled in constant time.
//!
//! A list of timers in order of deadline has to be searched at every start; a heap has to be sifted. A *hierarchical
//! timing wheel* (Varghese and Lauck, 1987) does neither: it throws a timer into a bucket by the digits of its
//! deadline, coarse while the deadline is far, and looks closer only as time approaches. Most timers are cancelled
//! before they expire (time-outs), and those never cost more than their start.
//!
//! The caller brings the slots, as for the [`pool`](crate::pool), and time: [`TimerWheel::expire`] hands out what is
//! due, one timer at a time, so that a handler may start and cancel others. What has expired before `now` comes in order
//! of deadline, and for the same deadline in order of start.
//!
//! ```
//! use tidemill_core::time::{Duration, EPOCH};
//! use tidemill_core::timer::{Missed, Slot, TimerWheel};
//!
//! let mut wheel = TimerWheel::new([const { Slot::EMPTY }; 4]);
//! let timeout = wheel.start(EPOCH + Duration::from_millis(250), "no answer").unwrap();
//! wheel.start_periodic(EPOCH, Duration::from_millis(100), Missed::Skip, "sample").unwrap();
//!
//! let mut now = EPOCH;
//! let mut seen = Vec::new();
//! while now < EPOCH + Duration::from_millis(220) {
//!     while let Some(timer) = wheel.expire(now) {
//!         seen.push((now.as_ticks() / 1000, timer.value));
//!     }
//!     now = wheel.next_deadline().unwrap();
//! }
//! assert_eq!(seen, [(0, "sample"), (100, "sample"), (200, "sample")]);
//! assert_eq!(wheel.cancel(timeout), Some("no answer"));
//! ```
//!
//! Interrupts: not to be touched from one; a wheel has a single owner.

mod period;
mod wheel;

use crate::list::{NODES_MAX, Node, Nodes, Stack};
use crate::log::trace;
use crate::time::{Duration, Instant};
use core::marker::PhantomData;
use period::Period;
pub(crate) use wheel::Wheel;

/// Room for one timer: 24 bytes, and the value.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot<T> {
    node: Node,
    generation: u32,
    held: Option<(Period, T)>,
}

impl<T> Slot<T> {
    /// A free slot, to build arrays from: `[const { Slot::EMPTY }; 8]`.
    pub const EMPTY: Self = Self { node: Node::EMPTY, generation: 0, held: None };
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Nodes for [Slot<T>] {
    fn node(&mut self, index: u32) -> Option<&mut Node> {
        Some(&mut self.get_mut(index as usize)?.node)
    }
}

/// Names a running timer of one wheel. `Copy`; stale once the timer has expired for the last time or was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// What a periodic timer does about periods that passed before anybody looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Missed {
    /// Expires once for all of them, and says how many there were.
    Skip,
    /// Expires once for each, one after the other.
    Replay,
}

/// Why a timer was not started. Hands the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StartError<T> {
    /// Every slot has a timer.
    Full(T),
    /// The period is zero, or cannot be kept exactly: over 2^29 µs (9 minutes) it must be whole milliseconds, over
    /// 2^29 ms (6 days) whole seconds, and never more than 2^29 s (17 years).
    Period(T),
}

impl<T> core::error::Error for StartError<T> {}

impl<T> core::fmt::Debug for StartError<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Period(_) => "Period(..)",
        })
    }
}

impl<T> core::fmt::Display for StartError<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "every timer is in use",
            Self::Period(_) => "the period is zero, too long, or too long to be this exact",
        })
    }
}

/// A timer that has expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Expired<T> {
    /// Which; stale already, unless it is periodic.
    pub id: TimerId,
    /// When it was due. For a periodic timer that skipped, the first of the periods.
    pub deadline: Instant,
    /// How many further periods have passed and will not be replayed.
    pub missed: u64,
    /// What it was started with.
    pub value: T,
}

/// Timers in slots of the caller's. See the [module](self).
///
/// Beside the slots it takes 584 bytes on a 32-bit target.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TimerWheel<T, B> {
    slots: B,
    wheel: Wheel,
    free: Stack,
    slot: PhantomData<Slot<T>>,
}

impl<T, B: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>> TimerWheel<T, B> {
    /// A wheel over these slots, whatever was in them. At most 2^31 are used. O(N).
    pub fn new(mut slots: B) -> Self {
        let mut free = Stack::EMPTY;
        let all = slots.as_mut();
        for index in (0..all.len().min(NODES_MAX) as u32).rev() {
            if let Some(slot) = all.get_mut(index as usize) {
                *slot = Slot::EMPTY;
            }
            free.push(all, index);
        }
        Self { slots, wheel: Wheel::new(), free, slot: PhantomData }
    }

    /// Starts a timer that expires once. A deadline that has passed is due at once; what has expired stays before it.
    /// O(1).
    ///
    /// # Errors
    /// [`StartError::Full`] hands the value back.
    pub fn start(&mut self, deadline: Instant, value: T) -> Result<TimerId, StartError<T>> {
        self.insert(deadline, Period::ONCE, value)
    }

    /// Starts a timer that expires at `first` and every `period` after it, until it is cancelled. It does not drift:
    /// each deadline is computed from the last one, however late anybody looked. It ends where time does. O(1).
    ///
    /// # Errors
    /// [`StartError`] hands the value back.
    pub fn start_periodic(
        &mut self,
        first: Instant,
        period: Duration,
        missed: Missed,
        value: T,
    ) -> Result<TimerId, StartError<T>> {
        match Period::new(period, missed == Missed::Replay) {
            Some(period) => self.insert(first, period, value),
            None => Err(StartError::Period(value)),
        }
    }

    fn insert(&mut self, deadline: Instant, period: Period, value: T) -> Result<TimerId, StartError<T>> {
        let slots = self.slots.as_mut();
        let Some(index) = self.free.pop(slots) else { return Err(StartError::Full(value)) };
        let Some(slot) = slots.get_mut(index as usize) else { return Err(StartError::Full(value)) };
        slot.held = Some((period, value));
        let id = TimerId { index, generation: slot.generation };
        self.wheel.insert(slots, index, deadline);
        trace!("timer {}.{}: started for {}", index, id.generation, deadline.as_ticks());
        Ok(id)
    }

    /// Stops a timer and returns its value; `None`: the id is stale. O(1).
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let slots = self.slots.as_mut();
        let slot = slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        let (_, value) = slot.held.take()?;
        trace!("timer {}.{}: cancelled", id.index, id.generation);
        self.wheel.remove(slots, id.index);
        self.release(id.index);
        Some(value)
    }

    /// Moves a timer to another deadline, as if it had just been started; false: the id is stale. O(1).
    pub fn reset(&mut self, id: TimerId, deadline: Instant) -> bool {
        if self.slot(id).is_none() {
            return false;
        }
        let slots = self.slots.as_mut();
        self.wheel.remove(slots, id.index);
        self.wheel.insert(slots, id.index, deadline);
        true
    }

    /// When a timer expires next; `None`: the id is stale. O(1).
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        Some(self.slot(id)?.node.deadline())
    }

    /// How long until a timer expires next, zero if it is due; `None`: the id is stale. O(1).
    pub fn remaining(&self, id: TimerId, now: Instant) -> Option<Duration> {
        let ticks = self.deadline(id)?.as_ticks().saturating_sub(now.as_ticks());
        Some(Duration::from_ticks(ticks))
    }

    /// Takes the next timer that is due at `now`, in order of deadline, then of start. To be called until it returns
    /// `None`. O(1) amortised; empty time costs nothing, however long. Time never goes back: an earlier `now` than the
    /// last finds what was due then.
    pub fn expire(&mut self, now: Instant) -> Option<Expired<T>>
    where
        T: Clone,
    {
        let slots = self.slots.as_mut();
        let index = self.wheel.pop(slots, now)?;
        let slot = slots.get_mut(index as usize)?;
        let id = TimerId { index, generation: slot.generation };
        let deadline = slot.node.deadline();
        trace!("timer {}.{}: expired, due at {}", index, id.generation, deadline.as_ticks());
        let (period, value) = slot.held.take()?;
        if period.is_once() {
            self.release(index);
            return Some(Expired { id, deadline, missed: 0, value });
        }
        let missed = self.repeat(id, period, value.clone(), now);
        Some(Expired { id, deadline, missed, value })
    }

    /// Starts a periodic timer that has expired anew, unless time ends before; returns how many periods were missed.
    #[inline(never)]
    fn repeat(&mut self, id: TimerId, period: Period, value: T, now: Instant) -> u64 {
        let slots = self.slots.as_mut();
        let Some(slot) = slots.get_mut(id.index as usize) else { return 0 };
        let deadline = slot.node.deadline();
        let (missed, next) = next(deadline, period.span(), if period.replays() { deadline } else { now });
        match next {
            Some(next) => {
                slot.held = Some((period, value));
                self.wheel.insert(slots, id.index, next);
            }
            None => self.release(id.index),
        }
        missed
    }

    /// When the next timer is due, exactly: until then there is nothing to do. O(1), unless the first timer was
    /// cancelled or moved since: then O(timers in the first bucket).
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.wheel.first(self.slots.as_mut())
    }

    /// How many timers are running.
    pub fn len(&self) -> usize {
        self.wheel.len() as usize
    }

    /// Whether no timer is running.
    pub fn is_empty(&self) -> bool {
        self.wheel.len() == 0
    }

    /// How many timers can run.
    pub fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    fn slot(&self, id: TimerId) -> Option<&Slot<T>> {
        let slot = self.slots.as_ref().get(id.index as usize)?;
        (slot.generation == id.generation && slot.held.is_some()).then_some(slot)
    }

    /// Frees a slot whose value was taken and which is in no list.
    fn release(&mut self, index: u32) {
        let slots = self.slots.as_mut();
        let Some(slot) = slots.get_mut(index as usize) else { return };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(slots, index);
    }
}

/// The deadline after `last` that is after `now`, and how many are skipped; `None` after the end of time.
fn next(last: Instant, period: Duration, now: Instant) -> (u64, Option<Instant>) {
    let (now, period) = (now.max(last).as_ticks(), period.as_ticks());
    let mut late = now - last.as_ticks();
    // Bit by bit: it is hardly ever needed, and division of 64 bits takes a kilobyte of flash on small targets.
    let (mut periods, mut span, mut missed) = (1_u64, period, 0);
    while span <= late >> 1 {
        (periods, span) = (periods << 1, span << 1);
    }
    while periods != 0 {
        if span <= late {
            (late, missed) = (late - span, missed | periods);
        }
        (periods, span) = (periods >> 1, span >> 1);
    }
    (missed, (now - late).checked_add(period).map(Instant::from_ticks))
}

#[cfg(test)]
mod tests;
