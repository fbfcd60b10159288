//! Thread-locals, timers and the scheduler, as `threading` and `sched` have them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tidemill_core::time::{EPOCH, Instant as Tick};
use tidemill_host::threads::{Clock, Local, NotQueued, Scheduler, ThreadPool, TimerError, Timers};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

fn timers(workers: usize) -> Timers {
    Timers::new(Arc::new(ThreadPool::new(workers).unwrap()), 100).unwrap()
}

fn count(calls: &AtomicUsize) {
    calls.fetch_add(1, SeqCst);
}

fn wait_for(hold: &Receiver<()>) {
    let _ = hold.recv();
}

/// 54
#[test]
fn each_thread_sees_its_own_value_made_by_the_initialiser_when_it_first_asks() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let local = Local::new(move || counter.fetch_add(1, SeqCst));
    assert_eq!(made.load(SeqCst), 0);
    assert!(!local.is_set());
    assert_eq!((local.get(), local.get()), (0, 0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mine = local.get();
                assert!(mine > 0);
                local.set(mine + 100);
                thread::yield_now();
                assert_eq!(local.get(), mine + 100);
            });
        }
    });
    assert_eq!((local.get(), made.load(SeqCst)), (0, 5));
}

/// 55
#[test]
fn a_value_is_dropped_when_its_thread_ends_and_when_the_local_goes() {
    let alive = Arc::new(());
    let made = alive.clone();
    let local = Arc::new(Local::new(move || made.clone()));
    local.with(|_| ());
    let counted = || Arc::strong_count(&alive) - 2;
    assert_eq!(counted(), 1);
    let theirs = local.clone();
    thread::spawn(move || theirs.with(|_| ())).join().unwrap();
    assert_eq!(counted(), 1, "that of the thread that has ended is gone");
    let (tell, told) = channel();
    let (go, hold) = channel::<()>();
    let theirs = local.clone();
    let other = thread::spawn(move || {
        theirs.with(|_| ());
        drop(theirs);
        tell.send(()).unwrap();
        let _ = hold.recv();
    });
    told.recv_timeout(LONG).unwrap();
    assert_eq!(counted(), 2);
    drop(local);
    assert_eq!(Arc::strong_count(&alive), 1, "though two threads that had values live");
    drop(go);
    other.join().unwrap();
}

/// 56
#[test]
fn two_locals_do_not_mix_and_thousands_leave_nothing_behind() {
    let (left, right) = (Local::new(|| 1), Local::new(|| "a"));
    left.set(2);
    assert_eq!((left.get(), right.get()), (2, "a"));
    for number in 0..10_000 {
        let local = Local::new(move || number);
        assert_eq!(local.get(), number);
    }
    assert_eq!((left.get(), right.get()), (2, "a"));
    // A value set while it is looked at is there afterwards.
    left.with(|before| {
        left.set(3);
        assert_eq!(*before, 2);
    });
    assert_eq!(left.get(), 3);
}

/// 57
#[test]
fn a_worker_keeps_its_value_from_task_to_task() {
    let pool = ThreadPool::new(1).unwrap();
    let local = Arc::new(Local::new(|| 0));
    for number in 0..10 {
        let local = local.clone();
        let mut before = pool
            .submit(move || {
                let before = local.get();
                local.set(before + 1);
                before
            })
            .unwrap();
        assert_eq!(before.result(LONG).unwrap(), number);
    }
}

/// 58
#[test]
fn a_timer_is_called_once_after_the_interval_and_not_before() {
    let timers = timers(1);
    let (tell, told) = channel();
    let timer = timers.once(SHORT, move || tell.send(Instant::now()).unwrap());
    let start = Instant::now();
    timer.start().unwrap();
    assert!(timer.is_alive());
    assert!(told.recv_timeout(LONG).unwrap() - start >= SHORT);
    assert!(timer.join(LONG));
    assert!(!timer.is_alive() && timers.is_empty());
    assert!(told.recv_timeout(2 * SHORT).is_err(), "it has been called once, and what it captured is dropped");
}

