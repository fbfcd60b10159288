//! Pools of processes by every start method, held to what Python's `multiprocessing.Pool` and `ProcessPoolExecutor` do,
//! and to more.

#[macro_use]
mod methods;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tidemill_core::pool::Failure as Ended;
use tidemill_host::ipc::Queue;
use tidemill_host::process::{
    Builder, Error, Exit, Failure, Process, ProcessPool, StartMethod, active_children, current_process,
};
use tidemill_host::register;
use tidemill_host::threads::{Exception, Future, ReturnWhen, State, SubmitError, ThreadPool, as_completed, wait};

/// What never comes on a machine that works.
const LONG: Duration = Duration::from_mins(1);

fn double(x: u64) -> u64 {
    2 * x
}

fn sum((a, b): (u64, u64)) -> u64 {
    a + b
}

fn pid((): ()) -> i32 {
    current_process().pid
}

fn name((): ()) -> String {
    current_process().name
}

fn sleeps(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

fn panics_at_three(x: u64) -> u64 {
    assert!(x != 3, "three it is");
    x
}

fn parse(text: String) -> Result<u32, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}

fn exits(code: i32) {
    std::process::exit(code)
}

fn kills_itself(signal: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::try_from(signal).unwrap()).unwrap();
    thread::sleep(LONG);
}

fn echo(text: String) -> String {
    text
}

/// A result that is not encoded, or ends the process while it is.
struct Bad;

impl serde::Serialize for Bad {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("a tide cannot be sent"))
    }
}

impl<'de> serde::Deserialize<'de> for Bad {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        std::process::exit(9)
    }
}

fn takes_bad(_: Bad) {}

fn gives_bad((): ()) -> Bad {
    Bad
}

/// Its argument is decoded to something that ends the worker.
fn dies_of_its_argument(_: Fatal) {}

struct Fatal;

impl serde::Serialize for Fatal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> serde::Deserialize<'de> for Fatal {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        std::process::exit(9)
    }
}

static SET: AtomicUsize = AtomicUsize::new(0);

fn sets(value: usize) {
    SET.store(value, Ordering::Relaxed);
}

fn was_set((): ()) -> usize {
    SET.load(Ordering::Relaxed)
}

static QUEUE: OnceLock<Queue<u64>> = OnceLock::new();

fn keeps(queue: Queue<u64>) {
    QUEUE.set(queue).unwrap();
}

fn puts(x: u64) {
    QUEUE.get().unwrap().put(&x).unwrap();
}

fn takes_a_queue(queue: Queue<u64>) -> u64 {
    queue.get().unwrap()
}

fn refuses(why: String) -> Result<(), String> {
    Err(why)
}

fn has_a_pool((): ()) -> String {
    ProcessPool::new(1).unwrap().apply(double, 1).unwrap_err().to_string()
}

register!(
    double,
    sum,
    pid,
    name,
    sleeps,
    panics_at_three,
    parse,
    exits,
    kills_itself,
    echo,
    takes_bad,
    gives_bad,
    dies_of_its_argument,
    sets,
    was_set,
    refuses,
    keeps,
    puts,
    takes_a_queue,
    has_a_pool,
    runs_a_body_by_fork,
);

by_every_method![
    apply_waits_for_a_result,
    submit_returns_a_future_that_can_be_waited_for_with_others,
    callbacks_get_the_result_or_the_error,
    map_keeps_order_and_does_not_fail_fast,
    imap_is_lazy_and_in_order_and_imap_unordered_takes_what_ends_first,
    a_worker_that_dies_fails_its_task_alone,
    a_panic_and_an_error_travel,
    what_cannot_be_encoded_fails_alone,
    workers_are_replaced_after_so_many_tasks,
    an_initializer_is_called_by_each_worker_and_breaks_the_pool_if_it_fails,
    workers_share_what_their_initializer_is_given,
    a_task_that_takes_too_long_is_killed_and_no_other,
    a_task_can_be_killed_or_cancelled,
    a_full_pool_hands_the_work_back,
    close_and_terminate_and_join,
    what_is_stuck_behind_a_long_task_goes_to_another_worker,
    large_arguments_and_results_travel,
    behaviour_48_a_shutdown_with_queued_and_broken_work_ends,
    behaviour_53_a_death_in_the_middle_of_a_large_message_is_told,
    behaviour_115_a_large_pool,
    nothing_is_left,
];

