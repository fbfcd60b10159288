//! The behaviours of `queue.Queue`, by number as in the notes on Python's, each for the queues that have it.

use super::{Woken, me, wakes};
use crate::net::Token;
use crate::queue::*;
use crate::time::{Duration, EPOCH};
use crate::wake::WakeFlags;
use std::vec::Vec;

const WAIT: nb::Error<ShutDown> = nb::Error::WouldBlock;
const SHUT_DOWN: nb::Error<ShutDown> = nb::Error::Other(ShutDown);

fn in_order<O: Order<Item = (u8, u8)>>(items: O) -> Vec<(u8, u8)> {
    let nobody = &mut Woken::default();
    let mut queue = Queue::<_, 1>::new(items);
    for item in [(2, 0), (1, 0), (3, 0), (1, 1)] {
        queue.put_nowait(item, nobody).unwrap();
    }
    assert_eq!(queue.put_nowait((0, 0), nobody), Err(PutError::Full((0, 0))));
    core::iter::from_fn(|| queue.get_nowait(nobody).ok()).collect()
}

#[test]
fn behaviour_72_fifo_lifo_and_priority_order() {
    assert_eq!(in_order(Fifo::<_, 4>::new()), [(2, 0), (1, 0), (3, 0), (1, 1)]);
    assert_eq!(in_order(Lifo::<_, 4>::new()), [(1, 1), (3, 0), (1, 0), (2, 0)]);
    assert_eq!(in_order(Priority::<_, 4>::new()), [(1, 0), (1, 1), (2, 0), (3, 0)]);
}

#[test]
fn behaviour_72_equal_priorities_come_out_as_they_went_in_even_when_the_count_wraps() {
    let nobody = &mut Woken::default();
    let mut queue = Queue::<_, 1>::new(Priority::<Prioritized<u8, u32>, 8>::numbered_from(u64::MAX - 3));
    for entry in 0..8 {
        queue.put_nowait(Prioritized((entry % 2) as u8, entry), nobody).unwrap();
    }
    let out: Vec<u32> = core::iter::from_fn(|| queue.get_nowait(nobody).ok()).map(|item| item.1).collect();
    assert_eq!(out, [0, 2, 4, 6, 1, 3, 5, 7]);
}

#[test]
fn behaviour_73_put_on_full_waits_and_keeps_the_item_until_there_is_room() {
    let mut queue = Queue::<_, 2>::new(Fifo::<_, 1>::new());
    queue.put_nowait(1, &mut Woken::default()).unwrap();
    let mut item = Some(2);
    let mut putter = me(7);
    assert_eq!(queue.put(&mut item, &mut putter), Err(WAIT));
    assert_eq!(item, Some(2));
    assert!(putter.waits().named);
    let mut getter = me(8);
    assert_eq!(queue.get(&mut getter), Ok(1));
    assert_eq!(wakes(&getter), [7]);
    assert_eq!(queue.put(&mut item, &mut me(7)), Ok(()));
    assert_eq!(item, None);
}

#[test]
fn behaviour_73_put_on_full_times_out_with_full() {
    let mut queue = Queue::<_, 2>::new(Fifo::<_, 1>::new());
    let mut item = Some(2);
    queue.put_nowait(1, &mut Woken::default()).unwrap();
    let deadline = EPOCH + Duration::from_millis(1);
    let mut putter = me(7);
    assert_eq!(queue.put_until(&mut item, EPOCH, deadline, &mut putter), Err(nb::Error::WouldBlock));
    assert_eq!(putter.waits().deadline, Some(deadline));
    let mut putter = me(7);
    let full = nb::Error::Other(PutError::Full(()));
    assert_eq!(queue.put_until(&mut item, deadline, deadline, &mut putter), Err(full));
    assert!(!putter.waits().named, "it does not wait any more");
    assert_eq!(item, Some(2));
    let mut getter = me(8);
    assert_eq!(queue.get(&mut getter), Ok(1));
    assert_eq!(wakes(&getter), [], "nobody waits any more");
    assert_eq!(queue.put_until(&mut item, deadline, EPOCH, &mut me(7)), Ok(()), "there is room, however late");
}

