//! What a pool costs that has nothing to do.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
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

/// A pool that has worked.
fn pool() -> ThreadPool {
    let pool = ThreadPool::builder().workers(4).name("still").build().unwrap();
    let futures: Vec<_> = (0..1000).map(|x| pool.submit_blocking(move || x).unwrap()).collect();
    for (x, mut future) in futures.into_iter().enumerate() {
        assert_eq!(future.result(None).unwrap(), x);
    }
    pool
}

/// Not a test of its own: what the next one looks at.
#[test]
#[ignore = "run by the test with strace"]
fn has_a_pool_until_its_input_ends() {
    let _pool = pool();
    println!("at rest");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn strace_sees_no_system_call_of_a_pool_at_rest() {
    if Command::new("strace").arg("-V").output().is_err() {
        return println!("NOT TESTED: no strace here");
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "has_a_pool_until_its_input_ends"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("at rest")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    // What it sees in half a second: nothing that ended, once all are asleep.
    let mut seen = String::new();
    for _ in 0..20 {
        let traced = Command::new("timeout")
            .args(["--signal=INT", "0.5", "strace", "-f", "-o"])
            .arg(&file)
            .args(["-p", &child.id().to_string()])
            .output()
            .unwrap();
        seen = fs::read_to_string(&file).unwrap_or_default();
        if seen.is_empty() {
            println!("NOT TESTED: strace sees nothing here: {}", String::from_utf8_lossy(&traced.stderr));
            break;
        }
        if seen.lines().all(|line| line.contains("<unfinished ...>") || line.contains("<detached ...>")) {
            break;
        }
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let calls: Vec<_> = seen.lines().filter(|line| line.contains(" = ")).collect();
    assert!(calls.is_empty(), "{calls:#?}");
    // Some of its threads are workers, which sleep.
    assert!(seen.is_empty() || seen.contains("futex("), "{seen}");
}

#[test]
fn a_pool_at_rest_makes_no_system_calls() {
    let pool = pool();
    // A thread that was about to sleep may take a while on a busy machine.
    for _ in 0..100 {
        let before = activity("still");
        thread::sleep(Duration::from_millis(300));
        if activity("still") == before {
            assert!(!before.is_empty(), "its threads are alive");
            drop(pool);
            return;
        }
    }
    panic!("it never rests: {:?}", activity("still"));
}