fn pool(method: StartMethod, workers: usize) -> ProcessPool {
    built(method, workers, |builder| builder)
}

fn built(method: StartMethod, workers: usize, how: impl FnOnce(Builder) -> Builder) -> ProcessPool {
    how(ProcessPool::builder().workers(workers).method(method)).build().unwrap()
}

/// What a task failed with.
fn failure<T: std::fmt::Debug>(result: Result<T, Ended<Exception>>) -> Failure {
    match result {
        Err(Ended::Failed(exception)) => Failure::of(&exception).unwrap_or_else(|| panic!("{exception}")).clone(),
        other => panic!("{other:?}"),
    }
}

fn apply_waits_for_a_result(method: StartMethod) {
    let pool = pool(method, 2);
    assert!(pool.pids().is_empty(), "workers are started when there is work");
    assert_eq!(pool.apply(double, 21).unwrap(), 42);
    assert_eq!(pool.apply(sum, (3, 4)).unwrap(), 7);
    let first = pool.apply(pid, ()).unwrap();
    assert_eq!(pool.apply(pid, ()).unwrap(), first, "one that rests is used before another is started");
    assert_eq!(pool.pids(), [first]);
    assert_ne!(first, current_process().pid);
    assert!(pool.apply(name, ()).unwrap().starts_with("PoolWorker-"));
}

fn submit_returns_a_future_that_can_be_waited_for_with_others(method: StartMethod) {
    let (processes, threads) = (pool(method, 2), ThreadPool::new(2).unwrap());
    let futures = vec![processes.submit(double, 1).unwrap(), threads.submit(|| 3).unwrap()];
    let waited = wait(&futures, LONG, ReturnWhen::AllCompleted);
    assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
    let mut all: Vec<u64> = as_completed(futures, LONG).map(|future| future.unwrap().result(None).unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, [2, 3]);
    let mut slow = processes.submit(sleeps, 200).unwrap();
    assert!(matches!(slow.result(Duration::ZERO), Err(Ended::TimedOut)));
    assert_eq!(slow.result(LONG).unwrap(), 200, "it stays usable");
    let bad = [processes.submit(panics_at_three, 3).unwrap(), processes.submit(sleeps, 60_000).unwrap()];
    let waited = wait(&bad, LONG, ReturnWhen::FirstException);
    assert_eq!((waited.done.len(), waited.done[0].state()), (1, State::Failed));
}

fn callbacks_get_the_result_or_the_error(method: StartMethod) {
    let pool = pool(method, 2);
    let (tell, told) = mpsc::channel();
    let tells = |tell: &mpsc::Sender<String>| {
        let (good, bad) = (tell.clone(), tell.clone());
        let thread = || thread::current().name().unwrap_or_default().to_owned();
        (
            move |value: &u64| good.send(format!("{value} in {}", thread())).unwrap(),
            move |why: Ended<Exception>| bad.send(format!("{why} in {}", thread())).unwrap(),
        )
    };
    let (good, bad) = tells(&tell);
    drop(pool.apply_async(panics_at_three, 2, good, bad).unwrap());
    assert_eq!(told.recv_timeout(LONG).unwrap(), "2 in tidemill-pool");
    let (good, bad) = tells(&tell);
    drop(pool.apply_async(panics_at_three, 3, good, bad).unwrap());
    let words = told.recv_timeout(LONG).unwrap();
    assert!(words.contains("three it is in tidemill-pool") && words.contains("process_pool.rs"), "{words}");
    let all = tell.clone();
    let map = pool.map_async(double, 1..=100, move |all_of| all.send(format!("{}", all_of.len())).unwrap(), |_| ());
    assert_eq!(map.unwrap().result(LONG).unwrap().iter().sum::<u64>(), 10_100);
    assert_eq!(told.recv_timeout(LONG).unwrap(), "100");
    drop(tell);
    assert!(told.recv_timeout(LONG).is_err(), "each was called once");
}

