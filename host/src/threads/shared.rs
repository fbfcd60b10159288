//! What the handles and the workers of one pool share.

use std::sync::Arc;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use crossbeam_utils::CachePadded;

use super::error::SubmitError;
use super::exception::Exception;
use super::gate::Bell;
use super::room::{Refused, Room};
use super::sleep::{Recruit, Sleep};
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use super::task::Job;
use super::worker;
use crate::log::tell;

/// How many threads more than its workers a pool may have while tasks wait for tasks.
pub(super) const SPARES: usize = 64;

type Initializer = Box<dyn Fn() + Send + Sync>;

/// How a pool was built.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) stack_size: usize,
    pub(super) workers: usize,
    pub(super) initializer: Option<Initializer>,
    pub(super) cores: Vec<usize>,
}

pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) room: CachePadded<Room>,
    pub(super) sleep: CachePadded<Sleep>,
    injector: Injector<Job>,
    seats: Box<[OnceLock<Seat>]>,
    /// How many seats were ever taken.
    used: AtomicUsize,
    /// How many tasks were taken by none of the workers.
    pub(super) drained: AtomicU64,
    roster: Mutex<Roster>,
    ended: Condvar,
    broken: AtomicBool,
    pub(super) counters: Counters,
    pub(super) began: Instant,
}

#[derive(Default)]
struct Roster {
    threads: Vec<JoinHandle<()>>,
    alive: usize,
    why_broken: Option<Exception>,
}

/// What is counted once for the whole pool, where it does not happen often.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) replaced: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// A worker's place. It stays, should the worker's thread be replaced.
pub(super) struct Seat {
    stealer: Stealer<Job>,
    /// The queue, while no thread has it.
    deque: Mutex<Option<Worker<Job>>>,
    pub(super) bell: Bell,
    pub(super) tally: CachePadded<Tally>,
}

/// What a worker counts. Only it writes.
#[derive(Default)]
pub(super) struct Tally {
    /// Tasks taken from a queue.
    pub(super) taken: AtomicU64,
    /// Of those, tasks that were run, by this worker.
    pub(super) ran: AtomicU64,
    /// Tasks that were run in place because this worker's task waited for them.
    pub(super) helped: AtomicU64,
    /// Jobs taken from another worker's queue.
    pub(super) stolen: AtomicU64,
    pub(super) sleeps: AtomicU64,
    /// Nanoseconds asleep.
    pub(super) slept: AtomicU64,
    /// Nanoseconds in which its task waited for another.
    pub(super) blocked: AtomicU64,
    /// Nanoseconds since the pool began: when it began, when it fell asleep if it sleeps.
    pub(super) began: AtomicU64,
    pub(super) asleep_since: AtomicU64,
    /// The thread's number to the system.
    pub(super) thread: AtomicU64,
}

/// Adds to what only this thread writes.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

impl Seat {
    fn new() -> Self {
        let deque = Worker::new_fifo();
        Self {
            stealer: deque.stealer(),
            deque: Mutex::new(Some(deque)),
            bell: Bell::new(),
            tally: CachePadded::default(),
        }
    }

    /// The worker takes its place, and its queue.
    pub(super) fn sit_down(&self) -> Option<Worker<Job>> {
        self.bell.attend();
        self.deque.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The worker leaves its queue to who comes next.
    pub(super) fn stand_up(&self, deque: Worker<Job>) {
        *self.deque.lock().unwrap_or_else(PoisonError::into_inner) = Some(deque);
    }
}

impl Shared {
    pub(super) fn new(plan: Plan, capacity: usize) -> Self {
        let most = plan.workers + SPARES;
        Self {
            room: CachePadded::new(Room::new(capacity)),
            sleep: CachePadded::new(Sleep::new(plan.workers, most)),
            injector: Injector::new(),
            seats: (0..most).map(|_| OnceLock::new()).collect(),
            used: AtomicUsize::new(0),
            drained: AtomicU64::new(0),
            roster: Mutex::default(),
            ended: Condvar::new(),
            broken: AtomicBool::new(false),
            counters: Counters::default(),
            began: Instant::now(),
            plan,
        }
    }

    /// What its tasks call their home.
    pub(super) fn home(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().take(self.used.load(Ordering::Acquire)).filter_map(OnceLock::get)
    }

    pub(super) fn seat(&self, at: usize) -> &Seat {
        self.seats[at].get_or_init(Seat::new)
    }

    /// How many tasks were taken from the queues ever.
    pub(super) fn taken(&self) -> u64 {
        let workers: u64 = self.seats().map(|seat| seat.tally.taken.load(Ordering::SeqCst)).sum();
        workers + self.drained.load(Ordering::SeqCst)
    }

    /// How many tasks wait.
    pub(super) fn waiting(&self) -> usize {
        let taken = self.taken();
        self.room.entered().saturating_sub(taken) as usize
    }

    /// Lets `count` tasks in, at once or by `deadline`.
    pub(super) fn enter<F>(
        &self,
        count: usize,
        wait: bool,
        deadline: Option<Instant>,
        f: F,
    ) -> Result<F, SubmitError<F>> {
        let count = count as u64;
        let entered = if wait {
            self.room.enter_in_time(count, || self.taken(), deadline)
        } else {
            self.room.enter(count, || self.taken())
        };
        match entered {
            Ok(()) => Ok(f),
            Err(Refused::Full) => {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                tell!(Debug, "{}: full, {count} refused", self.plan.name);
                Err(SubmitError::Full(f))
            }
            Err(Refused::Closed) => Err(match self.why_broken() {
                Some(why) => SubmitError::Broken(f, why),
                None => SubmitError::ShutDown(f),
            }),
        }
    }

