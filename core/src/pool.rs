//! A pool of tasks in slots that were there from the start.
//!
//! The caller brings the slots: an array on a target, a boxed slice on a host, so that 8 tasks and 100,000 are the
//! same code. Submitting takes a free slot or hands the task back; a [`TaskId`] carries its slot's generation, so an
//! old id never reaches a new occupant.
//!
//! ```text
//! submit ──> live ──poll──> done | failed ──result──> free
//!             └───abort──> cancelled ───────result──> free      (detached tasks go to free by themselves)
//! ```
//!
//! A live task is either in the ready queue (first in, first out, linked through the slots) or waits: for a token, or
//! for a deadline, kept in a binary heap that is threaded through the slots too. Every operation is O(1) but those
//! that move a deadline, which are O(log N).
//!
//! The pool does not poll: [`Executor`](crate::executor::Executor) does.
//!
//! ```
//! use tidemill_core::pool::{Failure, Full, Slot, TaskPool};
//!
//! let mut pool = TaskPool::<&str, _>::new([const { Slot::EMPTY }; 1]);
//! let first = pool.submit("first").unwrap();
//! assert_eq!(pool.submit("second").map_err(|Full(task)| task), Err("second"));
//! assert!(pool.abort(first));
//! assert_eq!(pool.result(first), Err(nb::Error::Other(Failure::Cancelled)));
//! let second = pool.submit("second").unwrap();
//! assert_eq!(pool.get_mut(first), None);
//! assert_eq!(pool.get_mut(second), Some(&mut "second"));
//! ```

use crate::time::Instant;
use core::marker::PhantomData;

const NONE: u32 = u32::MAX;

/// Room for one task and, once it has finished, for its result.
#[derive(Debug)]
pub struct Slot<T, O = (), E = ()> {
    generation: u32,
    state: State<T, O, E>,
    detached: bool,
    queued: bool,
    next_free: u32,
    next_ready: u32,
    deadline: Instant,
    /// Where in the heap this slot's deadline stands; `NONE`: it has none.
    heap_at: u32,
    /// Which slot's deadline stands at this place of the heap. Unrelated to the rest of this slot.
    heap: u32,
}

#[derive(Debug)]
enum State<T, O, E> {
    Free,
    Live(T),
    Done(O),
    Failed(E),
    Cancelled,
}

impl<T, O, E> Default for Slot<T, O, E> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T, O, E> Slot<T, O, E> {
    /// A free slot, to build arrays from: `[const { Slot::EMPTY }; 8]`.
    pub const EMPTY: Self = Self {
        generation: 0,
        state: State::Free,
        detached: false,
        queued: false,
        next_free: NONE,
        next_ready: NONE,
        deadline: crate::time::EPOCH,
        heap_at: NONE,
        heap: NONE,
    };
}

/// Names a task of one pool. `Copy`; stale once its result was taken or, if detached, once it has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct TaskId {
    index: u32,
    generation: u32,
}

/// No free slot: here is the task back.
#[derive(PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> core::error::Error for Full<T> {}

impl<T> core::fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> core::fmt::Display for Full<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the pool is full")
    }
}

/// Why a task has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The task failed with this.
    Failed(E),
    /// It was aborted.
    Cancelled,
    /// No such task: the id is from another pool, or its result has been taken.
    Stale,
}

/// Slots and the lists through them. See the [module](self).
pub struct TaskPool<T, B, O = (), E = ()> {
    slots: B,
    free: u32,
    ready_first: u32,
    ready_last: u32,
    heap_len: u32,
    live: u32,
    slot: PhantomData<Slot<T, O, E>>,
}