#[test]
fn behaviour_73_get_on_empty_waits_and_times_out_with_empty() {
    let mut queue = Queue::<_, 2>::new(Fifo::<u8, 1>::new());
    let deadline = EPOCH + Duration::from_millis(1);
    let mut getter = me(3);
    assert_eq!(queue.get_until(EPOCH, deadline, &mut getter), Err(nb::Error::WouldBlock));
    assert_eq!(getter.waits().deadline, Some(deadline));
    assert_eq!(queue.get_until(deadline, deadline, &mut me(3)), Err(nb::Error::Other(GetError::Empty)));
    let mut woken = Woken::default();
    queue.put_nowait(1, &mut woken).unwrap();
    assert_eq!(woken.take(), [], "nobody waits any more");
    assert_eq!(queue.get(&mut me(3)), Ok(1));
    assert_eq!(queue.get(&mut me(3)), Err(WAIT));
    queue.put_nowait(2, &mut woken).unwrap();
    assert_eq!(woken.take(), [3]);
}

#[test]
fn behaviour_73_a_shared_queue_waits_and_times_out() {
    static FLAGS: WakeFlags<1> = WakeFlags::new();
    let [one, two] = [0, 1].map(|token| FLAGS.flag(Token(token)).unwrap().waker());
    let woken = || {
        let mut woken = Woken::default();
        FLAGS.wake(&mut woken);
        woken.take()
    };
    let queue = Shared::<_, 1>::new(Fifo::<_, 1>::new());
    assert_eq!(queue.get(&one), Err(WAIT));
    assert_eq!(woken(), []);
    assert_eq!(queue.get(&two), Err(WAIT));
    assert_eq!(woken(), [1], "there is no room for another who waits: it looks again at once");
    assert_eq!(queue.put_nowait(1), Ok(()));
    assert_eq!(woken(), [0]);
    let mut item = Some(2);
    assert_eq!(queue.put(&mut item, &two), Err(WAIT));
    assert_eq!((queue.qsize(), queue.empty(), queue.full()), (Ok(1), Ok(false), Ok(true)));
    assert_eq!(queue.get_until(EPOCH, EPOCH, &one), Ok(1));
    assert_eq!(woken(), [1]);
    assert_eq!(queue.put(&mut item, &two), Ok(()));
    assert_eq!(queue.put_until(&mut Some(3), EPOCH, EPOCH, &two), Err(nb::Error::Other(PutError::Full(()))));
    assert_eq!(queue.get_nowait(), Ok(2));
    assert_eq!(queue.get_until(EPOCH, EPOCH, &one), Err(nb::Error::Other(GetError::Empty)));
    assert_eq!(queue.put_nowait(4), Ok(()));
    assert_eq!(woken(), [], "those whose time was over do not wait");
}

#[test]
fn behaviour_74_every_queue_is_bounded_and_hands_back_what_it_cannot_hold() {
    let mut queue = Queue::<_, 1>::new(Lifo::<_, 3>::new());
    let shared = Shared::<_, 1>::new(Fifo::<_, 3>::new());
    let flags = WakeFlags::<1>::new();
    let mut simple = FromInterrupt::<_, 4>::new();
    let (mut producer, _consumer) = simple.split(flags.flag(Token(0)).unwrap());
    for item in 0..3 {
        queue.put_nowait(item, &mut Woken::default()).unwrap();
        shared.put_nowait(item).unwrap();
        producer.put_nowait(item).unwrap();
    }
    assert_eq!(queue.put_nowait(9, &mut Woken::default()), Err(PutError::Full(9)));
    assert_eq!(shared.put_nowait(9), Err(PutError::Full(9)));
    assert_eq!(producer.put_nowait(9), Err(PutError::Full(9)));
    assert_eq!(PutError::Full(9).into_inner(), 9);
}

#[test]
fn behaviour_75_task_done_more_often_than_put_is_an_error() {
    let nobody = &mut Woken::default();
    let mut queue = Queue::<_, 1>::new(Fifo::<_, 2>::new());
    assert_eq!(queue.task_done(nobody), Err(TooManyDone));
    queue.put_nowait(1, nobody).unwrap();
    assert_eq!(queue.task_done(nobody), Ok(()));
    assert_eq!(queue.task_done(nobody), Err(TooManyDone));
    let shared = Shared::<_, 1>::new(Fifo::<u8, 2>::new());
    assert_eq!(shared.task_done(), Err(nb::Error::Other(TooManyDone)));
}

#[test]
fn behaviour_75_join_returns_at_zero() {
    let mut woken = Woken::default();
    let mut queue = Queue::<_, 2>::new(Fifo::<_, 2>::new());
    assert_eq!(queue.join(&mut me(1)), Ok(()));
    for item in 0..2 {
        queue.put_nowait(item, &mut woken).unwrap();
    }
    assert_eq!(queue.join(&mut me(1)), Err(nb::Error::WouldBlock));
    assert_eq!(queue.join(&mut me(2)), Err(nb::Error::WouldBlock));
    queue.get_nowait(&mut woken).unwrap();
    queue.get_nowait(&mut woken).unwrap();
    queue.task_done(&mut woken).unwrap();
    assert_eq!(woken.take(), [], "one is not done");
    assert_eq!(queue.join(&mut me(1)), Err(nb::Error::WouldBlock));
    queue.task_done(&mut woken).unwrap();
    assert_eq!(woken.take(), [1, 2]);
    assert_eq!(queue.join(&mut me(1)), Ok(()));
}

