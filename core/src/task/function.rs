//! Functions and closures as tasks.

use super::{Context, Task};

/// A function of the context as a task. See [`from_fn`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Function<F>(F);

/// A task that calls `function` for each poll. Whatever it has to remember, the closure captures.
///
/// ```
/// use tidemill_core::executor::Executor;
/// use tidemill_core::net::NoNetwork;
/// use tidemill_core::pool::Slot;
/// use tidemill_core::task::{Context, from_fn};
/// use tidemill_core::time::{Duration, EPOCH};
///
/// let mut left = 3;
/// let countdown = from_fn(|cx: &mut Context<'_, NoNetwork>| {
///     if left == 0 {
///         return Ok("lift-off");
///     }
///     left -= 1;
///     cx.wait_until(cx.now + Duration::from_secs(1));
///     Err(nb::Error::<()>::WouldBlock)
/// });
/// let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
/// let id = executor.pool.submit(countdown).unwrap();
/// let mut now = EPOCH;
/// while let Some(next) = executor.turn(now, &mut NoNetwork, &mut ()) {
///     now = next;
/// }
/// assert_eq!(now, EPOCH + Duration::from_secs(3));
/// assert_eq!(executor.pool.result(id), Ok("lift-off"));
/// ```
pub fn from_fn<S, X, O, E, F>(function: F) -> Function<F>
where
    F: FnMut(&mut Context<'_, S, X>) -> nb::Result<O, E>,
{
    Function(function)
}

impl<S, X, O, E, F> Task<S, X> for Function<F>
where
    F: FnMut(&mut Context<'_, S, X>) -> nb::Result<O, E>,
{
    type Output = O;
    type Error = E;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<O, E> {
        (self.0)(cx)
    }
}
