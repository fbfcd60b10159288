//! Between tasks of one executor.

use super::error::{GetError, PutError, ShutDown, TooManyDone};
use super::order::Order;
use super::state::{Refusal, State};
use crate::net::Token;
use crate::task::{Me, Wake};
use crate::time::Instant;

/// A queue between tasks of one executor: a part of what they share. See the [module](super).
///
/// `O` keeps the items ([`Fifo`](super::Fifo), [`Lifo`](super::Lifo), [`Priority`](super::Priority)) and says what an
/// operation costs. At most `W` tasks can wait to get, as many to put and to join, for four bytes each; one more is polled
/// every tick instead, and misses nothing.
///
/// A task that waits is listed by name until it goes on. One that gives up before, because it has lost a `select` or was
/// aborted, must be taken off the list: see [`leave`](Self::leave).
///
/// Interrupts: no; it has a single owner. See [`FromInterrupt`](super::FromInterrupt).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Queue<O, const W: usize = 4> {
    state: State<O, Token, W>,
}

impl<O: Order, const W: usize> Queue<O, W> {
    /// An empty queue. Interrupts: no.
    pub const fn new(items: O) -> Self {
        Self { state: State::new(items) }
    }

    /// Puts the item, or waits until there is room: then the item stays where it is. `None` is put at once. O(W) and what
    /// the order says, as is everything here. Interrupts: no, they cannot wait.
    ///
    /// # Errors
    /// [`ShutDown`]; the item stays where it is.
    pub fn put(&mut self, item: &mut Option<O::Item>, me: &mut Me) -> nb::Result<(), ShutDown> {
        match self.state.put_from(item, &me.token()) {
            Ok(getter) => {
                wake(getter, me);
                Ok(())
            }
            Err(Refusal::ShutDown) => Err(ShutDown.into()),
            Err(Refusal::NotNow) => {
                wait(self.state.putters.add(&me.token()), me);
                Err(nb::Error::WouldBlock)
            }
        }
    }

    /// As [`put`](Self::put), until `deadline`. A deadline that has passed is for those who do not wait. Interrupts: no.
    ///
    /// # Errors
    /// [`PutError::Full`] at the deadline, [`PutError::ShutDown`]; the item stays where it is.
    pub fn put_until(
        &mut self,
        item: &mut Option<O::Item>,
        now: Instant,
        deadline: Instant,
        me: &mut Me,
    ) -> nb::Result<(), PutError> {
        match self.state.put_from(item, &me.token()) {
            Ok(getter) => {
                wake(getter, me);
                Ok(())
            }
            Err(Refusal::ShutDown) => Err(PutError::ShutDown(()).into()),
            Err(Refusal::NotNow) if now >= deadline => {
                self.state.putters.remove(&me.token());
                Err(PutError::Full(()).into())
            }
            Err(Refusal::NotNow) => {
                wait_until(self.state.putters.add(&me.token()), now, deadline, me);
                Err(nb::Error::WouldBlock)
            }
        }
    }

    /// Puts the item if there is room. `tasks` is the task that puts (`cx.me`) or, between turns, the executor.
    /// Interrupts: no.
    ///
    /// # Errors
    /// [`PutError`] hands the item back.
    pub fn put_nowait(&mut self, item: O::Item, tasks: &mut impl Wake) -> Result<(), PutError<O::Item>> {
        let getter = self.state.put(item).map_err(|(refusal, item)| match refusal {
            Refusal::NotNow => PutError::Full(item),
            Refusal::ShutDown => PutError::ShutDown(item),
        })?;
        wake(getter, tasks);
        Ok(())
    }

    /// Takes the next item, or waits until there is one. Interrupts: no, they cannot wait.
    ///
    /// # Errors
    /// [`ShutDown`], when the queue is empty, too.
    pub fn get(&mut self, me: &mut Me) -> nb::Result<O::Item, ShutDown> {
        match self.state.get_by(&me.token()) {
            Ok((item, putter)) => {
                wake(putter, me);
                Ok(item)
            }
            Err(Refusal::ShutDown) => Err(ShutDown.into()),
            Err(Refusal::NotNow) => {
                wait(self.state.getters.add(&me.token()), me);
                Err(nb::Error::WouldBlock)
            }
        }
    }

