//! SIGKILL at random moments to a pool's workers, to the server that forks them, and to the process that has the pool.
//!
//! For each start method: no future hangs; no task is begun twice, and each that was not killed has its result; no more
//! tasks fail than workers were killed; no process, zombie or descriptor is left. `TIDEMILL_FAULTS` says how many kills,
//! else 100.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidemill_core::pool::Failure as Ended;
use tidemill_host::process::{Failure, ProcessPool, StartMethod, start_fork_server};
use tidemill_host::register;

/// What never comes on a machine that works.
const LONG: Duration = Duration::from_mins(1);

/// Says which start method the process is to be killed with.
const VICTIM: &str = "TIDEMILL_VICTIM";

static LOG: Mutex<Option<File>> = Mutex::new(None);

fn opens(path: String) {
    let file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
}

/// Notes that it was begun, and works for a moment.
fn notes(number: u64) -> u64 {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.as_ref().unwrap().write_all(format!("{number}\n").as_bytes()).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(number % 7 * 20) {
        std::hint::spin_loop();
    }
    number
}

fn sleeps((): ()) {
    thread::sleep(LONG);
}

register!(opens, notes, sleeps);

/// Numbers that look random, by xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn children() -> Vec<i32> {
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap()));
    }
    all
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether it runs: a zombie does not. One whose server was killed is for the system to reap.
fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X'])))
}

fn gone_in_time(what: &str, mut left: impl FnMut() -> Vec<i32>) {
    let began = Instant::now();
    while !left().is_empty() {
        assert!(began.elapsed() < LONG / 3, "{what}: {:?} live", left());
        thread::sleep(Duration::from_millis(1));
    }
}

/// Kills workers, and now and then the server that forks them, while tasks are done.
fn workers_and_server(method: StartMethod, kills: u64, folder: &Path) {
    let log = folder.join(format!("{method}-{kills}"));
    let pool = ProcessPool::builder()
        .workers(3)
        .capacity(2000)
        .method(method)
        .initializer(opens, log.display().to_string())
        .build()
        .unwrap();
    let (over, killed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen = Mutex::new(Vec::new());
    let mut failed = Vec::new();
    let mut count = 0;
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(0x1dea_71de ^ kills);
            for _ in 0..kills {
                thread::sleep(Duration::from_micros(random.below(4000)));
                let pids = pool.pids();
                seen.lock().unwrap().extend(pids.iter().copied());
                let server = children().into_iter().find(|pid| !pids.contains(pid));
                let victim = match server.filter(|_| method == StartMethod::ForkServer && random.below(10) == 0) {
                    Some(server) => server,
                    None if pids.is_empty() => continue,
                    None => {
                        killed.fetch_add(1, Ordering::Relaxed);
                        pids[random.below(pids.len() as u64) as usize]
                    }
                };
                let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
            }
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) || count == 0 {
            let batch: Vec<_> =
                (count..count + 500).map(|number| (number, pool.submit_blocking(notes, number).unwrap())).collect();
            count += 500;
            for (number, mut future) in batch {
                match future.result(LONG) {
                    Ok(result) => assert_eq!(result, number),
                    Err(Ended::Failed(exception)) => match Failure::of(&exception) {
                        Some(Failure::WorkerDied { exitcode, .. }) => {
                            assert!([-9, 255].contains(exitcode), "{exitcode}");
                            failed.push(number);
                        }
                        _ => panic!("task {number}: {exception}"),
                    },
                    Err(other) => panic!("task {number}: {other}"),
                }
            }
        }
    });
    seen.lock().unwrap().extend(pool.pids());
    drop(pool);
    let mut begun: HashMap<u64, u32> = HashMap::new();
    for number in fs::read_to_string(&log).unwrap().lines() {
        *begun.entry(number.parse().unwrap()).or_default() += 1;
    }
    for number in 0..count {
        let times = begun.get(&number).copied().unwrap_or(0);
        let lost = failed.contains(&number);
        assert!(times == 1 || (lost && times == 0), "task {number} was begun {times} times, lost: {lost}");
    }
    let killed = killed.into_inner();
    assert!(failed.len() <= killed, "{} tasks lost with {killed} workers", failed.len());
    let seen = seen.into_inner().unwrap();
    gone_in_time("workers", || seen.iter().copied().filter(|&pid| runs(pid)).collect());
    println!(
        "{method}: {kills} kills, {count} tasks, {} lost with {killed} workers, {:.1} s",
        failed.len(),
        began.elapsed().as_secs_f64()
    );
}

/// What the process does that is to be killed.
fn victim(method: StartMethod) -> ! {
    let pool = ProcessPool::builder().workers(2).method(method).build().unwrap();
    let _waiting: Vec<_> = (0..4).map(|_| pool.submit(sleeps, ()).unwrap()).collect();
    thread::sleep(LONG);
    std::process::exit(1)
}

/// Processes that were started, by whomever, with this in their environment.
fn marked(mark: &str) -> Vec<i32> {
    let marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.windows(mark.len()).any(|part| part == mark.as_bytes()))
    };
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(marked).collect()
}

fn parents(method: StartMethod, kills: u64) {
    let mut random = Random(0x0f1d_0b57 + kills);
    let mut most = 0;
    for round in 0..kills {
        let mark = format!("TIDEMILL_MARK={}-{method}-{round}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .env(VICTIM, method.to_string())
            .env(name, value)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(random.below(12_000)));
        most = most.max(marked(&mark).len());
        parent.kill().unwrap();
        parent.wait().unwrap();
        gone_in_time("of a killed parent", || marked(&mark).into_iter().filter(|&pid| runs(pid)).collect());
    }
    assert!(most > 1, "no worker was ever seen");
    println!("{method}: {kills} parents killed, with up to {most} processes");
}

fn main() {
    if let Ok(method) = std::env::var(VICTIM) {
        victim(method.parse().unwrap());
    }
    let kills = std::env::var("TIDEMILL_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().unwrap();
    for method in StartMethod::ALL {
        if method == StartMethod::ForkServer {
            start_fork_server().unwrap();
        }
        workers_and_server(method, 2, folder.path());
        let before = (descriptors(), children().len());
        workers_and_server(method, kills / 4 + 3, folder.path());
        parents(method, kills / 12 + 1);
        let now = || (descriptors(), children().len());
        // Of a server that was killed last, the next takes the place.
        if method == StartMethod::ForkServer {
            start_fork_server().unwrap();
        }
        assert!(now().0 <= before.0 && now().1 <= before.1, "before {before:?}, after {:?}", now());
    }
}
