//! Between cores, threads, and executors.

use super::error::{GetError, PutError, ShutDown, TooManyDone};
use super::order::Order;
use super::state::{Refusal, State};
use crate::time::Instant;
use core::convert::Infallible;
use core::task::Waker;
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// A queue for any number of producers and consumers, on any cores and threads. Usually in a `static`. See the
/// [module](super).
///
/// It is guarded by a lock that nobody waits for: who finds it taken gets `WouldBlock` or `Busy`, and, if it would have
/// waited anyway, is woken at once to try again. So no core and no interrupt can block another one. The lock is held for
/// one operation, and not while others are woken.
///
/// Who waits is named by a [`Waker`]: that of a task's [flag](crate::wake::Flag::waker), of a future, of a thread. At most
/// `W` can wait to get, as many to put and to join; one more is woken at once, that is, tries again each turn.
///
/// Interrupts: yes, if the wakers may be woken and dropped from one (as those of flags may). An interrupt cannot wait, so
/// the `_nowait` operations are for it, and it must expect `Busy`. If it cannot, give it an
/// [`FromInterrupt`](super::FromInterrupt) queue.
///
/// ```
/// use core::task::Waker;
/// use tidemill_core::queue::{Fifo, GetError, Shared};
///
/// static QUEUE: Shared<Fifo<u32, 8>> = Shared::new(Fifo::new());
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         for number in 0..100 {
///             let mut item = Some(number);
///             // On a host one would park the thread, and wake it through its waker.
///             while QUEUE.put(&mut item, Waker::noop()).is_err() {}
///         }
///     });
///     let mut sum = 0;
///     for _ in 0..100 {
///         sum += loop {
///             if let Ok(number) = QUEUE.get(Waker::noop()) {
///                 break number;
///             }
///         };
///     }
///     assert_eq!(sum, 4950);
/// });
/// assert_eq!(QUEUE.get_nowait(), Err(GetError::Empty));
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shared<O, const W: usize = 4> {
    state: SpinMutex<State<O, Waker, W>>,
}

impl<O: Order, const W: usize> Shared<O, W> {
    /// An empty queue. Interrupts: no, it cannot be there yet.
    pub const fn new(items: O) -> Self {
        Self { state: SpinMutex::new(State::new(items)) }
    }

    /// The state, or a promise that this one will look again.
    fn lock_or_retry(&self, waker: &Waker) -> nb::Result<SpinMutexGuard<'_, State<O, Waker, W>>, Infallible> {
        self.state.try_lock().ok_or_else(|| {
            waker.wake_by_ref();
            nb::Error::WouldBlock
        })
    }

    /// Puts the item, or has `waker` woken when there is room: then the item stays where it is. `None` is put at once.
    /// O(W) and what the order says, as is everything here. Interrupts: [`put_nowait`](Self::put_nowait) is for them.
    ///
    /// # Errors
    /// [`ShutDown`]; the item stays where it is.
    pub fn put(&self, item: &mut Option<O::Item>, waker: &Waker) -> nb::Result<(), ShutDown> {
        let mut state = self.lock_or_retry(waker).map_err(never)?;
        match state.put_from(item, waker) {
            Ok(getter) => {
                drop(state);
                wake(getter);
                Ok(())
            }
            Err(Refusal::ShutDown) => Err(ShutDown.into()),
            Err(Refusal::NotNow) => {
                let listed = state.putters.add(waker);
                drop(state);
                wait(listed, waker)
            }
        }
    }

    /// As [`put`](Self::put), until `deadline`. It is for the caller to call again then: a waker has no clock.
    /// Interrupts: as [`put`](Self::put).
    ///
    /// # Errors
    /// [`PutError::Full`] at the deadline, [`PutError::ShutDown`]; the item stays where it is.
    pub fn put_until(
        &self,
        item: &mut Option<O::Item>,
        now: Instant,
        deadline: Instant,
        waker: &Waker,
    ) -> nb::Result<(), PutError> {
        let mut state = self.lock_or_retry(waker).map_err(never)?;
        match state.put_from(item, waker) {
            Ok(getter) => {
                drop(state);
                wake(getter);
                Ok(())
            }
            Err(Refusal::ShutDown) => Err(PutError::ShutDown(()).into()),
            Err(Refusal::NotNow) if now >= deadline => {
                state.putters.remove(waker);
                Err(PutError::Full(()).into())
            }
            Err(Refusal::NotNow) => {
                let listed = state.putters.add(waker);
                drop(state);
                wait(listed, waker)
            }
        }
    }

    /// Puts the item if there is room. Interrupts: yes, see [`Shared`].
    ///
    /// # Errors
    /// [`PutError`] hands the item back.
    pub fn put_nowait(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        let Some(mut state) = self.state.try_lock() else { return Err(PutError::Busy(item)) };
        let getter = state.put(item).map_err(|(refusal, item)| match refusal {
            Refusal::NotNow => PutError::Full(item),
            Refusal::ShutDown => PutError::ShutDown(item),
        })?;
        drop(state);
        wake(getter);
        Ok(())
    }

    /// Takes the next item, or has `waker` woken when there is one. Interrupts: [`get_nowait`](Self::get_nowait) is for
    /// them.
    ///
    /// # Errors
    /// [`ShutDown`], when the queue is empty, too.
    pub fn get(&self, waker: &Waker) -> nb::Result<O::Item, ShutDown> {
        let mut state = self.lock_or_retry(waker).map_err(never)?;
        match state.get_by(waker) {
            Ok((item, putter)) => {
                drop(state);
                wake(putter);
                Ok(item)
            }
            Err(Refusal::ShutDown) => Err(ShutDown.into()),
            Err(Refusal::NotNow) => {
                let listed = state.getters.add(waker);
                drop(state);
                wait(listed, waker)
            }
        }
    }

    /// As [`get`](Self::get), until `deadline`. It is for the caller to call again then: a waker has no clock.
    /// Interrupts: as [`get`](Self::get).
    ///
    /// # Errors
    /// [`GetError::Empty`] at the deadline, [`GetError::ShutDown`].
    pub fn get_until(&self, now: Instant, deadline: Instant, waker: &Waker) -> nb::Result<O::Item, GetError> {
        let mut state = self.lock_or_retry(waker).map_err(never)?;
        match state.get_by(waker) {
            Ok((item, putter)) => {
                drop(state);
                wake(putter);
                Ok(item)
            }
            Err(Refusal::ShutDown) => Err(GetError::ShutDown.into()),
            Err(Refusal::NotNow) if now >= deadline => {
                state.getters.remove(waker);
                Err(GetError::Empty.into())
            }
            Err(Refusal::NotNow) => {
                let listed = state.getters.add(waker);
                drop(state);
                wait(listed, waker)
            }
        }
    }

    /// Takes the next item if there is one. Interrupts: yes, see [`Shared`].
    ///
    /// # Errors
    /// [`GetError`].
    pub fn get_nowait(&self) -> Result<O::Item, GetError> {
        let mut state = self.state.try_lock().ok_or(GetError::Busy)?;
        let (item, putter) = state.get().map_err(|refusal| match refusal {
            Refusal::NotNow => GetError::Empty,
            Refusal::ShutDown => GetError::ShutDown,
        })?;
        drop(state);
        wake(putter);
        Ok(item)
    }

    /// Whoever got an item is done with it. `WouldBlock`: the queue is in use, and this was not counted. Interrupts: yes,
    /// see [`Shared`].
    ///
    /// # Errors
    /// [`TooManyDone`]: it was called more often than items were put.
    pub fn task_done(&self) -> nb::Result<(), TooManyDone> {
        let mut state = self.state.try_lock().ok_or(nb::Error::WouldBlock)?;
        let joiners = state.task_done()?;
        drop(state);
        wake(joiners);
        Ok(())
    }

    /// Has `waker` woken when every item that was put is done, see [`task_done`](Self::task_done). Interrupts: no, they
    /// cannot wait.
    pub fn join(&self, waker: &Waker) -> nb::Result<(), Infallible> {
        let mut state = self.lock_or_retry(waker)?;
        if state.is_joined() {
            state.joiners.remove(waker);
            return Ok(());
        }
        let listed = state.joiners.add(waker);
        drop(state);
        wait(listed, waker)
    }

    /// Takes nothing any more. Who waits to put is released with [`ShutDown`]; what is there can still be got, then
    /// getters get [`ShutDown`], too. `immediate`: what is there is dropped, and counts as done. O(N) then, with the queue
    /// in use. `WouldBlock`: it is in use, and nothing was done. Interrupts: yes, see [`Shared`], if the items may be
    /// dropped there.
    pub fn shutdown(&self, immediate: bool) -> nb::Result<(), Infallible> {
        let mut state = self.state.try_lock().ok_or(nb::Error::WouldBlock)?;
        let waiters = state.shutdown(immediate);
        drop(state);
        wake(waiters.into_iter().flatten());
        Ok(())
    }

    /// Forgets one that waited for this queue and does so no more. If it had just been woken, another one is woken in its
    /// place. `WouldBlock`: the queue is in use, and nothing was done. Interrupts: yes, see [`Shared`].
    pub fn leave(&self, waker: &Waker) -> nb::Result<(), Infallible> {
        let mut state = self.state.try_lock().ok_or(nb::Error::WouldBlock)?;
        let waiters = state.leave(waker);
        drop(state);
        wake(waiters.into_iter().flatten());
        Ok(())
    }

    /// How many items there are now; soon there may be more or fewer. `WouldBlock`: the queue is in use. Interrupts: yes.
    pub fn qsize(&self) -> nb::Result<usize, Infallible> {
        Ok(self.state.try_lock().ok_or(nb::Error::WouldBlock)?.items.len())
    }

    /// Whether there are none now. `WouldBlock`: the queue is in use. Interrupts: yes.
    pub fn empty(&self) -> nb::Result<bool, Infallible> {
        Ok(self.state.try_lock().ok_or(nb::Error::WouldBlock)?.items.is_empty())
    }

    /// Whether there is no room now. `WouldBlock`: the queue is in use. Interrupts: yes.
    pub fn full(&self) -> nb::Result<bool, Infallible> {
        Ok(self.state.try_lock().ok_or(nb::Error::WouldBlock)?.items.is_full())
    }
}

fn never<E>(error: nb::Error<Infallible>) -> nb::Error<E> {
    error.map(|never| match never {})
}

fn wake(waiters: impl IntoIterator<Item = Waker>) {
    waiters.into_iter().for_each(Waker::wake);
}

fn wait<T, E>(listed: bool, waker: &Waker) -> nb::Result<T, E> {
    if !listed {
        waker.wake_by_ref();
    }
    Err(nb::Error::WouldBlock)
}
