//! A pool of tasks in slots that were there from the start, and the futures of their results.
//!
//! It is Python's `concurrent.futures` for tasks that take turns: [`submit`](TaskPool::submit) takes a free slot or
//! hands the task back; at most `workers` tasks run at once, the others wait, first in, first out within a priority. A
//! [`TaskId`] is the future: it can be asked, waited for, cancelled, and its result taken, once. It carries its slot's
//! generation, so an old id never reaches a new occupant.
//!
//! ```text
//!            a worker is free         poll
//! submit ─> pending ─────────> running ────> done | failed ──result──> free
//!              │ cancel, abort     │ abort        (a detached task's slot is free as soon as it ends)
//!              └──────────────> cancelled ──────────────────result──> free
//! ```
//!
//! The words, here and everywhere: a task is **pending** until its first poll, and only then can it be **cancelled**.
//! From then on it is **running**, which says nothing about now: between two polls a running task can be **aborted**,
//! that is dropped where it stands. It has **ended** when it is done, failed or cancelled. It **lives** until it has.
//!
//! The caller brings the slots: an array on a target, a boxed slice on a host, so that 8 tasks and 100,000 are the
//! same code. Every slot is in one list at most (free, queued, ready, in the timer wheel), threaded through the slots, so
//! that everything here takes constant time, unless it says otherwise.
//!
//! The pool does not poll: [`Executor`](crate::executor::Executor) does.
//!
//! ```
//! use tidemill_core::pool::{Failure, Slot, SubmitError, TaskPool};
//!
//! let mut pool = TaskPool::<&str, _>::new([const { Slot::EMPTY }; 1]);
//! let first = pool.submit("first").unwrap();
//! assert_eq!(pool.submit("second"), Err(SubmitError::Full("second")));
//! assert!(pool.cancel(first));
//! assert_eq!(pool.result(first), Err(nb::Error::Other(Failure::Cancelled)));
//! let second = pool.submit("second").unwrap();
//! assert_eq!(pool.get_mut(first), None);
//! assert_eq!(pool.get_mut(second), Some(&mut "second"));
//! ```
//!
//! Four workers, a hundred jobs, a callback for each; one is called off:
//!
//! ```
//! use std::num::NonZeroU32;
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::pool::{Failure, Slot, TaskId, TaskPool};
//! use tidemill_core::task::{Context, from_fn};
//! use tidemill_core::time::{Duration, EPOCH};
//!
//! #[derive(Default)]
//! struct Tally { done: u32, cancelled: u32 }
//! type Note = fn(TaskId, Result<&(), Failure<&()>>, &mut Tally);
//! let note: Note = |_, result, tally| match result {
//!     Ok(()) => tally.done += 1,
//!     Err(_) => tally.cancelled += 1,
//! };
//!
//! let slots = [const { Slot::<_, _, _, Option<Note>>::with_callbacks() }; 100];
//! let mut executor = Executor::over(TaskPool::with_workers(slots, NonZeroU32::new(4).unwrap()));
//! let mut tally = Tally::default();
//! let ids: Vec<_> = (0..100)
//!     .map(|_| {
//!         let mut until = None;
//!         let job = from_fn(move |cx: &mut Context<'_, NoNetwork, Tally>| {
//!             let until = *until.get_or_insert(cx.now + Duration::from_millis(10));
//!             if cx.now >= until {
//!                 return Ok(());
//!             }
//!             cx.wait_until(until);
//!             Err(nb::Error::<()>::WouldBlock)
//!         });
//!         let id = executor.pool.submit(job).unwrap();
//!         executor.pool.add_done_callback(id, note, &mut tally).unwrap();
//!         id
//!     })
//!     .collect();
//! assert!(executor.pool.cancel(ids[77]));
//! let mut now = EPOCH;
//! while let Some(next) = executor.turn(now, &mut NoNetwork, &mut tally) {
//!     now = next;
//! }
//! assert_eq!((tally.done, tally.cancelled), (99, 1));
//! assert_eq!(now, EPOCH + Duration::from_millis(25 * 10));
//! ```
//!
//! Interrupts: not to be touched from one; a pool has a single owner. An interrupt wakes a task through a wake flag.