    /// As [`get`](Self::get), until `deadline`. Interrupts: no.
    ///
    /// # Errors
    /// [`GetError::Empty`] at the deadline, [`GetError::ShutDown`].
    pub fn get_until(&mut self, now: Instant, deadline: Instant, me: &mut Me) -> nb::Result<O::Item, GetError> {
        match self.state.get_by(&me.token()) {
            Ok((item, putter)) => {
                wake(putter, me);
                Ok(item)
            }
            Err(Refusal::ShutDown) => Err(GetError::ShutDown.into()),
            Err(Refusal::NotNow) if now >= deadline => {
                self.state.getters.remove(&me.token());
                Err(GetError::Empty.into())
            }
            Err(Refusal::NotNow) => {
                wait_until(self.state.getters.add(&me.token()), now, deadline, me);
                Err(nb::Error::WouldBlock)
            }
        }
    }

    /// Takes the next item if there is one. `tasks` as for [`put_nowait`](Self::put_nowait). Interrupts: no.
    ///
    /// # Errors
    /// [`GetError::Empty`], [`GetError::ShutDown`].
    pub fn get_nowait(&mut self, tasks: &mut impl Wake) -> Result<O::Item, GetError> {
        let (item, putter) = self.state.get().map_err(|refusal| match refusal {
            Refusal::NotNow => GetError::Empty,
            Refusal::ShutDown => GetError::ShutDown,
        })?;
        wake(putter, tasks);
        Ok(item)
    }

    /// Whoever got an item is done with it. Interrupts: no.
    ///
    /// # Errors
    /// [`TooManyDone`]: it was called more often than items were put.
    pub fn task_done(&mut self, tasks: &mut impl Wake) -> Result<(), TooManyDone> {
        wake(self.state.task_done()?, tasks);
        Ok(())
    }

    /// Waits until every item that was put is done, see [`task_done`](Self::task_done). Interrupts: no.
    pub fn join(&mut self, me: &mut Me) -> nb::Result<(), core::convert::Infallible> {
        if self.state.is_joined() {
            self.state.joiners.remove(&me.token());
            return Ok(());
        }
        wait(self.state.joiners.add(&me.token()), me);
        Err(nb::Error::WouldBlock)
    }

    /// Takes nothing any more. Who waits to put is released with [`ShutDown`]; what is there can still be got, then
    /// getters get [`ShutDown`], too. `immediate`: what is there is dropped, and counts as done. O(N) then.
    /// Interrupts: no.
    pub fn shutdown(&mut self, immediate: bool, tasks: &mut impl Wake) {
        wake(self.state.shutdown(immediate).into_iter().flatten(), tasks);
    }

    /// Forgets a task that waited for this queue and does so no more: it has lost a `select`, or was aborted. If it had
    /// just been woken, another one is woken in its place. Interrupts: no.
    pub fn leave(&mut self, token: Token, tasks: &mut impl Wake) {
        wake(self.state.leave(&token).into_iter().flatten(), tasks);
    }

    /// How many items there are now. Interrupts: no.
    pub fn qsize(&self) -> usize {
        self.state.items.len()
    }

    /// Whether there are none now. Interrupts: no.
    pub fn empty(&self) -> bool {
        self.state.items.is_empty()
    }

    /// Whether there is no room now. Interrupts: no.
    pub fn full(&self) -> bool {
        self.state.items.is_full()
    }
}

fn wake(waiters: impl IntoIterator<Item = Token>, tasks: &mut impl Wake) {
    for token in waiters {
        tasks.wake(token);
    }
}

/// Who is not listed names nothing, and is polled on the next tick.
fn wait(listed: bool, me: &mut Me) {
    if listed {
        me.wait_for_wake();
    }
}

fn wait_until(listed: bool, now: Instant, deadline: Instant, me: &mut Me) {
    // To name a deadline is to name something: the tick must then be named, too.
    me.wait_until(if listed { deadline } else { deadline.min(now + crate::executor::TICK) });
}
