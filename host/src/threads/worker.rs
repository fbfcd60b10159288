//! What a pool's thread does: finds work, runs it, and sleeps when there is none.

use std::cell::RefCell;
use std::hint::spin_loop;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::panicking;
use std::time::{Duration, Instant};

use crossbeam_deque::{Steal, Worker};

use super::exception::catch;
use super::shared::{Seat, Shared, add};
use super::sizing::{cores, pin};
use super::sync::Ordering;
use super::task::{Job, TaskRef};
use crate::log::tell;

/// How long a worker looks for work before it sleeps.
const SEARCH: Duration = Duration::from_micros(20);

/// After so many jobs of its own queue a worker looks into that of all.
const TURNS: u32 = 61;

thread_local! {
    /// The worker that this thread is.
    static CURRENT: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

/// A worker, as its own thread sees it.
struct Local {
    shared: Arc<Shared>,
    seat: usize,
    deque: Worker<Job>,
    /// Where its stack begins, about.
    stack: usize,
}

/// What the thread does from beginning to end.
pub(super) fn main(shared: Arc<Shared>, at: usize) {
    let seat = shared.seat(at);
    seat.tally.thread.store(nix::unistd::gettid().as_raw() as u64, Ordering::Relaxed);
    seat.tally.began.store(shared.began.elapsed().as_nanos() as u64, Ordering::Relaxed);
    if let Some(&core) = shared.plan.cores.get(at % shared.plan.cores.len().max(1)) {
        // That it may was checked when the pool was built; what has changed since is the system's business.
        let _ = pin(core);
    }
    // Nobody else sits here.
    let Some(deque) = seat.sit_down() else { return };
    let mut sentinel = Sentinel(None);
    // Dropped before the sentinel, which needs the last one.
    let local = Rc::new(Local { shared: shared.clone(), seat: at, deque, stack: here() });
    sentinel.0 = Some(local.clone());
    if let Some(initializer) = &shared.plan.initializer
        && let Err(exception) = catch(initializer)
    {
        shared.fail(super::Exception::broken(&format!("its initializer {exception}")));
    }
    CURRENT.set(Some(local.clone()));
    local.work();
    drop(local);
    drop(sentinel.0.take().map(leave));
}

/// The worker stands up. Returns whose it was.
fn leave(local: Rc<Local>) -> Arc<Shared> {
    CURRENT.set(None);
    let (shared, at) = (local.shared.clone(), local.seat);
    if let Some(Local { seat, deque, .. }) = Rc::into_inner(local) {
        shared.seat(seat).stand_up(deque);
    }
    tell!(Debug, "{}-{at}: ended", shared.plan.name);
    shared.left();
    shared
}

/// Replaces a worker that dies: what a task leaves behind may panic when it is dropped.
struct Sentinel(Option<Rc<Local>>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(local) = self.0.take().filter(|_| panicking()) {
            let at = local.seat;
            let shared = leave(local);
            tell!(Warn, "{}-{at}: died, and is replaced", shared.plan.name);
            shared.counters.replaced.fetch_add(1, Ordering::Relaxed);
            shared.sleep.start_search();
            shared.start(at);
        }
    }
}

/// Puts the job into the queue of the worker that this thread is, if it is one of this pool; else hands it back.
#[inline]
pub(super) fn push(shared: &Arc<Shared>, job: Job) -> Option<Job> {
    CURRENT.with_borrow(|current| match current {
        Some(local) if Arc::ptr_eq(&local.shared, shared) => {
            local.deque.push(job);
            None
        }
        _ => Some(job),
    })
}

/// Whether this thread is a worker of any pool.
pub(super) fn is_one() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// Whether this thread is a worker of this pool.
pub(super) fn is_of(shared: &Arc<Shared>) -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|local| Arc::ptr_eq(&local.shared, shared)))
}

/// A worker whose task waits for this one of the same pool runs it, if it is pending and the stack has room. That takes
/// nobody's turn who is not waited for, so that it cannot lead to a deadlock that was not there: on the stack of a
/// worker, each task waits for the one above it.
pub(super) fn help(task: TaskRef) -> bool {
    let Some(local) = CURRENT.with_borrow(Clone::clone) else { return false };
    let depth = local.stack.abs_diff(here());
    if Arc::as_ptr(&local.shared).addr() != task.home() || depth > local.shared.plan.stack_size / 2 {
        return false;
    }
    let helped = task.run_for_handle();
    add(&local.seat().tally.helped, u64::from(helped));
    helped
}

/// Whether nobody can take the place of the worker that this thread is: what it waits for it had better do itself.
pub(super) fn is_last() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|local| !local.shared.sleep.has_spare()))
}

