//! What a task costs, beside the pools people use today, in one process.
//!
//! `cargo bench -p tidemill-tests --bench threads` prints medians over rounds in which all take turns, all with two
//! workers and the system's allocator. Where a pool gives no handle to its result, it gets the cheapest there is: an `Arc`
//! with one atomic word, which the joiner looks at. CPython's `ThreadPoolExecutor` is measured where there is a Python 3.13.
//! A machine that does other work meanwhile makes every figure larger: compare within one run, and look at the ratios.

#![expect(clippy::needless_for_each, clippy::drop_non_drop, reason = "rows of a table, one expression each")]
#![expect(dropping_copy_types, clippy::type_complexity, reason = "closures that yield nothing, whatever they call")]

use std::hint::{black_box, spin_loop};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tidemill_host::threads::{ThreadPool, Timers};

const TASKS: u64 = 1_000_000;

fn rounds() -> usize {
    std::env::var("TIDEMILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

fn unpin() {
    let mut cores = CpuSet::new();
    (0..2).for_each(|core| drop(cores.set(core)));
    let _ = sched_setaffinity(Pid::from_raw(0), &cores);
}

/// The cheapest handle: one word, 0 until there is a result.
#[derive(Clone, Default)]
struct Slot(Arc<AtomicU64>);

impl Slot {
    fn set(&self, value: u64) {
        self.0.store(value + 1, SeqCst);
    }

    fn join(&self) -> u64 {
        let mut looks = 0;
        loop {
            match self.0.load(SeqCst) {
                0 if looks < 2_000 => spin_loop(),
                0 => thread::yield_now(),
                value => return value - 1,
            }
            looks += 1;
        }
    }
}

struct Row(String, Vec<f64>);

/// Runs all in turns, and prints the median of each, and its share of the first.
fn table(title: &str, unit: &str, mut rows: Vec<(&str, Box<dyn FnMut() -> f64 + '_>)>) -> Vec<(String, f64)> {
    let mut results: Vec<Row> = rows.iter().map(|(name, _)| Row((*name).into(), Vec::new())).collect();
    for _ in 0..rounds() {
        for ((_, run), Row(_, times)) in rows.iter_mut().zip(&mut results) {
            times.push(run());
        }
    }
    println!("\n{title}, {unit}");
    let mut medians = Vec::new();
    for Row(name, mut times) in results {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        medians.push((name, median));
        let (name, least) = (&medians[medians.len() - 1].0, times[0]);
        println!("  {name:<44}{median:>10.2}{:>10.2}x   best {least:.2}", median / medians[0].1);
    }
    medians
}

fn per_task(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / TASKS as f64
}

type Boxed = Box<dyn FnOnce() + Send>;

/// A pool by hand: a channel of boxed closures.
struct ByHand {
    send: Option<crossbeam_channel::Sender<Boxed>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl ByHand {
    fn new(workers: usize) -> Self {
        let (send, receive) = crossbeam_channel::unbounded::<Boxed>();
        let threads = (0..workers).map(|_| receive.clone());
        let threads = threads.map(|receive| thread::spawn(move || receive.iter().for_each(|task| task()))).collect();
        Self { send: Some(send), threads }
    }

    fn submit(&self, task: impl FnOnce() + Send + 'static) {
        self.send.as_ref().unwrap().send(Box::new(task)).unwrap();
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.send = None;
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn rayon_pool(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().unwrap()
}

fn tokio_runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).max_blocking_threads(workers).build().unwrap()
}

fn throughput() {
    let ours = Arc::new(ThreadPool::builder().workers(2).capacity(2 * TASKS as usize).build().unwrap());
    let rayon = rayon_pool(2);
    let tokio = tokio_runtime(2);
    let rusty = rusty_pool::ThreadPool::new(2, 2, Duration::from_mins(1));
    let threadpool = threadpool::ThreadPool::new(2);
    let by_hand = ByHand::new(2);
    let slots = |submit: &dyn Fn(Slot, u64)| {
        let slots: Vec<Slot> = (0..TASKS).map(|_| Slot::default()).collect();
        slots.iter().zip(0..).for_each(|(slot, n)| submit(slot.clone(), n));
        black_box(slots.into_iter().map(|slot| slot.join()).sum::<u64>());
    };
    table(
        "a million tasks with a handle each, from one thread",
        "ns a task",
        vec![
            (
                "tidemill submit",
                Box::new(|| {
                    per_task(|| {
                        let futures: Vec<_> = (0..TASKS).map(|n| ours.submit(move || n).unwrap()).collect();
                        black_box(futures.into_iter().map(|mut future| future.result(None).unwrap()).sum::<u64>());
                    })
                }),
            ),
            (
                "tidemill submit_batch",
                Box::new(|| {
                    per_task(|| {
                        let futures = ours.submit_batch((0..TASKS).map(|n| move || n)).unwrap();
                        black_box(futures.into_iter().map(|mut future| future.result(None).unwrap()).sum::<u64>());
                    })
                }),
            ),
            (
                "tidemill submit, futures dropped",
                Box::new(|| {
                    per_task(|| {
                        let count = Arc::new(AtomicU64::new(0));
                        for _ in 0..TASKS {
                            let count = count.clone();
                            drop(ours.submit(move || count.fetch_add(1, Relaxed)).unwrap());
                        }
                        while count.load(Relaxed) < TASKS {
                            thread::yield_now();
                        }
                    })
                }),
            ),
            ("rayon spawn", Box::new(|| per_task(|| slots(&|slot, n| rayon.spawn(move || slot.set(n)))))),
            ("threadpool", Box::new(|| per_task(|| slots(&|slot, n| threadpool.execute(move || slot.set(n)))))),
            ("crossbeam by hand", Box::new(|| per_task(|| slots(&|slot, n| by_hand.submit(move || slot.set(n)))))),
            (
                "rusty_pool evaluate",
                Box::new(|| {
                    per_task(|| {
                        let handles: Vec<_> = (0..TASKS).map(|n| rusty.evaluate(move || n)).collect();
                        black_box(handles.into_iter().map(rusty_pool::JoinHandle::await_complete).sum::<u64>());
                    })
                }),
            ),
            (
                "tokio spawn_blocking (2 threads)",
                Box::new(|| {
                    per_task(|| {
                        let handles: Vec<_> = (0..TASKS).map(|n| tokio.spawn_blocking(move || n)).collect();
                        tokio.block_on(async {
                            for handle in handles {
                                black_box(handle.await.unwrap());
                            }
                        });
                    })
                }),
            ),
        ],
    );
    table(
        "a million tasks with a handle each, from inside a worker",
        "ns a task",
        vec![
            (
                "tidemill submit",
                Box::new(|| {
                    let inner = ours.clone();
                    let run = move || {
                        let futures: Vec<_> = (0..TASKS).map(|n| inner.submit(move || n).unwrap()).collect();
                        black_box(futures.into_iter().map(|mut future| future.result(None).unwrap()).sum::<u64>());
                    };
                    ours.submit(move || per_task(run)).unwrap().result(None).unwrap()
                }),
            ),
            (
                "rayon spawn",
                Box::new(|| {
                    rayon.install(|| {
                        per_task(|| {
                            let slots: Vec<Slot> = (0..TASKS).map(|_| Slot::default()).collect();
                            for (slot, n) in slots.iter().zip(0..) {
                                let slot = slot.clone();
                                rayon::spawn(move || slot.set(n));
                            }
                            for slot in slots {
                                while slot.0.load(SeqCst) == 0 {
                                    let _ = rayon::yield_now();
                                }
                            }
                        })
                    })
                }),
            ),
            (
                "rayon scope, no handles",
                Box::new(|| {
                    rayon.install(|| {
                        per_task(|| {
                            rayon::scope(|scope| (0..TASKS).for_each(|n| scope.spawn(move |_| drop(black_box(n)))));
                        })
                    })
                }),
            ),
            (
                "tokio spawn",
                Box::new(|| {
                    let run = async {
                        let start = Instant::now();
                        let handles: Vec<_> = (0..TASKS).map(|n| tokio::spawn(async move { n })).collect();
                        for handle in handles {
                            black_box(handle.await.unwrap());
                        }
                        start.elapsed().as_nanos() as f64 / TASKS as f64
                    };
                    tokio.block_on(tokio.spawn(run)).unwrap()
                }),
            ),
        ],
    );
}

/// Percentiles of a round trip, in µs; the worker sleeps for `rest` before each.
fn trips(count: usize, rest: Duration, mut trip: impl FnMut()) -> (f64, f64) {
    pin(0);
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            thread::sleep(rest);
            let start = Instant::now();
            trip();
            start.elapsed().as_nanos() as f64 / 1_000.0
        })
        .collect();
    unpin();
    times.sort_by(f64::total_cmp);
    (times[count / 2], times[count * 99 / 100])
}

fn latency() {
    let ours = ThreadPool::builder().workers(1).affinity([1]).build().unwrap();
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(1).start_handler(|_| pin(1)).build().unwrap();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .on_thread_start(|| pin(1))
        .build()
        .unwrap();
    let rusty = rusty_pool::ThreadPool::new(1, 1, Duration::from_mins(1));
    rusty.evaluate(|| pin(1)).await_complete();
    let threadpool = threadpool::ThreadPool::new(1);
    threadpool.execute(|| pin(1));
    threadpool.join();
    let by_hand = ByHand::new(1);
    by_hand.submit(|| pin(1));
    let slot = |submit: &dyn Fn(Slot)| {
        let slot = Slot::default();
        submit(slot.clone());
        assert_eq!(slot.join(), 7);
    };
    let trip: [(&str, &dyn Fn()); 6] = [
        ("tidemill submit, result", &|| assert_eq!(ours.submit(|| 7).unwrap().result(None).unwrap(), 7)),
        ("rayon spawn", &|| slot(&|slot| rayon.spawn(move || slot.set(7)))),
        ("threadpool", &|| slot(&|slot| threadpool.execute(move || slot.set(7)))),
        ("crossbeam by hand", &|| slot(&|slot| by_hand.submit(move || slot.set(7)))),
        ("rusty_pool evaluate", &|| assert_eq!(rusty.evaluate(|| 7).await_complete(), 7)),
        ("tokio spawn_blocking", &|| assert_eq!(tokio.block_on(tokio.spawn_blocking(|| 7)).unwrap(), 7)),
    ];
    for (title, count, rest) in [
        ("submit to result, hot, both ends pinned", 20_000, Duration::ZERO),
        ("submit to result, the worker parked for 2 ms, both ends pinned", 200, Duration::from_millis(2)),
    ] {
        let tails = Mutex::new(vec![Vec::new(); trip.len()]);
        let tails = &tails;
        let rows = trip.iter().enumerate().map(|(index, &(name, trip))| -> (&str, Box<dyn FnMut() -> f64>) {
            let run = move || {
                // Warm, before it is measured hot.
                (0..1_000).for_each(|_| trip());
                let (median, p99) = trips(count, rest, trip);
                tails.lock().unwrap()[index].push(p99);
                median
            };
            (name, Box::new(run))
        });
        table(title, "µs at the median", rows.collect());
        for (tails, (name, _)) in tails.lock().unwrap().iter_mut().zip(trip) {
            tails.sort_by(f64::total_cmp);
            println!("    99th percentile: {name:<40}{:>10.2}", tails[tails.len() / 2]);
        }
    }
}

fn map() {
    use rayon::prelude::*;
    const COUNT: usize = 10_000_000;
    let ours = ThreadPool::new(2).unwrap();
    let rayon = rayon_pool(2);
    let numbers: Vec<u64> = (0..COUNT as u64).collect();
    let f = |n: &u64| n.wrapping_mul(2_654_435_761) ^ (n >> 7);
    let millis = |start: Instant| start.elapsed().as_nanos() as f64 / 1e6;
    table(
        "map over ten million numbers into a fresh vector",
        "ms",
        vec![
            (
                "tidemill map_slice",
                Box::new(|| {
                    let start = Instant::now();
                    let results = ours.map_slice(&numbers, f);
                    let time = millis(start);
                    black_box(results);
                    time
                }),
            ),
            (
                "rayon par_iter",
                Box::new(|| {
                    let start = Instant::now();
                    let results: Vec<u64> = rayon.install(|| numbers.par_iter().map(f).collect());
                    let time = millis(start);
                    black_box(results);
                    time
                }),
            ),
            (
                "one thread",
                Box::new(|| {
                    let start = Instant::now();
                    let results: Vec<u64> = numbers.iter().map(f).collect();
                    let time = millis(start);
                    black_box(results);
                    time
                }),
            ),
        ],
    );
    let warm = Mutex::new(vec![0; COUNT]);
    table(
        "map over ten million numbers into a warm one",
        "ms",
        vec![
            (
                "tidemill map_into",
                Box::new(|| {
                    let mut warm = warm.lock().unwrap();
                    let start = Instant::now();
                    ours.map_into(&numbers, &mut warm, f);
                    millis(start)
                }),
            ),
            (
                "rayon collect_into_vec",
                Box::new(|| {
                    let mut guard = warm.lock().unwrap();
                    let warm: &mut Vec<u64> = &mut guard;
                    let start = Instant::now();
                    rayon.install(|| numbers.par_iter().map(f).collect_into_vec(warm));
                    millis(start)
                }),
            ),
            (
                "one thread",
                Box::new(|| {
                    let mut warm = warm.lock().unwrap();
                    let start = Instant::now();
                    warm.iter_mut().zip(&numbers).for_each(|(place, n)| *place = f(n));
                    millis(start)
                }),
            ),
        ],
    );
}

/// Spins so many times; a thousand take some microseconds.
fn burn(times: u64) -> u64 {
    (0..times).fold(times, |sum, n| black_box(sum.rotate_left(5) ^ n))
}

fn skew() {
    use rayon::prelude::*;
    let ours = ThreadPool::builder().workers(2).build().unwrap();
    let rayon = rayon_pool(2);
    let by_hand = ByHand::new(2);
    let heavy = |at: usize, placement: &str| match placement {
        // Now in one half, now in the other, of what two threads share.
        "spread" => at % 100 == 50 + at / 100 % 2,
        "first" => at < 100,
        _ => at >= 9_900,
    };
    for placement in ["spread", "first", "last"] {
        let costs: Vec<u64> = (0..10_000).map(|at| if heavy(at, placement) { 1_000_000 } else { 1_000 }).collect();
        // Two of them at once, each alone on a core, do half each: the ideal, under the load of this moment.
        let half = |costs: &[u64]| costs.iter().step_by(2).map(|&cost| burn(cost)).fold(0, |sum, n| sum ^ n);
        let share = |run: &dyn Fn()| {
            let start = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| black_box(half(&costs)));
                black_box(half(&costs[1..]));
            });
            let ideal = start.elapsed();
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() / ideal.as_secs_f64()
        };
        table(
            &format!("ten thousand tasks, one in a hundred a thousand times heavier, {placement}"),
            "of the time of two threads that share them by hand",
            vec![
                (
                    "tidemill map_slice",
                    Box::new(|| share(&|| drop(black_box(ours.map_slice(&costs, |&cost| burn(cost)))))),
                ),
                (
                    "tidemill submit",
                    Box::new(|| {
                        share(&|| {
                            let futures: Vec<_> =
                                costs.iter().map(|&cost| ours.submit(move || burn(cost)).unwrap()).collect();
                            futures.into_iter().for_each(|mut future| drop(black_box(future.result(None))));
                        })
                    }),
                ),
                (
                    "rayon par_iter",
                    Box::new(|| {
                        share(&|| {
                            drop(black_box(
                                rayon.install(|| costs.par_iter().map(|&cost| burn(cost)).collect::<Vec<_>>()),
                            ));
                        })
                    }),
                ),
                (
                    "rayon scope",
                    Box::new(|| {
                        share(&|| {
                            rayon.in_place_scope(|scope| {
                                costs.iter().for_each(|&cost| scope.spawn(move |_| drop(black_box(burn(cost)))));
                            });
                        })
                    }),
                ),
                (
                    "crossbeam by hand",
                    Box::new(|| {
                        share(&|| {
                            let left = Arc::new(AtomicUsize::new(costs.len()));
                            let (tell, told) = mpsc::channel();
                            for &cost in &costs {
                                let (left, tell) = (left.clone(), tell.clone());
                                by_hand.submit(move || {
                                    black_box(burn(cost));
                                    if left.fetch_sub(1, SeqCst) == 1 {
                                        tell.send(()).unwrap();
                                    }
                                });
                            }
                            told.recv().unwrap();
                        })
                    }),
                ),
            ],
        );
    }
}

