//! Timers: `N` run, with deadlines at random within ten seconds. One at random is cancelled and another started, over and
//! over; then time goes from deadline to deadline, and what expires is started anew.

use crate::arena::Arena;
use crate::draw::Draw;
use crate::meter::{Count, Meter};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, RawWaker, RawWakerVTable, Waker};
use embassy_time_queue_utils::queue_generic::ConstGenericQueue;
use heapless::binary_heap::{BinaryHeap, Min};
use rtic_time::timer_queue::{TimerQueue, TimerQueueBackend};
use tidemill_core::time::Instant;
use tidemill_core::timer::{Slot, TimerId, TimerWheel};

pub fn measure(meter: &mut Meter) {
    for entries in [10, 1_000, 100_000] {
        ours(meter, entries);
    }
    embassy::<10>(meter);
    embassy::<1_000>(meter);
    rtic(meter, 10, 2_000);
    rtic(meter, 1_000, 2_000);
    rtic(meter, 100_000, 60);
    heapless::<10>(meter);
    heapless::<1_000>(meter);
    heapless::<100_000>(meter);
}

#[inline(never)]
fn ours(meter: &mut Meter, entries: usize) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let slots = arena.slice(entries, |_| Slot::<u32>::EMPTY).expect("fits");
    let mut wheel = TimerWheel::new(slots);
    let ids = arena
        .slice(entries, |index| wheel.start(Instant::from_ticks(draw.delay()), index as u32).expect("room"))
        .expect("fits");
    let (mut start, mut cancel, mut expiry) = (meter.count(), meter.count(), meter.count());
    cancel_and_start(&mut wheel, ids, &mut draw, [&mut cancel, &mut start]);
    expire_and_start(&mut wheel, 2 * entries.max(1_000), &mut draw, &mut expiry);
    meter.add("timer.start", "tidemill", entries, start);
    meter.add("timer.cancel", "tidemill", entries, cancel);
    meter.add("timer.expiry", "tidemill", entries, expiry);
    meter.add("timer.start+expiry", "tidemill", entries, start.then(&expiry));
    meter.add("timer.start+cancel", "tidemill", entries, start.then(&cancel));
}

type Wheel = TimerWheel<u32, &'static mut [Slot<u32>]>;

#[inline(never)]
fn cancel_and_start(wheel: &mut Wheel, ids: &mut [TimerId], draw: &mut Draw, [cancel, start]: [&mut Count; 2]) {
    for _ in 0..2_000 {
        let index = draw.below(ids.len());
        let id = ids[index];
        cancel.of(id, |id| wheel.cancel(id));
        let deadline = Instant::from_ticks(draw.delay());
        ids[index] = start.of(deadline, |deadline| wheel.start(deadline, index as u32)).expect("room");
    }
}

/// Twice round, so that every timer has gone all the way down.
#[inline(never)]
fn expire_and_start(wheel: &mut Wheel, times: usize, draw: &mut Draw, expiry: &mut Count) {
    let mut now = Instant::from_ticks(0);
    for _ in 0..times {
        let due = expiry.of((), |()| {
            now = wheel.next_deadline().unwrap_or(now);
            wheel.expire(now)
        });
        let timer = due.expect("its deadline has come");
        wheel.start(Instant::from_ticks(now.as_ticks() + draw.delay()), timer.value).expect("room");
    }
}

/// Which wakers were woken.
static mut FIRED: heapless::Vec<usize, 1024> = heapless::Vec::new();

/// A waker that says who it was.
fn waker(index: usize) -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(|data| RawWaker::new(data, &VTABLE), wake, wake, |_| {});
    fn wake(data: *const ()) {
        // SAFETY: one context, and nobody holds a reference.
        let _ = unsafe { (*(&raw mut FIRED)).push(data as usize) };
    }
    // SAFETY: the data is a number, and the functions keep a waker's contract.
    unsafe { Waker::from_raw(RawWaker::new(index as *const (), &VTABLE)) }
}

fn fired() -> heapless::Vec<usize, 1024> {
    // SAFETY: one context, and nobody holds a reference.
    core::mem::take(unsafe { &mut *(&raw mut FIRED) })
}

/// embassy-time's generic queue. It cannot cancel; a driver asks it for the next expiry after every start.
fn embassy<const N: usize>(meter: &mut Meter) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let queue = arena.one(ConstGenericQueue::<N>::new());
    for index in 0..N - 1 {
        queue.schedule_wake(draw.delay(), &waker(index));
    }
    let (mut start, mut expiry) = (meter.count(), meter.count());
    let mut spare = N - 1;
    let mut now = 0;
    for _ in 0..1_000 {
        let new = waker(spare);
        let at = now + draw.delay();
        start.of(at, |at| queue.schedule_wake(at, &new));
        now = queue.next_expiration(now);
        expiry.of(now, |now| queue.next_expiration(now));
        let mut fired = fired();
        spare = fired.pop().expect("one was due");
        for also in fired {
            queue.schedule_wake(now + draw.delay(), &waker(also));
        }
    }
    meter.add("timer.start", "embassy-time", N, start);
    meter.add("timer.expiry", "embassy-time", N, expiry);
    meter.add("timer.start+expiry", "embassy-time", N, start.then(&expiry));
}