fn map_keeps_order_and_does_not_fail_fast(method: StartMethod) {
    let pool = pool(method, 3);
    assert_eq!(pool.map(double, 0..1000).unwrap(), (0..1000).map(|x| 2 * x).collect::<Vec<_>>());
    assert_eq!(pool.map(sum, [(1, 2), (3, 4)]).unwrap(), [3, 7], "starmap");
    assert_eq!(pool.map(double, []).unwrap(), [0; 0]);
    for chunksize in [1, 7, 1000] {
        assert_eq!(pool.map_chunks(double, 0..100, chunksize).unwrap(), (0..100).map(|x| 2 * x).collect::<Vec<_>>());
    }
    assert!(
        matches!(failure(pool.map(panics_at_three, 0..10)), Failure::Panicked { message, .. } if message == "three it is")
    );
    assert!(matches!(failure(pool.map_chunks(panics_at_three, 0..10, 5)), Failure::Panicked { .. }));
    assert_eq!(pool.map(parse, ["1".to_owned(), "one".into()]).unwrap(), [Ok(1), Err("no number: one".into())]);
}

fn imap_is_lazy_and_in_order_and_imap_unordered_takes_what_ends_first(method: StartMethod) {
    let pool = pool(method, 2);
    let taken = AtomicUsize::new(0);
    let items = (0..).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let mut imap = pool.imap(double, items, 1);
    assert_eq!(
        imap.by_ref().take(100).map(Result::unwrap).collect::<Vec<_>>(),
        (0..200).step_by(2).collect::<Vec<_>>()
    );
    assert!(taken.load(Ordering::Relaxed) <= 105, "no more than it needs");
    drop(imap);
    let results: Vec<_> = pool.imap(panics_at_three, 2..5, 1).map(Result::ok).collect();
    assert_eq!(results, [Some(2), None, Some(4)], "those after a failure still come");
    assert_eq!(pool.imap(panics_at_three, 0..10, 4).filter(Result::is_err).count(), 1);
    assert_eq!(pool.imap(double, 0..0, 1).count(), 0);

    let mut unordered = pool.imap_unordered(sleeps, [500, 0], 1);
    let mut seen = vec![unordered.next().unwrap().unwrap()];
    seen.extend(unordered.map(Result::unwrap));
    assert_eq!(seen.len(), 2);
    let many: HashSet<u64> = pool.imap_unordered(double, 0..1000, 10).map(Result::unwrap).collect();
    assert_eq!(many.len(), 1000);
    let mut slow = pool.imap(sleeps, [300], 1);
    assert!(matches!(slow.next_timeout(Duration::from_millis(1)), Some(Err(Ended::TimedOut))));
    assert_eq!(slow.next_timeout(LONG).unwrap().unwrap(), 300);
    assert!(slow.next().is_none());
}

fn a_worker_that_dies_fails_its_task_alone(method: StartMethod) {
    let pool = pool(method, 2);
    let mut good: Vec<_> = (0..200).map(|x| pool.submit(double, x).unwrap()).collect();
    let mut bad = pool.submit(kills_itself, Signal::SIGKILL as i32).unwrap();
    good.extend((200..400).map(|x| pool.submit(double, x).unwrap()));
    match failure(bad.result(LONG)) {
        Failure::WorkerDied { exitcode: -9, function, task: 200 } => assert!(function.ends_with("kills_itself")),
        other => panic!("{other:?}"),
    }
    for (x, future) in (0..).zip(&mut good) {
        assert_eq!(future.result(LONG).unwrap(), 2 * x);
    }
    let died = failure(pool.apply(exits, 7));
    assert_eq!(died.exit(), Some(Exit::Code(7)));
    assert!(died.to_string().contains("exit code 7"));
    assert_eq!(failure(pool.apply(dies_of_its_argument, Fatal)).exit(), Some(Exit::Code(9)));
    assert_eq!(pool.apply(double, 4).unwrap(), 8, "the pool goes on");
}

fn a_panic_and_an_error_travel(method: StartMethod) {
    let pool = pool(method, 1);
    let future = pool.submit(panics_at_three, 3).unwrap();
    let exception = future.exception(LONG).unwrap().unwrap();
    assert_eq!(exception.message(), "three it is");
    let place = exception.location().unwrap();
    assert!(place.file.ends_with("process_pool.rs") && place.line > 1);
    assert!(std::error::Error::source(&exception).unwrap().is::<Failure>());
    assert_eq!(pool.apply(parse, "one".into()).unwrap(), Err("no number: one".into()), "an error is a value");
}

