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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::executor::{Executor, TICK};
    use crate::net::NoNetwork;
    use crate::pool::{Failure, Slot, WakeOnDone};
    use crate::task::{Either, from_fn, join, select};
    use crate::time::EPOCH;
    use core::future::poll_fn;
    use core::pin::pin;
    use core::task::Waker;
    use std::cell::RefCell;
    use std::sync::Mutex;
    use std::thread;

    /// Ready once `done`; until then it leaves its waker where others find it.
    #[derive(Default)]
    struct Signal(Mutex<(bool, Option<Waker>)>);

    impl Signal {
        fn raise(&self) {
            let (done, waker) = &mut *self.0.lock().unwrap();
            *done = true;
            waker.take().into_iter().for_each(Waker::wake);
        }

        async fn raised(&self) {
            poll_fn(|cx| {
                let (done, waker) = &mut *self.0.lock().unwrap();
                if *done {
                    return Poll::Ready(());
                }
                *waker = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }

    #[test]
    fn a_future_that_another_thread_wakes_is_polled_once_for_each_wake_and_not_in_between() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        let signals: [Signal; 3] = Default::default();
        let future = pin!(async {
            for signal in &signals {
                signal.raised().await;
            }
            signals.len()
        });
        let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
        let id = executor.pool.submit(Async::new(future, &FLAGS)).unwrap();
        for signal in &signals {
            for _ in 0..3 {
                FLAGS.wake(&mut executor);
                assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), None, "it sleeps until it is woken");
            }
            thread::scope(|scope| scope.spawn(|| signal.raise()).join().unwrap());
            assert!(FLAGS.any());
        }
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.result(id), Ok(3));
        assert_eq!(executor.counts().polls, 4);
    }

    #[test]
    fn a_pool_holds_futures_of_different_types_and_wakes_each_alone() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        let (first, second) = (Signal::default(), Signal::default());
        let one: Pin<&mut dyn Future<Output = u8>> = pin!(async {
            first.raised().await;
            1
        });
        let two: Pin<&mut dyn Future<Output = u8>> = pin!(async {
            second.raised().await;
            first.raise();
            2
        });
        let mut executor = Executor::new([const { Slot::EMPTY }; 2]);
        let ids = [one, two].map(|future| executor.pool.submit(Async::new(future, &FLAGS)).unwrap());
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        second.raise();
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(ids.map(|id| executor.pool.done(id)), [Ok(false), Ok(true)]);
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(ids.map(|id| executor.pool.result(id)), [Ok(1), Ok(2)]);
        assert_eq!(executor.counts().polls, 4);
    }

    #[test]
    fn a_waker_that_outlives_its_task_wakes_at_most_the_next_one_in_its_slot() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        let left = Signal::default();
        let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
        let [first, second] = [pin!(left.raised()), pin!(left.raised())];
        let id = executor.pool.submit(Async::new(first, &FLAGS)).unwrap();
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        let stale = left.0.lock().unwrap().1.clone().unwrap();
        assert!(executor.pool.abort(id));
        assert!(executor.pool.result(id).is_err());

        stale.wake_by_ref();
        FLAGS.wake(&mut executor);
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), None, "nobody is there");

        let id = executor.pool.submit(Async::new(second, &FLAGS)).unwrap();
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        stale.wake();
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.done(id), Ok(false), "polled in vain");
        left.raise();
        FLAGS.wake(&mut executor);
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.result(id), Ok(()));
    }

    #[test]
    fn a_future_for_which_there_is_no_flag_is_polled_every_tick() {
        static FLAGS: WakeFlags<0> = WakeFlags::new();
        let signal = Signal::default();
        let future = pin!(signal.raised());
        let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
        let id = executor.pool.submit(Async::new(future, &FLAGS)).unwrap();
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), Some(EPOCH + TICK));
        signal.raise();
        executor.turn(EPOCH + TICK, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.result(id), Ok(()));
    }

    /// An `async` block panics when it is polled after its end: here none is.
    #[test]
    fn futures_are_joined_and_selected_like_any_task() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        let signals: [Signal; 4] = Default::default();
        let [a, b, c, d] = &signals;
        let parts = [pin!(a.raised()), pin!(b.raised()), pin!(c.raised()), pin!(d.raised())];
        let [pa, pb, pc, pd] = parts.map(|part| Async::new(part, &FLAGS));
        let mut both = Some(join(pa, pb));
        let mut first = select(pc, pd);
        let task = from_fn(move |cx: &mut Context<'_, NoNetwork>| {
            if let Some(running) = &mut both {
                running.poll(cx).map_err(|error| error.map(Either::First))?;
                both = None;
            }
            first.poll(cx)
        });
        let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
        let id = executor.pool.submit(task).unwrap();
        for signal in [b, a, d] {
            assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut ()), None);
            assert_eq!(executor.pool.done(id), Ok(false));
            signal.raise();
            FLAGS.wake(&mut executor);
        }
        executor.turn(EPOCH, &mut NoNetwork, &mut ());
        assert_eq!(executor.pool.result(id), Ok(Either::Second(())));
    }

    #[test]
    fn an_async_function_in_one_pool_awaits_a_task_of_another() {
        static FLAGS: WakeFlags<1> = WakeFlags::new();
        let sleep = from_fn(|cx: &mut Context<'_, NoNetwork>| {
            if cx.now > EPOCH {
                return Ok(21);
            }
            cx.wait_until(EPOCH + TICK);
            Err(nb::Error::<()>::WouldBlock)
        });
        let inner = RefCell::new(Executor::new([const { Slot::<_, _, _, Option<WakeOnDone>>::with_callbacks() }; 2]));
        let [slept, cancelled] = core::array::from_fn(|_| inner.borrow_mut().pool.submit(sleep).unwrap());
        let pool = &inner;
        let result = |id| poll_fn(move |cx| pool.borrow_mut().pool.poll_result(id, cx));
        let future = pin!(async { (result(cancelled).await, result(slept).await) });
        let mut outer = Executor::new([const { Slot::EMPTY }; 1]);
        let id = outer.pool.submit(Async::new(future, &FLAGS)).unwrap();
        outer.turn(EPOCH, &mut NoNetwork, &mut ());
        assert!(inner.borrow_mut().pool.cancel(cancelled));
        for now in [EPOCH, EPOCH + TICK] {
            inner.borrow_mut().turn(now, &mut NoNetwork, &mut ());
            FLAGS.wake(&mut outer);
            outer.turn(now, &mut NoNetwork, &mut ());
        }
        assert_eq!(outer.pool.result(id), Ok((Err(Failure::Cancelled), Ok(21))));
        assert_eq!(outer.counts().polls, 3);
    }
}
