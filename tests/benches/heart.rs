//! What the heart costs on x86-64, in instructions, beside what a host's programmer would take instead.
//!
//! `cargo bench -p tidemill-tests --bench heart` prints instructions per operation, counted by callgrind, which needs
//! valgrind. This program runs itself once for `k` and once for `2k` operations; what one costs is the difference over
//! `k`, so that set-up, start and end of the process cancel out. `-- timer` counts only rows with that in their names.
//! The figures of a Cortex-M3 come from `tests/heart`.
//!
//! tokio's `DelayQueue` runs under tokio's own paused clock, which its runtime moves to the next deadline whenever
//! nothing else is left to do: its expiry includes that, as in any program that uses it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use tidemill_core::executor::Executor;
use tidemill_core::net::{NoNetwork, Token};
use tidemill_core::pool;
use tidemill_core::queue::{Fifo, Queue};
use tidemill_core::random::{below, draw};
use tidemill_core::sched::{self, Scheduler};
use tidemill_core::task::{Context, Task, Wake};
use tidemill_core::time::{EPOCH, Instant};
use tidemill_core::timer::{self, TimerWheel};

const ENTRIES: [usize; 3] = [10, 1_000, 100_000];
const OPERATIONS: usize = 10_000;

/// A row of the table: what is done, by whom, and how: among so many entries, so many times.
type Row = (&'static str, &'static str, fn(usize, usize));

const ROWS: &[Row] = &[
    ("pool.submit+poll+complete", "tidemill", pool_ours),
    ("pool.submit+poll+complete", "tokio", pool_tokio),
    ("timer.start+cancel", "tidemill", timer_cancel_ours),
    ("timer.start+cancel", "DelayQueue", timer_cancel_tokio),
    ("timer.expiry+start", "tidemill", timer_expiry_ours),
    ("timer.expiry+start", "DelayQueue", timer_expiry_tokio),
    ("timer.expiry+start", "BinaryHeap", timer_expiry_heap),
    ("sched.enter+run", "tidemill", sched_ours),
    ("sched.enter+run", "BinaryHeap", sched_heap),
    ("sched.enter+run", "CPython", sched_python),
    ("queue.put+get", "tidemill", queue_ours),
    ("queue.put+get", "VecDeque", queue_deque),
];

/// Numbers at random, the same for everyone, drawn before anything is counted.
struct Draws {
    numbers: Vec<u64>,
    next: usize,
}

impl Draws {
    /// Below `bound`.
    fn new(bound: u64) -> Self {
        Self { numbers: (0..1 << 14).map(|index| below(draw(7, &[index]), bound)).collect(), next: 0 }
    }

    /// Deadlines within ten seconds.
    fn deadlines() -> Self {
        Self::new(10_000_000)
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.numbers[self.next % self.numbers.len()]
    }
}

struct Once;

