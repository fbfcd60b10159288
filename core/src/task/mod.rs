//! A task: a state machine that is polled until it has a result, and says what it waits for in between.
//!
//! `poll` runs until it would have to wait. Before it returns `WouldBlock` it names what it waits for through its
//! [`Context`]: a deadline, a socket, or both; whichever comes first gets it polled again. A task that names nothing
//! is polled on the next tick. That is the hole plain `nb` leaves open: here every `WouldBlock` has a reason that an
//! executor can sleep on. A task is never polled again after it returned anything else.
//!
//! A task is generic over the world's network `S` and over `X`, whatever it shares with its siblings in the same pool.
//!
//! ```
//! use tidemill_core::net::{Handle, Interest, Stack};
//! use tidemill_core::task::{Context, Task};
//!
//! /// Reads one connection to its end; the pool's tasks share a count of all bytes.
//! struct Drain(Handle);
//!
//! impl<S: Stack> Task<S, u64> for Drain {
//!     type Output = ();
//!     type Error = tidemill_core::net::Error;
//!
//!     fn poll(&mut self, cx: &mut Context<'_, S, u64>) -> nb::Result<(), Self::Error> {
//!         loop {
//!             match cx.net.recv(self.0, &mut [0; 256]) {
//!                 Ok(0) => return Ok(()),
//!                 Ok(count) => *cx.shared += count as u64,
//!                 Err(nb::Error::WouldBlock) => {
//!                     cx.wait_for(self.0, Interest::Read)?;
//!                     return Err(nb::Error::WouldBlock);
//!                 }
//!                 Err(error) => return Err(error),
//!             }
//!         }
//!     }
//! }
//! ```

mod asynchronous;
mod combine;
mod function;
#[cfg(test)]
mod tests;

pub use asynchronous::Async;
pub use combine::{Deadline, DeadlineError, Either, Join, Select, join, select, with_deadline};
pub use function::{Function, from_fn};

use crate::executor::TICK;
use crate::net::{Error, Handle, Interest, Stack, Token};
use crate::time::Instant;
use heapless::Vec;

/// Something that is polled until it is done. See the [module](self).
pub trait Task<S, X = ()> {
    /// What it yields when it succeeds.
    type Output;
    /// What it yields when it fails.
    type Error;

    /// Runs until done or until it would wait.
    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<Self::Output, Self::Error>;
}

/// Something through which the task behind a token gets polled again.
pub trait Wake {
    /// Has the task polled in this turn or the next. A token of a task that has ended wakes nobody, or wrongly wakes
    /// whoever has its slot now, which every task must expect anyway.
    fn wake(&mut self, token: Token);
}

/// What a task sees of its world during one poll.
pub struct Context<'a, S, X = ()> {
    /// The time of this turn.
    pub now: Instant,
    /// The world's network.
    pub net: &'a mut S,
    /// What the tasks of this pool share.
    pub shared: &'a mut X,
    /// The task itself, to what it shares with others: `cx.shared.queue.get(&mut cx.me)`.
    pub me: Me,
}

crate::log::format_as_name!(Context<'a, S, X>);

/// A task during one poll, as what it shares with its siblings sees it: whom to wake later, and how to wake others now.
///
/// Interrupts: no; an interrupt has no task. It sets a [wake flag](crate::wake).
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Me {
    token: Token,
    waits: Waits,
}

impl Me {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, waits: Waits::default() }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// See [`Context::token`].
    pub fn token(&self) -> Token {
        self.token
    }

    /// See [`Context::wait_until`].
    pub fn wait_until(&mut self, deadline: Instant) {
        self.waits.named = true;
        self.waits.deadline = Some(self.waits.deadline.map_or(deadline, |d| d.min(deadline)));
    }

    /// See [`Context::wait_for_wake`].
    pub fn wait_for_wake(&mut self) {
        self.waits.named = true;
    }
}

/// Wakes siblings: tasks of the same pool. O(1); more than four different ones in one poll wake all.
impl Wake for Me {
    fn wake(&mut self, token: Token) {
        if !self.waits.woken.contains(&token) && self.waits.woken.push(token).is_err() {
            self.waits.wake_all = true;
        }
    }
}

/// What a task said it waits for, and whom it woke.
#[derive(Default, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Waits {
    pub(crate) deadline: Option<Instant>,
    pub(crate) named: bool,
    pub(crate) wake_all: bool,
    pub(crate) end_turn: bool,
    pub(crate) woken: Vec<Token, WAKES>,
}

/// How many siblings one poll can wake by name; beyond, all are woken.
const WAKES: usize = 4;

impl<'a, S, X> Context<'a, S, X> {
    pub(crate) fn new(now: Instant, net: &'a mut S, shared: &'a mut X, token: Token) -> Self {
        Self { now, net, shared, me: Me::new(token) }
    }

    pub(crate) fn into_waits(self) -> Waits {
        self.me.waits
    }

    /// Polls a part of a task. If it names nothing to wait for, the whole is polled on the next tick, whatever other
    /// parts wait for.
    fn poll_part<T: Task<S, X>>(&mut self, part: &mut T) -> nb::Result<T::Output, T::Error> {
        let named = core::mem::replace(&mut self.me.waits.named, false);
        let result = part.poll(self);
        if matches!(result, Err(nb::Error::WouldBlock)) && !self.me.waits.named {
            self.wait_until(self.now + TICK);
        }
        self.me.waits.named |= named;
        result
    }

    /// Poll again at `deadline`, or at an earlier one already named.
    pub fn wait_until(&mut self, deadline: Instant) {
        self.me.wait_until(deadline);
    }

    /// Poll again only when somebody wakes this task (see [`Wake`], [`Context::wake_all`]), or for another wait named
    /// beside this one.
    pub fn wait_for_wake(&mut self) {
        self.me.waits.named = true;
    }

    /// Lets the world act before any other task is polled: enough has happened in this turn. Who is ready keeps its
    /// place in the queue.
    pub fn end_turn(&mut self) {
        self.me.waits.end_turn = true;
    }

    /// Polls every task of this pool in this turn: something they share has changed. O(tasks).
    pub fn wake_all(&mut self) {
        self.me.waits.wake_all = true;
    }

    /// What names this task to whoever will [`wake`](Wake::wake) it.
    pub fn token(&self) -> Token {
        self.me.token
    }
}

/// Wakes siblings: tasks of the same pool. O(1); more than four different ones in one poll wake all.
impl<S, X> Wake for Context<'_, S, X> {
    fn wake(&mut self, token: Token) {
        self.me.wake(token);
    }
}

impl<S: Stack, X> Context<'_, S, X> {
    /// Poll again when `socket` is ready for `interest`.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn wait_for(&mut self, socket: Handle, interest: Interest) -> Result<(), Error> {
        self.me.waits.named = true;
        self.net.watch(socket, interest, self.me.token)
    }
}