fn what_cannot_be_encoded_fails_alone(method: StartMethod) {
    let pool = pool(method, 1);
    let mut argument = pool.submit(takes_bad, Bad).unwrap();
    assert!(matches!(failure(argument.result(LONG)), Failure::Encoding(_)));
    let result = pool.submit(gives_bad, ()).unwrap().exception(LONG).unwrap().unwrap();
    assert!(matches!(Failure::of(&result), Some(Failure::Encoding(_))));
    let unknown = pool.apply(|x: u64| x, 1);
    assert!(matches!(failure(unknown), Failure::NotRegistered(_)));
    assert_eq!(pool.apply(double, 1).unwrap(), 2);
}

fn workers_are_replaced_after_so_many_tasks(method: StartMethod) {
    let pool = built(method, 2, |builder| builder.maxtasksperchild(3));
    let pids: Vec<i32> = pool.imap(pid, vec![(); 12], 1).map(Result::unwrap).collect();
    let mut counts = std::collections::HashMap::new();
    for pid in &pids {
        *counts.entry(pid).or_insert(0) += 1;
    }
    assert!(counts.len() >= 4 && counts.values().all(|&count| count <= 3), "{counts:?}");
    pool.close();
    pool.join().unwrap();
}

fn an_initializer_is_called_by_each_worker_and_breaks_the_pool_if_it_fails(method: StartMethod) {
    let pool = built(method, 2, |builder| builder.initializer(sets, 17));
    assert_eq!(pool.map(was_set, vec![(); 10]).unwrap(), [17; 10]);
    drop(pool);
    let pool = built(method, 2, |builder| builder.initializer(refuses, "low water".into()));
    let Err(Ended::Failed(exception)) = pool.apply(double, 1) else { panic!("it is broken") };
    assert!(exception.is_broken_pool() && exception.to_string().contains("low water"), "{exception}");
    assert!(matches!(pool.submit(double, 1), Err(SubmitError::Broken(1, _))));
    drop(pool);
    let pool = built(method, 2, |builder| builder.initializer(exits, 5));
    let Err(Ended::Failed(exception)) = pool.apply(double, 1) else { panic!("it is broken") };
    assert!(exception.is_broken_pool() && exception.to_string().contains("exit code 5"), "{exception}");
}

fn workers_share_what_their_initializer_is_given(method: StartMethod) {
    let queue = Queue::new(100).unwrap();
    let pool = built(method, 2, |builder| builder.initializer(keeps, queue.clone()).maxtasksperchild(10));
    pool.map_chunks(puts, 0..50, 1).unwrap();
    let mut all: Vec<u64> = (0..50).map(|_| queue.get_timeout(LONG).unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..50));
    let alone = pool.submit(takes_a_queue, queue).unwrap().result(LONG);
    assert!(matches!(failure(alone), Failure::Encoding(_)), "a task cannot bring it");
}

fn a_task_that_takes_too_long_is_killed_and_no_other(method: StartMethod) {
    let pool = built(method, 1, |builder| builder.task_timeout(LONG));
    pool.apply(double, 0).unwrap();
    // The worker rests, and nothing else has the pool look at the time.
    thread::sleep(Duration::from_millis(10));
    let mut slow = pool.submit_within(Duration::from_millis(100), sleeps, 60_000).unwrap();
    let mut others: Vec<_> = (0..10).map(|x| pool.submit(double, x).unwrap()).collect();
    let began = Instant::now();
    assert_eq!(failure(slow.result(LONG)), Failure::TimedOut);
    assert!(began.elapsed() < LONG / 2);
    for (x, future) in (0..).zip(&mut others) {
        assert_eq!(future.result(LONG).unwrap(), 2 * x);
    }
}