impl Task<NoNetwork> for Once {
    type Output = u32;
    type Error = ();
    fn poll(&mut self, _: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ()> {
        Ok(7)
    }
}

enum Mixed {
    Waits,
    Once(Once),
}

impl Task<NoNetwork> for Mixed {
    type Output = u32;
    type Error = ();
    fn poll(&mut self, cx: &mut Context<'_, NoNetwork>) -> nb::Result<u32, ()> {
        match self {
            Self::Once(once) => once.poll(cx),
            Self::Waits => {
                cx.wait_for_wake();
                Err(nb::Error::WouldBlock)
            }
        }
    }
}

fn pool_ours(entries: usize, operations: usize) {
    let slots: Box<[_]> = (0..entries).map(|_| pool::Slot::EMPTY).collect();
    let mut executor = Executor::new(slots);
    for _ in 1..entries {
        executor.pool.spawn(Mixed::Waits).expect("room");
    }
    executor.turn(EPOCH, &mut NoNetwork, &mut ());
    for _ in 0..operations {
        let id = executor.pool.submit(Mixed::Once(Once)).expect("room");
        black_box(executor.turn(EPOCH, &mut NoNetwork, &mut ()));
        let _ = black_box(executor.pool.result(id));
    }
}

fn tokio() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

fn pool_tokio(entries: usize, operations: usize) {
    let runtime = tokio();
    for _ in 1..entries {
        runtime.spawn(std::future::pending::<()>());
    }
    runtime.block_on(async {
        for _ in 0..operations {
            black_box(tokio::spawn(async { 7 }).await).expect("no panic");
        }
    });
    // Not its end, which drops all that wait.
    std::mem::forget(runtime);
}

fn timer_wheel(entries: usize) -> TimerWheel<usize, Box<[timer::Slot<usize>]>> {
    TimerWheel::new((0..entries).map(|_| timer::Slot::EMPTY).collect())
}

fn timer_cancel_ours(entries: usize, operations: usize) {
    let mut deadlines = Draws::deadlines();
    let mut wheel = timer_wheel(entries);
    let mut start =
        |wheel: &mut TimerWheel<_, _>, index| wheel.start(Instant::from_ticks(deadlines.next()), index).expect("room");
    let mut ids: Vec<_> = (0..entries).map(|index| start(&mut wheel, index)).collect();
    let mut choice = Draws::new(entries as u64);
    for _ in 0..operations {
        let index = choice.next() as usize;
        black_box(wheel.cancel(ids[index]));
        ids[index] = start(&mut wheel, index);
    }
}

fn timer_cancel_tokio(entries: usize, operations: usize) {
    use tokio_util::time::DelayQueue;
    tokio().block_on(async {
        let mut deadlines = Draws::deadlines();
        let mut queue = DelayQueue::with_capacity(entries);
        let mut start = |queue: &mut DelayQueue<_>, index| queue.insert(index, Duration::from_micros(deadlines.next()));
        let mut keys: Vec<_> = (0..entries).map(|index| start(&mut queue, index)).collect();
        let mut choice = Draws::new(entries as u64);
        for _ in 0..operations {
            let index = choice.next() as usize;
            black_box(queue.remove(&keys[index]));
            keys[index] = start(&mut queue, index);
        }
        std::mem::forget(queue);
    });
}

fn timer_expiry_ours(entries: usize, operations: usize) {
    let mut deadlines = Draws::deadlines();
    let mut wheel = timer_wheel(entries);
    for index in 0..entries {
        wheel.start(Instant::from_ticks(deadlines.next()), index).expect("room");
    }
    let mut now = EPOCH;
    for _ in 0..operations {
        now = wheel.next_deadline().expect("not empty");
        let expired = wheel.expire(now).expect("due");
        wheel.start(Instant::from_ticks(now.as_ticks() + deadlines.next()), expired.value).expect("room");
    }
    black_box(now);
}

fn timer_expiry_tokio(entries: usize, operations: usize) {
    tokio().block_on(async {
        let mut deadlines = Draws::deadlines();
        let mut queue = tokio_util::time::DelayQueue::with_capacity(entries);
        for index in 0..entries {
            queue.insert(index, Duration::from_micros(deadlines.next()));
        }
        for _ in 0..operations {
            let expired = std::future::poll_fn(|cx| queue.poll_expired(cx)).await.expect("not empty");
            queue.insert(expired.into_inner(), Duration::from_micros(deadlines.next()));
        }
        std::mem::forget(queue);
    });
}

fn timer_expiry_heap(entries: usize, operations: usize) {
    let mut deadlines = Draws::deadlines();
    let mut heap: BinaryHeap<_> = (0..entries).map(|index| Reverse((deadlines.next(), index))).collect();
    for _ in 0..operations {
        let Reverse((now, index)) = heap.pop().expect("not empty");
        heap.push(Reverse((now + deadlines.next(), index)));
    }
    black_box(heap);
}

fn sched_ours(entries: usize, operations: usize) {
    let mut deadlines = Draws::deadlines();
    let slots: Box<[_]> = (0..entries).map(|_| sched::Slot::EMPTY).collect();
    let mut scheduler = Scheduler::new(slots);
    for _ in 0..entries {
        scheduler.enter_abs(Instant::from_ticks(deadlines.next()), 0, 0_usize).expect("room");
    }
    for _ in 0..operations {
        let now = scheduler.next_deadline().expect("not empty");
        let event = scheduler.next_due(now).expect("due");
        let at = Instant::from_ticks(event.time.as_ticks() + deadlines.next());
        scheduler.enter_abs(at, 0, event.action).expect("room");
    }
}

/// What everybody writes: a heap of time, priority, order of entry, and the action.
fn sched_heap(entries: usize, operations: usize) {
    let mut deadlines = Draws::deadlines();
    let mut order = 0..;
    let mut event = |now| Reverse((now + deadlines.next(), 0_i32, order.next(), 0_usize));
    let mut heap: BinaryHeap<_> = (0..entries).map(|_| event(0)).collect();
    for _ in 0..operations {
        let Reverse((now, ..)) = heap.pop().expect("not empty");
        heap.push(event(now));
    }
    black_box(heap);
}

const PYTHON: &str = "
import os, random, sched, sys
entries, operations = int(sys.argv[1]), int(sys.argv[2])
random.seed(7)
delays = [1 + random.randrange(10_000_000) for _ in range(4096)]
now = 0
left = operations
def action():
    global left
    left -= 1
    if left:
        scheduler.enter(delays[left & 4095], 0, action)
    else:
        os._exit(0)
def delay(by):
    global now
    now += by
scheduler = sched.scheduler(lambda: now, delay)
for index in range(entries):
    scheduler.enter(delays[index & 4095], 0, action)
scheduler.run()
";

/// The process becomes Python, which valgrind follows.
fn sched_python(entries: usize, operations: usize) {
    use std::os::unix::process::CommandExt;
    let failed = Command::new("python3")
        .args(["-c", PYTHON, &entries.to_string(), &operations.to_string()])
        .env("PYTHONHASHSEED", "0")
        .exec();
    panic!("python3: {failed}");
}

/// Whom nobody waits for.
struct Nobody;

impl Wake for Nobody {
    fn wake(&mut self, _: Token) {}
}

fn queue_ours(entries: usize, operations: usize) {
    let mut queue = Box::new(Queue::<Fifo<usize, 100_000>>::new(Fifo::new()));
    for item in 0..entries / 2 {
        queue.put_nowait(item, &mut Nobody).expect("room");
    }
    for item in 0..operations {
        let _ = black_box(black_box(&mut queue).put_nowait(item, &mut Nobody));
        let _ = black_box(queue.get_nowait(&mut Nobody));
    }
}

fn queue_deque(entries: usize, operations: usize) {
    let mut queue: VecDeque<usize> = (0..entries / 2).collect();
    for item in 0..operations {
        black_box(&mut queue).push_back(item);
        black_box(queue.pop_front());
    }
}

/// The instructions of a whole run.
fn count(row: usize, entries: usize, operations: usize) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=yes"])
        .arg(program)
        .args(["row", &row.to_string(), &entries.to_string(), &operations.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    // After an exec there are two; the last is of the program that ended.
    let collected = report.lines().rev().find_map(|line| line.split("Collected : ").nth(1));
    let collected = collected.and_then(|count| count.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| report.into_owned())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [row, numbers @ ..] = &arguments[..]
        && row == "row"
    {
        let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
        return ROWS[numbers[0]].2(numbers[1], numbers[2]);
    }
    println!("x86-64 instructions per operation, and how many times ours");
    print!("{:<40}", "");
    for entries in ENTRIES {
        print!("{entries:>18}");
    }
    println!();
    let mut ours = [0; ENTRIES.len()];
    for (row, (what, whose, _)) in ROWS.iter().enumerate() {
        if arguments.first().is_some_and(|wanted| !what.contains(wanted.as_str())) {
            continue;
        }
        print!("{what:<28}{whose:<12}");
        for (column, entries) in ENTRIES.into_iter().enumerate() {
            let counted = count(row, entries, OPERATIONS)
                .and_then(|once| Ok((count(row, entries, 2 * OPERATIONS)? - once) / OPERATIONS as i64));
            match counted {
                Ok(each) if *whose == "tidemill" => {
                    ours[column] = each;
                    print!("{each:>18}");
                }
                Ok(each) => print!("{:>18}", format!("{each} ({:.1}x)", each as f64 / ours[column].max(1) as f64)),
                Err(error) => {
                    eprintln!("{error}");
                    std::process::exit(1);
                }
            }
            let _ = std::io::stdout().flush();
        }
        println!();
    }
}