/// 59
#[test]
fn cancel_before_it_is_due_prevents_it_after_is_harmless_and_it_can_be_joined_at_once() {
    let timers = timers(1);
    let called = Arc::new(AtomicUsize::new(0));
    let counter = called.clone();
    let timer = timers.once(LONG, move || count(&counter));
    timer.start().unwrap();
    assert!(!timer.join(Duration::from_millis(1)));
    timer.cancel();
    assert!(timer.join(Duration::ZERO));
    assert!(timers.is_empty());
    assert_eq!(Arc::strong_count(&called), 1, "what it captured is dropped");
    let counter = called.clone();
    let timer = timers.once(Duration::ZERO, move || count(&counter));
    timer.start().unwrap();
    assert!(timer.join(LONG));
    timer.cancel();
    assert!(timer.join(Duration::ZERO));
    assert_eq!(called.load(SeqCst), 1);
}

/// 60
#[test]
fn a_timer_that_is_started_twice_is_an_error_and_so_is_one_too_many() {
    let pool = Arc::new(ThreadPool::new(1).unwrap());
    let timers = Timers::new(pool, 1).unwrap();
    let timer = timers.once(LONG, || ());
    timer.start().unwrap();
    assert_eq!(timer.start(), Err(TimerError::AlreadyStarted));
    let other = timers.once(LONG, || ());
    assert_eq!(other.start(), Err(TimerError::Full));
    timer.cancel();
    assert_eq!(timer.start(), Err(TimerError::AlreadyStarted));
    other.start().unwrap();
    other.cancel();
    assert_eq!(timers.periodic(Duration::ZERO, || ()).start(), Err(TimerError::Period));
    drop(timers);
    let [ended, unstarted] = [&timer, &other];
    assert!(ended.join(LONG) && unstarted.join(LONG));
}

/// 61
#[test]
fn one_thread_for_any_number_and_periodic_ones_do_not_drift() {
    let pool = Arc::new(ThreadPool::new(2).unwrap());
    let timers = Timers::new(pool, 2_000).unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..1_000)
        .map(|number| {
            let called = called.clone();
            let timer = timers.once(Duration::from_micros(number * 7), move || count(&called));
            timer.start().unwrap();
            timer
        })
        .collect();
    let period = Duration::from_millis(5);
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let timer = timers.periodic(period, move || {
        seen.lock().unwrap().push(Instant::now());
        // Each call takes part of the period.
        sleep(Duration::from_millis(2));
    });
    let start = Instant::now();
    timer.start().unwrap();
    while start.elapsed() < 40 * period {
        sleep(period);
    }
    timer.cancel();
    assert!(timer.join(LONG));
    assert!(all.iter().all(|timer| timer.join(LONG)));
    assert_eq!(called.load(SeqCst), 1_000);
    let times = times.lock().unwrap();
    let calls = times.len() as u64 + timer.missed();
    // Whatever was late or missed, each call stands for a period that began at a multiple of it.
    let elapsed = times.last().unwrap().duration_since(start).as_nanos() as f64 / period.as_nanos() as f64;
    assert!(elapsed >= times.len() as f64, "{elapsed} periods, {} calls", times.len());
    assert!((calls as f64) > elapsed - 8.0, "{elapsed} periods, {calls} calls and missed");
}

/// 61
#[test]
fn a_failing_callback_and_a_slow_one_do_not_stop_others() {
    let timers = timers(2);
    let (go, hold) = channel::<()>();
    let slow = timers.once(Duration::ZERO, move || wait_for(&hold));
    let failing = timers.once(Duration::ZERO, || panic!("alarm"));
    let again = Arc::new(AtomicUsize::new(0));
    let counter = again.clone();
    let periodic = timers.periodic(Duration::from_millis(1), move || {
        assert!(counter.fetch_add(1, SeqCst) > 0, "the first call");
    });
    for timer in [&slow, &failing, &periodic] {
        timer.start().unwrap();
    }
    assert!(failing.join(LONG));
    assert_eq!(failing.exception().unwrap().message(), "alarm");
    let start = Instant::now();
    while again.load(SeqCst) < 5 {
        assert!(start.elapsed() < LONG);
        sleep(Duration::from_millis(1));
    }
    assert!(!slow.join(Duration::ZERO));
    drop(go);
    assert!(slow.join(LONG));
    drop(timers);
    assert!(periodic.join(LONG), "who drops the timers cancels them");
}

#[test]
fn a_timer_whose_pool_is_full_is_called_when_there_is_room() {
    let pool = Arc::new(ThreadPool::builder().workers(1).capacity(1).build().unwrap());
    let timers = Timers::new(pool.clone(), 10).unwrap();
    let (go, hold) = channel::<()>();
    let _running = pool.submit(move || wait_for(&hold)).unwrap();
    let start = Instant::now();
    while pool.submit(|| ()).is_ok() {
        assert!(start.elapsed() < LONG);
    }
    let timer = timers.once(Duration::ZERO, || ());
    timer.start().unwrap();
    assert!(!timer.join(SHORT));
    drop(go);
    assert!(timer.join(LONG));
    pool.shutdown(true, false);
    let timer = timers.once(Duration::ZERO, || ());
    timer.start().unwrap();
    assert!(timer.join(LONG), "nobody will ever call it");
}