mod callback;
mod error;
mod map;
mod slot;
#[cfg(test)]
mod tests;
mod wait;

pub use callback::{Callback, Callbacks, Never, WakeOnDone};
pub use error::{CallbackError, Failure, Stale, SubmitError};
pub use map::Map;
pub use slot::Slot;
pub use wait::{AsCompleted, ReturnWhen, Unfinished, Waited};

use crate::future::State;
use crate::list::{List, NODES_MAX, Stack};
use crate::log::trace;
use crate::net::Token;
use crate::time::Instant;
use crate::timer::Wheel;
use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::task::Poll;
use slot::{Content, Meta, Place};

/// Names a task of one pool: the future of its result. `Copy`; stale once its result was taken or, if detached, once it
/// has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TaskId {
    index: u32,
    generation: u32,
}

impl TaskId {
    /// What names the task to whoever wakes it: see [`wake`](crate::wake).
    pub fn token(self) -> Token {
        Token(self.index)
    }
}

/// Which pending task is begun first when a worker becomes free: the lower, as in Python's `sched`. It does not matter
/// any more once a task runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Priority(u8);

impl Priority {
    /// How many there are.
    pub const LEVELS: u8 = 8;
    /// Before all others.
    pub const FIRST: Self = Self(0);
    /// In the middle.
    pub const NORMAL: Self = Self(4);
    /// After all others.
    pub const LAST: Self = Self(Self::LEVELS - 1);

