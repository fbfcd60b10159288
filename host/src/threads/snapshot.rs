//! What a pool is doing, to look at.

use std::fmt;
use std::time::Duration;

use super::pool::ThreadPool;
use super::shared::Seat;
use super::sizing::{cores, optimal_threads};
use super::sync::Ordering::Relaxed;

/// A pool at one moment; displayed, it is a table for a person. The numbers are read one after the other while the pool
/// works, so that they need not fit together exactly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// What its threads' names begin with.
    pub name: String,
    /// How long the pool is there.
    pub age: Duration,
    /// How many tasks run at once.
    pub workers: usize,
    /// How many threads there are. More than workers, if tasks waited for tasks.
    pub threads: usize,
    /// How many threads look for work.
    pub searching: usize,
    /// How many threads sleep because there is none.
    pub sleeping: usize,
    /// How many threads' tasks wait for another task, or for room.
    pub blocked: usize,
    /// How many tasks wait.
    pub waiting: usize,
    /// How many may.
    pub capacity: usize,
    /// How many tasks were taken in ever.
    pub submitted: u64,
    /// How many were not, as the pool was full.
    pub refused: u64,
    /// How many threads died and were replaced.
    pub replaced: u64,
    /// One for each thread.
    pub per_worker: Vec<WorkerSnapshot>,
}

/// A worker at one moment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WorkerSnapshot {
    /// How many tasks it has run from a queue.
    pub ran: u64,
    /// How many it has run in place because its task waited for them.
    pub helped: u64,
    /// How often it took work from another worker's queue.
    pub stolen: u64,
    /// How often it slept because there was no work.
    pub sleeps: u64,
    /// How long it ran tasks, or looked for them: neither slept nor was blocked.
    pub busy: Duration,
    /// How long its tasks waited for other tasks, or for room.
    pub blocked: Duration,
    /// How long it had a core, if the system says so.
    pub cpu: Option<Duration>,
    /// Whether it sleeps.
    pub asleep: bool,
}

impl WorkerSnapshot {
    fn new(seat: &Seat, now: u64) -> Self {
        let tally = &seat.tally;
        let load = |counter: &super::sync::AtomicU64| counter.load(Relaxed);
        let since = load(&tally.asleep_since);
        let asleep = load(&tally.slept) + if since > 0 { now.saturating_sub(since) } else { 0 };
        let blocked = load(&tally.blocked);
        let age = now.saturating_sub(load(&tally.began));
        Self {
            ran: load(&tally.ran),
            helped: load(&tally.helped),
            stolen: load(&tally.stolen),
            sleeps: load(&tally.sleeps),
            busy: Duration::from_nanos(age.saturating_sub(asleep + blocked)),
            blocked: Duration::from_nanos(blocked),
            cpu: cpu(load(&tally.thread)),
            asleep: since > 0,
        }
    }
}

/// How long a thread of this process had a core.
fn cpu(thread: u64) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

impl ThreadPool {
    /// What the pool is doing. Nothing is counted for it that would not be counted anyway; it reads a file of the system
    /// for each thread.
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.shared;
        let counts = shared.sleep.counts();
        let age = shared.began.elapsed();
        Snapshot {
            name: shared.plan.name.clone(),
            age,
            workers: self.workers(),
            threads: shared.alive(),
            searching: counts.searching as usize,
            sleeping: counts.sleeping as usize,
            blocked: counts.blocked as usize,
            waiting: shared.waiting(),
            capacity: shared.room.capacity(),
            submitted: shared.room.entered(),
            refused: shared.counters.refused.load(Relaxed),
            replaced: shared.counters.replaced.load(Relaxed),
            per_worker: shared.seats().map(|seat| WorkerSnapshot::new(seat, age.as_nanos() as u64)).collect(),
        }
    }

    /// How many tasks wait to be begun.
    #[doc(alias = "queue_depth")]
    pub fn waiting(&self) -> usize {
        self.shared.waiting()
    }

    /// How many workers would keep all cores at work with tasks such as have run until now: [`optimal_threads`] of how
    /// long they had a core, and how long they were busy without one. Before there was any, one for each of the
    /// [`cores`]. It means little on a machine that does other work meanwhile, since to wait for a core is to wait.
    pub fn recommended_workers(&self) -> usize {
        let workers = self.snapshot().per_worker;
        let (mut busy, mut cpu) = (Duration::ZERO, Duration::ZERO);
        for worker in &workers {
            if let Some(had) = worker.cpu {
                busy += worker.busy.max(had);
                cpu += had;
            }
        }
        if cpu.is_zero() { cores() } else { optimal_threads(busy.saturating_sub(cpu), cpu) }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ran: u64 = self.per_worker.iter().map(|worker| worker.ran).sum();
        writeln!(
            f,
            "{}: {} workers, {} threads ({} look for work, {} sleep, {} wait for tasks), {:.1} s old",
            self.name,
            self.workers,
            self.threads,
            self.searching,
            self.sleeping,
            self.blocked,
            self.age.as_secs_f64()
        )?;
        writeln!(
            f,
            "tasks: {} submitted, {ran} run, {} wait of {} at most; {} refused, {} threads replaced",
            self.submitted, self.waiting, self.capacity, self.refused, self.replaced
        )?;
        writeln!(
            f,
            "{:>7}{:>12}{:>10}{:>10}{:>10}{:>8}{:>8}",
            "worker", "run", "helped", "stolen", "sleeps", "busy", "cpu"
        )?;
        for (index, worker) in self.per_worker.iter().enumerate() {
            let share = |part: Duration| 100.0 * part.as_secs_f64() / self.age.as_secs_f64().max(1e-9);
            let cpu = worker.cpu.map_or("?".into(), |cpu| format!("{:.1}%", share(cpu)));
            writeln!(
                f,
                "{index:>7}{:>12}{:>10}{:>10}{:>10}{:>7.1}%{cpu:>8}",
                worker.ran,
                worker.helped,
                worker.stolen,
                worker.sleeps,
                share(worker.busy)
            )?;
        }
        Ok(())
    }
}