/// A clock that others move.
#[derive(Default)]
struct Hand {
    ticks: AtomicU64,
    slept: Mutex<Vec<Duration>>,
}

impl Clock for Hand {
    fn now(&self) -> Tick {
        Tick::from_ticks(self.ticks.load(SeqCst))
    }
    fn sleep(&self, delay: Duration) {
        self.slept.lock().unwrap().push(delay);
        self.ticks.fetch_add(delay.as_micros() as u64, SeqCst);
    }
}

#[allow(clippy::type_complexity)]
fn recorder() -> (Arc<Mutex<Vec<u64>>>, impl Fn(u64) -> Box<dyn FnOnce() + Send>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = seen.clone();
    let record = move |number| -> Box<dyn FnOnce() + Send> {
        let seen = all.clone();
        Box::new(move || seen.lock().unwrap().push(number))
    };
    (seen, record)
}

/// 62, 68
#[test]
fn events_run_by_time_then_priority_then_order_of_entry_and_arguments_reach_the_action() {
    let scheduler = Scheduler::with_clock(20, Arc::new(Hand::default()));
    let (seen, record) = recorder();
    for (number, time, priority) in [(0, 5, 1), (1, 5, 1), (2, 5, 0), (3, 1, 9), (4, 5, -1), (5, 9, 0)] {
        scheduler.enter(Duration::from_micros(time), priority, record(number)).unwrap();
    }
    assert_eq!(scheduler.run(true), None);
    assert_eq!(*seen.lock().unwrap(), [3, 4, 2, 0, 1, 5]);
}

/// 63
#[test]
fn an_event_whose_time_has_passed_runs_at_once() {
    let hand = Arc::new(Hand::default());
    hand.ticks.store(1_000, SeqCst);
    let scheduler = Scheduler::with_clock(2, hand.clone());
    let (seen, record) = recorder();
    scheduler.enter_abs(EPOCH, 1, record(1)).unwrap();
    assert_eq!(scheduler.run(true), None);
    assert_eq!((seen.lock().unwrap().len(), hand.ticks.load(SeqCst)), (1, 1_000));
}

/// 64
#[test]
fn enter_from_another_thread_while_run_sleeps_is_honoured_in_time() {
    let scheduler = Arc::new(Scheduler::new(4));
    let (tell, told) = channel();
    let late = scheduler.enter(LONG, 1, || unreachable!()).unwrap();
    let runner = scheduler.clone();
    let running = thread::spawn(move || runner.run(true));
    sleep(SHORT);
    let start = Instant::now();
    scheduler.enter(SHORT, 1, move || tell.send(Instant::now()).unwrap()).unwrap();
    let ran = told.recv_timeout(LONG / 2).unwrap();
    assert!(ran - start >= SHORT);
    // 65: cancel is heard, too.
    scheduler.cancel(late).unwrap();
    assert_eq!(running.join().unwrap(), None);
}

/// 65
#[test]
fn cancel_removes_exactly_that_event_though_others_compare_equal_and_of_one_not_queued_is_an_error() {
    let scheduler = Scheduler::with_clock(20, Arc::new(Hand::default()));
    let (seen, record) = recorder();
    let ids: Vec<_> = (0..5).map(|number| scheduler.enter_abs(EPOCH, 1, record(number)).unwrap()).collect();
    scheduler.cancel(ids[2]).unwrap();
    assert_eq!(scheduler.cancel(ids[2]), Err(NotQueued));
    scheduler.run(true);
    assert_eq!(*seen.lock().unwrap(), [0, 1, 3, 4]);
    assert_eq!(scheduler.cancel(ids[0]), Err(NotQueued));
}

/// 65
#[test]
fn cancel_while_another_thread_runs() {
    let scheduler = Arc::new(Scheduler::new(100));
    let (seen, record) = recorder();
    let ids: Vec<_> = (0..50)
        .map(|number| scheduler.enter(Duration::from_micros(number * 100), 1, record(number)).unwrap())
        .collect();
    let runner = scheduler.clone();
    let running = thread::spawn(move || runner.run(true));
    let cancelled = ids.iter().rev().filter(|&&id| scheduler.cancel(id).is_ok()).count();
    assert_eq!(running.join().unwrap(), None);
    assert_eq!(seen.lock().unwrap().len() + cancelled, 50);
    assert!(seen.lock().unwrap().is_sorted());
}

