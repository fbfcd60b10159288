//! Processes that put, get, send, receive and hold locks are killed at random moments, and so are the fork server they come
//! from and the parent that started them. Nobody else may wait for them, lose something by it, or get something twice; and
//! nothing may be left of them.
//!
//! `TIDEMILL_KILLS` says how many moments for each; otherwise 150.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tidemill_host::ipc::{Array, Connection, Error, Lock, LockError, Permits, Queue, pipe};
use tidemill_host::process::{Process, Running, StartMethod, active_children};
use tidemill_host::register;

/// Longer than anything here may take.
const BOUND: Duration = Duration::from_secs(20);

fn kills() -> u64 {
    std::env::var("TIDEMILL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// Moments, different in each run; the seed is printed when a test fails.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        println!("seed {}", now.as_nanos() as u64);
        Self(now.as_nanos() as u64 | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pass(&mut self) {
        let pause = Duration::from_micros(self.below(2500));
        let until = Instant::now() + pause;
        thread::sleep(pause.saturating_sub(Duration::from_micros(200)));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

/// An item: who put it, which of theirs it is, and bytes that follow from that.
type Item = (u64, u64, Vec<u8>);

fn item(name: u64, number: u64) -> Item {
    let len = (name.wrapping_mul(31) ^ number.wrapping_mul(number)) as usize % 200;
    (name, number, (0..len).map(|at| (number as usize + at) as u8).collect())
}

/// Puts items for ever, and says how many it has.
fn puts((queue, name, put): (Queue<Item>, u64, Array<u64>)) -> Result<(), Error> {
    for number in 0.. {
        queue.put(&item(name, number))?;
        put.set(0, number + 1);
    }
    Ok(())
}

/// How many items a getter's log has room for.
const LOG: usize = 1 << 16;

/// Gets items for ever, and notes each.
fn gets((queue, log): (Queue<Item>, Array<u64>)) -> Result<(), Error> {
    for at in 1..LOG {
        let (name, number, bytes) = queue.get()?;
        assert_eq!(item(name, number).2, bytes);
        log.set(at, name << 32 | number);
        log.set(0, at as u64);
    }
    Ok(())
}

fn message(number: usize) -> Vec<u8> {
    // Few are longer than a part of the ring.
    let len = if number.is_multiple_of(16) { 40_000 } else { number * 7 % 300 };
    (0..len).map(|at| (number + at) as u8).collect()
}

fn sends(mut end: Connection) -> Result<(), Error> {
    (0..).try_for_each(|number| end.send_bytes(&message(number), 0, None))
}

fn receives(mut end: Connection) -> Result<(), Error> {
    (0..).try_for_each(|number| end.recv_bytes(None).map(|bytes| assert_eq!(bytes, message(number))))
}

/// Changes two numbers that are to be the same.
fn changes((lock, two): (Lock, Array<u64>)) -> Result<(), Error> {
    loop {
        let _guard = lock.acquire(None).or_else(|error| repair(error, &two))?;
        let number = two.get(0).unwrap_or(0);
        two.set(0, number + 1);
        two.set(1, number + 1);
    }
}

fn repair(error: LockError, two: &Array<u64>) -> Result<tidemill_host::ipc::Guard, Error> {
    let guard = error.into_guard()?;
    two.set(1, two.get(0).unwrap_or(0));
    Ok(guard)
}

/// Takes a permit and gives it back, for ever; counts those that a dead one left.
fn takes((permits, left): (Permits, Array<u64>)) -> Result<(), Error> {
    loop {
        if permits.acquire(None)?.holder_died() {
            left.set(0, left.get(0).unwrap_or(0) + 1);
        }
    }
}

fn all_in_turn((): ()) -> Vec<(usize, usize)> {
    let mut moments = Moments::new();
    let mut left = Vec::new();
    for test in [
        killed_at_the_queue,
        killed_at_the_pipe,
        killed_with_the_lock,
        killed_with_a_permit,
        killed_their_server,
        killed_their_parent,
    ] {
        // The fork server is there before anything is counted.
        Process::new(nothing, ()).start().unwrap().join();
        active_children();
        let before = held();
        test(&mut moments, kills());
        active_children();
        left.push((before, held()));
    }
    left
}

fn nothing((): ()) {}

/// Descriptors, and mappings of shared memory.
fn held() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    std::fs::read_dir("/proc/self/fd").unwrap().count() + 1000 * maps.matches("memfd:tidemill").count()
}

register!(puts, gets, sends, receives, changes, takes, all_in_turn, nothing, starts_all);

/// In a process of its own, whose descriptors are its own.
#[test]
fn nobody_waits_for_the_killed_and_nothing_of_theirs_is_left() {
    let began = Instant::now();
    let left = Process::new(all_in_turn, ()).start().unwrap().result().unwrap();
    for (before, after) in left {
        assert_eq!(before, after, "descriptors, and 1000 for each mapping");
    }
    println!("{} moments of each kind in {:?}", kills(), began.elapsed());
}

fn kill<R>(process: &Running<R>) {
    process.kill().unwrap();
    process.join();
}

fn killed_at_the_queue(moments: &mut Moments, count: u64) {
    // It is full, or empty, most of the time, and now and then its ring begins anew.
    let queue: Queue<Item> = Queue::with_capacity(20, 4096).unwrap();
    for round in 0..count {
        let log = Array::new(LOG).unwrap();
        let put: Vec<Array<u64>> = (0..2).map(|_| Array::new(1).unwrap()).collect();
        let start = |name: u64| Process::new(puts, (queue.clone(), 2 * round + name, put[name as usize].clone()));
        let putters = [start(0).start().unwrap(), start(1).start().unwrap()];
        let getter = Process::new(gets, (queue.clone(), log.clone())).start().unwrap();
        moments.pass();
        let first = moments.below(3);
        match first {
            0 => kill(&putters[0]),
            1 => kill(&putters[1]),
            _ => kill(&getter),
        }
        // The others go on: who puts puts more, as long as somebody gets.
        if first < 2 {
            let other = &put[1 - first as usize];
            let (before, began) = (other.get(0), Instant::now());
            while other.get(0) == before {
                assert!(began.elapsed() < BOUND, "the other putter waits");
                assert!(log.get(0) < Some(LOG as u64 - 1), "the log is full");
                thread::sleep(Duration::from_micros(100));
            }
        }
        moments.pass();
        putters.iter().for_each(kill);
        kill(&getter);
        accounted(&queue, &log, &put, 2 * round);
        // And it still works.
        queue.put_timeout(&item(0, 0), BOUND).unwrap();
        assert_eq!(queue.get_timeout(BOUND), Ok(item(0, 0)));
    }
}

/// What was put is in the log or in the queue, each once and in order; but one that the getter had taken.
/// `first`: the name of the first who put; all of them are dead.
fn accounted(queue: &Queue<Item>, log: &Array<u64>, put: &[Array<u64>], first: u64) {
    let mut next = [0; 2];
    let mut missing = 0;
    let mut see = |name: u64, number: u64| {
        let at = &mut next[(name - first) as usize];
        assert!(number == *at || number == *at + 1, "{number} of {name} after {at}");
        missing += number - *at;
        *at = number + 1;
    };
    let logged = log.get(0).unwrap() as usize;
    log.slice(1..logged + 1).into_iter().for_each(|entry| see(entry >> 32, entry & 0xffff_ffff));
    while !queue.is_empty() {
        let (name, number, bytes) = queue.get_timeout(BOUND).unwrap();
        assert_eq!(item(name, number).2, bytes);
        see(name, number);
    }
    for (next, put) in next.into_iter().zip(put) {
        // The last put may have been done and not been told; the last that was got may have been the last put.
        let put = put.get(0).unwrap();
        assert!(next == put || next == put + 1 || (next + 1 == put && missing == 0), "{next} of {put}");
        missing += u64::from(next + 1 == put);
    }
    assert!(missing <= 1, "one getter has taken one at most, not {missing}");
}

fn killed_at_the_pipe(moments: &mut Moments, count: u64) {
    for _ in 0..count / 2 {
        let (mut here, there) = pipe(true).unwrap();
        let sender = Process::new(sends, there).start().unwrap();
        let killer = killed_after(&sender, moments);
        let mut number = 0;
        let why = loop {
            match here.recv_bytes(None) {
                Ok(bytes) => assert_eq!(bytes, message(number)),
                Err(error) => break error,
            }
            number += 1;
        };
        assert_eq!(why, Error::BrokenPipe);
        killer.join().unwrap();
        sender.join();

        let (mut here, there) = pipe(true).unwrap();
        let receiver = Process::new(receives, there).start().unwrap();
        let killer = killed_after(&receiver, moments);
        let why = (0..).find_map(|number| here.send_bytes(&message(number), 0, None).err());
        assert_eq!(why, Some(Error::BrokenPipe));
        killer.join().unwrap();
        receiver.join();
    }
}

/// A thread that kills it after a while.
fn killed_after<R>(process: &Running<R>, moments: &mut Moments) -> thread::JoinHandle<()> {
    let (child, mut moments) = ((**process).clone(), Moments(moments.below(u64::MAX) | 1));
    thread::spawn(move || {
        moments.pass();
        child.kill().unwrap();
    })
}

fn killed_with_the_lock(moments: &mut Moments, count: u64) {
    let (lock, two) = (Lock::new().unwrap(), Array::new(2).unwrap());
    let mut told = 0;
    for _ in 0..count {
        let start = || Process::new(changes, (lock.clone(), two.clone())).start().unwrap();
        let changers = [start(), start()];
        moments.pass();
        changers.iter().for_each(kill);
        let guard = match lock.acquire(Some(BOUND)) {
            Ok(guard) => guard,
            Err(error) => {
                assert!(matches!(error, LockError::HolderDied(_)), "{error}");
                told += 1;
                repair(error, &two).unwrap()
            }
        };
        assert_eq!(two.get(0), two.get(1), "half changed, and nobody was told");
        drop(guard);
    }
    println!("{told} died holding the lock");
}

fn killed_with_a_permit(moments: &mut Moments, count: u64) {
    let (permits, left) = (Permits::new(2).unwrap(), Array::new(1).unwrap());
    let mut told = 0;
    for _ in 0..count {
        let start = || Process::new(takes, (permits.clone(), left.clone())).start().unwrap();
        let takers = [start(), start(), start()];
        moments.pass();
        kill(&takers[0]);
        moments.pass();
        takers.iter().for_each(kill);
        let permit = || permits.acquire(Some(BOUND)).expect("a permit is lost");
        let both = [permit(), permit()];
        assert!(permits.acquire(Some(Duration::ZERO)).is_err(), "there is one too many");
        told += both.iter().filter(|permit| permit.holder_died()).count();
    }
    println!("{told} permits came back when all were dead, {} before", left.get(0).unwrap());
}

fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

fn killed_their_server(moments: &mut Moments, count: u64) {
    let queue: Queue<Item> = Queue::with_capacity(20, 4096).unwrap();
    for round in 0..count / 3 {
        let log = Array::new(LOG).unwrap();
        let put: Vec<Array<u64>> = (0..2).map(|_| Array::new(1).unwrap()).collect();
        let start = |name: u64| Process::new(puts, (queue.clone(), 2 * round + name, put[name as usize].clone()));
        let putters = [start(0).start().unwrap(), start(1).start().unwrap()];
        let getter = Process::new(gets, (queue.clone(), log.clone())).start().unwrap();
        let server = Pid::from_raw(parent_of(getter.pid()));
        moments.pass();
        signal::kill(server, Signal::SIGKILL).unwrap();
        // They go on, and others are started by the next server.
        let (before, began) = (log.get(0), Instant::now());
        while log.get(0) == before {
            assert!(began.elapsed() < BOUND, "nothing moves");
            assert!(log.get(0) < Some(LOG as u64 - 1), "the log is full");
            thread::sleep(Duration::from_micros(100));
        }
        Process::new(nothing, ()).start().unwrap().join();
        putters.iter().for_each(kill);
        kill(&getter);
        accounted(&queue, &log, &put, 2 * round);
    }
}

/// All that a parent starts, and shares with whoever comes after it.
type Shared = (Queue<Item>, u64, Array<u64>, Array<u64>, (Lock, Array<u64>), (Permits, Array<u64>));

/// Starts one of each, as daemons, and waits for what comes over a pipe.
fn starts_all((queue, name, put, log, changed, taken): Shared) {
    let _putter = Process::new(puts, (queue.clone(), name, put)).daemon(true).start().unwrap();
    let _getter = Process::new(gets, (queue, log)).daemon(true).start().unwrap();
    let _changer = Process::new(changes, changed).daemon(true).start().unwrap();
    let _taker = Process::new(takes, taken).daemon(true).start().unwrap();
    let (here, there) = pipe(true).unwrap();
    let _sender = Process::new(sends, there).daemon(true).start().unwrap();
    let _ = receives(here);
}

/// Those that were started with this in their environment, and run.
fn marked(mark: &str) -> Vec<i32> {
    let marked = |pid: &i32| {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let is_zombie =
            String::from_utf8_lossy(&read("stat")).rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'));
        !is_zombie && read("environ").windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    let numbers =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(marked).collect()
}

fn killed_their_parent(moments: &mut Moments, count: u64) {
    let queue: Queue<Item> = Queue::with_capacity(20, 4096).unwrap();
    let (lock, two) = (Lock::new().unwrap(), Array::new(2).unwrap());
    let (permits, left) = (Permits::new(2).unwrap(), Array::new(1).unwrap());
    let mut most = 0;
    for round in 0..count / 3 {
        let (log, put) = (Array::new(LOG).unwrap(), Array::new(1).unwrap());
        let shared: Shared = (
            queue.clone(),
            round,
            put.clone(),
            log.clone(),
            (lock.clone(), two.clone()),
            (permits.clone(), left.clone()),
        );
        let (name, value) = ("TIDEMILL_MARK", format!("{}-{round}", std::process::id()));
        let mark = format!("{name}={value}\0");
        let parent = Process::new(starts_all, shared).method(StartMethod::Spawn).env(name, &value).start().unwrap();
        // Also while it is still starting them.
        (0..moments.below(8)).for_each(|_| moments.pass());
        most = most.max(marked(&mark).len());
        kill(&parent);
        let began = Instant::now();
        while !marked(&mark).is_empty() {
            assert!(began.elapsed() < BOUND, "{:?} outlive their parent", marked(&mark));
            thread::sleep(Duration::from_millis(1));
        }
        accounted(&queue, &log, &[put], round);
        drop(lock.acquire(Some(BOUND)).or_else(|error| repair(error, &two)).expect("the lock is lost"));
        assert_eq!(two.get(0), two.get(1), "half changed, and nobody was told");
        drop([0, 1].map(|_| permits.acquire(Some(BOUND)).expect("a permit is lost")));
    }
    assert!(most > 5, "no more than {most} processes were ever seen");
}
