//! Futures and the pool, as `concurrent.futures` has them.

use std::panic::{Location, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tidemill_host::threads::{BuildError, CallbackError, Exception, Failure, Future, State, SubmitError, ThreadPool};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn pool(workers: usize) -> ThreadPool {
    ThreadPool::new(workers).unwrap()
}

/// A task that has begun and goes on until the sender is dropped or used.
fn held(pool: &ThreadPool) -> (Future<u32>, Sender<()>) {
    let (go, wait) = channel::<()>();
    let (begun, has_begun) = channel();
    let future = pool.submit(move || {
        begun.send(()).unwrap();
        let _ = wait.recv();
        42
    });
    has_begun.recv_timeout(LONG).unwrap();
    (future.unwrap(), go)
}

fn failed<T>(result: Result<T, Failure<Exception>>) -> Exception {
    match result {
        Err(Failure::Failed(exception)) => exception,
        Err(other) => panic!("it failed otherwise: {other}"),
        Ok(_) => panic!("it did not fail"),
    }
}

/// 1
#[test]
fn a_new_future_is_pending_not_done_not_running_not_cancelled() {
    let pool = pool(1);
    let (_running, _go) = held(&pool);
    let future = pool.submit(|| 1).unwrap();
    assert_eq!(future.state(), State::Pending);
    assert!(!future.done() && !future.running() && !future.cancelled());
}

/// 2
#[test]
fn cancel_on_pending_is_true_and_makes_it_cancelled_and_done_and_again_true() {
    let pool = pool(1);
    let (_running, _go) = held(&pool);
    let future = pool.submit(|| 1).unwrap();
    assert!(future.cancel());
    assert!(future.cancelled() && future.done());
    assert!(future.cancel());
}

/// 3
#[test]
fn cancel_on_running_and_on_finished_is_false() {
    let pool = pool(1);
    let (mut future, go) = held(&pool);
    assert!(!future.cancel());
    drop(go);
    assert!(future.wait(LONG));
    assert!(!future.cancel());
    assert_eq!(future.result(None).unwrap(), 42);
}

/// 4
#[test]
fn cancelled_is_true_only_after_a_successful_cancel() {
    let pool = pool(1);
    let (running, go) = held(&pool);
    assert!(!running.cancel() && !running.cancelled());
    let waiting = pool.submit(|| 1).unwrap();
    assert!(!waiting.cancelled());
    assert!(waiting.cancel() && waiting.cancelled());
    drop(go);
    assert!(running.wait(LONG) && !running.cancelled());
}

/// 5
#[test]
fn running_is_false_before_the_start_and_after_the_end() {
    let pool = pool(1);
    let (first, go) = held(&pool);
    let second = pool.submit(|| ()).unwrap();
    assert!(first.running() && !second.running());
    drop(go);
    assert!(first.wait(LONG) && second.wait(LONG));
    assert!(!first.running() && !second.running());
}

/// 6
#[test]
fn result_of_a_pending_future_past_its_time_times_out_and_leaves_it_usable() {
    let pool = pool(1);
    let (mut future, go) = held(&pool);
    let start = Instant::now();
    assert!(matches!(future.result(SHORT), Err(Failure::TimedOut)));
    assert!(start.elapsed() >= SHORT);
    assert!(matches!(future.exception(Duration::ZERO), Err(Failure::TimedOut)));
    assert!(matches!(future.peek(Duration::ZERO), Err(Failure::TimedOut)));
    drop(go);
    assert_eq!(future.result(LONG).unwrap(), 42);
}

/// 7
#[test]
fn result_of_a_failed_task_is_its_error_again_and_again_the_same() {
    let pool = pool(1);
    let mut future = pool.submit(|| -> u32 { panic!("no {}", "water") }).unwrap();
    let first = failed(future.result(LONG));
    for _ in 0..3 {
        assert_eq!(failed(future.result(LONG)).to_string(), first.to_string());
    }
    assert_eq!(failed(future.peek(None)).message(), "no water");
    assert_eq!(future.exception(None).unwrap().unwrap().message(), "no water");
    assert_eq!(future.state(), State::Failed);
}

/// 8, 14
#[test]
fn a_waiter_already_blocked_is_told_promptly_that_it_was_cancelled() {
    let pool = pool(1);
    let (_running, _go) = held(&pool);
    let future = pool.submit(|| 1).unwrap();
    thread::scope(|scope| {
        let waiters: [_; 3] = std::array::from_fn(|_| {
            scope.spawn(|| (matches!(future.peek(LONG), Err(Failure::Cancelled)), Instant::now()))
        });
        sleep(SHORT);
        let cancelled = Instant::now();
        assert!(future.cancel());
        for waiter in waiters {
            let (told, when) = waiter.join().unwrap();
            assert!(told);
            assert!(when - cancelled < Duration::from_secs(5));
        }
    });
    assert!(matches!(future.exception(None), Err(Failure::Cancelled)));
}

/// 9
#[test]
fn exception_of_a_success_is_none() {
    let pool = pool(1);
    let future = pool.submit(|| 1).unwrap();
    assert!(future.exception(LONG).unwrap().is_none());
}

/// 11
#[test]
fn callbacks_are_called_once_in_order_of_registration_with_the_result_and_at_once_if_it_has_ended() {
    let pool = pool(1);
    let (mut future, go) = held(&pool);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in 0..10 {
        let seen = seen.clone();
        future.add_done_callback(move |result| seen.lock().unwrap().push((number, *result.unwrap()))).unwrap();
    }
    assert!(seen.lock().unwrap().is_empty());
    drop(go);
    // The result can be taken when all have been called.
    let mut late = pool.submit(|| 7).unwrap();
    assert!(late.wait(LONG));
    let me = thread::current().id();
    let called_by = Arc::new(Mutex::new(None));
    let by = called_by.clone();
    late.add_done_callback(move |result| *by.lock().unwrap() = Some((thread::current().id(), *result.unwrap())))
        .unwrap();
    assert_eq!(*called_by.lock().unwrap(), Some((me, 7)));
    assert_eq!(late.result(None).unwrap(), 7);
    assert_eq!(future.result(LONG).unwrap(), 42);
    assert_eq!(*seen.lock().unwrap(), (0..10).map(|number| (number, 42)).collect::<Vec<_>>());
}

/// 12
#[test]
fn a_callback_that_panics_hurts_neither_the_others_nor_the_pool() {
    let pool = pool(1);
    let (mut future, go) = held(&pool);
    let called = Arc::new(AtomicUsize::new(0));
    for number in 0..4 {
        let called = called.clone();
        let callback = move |_: Result<&u32, Failure<Exception>>| {
            called.fetch_add(1, SeqCst);
            assert!(number % 2 == 1, "a callback panics: this is expected in a test");
        };
        future.add_done_callback(callback).unwrap();
    }
    drop(go);
    assert_eq!(future.result(LONG).unwrap(), 42);
    assert_eq!(called.load(SeqCst), 4);
    future = pool.submit(|| 1).unwrap();
    assert!(future.wait(LONG));
    future.add_done_callback(|_| panic!("a callback panics at once: this is expected in a test")).unwrap();
    assert_eq!(future.result(LONG).unwrap(), 1);
}

/// 13
#[test]
fn callbacks_of_a_cancelled_future_and_of_a_failed_one_are_called_too() {
    let pool = pool(1);
    let (_running, go) = held(&pool);
    let cancelled = pool.submit(|| 1).unwrap();
    let (tell, told) = channel();
    let also = tell.clone();
    cancelled.add_done_callback(move |result| tell.send(result.unwrap_err().to_string()).unwrap()).unwrap();
    assert!(cancelled.cancel());
    assert_eq!(told.try_recv().unwrap(), "the task was cancelled", "who cancels calls them");
    let broken = pool.submit(|| panic!("burst")).unwrap();
    broken
        .add_done_callback(move |result: Result<&(), _>| also.send(failed(result).message().into()).unwrap())
        .unwrap();
    drop(go);
    assert_eq!(told.recv_timeout(LONG).unwrap(), "burst");
}

#[test]
fn a_callback_is_called_with_the_result_though_the_future_was_dropped() {
    let pool = pool(1);
    let (_running, go) = held(&pool);
    let future = pool.submit(|| String::from("flood")).unwrap();
    let (tell, told) = channel();
    future.add_done_callback(move |result| tell.send(result.unwrap().clone()).unwrap()).unwrap();
    drop((future, go));
    assert_eq!(told.recv_timeout(LONG).unwrap(), "flood");
}

#[test]
fn a_future_has_room_for_so_many_callbacks_and_hands_one_more_back() {
    let pool = pool(1);
    let (_running, _go) = held(&pool);
    let future = pool.submit(|| 1).unwrap();
    for _ in 0..1024 {
        future.add_done_callback(|_| ()).unwrap();
    }
    assert!(matches!(future.add_done_callback(|_| ()), Err(CallbackError::Full(_))));
}

/// 15: a stale future, that is, one whose result was taken.
#[test]
fn a_result_is_taken_once_and_then_stale_is_an_error_of_its_own() {
    let pool = pool(1);
    let mut future = pool.submit(|| 1).unwrap();
    assert_eq!(future.result(LONG).unwrap(), 1);
    assert!(matches!(future.result(LONG), Err(Failure::Stale)));
    assert!(matches!(future.peek(LONG), Err(Failure::Stale)));
    assert!(matches!(future.try_result(), Err(nb::Error::Other(Failure::Stale))));
    assert!(matches!(future.add_done_callback(|_| ()), Err(CallbackError::Stale(_))));
    assert!(future.done() && !future.cancelled() && !future.cancel());
}

/// 16
#[test]
fn a_panic_carries_payload_message_and_location() {
    let pool = pool(1);
    let here = Location::caller();
    let mut future = pool.submit(|| -> () { panic!("at {}", 7) }).unwrap();
    let exception = failed(future.result(LONG));
    let location = exception.location().unwrap();
    assert_eq!((&*location.file, location.line), (here.file(), here.line() + 1));
    assert_eq!(exception.message(), "at 7");
    assert_eq!(exception.to_string(), format!("panicked at {location}: at 7"));

    let mut future = pool.submit(|| -> () { panic_any(vec![1, 2, 3]) }).unwrap();
    let exception = failed(future.result(LONG));
    assert_eq!(exception.message(), "a value that is not text");
    assert_eq!(*exception.take_payload().unwrap().downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
    assert!(exception.take_payload().is_none(), "it is handed out once");
}

/// 17
#[test]
fn a_future_can_be_awaited_on_any_executor() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn block_on<F: std::future::Future + Unpin>(mut future: F) -> F::Output {
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            match std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
    let pool = pool(2);
    let (running, go) = held(&pool);
    let later = thread::spawn(move || {
        sleep(SHORT);
        drop(go);
    });
    let both = async {
        let seven = pool.submit(|| 7).unwrap().await.unwrap();
        seven + running.await.unwrap()
    };
    assert_eq!(block_on(Box::pin(both)), 49);
    assert!(failed(block_on(pool.submit(|| -> u32 { panic!("ebb") }).unwrap())).message() == "ebb");
    later.join().unwrap();
}

#[test]
fn a_future_answers_would_block_until_its_result_is_there_and_is_a_task_of_cores() {
    use tidemill_core::executor::Executor;
    use tidemill_core::net::NoNetwork;
    use tidemill_core::pool::Slot;
    use tidemill_core::time::{Duration, EPOCH};
    let pool = pool(1);
    let (mut future, go) = held(&pool);
    assert!(matches!(future.try_result(), Err(nb::Error::WouldBlock)));
    let mut executor = Executor::new([const { Slot::EMPTY }; 1]);
    let id = executor.pool.submit(future).unwrap();
    executor.turn(EPOCH, &mut NoNetwork, &mut ());
    assert!(executor.pool.running(id).unwrap());
    drop(go);
    let mut now = EPOCH;
    let began = Instant::now();
    while !executor.pool.done(id).unwrap() {
        assert!(began.elapsed() < LONG);
        now += Duration::from_millis(1);
        executor.turn(now, &mut NoNetwork, &mut ());
    }
    assert_eq!(executor.pool.result(id).unwrap(), 42);
}

/// 18
#[test]
fn submit_after_shutdown_is_an_error_that_hands_the_closure_back() {
    let pool = pool(1);
    pool.shutdown(true, false);
    let Err(SubmitError::ShutDown(f)) = pool.submit(|| 7) else { panic!("it was taken") };
    assert_eq!(f(), 7);
    assert!(matches!(pool.submit_blocking(|| 7), Err(SubmitError::ShutDown(_))));
    assert!(matches!(pool.submit_batch([|| 7; 3]), Err(SubmitError::ShutDown(fs)) if fs.len() == 3));
}

#[test]
fn submit_to_a_full_pool_hands_the_closure_back_and_submit_blocking_waits_for_room() {
    let pool = ThreadPool::builder().workers(1).capacity(2).build().unwrap();
    let (_running, go) = held(&pool);
    let waiting = [pool.submit(|| 0).unwrap(), pool.submit(|| 1).unwrap()];
    let Err(SubmitError::Full(f)) = pool.submit(|| 7) else { panic!("there was room") };
    assert_eq!(f(), 7);
    assert!(matches!(pool.submit_batch([|| 7; 1]), Err(SubmitError::Full(_))));
    thread::scope(|scope| {
        let submitted = Arc::new(AtomicUsize::new(0));
        let (pool, counter) = (&pool, submitted.clone());
        let submitter = scope.spawn(move || {
            let mut futures = Vec::new();
            for number in 0..50 {
                futures.push(pool.submit_blocking(move || number).unwrap());
                counter.fetch_add(1, SeqCst);
            }
            futures.into_iter().map(|mut future| future.result(LONG).unwrap()).sum::<usize>()
        });
        sleep(SHORT);
        assert_eq!(submitted.load(SeqCst), 0, "it waits");
        drop(go);
        assert_eq!(submitter.join().unwrap(), 49 * 50 / 2);
    });
    assert!(waiting.iter().all(|future| future.wait(LONG)));
}

#[test]
fn who_waits_for_room_learns_of_a_shutdown() {
    let pool = ThreadPool::builder().workers(1).capacity(1).build().unwrap();
    let (_running, go) = held(&pool);
    let _waiting = pool.submit(|| ()).unwrap();
    thread::scope(|scope| {
        let submitter = scope.spawn(|| matches!(pool.submit_blocking(|| ()), Err(SubmitError::ShutDown(_))));
        sleep(SHORT);
        pool.shutdown(false, false);
        assert!(submitter.join().unwrap());
        drop(go);
    });
}

#[test]
fn a_task_that_submits_to_its_own_full_pool_runs_it_in_place() {
    let pool = Arc::new(ThreadPool::builder().workers(1).capacity(1).build().unwrap());
    let inner = pool.clone();
    let mut sum = pool
        .submit(move || {
            let futures: Vec<_> = (0..100).map(|n| inner.submit_blocking(move || n).unwrap()).collect();
            let batch = inner.submit_batch_blocking((0..100).map(|n| move || n)).unwrap();
            futures.into_iter().chain(batch).map(|mut future| future.result(None).unwrap()).sum::<u32>()
        })
        .unwrap();
    assert_eq!(sum.result(LONG).unwrap(), 2 * 4950);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all_and_a_blocking_one_may_be_larger_than_the_pool() {
    let pool = ThreadPool::builder().workers(2).capacity(100).build().unwrap();
    let Err(SubmitError::Full(tasks)) = pool.submit_batch((0..101).map(|n| move || n)) else { panic!("no room") };
    assert_eq!(tasks.len(), 101);
    let results = |futures: Vec<Future<u32>>| {
        futures.into_iter().map(|mut future| future.result(LONG).unwrap()).collect::<Vec<_>>()
    };
    for count in [0, 1, 63, 64, 65, 100] {
        let futures = pool.submit_batch_blocking((0..count).map(|n| move || n)).unwrap();
        assert_eq!(results(futures), (0..count).collect::<Vec<_>>());
    }
    let futures = pool.submit_batch_blocking((0..10_000).map(|n| move || n)).unwrap();
    assert_eq!(results(futures), (0..10_000).collect::<Vec<_>>());
}

#[test]
fn tasks_of_a_batch_are_cancelled_fail_and_are_dropped_one_by_one() {
    let pool = pool(1);
    let (_running, go) = held(&pool);
    let alive = Arc::new(());
    let task = |n: u32| {
        let alive = alive.clone();
        move || {
            assert!(n % 3 != 1, "every third");
            (n, alive)
        }
    };
    let mut futures = pool.submit_batch((0..200).map(task)).unwrap();
    assert!(futures[0].cancel() && futures[199].cancel());
    assert_eq!(Arc::strong_count(&alive), 199);
    drop(futures.drain(100..150));
    drop(go);
    for (index, future) in futures.iter_mut().enumerate() {
        let n = if index < 100 { index } else { index + 50 } as u32;
        match future.result(LONG) {
            Ok((number, _)) => assert!(number == n && n % 3 != 1),
            Err(Failure::Failed(exception)) => assert!(n % 3 == 1 && exception.message() == "every third"),
            Err(why) => assert!(matches!(why, Failure::Cancelled) && (n == 0 || n == 199)),
        }
    }
    drop((futures, pool));
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// 24
#[test]
fn shutdown_with_wait_returns_after_all_work_and_twice_is_fine() {
    let pool = pool(2);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let done = done.clone();
        let _ = pool.submit(move || {
            sleep(Duration::from_millis(1));
            done.fetch_add(1, SeqCst);
        });
    }
    pool.shutdown(true, false);
    assert_eq!(done.load(SeqCst), 20);
    pool.shutdown(true, true);
}

/// 25
#[test]
fn shutdown_without_wait_returns_at_once_and_work_still_completes() {
    let pool = pool(1);
    let (mut first, go) = held(&pool);
    let mut second = pool.submit(|| 7).unwrap();
    pool.shutdown(false, false);
    assert!(first.running());
    drop(pool);
    assert!(first.running(), "dropping it does not wait either");
    drop(go);
    assert_eq!(first.result(LONG).unwrap(), 42);
    assert_eq!(second.result(LONG).unwrap(), 7);
}

/// 26
#[test]
fn cancel_futures_cancels_every_pending_one_and_running_ones_finish() {
    let pool = pool(2);
    let (first, go) = held(&pool);
    let (second, go_too) = held(&pool);
    let pending: Vec<_> = (0..100).map(|n| pool.submit(move || n).unwrap()).collect();
    pool.shutdown(false, true);
    assert!(pending.iter().all(Future::cancelled));
    drop((go, go_too));
    pool.shutdown(true, true);
    assert!([first, second].iter_mut().all(|future| future.result(None).unwrap() == 42));
}

/// 27, 28
#[test]
fn dropping_a_pool_waits_and_ends_its_threads() {
    let done = Arc::new(AtomicUsize::new(0));
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    thread_local!(static GONE: std::cell::RefCell<Option<Gone>> = const { std::cell::RefCell::new(None) });
    let gone = Arc::new(AtomicUsize::new(0));
    {
        let pool = pool(3);
        let together = Arc::new(Barrier::new(3));
        for _ in 0..3 {
            let (done, gone, together) = (done.clone(), gone.clone(), together.clone());
            let _ = pool.submit(move || {
                GONE.set(Some(Gone(gone)));
                together.wait();
                sleep(SHORT);
                done.fetch_add(1, SeqCst);
            });
        }
    }
    assert_eq!((done.load(SeqCst), gone.load(SeqCst)), (3, 3));
}

/// 29
#[test]
fn no_workers_no_capacity_and_a_core_one_does_not_have_are_errors() {
    assert_eq!(ThreadPool::new(0).unwrap_err(), BuildError::NoWorkers);
    assert_eq!(ThreadPool::new(usize::MAX).unwrap_err(), BuildError::TooManyWorkers);
    assert_eq!(ThreadPool::builder().capacity(0).build().unwrap_err(), BuildError::NoCapacity);
    assert_eq!(ThreadPool::builder().affinity([100_000]).build().unwrap_err(), BuildError::Core(100_000));
}

/// 30
#[test]
fn the_default_is_a_worker_for_each_core_that_the_process_may_use() {
    assert_eq!(ThreadPool::default().workers(), tidemill_host::threads::cores());
}

/// 32
#[test]
fn threads_carry_the_prefix_and_have_the_stack_and_the_core_they_were_given() {
    let pool = ThreadPool::builder().workers(2).name("mill").stack_size(8 << 20).affinity([0]).build().unwrap();
    let mut future = pool
        .submit(|| {
            // More than a thread has by default.
            #[allow(clippy::large_stack_arrays)]
            let room = [1u8; 5 << 20];
            let cores = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
            let only = (0..64).filter(|&core| cores.is_set(core).unwrap()).collect::<Vec<_>>();
            (thread::current().name().map(String::from), std::hint::black_box(&room).len(), only)
        })
        .unwrap();
    let (name, room, only) = future.result(LONG).unwrap();
    assert!(name.unwrap().starts_with("mill-"));
    assert_eq!((room, only), (5 << 20, vec![0]));
}

/// 33
#[test]
fn a_failing_initializer_breaks_the_pool() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let pool = ThreadPool::builder()
        .workers(1)
        .initializer(move || {
            let _ = wait.lock().unwrap().recv();
            panic!("no grain");
        })
        .build()
        .unwrap();
    let mut futures: Vec<_> = (0..5).map(|n| pool.submit(move || n).unwrap()).collect();
    drop(go);
    for future in &mut futures {
        let exception = failed(future.result(LONG));
        assert!(exception.is_broken_pool());
        assert!(exception.to_string().contains("the pool is broken: its initializer panicked at"), "{exception}");
        assert!(exception.to_string().ends_with("no grain"), "{exception}");
    }
    match pool.submit(|| 7) {
        Err(SubmitError::Broken(f, why)) => assert!(why.is_broken_pool() && f() == 7),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_worker_is_initialized_before_its_first_task() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let initializer = move || {
        counter.fetch_add(1, SeqCst);
    };
    let pool = ThreadPool::builder().workers(2).initializer(initializer).build().unwrap();
    let together = Arc::new(Barrier::new(2));
    let futures: Vec<_> = (0..2)
        .map(|_| {
            let (together, count) = (together.clone(), count.clone());
            pool.submit(move || {
                together.wait();
                count.load(SeqCst)
            })
            .unwrap()
        })
        .collect();
    assert!(futures.into_iter().all(|mut future| future.result(LONG).unwrap() == 2));
}

/// 34
#[test]
fn results_and_what_was_captured_are_dropped_as_soon_as_taken() {
    let pool = pool(1);
    let (captured, result) = (Arc::new(()), Arc::new(()));
    let (in_task, in_result) = (captured.clone(), result.clone());
    let mut future = pool
        .submit(move || {
            drop(in_task);
            in_result
        })
        .unwrap();
    assert!(future.wait(LONG));
    assert_eq!((Arc::strong_count(&captured), Arc::strong_count(&result)), (1, 2));
    drop(future.result(None).unwrap());
    assert_eq!(Arc::strong_count(&result), 1, "though the future is still there");

    let in_result = result.clone();
    let future = pool.submit(move || in_result).unwrap();
    assert!(future.wait(LONG));
    drop(future);
    // Whoever ended it may still be telling others, and then drops it.
    let began = Instant::now();
    while Arc::strong_count(&result) > 1 {
        assert!(began.elapsed() < LONG);
        thread::yield_now();
    }

    let (_running, go) = held(&pool);
    let (in_task, abandoned) = (captured.clone(), result.clone());
    let cancelled = pool.submit(move || in_task).unwrap();
    drop(pool.submit(move || abandoned));
    assert!(cancelled.cancel());
    assert_eq!(Arc::strong_count(&captured), 1, "though the task still waits in the queue");
    drop(go);
    pool.shutdown(true, false);
    assert_eq!(Arc::strong_count(&result), 1, "nobody kept what nobody asked for");
}

/// 35
#[test]
fn a_pool_of_one_that_waits_for_its_own_child_runs_it_instead_of_hanging() {
    fn fibonacci(pool: &Arc<ThreadPool>, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let inner = pool.clone();
        let mut first = pool.submit(move || fibonacci(&inner, n - 1)).unwrap();
        let second = fibonacci(pool, n - 2);
        first.result(None).unwrap() + second
    }
    for workers in [1, 2] {
        let pool = Arc::new(pool(workers));
        let inner = pool.clone();
        let mut future = pool.submit(move || fibonacci(&inner, 15)).unwrap();
        assert_eq!(future.result(LONG).unwrap(), 610);
    }
}

#[test]
fn a_worker_that_waits_with_a_timeout_gives_its_place_to_another() {
    let pool = Arc::new(pool(1));
    let inner = pool.clone();
    let mut future = pool.submit(move || inner.submit(|| 7).unwrap().result(LONG).unwrap()).unwrap();
    assert_eq!(future.result(LONG).unwrap(), 7);
}

#[test]
fn two_pools_of_one_that_wait_for_each_other_do_not_hang() {
    let (left, right) = (Arc::new(pool(1)), Arc::new(pool(1)));
    let (l, r) = (left.clone(), right.clone());
    let mut future = left
        .submit(move || {
            let back = l.clone();
            let there = r.submit(move || back.submit(|| 7).unwrap().result(None).unwrap()).unwrap();
            { there }.result(None).unwrap()
        })
        .unwrap();
    assert_eq!(future.result(LONG).unwrap(), 7);
}

#[test]
fn a_chain_of_ten_thousand_tasks_each_waiting_for_the_next_ends() {
    let pool = Arc::new(pool(1));
    let (_running, go) = held(&pool);
    // The first to run waits for the last submitted.
    let links: Vec<Arc<Mutex<Option<Future<u32>>>>> = (0..10_001).map(|_| Arc::default()).collect();
    for index in 0..10_000 {
        let next = links[index + 1].clone();
        let link = pool.submit(move || {
            let next = next.lock().unwrap().take();
            1 + next.map_or(0, |mut next| next.result(None).unwrap())
        });
        *links[index].lock().unwrap() = Some(link.unwrap());
    }
    let mut first = links[0].lock().unwrap().take().unwrap();
    drop(go);
    assert_eq!(first.result(LONG).unwrap(), 10_000);
}

/// 31
#[test]
fn idle_workers_are_reused_before_a_new_one_starts_and_never_are_there_more_than_the_maximum() {
    let pool = pool(4);
    for _ in 0..3 {
        pool.submit(|| ()).unwrap().result(LONG).unwrap();
        sleep(SHORT);
    }
    assert_eq!(pool.snapshot().threads, 1);
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (most, now) = (most.clone(), now.clone());
            pool.submit(move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_millis(1));
                now.fetch_sub(1, SeqCst);
            })
            .unwrap()
        })
        .collect();
    assert!(tasks.iter().all(|task| task.wait(LONG)));
    assert_eq!(most.load(SeqCst), 4);
    assert_eq!(pool.snapshot().threads, 4);
}

