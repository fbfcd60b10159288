//! A [`core::future::Future`] as a task.

use super::{Context, Task};
use crate::net::Token;
use crate::wake::{Flag, WakeFlags};
use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::Poll;

/// A future as a task. It is polled when it wakes its waker, which sets the task's flag in `flags`.
///
/// A task moves, so the future must not mind: pin it first, with [`core::pin::pin!`] or in a static cell. A pool of
/// `Async<Pin<&mut dyn Future<Output = ()>>>` holds different ones.
///
/// ```
/// use core::future::poll_fn;
/// use core::pin::pin;
/// use core::task::Poll;
/// use tidemill_core::executor::Executor;
/// use tidemill_core::net::NoNetwork;
/// use tidemill_core::pool::Slot;
/// use tidemill_core::task::Async;
/// use tidemill_core::time::EPOCH;
/// use tidemill_core::wake::WakeFlags;
///
/// /// Lets others go first, once.
/// async fn pause() {
///     let mut paused = false;
///     poll_fn(|cx| {
///         if core::mem::replace(&mut paused, true) {
///             return Poll::Ready(());
///         }
///         cx.waker().wake_by_ref();
///         Poll::Pending
///     })
///     .await
/// }
///
/// async fn double(number: u32) -> u32 {
///     pause().await;
///     2 * number
/// }
///
/// static FLAGS: WakeFlags<1> = WakeFlags::new();
/// let future = pin!(double(21));
/// let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
/// let id = executor.pool.submit(Async::new(future, &FLAGS)).unwrap();
/// while executor.pool.done(id) == Ok(false) {
///     FLAGS.wake(&mut executor);
///     executor.turn(EPOCH, &mut NoNetwork, &mut ());
/// }
/// assert_eq!(executor.pool.result(id), Ok(42));
/// assert_eq!(executor.counts().polls, 2);
/// ```
#[derive(Debug)]
pub struct Async<F, const W: usize> {
    future: F,
    flags: &'static WakeFlags<W>,
}

impl<F: Future + Unpin, const W: usize> Async<F, W> {
    /// `flags` must be those that wake the pool's executor, and have a bit for each of its slots; a task beyond them is
    /// polled every tick instead.
    pub fn new(future: F, flags: &'static WakeFlags<W>) -> Self {
        Self { future, flags }
    }

    fn poll(&mut self, token: Token) -> (Poll<F::Output>, bool) {
        let flag = self.flags.flag(token);
        let waker = flag.map_or_else(|| core::task::Waker::noop().clone(), Flag::waker);
        let poll = Pin::new(&mut self.future).poll(&mut core::task::Context::from_waker(&waker));
        (poll, flag.is_some())
    }
}

impl<S, X, F: Future + Unpin, const W: usize> Task<S, X> for Async<F, W> {
    type Output = F::Output;
    type Error = Infallible;

    fn poll(&mut self, cx: &mut Context<'_, S, X>) -> nb::Result<F::Output, Infallible> {
        match Async::poll(self, cx.token()) {
            (Poll::Ready(output), _) => Ok(output),
            (Poll::Pending, woken) => {
                if woken {
                    cx.wait_for_wake();
                }
                Err(nb::Error::WouldBlock)
            }
        }
    }
}