/// Calls `wait`, which waits for another task or for room; if this thread is a worker, another takes its place.
pub(super) fn blocked<R>(wait: impl FnOnce() -> R) -> R {
    let Some(local) = CURRENT.with_borrow(Clone::clone) else { return wait() };
    struct Blocked(Rc<Local>, Instant);
    impl Drop for Blocked {
        fn drop(&mut self) {
            self.0.shared.sleep.unblock();
            add(&self.0.seat().tally.blocked, self.1.elapsed().as_nanos() as u64);
        }
    }
    local.shared.sleep.block();
    let blocked = Blocked(local, Instant::now());
    if blocked.0.shared.has_work() {
        blocked.0.shared.recruit();
    }
    wait()
}

/// Where the stack is now, about.
fn here() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

impl Local {
    fn seat(&self) -> &Seat {
        self.shared.seat(self.seat)
    }

    fn work(&self) {
        let mut turn = 0u32;
        // A worker starts as a searcher.
        let mut job = self.search();
        while let Some(found) = job {
            self.run(found);
            turn = turn.wrapping_add(1);
            job = self.find(turn);
            if job.is_none() {
                self.shared.sleep.start_search();
                job = self.search();
            }
        }
    }

    fn run(&self, job: Job) {
        let tally = &self.seat().tally;
        let mut rest = Rest { job: Some(job), local: self };
        while let Some(job) = &mut rest.job {
            if job.len() > 1
                && self.deque.is_empty()
                && let Some(half) = job.split()
            {
                self.deque.push(half);
                self.shared.recruit();
            }
            let Some(entry) = job.next() else { break };
            tally.taken.fetch_add(1, Ordering::SeqCst);
            self.shared.room.taken();
            let ran = entry.run();
            add(&tally.ran, u64::from(ran));
        }
    }

    /// A job from its own queue, another worker's, or that of all: what is with a worker was submitted before what is
    /// in the queue of all. Of many workers only some are asked at first.
    fn find(&self, turn: u32) -> Option<Job> {
        let steal = |count| {
            let stolen = self.shared.steal(self.seat, turn as usize, count, &self.deque);
            if stolen.is_success() {
                add(&self.seat().tally.stolen, 1);
            }
            stolen
        };
        loop {
            if turn.is_multiple_of(TURNS)
                && let Steal::Success(job) = self.shared.take_new(&self.deque)
            {
                return Some(job);
            }
            if let Some(job) = self.deque.pop() {
                return Some(job);
            }
            match steal(2).or_else(|| self.shared.take_new(&self.deque)).or_else(|| steal(usize::MAX)) {
                Steal::Success(job) => return Some(job),
                Steal::Retry => {}
                Steal::Empty => return None,
            }
        }
    }

    /// Looks for work, and sleeps while there is none; `None`: there will be none.
    fn search(&self) -> Option<Job> {
        let shared = &self.shared;
        let spins = cores() > 1;
        loop {
            let began = Instant::now();
            while !shared.sleep.is_excess() {
                for turn in 1..=16 {
                    if let Some(job) = self.find(turn) {
                        if shared.sleep.end_search() && shared.has_work() {
                            shared.recruit();
                        }
                        return Some(job);
                    }
                    spin_loop();
                }
                if !spins || began.elapsed() > SEARCH {
                    break;
                }
            }
            if shared.room.is_spent(|| shared.taken()) {
                shared.sleep.exit();
                shared.wake_all();
                return None;
            }
            shared.sleep.fall_asleep(self.seat);
            // If it was one too many, the others do the work.
            let awake = (shared.sleep.has_place() && shared.has_work()) || shared.room.is_spent(|| shared.taken());
            if awake && shared.sleep.wake_up(self.seat) {
                continue;
            }
            self.sleep();
        }
    }

    fn sleep(&self) {
        let (seat, began) = (self.seat(), self.shared.began);
        let since = began.elapsed().as_nanos() as u64;
        seat.tally.asleep_since.store(since, Ordering::Relaxed);
        tell!(Trace, "{}-{}: sleeps", self.shared.plan.name, self.seat);
        seat.bell.sleep();
        tell!(Trace, "{}-{}: woken", self.shared.plan.name, self.seat);
        seat.tally.asleep_since.store(0, Ordering::Relaxed);
        add(&seat.tally.slept, began.elapsed().as_nanos() as u64 - since);
        add(&seat.tally.sleeps, 1);
    }
}

/// What is left of a job: if a task's remains panic, it goes back into the queue.
struct Rest<'a> {
    job: Option<Job>,
    local: &'a Local,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take().filter(|job| job.len() > 0) {
            self.local.deque.push(job);
        }
    }
}