struct Backend;
static RTIC: TimerQueue<Backend> = TimerQueue::new();
static mut RTIC_NOW: u64 = 0;

impl TimerQueueBackend for Backend {
    type Ticks = u64;
    fn now() -> u64 {
        // SAFETY: one context.
        unsafe { RTIC_NOW }
    }
    fn set_compare(_: u64) {}
    fn clear_compare_flag() {}
    fn pend_interrupt() {}
    fn timer_queue() -> &'static TimerQueue<Self> {
        &RTIC
    }
}

/// rtic-time's sorted list: a timer is a future, started by its first poll and cancelled by its drop.
fn rtic(meter: &mut Meter, entries: usize, times: usize) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    RTIC.initialize(Backend);
    // SAFETY: one context.
    unsafe { RTIC_NOW = 0 };
    // In descending order, so that filling does not take forever.
    let Some(delays) =
        arena.slice(entries, |index| Some(RTIC.delay_until(10_000_000 - (index * (10_000_000 / entries)) as u64)))
    else {
        return;
    };
    for (index, delay) in delays.iter_mut().enumerate() {
        let waker = waker(index);
        let delay = delay.as_mut().expect("just made");
        // SAFETY: the arena does not move.
        let _ = unsafe { Pin::new_unchecked(delay) }.poll(&mut Context::from_waker(&waker));
    }
    let (mut start, mut cancel, mut expiry) = (meter.count(), meter.count(), meter.count());
    for _ in 0..times {
        let index = draw.below(entries);
        cancel.of(index, |index| delays[index] = None);
        let waker = waker(index);
        let at = draw.delay();
        let _ = start.of((index, at), |(index, at)| {
            let delay = delays[index].insert(RTIC.delay_until(at));
            // SAFETY: the arena does not move.
            unsafe { Pin::new_unchecked(delay) }.poll(&mut Context::from_waker(&waker))
        });
    }
    for _ in 0..times / 2 {
        // In steps in which one expires on average: there is no asking for the first deadline.
        // SAFETY: one context.
        unsafe { RTIC_NOW += 10_000_000 / entries as u64 };
        let before = expiry;
        // SAFETY: it always is, says its documentation.
        expiry.of((), |()| unsafe { RTIC.on_monotonic_interrupt() });
        let woken = fired();
        if woken.len() != 1 {
            expiry = before;
        }
        for index in woken {
            delays[index] = None;
            let delay = delays[index].insert(RTIC.delay_until(Backend::now() + draw.delay()));
            // SAFETY: the arena does not move.
            let _ = unsafe { Pin::new_unchecked(delay) }.poll(&mut Context::from_waker(&waker(index)));
        }
    }
    // Those that are due first stand last, and are found at once.
    for delay in delays.iter_mut().rev() {
        *delay = None;
    }
    meter.add("timer.start", "rtic-time", entries, start);
    meter.add("timer.cancel", "rtic-time", entries, cancel);
    meter.add("timer.expiry", "rtic-time", entries, expiry);
    meter.add("timer.start+expiry", "rtic-time", entries, start.then(&expiry));
    meter.add("timer.start+cancel", "rtic-time", entries, start.then(&cancel));
}

/// A heap of deadlines. It cannot cancel.
fn heapless<const N: usize>(meter: &mut Meter) {
    // SAFETY: one measurement at a time.
    let mut arena = unsafe { Arena::new() };
    let mut draw = Draw::new();
    let heap = arena.one(BinaryHeap::<(u64, u32), Min, N>::new());
    while heap.len() < N - 1 {
        let _ = heap.push((draw.delay(), heap.len() as u32));
    }
    let (mut start, mut expiry) = (meter.count(), meter.count());
    let (mut now, mut value) = (0, N as u32);
    for _ in 0..2_000 {
        let at = now + draw.delay();
        let _ = start.of((at, value), |timer| heap.push(timer));
        (now, value) = expiry.of((), |()| heap.pop()).expect("not empty");
    }
    meter.add("timer.start", "heapless-heap", N, start);
    meter.add("timer.expiry", "heapless-heap", N, expiry);
    meter.add("timer.start+expiry", "heapless-heap", N, start.then(&expiry));
}