fn timers() {
    const COUNT: usize = 10_000;
    let timers = Timers::new(Arc::new(ThreadPool::new(1).unwrap()), COUNT).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let after = |n: usize| Duration::from_millis(1_000 + 7 * n as u64);
    let each = |start: Instant| start.elapsed().as_nanos() as f64 / COUNT as f64;
    table(
        "ten thousand timers made, started and cancelled",
        "ns each",
        vec![
            (
                "tidemill",
                Box::new(|| {
                    let start = Instant::now();
                    let all: Vec<_> = (0..COUNT).map(|n| timers.once(after(n), || ())).collect();
                    all.iter().for_each(|timer| timer.start().unwrap());
                    all.iter().for_each(tidemill_host::threads::Timer::cancel);
                    drop(all);
                    each(start)
                }),
            ),
            (
                "tokio sleep in a boxed future, polled once",
                Box::new(|| {
                    runtime.block_on(async {
                        let start = Instant::now();
                        let mut all: Vec<_> = (0..COUNT).map(|n| Box::pin(tokio::time::sleep(after(n)))).collect();
                        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                        for sleep in &mut all {
                            assert!(Future::poll(sleep.as_mut(), &mut context).is_pending());
                        }
                        drop(all);
                        each(start)
                    })
                }),
            ),
            (
                "tokio_util DelayQueue",
                Box::new(|| {
                    runtime.block_on(async {
                        let start = Instant::now();
                        let mut queue = tokio_util::time::DelayQueue::with_capacity(COUNT);
                        let keys: Vec<_> = (0..COUNT).map(|n| queue.insert((), after(n))).collect();
                        keys.iter().for_each(|key| drop(queue.remove(key)));
                        each(start)
                    })
                }),
            ),
        ],
    );
}

