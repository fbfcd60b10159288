//! Tasks: `N` live, each waiting to be woken. One at random is woken and waits again; is woken and ends, and its result is
//! taken; and a new one is submitted, and polled for the first time.
//!
//! `pool.turn` is a turn with nothing to do, `pool.poll` what each of ten tasks adds to it that are woken and wait again,
//! `pool.turn+poll` a turn with one of them, `pool.turn+complete` one in which that task ends.

use crate::arena::Arena;
use crate::draw::Draw;
use crate::meter::Meter;
use core::future::Future;
use core::pin::Pin;
use core::task::{Poll, Waker};
use tidemill_core::executor::Executor;
use tidemill_core::net::{NoNetwork, Token};
use tidemill_core::pool::{Slot, TaskId};
use tidemill_core::task::{Context, Task, Wake};
use tidemill_core::time::EPOCH;

pub fn measure(meter: &mut Meter) {
    for entries in [10, 1_000, 100_000] {
        ours(meter, entries);
    }
    embassy::<10>(meter);
    embassy::<1_000>(meter);
}

/// Ends when it is told to.
struct Wait;

/// Shared by all: whether who is polled ends; and who was polled for the first time.
#[derive(Default)]
struct Shared {
    end: bool,
    token: Option<Token>,
}

impl Task<NoNetwork, Shared> for Wait {
    type Output = u32;
    type Error = ();

    fn poll(&mut self, cx: &mut Context<'_, NoNetwork, Shared>) -> nb::Result<u32, ()> {
        if cx.shared.end {
            return Ok(7);
        }
        cx.shared.token = Some(cx.token());
        cx.wait_for_wake();
        Err(nb::Error::WouldBlock)
    }
}

#[inline(never)]
fn ours(meter: &mut Meter, entries: usize) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let slots = arena.slice(entries, |_| Slot::<Wait, u32, ()>::EMPTY).expect("fits");
    let mut executor = Executor::new(slots);
    let mut shared = Shared::default();
    let tasks = arena
        .slice(entries, |_| {
            let id = fill(&mut executor);
            executor.turn(EPOCH, &mut NoNetwork, &mut shared);
            (id, shared.token.expect("polled"))
        })
        .expect("fits");
    let mut counts = [meter.count(); 7];
    let [submit, first, wake, poll, end, result, cancel] = &mut counts;
    for _ in 0..2_000 {
        let task = &mut tasks[draw.below(entries)];
        let (id, token) = *task;
        wake.of(token, |token| executor.wake(token));
        poll.of(EPOCH, |now| executor.turn(now, &mut NoNetwork, &mut shared));
        executor.wake(token);
        shared.end = true;
        end.of(EPOCH, |now| executor.turn(now, &mut NoNetwork, &mut shared));
        shared.end = false;
        let _ = result.of(id, |id| executor.pool.result(id)).expect("ended");
        let id = submit.of(Wait, |task| executor.pool.submit(task)).ok().expect("room");
        cancel.of(id, |id| executor.pool.cancel(id));
        let _ = executor.pool.result(id);
        let id = fill(&mut executor);
        first.of(EPOCH, |now| executor.turn(now, &mut NoNetwork, &mut shared));
        *task = (id, shared.token.expect("polled"));
    }
    let names = [
        "pool.submit",
        "pool.turn+first",
        "pool.wake",
        "pool.turn+poll",
        "pool.turn+complete",
        "pool.result",
        "pool.cancel",
    ];
    for (name, count) in names.into_iter().zip(counts) {
        meter.add(name, "tidemill", entries, count);
    }
    // All but one stay as they are; the first slot takes a task that ends in its first poll.
    let (mut idle, mut ten) = (meter.count(), meter.count());
    for _ in 0..100 {
        idle.of(EPOCH, |now| executor.turn(now, &mut NoNetwork, &mut shared));
        tasks[..10].iter().for_each(|&(_, token)| executor.wake(token));
        ten.of(EPOCH, |now| executor.turn(now, &mut NoNetwork, &mut shared));
    }
    meter.add("pool.turn", "tidemill", entries, idle);
    meter.add("pool.poll", "tidemill", entries, ten.each(&idle, 10));
    let mut all = meter.count();
    let (id, _) = tasks[draw.below(entries)];
    executor.pool.abort(id);
    let _ = executor.pool.result(id);
    shared.end = true;
    for _ in 0..1_000 {
        let _ = all.of(EPOCH, |now| {
            let id = executor.pool.submit(Wait).ok()?;
            executor.turn(now, &mut NoNetwork, &mut shared);
            executor.pool.result(id).ok()
        });
    }
    meter.add("pool.submit+poll+complete", "tidemill", entries, all);
}

type Ours = Executor<Wait, &'static mut [Slot<Wait, u32, ()>], u32, ()>;

#[inline(never)]
fn fill(executor: &mut Ours) -> TaskId {
    executor.pool.submit(Wait).ok().expect("room")
}

static mut END: bool = false;
static mut WAKER: Option<Waker> = None;

/// The same for embassy.
struct WaitFuture {
    polled: bool,
}

impl Future for WaitFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut core::task::Context<'_>) -> Poll<()> {
        // SAFETY: one context.
        unsafe {
            if END {
                return Poll::Ready(());
            }
            if !self.polled {
                self.polled = true;
                *(&raw mut WAKER) = Some(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {}

fn embassy<const N: usize>(meter: &mut Meter) {
    use embassy_executor::raw::{Executor, TaskPool};
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let executor: &'static Executor = arena.one(Executor::new(core::ptr::null_mut()));
    let pool: &'static TaskPool<WaitFuture, N> = arena.one(TaskPool::new());
    let spawner = executor.spawner();
    let spawn = || {
        let Ok(token) = pool.spawn(|| WaitFuture { polled: false }) else { panic!("room") };
        spawner.spawn(token);
    };
    // SAFETY: not called from within itself.
    let turn = || unsafe { executor.poll() };
    let take = || unsafe { (*(&raw mut WAKER)).take() }.expect("polled");
    let end = |end| unsafe { END = end };
    let wakers = arena
        .slice(N, |_| {
            spawn();
            turn();
            take()
        })
        .expect("fits");
    let mut counts = [meter.count(); 6];
    let [submit, first, wake, poll, complete, all] = &mut counts;
    for _ in 0..2_000 {
        let waker = &mut wakers[draw.below(N)];
        wake.of((), |()| waker.wake_by_ref());
        poll.of((), |()| turn());
        end(true);
        waker.wake_by_ref();
        complete.of((), |()| turn());
        all.of((), |()| {
            spawn();
            turn();
        });
        end(false);
        submit.of((), |()| spawn());
        first.of((), |()| turn());
        *waker = take();
    }
    let (mut idle, mut ten) = (meter.count(), meter.count());
    for _ in 0..100 {
        idle.of((), |()| turn());
        wakers[..10].iter().for_each(Waker::wake_by_ref);
        ten.of((), |()| turn());
    }
    meter.add("pool.turn", "embassy-executor", N, idle);
    meter.add("pool.poll", "embassy-executor", N, ten.each(&idle, 10));
    let names = [
        "pool.submit",
        "pool.turn+first",
        "pool.wake",
        "pool.turn+poll",
        "pool.turn+complete",
        "pool.submit+poll+complete",
    ];
    for (name, count) in names.into_iter().zip(counts) {
        meter.add(name, "embassy-executor", N, count);
    }
}
