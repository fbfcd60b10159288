//! What a pool costs that has nothing to do.

use std::fs;
use std::thread;
use std::time::Duration;

use tidemill_host::threads::ThreadPool;

/// How often each thread of this name has gone to sleep or was made to, and for how long it ran, in nanoseconds.
fn activity(name: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let read = |file| fs::read_to_string(path.join(file)).unwrap_or_default();
        if read("comm").starts_with(name) {
            let switches = read("status").lines().filter(|line| line.contains("ctxt_switches")).collect();
            all.push((switches, read("schedstat")));
        }
    }
    all.sort();
    all
}

#[test]
fn a_pool_at_rest_makes_no_system_calls() {
    let pool = ThreadPool::builder().workers(4).name("still").build().unwrap();
    let futures: Vec<_> = (0..1000).map(|x| pool.submit_blocking(move || x).unwrap()).collect();
    for (x, mut future) in futures.into_iter().enumerate() {
        assert_eq!(future.result(None).unwrap(), x);
    }
    // A thread that was about to sleep may take a while on a busy machine.
    for _ in 0..100 {
        let before = activity("still");
        thread::sleep(Duration::from_millis(300));
        if activity("still") == before {
            assert!(!before.is_empty(), "its threads are alive");
            return;
        }
    }
    panic!("it never rests: {:?}", activity("still"));
}