#[test]
fn behaviour_75_join_of_a_shared_queue_returns_at_zero() {
    static FLAGS: WakeFlags<1> = WakeFlags::new();
    let waker = FLAGS.flag(Token(5)).unwrap().waker();
    let queue = Shared::<_, 1>::new(Fifo::<_, 2>::new());
    queue.put_nowait(1).unwrap();
    assert_eq!(queue.join(&waker), Err(nb::Error::WouldBlock));
    assert_eq!(queue.get_nowait(), Ok(1));
    assert!(!FLAGS.any());
    assert_eq!(queue.task_done(), Ok(()));
    assert!(FLAGS.any());
    assert_eq!(queue.join(&waker), Ok(()));
}

#[test]
fn behaviour_76_after_shutdown_put_fails_at_once_and_get_drains_then_fails() {
    let nobody = &mut Woken::default();
    let mut queue = Queue::<_, 1>::new(Fifo::<_, 2>::new());
    queue.put_nowait(1, nobody).unwrap();
    queue.shutdown(false, nobody);
    assert_eq!(queue.put_nowait(2, nobody), Err(PutError::ShutDown(2)));
    let mut item = Some(3);
    assert_eq!(queue.put(&mut item, &mut me(0)), Err(SHUT_DOWN));
    let shut_down = nb::Error::Other(PutError::ShutDown(()));
    assert_eq!(queue.put_until(&mut item, EPOCH, EPOCH, &mut me(0)), Err(shut_down));
    assert_eq!(item, Some(3));
    assert_eq!(queue.get(&mut me(0)), Ok(1));
    assert_eq!(queue.get(&mut me(0)), Err(SHUT_DOWN));
    assert_eq!(queue.get_nowait(nobody), Err(GetError::ShutDown));
    assert_eq!(queue.get_until(EPOCH, EPOCH, &mut me(0)), Err(nb::Error::Other(GetError::ShutDown)));
    assert_eq!(queue.join(&mut me(0)), Err(nb::Error::WouldBlock), "what was got is not done yet");
    queue.task_done(nobody).unwrap();
    assert_eq!(queue.join(&mut me(0)), Ok(()));
}

#[test]
fn behaviour_76_immediate_shutdown_drains_at_once_and_releases_joiners_and_all_who_wait() {
    let mut woken = Woken::default();
    let mut queue = Queue::<_, 2>::new(Fifo::<_, 1>::new());
    queue.put_nowait(1, &mut woken).unwrap();
    assert_eq!(queue.put(&mut Some(2), &mut me(1)), Err(WAIT));
    assert_eq!(queue.put(&mut Some(3), &mut me(2)), Err(WAIT));
    assert_eq!(queue.join(&mut me(3)), Err(nb::Error::WouldBlock));
    queue.shutdown(true, &mut woken);
    assert_eq!(woken.take(), [1, 2, 3]);
    assert!(queue.empty());
    assert_eq!(queue.put(&mut Some(2), &mut me(1)), Err(SHUT_DOWN));
    assert_eq!(queue.join(&mut me(3)), Ok(()));
    assert_eq!(queue.get(&mut me(4)), Err(SHUT_DOWN));
    queue.shutdown(true, &mut woken);
    assert_eq!(woken.take(), [], "again, it does nothing");
}

#[test]
fn behaviour_76_immediate_shutdown_keeps_joiners_waiting_for_what_is_in_work() {
    let mut woken = Woken::default();
    let mut queue = Queue::<_, 2>::new(Fifo::<_, 2>::new());
    queue.put_nowait(1, &mut woken).unwrap();
    queue.put_nowait(2, &mut woken).unwrap();
    queue.get_nowait(&mut woken).unwrap();
    assert_eq!(queue.join(&mut me(3)), Err(nb::Error::WouldBlock));
    queue.shutdown(true, &mut woken);
    assert_eq!(woken.take(), []);
    queue.task_done(&mut woken).unwrap();
    assert_eq!(woken.take(), [3]);
    assert_eq!(queue.task_done(&mut woken), Err(TooManyDone), "what was dropped counts as done");
}

