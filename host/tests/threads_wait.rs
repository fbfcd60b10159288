//! `wait`, `as_completed` and `map`, as `concurrent.futures` has them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tidemill_host::threads::{
    AnyFuture, Failure, Future, MapOptions, ReturnWhen, ThreadPool, Unfinished, as_completed, wait,
};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

/// A task that goes on until the sender is dropped.
fn held(pool: &ThreadPool, result: u32) -> (Future<u32>, Sender<()>) {
    let (go, wait) = channel::<()>();
    let future = pool.submit(move || {
        let _ = wait.recv();
        result
    });
    (future.unwrap(), go)
}

fn broken(pool: &ThreadPool) -> Future<u32> {
    pool.submit(|| panic!("burst")).unwrap()
}

fn same<T>(left: &[&Future<T>], right: &[&Future<T>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| std::ptr::eq(*left, *right))
}

/// 37, 38
#[test]
fn first_completed_returns_when_one_is_done_and_both_sets_are_right() {
    let pool = ThreadPool::new(3).unwrap();
    let ((a, go_a), (b, _go_b)) = (held(&pool, 1), held(&pool, 2));
    let later = thread::spawn(move || {
        sleep(SHORT);
        drop(go_a);
    });
    let waited = wait([&a, &b], LONG, ReturnWhen::FirstCompleted);
    assert!(same(&waited.done, &[&a]) && same(&waited.not_done, &[&b]));
    // One that has ended counts at once.
    let start = Instant::now();
    let waited = wait([&b, &a], LONG, ReturnWhen::FirstCompleted);
    assert!(same(&waited.done, &[&a]) && same(&waited.not_done, &[&b]));
    assert!(start.elapsed() < LONG / 2);
    later.join().unwrap();
}

/// 39
#[test]
fn first_exception_returns_at_the_first_failure_or_when_all_are_done_and_cancelled_is_none() {
    let pool = ThreadPool::new(2).unwrap();
    let ((a, go_a), (b, go_b)) = (held(&pool, 1), held(&pool, 2));
    let cancelled = pool.submit(|| 3).unwrap();
    let c = broken(&pool);
    assert!(cancelled.cancel());
    let waited = wait([&a, &b, &c, &cancelled], SHORT, ReturnWhen::FirstException);
    assert!(same(&waited.done, &[&cancelled]), "what was cancelled is no exception");
    drop(go_a);
    let waited = wait([&a, &b, &c, &cancelled], LONG, ReturnWhen::FirstException);
    assert!(same(&waited.done, &[&a, &c, &cancelled]) && same(&waited.not_done, &[&b]));
    let waited = wait([&b, &c], LONG, ReturnWhen::FirstException);
    assert!(same(&waited.done, &[&c]), "it had failed before");
    drop(go_b);
    let waited = wait([&a, &b], LONG, ReturnWhen::FirstException);
    assert!(same(&waited.done, &[&a, &b]), "all are done, and none has failed");
}

/// 40
#[test]
fn all_completed_returns_when_all_have_ended_however() {
    let pool = ThreadPool::new(2).unwrap();
    let (a, go) = held(&pool, 1);
    let (failed, other) = (broken(&pool), pool.submit(|| "of another type").unwrap());
    let later = thread::spawn(move || {
        sleep(SHORT);
        drop(go);
    });
    let futures: [&dyn AnyFuture; 3] = [&a, &failed, &other];
    let waited = wait(futures, None, ReturnWhen::AllCompleted);
    assert_eq!((waited.done.len(), waited.not_done.len()), (3, 0));
    let none: [&Future<()>; 0] = [];
    assert!(wait(none, None, ReturnWhen::AllCompleted).done.is_empty());
    later.join().unwrap();
}

/// 41
#[test]
fn at_the_timeout_wait_returns_what_there_is() {
    let pool = ThreadPool::new(2).unwrap();
    let ((a, _go_a), b) = (held(&pool, 1), pool.submit(|| 2).unwrap());
    assert!(b.wait(LONG));
    let start = Instant::now();
    let waited = wait([&a, &b], SHORT, ReturnWhen::AllCompleted);
    assert!(start.elapsed() >= SHORT);
    assert!(same(&waited.done, &[&b]) && same(&waited.not_done, &[&a]));
}