    /// `None`: the level is not below [`LEVELS`](Self::LEVELS).
    pub const fn new(level: u8) -> Option<Self> {
        if level < Self::LEVELS { Some(Self(level)) } else { None }
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// Slots and the lists through them. See the [module](self).
///
/// `B` holds the slots; `T` are the tasks, `O` and `E` what they yield, `C` keeps the callbacks of each. Beside the slots
/// it takes 688 bytes on a 32-bit target, most of them for the timer wheel of its tasks' deadlines.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TaskPool<T, B, O = (), E = (), C = ()> {
    slots: B,
    free: Stack,
    queues: [List; Priority::LEVELS as usize],
    /// One bit for each queue that holds anything.
    queued: u8,
    ready: List,
    called: List,
    wheel: Wheel,
    workers: i32,
    /// How many more tasks could have a worker; below zero: how many wait for one.
    spare: i32,
    spare_min: i32,
    /// How many have ended, ever: what orders ended tasks.
    ended: u64,
    shut_down: bool,
    slot: PhantomData<Slot<T, O, E, C>>,
}

impl<T, B, O, E, C> TaskPool<T, B, O, E, C>
where
    B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
    C: Callbacks,
{
    /// A pool over these slots, whatever was in them, where every task has a worker. At most 2^31 are used. O(N).
    pub fn new(slots: B) -> Self {
        Self::with_workers(slots, NonZeroU32::MAX)
    }

    /// A pool in which at most `workers` tasks run at once. O(N).
    #[doc(alias = "max_workers")]
    pub fn with_workers(mut slots: B, workers: NonZeroU32) -> Self {
        // More than there may be slots are as good as no limit.
        let workers = workers.get().min(i32::MAX as u32) as i32;
        let mut free = Stack::EMPTY;
        let all = slots.as_mut();
        for index in (0..all.len().min(NODES_MAX) as u32).rev() {
            if let Some(slot) = all.get_mut(index as usize) {
                *slot = Slot::with_callbacks();
            }
            free.push(all, index);
        }
        Self {
            slots,
            free,
            queues: [List::EMPTY; Priority::LEVELS as usize],
            queued: 0,
            ready: List::EMPTY,
            called: List::EMPTY,
            wheel: Wheel::new(),
            workers,
            spare: workers,
            spare_min: workers,
            ended: 0,
            shut_down: false,
            slot: PhantomData,
        }
    }

    /// Takes a slot for `task`, which is polled in the next turn if there is a worker.
    ///
    /// # Errors
    /// [`SubmitError`] hands the task back.
    #[doc(alias = "apply_async")]
    pub fn submit(&mut self, task: T) -> Result<TaskId, SubmitError<T>> {
        self.insert(task, Priority::NORMAL, false)
    }

    /// As [`submit`](Self::submit), with a priority.
    ///
    /// # Errors
    /// [`SubmitError`] hands the task back.
    pub fn submit_at(&mut self, priority: Priority, task: T) -> Result<TaskId, SubmitError<T>> {
        self.insert(task, priority, false)
    }

    /// As [`submit`](Self::submit), for a task whose result nobody will ask for: its slot is free as soon as it ends.
    ///
    /// # Errors
    /// [`SubmitError`] hands the task back.
    pub fn spawn(&mut self, task: T) -> Result<TaskId, SubmitError<T>> {
        self.insert(task, Priority::NORMAL, true)
    }

    #[inline]
    fn insert(&mut self, task: T, Priority(priority): Priority, detached: bool) -> Result<TaskId, SubmitError<T>> {
        if self.shut_down {
            return Err(SubmitError::ShutDown(task));
        }
        let slots = self.slots.as_mut();
        let Some(index) = self.free.pop(slots) else { return Err(SubmitError::Full(task)) };
        let Some(slot) = slots.get_mut(index as usize) else { return Err(SubmitError::Full(task)) };
        let id = TaskId { index, generation: slot.generation };
        self.spare -= 1;
        self.spare_min = self.spare_min.min(self.spare);
        if self.spare >= 0 {
            slot.content = Content::Live(Meta { place: Place::Fresh, priority, detached }, task);
            self.ready.push(slots, index);
        } else {
            slot.content = Content::Live(Meta { place: Place::Queued, priority, detached }, task);
            self.enqueue(index, priority);
        }
        trace!("task {}.{}: submitted", index, id.generation);
        Ok(id)
    }

    /// Takes the result and frees the slot; `WouldBlock` while the task lives, or until the turn that calls its callbacks
    /// is over.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn result(&mut self, id: TaskId) -> nb::Result<O, Failure<E>> {
        self.slot(id).ok_or(Failure::Stale)?;
        // Nothing less will do than that the slot is in no list any more: a callback that panicked leaves it in one.
        if self.place(id.index).is_none_or(|place| *place != Place::Ended) {
            return Err(nb::Error::WouldBlock);
        }
        Err(match self.release(id.index) {
            Content::Done(_, output) => return Ok(output),
            Content::Failed(_, error) => Failure::Failed(error),
            Content::Cancelled(_) => Failure::Cancelled,
            Content::Free | Content::Live(..) => Failure::Stale,
        }
        .into())
    }

    /// As [`result`](Self::result), but gives up at `deadline`; the task goes on, and can be asked again.
    ///
    /// # Errors
    /// [`Failure`], among them [`Failure::TimedOut`].
    pub fn result_by(&mut self, id: TaskId, deadline: Instant, now: Instant) -> nb::Result<O, Failure<E>> {
        match self.result(id) {
            Err(nb::Error::WouldBlock) if now >= deadline => Err(Failure::TimedOut.into()),
            result => result,
        }
    }

