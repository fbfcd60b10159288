//! Tasks that borrow, and functions over slices.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use tidemill_host::threads::{Failure, ThreadPool};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_scope_ends_after_all_of_its_tasks_whose_futures_are_kept_dropped_or_cancelled() {
    let pool = ThreadPool::new(2).unwrap();
    let mut places = [0; 100];
    let alive = Arc::new(());
    pool.scope(|scope| {
        for (index, place) in places.iter_mut().enumerate() {
            let alive = alive.clone();
            drop(scope.submit(move || {
                sleep(Duration::from_micros(100));
                *place = index;
                alive
            }));
        }
        let last = scope.submit(|| alive.clone()).unwrap();
        last.cancel();
    });
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(places.iter().enumerate().all(|(index, &place)| place == index));
}

#[test]
fn a_task_of_a_scope_may_submit_to_it_also_in_a_pool_of_one() {
    let pool = ThreadPool::new(1).unwrap();
    let count = AtomicUsize::new(0);
    pool.scope(|scope| {
        let count = &count;
        drop(scope.submit(move || {
            for _ in 0..10 {
                drop(scope.submit(move || count.fetch_add(1, SeqCst)));
            }
        }));
    });
    assert_eq!(count.load(SeqCst), 10);
    // And a scope inside a task.
    pool.scope(|outer| {
        let (pool, count) = (&pool, &count);
        drop(outer.submit(move || pool.scope(|inner| drop(inner.submit(|| count.fetch_add(1, SeqCst))))));
    });
    assert_eq!(count.load(SeqCst), 11);
}

#[test]
fn a_scope_whose_function_panics_waits_for_its_tasks_and_a_task_that_panics_is_a_value() {
    let pool = ThreadPool::new(2).unwrap();
    let done = AtomicUsize::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            drop(scope.submit(|| {
                sleep(SHORT);
                done.fetch_add(1, SeqCst);
            }));
            panic!("the scope's function panics: this is expected in a test");
        })
    }));
    assert!(outcome.is_err() && done.load(SeqCst) == 1);
    let failed = pool.scope(|scope| scope.submit(|| panic!("spilt")).unwrap().result(None));
    assert!(matches!(failed, Err::<(), _>(Failure::Failed(exception)) if exception.message() == "spilt"));
}

#[test]
fn cancelling_all_futures_of_a_pool_ends_a_scope() {
    let pool = ThreadPool::new(1).unwrap();
    let (go, hold) = channel::<()>();
    let ran = AtomicUsize::new(0);
    pool.scope(|scope| {
        let (begun, has_begun) = channel();
        drop(scope.submit(move || {
            begun.send(()).unwrap();
            let _ = hold.recv();
        }));
        has_begun.recv().unwrap();
        for _ in 0..10 {
            drop(scope.submit(|| ran.fetch_add(1, SeqCst)));
        }
        pool.shutdown(false, true);
        drop(go);
    });
    assert_eq!(ran.load(SeqCst), 0);
}

#[test]
fn a_function_over_a_slice_is_called_once_for_each_element_in_any_pool() {
    for workers in [1, 2, 5] {
        let pool = ThreadPool::new(workers).unwrap();
        for len in [0, 1, 2, 7, 1000, 100_003] {
            let numbers: Vec<u32> = (0..len).collect();
            let expected: Vec<u64> = numbers.iter().map(|&n| u64::from(n) * 3).collect();
            assert_eq!(pool.map_slice(&numbers, |&n| u64::from(n) * 3), expected);
            let mut results = vec![0; numbers.len()];
            pool.map_into(&numbers, &mut results, |&n| u64::from(n) * 3);
            assert_eq!(results, expected);
            pool.for_each_mut(&mut results, |n| *n += 1);
            assert!(results.iter().zip(&expected).all(|(result, expected)| *result == expected + 1));
        }
        assert_eq!(pool.map_slice(&[(); 1000], |()| ()).len(), 1000);
    }
}

#[test]
fn a_function_over_a_slice_works_in_a_pool_that_is_shut_down_or_busy_and_inside_a_task() {
    let pool = Arc::new(ThreadPool::builder().workers(2).capacity(1).build().unwrap());
    let inner = pool.clone();
    let mut sum = pool.submit(move || inner.map_slice(&[1, 2, 3, 4], |n| n * n).iter().sum::<i32>()).unwrap();
    assert_eq!(sum.result(None).unwrap(), 30);
    let (go, hold) = channel::<()>();
    let hold = std::sync::Mutex::new(hold);
    pool.scope(|scope| {
        for _ in 0..2 {
            let (begun, has_begun) = channel();
            let hold = &hold;
            drop(scope.submit(move || {
                begun.send(()).unwrap();
                let _ = hold.lock().unwrap().recv();
            }));
            has_begun.recv().unwrap();
        }
        assert_eq!(pool.map_slice(&[1, 2, 3], |n| n + 1), [2, 3, 4]);
        drop(go);
    });
    pool.shutdown(true, false);
    assert_eq!(pool.map_slice(&[1, 2, 3], |n| n + 1), [2, 3, 4]);
}

#[test]
fn when_a_call_over_a_slice_panics_the_others_stop_and_what_there_is_is_dropped() {
    let pool = ThreadPool::new(2).unwrap();
    let alive = Arc::new(());
    let numbers: Vec<u32> = (0..20_000).collect();
    for bad in [0, 1, 9_999, 10_000, 19_999] {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.map_slice(&numbers, |&n| {
                assert!(n != bad, "bad number {n}");
                alive.clone()
            })
        }));
        let payload = outcome.unwrap_err();
        assert_eq!(*payload.downcast::<String>().unwrap(), format!("bad number {bad}"));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn elements_of_which_the_last_are_the_heaviest_are_shared_out() {
    let pool = ThreadPool::new(2).unwrap();
    let mut by = Vec::new();
    let cost: Vec<u64> = (0..1_000).map(|n| if n >= 990 { 30_000 } else { 1 }).collect();
    pool.map_slice(&cost, |&micros| {
        sleep(Duration::from_micros(micros));
        std::thread::current().id()
    })
    .into_iter()
    .skip(990)
    .for_each(|thread| match by.iter_mut().find(|(id, _)| *id == thread) {
        Some((_, count)) => *count += 1,
        None => by.push((thread, 1)),
    });
    assert!(by.len() == 2 && by.iter().all(|(_, count)| *count >= 2), "{by:?}");
}