impl<T, B, O, E> TaskPool<T, B, O, E>
where
    B: AsRef<[Slot<T, O, E>]> + AsMut<[Slot<T, O, E>]>,
{
    /// A pool over these slots, whatever was in them. At most 2^32 - 2 are used. O(N).
    pub fn new(mut slots: B) -> Self {
        let all = slots.as_mut();
        let count = all.len().min(NONE as usize - 1);
        for (index, slot) in all.iter_mut().enumerate() {
            let next_free = if index + 1 < count { index as u32 + 1 } else { NONE };
            *slot = Slot { next_free, ..Slot::EMPTY };
        }
        Self {
            free: if count == 0 { NONE } else { 0 },
            slots,
            ready_first: NONE,
            ready_last: NONE,
            heap_len: 0,
            live: 0,
            slot: PhantomData,
        }
    }

    /// Takes a slot for `task`; it is ready at once. O(1).
    ///
    /// # Errors
    /// [`Full`] hands the task back.
    #[doc(alias = "apply_async")]
    pub fn submit(&mut self, task: T) -> Result<TaskId, Full<T>> {
        self.insert(task, false)
    }

    /// As [`submit`](Self::submit), for a task whose result nobody will ask for: its slot is free as soon as it ends.
    ///
    /// # Errors
    /// [`Full`] hands the task back.
    pub fn spawn(&mut self, task: T) -> Result<TaskId, Full<T>> {
        self.insert(task, true)
    }

    fn insert(&mut self, task: T, detached: bool) -> Result<TaskId, Full<T>> {
        let index = self.free;
        let Some(slot) = self.slots.as_mut().get_mut(index as usize) else { return Err(Full(task)) };
        self.free = slot.next_free;
        slot.state = State::Live(task);
        slot.detached = detached;
        let id = TaskId { index, generation: slot.generation };
        self.live += 1;
        self.wake(index);
        Ok(id)
    }

    /// The task's result, once; `WouldBlock` while it is live. O(1).
    ///
    /// # Errors
    /// [`Failure`].
    pub fn result(&mut self, id: TaskId) -> nb::Result<O, Failure<E>> {
        let slot = self.slot(id).ok_or(Failure::Stale)?;
        if matches!(slot.state, State::Live(_)) {
            return Err(nb::Error::WouldBlock);
        }
        let state = core::mem::replace(&mut slot.state, State::Free);
        self.release(id.index);
        match state {
            State::Done(output) => Ok(output),
            State::Failed(error) => Err(Failure::Failed(error).into()),
            State::Cancelled => Err(Failure::Cancelled.into()),
            State::Free | State::Live(_) => Err(Failure::Stale.into()),
        }
    }

    /// Drops a live task between two polls; true if there was one. Its result is [`Failure::Cancelled`]. O(log N).
    pub fn abort(&mut self, id: TaskId) -> bool {
        match self.slot(id) {
            Some(slot) if matches!(slot.state, State::Live(_)) => self.finish(id.index, State::Cancelled),
            _ => return false,
        }
        true
    }

    /// How many tasks are live.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether a slot is free.
    pub fn has_room(&self) -> bool {
        self.free != NONE
    }

    /// A live task, to look at or to talk to between polls.
    pub fn get_mut(&mut self, id: TaskId) -> Option<&mut T> {
        match &mut self.slot(id)?.state {
            State::Live(task) => Some(task),
            _ => None,
        }
    }

    /// The live tasks, in slot order. O(N) to walk.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.as_ref().iter().filter_map(|slot| match &slot.state {
            State::Live(task) => Some(task),
            _ => None,
        })
    }

    fn slot(&mut self, id: TaskId) -> Option<&mut Slot<T, O, E>> {
        let slot = self.slots.as_mut().get_mut(id.index as usize)?;
        (slot.generation == id.generation && !matches!(slot.state, State::Free)).then_some(slot)
    }

    fn release(&mut self, index: u32) {
        let free = self.free;
        let slot = &mut self.slots.as_mut()[index as usize];
        slot.state = State::Free;
        slot.generation = slot.generation.wrapping_add(1);
        // It may still stand in the ready queue: the queue skips what is not live, and a new task just inherits the place.
        slot.next_free = free;
        self.free = index;
    }

    /// Ends a live task.
    fn finish(&mut self, index: u32, state: State<T, O, E>) {
        self.clear_deadline(index);
        self.live -= 1;
        let slot = &mut self.slots.as_mut()[index as usize];
        slot.state = state;
        if slot.detached {
            self.release(index);
        }
    }

    pub(crate) fn complete(&mut self, index: u32, result: Result<O, E>) {
        self.finish(index, result.map_or_else(State::Failed, State::Done));
    }

    pub(crate) fn task(&mut self, index: u32) -> Option<&mut T> {
        match &mut self.slots.as_mut().get_mut(index as usize)?.state {
            State::Live(task) => Some(task),
            _ => None,
        }
    }

    /// Puts a live task at the end of the ready queue, unless it is in it. Anything else is ignored. O(1).
    pub(crate) fn wake(&mut self, index: u32) {
        let Some(slot) = self.slots.as_mut().get_mut(index as usize) else { return };
        if slot.queued || !matches!(slot.state, State::Live(_)) {
            return;
        }
        slot.queued = true;
        slot.next_ready = NONE;
        match self.ready_last {
            NONE => self.ready_first = index,
            last => self.slots.as_mut()[last as usize].next_ready = index,
        }
        self.ready_last = index;
    }

    /// Wakes every live task. O(N).
    pub(crate) fn wake_all(&mut self) {
        for index in 0..self.slots.as_ref().len() as u32 {
            self.wake(index);
        }
    }

    /// Takes the first ready task off the queue; its deadline is forgotten.
    pub(crate) fn pop_ready(&mut self) -> Option<u32> {
        loop {
            let index = self.ready_first;
            let slot = self.slots.as_mut().get_mut(index as usize)?;
            self.ready_first = slot.next_ready;
            if self.ready_first == NONE {
                self.ready_last = NONE;
            }
            slot.queued = false;
            if matches!(slot.state, State::Live(_)) {
                self.clear_deadline(index);
                return Some(index);
            }
        }
    }

    pub(crate) fn any_ready(&self) -> bool {
        self.ready_first != NONE
    }

    /// Wakes every task whose deadline is not after `now`. O(log N) each.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((deadline, index)) = self.first_deadline() {
            if deadline > now {
                break;
            }
            self.clear_deadline(index);
            self.wake(index);
        }
    }

    pub(crate) fn first_deadline(&self) -> Option<(Instant, u32)> {
        if self.heap_len == 0 {
            return None;
        }
        let slots = self.slots.as_ref();
        let index = slots[0].heap;
        Some((slots[index as usize].deadline, index))
    }

    pub(crate) fn set_deadline(&mut self, index: u32, deadline: Instant) {
        self.clear_deadline(index);
        self.slots.as_mut()[index as usize].deadline = deadline;
        let place = self.heap_len;
        self.heap_len += 1;
        self.put(place, index);
        self.sift_up(place);
    }

    fn clear_deadline(&mut self, index: u32) {
        let place = self.slots.as_ref()[index as usize].heap_at;
        if place == NONE {
            return;
        }
        self.slots.as_mut()[index as usize].heap_at = NONE;
        self.heap_len -= 1;
        if place != self.heap_len {
            let moved = self.slots.as_ref()[self.heap_len as usize].heap;
            self.put(place, moved);
            self.sift_down(place);
            self.sift_up(place);
        }
    }

    fn put(&mut self, place: u32, index: u32) {
        let slots = self.slots.as_mut();
        slots[place as usize].heap = index;
        slots[index as usize].heap_at = place;
    }

    fn deadline_at(&self, place: u32) -> Instant {
        let slots = self.slots.as_ref();
        slots[slots[place as usize].heap as usize].deadline
    }

    fn swap(&mut self, a: u32, b: u32) {
        let slots = self.slots.as_ref();
        let (index_a, index_b) = (slots[a as usize].heap, slots[b as usize].heap);
        self.put(a, index_b);
        self.put(b, index_a);
    }

    fn sift_up(&mut self, mut place: u32) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.deadline_at(parent) <= self.deadline_at(place) {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sift_down(&mut self, mut place: u32) {
        loop {
            let left = 2 * place + 1;
            if left >= self.heap_len {
                return;
            }
            let right = left + 1;
            let child =
                if right < self.heap_len && self.deadline_at(right) < self.deadline_at(left) { right } else { left };
            if self.deadline_at(place) <= self.deadline_at(child) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }
}