/// 66, 67
#[test]
fn empty_and_queue_tell_what_is_left_in_the_order_in_which_it_would_run() {
    let scheduler = Scheduler::with_clock(3, Arc::new(Hand::default()));
    assert!(scheduler.is_empty() && scheduler.queue().is_empty());
    for (time, priority) in [(7, 1), (3, 2), (3, 1)] {
        scheduler.enter_abs(Tick::from_ticks(time), priority, || ()).unwrap();
    }
    let left = scheduler.queue();
    assert_eq!(left, [(3, 1), (3, 2), (7, 1)].map(|(time, priority)| (Tick::from_ticks(time), priority)));
    assert!(scheduler.enter(Duration::ZERO, 0, || ()).is_err(), "it is full");
    scheduler.run(true);
    assert!(scheduler.is_empty());
}

/// 69
#[test]
fn run_without_blocking_runs_what_is_due_and_returns_the_delay_to_the_next() {
    let hand = Arc::new(Hand::default());
    let scheduler = Scheduler::with_clock(10, hand.clone());
    let (seen, record) = recorder();
    for number in [0, 10, 20] {
        scheduler.enter(Duration::from_micros(number), 1, record(number)).unwrap();
    }
    assert_eq!(scheduler.run(false), Some(Duration::from_micros(10)));
    hand.ticks.store(15, SeqCst);
    assert_eq!(scheduler.run(false), Some(Duration::from_micros(5)));
    hand.ticks.store(20, SeqCst);
    assert_eq!(scheduler.run(false), None);
    assert_eq!(*seen.lock().unwrap(), [0, 10, 20]);
}

/// 70
#[test]
fn a_failing_action_leaves_the_rest_queued_and_run_may_be_called_again() {
    let scheduler = Scheduler::with_clock(10, Arc::new(Hand::default()));
    let (seen, record) = recorder();
    scheduler.enter_abs(EPOCH, 1, || panic!("an action panics: this is expected in a test")).unwrap();
    scheduler.enter_abs(EPOCH, 2, record(7)).unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scheduler.run(true))).is_err());
    assert_eq!(scheduler.queue().len(), 1);
    assert_eq!(scheduler.run(true), None);
    assert_eq!(*seen.lock().unwrap(), [7]);
}

/// 71
#[test]
fn time_and_delay_are_injected_and_delay_is_called_with_zero_after_each_action() {
    let hand = Arc::new(Hand::default());
    let scheduler = Scheduler::with_clock(10, hand.clone());
    for micros in [3, 8] {
        scheduler.enter(Duration::from_micros(micros), 1, || ()).unwrap();
    }
    scheduler.run(true);
    assert_eq!(*hand.slept.lock().unwrap(), [3, 0, 5, 0].map(Duration::from_micros));
}

/// 71: also when the clock of one's own waits on something of its own.
#[test]
fn a_clock_of_ones_own_is_interrupted() {
    #[derive(Default)]
    struct Gate(Mutex<u64>, Condvar);
    impl Clock for Gate {
        fn now(&self) -> Tick {
            Tick::from_ticks(*self.0.lock().unwrap())
        }
        fn sleep(&self, delay: Duration) {
            if !delay.is_zero() {
                drop(self.1.wait(self.0.lock().unwrap()));
            }
        }
        fn interrupt(&self) {
            *self.0.lock().unwrap() += 1;
            self.1.notify_all();
        }
    }
    let scheduler = Arc::new(Scheduler::with_clock(4, Arc::new(Gate::default())));
    let far = scheduler.enter_abs(Tick::from_ticks(1 << 40), 1, || ()).unwrap();
    let runner = scheduler.clone();
    let running = thread::spawn(move || runner.run(true));
    let (tell, told) = channel();
    scheduler.enter_abs(EPOCH, 1, move || tell.send(()).unwrap()).unwrap();
    while told.recv_timeout(Duration::from_millis(1)).is_err() {
        scheduler.clock().interrupt();
    }
    scheduler.cancel(far).unwrap();
    while !running.is_finished() {
        scheduler.clock().interrupt();
        thread::yield_now();
    }
}