fn a_task_can_be_killed_or_cancelled(method: StartMethod) {
    let pool = pool(method, 1);
    pool.apply(double, 0).unwrap();
    let mut running = pool.submit(sleeps, 60_000).unwrap();
    let mut waiting: Vec<_> = (0..4).map(|x| pool.submit(double, x).unwrap()).collect();
    while !running.running() {
        thread::yield_now();
    }
    let last = waiting.pop().unwrap();
    assert!(last.cancel() && last.cancelled());
    let mut first = waiting.remove(0);
    assert!(pool.kill(&first), "one that has not begun");
    assert_eq!(failure(first.result(LONG)), Failure::Killed);
    while !pool.kill(&running) {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(failure(running.result(LONG)), Failure::Killed);
    assert_eq!(waiting[0].result(LONG).unwrap(), 2);
    assert_eq!(waiting[1].result(LONG).unwrap(), 4);
    let done = pool.submit(double, 3).unwrap();
    done.wait(LONG);
    assert!(!pool.kill(&done) && !pool.kill(&running));
}

fn a_full_pool_hands_the_work_back(method: StartMethod) {
    let pool = built(method, 1, |builder| builder.capacity(2));
    let began = Instant::now();
    let _slow = pool.submit(sleeps, 300).unwrap();
    let _next = pool.submit(sleeps, 1).unwrap();
    assert!(matches!(pool.submit(sleeps, 7), Err(SubmitError::Full(7))));
    let mut waited = pool.submit_blocking(sleeps, 2).unwrap();
    assert!(began.elapsed() > Duration::from_millis(250), "it waited");
    assert_eq!(waited.result(LONG).unwrap(), 2);
    assert_eq!(pool.map_chunks(double, 0..100, 1).unwrap().len(), 100, "more parts than there is room");
}

fn close_and_terminate_and_join(method: StartMethod) {
    let first = pool(method, 2);
    assert!(matches!(first.join(), Err(Error::Running)));
    let futures: Vec<_> = (0..50).map(|x| first.submit(double, x).unwrap()).collect();
    first.close();
    assert!(matches!(first.submit(double, 1), Err(SubmitError::ShutDown(1))));
    assert_eq!(failure(first.apply(double, 1)), Failure::ShutDown);
    first.join().unwrap();
    first.join().unwrap();
    assert!(futures.into_iter().all(|mut future| future.result(Duration::ZERO).is_ok()), "what there was is done");

    let second = pool(method, 1);
    let mut running = second.submit(sleeps, 60_000).unwrap();
    let waiting: Vec<_> = (0..100).map(|_| second.submit(sleeps, 60_000).unwrap()).collect();
    while !running.running() {
        thread::yield_now();
    }
    let began = Instant::now();
    second.terminate();
    second.join().unwrap();
    assert!(began.elapsed() < LONG / 2);
    assert_eq!(failure(running.result(Duration::ZERO)), Failure::ShutDown);
    assert!(waiting.iter().all(Future::done));

    let third = pool(method, 1);
    let kept = third.submit(sleeps, 100).unwrap();
    let dropped: Vec<_> = (0..10).map(|_| third.submit(sleeps, 60_000).unwrap()).collect();
    let many = dropped.len();
    third.shutdown(false, true);
    assert!(dropped.iter().filter(|future| future.cancelled()).count() >= many - 2, "but those on the wire");
    drop(third);
    assert!(kept.done() && dropped.iter().all(Future::done));
}

fn what_is_stuck_behind_a_long_task_goes_to_another_worker(method: StartMethod) {
    let pool = pool(method, 2);
    // Short ones first, so that many are put on a wire at once.
    for future in &mut (0..500).map(|x| pool.submit(double, x).unwrap()).collect::<Vec<_>>() {
        future.result(LONG).unwrap();
    }
    let long = pool.submit(sleeps, 60_000).unwrap();
    for future in &mut (0..500).map(|x| pool.submit(double, x).unwrap()).collect::<Vec<_>>() {
        future.result(LONG / 2).unwrap();
    }
    assert!(long.running());
}

fn large_arguments_and_results_travel(method: StartMethod) {
    let pool = pool(method, 2);
    let large = "tide".repeat(5 << 18);
    let mut futures: Vec<_> = (0..4).map(|_| pool.submit(echo, large.clone()).unwrap()).collect();
    for future in &mut futures {
        assert!(future.result(LONG).unwrap() == large);
    }
    assert_eq!(pool.apply(echo, String::new()).unwrap(), "");
}

fn behaviour_48_a_shutdown_with_queued_and_broken_work_ends(method: StartMethod) {
    for waits in [true, false] {
        let pool = pool(method, 2);
        let good: Vec<_> = (0..300).map(|x| pool.submit(double, x).unwrap()).collect();
        let deadly = pool.submit(kills_itself, Signal::SIGKILL as i32).unwrap();
        let fatal = pool.submit(dies_of_its_argument, Fatal).unwrap();
        let refused = pool.submit(takes_bad, Bad).unwrap();
        let more: Vec<_> = (0..300).map(|x| pool.submit(double, x).unwrap()).collect();
        let began = Instant::now();
        pool.shutdown(waits, false);
        for mut future in good.into_iter().chain(more) {
            let result = future.result(LONG);
            assert!(result.is_ok(), "{result:?}, waited: {waits}");
        }
        for future in [deadly, fatal, refused] {
            assert!(future.exception(LONG).unwrap().is_some());
        }
        pool.join().unwrap();
        assert!(began.elapsed() < LONG);
    }
}

fn behaviour_53_a_death_in_the_middle_of_a_large_message_is_told(method: StartMethod) {
    let pool = pool(method, 1);
    let large = "tide".repeat(1 << 20);
    let (mut told, mut came) = (0, 0);
    // From before it is on its way until after: at some moment the worker dies in the middle of sending.
    for delay in (0..16_000).step_by(400) {
        let worker = nix::unistd::Pid::from_raw(pool.apply(pid, ()).unwrap());
        let mut future = pool.submit(echo, large.clone()).unwrap();
        thread::sleep(Duration::from_micros(delay));
        nix::sys::signal::kill(worker, Signal::SIGKILL).unwrap();
        match future.result(LONG) {
            Ok(text) => came += usize::from(text == large),
            other => {
                assert!(matches!(failure(other), Failure::WorkerDied { exitcode: -9, .. }));
                told += 1;
            }
        }
    }
    assert!(told > 0 && told + came == 40, "{told} told, {came} came whole");
}

fn behaviour_115_a_large_pool(method: StartMethod) {
    let pool = pool(method, 50);
    let futures: Vec<_> = (0..50).map(|_| pool.submit(sleeps, 20).unwrap()).collect();
    assert_eq!(pool.map_chunks(double, 0..2_000, 7).unwrap(), (0..2_000).map(|x| 2 * x).collect::<Vec<u64>>());
    assert!(futures.into_iter().all(|mut future| future.result(LONG).is_ok()));
}

/// What of a process counts: its descriptors, and its children with those that are not reaped.
fn counts() -> (usize, usize) {
    let children = std::fs::read_dir("/proc/self/task").unwrap().map(|task| {
        std::fs::read_to_string(task.unwrap().path().join("children")).map_or(0, |text| text.split_whitespace().count())
    });
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), children.sum())
}