    /// Looks at the result, as often as one likes; `WouldBlock` while the task lives.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn peek(&self, id: TaskId) -> nb::Result<&O, Failure<&E>> {
        match self.slot(id).map(|slot| &slot.content) {
            Some(content) => peek(content),
            None => Err(Failure::Stale.into()),
        }
    }

    /// The error the task failed with, `None` if it succeeded; `WouldBlock` while it lives.
    ///
    /// # Errors
    /// [`Failure`], but never [`Failure::Failed`].
    pub fn exception(&self, id: TaskId) -> nb::Result<Option<&E>, Failure<&E>> {
        match self.peek(id) {
            Ok(_) => Ok(None),
            Err(nb::Error::Other(Failure::Failed(error))) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// Where in its life the task is.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn state(&self, id: TaskId) -> Result<State, Stale> {
        self.slot(id).and_then(|slot| slot.content.state()).ok_or(Stale)
    }

    /// Whether the task has ended: done, failed or cancelled.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn done(&self, id: TaskId) -> Result<bool, Stale> {
        self.state(id).map(State::is_ended)
    }

    /// Whether the task has begun and not ended.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn running(&self, id: TaskId) -> Result<bool, Stale> {
        self.state(id).map(|state| state == State::Running)
    }

    /// Whether the task was cancelled or aborted.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn cancelled(&self, id: TaskId) -> Result<bool, Stale> {
        self.state(id).map(|state| state == State::Cancelled)
    }

    /// Cancels a task that has not begun; true also if it was cancelled before. False: it runs, has finished, or the id
    /// is stale. Its callbacks are called in the next turn.
    pub fn cancel(&mut self, id: TaskId) -> bool {
        let slots = self.slots.as_mut();
        let Some(slot) = slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation) else {
            return false;
        };
        match slot.content {
            // As `call_off` would, which can do more.
            Content::Live(Meta { place: Place::Fresh, detached, .. }, _) => {
                self.ready.remove(slots, id.index);
                self.end(id.index, detached, Content::Cancelled(Meta::ENDED));
                self.free_worker();
            }
            Content::Live(meta, _) if meta.place.is_pending() => self.call_off(id.index, meta),
            Content::Cancelled(_) => {}
            _ => return false,
        }
        true
    }

    /// Drops a living task between two polls; true if there was one. Its result is [`Failure::Cancelled`].
    pub fn abort(&mut self, id: TaskId) -> bool {
        let Some(&Content::Live(meta, _)) = self.slot(id).map(|slot| &slot.content) else { return false };
        self.call_off(id.index, meta);
        true
    }

    /// Nobody will ask for the task's result: its slot is free as soon as it has ended. Nothing if the id is stale.
    pub fn detach(&mut self, id: TaskId) {
        let Ok(state) = self.state(id) else { return };
        let Some(meta) = self.meta(id.index) else { return };
        meta.detached = true;
        if state.is_ended() && meta.place == Place::Ended {
            self.release(id.index);
        }
    }

    /// Has `callback` called when the task ends, after those that were added before; at once if it has ended.
    ///
    /// # Errors
    /// [`CallbackError`] hands it back.
    pub fn add_done_callback<X>(
        &mut self,
        id: TaskId,
        callback: C::Callback,
        shared: &mut X,
    ) -> Result<(), CallbackError<C::Callback>>
    where
        C::Callback: Callback<O, E, X>,
    {
        let Ok(state) = self.state(id) else { return Err(CallbackError::Stale(callback)) };
        let Some(slot) = self.slots.as_mut().get_mut(id.index as usize) else {
            return Err(CallbackError::Stale(callback));
        };
        // One that was cancelled between turns still has to call those that were added before.
        if state.is_ended() && slot.callbacks.is_empty() {
            call(id, &slot.content, callback, shared);
            return Ok(());
        }
        slot.callbacks.add(callback).map_err(CallbackError::Full)
    }

    /// Refuses every further task; with `cancel_futures`, cancels all that have not begun. What runs goes on until it has
    /// ended: see [`join`](Self::join). Twice is fine. O(pending).
    pub fn shutdown(&mut self, cancel_futures: bool) {
        self.shut_down = true;
        if !cancel_futures {
            return;
        }
        for index in 0..self.slots.as_ref().len() as u32 {
            match self.slots.as_ref().get(index as usize).map(|slot| &slot.content) {
                Some(&Content::Live(meta, _)) if meta.place.is_pending() => self.call_off(index, meta),
                _ => {}
            }
        }
    }

    /// `WouldBlock` while any task lives.
    ///
    /// # Errors
    /// None.
    pub fn join(&self) -> nb::Result<(), core::convert::Infallible> {
        if self.live() == 0 { Ok(()) } else { Err(nb::Error::WouldBlock) }
    }

    /// How many tasks live.
    pub fn live(&self) -> usize {
        (self.workers - self.spare) as usize
    }

    /// How many tasks have lived at once, at most.
    pub fn live_max(&self) -> usize {
        (self.workers - self.spare_min) as usize
    }

    /// How many tasks the pool has room for.
    pub fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// Whether a slot is free.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// A living task, to look at or to talk to between polls.
    pub fn get_mut(&mut self, id: TaskId) -> Option<&mut T> {
        let slot = self.slots.as_mut().get_mut(id.index as usize)?;
        match &mut slot.content {
            Content::Live(_, task) if slot.generation == id.generation => Some(task),
            _ => None,
        }
    }

    /// The living tasks, in slot order. O(N) to walk.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.as_ref().iter().filter_map(|slot| match &slot.content {
            Content::Live(_, task) => Some(task),
            _ => None,
        })
    }

    fn slot(&self, id: TaskId) -> Option<&Slot<T, O, E, C>> {
        let slot = self.slots.as_ref().get(id.index as usize)?;
        (slot.generation == id.generation && !matches!(slot.content, Content::Free)).then_some(slot)
    }

    fn meta(&mut self, index: u32) -> Option<&mut Meta> {
        self.slots.as_mut().get_mut(index as usize)?.content.meta()
    }

    fn place(&mut self, index: u32) -> Option<&mut Place> {
        Some(&mut self.meta(index)?.place)
    }

    /// Frees a slot and hands out what was in it.
    fn release(&mut self, index: u32) -> Content<T, O, E> {
        let slots = self.slots.as_mut();
        let Some(slot) = slots.get_mut(index as usize) else { return Content::Free };
        slot.generation = slot.generation.wrapping_add(1);
        let content = core::mem::replace(&mut slot.content, Content::Free);
        self.free.push(slots, index);
        content
    }

    /// Ends a living task without a result.
    #[inline(never)]
    fn call_off(&mut self, index: u32, meta: Meta) {
        match meta.place {
            Place::Queued => self.dequeue(index, meta.priority),
            Place::Fresh | Place::Ready => self.ready.remove(self.slots.as_mut(), index),
            Place::Timed => self.wheel.remove(self.slots.as_mut(), index),
            Place::Idle | Place::Called | Place::Ended => {}
        }
        self.end(index, meta.detached, Content::Cancelled(Meta::ENDED));
        if meta.place == Place::Queued {
            self.spare += 1;
        } else {
            self.free_worker();
        }
    }

    /// Ends a task that was polled, and so is in no list.
    pub(crate) fn complete(&mut self, index: u32, result: Result<O, E>) {
        let Some(&mut Meta { detached, .. }) = self.meta(index) else { return };
        let content = match result {
            Ok(output) => Content::Done(Meta::ENDED, output),
            Err(error) => Content::Failed(Meta::ENDED, error),
        };
        self.end(index, detached, content);
        self.free_worker();
    }

    fn free_worker(&mut self) {
        self.spare += 1;
        if self.spare <= 0 {
            self.begin_queued();
        }
    }

    /// Puts in place of a task that is in no list what became of it.
    #[inline]
    fn end(&mut self, index: u32, detached: bool, outcome: Content<T, O, E>) {
        let slots = self.slots.as_mut();
        let Some(slot) = slots.get_mut(index as usize) else { return };
        slot.content = outcome;
        let state = match slot.content {
            Content::Done(..) => "done",
            Content::Failed(..) => "failed",
            _ => "cancelled",
        };
        trace!("task {}.{}: {}", index, slot.generation, state);
        // The deadline has no more use: now it says which ended first.
        self.ended += 1;
        slot.node.set_deadline(Instant::from_ticks(self.ended));
        if !slot.callbacks.is_empty() {
            if let Some(meta) = slot.content.meta() {
                *meta = Meta { place: Place::Called, detached, ..*meta };
            }
            self.called.push(slots, index);
        } else if detached {
            self.release(index);
        }
    }

    fn enqueue(&mut self, index: u32, priority: u8) {
        self.queued |= 1 << priority;
        self.queues[priority as usize % Priority::LEVELS as usize].push(self.slots.as_mut(), index);
    }

    fn dequeue(&mut self, index: u32, priority: u8) {
        let queue = &mut self.queues[priority as usize % Priority::LEVELS as usize];
        queue.remove(self.slots.as_mut(), index);
        if queue.is_empty() {
            self.queued &= !(1 << priority);
        }
    }

    /// Gives a free worker to the first pending task.
    #[inline(never)]
    fn begin_queued(&mut self) {
        let priority = self.queued.trailing_zeros() % u32::from(Priority::LEVELS);
        let queue = &mut self.queues[priority as usize];
        let Some(index) = queue.pop(self.slots.as_mut()) else { return };
        if queue.is_empty() {
            self.queued &= !(1 << priority);
        }
        if let Some(place) = self.place(index) {
            *place = Place::Fresh;
        }
        self.ready.push(self.slots.as_mut(), index);
    }

    /// Puts a running task at the end of the ready queue, unless it is in it. Anything else is ignored.
    pub(crate) fn wake(&mut self, index: u32) {
        let Some(place) = self.place(index) else { return };
        match core::mem::replace(place, Place::Ready) {
            Place::Timed => self.wheel.remove(self.slots.as_mut(), index),
            Place::Idle => {}
            other => {
                *place = other;
                return;
            }
        }
        self.ready.push(self.slots.as_mut(), index);
    }

    /// Wakes every running task. O(N).
    pub(crate) fn wake_all(&mut self) {
        for index in 0..self.slots.as_ref().len() as u32 {
            self.wake(index);
        }
    }

    /// Takes the first ready task off the queue, to be polled: from here it runs.
    pub(crate) fn pop_ready(&mut self) -> Option<(u32, &mut T)> {
        let slots = self.slots.as_mut();
        let index = self.ready.pop(slots)?;
        match &mut slots.get_mut(index as usize)?.content {
            Content::Live(meta, task) => {
                if meta.place == Place::Fresh {
                    trace!("task {}: begun", index);
                }
                meta.place = Place::Idle;
                Some((index, task))
            }
            _ => None,
        }
    }

    /// How many tasks are ready, if fewer than `bound`. O(bound).
    pub(crate) fn ready_up_to(&mut self, bound: u32) -> u32 {
        self.ready.len_up_to(self.slots.as_mut(), bound)
    }

    /// Makes the ready task that is so many places behind the first the first. O(places).
    pub(crate) fn prefer_ready(&mut self, places: u32) {
        let slots = self.slots.as_mut();
        let index = self.ready.at(slots, places);
        self.ready.prefer(slots, index);
    }

    /// What takes no room keeps no callbacks.
    pub(crate) fn any_called(&self) -> bool {
        size_of::<C>() != 0 && !self.called.is_empty()
    }

    pub(crate) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Wakes the tasks whose deadlines are not after `now`; returns how many.
    #[inline]
    pub(crate) fn expire(&mut self, now: Instant) -> u32 {
        if self.wheel.may_be_due(now) { self.wake_due(now) } else { 0 }
    }

    #[inline(never)]
    fn wake_due(&mut self, now: Instant) -> u32 {
        let mut count = 0;
        while let Some(index) = self.wheel.pop(self.slots.as_mut(), now) {
            if let Some(place) = self.place(index) {
                *place = Place::Ready;
            }
            self.ready.push(self.slots.as_mut(), index);
            count += 1;
        }
        count
    }

    pub(crate) fn first_deadline(&mut self) -> Option<Instant> {
        self.wheel.first(self.slots.as_mut())
    }

    /// A task that was polled and is idle waits until `deadline`.
    pub(crate) fn set_deadline(&mut self, index: u32, deadline: Instant) {
        let Some(place) = self.place(index) else { return };
        *place = Place::Timed;
        self.wheel.insert(self.slots.as_mut(), index, deadline);
    }

    /// Calls the callbacks of all tasks that have ended since. One that panics is not called again, and keeps no other
    /// from being called, by the next turn.
    #[inline(never)]
    pub(crate) fn call_back<X>(&mut self, shared: &mut X)
    where
        C::Callback: Callback<O, E, X>,
    {
        while let Some(slot) = self.slots.as_mut().get_mut(self.called.first() as usize) {
            let id = TaskId { index: self.called.first(), generation: slot.generation };
            while let Some(callback) = slot.callbacks.take() {
                call(id, &slot.content, callback, shared);
            }
            self.called.pop(self.slots.as_mut());
            if let Some(meta) = self.meta(id.index) {
                meta.place = Place::Ended;
                if meta.detached {
                    self.release(id.index);
                }
            }
        }
    }

    /// When, of all tasks, this one has ended; `None` while it lives. A stale one ended before all others.
    fn ended_as(&self, id: TaskId) -> Option<u64> {
        match self.slot(id) {
            Some(slot) if slot.content.state().is_some_and(State::is_ended) => Some(slot.node.deadline().as_ticks()),
            Some(_) => None,
            None => Some(0),
        }
    }
}

