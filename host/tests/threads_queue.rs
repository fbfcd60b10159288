//! Queues between threads, as `queue` has them.

use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tidemill_core::queue::{Fifo, GetError, Lifo, Prioritized, Priority, PutError};
use tidemill_host::threads::Queue;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

/// 72
#[test]
fn fifo_lifo_and_priority_orders() {
    let (fifo, lifo) = (Queue::new(Fifo::<_, 4>::new()), Queue::new(Lifo::<_, 4>::new()));
    let priority = Queue::new(Priority::<_, 4>::new());
    for number in [2, 1, 3] {
        fifo.put(number, None).unwrap();
        lifo.put(number, None).unwrap();
        priority.put(Prioritized(number, "word"), None).unwrap();
    }
    assert_eq!([(); 3].map(|()| fifo.get(None).unwrap()), [2, 1, 3]);
    assert_eq!([(); 3].map(|()| lifo.get(None).unwrap()), [3, 1, 2]);
    assert_eq!([(); 3].map(|()| priority.get(None).unwrap().0), [1, 2, 3]);
}

/// 73
#[test]
fn put_on_full_waits_and_times_out_with_full_and_get_on_empty_likewise() {
    let queue = Queue::new(Fifo::<_, 1>::new());
    assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    let start = Instant::now();
    assert_eq!(queue.get(SHORT), Err(GetError::Empty));
    assert!(start.elapsed() >= SHORT);
    queue.put(1, None).unwrap();
    assert_eq!(queue.put_nowait(2), Err(PutError::Full(2)));
    let start = Instant::now();
    assert_eq!(queue.put(2, SHORT), Err(PutError::Full(2)));
    assert!(start.elapsed() >= SHORT);
    thread::scope(|scope| {
        let putter = scope.spawn(|| queue.put(2, LONG));
        sleep(SHORT);
        assert_eq!(queue.get(LONG), Ok(1));
        putter.join().unwrap().unwrap();
        assert_eq!(queue.get(LONG), Ok(2));
        let getter = scope.spawn(|| queue.get(LONG));
        sleep(SHORT);
        queue.put(3, LONG).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(3));
    });
}

/// 74
#[test]
fn a_queue_is_always_bounded() {
    let queue = Queue::new(Fifo::<_, 3>::new());
    let put = (0..100).take_while(|&number| queue.put_nowait(number).is_ok()).count();
    assert_eq!((put, queue.qsize()), (3, 3));
}

/// 75
#[test]
fn task_done_more_often_than_put_is_an_error_and_join_returns_at_zero() {
    let queue = Queue::new(Fifo::<_, 8>::new());
    assert!(queue.task_done().is_err());
    assert!(queue.join(Duration::ZERO));
    thread::scope(|scope| {
        for number in 0..8 {
            queue.put(number, None).unwrap();
        }
        let joiners: [_; 2] = std::array::from_fn(|_| scope.spawn(|| queue.join(LONG)));
        for _ in 0..8 {
            assert!(!queue.join(Duration::ZERO));
            queue.get(None).unwrap();
            queue.task_done().unwrap();
        }
        assert!(joiners.into_iter().all(|joiner| joiner.join().unwrap()));
    });
    assert!(queue.task_done().is_err());
}

/// 76
#[test]
fn after_a_shutdown_put_fails_at_once_and_get_drains_then_fails() {
    let queue = Queue::new(Fifo::<_, 2>::new());
    queue.put(1, None).unwrap();
    queue.put(2, None).unwrap();
    thread::scope(|scope| {
        let putter = scope.spawn(|| queue.put(3, LONG));
        sleep(SHORT);
        queue.shutdown(false);
        assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(3)));
    });
    assert_eq!(queue.put_nowait(4), Err(PutError::ShutDown(4)));
    assert_eq!((queue.get(None), queue.get(None)), (Ok(1), Ok(2)));
    assert_eq!(queue.get(None), Err(GetError::ShutDown));
    assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
}

/// 76
#[test]
fn an_immediate_shutdown_drains_and_releases_joiners_getters_and_putters() {
    let alive = Arc::new(());
    let full = Queue::new(Fifo::<_, 2>::new());
    let empty = Queue::new(Fifo::<u8, 2>::new());
    full.put(alive.clone(), None).unwrap();
    full.put(alive.clone(), None).unwrap();
    thread::scope(|scope| {
        let joiner = scope.spawn(|| full.join(LONG));
        let putter = scope.spawn(|| full.put(alive.clone(), LONG).is_err());
        let getter = scope.spawn(|| empty.get(LONG));
        sleep(SHORT);
        full.shutdown(true);
        empty.shutdown(true);
        assert!(joiner.join().unwrap() && putter.join().unwrap());
        assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
    });
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(full.get(None), Err(GetError::ShutDown));
}

/// 77
#[test]
fn qsize_empty_and_full_tell_of_the_moment() {
    let queue = Queue::new(Fifo::<_, 2>::new());
    assert!(queue.empty() && !queue.full());
    queue.put(1, None).unwrap();
    assert!(!queue.empty() && !queue.full() && queue.qsize() == 1);
    queue.put(2, None).unwrap();
    assert!(queue.full() && queue.qsize() == 2);
}

/// 78
#[test]
fn a_put_from_a_destructor_does_not_deadlock() {
    struct Again(Arc<Queue<Fifo<Option<Again>, 4>>>);
    impl Drop for Again {
        fn drop(&mut self) {
            let _ = self.0.put_nowait(None);
        }
    }
    let queue = Arc::new(Queue::new(Fifo::new()));
    queue.put(Some(Again(queue.clone())), None).unwrap();
    drop(queue.get(None));
    assert_eq!(queue.qsize(), 1);
    queue.put(Some(Again(queue.clone())), None).unwrap();
    queue.shutdown(true);
    assert_eq!(queue.qsize(), 0);
}

#[test]
fn more_threads_than_can_wait_at_once_all_come_through() {
    let queue = Queue::new(Fifo::<_, 1>::new());
    thread::scope(|scope| {
        let getters: Vec<_> = (0..80).map(|_| scope.spawn(|| queue.get(LONG).unwrap())).collect();
        sleep(SHORT);
        for number in 0..80 {
            queue.put(number, LONG).unwrap();
        }
        let mut all: Vec<i32> = getters.into_iter().map(|getter| getter.join().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..80));
    });
}

#[test]
fn four_put_and_four_get_each_item_once() {
    let queue = Queue::new(Fifo::<_, 16>::new());
    let sum = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (1..=2_000u64).for_each(|number| queue.put(number, LONG).unwrap()));
        }
        let getters: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..2_000).map(|_| queue.get(LONG).unwrap()).sum::<u64>())).collect();
        getters.into_iter().map(|getter| getter.join().unwrap()).sum::<u64>()
    });
    assert_eq!(sum, 4 * 2_001_000);
}
