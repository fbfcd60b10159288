//! A pool over an iterator of tasks, with a bound on how many are in flight.
//!
//! Python's `Executor.map` submits the whole iterable at once; this one submits as results are taken, so that an endless
//! iterator needs no more than `W` slots.
//!
//! ```
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::pool::{Map, Slot};
//! use tidemill_core::task::{Context, Task};
//! use tidemill_core::time::EPOCH;
//!
//! struct Square(u32);
//! impl Task<NoNetwork> for Square {
//!     type Output = u32;
//!     type Error = ();
//!     fn poll(&mut self, _: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ()> {
//!         Ok(self.0 * self.0)
//!     }
//! }
//!
//! let mut executor = Executor::new([const { Slot::EMPTY }; 4]);
//! let mut squares = Map::<_, _, 4>::new((1..=10).map(Square), &mut executor.pool);
//! let mut results = Vec::new();
//! loop {
//!     match squares.next(&mut executor.pool) {
//!         Ok(Some(square)) => results.push(square),
//!         Ok(None) => break,
//!         Err(nb::Error::WouldBlock) => { executor.turn(EPOCH, &mut NoNetwork, &mut ()); }
//!         Err(error) => panic!("{error:?}"),
//!     }
//! }
//! assert_eq!(results, [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]);
//! ```

use super::{Callbacks, Failure, Slot, SubmitError, TaskId, TaskPool};
use crate::time::Instant;
use heapless::Vec;

/// Results of tasks from an iterator, at most `W` of which are in the pool at once.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "dropped, it leaves its tasks in the pool: call `cancel`"]
pub struct Map<I, T, const W: usize> {
    tasks: I,
    /// Refused by a full pool.
    held: Option<T>,
    in_flight: Vec<TaskId, W>,
}

impl<I: Iterator<Item = T>, T, const W: usize> Map<I, T, W> {
    /// Submits the first tasks, as many as there is room for.
    pub fn new<B, O, E, C>(tasks: impl IntoIterator<IntoIter = I>, pool: &mut TaskPool<T, B, O, E, C>) -> Self
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        let mut map = Self { tasks: tasks.into_iter(), held: None, in_flight: Vec::new() };
        map.fill(pool);
        map
    }

    /// The next result in order of the iterator, `None` after the last; `WouldBlock` while its task lives, or while the
    /// pool has no room for it.
    ///
    /// # Errors
    /// [`Failure`] of that task; the results after it still come. [`Failure::Cancelled`] also for each task that was not
    /// submitted because the pool was shut down.
    pub fn next<B, O, E, C>(&mut self, pool: &mut TaskPool<T, B, O, E, C>) -> nb::Result<Option<O>, Failure<E>>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        self.take(pool, |_, _| Some(0))
    }

    /// As [`next`](Self::next), but gives up at `deadline`, which is the same for all results: Python's time-out counts from
    /// the call to `map`. The tasks go on, and their results can still be asked for.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`Failure::TimedOut`].
    pub fn next_by<B, O, E, C>(
        &mut self,
        pool: &mut TaskPool<T, B, O, E, C>,
        deadline: Instant,
        now: Instant,
    ) -> nb::Result<Option<O>, Failure<E>>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        match self.next(pool) {
            Err(nb::Error::WouldBlock) if now >= deadline => Err(Failure::TimedOut.into()),
            result => result,
        }
    }

    /// As [`next`](Self::next), but in the order in which the tasks end. O(W).
    #[doc(alias = "imap_unordered")]
    pub fn next_completed<B, O, E, C>(
        &mut self,
        pool: &mut TaskPool<T, B, O, E, C>,
    ) -> nb::Result<Option<O>, Failure<E>>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        self.take(pool, |pool, in_flight| {
            let ended = in_flight.iter().enumerate().filter_map(|(index, &id)| Some((pool.ended_as(id)?, index)));
            ended.min().map(|(_, index)| index)
        })
    }

    /// Cancels what has not begun, and leaves what runs to itself: its slots are free as soon as it has ended.
    pub fn cancel<B, O, E, C>(self, pool: &mut TaskPool<T, B, O, E, C>)
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        for id in self.in_flight {
            pool.cancel(id);
            pool.detach(id);
        }
    }

    fn take<B, O, E, C>(
        &mut self,
        pool: &mut TaskPool<T, B, O, E, C>,
        which: impl FnOnce(&TaskPool<T, B, O, E, C>, &[TaskId]) -> Option<usize>,
    ) -> nb::Result<Option<O>, Failure<E>>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        let refused = self.fill(pool);
        if self.in_flight.is_empty() {
            return match refused {
                None => Ok(None),
                Some(Refused::Full) => Err(nb::Error::WouldBlock),
                Some(Refused::ShutDown) => {
                    self.held = None;
                    Err(Failure::Cancelled.into())
                }
            };
        }
        let Some((index, &id)) =
            which(pool, &self.in_flight).and_then(|index| Some((index, self.in_flight.get(index)?)))
        else {
            return Err(nb::Error::WouldBlock);
        };
        let result = pool.result(id);
        if !matches!(result, Err(nb::Error::WouldBlock)) {
            self.in_flight.remove(index);
            self.fill(pool);
        }
        result.map(Some)
    }

    /// Submits until nothing is left, or there is no room for the next.
    fn fill<B, O, E, C>(&mut self, pool: &mut TaskPool<T, B, O, E, C>) -> Option<Refused>
    where
        B: AsRef<[Slot<T, O, E, C>]> + AsMut<[Slot<T, O, E, C>]>,
        C: Callbacks,
    {
        while !self.in_flight.is_full() {
            let task = self.held.take().or_else(|| self.tasks.next())?;
            let (task, refused) = match pool.submit(task) {
                Ok(id) => {
                    // There is room: just looked.
                    let _ = self.in_flight.push(id);
                    continue;
                }
                Err(SubmitError::Full(task)) => (task, Refused::Full),
                Err(SubmitError::ShutDown(task)) => (task, Refused::ShutDown),
            };
            self.held = Some(task);
            return Some(refused);
        }
        None
    }
}

enum Refused {
    Full,
    ShutDown,
}