impl<T, B, O, E> TaskPool<T, B, O, E, Option<WakeOnDone>>
where
    B: AsRef<[Slot<T, O, E, Option<WakeOnDone>>]> + AsMut<[Slot<T, O, E, Option<WakeOnDone>>]>,
{
    /// The task's result, for whoever awaits it on another executor: `poll_fn(|cx| lock(pool).poll_result(id, cx))` is
    /// its future. One at a time may await a task: the last to ask is woken.
    pub fn poll_result(&mut self, id: TaskId, cx: &mut core::task::Context<'_>) -> Poll<Result<O, Failure<E>>> {
        match self.result(id) {
            Ok(output) => Poll::Ready(Ok(output)),
            Err(nb::Error::Other(failure)) => Poll::Ready(Err(failure)),
            Err(nb::Error::WouldBlock) => {
                if let Some(slot) = self.slots.as_mut().get_mut(id.index as usize) {
                    match &mut slot.callbacks {
                        Some(WakeOnDone(waker)) => waker.clone_from(cx.waker()),
                        none => *none = Some(WakeOnDone(cx.waker().clone())),
                    }
                }
                Poll::Pending
            }
        }
    }
}

fn peek<T, O, E>(content: &Content<T, O, E>) -> nb::Result<&O, Failure<&E>> {
    Err(match content {
        Content::Done(_, output) => return Ok(output),
        Content::Failed(_, error) => Failure::Failed(error),
        Content::Cancelled(_) => Failure::Cancelled,
        Content::Live(..) => return Err(nb::Error::WouldBlock),
        Content::Free => Failure::Stale,
    }
    .into())
}

fn call<T, O, E, X, F: Callback<O, E, X>>(id: TaskId, content: &Content<T, O, E>, callback: F, shared: &mut X) {
    match peek(content) {
        Ok(output) => callback.call(id, Ok(output), shared),
        Err(nb::Error::Other(failure)) => callback.call(id, Err(failure), shared),
        // It has ended.
        Err(nb::Error::WouldBlock) => {}
    }
}