/// 42
#[test]
fn duplicate_futures_count_once() {
    let pool = ThreadPool::new(1).unwrap();
    let a = pool.submit(|| 1).unwrap();
    let waited = wait([&a, &a, &a], LONG, ReturnWhen::AllCompleted);
    assert!(same(&waited.done, &[&a]));
    assert_eq!(as_completed([&a, &a], LONG).count(), 1);
}

/// 43
#[test]
fn as_completed_yields_finished_ones_first_then_each_as_it_ends_once() {
    let pool = ThreadPool::new(3).unwrap();
    let ((a, go_a), (b, go_b)) = (held(&pool, 1), held(&pool, 2));
    let (c, d) = (pool.submit(|| 3).unwrap(), pool.submit(|| 4).unwrap());
    assert!(c.wait(LONG) && d.wait(LONG));
    let mut go = vec![go_a, go_b];
    let mut seen = Vec::new();
    for future in as_completed([&a, &b, &c, &d], LONG) {
        seen.push(*future.unwrap().peek(None).unwrap());
        if seen.len() >= 2 {
            drop(go.pop());
        }
    }
    assert_eq!(seen, [3, 4, 2, 1]);
}

/// 43: `2 (of 3) futures unfinished`
#[test]
fn as_completed_at_its_timeout_says_how_many_of_how_many_are_left() {
    let pool = ThreadPool::new(2).unwrap();
    let ((a, go_a), (b, go_b), c) = (held(&pool, 1), held(&pool, 2), pool.submit(|| 3).unwrap());
    assert!(c.cancel());
    let mut completed = as_completed([a, b, c], SHORT);
    assert!(completed.next().unwrap().unwrap().cancelled());
    let unfinished = completed.next().unwrap().unwrap_err();
    assert_eq!(unfinished, Unfinished { left: 2, of: 3 });
    assert_eq!(unfinished.to_string(), "2 (of 3) futures unfinished");
    assert!(completed.next().is_none());
    drop((go_a, go_b));
    assert_eq!(completed.into_rest().map(|mut future| future.result(LONG).unwrap()).sum::<u32>(), 3);
}

