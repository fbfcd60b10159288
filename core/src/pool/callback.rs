//! What is called when a task has ended.
//!
//! Callbacks live in the task's slot, in a container that the pool's last type parameter names: `()` for none,
//! `Option<F>` for one, `heapless::Deque<F, K>` for up to `K`. So a pool without callbacks pays nothing, and one with
//! them has room from the start. `F` is a function, a closure, or any [`Callback`].
//!
//! ```
//! use tidemill_core::executor::Executor;
//! use tidemill_core::net::NoNetwork;
//! use tidemill_core::pool::{Failure, Slot, TaskId};
//! use tidemill_core::task::{Context, Task};
//! use tidemill_core::time::EPOCH;
//!
//! struct Square(u32);
//! impl Task<NoNetwork, u32> for Square {
//!     type Output = u32;
//!     type Error = ();
//!     fn poll(&mut self, _: &mut Context<'_, NoNetwork, u32>) -> nb::Result<u32, ()> {
//!         Ok(self.0 * self.0)
//!     }
//! }
//!
//! type Add = fn(TaskId, Result<&u32, Failure<&()>>, &mut u32);
//! let add: Add = |_, result, sum| *sum += result.unwrap();
//!
//! let mut executor = Executor::new([const { Slot::<_, _, _, Option<Add>>::with_callbacks() }; 4]);
//! let mut sum = 0;
//! for number in 1..=4 {
//!     let id = executor.pool.submit(Square(number)).unwrap();
//!     executor.pool.add_done_callback(id, add, &mut sum).unwrap();
//! }
//! executor.turn(EPOCH, &mut NoNetwork, &mut sum);
//! assert_eq!(sum, 1 + 4 + 9 + 16);
//! ```

use super::{Failure, TaskId};
use core::task::Waker;

/// What is called, once, when a task has ended. Functions and closures are.
pub trait Callback<O, E, X> {
    /// `result` is what the task's result will be when it is taken; `shared` is what the pool's tasks share.
    fn call(self, task: TaskId, result: Result<&O, Failure<&E>>, shared: &mut X);
}

impl<O, E, X, F: FnOnce(TaskId, Result<&O, Failure<&E>>, &mut X)> Callback<O, E, X> for F {
    fn call(self, task: TaskId, result: Result<&O, Failure<&E>>, shared: &mut X) {
        self(task, result, shared);
    }
}

/// Where a slot keeps its callbacks, first in, first out.
pub trait Callbacks {
    /// What is kept.
    type Callback;
    /// None.
    const EMPTY: Self;
    /// Keeps one more, or hands it back.
    fn add(&mut self, callback: Self::Callback) -> Result<(), Self::Callback>;
    /// Takes the first.
    fn take(&mut self) -> Option<Self::Callback>;
    /// Whether there is none.
    fn is_empty(&self) -> bool;
}

/// The callback of a pool that has none.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Never {}

impl<O, E, X> Callback<O, E, X> for Never {
    fn call(self, _: TaskId, _: Result<&O, Failure<&E>>, _: &mut X) {
        match self {}
    }
}

impl Callbacks for () {
    type Callback = Never;
    const EMPTY: Self = ();

    fn add(&mut self, callback: Never) -> Result<(), Never> {
        Err(callback)
    }

    fn take(&mut self) -> Option<Never> {
        None
    }

    fn is_empty(&self) -> bool {
        true
    }
}

impl<F> Callbacks for Option<F> {
    type Callback = F;
    const EMPTY: Self = None;

    fn add(&mut self, callback: F) -> Result<(), F> {
        if self.is_some() {
            return Err(callback);
        }
        *self = Some(callback);
        Ok(())
    }

    fn take(&mut self) -> Option<F> {
        self.take()
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<F, const K: usize> Callbacks for heapless::Deque<F, K> {
    type Callback = F;
    const EMPTY: Self = Self::new();

    fn add(&mut self, callback: F) -> Result<(), F> {
        self.push_back(callback)
    }

    fn take(&mut self) -> Option<F> {
        self.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Wakes an `async` task of any executor when this pool's task has ended; see
/// [`TaskPool::poll_result`](super::TaskPool::poll_result).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WakeOnDone(#[cfg_attr(feature = "defmt", defmt(Debug2Format))] pub(super) Waker);

impl<O, E, X> Callback<O, E, X> for WakeOnDone {
    fn call(self, _: TaskId, _: Result<&O, Failure<&E>>, _: &mut X) {
        self.0.wake();
    }
}