    pub(super) fn why_broken(&self) -> Option<Exception> {
        if self.broken.load(Ordering::SeqCst) { self.roster().why_broken.clone() } else { None }
    }

    /// Puts tasks that were let in into a queue, and sees to it that somebody comes for them.
    #[inline]
    pub(super) fn push(self: &Arc<Self>, job: Job) {
        if let Some(job) = worker::push(self, job) {
            self.injector.push(job);
        }
        self.recruit();
        if self.broken.load(Ordering::SeqCst) {
            self.drain();
        }
    }

    #[inline]
    pub(super) fn recruit(self: &Arc<Self>) {
        if self.sleep.would_start() {
            // A thread costs as much as some hundred small tasks: somebody may be about to look.
            for _ in 0..64 {
                if !self.has_work() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        match self.sleep.recruit() {
            Recruit::Nobody => {}
            Recruit::Wake(seat) => self.seat(seat).bell.ring(),
            Recruit::Start => self.start(self.used.fetch_add(1, Ordering::AcqRel)),
        }
    }

    /// Whether there is anything in any queue.
    pub(super) fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.seats().any(|seat| !seat.stealer.is_empty())
    }

    pub(super) fn take_new(&self, into: &Worker<Job>) -> Steal<Job> {
        self.injector.steal_batch_and_pop(into)
    }

    /// Takes what waits with another worker than `seat`: looks at up to `count` of them, beginning anywhere.
    pub(super) fn steal(&self, seat: usize, begin: usize, count: usize, into: &Worker<Job>) -> Steal<Job> {
        let used = self.used.load(Ordering::Acquire).min(self.seats.len()).max(1);
        let (before, after) = self.seats[..used].split_at(begin % used);
        let others = (begin % used..used).zip(after).chain((0..).zip(before)).filter(|&(at, _)| at != seat);
        let others = others.take(count).filter_map(|(_, other)| other.get());
        others.map(|other| other.stealer.steal_batch_and_pop(into)).collect()
    }

    /// Starts a thread at a seat; it counts as alive and searching already.
    pub(super) fn start(self: &Arc<Self>, at: usize) {
        self.seat(at);
        let shared = self.clone();
        let builder = Builder::new().name(format!("{}-{at}", self.plan.name)).stack_size(self.plan.stack_size);
        let mut roster = self.roster();
        match builder.spawn(move || worker::main(shared, at)) {
            Ok(thread) => {
                tell!(Debug, "{}-{at}: started", self.plan.name);
                roster.alive += 1;
                roster.threads.retain(|thread| !thread.is_finished());
                roster.threads.push(thread);
            }
            Err(error) => {
                tell!(Error, "{}-{at}: not started: {error}", self.plan.name);
                self.sleep.exit();
                let alone = roster.alive == 0;
                drop(roster);
                if alone {
                    self.fail(Exception::broken(&format!("the system gives it no thread: {error}")));
                }
            }
        }
    }

    fn roster(&self) -> std::sync::MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread ends.
    pub(super) fn left(&self) {
        self.roster().alive -= 1;
        self.ended.notify_all();
    }

    /// Breaks the pool: what waits fails with this, and nothing more is taken.
    pub(super) fn fail(&self, why: Exception) {
        tell!(Error, "{}: {why}", self.plan.name);
        self.roster().why_broken.get_or_insert(why);
        self.broken.store(true, Ordering::SeqCst);
        self.room.close();
        self.drain();
        self.wake_all();
    }

    /// Takes all that waits: it fails if the pool is broken, else it is cancelled.
    fn drain(&self) {
        let why = self.why_broken();
        let end = |job: Job| {
            for entry in job {
                match &why {
                    Some(why) => entry.fail(why.clone()),
                    None => drop(entry),
                }
                self.drained.fetch_add(1, Ordering::SeqCst);
            }
        };
        let drain = |steal: &dyn Fn() -> Steal<Job>| loop {
            match steal() {
                Steal::Success(job) => end(job),
                Steal::Retry => {}
                Steal::Empty => break,
            }
        };
        drain(&|| self.injector.steal());
        for seat in self.seats() {
            drain(&|| seat.stealer.steal());
        }
        self.room.taken();
    }

    pub(super) fn wake_all(&self) {
        for seat in self.sleep.wake_all() {
            self.seat(seat).bell.ring();
        }
    }

    /// See [`ThreadPool::shutdown`](super::ThreadPool::shutdown).
    pub(super) fn shutdown(self: &Arc<Self>, wait: bool, cancel_futures: bool) {
        if self.room.close() {
            tell!(Debug, "{}: shut down, {} tasks wait", self.plan.name, self.waiting());
        }
        if cancel_futures {
            self.drain();
        }
        self.wake_all();
        if !wait || worker::is_of(self) {
            return;
        }
        let mut roster = self.roster();
        while roster.alive > 0 || !self.room.is_spent(|| self.taken()) {
            // Who lets himself in and has not yet put his task into the queue starts a worker: look again.
            roster =
                self.ended.wait_timeout(roster, Duration::from_millis(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
        let threads = std::mem::take(&mut roster.threads);
        drop(roster);
        for thread in threads {
            // It ended by a panic if it was replaced: that was told then.
            let _ = thread.join();
        }
    }

    /// How many threads there are.
    pub(super) fn alive(&self) -> usize {
        self.roster().alive
    }
}