/// 44
#[test]
fn results_are_freed_once_yielded() {
    let pool = ThreadPool::new(1).unwrap();
    let alive = Arc::new(());
    let futures = (0..10).map(|_| {
        let alive = alive.clone();
        pool.submit(move || alive).unwrap()
    });
    let mut left = 10;
    for future in as_completed(futures.collect::<Vec<_>>(), LONG) {
        drop(future.unwrap().result(None).unwrap());
        left -= 1;
        assert!(Arc::strong_count(&alive) <= left + 1);
    }
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// 45
#[test]
fn many_wait_for_the_same_futures_in_every_way() {
    let pool = ThreadPool::new(2).unwrap();
    let ((a, go_a), (b, go_b)) = (held(&pool, 1), held(&pool, 2));
    thread::scope(|scope| {
        let all = [&a, &b];
        for when in [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted] {
            for _ in 0..4 {
                scope.spawn(move || assert!(!wait(all, LONG, when).done.is_empty()));
            }
        }
        for _ in 0..4 {
            scope.spawn(move || assert_eq!(as_completed(all, LONG).flatten().count(), 2));
        }
        sleep(SHORT);
        drop((go_a, go_b));
    });
}

#[test]
fn who_waits_many_times_in_vain_leaves_nothing_behind() {
    let pool = ThreadPool::new(1).unwrap();
    let (a, go) = held(&pool, 1);
    // More than a future has room for callbacks, and each would be found by the next.
    for _ in 0..2_000 {
        assert!(!a.wait(Duration::from_nanos(1)));
        assert!(wait([&a], Duration::from_nanos(1), ReturnWhen::AllCompleted).done.is_empty());
        assert!(as_completed([&a], Duration::ZERO).next().unwrap().is_err());
    }
    drop(go);
    assert!(a.wait(LONG));
}

#[test]
fn a_pool_of_one_whose_task_waits_for_many_of_its_own_does_not_hang() {
    let pool = Arc::new(ThreadPool::new(1).unwrap());
    for when in [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted] {
        let inner = pool.clone();
        let mut future = pool
            .submit(move || {
                let futures: Vec<_> = (0..10).map(|n| inner.submit(move || n).unwrap()).collect();
                assert!(!wait(&futures, None, when).done.is_empty());
                as_completed(futures, None).map(|future| future.unwrap().result(None).unwrap()).sum::<u32>()
            })
            .unwrap();
        assert_eq!(future.result(LONG).unwrap(), 45);
    }
}

/// 19
#[test]
fn map_yields_results_in_input_order_whatever_finishes_first() {
    let pool = ThreadPool::new(4).unwrap();
    for chunksize in [1, 3, 100] {
        let options = MapOptions { chunksize, ..MapOptions::default() };
        let results = pool.map_with(options, 0..50u64, |n| {
            sleep(Duration::from_micros(if n % 4 == 0 { 2_000 } else { 10 }));
            n * n
        });
        assert_eq!(results.map(Result::unwrap).collect::<Vec<_>>(), (0..50).map(|n| n * n).collect::<Vec<_>>());
    }
    assert_eq!(pool.map([0u8; 0], |n| n).count(), 0);
}

/// 20
#[test]
fn an_error_of_map_appears_when_its_result_is_reached_and_the_others_come_through() {
    let pool = ThreadPool::new(2).unwrap();
    for chunksize in [1, 2, 10] {
        let options = MapOptions { chunksize, ..MapOptions::default() };
        let results: Vec<_> = pool.map_with(options, [5, 0, 2, 0, 1], |n: i32| 10 / n).collect();
        let words = results.into_iter().map(|result| match result {
            Ok(number) => number.to_string(),
            Err(Failure::Failed(exception)) => exception.message().to_owned(),
            Err(_) => String::from("?"),
        });
        let zero = "attempt to divide by zero";
        assert_eq!(words.collect::<Vec<_>>(), ["2", zero, "5", zero, "10"]);
    }
}

/// 21
#[test]
fn the_timeout_of_map_counts_from_the_call() {
    let pool = ThreadPool::new(1).unwrap();
    let (go, hold) = channel::<()>();
    let hold = Mutex::new(hold);
    let options = MapOptions { timeout: Some(10 * SHORT), ..MapOptions::default() };
    let start = Instant::now();
    let mut results = pool.map_with(options, 0..3, move |n| {
        if n == 1 {
            let _ = hold.lock().unwrap().recv();
        }
        n
    });
    assert_eq!(results.next().unwrap().unwrap(), 0);
    sleep(5 * SHORT);
    assert!(matches!(results.next(), Some(Err(Failure::TimedOut))));
    assert!(start.elapsed() >= 10 * SHORT);
    assert!(results.next().is_none());
    drop(go);
}

/// 22
#[test]
fn dropping_the_iterator_of_map_cancels_what_has_not_started() {
    let pool = ThreadPool::new(1).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = ran.clone();
    let (running, go) = held(&pool, 1);
    let options = MapOptions { in_flight: 100, ..MapOptions::default() };
    drop(pool.map_with(options, 0..100, move |_| counter.fetch_add(1, SeqCst)));
    drop(go);
    assert!(running.wait(LONG));
    pool.shutdown(true, false);
    assert_eq!(ran.load(SeqCst), 0);
    assert_eq!(Arc::strong_count(&ran), 1);
}

/// 23
#[test]
fn map_submits_before_the_first_result_is_asked_for_but_not_all() {
    let pool = ThreadPool::new(2).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let items = std::iter::repeat_with(move || counter.fetch_add(1, SeqCst));
    let (tell, told) = channel();
    let mut results = pool.map(items, move |n| {
        tell.send(n).unwrap();
        n
    });
    assert!(told.recv_timeout(LONG).is_ok());
    assert_eq!(asked.load(SeqCst), 4, "twice the workers of an endless iterator");
    for n in 0..100 {
        assert_eq!(results.next().unwrap().unwrap(), n);
        assert_eq!(asked.load(SeqCst), n + 5);
    }
}

#[test]
fn map_goes_through_a_pool_with_little_room_also_from_inside() {
    let pool = Arc::new(ThreadPool::builder().workers(1).capacity(1).build().unwrap());
    let options = MapOptions { in_flight: 50, ..MapOptions::default() };
    assert_eq!(pool.map_with(options, 0..200u32, |n| n).map(Result::unwrap).sum::<u32>(), 19_900);
    let inner = pool.clone();
    let mut sum = pool.submit(move || inner.map(0..200u32, |n| n).map(Result::unwrap).sum::<u32>()).unwrap();
    assert_eq!(sum.result(LONG).unwrap(), 19_900);
    pool.shutdown(false, false);
    let refused: Vec<_> = pool.map(0..3, |n| n).collect();
    assert!(matches!(refused[..], [Err(Failure::Cancelled)]));
}