#[test]
fn behaviour_76_shutdown_releases_getters() {
    let mut woken = Woken::default();
    let mut queue = Queue::<_, 4>::new(Fifo::<u8, 1>::new());
    for token in [4, 2, 9] {
        assert_eq!(queue.get(&mut me(token)), Err(WAIT));
    }
    queue.shutdown(false, &mut woken);
    assert_eq!(woken.take(), [4, 2, 9]);
}

#[test]
fn behaviour_76_shutdown_of_a_shared_queue() {
    static FLAGS: WakeFlags<1> = WakeFlags::new();
    let waker = FLAGS.flag(Token(0)).unwrap().waker();
    let queue = Shared::<_, 1>::new(Fifo::<_, 1>::new());
    queue.put_nowait(1).unwrap();
    assert_eq!(queue.put(&mut Some(2), &waker), Err(WAIT));
    assert_eq!(queue.shutdown(false), Ok(()));
    assert!(FLAGS.any());
    assert_eq!(queue.put(&mut Some(2), &waker), Err(SHUT_DOWN));
    assert_eq!(queue.put_nowait(2), Err(PutError::ShutDown(2)));
    assert_eq!(queue.get(&waker), Ok(1));
    assert_eq!(queue.get(&waker), Err(SHUT_DOWN));
    assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
}

#[test]
fn behaviour_76_shutdown_from_the_interrupt_lets_the_task_drain() {
    let flags = WakeFlags::<1>::new();
    let mut simple = FromInterrupt::<_, 4>::new();
    let (mut producer, mut consumer) = simple.split(flags.flag(Token(0)).unwrap());
    producer.put_nowait(1).unwrap();
    flags.wake(&mut Woken::default());
    producer.shutdown();
    assert!(flags.any(), "the task is told");
    assert_eq!(producer.put_nowait(2), Err(PutError::ShutDown(2)));
    assert_eq!(consumer.get(&mut me(0)), Ok(1));
    assert_eq!(consumer.get(&mut me(0)), Err(SHUT_DOWN));
}

#[test]
fn behaviour_76_immediate_shutdown_by_the_task_drops_what_the_interrupt_put() {
    let flags = WakeFlags::<1>::new();
    let mut simple = FromInterrupt::<_, 4>::new();
    let (mut producer, mut consumer) = simple.split(flags.flag(Token(0)).unwrap());
    producer.put_nowait(1).unwrap();
    consumer.shutdown(true);
    assert_eq!(producer.put_nowait(2), Err(PutError::ShutDown(2)));
    assert_eq!(consumer.get_nowait(), Err(GetError::ShutDown));
    assert!(producer.empty());
}

#[test]
fn behaviour_77_qsize_empty_and_full_tell_the_instant() {
    let nobody = &mut Woken::default();
    let mut queue = Queue::<_, 1>::new(Priority::<_, 2>::new());
    let flags = WakeFlags::<1>::new();
    let mut simple = FromInterrupt::<_, 3>::new();
    let (mut producer, consumer) = simple.split(flags.flag(Token(0)).unwrap());
    for (qsize, empty, full) in [(0, true, false), (1, false, false), (2, false, true)] {
        assert_eq!((queue.qsize(), queue.empty(), queue.full()), (qsize, empty, full));
        assert_eq!((producer.qsize(), producer.empty(), producer.full()), (qsize, empty, full));
        assert_eq!((consumer.qsize(), consumer.empty(), consumer.full()), (qsize, empty, full));
        assert_eq!(queue.put_nowait(qsize, nobody).is_err(), full);
        assert_eq!(producer.put_nowait(qsize).is_err(), full);
    }
}

/// Puts to the queue it is dropped from, as an interrupt at the worst moment would.
struct Bomb(&'static Shared<Fifo<Bomb, 2>>, &'static core::sync::atomic::AtomicU32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if let Err(PutError::Busy(bomb)) = self.0.put_nowait(Bomb(self.0, self.1)) {
            self.1.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            core::mem::forget(bomb);
        }
    }
}

#[test]
fn behaviour_78_a_put_from_within_an_operation_is_told_busy_and_does_not_deadlock() {
    static QUEUE: Shared<Fifo<Bomb, 2>> = Shared::new(Fifo::new());
    static BUSY: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);
    for _ in 0..2 {
        assert!(QUEUE.put_nowait(Bomb(&QUEUE, &BUSY)).is_ok());
    }
    assert_eq!(QUEUE.shutdown(true), Ok(()));
    assert_eq!(BUSY.load(core::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(QUEUE.empty(), Ok(true), "and the lock is free");
}
