//! Random operations on pools, futures and what waits for them, from several threads at once, for `TIDEMILL_STRESS` seconds
//! (5 unless said otherwise). What must hold: every task ends once, with the right result; what it captured and what came
//! of it is dropped, once; every callback is called once; nobody hangs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tidemill_host::threads::{
    Exception, Failure, Future, MapOptions, ReturnWhen, SubmitError, ThreadPool, as_completed, wait,
};

/// Longer than anything may take, on a machine that does other work.
const HANG: Duration = Duration::from_mins(1);

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}

#[derive(Default)]
struct Tally {
    alive: AtomicU64,
    made: AtomicU64,
    callbacks_added: AtomicU64,
    callbacks_called: AtomicU64,
    operations: AtomicU64,
}

/// Counts itself, in a closure or a result.
struct Counted(Arc<Tally>, u64);

impl Counted {
    fn new(tally: &Arc<Tally>, number: u64) -> Self {
        tally.alive.fetch_add(1, Relaxed);
        tally.made.fetch_add(1, Relaxed);
        Self(tally.clone(), number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Relaxed);
    }
}

type Held = (Future<Counted>, u64);

/// A task: some are slow, some panic, some submit another and wait for it.
fn task(
    pool: &Arc<ThreadPool>,
    tally: &Arc<Tally>,
    kind: u64,
    number: u64,
) -> impl FnOnce() -> Counted + Send + 'static {
    let captured = Counted::new(tally, number);
    let inner = (kind == 2 || kind == 3).then(|| Arc::downgrade(pool));
    move || {
        match kind {
            0 => thread::sleep(Duration::from_micros(number % 200)),
            1 => panic!("{number}"),
            _ => {}
        }
        if let Some(pool) = inner.and_then(|pool| pool.upgrade()) {
            let child = Counted::new(&captured.0, number);
            if let Ok(mut future) = pool.submit_blocking(move || child) {
                let timeout = (kind == 3).then_some(HANG);
                match future.result(timeout) {
                    Ok(child) => assert_eq!(child.1, number),
                    Err(Failure::Cancelled) => {}
                    Err(other) => panic!("a child: {other}"),
                }
            }
        }
        captured
    }
}

fn check(result: Result<Counted, Failure<Exception>>, number: u64) {
    match result {
        Ok(value) => assert_eq!(value.1, number),
        Err(Failure::Failed(exception)) => assert_eq!(exception.message(), number.to_string()),
        Err(Failure::Cancelled) => {}
        Err(other) => panic!("{other}"),
    }
}

