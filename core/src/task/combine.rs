//! Tasks made of tasks: both, the first of two, one with a deadline. No heap, no more than the parts and what they
//! have yielded.
//!
//! The parts share one context: what either waits for, both wait for, so a part must expect to be polled early, as every
//! task must. A part is never polled again after it has ended. One that is dropped while it waits in a
//! [`queue`](crate::queue) stays on its list: have it [leave](crate::queue::Queue::leave).

use super::{Context, Task};
use crate::time::Instant;
use core::fmt;

/// Two tasks at once. See [`join`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Join<A, B, OA, OB>(Part<A, OA>, Part<B, OB>);

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Part<T, O> {
    Live(T),
    Done(O),
    Taken,
}

impl<T, O> Part<T, O> {
    /// True once it is done.
    fn poll<S, X>(&mut self, cx: &mut Context<'_, S, X>) -> Result<bool, T::Error>
    where
        T: Task<S, X, Output = O>,
    {
        if let Self::Live(task) = self {
            match cx.poll_part(task) {
                Ok(output) => *self = Self::Done(output),
                Err(nb::Error::WouldBlock) => return Ok(false),
                Err(nb::Error::Other(error)) => {
                    *self = Self::Taken;
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self) -> Option<O> {
        match core::mem::replace(self, Self::Taken) {
            Self::Done(output) => Some(output),
            Self::Live(_) | Self::Taken => None,
        }
    }
}

/// A task that yields what both yield, or fails as soon as either fails; the other is dropped then.
///
/// ```
/// use tidemill_core::executor::Executor;
/// use tidemill_core::net::NoNetwork;
/// use tidemill_core::pool::Slot;
/// use tidemill_core::task::{Context, from_fn, join};
/// use tidemill_core::time::{EPOCH, Instant};
///
/// let sleep = |ticks| from_fn(move |cx: &mut Context<'_, NoNetwork>| {
///     if cx.now < Instant::from_ticks(ticks) {
///         cx.wait_until(Instant::from_ticks(ticks));
///         return Err(nb::Error::<()>::WouldBlock);
///     }
///     Ok(ticks)
/// });
/// let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
/// let id = executor.pool.submit(join(sleep(20), sleep(10))).unwrap();
/// let mut now = EPOCH;
/// while let Some(next) = executor.turn(now, &mut NoNetwork, &mut ()) {
///     now = next;
/// }
/// assert_eq!(executor.pool.result(id), Ok((20, 10)));
/// ```
pub fn join<A, B, OA, OB>(a: A, b: B) -> Join<A, B, OA, OB> {
    Join(Part::Live(a), Part::Live(b))
}

impl<S, X, A, B, OA, OB> Task<S, X> for Join<A, B, OA, OB>
where
    A: Task<S, X, Output = OA>,
    B: Task<S, X, Output = OB, Error = A::Error>,
{
    type Output = (OA, OB);
    type Error = A::Error;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<Self::Output, Self::Error> {
        let a = self.0.poll(cx)?;
        let b = self.1.poll(cx)?;
        if !(a && b) {
            return Err(nb::Error::WouldBlock);
        }
        self.0.take().zip(self.1.take()).ok_or(nb::Error::WouldBlock)
    }
}

/// What one of two tasks yielded, or how it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Either<A, B> {
    /// The first task.
    First(A),
    /// The second task.
    Second(B),
}

impl<A: fmt::Display, B: fmt::Display> fmt::Display for Either<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(error) => error.fmt(f),
            Self::Second(error) => error.fmt(f),
        }
    }
}

impl<A: core::error::Error, B: core::error::Error> core::error::Error for Either<A, B> {}

/// The first of two tasks. See [`select`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Select<A, B>(A, B);

/// A task that ends as soon as either of the two ends, in the same way. The other is dropped with it. If both could end
/// in the same poll, `a` does.
pub fn select<A, B>(a: A, b: B) -> Select<A, B> {
    Select(a, b)
}

impl<S, X, A: Task<S, X>, B: Task<S, X>> Task<S, X> for Select<A, B> {
    type Output = Either<A::Output, B::Output>;
    type Error = Either<A::Error, B::Error>;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<Self::Output, Self::Error> {
        match cx.poll_part(&mut self.0) {
            Ok(output) => return Ok(Either::First(output)),
            Err(nb::Error::Other(error)) => return Err(Either::First(error).into()),
            Err(nb::Error::WouldBlock) => {}
        }
        match cx.poll_part(&mut self.1) {
            Ok(output) => Ok(Either::Second(output)),
            Err(error) => Err(error.map(Either::Second)),
        }
    }
}

/// A task with a deadline. See [`with_deadline`].
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deadline<T> {
    task: T,
    deadline: Instant,
}

/// Why a task with a deadline has no output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DeadlineError<E> {
    /// The deadline came first.
    Elapsed,
    /// The task failed with this.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for DeadlineError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed => f.write_str("the deadline has passed"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for DeadlineError<E> {}

/// A task that fails with [`DeadlineError::Elapsed`] unless it has ended by `deadline`. It is polled first: one that ends
/// at its deadline has ended in time.
pub fn with_deadline<T>(task: T, deadline: Instant) -> Deadline<T> {
    Deadline { task, deadline }
}

impl<S, X, T: Task<S, X>> Task<S, X> for Deadline<T> {
    type Output = T::Output;
    type Error = DeadlineError<T::Error>;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<Self::Output, Self::Error> {
        match cx.poll_part(&mut self.task) {
            Err(nb::Error::WouldBlock) if cx.now >= self.deadline => Err(DeadlineError::Elapsed.into()),
            Err(nb::Error::WouldBlock) => {
                cx.wait_until(self.deadline);
                Err(nb::Error::WouldBlock)
            }
            result => result.map_err(|error| error.map(DeadlineError::Failed)),
        }
    }
}
