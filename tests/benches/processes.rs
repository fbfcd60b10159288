//! What a process and a task of a pool of processes cost, beside CPython and procspawn.
//!
//! `cargo bench -p tidemill-tests --bench processes` prints medians over rounds. All pools have two workers. CPython is
//! measured where there is a Python 3.13. A machine that does other work meanwhile makes every figure larger: compare
//! within one run, and look at the ratios.

use std::hint::black_box;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tidemill_host::process::{Process, ProcessPool, StartMethod, start_fork_server};

fn rounds() -> usize {
    std::env::var("TIDEMILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn double(x: u64) -> u64 {
    2 * x
}

fn nothing((): ()) {}

tidemill_host::register!(double, nothing);

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn percentile(all: &mut [f64], of: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    all[((all.len() - 1) as f64 * of) as usize]
}

/// Milliseconds to start a process, and to start and join it.
fn start(method: StartMethod) -> (f64, f64) {
    let mut starts = Vec::new();
    let mut both = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let process = Process::new(nothing, ()).method(method).start().unwrap();
        starts.push(began.elapsed().as_secs_f64() * 1e3);
        process.join();
        both.push(began.elapsed().as_secs_f64() * 1e3);
    }
    (median(starts), median(both))
}

fn starts(words: &str) {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let (started, joined) = start(method);
        println!("start {method:<11} {words:<22} {started:8.3} ms   and join {joined:8.3} ms");
    }
}

/// Tasks a second, a future each.
fn tasks_per_second(pool: &ProcessPool, tasks: u64) -> f64 {
    let began = Instant::now();
    let mut futures = Vec::with_capacity(1 << 15);
    let mut sum = 0;
    for x in 0..tasks {
        futures.push(pool.submit_blocking(double, x).unwrap());
        if futures.len() == 1 << 15 {
            sum += futures.drain(..).map(|mut future| future.result(None).unwrap()).sum::<u64>();
        }
    }
    sum += futures.drain(..).map(|mut future| future.result(None).unwrap()).sum::<u64>();
    assert_eq!(sum, tasks * (tasks - 1));
    tasks as f64 / began.elapsed().as_secs_f64()
}

fn map_per_second(pool: &ProcessPool, tasks: u64, chunksize: usize) -> f64 {
    let began = Instant::now();
    let all = pool.map_chunks(double, 0..tasks, chunksize).unwrap();
    assert_eq!(black_box(all).len() as u64, tasks);
    tasks as f64 / began.elapsed().as_secs_f64()
}

/// Microseconds from `apply` to its result.
fn round_trips(pool: &ProcessPool, rest: Duration) -> (f64, f64) {
    let mut all = Vec::new();
    for x in 0..if rest.is_zero() { 5_000 } else { 300 } {
        std::thread::sleep(rest);
        let began = Instant::now();
        assert_eq!(pool.apply(double, x).unwrap(), 2 * x);
        all.push(began.elapsed().as_secs_f64() * 1e6);
    }
    (percentile(&mut all, 0.5), percentile(&mut all, 0.99))
}

fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    for &core in cores {
        let _ = set.set(core);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

const PYTHON: &str = r#"
import concurrent.futures, multiprocessing, statistics, sys, time

def double(x): return 2 * x
def nothing(): pass

def start(method):
    context = multiprocessing.get_context(method)
    all = []
    for _ in range(20):
        began = time.perf_counter()
        process = context.Process(target=nothing)
        process.start()
        process.join()
        all.append((time.perf_counter() - began) * 1e3)
    print(f"CPython Process start and join {method:<10} {statistics.median(all):9.3f} ms")

def trips(call):
    all = []
    for x in range(2000):
        began = time.perf_counter()
        call(x)
        all.append((time.perf_counter() - began) * 1e6)
    all.sort()
    return f"{all[len(all) // 2]:6.0f} µs, p99 {all[len(all) * 99 // 100]:6.0f}"

if __name__ == "__main__":
    for method in ["fork", "forkserver", "spawn"]:
        start(method)
    for method in ["fork"]:
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            pool.map(double, range(100))
            began = time.perf_counter()
            pool.map(double, range(100_000), chunksize=1)
            print(f"CPython Pool.map chunksize 1     {100_000 / (time.perf_counter() - began) / 1e3:10.1f} k tasks/s")
            began = time.perf_counter()
            pool.map(double, range(1_000_000))
            print(f"CPython Pool.map                 {1_000_000 / (time.perf_counter() - began) / 1e3:10.1f} k items/s")
            print(f"CPython Pool.apply               {trips(lambda x: pool.apply(double, (x,)))}")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(double, range(100)))
            began = time.perf_counter()
            for future in [pool.submit(double, x) for x in range(20_000)]: future.result()
            print(f"CPython ProcessPoolExecutor.submit {20_000 / (time.perf_counter() - began) / 1e3:8.1f} k tasks/s")
            print(f"CPython ProcessPoolExecutor        {trips(lambda x: pool.submit(double, x).result())}")
"#;

fn python() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("peer.py");
    std::fs::write(&script, PYTHON).unwrap();
    match tidemill_tests::python().map(|python| Command::new(python).arg(script).status()) {
        Some(Ok(status)) if status.success() => {}
        Some(other) => println!("NOT MEASURED: CPython: {other:?}"),
        None => println!("NOT MEASURED: CPython: no Python 3.13 here"),
    }
}

fn main() {
    procspawn::init();
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    start_fork_server().unwrap();
    starts("small parent");
    let large = vec![1u8; 1 << 30];
    starts("1 GiB parent");
    drop(black_box(large));

    let pool = ProcessPool::new(2).unwrap();
    pool.map(double, 0..100).unwrap();
    let figure = |words: &str, run: &dyn Fn() -> f64| {
        println!("{words:<33}{:10.1} k/s", median((0..rounds()).map(|_| run()).collect()) / 1e3);
    };
    figure("submit, a future each", &|| tasks_per_second(&pool, 500_000));
    figure("map, chunks of 1", &|| map_per_second(&pool, 500_000, 1));
    figure("map, chunks of 1,000", &|| map_per_second(&pool, 2_000_000, 1000));
    let trip = |words: &str, pool: &ProcessPool, rest| {
        let (half, most) = round_trips(pool, rest);
        println!("{words:<33}{half:10.1} µs, p99 {most:6.1}");
    };
    trip("apply", &pool, Duration::ZERO);
    trip("apply, after 2 ms of rest", &pool, Duration::from_millis(2));
    pin(&[0]);
    let pinned = ProcessPool::new(1).unwrap();
    pinned.apply(double, 0).unwrap();
    trip("apply, all on one core", &pinned, Duration::ZERO);
    trip("the same, after 2 ms of rest", &pinned, Duration::from_millis(2));
    pin(&[0, 1]);
    drop((pool, pinned));

    let pool = procspawn::Pool::new(2).unwrap();
    let double_there = |x: u64| pool.spawn(x, |x| 2 * x);
    double_there(1).join().unwrap();
    let began = Instant::now();
    // Each handle has descriptors of its own.
    for _ in 0..100 {
        let handles: Vec<_> = (0..100).map(double_there).collect();
        for handle in handles {
            handle.join().unwrap();
        }
    }
    println!("{:<33}{:10.1} k/s", "procspawn pool", 10.0 / began.elapsed().as_secs_f64());
    let mut all: Vec<f64> = (0..2_000)
        .map(|x| {
            let began = Instant::now();
            double_there(x).join().unwrap();
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    println!("{:<33}{:10.1} µs, p99 {:6.1}", "procspawn pool", percentile(&mut all, 0.5), percentile(&mut all, 0.99));
    let _ = std::io::stdout().flush();
    drop(pool);
    python();
}