fn work(pool: &Arc<ThreadPool>, tally: &Arc<Tally>, random: &mut Random, until: Instant) {
    let mut held: VecDeque<Held> = VecDeque::new();
    while Instant::now() < until {
        tally.operations.fetch_add(1, Relaxed);
        let (number, kind) = (random.next() >> 1, random.below(12));
        match random.below(20) {
            0..6 => match pool.submit(task(pool, tally, kind, number)) {
                Ok(future) => held.push_back((future, number)),
                Err(SubmitError::Full(f)) => drop(f),
                Err(_) => break,
            },
            6 => match pool.submit_blocking(task(pool, tally, kind, number)) {
                Ok(future) => held.push_back((future, number)),
                Err(_) => break,
            },
            7 => {
                let count = random.below(150);
                let batch = (0..count).map(|at| task(pool, tally, kind, number + at));
                match pool.submit_batch_blocking(batch) {
                    Ok(futures) => held.extend(futures.into_iter().zip(number..)),
                    Err(_) => break,
                }
            }
            8 | 9 => {
                if let Some((future, number)) = held.pop_front() {
                    let cancelled = future.cancel();
                    let mut future = future;
                    let result = future.result(HANG);
                    assert_eq!(cancelled, matches!(result, Err(Failure::Cancelled)) && future.cancelled());
                    check(result, number);
                }
            }
            10 => drop(held.pop_back()),
            11 => {
                if let Some((future, number)) = held.front() {
                    let (tally, number) = (tally.clone(), *number);
                    tally.callbacks_added.fetch_add(1, Relaxed);
                    let called = tally.clone();
                    let callback = move |result: Result<&Counted, Failure<Exception>>| {
                        if let Ok(value) = result {
                            assert_eq!(value.1, number);
                        }
                        called.callbacks_called.fetch_add(1, Relaxed);
                    };
                    if future.add_done_callback(callback).is_err() {
                        tally.callbacks_added.fetch_sub(1, Relaxed);
                    }
                }
            }
            12 => {
                let when = [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted];
                let timeout = (random.below(2) == 0).then_some(Duration::from_micros(random.below(300)));
                let some = held.iter().take(8).map(|(future, _)| future);
                let waited = wait(some, timeout, when[random.below(3) as usize]);
                assert!(timeout.is_some() || held.is_empty() || !waited.done.is_empty());
            }
            13 => {
                let some: Vec<_> = held.drain(..held.len().min(8)).map(|(future, _)| future).collect();
                let timeout = Duration::from_micros(random.below(1_000));
                for future in as_completed(some, timeout).flatten() {
                    assert!(future.done());
                }
            }
            14 => {
                let options = MapOptions { chunksize: 1 + random.below(5) as usize, ..MapOptions::default() };
                let take = random.below(60) as usize;
                for (index, result) in pool.map_with(options, 0..50u64, |n| n * 2).take(take).enumerate() {
                    match result {
                        Ok(double) => assert_eq!(double, 2 * index as u64),
                        Err(Failure::Cancelled) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            15 => {
                let numbers = [number; 200];
                let local = AtomicU64::new(0);
                pool.scope(|scope| {
                    for number in &numbers[..random.below(20) as usize] {
                        if let Ok(future) = scope.submit(|| local.fetch_add(*number & 0xFF, Relaxed))
                            && random.below(3) == 0
                        {
                            future.cancel();
                        }
                    }
                });
                assert!(pool.map_slice(&numbers, |n| n ^ 1).iter().all(|n| *n == number ^ 1));
            }
            _ => {
                if let Some((mut future, number)) = held.pop_front() {
                    match future.result(Duration::from_micros(random.below(100))) {
                        Err(Failure::TimedOut) => held.push_back((future, number)),
                        result => check(result, number),
                    }
                }
            }
        }
        while held.len() > 300 {
            let Some((mut future, number)) = held.pop_front() else { break };
            check(future.result(HANG), number);
        }
    }
    for (mut future, number) in held {
        check(future.result(HANG), number);
    }
}

#[test]
fn random_operations_lose_nothing_and_nobody_hangs() {
    let seconds = std::env::var("TIDEMILL_STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let until = Instant::now() + Duration::from_secs(seconds);
    let tally = Arc::new(Tally::default());
    let (mut rounds, mut replaced) = (0u64, 0);
    while Instant::now() < until {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (rounds + 1).wrapping_mul(0xD134_2543_DE82_EF95));
        let workers = 1 + random.below(4) as usize;
        let capacity = [1, 2, 10, 100, 10_000][random.below(5) as usize];
        let pool = ThreadPool::builder().workers(workers).capacity(capacity).build().unwrap();
        let pool = Arc::new(pool);
        let end = until.min(Instant::now() + Duration::from_millis(random.below(400)));
        thread::scope(|scope| {
            for _ in 0..=random.below(3) {
                let (pool, tally, mut random) = (&pool, &tally, Random(random.next() | 1));
                scope.spawn(move || work(pool, tally, &mut random, end));
            }
            if random.below(3) == 0 {
                thread::sleep(Duration::from_millis(random.below(200)));
                pool.shutdown(random.below(2) == 0, random.below(2) == 0);
            }
        });
        pool.shutdown(true, random.below(2) == 0);
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.waiting, snapshot.threads), (0, 0), "{snapshot}");
        replaced += snapshot.replaced;
        drop(pool);
        let alive = tally.alive.load(Relaxed);
        assert_eq!(alive, 0, "captured or returned, and never dropped, of {}", tally.made.load(Relaxed));
        let (added, called) = (tally.callbacks_added.load(Relaxed), tally.callbacks_called.load(Relaxed));
        assert_eq!(added, called, "callbacks");
        rounds += 1;
    }
    let (operations, made) = (tally.operations.load(Relaxed), tally.made.load(Relaxed));
    println!("{rounds} pools, {operations} operations, {made} values, {replaced} threads replaced, in {seconds} s");
    assert!(operations > 0);
}
