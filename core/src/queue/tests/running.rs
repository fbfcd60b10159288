//! Queues in executors and between threads.

use crate::executor::Executor;
use crate::net::{NoNetwork, Token};
use crate::pool::Slot;
use crate::queue::*;
use crate::task::{Context, Task, Wake};
use crate::time::{Duration, EPOCH};
use crate::wake::WakeFlags;
use core::task::Waker;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::vec::Vec;

type Jobs = Queue<Fifo<u32, 2>>;

/// Gets so many items.
struct Getter(u32);

impl Task<NoNetwork, Jobs> for Getter {
    type Output = u32;
    type Error = ShutDown;

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Jobs>) -> nb::Result<u32, ShutDown> {
        let mut last = 0;
        while self.0 > 0 {
            last = cx.shared.get(&mut cx.me)?;
            self.0 -= 1;
        }
        Ok(last)
    }
}

#[test]
fn a_task_that_waits_is_polled_once_for_what_it_waits_for_and_its_siblings_not_at_all() {
    let mut jobs = Jobs::new(Fifo::new());
    let mut executor = Executor::new([const { Slot::EMPTY }; 3]);
    let ids: [_; 3] = core::array::from_fn(|_| executor.pool.submit(Getter(1)).unwrap());
    for _ in 0..10 {
        assert_eq!(executor.turn(EPOCH, &mut NoNetwork, &mut jobs), None);
    }
    assert_eq!(executor.counts().polls, 3);
    for (item, id) in ids.into_iter().enumerate() {
        jobs.put_nowait(item as u32, &mut executor).unwrap();
        executor.turn(EPOCH, &mut NoNetwork, &mut jobs);
        assert_eq!(executor.pool.result(id), Ok(item as u32), "first come, first served");
        assert_eq!(executor.counts().polls, 4 + item as u32);
    }
}

#[test]
fn who_takes_the_place_of_an_aborted_waiter_is_woken() {
    let mut jobs = Jobs::new(Fifo::new());
    let mut executor = Executor::new([const { Slot::EMPTY }; 2]);
    let [first, second] = [0, 1].map(|_| executor.pool.submit(Getter(1)).unwrap());
    executor.turn(EPOCH, &mut NoNetwork, &mut jobs);
    jobs.put_nowait(5, &mut executor).unwrap();
    assert!(executor.pool.abort(first), "it was on its way");
    jobs.leave(first.token(), &mut executor);
    executor.turn(EPOCH, &mut NoNetwork, &mut jobs);
    assert_eq!(executor.pool.result(second), Ok(5));
}

#[test]
fn more_waiters_than_there_is_room_for_are_polled_every_tick_and_miss_nothing() {
    let mut jobs = Queue::<Fifo<u32, 2>>::new(Fifo::new());
    let mut executor = Executor::new([const { Slot::EMPTY }; 6]);
    let ids: [_; 6] = core::array::from_fn(|_| executor.pool.submit(Getter(1)).unwrap());
    let mut now = EPOCH;
    let mut items = 0..6;
    while executor.pool.live() > 0 {
        let next = executor.turn(now, &mut NoNetwork, &mut jobs);
        while let Some(item) = (!jobs.full()).then(|| items.next()).flatten() {
            jobs.put_nowait(item, &mut executor).unwrap();
        }
        now = next.unwrap_or(now);
        assert!(now < EPOCH + Duration::from_millis(20), "somebody was forgotten");
    }
    let mut got: Vec<u32> = ids.iter().map(|&id| executor.pool.result(id).unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3, 4, 5]);
}

/// Wakes a thread from `park`.
struct Unpark(Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until the operation is done, as long as somebody wakes it.
#[expect(clippy::disallowed_methods, reason = "a test of threads is no world")]
fn block<T, E>(mut operation: impl FnMut(&Waker) -> nb::Result<T, E>) -> Result<T, E> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match operation(&waker) {
            Ok(value) => return Ok(value),
            Err(nb::Error::Other(error)) => return Err(error),
            Err(nb::Error::WouldBlock) => {
                let before = std::time::Instant::now();
                thread::park_timeout(core::time::Duration::from_secs(20));
                assert!(before.elapsed().as_secs() < 20, "nobody woke it");
            }
        }
    }
}

fn between_threads<const W: usize>() {
    const EACH: u32 = if cfg!(miri) { 20 } else { 10_000 };
    let queue = &Shared::<_, W>::new(Fifo::<(u32, u32), 4>::new());
    let got: Vec<Vec<(u32, u32)>> = thread::scope(|scope| {
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                scope.spawn(move || {
                    for number in 0..EACH {
                        let mut item = Some((producer, number));
                        block(|waker| queue.put(&mut item, waker)).unwrap();
                    }
                })
            })
            .collect();
        let consume = || {
            let mut got = Vec::new();
            while let Ok(item) = block(|waker| queue.get(waker)) {
                got.push(item);
                while queue.task_done().is_err() {
                    thread::yield_now();
                }
            }
            got
        };
        let consumers: Vec<_> = (0..2).map(|_| scope.spawn(consume)).collect();
        for producer in producers {
            producer.join().unwrap();
        }
        block(|waker| queue.join(waker)).unwrap();
        assert_eq!(nb::block!(queue.empty()), Ok(true), "all is done");
        while queue.shutdown(false).is_err() {}
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    for items in &got {
        for producer in 0..3 {
            let numbers = items.iter().filter(|item| item.0 == producer);
            assert!(numbers.is_sorted(), "one consumer sees each producer's items in order");
        }
    }
    let mut all = got.concat();
    all.sort_unstable();
    let expected: Vec<_> = (0..3).flat_map(|producer| (0..EACH).map(move |number| (producer, number))).collect();
    assert_eq!(all, expected, "nothing lost, nothing doubled");
}

#[test]
fn between_threads_nothing_is_lost_or_doubled_or_overtaken() {
    between_threads::<4>();
}

#[test]
fn between_threads_that_have_no_room_to_wait_nothing_is_lost_either() {
    between_threads::<1>();
}

#[test]
fn a_thread_as_the_interrupt_feeds_a_task_in_order_and_wakes_it() {
    const ITEMS: u32 = if cfg!(miri) { 50 } else { 100_000 };
    static FLAGS: WakeFlags<1> = WakeFlags::new();
    let mut queue = FromInterrupt::<u32, 8>::new();
    let (mut producer, mut consumer) = queue.split(FLAGS.flag(Token(0)).unwrap());
    /// Whether the task's flag was set.
    struct Polled(bool);
    impl Wake for Polled {
        fn wake(&mut self, _: Token) {
            self.0 = true;
        }
    }
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..ITEMS {
                while producer.put_nowait(number).is_err() {
                    thread::yield_now();
                }
            }
            producer.shutdown();
        });
        let mut expected = 0..ITEMS;
        loop {
            let mut me = super::me(0);
            match consumer.get(&mut me) {
                Ok(number) => assert_eq!(Some(number), expected.next()),
                Err(nb::Error::Other(ShutDown)) => break,
                Err(nb::Error::WouldBlock) => {
                    // It looks again only when its flag was set.
                    let mut polled = Polled(false);
                    while !polled.0 {
                        FLAGS.wake(&mut polled);
                        thread::yield_now();
                    }
                }
            }
        }
        assert!(expected.is_empty());
    });
}