/// Bytes of memory that this process has in use.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// Names the row of [`memory`] that this process measures.
const MEMORY_OF: &str = "TIDEMILL_MEMORY_OF";

/// Each row in a process of its own, whose heap holds nothing yet.
fn memory() {
    const COUNT: usize = 500_000;
    let mine = std::env::var(MEMORY_OF).ok();
    if mine.is_none() {
        println!("\na pending task with a handle, whose closure holds 8 bytes, bytes");
    }
    let measure = |name: &str, fill: &dyn Fn(mpsc::Receiver<()>) -> Box<dyn std::any::Any>| {
        match &mine {
            None => {
                let mut row = Command::new(std::env::current_exe().unwrap());
                assert!(row.arg("memory").env(MEMORY_OF, name).status().unwrap().success());
                return;
            }
            Some(mine) if mine != name => return,
            Some(_) => {}
        }
        let (go, hold) = mpsc::channel();
        let before = resident();
        let held = fill(hold);
        println!("  {name:<44}{:>10.1}", (resident() - before) as f64 / COUNT as f64);
        drop(go);
        drop(held);
    };
    measure("tidemill submit", &|hold| {
        let pool = ThreadPool::builder().workers(1).capacity(COUNT + 1).build().unwrap();
        let first = pool.submit(move || drop(hold.recv())).unwrap();
        let futures: Vec<_> = (0..COUNT as u64).map(|n| pool.submit(move || n).unwrap()).collect();
        Box::new((first, futures, pool))
    });
    measure("tidemill submit_batch", &|hold| {
        let pool = ThreadPool::builder().workers(1).capacity(COUNT + 1).build().unwrap();
        let first = pool.submit(move || drop(hold.recv())).unwrap();
        let futures = pool.submit_batch_blocking((0..COUNT as u64).map(|n| move || n)).unwrap();
        Box::new((first, futures, pool))
    });
    measure("crossbeam by hand", &|hold| {
        let pool = ByHand::new(1);
        pool.submit(move || drop(hold.recv()));
        let slots: Vec<Slot> = (0..COUNT).map(|_| Slot::default()).collect();
        for (slot, n) in slots.iter().zip(0..) {
            let slot = slot.clone();
            pool.submit(move || slot.set(n));
        }
        Box::new((slots, pool))
    });
    measure("tokio spawn_blocking", &|hold| {
        let runtime = tokio_runtime(1);
        let first = runtime.spawn_blocking(move || drop(hold.recv()));
        let handles: Vec<_> = (0..COUNT).map(|n| runtime.spawn_blocking(move || n)).collect();
        Box::new((first, handles, runtime))
    });
}

const PYTHON: &str = "
import time
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    start = time.perf_counter_ns()
    futures = [pool.submit(int) for _ in range(100_000)]
    for future in futures: future.result()
    print((time.perf_counter_ns() - start) / 100_000)
    trips = []
    for _ in range(2_000):
        start = time.perf_counter_ns()
        pool.submit(int).result()
        trips.append(time.perf_counter_ns() - start)
    print(sorted(trips)[1_000] / 1_000)
";

fn python() {
    let found = tidemill_tests::python();
    let Some(name) = found else { return println!("\nNOT MEASURED: CPython: no Python 3.13 here") };
    match Command::new(name).args(["-c", PYTHON]).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            println!("\nCPython's ThreadPoolExecutor: ns a task, µs a round trip: {}", text.replace('\n', "  "));
        }
        Err(error) => println!("\nNOT MEASURED: CPython: {error}"),
    }
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts: [(&str, fn()); 7] = [
        ("throughput", throughput),
        ("latency", latency),
        ("map", map),
        ("skew", skew),
        ("timers", timers),
        ("memory", memory),
        ("python", python),
    ];
    for (name, part) in parts {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            part();
        }
    }
}
