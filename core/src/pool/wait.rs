//! Waiting for many tasks: for the first, the first that failed, all, or one after the other as they end.
//!
//! There is no heap to build sets in, so both work in the caller's slice of ids: what has ended is moved to its front.
//!
//! ```
//! use tidemill_core::pool::{AsCompleted, ReturnWhen, Slot, TaskPool};
//! use tidemill_core::time::EPOCH;
//!
//! let mut pool = TaskPool::<&str, _>::new([const { Slot::EMPTY }; 3]);
//! let mut ids = ["a", "b", "c"].map(|task| pool.submit(task).unwrap());
//! let b = ids[1];
//! pool.cancel(b);
//!
//! let waited = pool.wait(&mut ids, ReturnWhen::FirstCompleted, EPOCH, None).unwrap();
//! assert_eq!((waited.done, waited.not_done.len()), (&[b][..], 2));
//!
//! let mut completed = AsCompleted::new(&mut ids);
//! assert_eq!(completed.next(&pool, EPOCH, None), Ok(Some(b)));
//! assert_eq!(completed.next(&pool, EPOCH, None), Err(nb::Error::WouldBlock));
//! ```

use super::{Callbacks, Slot, Stale, TaskId, TaskPool};
use crate::future::State;
use crate::time::Instant;

/// What [`TaskPool::wait`] waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReturnWhen {
    /// One task has ended, however.
    FirstCompleted,
    /// One task has failed (being cancelled is no failure), or all have ended.
    FirstException,
    /// All tasks have ended.
    AllCompleted,
}

/// What had ended when [`TaskPool::wait`] returned. A task that was named twice counts once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Waited<'a> {
    /// Have ended.
    pub done: &'a [TaskId],
    /// Live.
    pub not_done: &'a [TaskId],
}

impl<T, B, O, E, C> TaskPool<T, B, O, E, C>
where
    B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
    C: Callbacks,
{
    /// What of `ids` has ended, once that is what is waited for, or `deadline` has come. Reorders `ids`. O(n log n).
    ///
    /// # Errors
    /// [`Stale`]: the result of one has been taken.
    pub fn wait<'a>(
        &self,
        ids: &'a mut [TaskId],
        when: ReturnWhen,
        now: Instant,
        deadline: Option<Instant>,
    ) -> nb::Result<Waited<'a>, Stale> {
        let ids = unique(ids);
        let (mut done, mut failed) = (0, false);
        for index in 0..ids.len() {
            let state = self.state(ids[index])?;
            failed |= state == State::Failed;
            if state.is_ended() {
                ids.swap(index, done);
                done += 1;
            }
        }
        let enough = match when {
            ReturnWhen::FirstCompleted => done > 0,
            ReturnWhen::FirstException => failed,
            ReturnWhen::AllCompleted => false,
        };
        if enough || done == ids.len() || deadline.is_some_and(|deadline| now >= deadline) {
            let (done, not_done) = ids.split_at(done);
            Ok(Waited { done, not_done })
        } else {
            Err(nb::Error::WouldBlock)
        }
    }
}

/// Tasks in the order in which they end, each once. The ended ones come first.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AsCompleted<'a> {
    ids: &'a mut [TaskId],
    yielded: usize,
}

/// The time was over before all tasks had ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unfinished {
    /// How many tasks live.
    pub left: usize,
    /// Of how many.
    pub of: usize,
}

impl core::error::Error for Unfinished {}

impl core::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (of {}) futures unfinished", self.left, self.of)
    }
}

impl<'a> AsCompleted<'a> {
    /// Of these tasks. One that is named twice counts once. O(n log n).
    pub fn new(ids: &'a mut [TaskId]) -> Self {
        Self { ids: unique(ids), yielded: 0 }
    }

    /// The next that has ended, `None` after the last. Its result may be taken. A task whose result somebody else took
    /// counts as ended. O(n).
    ///
    /// # Errors
    /// [`Unfinished`] at the deadline.
    pub fn next<T, B, O, E, C>(
        &mut self,
        pool: &TaskPool<T, B, O, E, C>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> nb::Result<Option<TaskId>, Unfinished>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        let of = self.ids.len();
        let Some(rest) = self.ids.get_mut(self.yielded..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
        let ended = rest.iter().enumerate().filter_map(|(index, &id)| Some((pool.ended_as(id)?, index)));
        if let Some((_, index)) = ended.min() {
            rest.swap(0, index);
            self.yielded += 1;
            return Ok(Some(rest[0]));
        }
        match deadline {
            Some(deadline) if now >= deadline => Err(Unfinished { left: rest.len(), of }.into()),
            _ => Err(nb::Error::WouldBlock),
        }
    }
}

/// Each id once, in front.
fn unique(ids: &mut [TaskId]) -> &mut [TaskId] {
    ids.sort_unstable();
    let mut len = 0;
    for index in 0..ids.len() {
        if len == 0 || ids[len - 1] != ids[index] {
            ids[len] = ids[index];
            len += 1;
        }
    }
    &mut ids[..len]
}