/// 36
#[test]
fn submit_racing_with_shutdown_neither_hangs_nor_loses_a_future() {
    for round in 0..60 {
        let pool = pool(2);
        thread::scope(|scope| {
            let submitters: [_; 2] = std::array::from_fn(|_| {
                scope.spawn(|| {
                    let mut futures = Vec::new();
                    while let Ok(future) = pool.submit(|| 1) {
                        futures.push(future);
                        if futures.len() > 50_000 {
                            break;
                        }
                    }
                    futures
                })
            });
            sleep(Duration::from_micros(50 * (round % 8)));
            pool.shutdown(true, round % 2 == 1);
            for future in submitters.into_iter().flat_map(|submitter| submitter.join().unwrap()) {
                assert!(future.wait(LONG), "a future was lost");
            }
        });
    }
}

#[test]
fn a_worker_that_dies_is_replaced() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a result panics while it is dropped: this is expected in a test");
        }
    }
    let pool = pool(1);
    for _ in 0..3 {
        let (_running, go) = held(&pool);
        // Nobody wants the result: the worker drops it, and dies of it.
        drop(pool.submit(|| Bomb).unwrap());
        let next = pool.submit(|| 7).unwrap();
        drop(go);
        assert_eq!({ next }.result(LONG).unwrap(), 7);
    }
    assert_eq!(pool.snapshot().replaced, 3);
}

/// 45
#[test]
fn many_wait_for_one_future() {
    let pool = pool(1);
    let (future, go) = held(&pool);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..16).map(|_| scope.spawn(|| *future.peek(LONG).unwrap())).collect();
        sleep(SHORT);
        drop(go);
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == 42));
    });
}

#[test]
fn more_tasks_than_there_may_be_threads_wait_in_time_for_what_they_submitted_last() {
    let pool = std::sync::Arc::new(ThreadPool::new(1).unwrap());
    let long = Duration::from_mins(1);
    let tasks = (0..6_000).map(|n| {
        let pool = std::sync::Arc::downgrade(&pool);
        // Each waits for what is behind many others, so many that no thread is left to come to it.
        move || pool.upgrade().unwrap().submit_blocking(move || n).unwrap().result(long).unwrap()
    });
    let futures = pool.submit_batch_blocking(tasks).unwrap();
    for (n, mut future) in futures.into_iter().enumerate() {
        assert_eq!(future.result(None).unwrap(), n);
    }
}