fn nothing_is_left(method: StartMethod) {
    // Of other tests in this process nothing is known, so that it is done in one of its own.
    let look = Process::new(leaves_nothing, method.to_string()).method(StartMethod::Spawn);
    look.start().unwrap().result().unwrap();
}

fn leaves_nothing(method: String) {
    let method: StartMethod = method.parse().unwrap();
    let once = || {
        let pool = built(method, 3, |builder| builder.maxtasksperchild(50));
        let mut dead = pool.submit(exits, 1).unwrap();
        pool.map_chunks(double, 0..200, 1).unwrap();
        let _ = dead.result(LONG);
        let left = pool.submit(sleeps, 60_000).unwrap();
        let mut pids = pool.pids();
        drop((pool, left));
        pids.retain(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert!(pids.is_empty(), "{pids:?} live");
        assert!(active_children().is_empty());
    };
    once();
    let before = counts();
    once();
    assert_eq!(counts(), before, "descriptors and children");
}

register!(leaves_nothing);

#[test]
fn settings_that_cannot_be_are_refused() {
    for builder in [
        ProcessPool::builder().workers(0),
        ProcessPool::builder().workers(1 << 20),
        ProcessPool::builder().capacity(0),
        ProcessPool::builder().maxtasksperchild(0),
    ] {
        assert!(matches!(builder.build(), Err(Error::Setting(_))));
    }
    let unknown = ProcessPool::builder().initializer(|x: u8| x, 1).build();
    assert!(matches!(unknown, Err(Error::NotRegistered(_))));
    let threads = ProcessPool::builder().method(StartMethod::Fork).build();
    assert!(matches!(threads, Err(Error::Threads { .. })), "this process has threads");
}

#[test]
fn a_worker_has_no_pool_of_its_own() {
    let words = ProcessPool::new(1).unwrap().apply(has_a_pool, ()).unwrap();
    assert!(words.contains("daemonic processes may have no children"), "{words}");
}

#[test]
fn many_threads_submit_at_once() {
    let pool = Arc::new(ProcessPool::builder().workers(2).capacity(100).build().unwrap());
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let pool = pool.clone();
            thread::spawn(move || {
                for x in 0..500 {
                    assert_eq!(pool.apply(sum, (t, x)).unwrap(), t + x);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
